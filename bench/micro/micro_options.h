/* Options that the single-process benchmarks share. */
#ifndef DM_BENCH_OPTIONS_H
#define DM_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_options {
    int rounds, threads;
} bench_options;

/** @return false where `name` is neither --rounds nor --threads */
static inline bool bench_take(bench_options *o, const char *name, const char *value)
{
    int *const target = strcmp(name, "--rounds") == 0    ? &o->rounds
                        : strcmp(name, "--threads") == 0 ? &o->threads
                                                         : NULL;
    if (target != NULL) *target = (int)strtol(value, NULL, 10);
    return target != NULL;
}

static inline bool bench_sane(const bench_options *o, int most_rounds)
{
    return o->rounds >= 1 && o->rounds <= most_rounds && o->threads >= 1;
}

#endif
