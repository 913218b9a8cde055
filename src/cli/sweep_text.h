/* Tables of `demarc boundary sweep`. */
#ifndef DM_CLI_SWEEP_TEXT_H
#define DM_CLI_SWEEP_TEXT_H

#include "base/status.h"

/** Print the JSON document of demarc_boundary_sweep() for people. Local. @retval DEMARC_ERR_MEMORY, DEMARC_ERR_SYSTEM */
demarc_status cli_sweep_print(const char *json);

#endif
