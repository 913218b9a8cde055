/*
 * Where a fit of k segments stands: all that it takes to go on from there, on any layout.
 *
 * Every phase is a function of (data, options, seed, restart, centroids), so this is small: no labels, bounds or sums of
 * rows. They are rebuilt by the next pass, to the same bits, because labels and sums are exact. The sums of the Lloyd pass
 * before are not missed either: where they equal the next ones no centroid moves, and that stops the passes, too.
 *
 * Kept up to date by the phases at the top of every pass, where they call dm_kmeans_edge(). Within a seeding it says where
 * the seeding began. Local; the same on all ranks.
 */
#ifndef DM_KMEANS_POSITION_H
#define DM_KMEANS_POSITION_H

#include "base/trace.h"

typedef enum dm_step { DM_STEP_SEED, DM_STEP_MINIBATCH, DM_STEP_LLOYD, DM_STEP_EXCHANGE, DM_STEPS } dm_step;

typedef struct dm_position {
    int32_t k, d;    /* k == 0: nothing is being fitted */
    int32_t restart; /* the one at work */
    dm_step step;
    int32_t level; /* minibatch: of the sample; exchange: round */
    int32_t
        pass; /* minibatch, lloyd: the next of this level or attempt (lloyd counts exchanges, too); exchange: 0 = exchanges are due, or 1 + passes */
    double passed;     /* minibatch: rows gone over */
    int32_t attempt;   /* lloyd: how often a segment was split for the smallest share */
    double *centroids; /* [k, d] to go on from; undefined while seeding */
    dm_trace trace;
    int32_t best_restart; /* of those that are done; -1 = none is */
    double best_objective;
    double *best; /* [k, d] */
    dm_trace best_trace;
} dm_position;

/** The beginning of a fit. @retval DEMARC_ERR_MEMORY */
demarc_status dm_position_start(dm_position *p, int32_t k, int32_t d);
/** The restart at work reached `objective`: keep it if it is the best, and step to the next. */
void dm_position_next_restart(dm_position *p, double objective);
/** Safe on a zeroed struct. */
void dm_position_clear(dm_position *p);

#endif
