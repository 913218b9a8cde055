/* Small text files of an output. Local (rank 0). */
#ifndef DM_ENGINE_TEXT_FILE_H
#define DM_ENGINE_TEXT_FILE_H

#include "store/output.h"

/** Write `text` as `name` into the output's temporary directory. @retval DEMARC_ERR_IO */
demarc_status dm_text_file_write(const dm_output *o, const char *name, const char *text);
/**
 * A whole file, malloc'd and ended by NUL.
 * @param[out] length  without the NUL
 * @retval DEMARC_ERR_IO, DEMARC_ERR_MEMORY
 */
demarc_status dm_text_file_read(const char *path, char **text, int64_t *length);

#endif
