/* The signals that ask a long command to save and stop. Local. */
#ifndef DM_CLI_STOP_SIGNALS_H
#define DM_CLI_STOP_SIGNALS_H

#include <stdbool.h>

/** First of all: SIGTERM, SIGINT and SIGUSR1 wait until it is known what they mean to the command, also across exec. */
void cli_stop_signals_hold(void);
/** They come again. */
void cli_stop_signals_release(void);
/** From now on they ask for a stop (demarc_stop_request), or do what they do by default; those that waited come now. */
void cli_stop_signals(bool on);

#endif
