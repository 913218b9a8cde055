/* Seconds on a clock that never goes back, and the time of day in UTC. Local. */
#ifndef DM_BASE_CLOCK_H
#define DM_BASE_CLOCK_H

#include <time.h>

/** Seconds since some fixed moment (CLOCK_MONOTONIC). */
double dm_clock(void);
/** "2026-01-31T12:34:56Z" into buf. */
void dm_clock_utc(char buf[32]);
/** "2026-01-31T12:34:56.123456789Z" of `at` into buf; "" where no calendar has it. */
void dm_clock_utc_exact(const struct timespec *at, char buf[48]);

#endif
