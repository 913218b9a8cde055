/* The JSON of demarc_info() as aligned text on stdout; the caller is rank 0. Local. */
#ifndef DM_CLI_INFO_TEXT_H
#define DM_CLI_INFO_TEXT_H

#include "base/status.h"

/** @param[in] json  the document of demarc_info() */
demarc_status cli_info_print(const char *json);

#endif
