/*
 * A wish to stop, usually a signal's. The handler only notes it; who can save what has been done looks at it now and then
 * (engine/checkpoint.c). One wish a process.
 */
#ifndef DM_BASE_STOP_H
#define DM_BASE_STOP_H

#include "base/status.h"

/** Note that `signal_number` (> 0) wants this process to stop. Safe in a signal handler. */
void dm_stop_request(int signal_number);
/** The signal noted last, 0 = none. */
int dm_stop_requested(void);
/** Forget it. */
void dm_stop_clear(void);
/** "SIGTERM"; "signal 42" for one without a name. */
const char *dm_stop_name(char buf[32], int signal_number);

/**
 * From now on reading that leaves nothing to save (ids, scan, load) ends when a wish is noted, or does so no more. Whoever
 * turns it on tells the user what to do (engine/checkpoint.h) and turns it off before there is something to save.
 */
void dm_stop_heed(bool on);
/** Called by such reading now and then. @retval DEMARC_STOPPED  it is to end; the line says by what */
demarc_status dm_stop_look(void);

#endif
