/*
 * The stall watchdog: a collective that never completes becomes an error.
 *
 * MPI waits for ever: when a peer hangs, its host is cut off, or its file system does not answer, every rank that needs
 * it sits in a collective until the job's time is over. A thread of each rank therefore looks four times a second how
 * long the rank has been inside one blocking call; past the limit it prints one line that names rank, host and call, and
 * ends the process with the exit code of DEMARC_ERR_SYSTEM. Launchers end the other ranks then (mpirun always, srun with
 * --kill-on-bad-exit); where they cannot reach them, the watchdogs over there do.
 *
 *  - MPI_Abort is not called: MPI was started for one thread, that thread is stuck inside it, and the network over which
 *    an abort would be told may be what is gone. _exit cannot hang.
 *  - Ranks wait for each other all the time, so the limit must be longer than the longest piece of work that one rank
 *    does while others wait: a pass over its rows, not the whole run.
 *  - Time in which this process itself was stopped (SIGSTOP, a suspended job) does not count: a look adds at most two
 *    intervals.
 *  - Rank r waits three seconds longer than rank r - 1, up to 6 s: one line, not one of every rank.
 *
 * One watchdog a process, because a stall ends the process. All functions are local. Only the thread that calls MPI may
 * call them.
 */
#ifndef DM_COMM_WATCHDOG_H
#define DM_COMM_WATCHDOG_H

#include "base/status.h"

/**
 * Watch from now on; 0 seconds = stop watching. A second call replaces the limit.
 * @retval DEMARC_ERR_SYSTEM  the thread does not start
 */
demarc_status dm_watchdog_start(double seconds, int rank);
void dm_watchdog_stop(void);

/** Around a call that waits for other ranks; `what` ("an all-reduce") must live until the end. Calls do not nest. */
void dm_watchdog_enter(const char *what);
void dm_watchdog_leave(void);

/** Until resumed nothing counts as a stall: a peer is known to work for an unknown time. */
void dm_watchdog_pause(void);
void dm_watchdog_resume(void);

#endif
