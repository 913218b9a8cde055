/*
 * Sums that the figures of a sweep are made of: of the customers as they are and of Poisson-bootstrap replicates of them.
 *
 * Base cells are the segments as they are, ring cells those of sweep_rings.h. Outcomes are centred at their mean, so that sums
 * stay small beside what they are made of. With w the weight, y the centred outcome, 0 where it is missing, m outcomes:
 *     base [k, m, DM_BASE_SUMS]: w over rows with the outcome, w y, w y^2
 *     ring [cells, 1 + 2 m]: w (||x - c_new||^2 - ||x - c_old||^2), then per outcome w over rows with it, w y
 */
#ifndef DM_BOUNDARY_SWEEP_SUMS_H
#define DM_BOUNDARY_SWEEP_SUMS_H

#include "stats/block_sums.h"
#include "boundary/sweep_rings.h"

enum { DM_BASE_WEIGHT, DM_BASE_SUM, DM_BASE_SQUARE, DM_BASE_SUMS };

/** One outcome over all customers. */
typedef struct dm_sweep_basics {
    int64_t present, zeros, ones; /* rows with it, rows where it is 0, and 1 */
    double mean;                  /* NaN where no weight has it */
    double centre;                /* what it is centred at: the mean, exactly the value of a constant */
} dm_sweep_basics;

/** Means of all outcomes, and the objective of the customers under the model. Collective. */
demarc_status dm_sweep_basics_find(const dm_frozen *f, int32_t outcomes, dm_sweep_basics *basics, double *objective);

/** What all passes below look at. Everything borrowed. */
typedef struct dm_sweep_view {
    const dm_frozen *f;
    const dm_sweep_rings *rings;
    int32_t outcomes;
    const dm_sweep_basics *basics; /* [outcomes] */
    uint64_t seed;
    int32_t replicates;
} dm_sweep_view;

static inline int32_t dm_ring_sums(const dm_sweep_view *v) { return 1 + 2 * v->outcomes; }

/** The customers as they are, in base cells. */
typedef struct dm_sweep_base {
    double *sum;      /* [k, m, DM_BASE_SUMS] */
    int64_t *present; /* [k, m] rows with the outcome */
    double *bound;    /* [m, DM_BASE_SUMS] largest of a row in magnitude */
} dm_sweep_base;

/** The same in the ring cells of segments [first, end): arrays begin with the first of these cells. */
typedef struct dm_sweep_ring_sums {
    int32_t first, end; /* segments */
    double *sum;        /* [cells, 1 + 2 m] */
    double *weight;     /* [cells] w of all movers */
    int64_t *present;   /* [cells, m] rows with the outcome */
    int64_t *ones;      /* [cells, m] rows where it is 1 */
    double *bound;      /* [1 + 2 m] */
} dm_sweep_ring_sums;

/** One pass. Collective; exact, the same on all ranks. */
demarc_status dm_sweep_base_find(const dm_sweep_view *v, dm_sweep_base *base);
void dm_sweep_base_clear(dm_sweep_base *base);
demarc_status dm_sweep_ring_sums_find(const dm_sweep_view *v, int32_t first, int32_t end, dm_sweep_ring_sums *ring);
void dm_sweep_ring_sums_clear(dm_sweep_ring_sums *ring);

/** Sums of one replicate in the shape of `sum` above. On rank 0 only. */
typedef void (*dm_sweep_draw_fn)(void *context, int32_t replicate, const double *sum);

typedef struct dm_sweep_draws {
    dm_sweep_draw_fn take;
    void *context;
    int32_t done; /* replicates that were taken, the same on all ranks */
} dm_sweep_draws;

/** All replicates from draws->done on, in order; a pass or a few, each a step of the journal. Collective. */
demarc_status dm_sweep_base_draws(const dm_sweep_view *v, const dm_sweep_base *base, dm_sweep_draws *draws);
demarc_status dm_sweep_ring_draws(const dm_sweep_view *v, const dm_sweep_ring_sums *ring, dm_sweep_draws *draws);

#endif
