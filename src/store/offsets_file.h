/* The file of critical offsets that a sweep leaves: /critical_offset float64 [n, k], attribute model_digest. Local. */
#ifndef DM_STORE_OFFSETS_FILE_H
#define DM_STORE_OFFSETS_FILE_H

#include "base/text.h"

/** Its shape, and the digest as the one string of `digest`. @retval DEMARC_ERR_DATA */
demarc_status dm_offsets_shape(const char *path, int64_t *n, int64_t *k, dm_strings *digest);

#endif
