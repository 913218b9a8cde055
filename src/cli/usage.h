/* Help texts on stdout; the caller is rank 0. Local. */
#ifndef DM_CLI_USAGE_H
#define DM_CLI_USAGE_H

#include "cli/options.h"

/** demarc COMMAND --help: what it does, options by group with their defaults, notes, an example that runs. */
demarc_status cli_usage_command(const cli_line *line);
/** demarc --help. @param[in] command  NULL-terminated */
void cli_usage_program(const cli_command *const *command);

#endif
