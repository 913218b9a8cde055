/* The signals that ask a long command to save and stop. Local. */
#ifndef DM_CLI_STOP_SIGNALS_H
#define DM_CLI_STOP_SIGNALS_H

#include <stdbool.h>

/** From now on SIGTERM, SIGINT and SIGUSR1 ask for a stop (demarc_stop_request), or do again what they do by default. */
void cli_stop_signals(bool on);

#endif
