/*
 * The walk along two weighted samples in the order of values, for many sets of customers and features together, over values
 * that lie with the ranks in ranges (drift.h). Used by drift.c alone.
 */
#ifndef DM_DIAGNOSIS_DRIFT_WALK_H
#define DM_DIAGNOSIS_DRIFT_WALK_H

#include "diagnosis/compared.h"

typedef struct dm_walk_options {
    const dm_compared *c;
    int32_t d, sets, bins;    /* set 0 holds everybody, a customer may be in one other */
    const int32_t *set_of[2]; /* [k of the side] set of a segment's customers, 0 = in none but the first */
    const int32_t *label[2];  /* this rank's segments */
    const int64_t *total;     /* [2, sets, d] sum of the integer weights of present values */
} dm_walk_options;

/** What the walk finds, arrays [sets, d], the same on all ranks. */
typedef struct dm_walk {
    double *ks;
    double *wasserstein;
    /* [sets, d, bins - 1, 2] integer weights of both sides up to the quantile; -1 = the same as the one before, or none. */
    int64_t *edge;
} dm_walk;

/** A weight as an integer below 2^30, 1 in a file without weights. */
uint32_t dm_walk_weight(double weight, double weight_high, bool weighted);

/** Collective. @param[out] walk  cleared by dm_walk_clear() also after an error */
demarc_status dm_walk_run(dm_walk *walk, const dm_walk_options *o);
void dm_walk_clear(dm_walk *walk);

#endif
