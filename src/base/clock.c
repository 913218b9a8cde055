#include "base/clock.h"

#include <stdio.h>

double dm_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void dm_clock_utc(char buf[32])
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void dm_clock_utc_exact(const struct timespec *at, char buf[48])
{
    struct tm tm;
    buf[0] = 0;
    if (gmtime_r(&at->tv_sec, &tm) == NULL) return;
    const size_t length = strftime(buf, 36, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + length, 48 - length, ".%09ldZ", at->tv_nsec);
}
