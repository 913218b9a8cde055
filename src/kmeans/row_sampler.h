/*
 * Drawing rows by mass, the same rows on every layout: each row gets a key from its own random number and its mass; the
 * smallest keys win, ties to the lowest row. Minima are associative, so threads and ranks may meet rows in any order.
 *
 *  - Poisson sampling (k-means||): key = u / mass; a row is drawn when key < l / phi, that is with probability
 *    min(1, l mass / phi). phi is known only after the pass, so the smallest keys are kept and cut afterwards.
 *  - One row with probability proportional to mass: exponential race, key = -log(u) / mass (Efraimidis & Spirakis 2006).
 */
#ifndef DM_KMEANS_ROW_SAMPLER_H
#define DM_KMEANS_ROW_SAMPLER_H

#include "comm/comm.h"

/** Up to `capacity` rows with the smallest keys and their features; one per thread, then merged. */
typedef struct dm_sampler {
    int32_t capacity, count, d;
    double *key;   /* [capacity] a heap, largest key (then highest row) first */
    int64_t *row;  /* [capacity] */
    int32_t *slot; /* [capacity] where the features lie */
    float *x;      /* [capacity, d] */
} dm_sampler;

demarc_status dm_sampler_create(dm_sampler *s, int32_t capacity, int32_t d);
void dm_sampler_destroy(dm_sampler *s);
/** True if a row with this key would be kept: cheap, call before dm_sampler_offer. */
static inline bool dm_sampler_wants(const dm_sampler *s, double key, int64_t row)
{
    return s->count < s->capacity || key < s->key[0] || (key == s->key[0] && row < s->row[0]);
}
/** Keep (key, row, x[d]) if it is among the smallest. Local. */
void dm_sampler_offer(dm_sampler *s, double key, int64_t row, const float *x);

/** One drawn row. */
typedef struct dm_drawn {
    double key;
    int64_t row;
} dm_drawn;

/**
 * Merge the samplers of all threads and ranks; every rank gets the rows in ascending order of (key, row). Collective.
 * @param[out] drawn  [at most capacity], *x [.., d]; dm_alloc'd, the caller frees with dm_free
 */
demarc_status dm_sampler_collect(dm_comm *comm, dm_sampler *part, int threads, dm_drawn **drawn, float **x,
                                 int32_t *count);

#endif
