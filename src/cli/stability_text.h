/* Tables of `demarc stability`. */
#ifndef DM_CLI_STABILITY_TEXT_H
#define DM_CLI_STABILITY_TEXT_H

#include "base/status.h"

/** Print the JSON document of demarc_stability() for people. Local. @retval DEMARC_ERR_MEMORY, DEMARC_ERR_SYSTEM */
demarc_status cli_stability_print(const char *json);

#endif
