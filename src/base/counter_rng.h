/*
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011) from Random123.
 *
 * A number depends only on (seed, purpose, step, index), never on who draws it or in what order; so any layout draws
 * the same. Local, thread-safe, no state.
 */
#ifndef DM_BASE_COUNTER_RNG_H
#define DM_BASE_COUNTER_RNG_H

#include <stdint.h>

/** What a number is for: streams of different purposes never overlap. */
typedef enum dm_purpose {
    DM_PURPOSE_SEED_FIRST = 1,     /* first centre of a seeding */
    DM_PURPOSE_SEED_ROUND = 2,     /* k-means|| rounds, k-means++ draws */
    DM_PURPOSE_SEED_RECLUSTER = 3, /* weighted k-means++ and local search on the candidates */
    DM_PURPOSE_SEED_RANDOM = 4,
    DM_PURPOSE_MINIBATCH = 5, /* drew Sculley's batches once; not to be used for anything else */
    DM_PURPOSE_GENERATE = 6,
    DM_PURPOSE_SEED_SAMPLE = 7,  /* strips of the sample that a large file is seeded from */
    DM_PURPOSE_SEED_CORESET = 8, /* rows of it that stand for it */
    DM_PURPOSE_BOOTSTRAP = 9,    /* Poisson weights of a replicate */
    DM_PURPOSE_MAP = 30,         /* customers drawn on the report's map */
    DM_PURPOSE_FIT_SAMPLE = 10,  /* which customers small fits are made of */
    DM_PURPOSE_REFERENCE = 11,   /* customers without structure, of the gap statistic */
    DM_PURPOSE_HALVES = 12,      /* halves of the prediction strength */
    DM_PURPOSE_EXCHANGE = 13     /* first halves of segments that may be split */
} dm_purpose;

typedef struct dm_random4 {
    uint32_t v[4];
} dm_random4;

/** Four 32-bit words for (seed, purpose, step, index). step < 2^48 (restart, round, ...), index any 64-bit. */
dm_random4 dm_random(uint64_t seed, dm_purpose purpose, uint64_t step, uint64_t index);

/** Two words as a uniform double in (0, 1): (m + 1/2) 2^-52, m of 52 bits; never 0 or 1. */
static inline double dm_uniform(uint32_t hi, uint32_t lo)
{
    uint64_t m = (((uint64_t)hi << 32) | lo) >> 12; /* 52 bits, so that m + 1/2 is exact */
    return ((double)m + 0.5) * 0x1p-52;
}

/** Two words as an integer in [0, n), n >= 1: high half of the 128-bit product (bias below n / 2^64). */
static inline int64_t dm_random_below(uint32_t hi, uint32_t lo, int64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t m = ((uint64_t)hi << 32) | lo;
    return (int64_t)(((wide)m * (uint64_t)n) >> 64);
}

#endif
