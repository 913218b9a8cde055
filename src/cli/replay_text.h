/* The result of `demarc boundary replay` as tables. */
#ifndef DM_CLI_REPLAY_TEXT_H
#define DM_CLI_REPLAY_TEXT_H

#include "base/status.h"

/** Print the JSON that demarc_boundary_replay() gave. Local; the caller is rank 0. */
demarc_status cli_replay_print(const char *json);

#endif
