/*
 * A final pass under way: what final_pass.c and final_keep.c share; internal to the engine.
 */
#ifndef DM_ENGINE_FINAL_RUN_H
#define DM_ENGINE_FINAL_RUN_H

#include "engine/final_pass.h"
#include "engine/segment_profile.h"
#include "linalg/distance.h"
#include "stats/digest.h"

#define DM_FINAL_BLOCKS 64 /* blocks labelled before their rows are written: 262,144 rows, 4 MiB of results */
#define DM_FINAL_RING 2    /* one is written while the other is labelled */

/* Per-segment figures that are sums over customers. */
enum { DM_SUM_WEIGHT, DM_SUM_WITHIN, DM_SUM_DISTANCE, DM_SUM_MARGIN, DM_SUM_NEAR, DM_SUM_SILHOUETTE, DM_SUMS };

/* Ranges of rows, ascending and apart, each from a block's edge to a block's edge (or the end of the data). */
typedef struct dm_final_ranges {
    dm_row_range *range;
    int64_t count;
} dm_final_ranges;

/* Per-thread state. */
typedef struct dm_final_part {
    dm_tile tile;
    double *squared, *own, *second; /* [DM_BLOCK_ROWS] as dm_nearest_two() tells them */
    double *near, *away;            /* [DM_BLOCK_ROWS] distance to the own and to the runner-up's centroid */
    double *gap, *margin;           /* [DM_BLOCK_ROWS] between the two centroids; distance to their boundary */
    double *block;                  /* [k, DM_SUMS] sums of the block at work */
    dm_exact_sum *sum;              /* [k, DM_SUMS] */
    dm_exact_sum square;            /* sum of w ||x||^2 */
    int64_t lost;                   /* block sums of squared distances that are no numbers: exact sums leave them out */
    int64_t *size;                  /* [k] */
    dm_digest digest;
} dm_final_part;

struct dm_final_run {
    const dm_final_options *o;
    const dmk_table *kernel;
    int threads;
    int32_t k, d;
    double unit;
    dm_centers centers;
    double *gap;  /* [k, k] distance of centroids, working units */
    double *zero; /* [d] */
    dm_final_part *part;
    int64_t window_begin;
    dm_assignment_rows out;                 /* of the window: one of `ring` */
    dm_assignment_rows ring[DM_FINAL_RING]; /* the second only where rows are written */
    dm_profile *profile;                    /* NULL = none */
    dm_final_ranges done;                   /* by runs before this one */
    dm_final_ranges window;                 /* of this rank: what is left, in pieces labelled and written together */
    int64_t turn;                           /* as many windows are done */
};

/** What an earlier pass left (run->o->left): run->done, and its sums to rank 0. Local. @retval DEMARC_ERR_DATA */
demarc_status dm_final_restore(dm_final_run *run, bool root);
/** Cut this rank's rows, but those that are done, into run->window. Local. */
demarc_status dm_final_windows(dm_final_run *run);

#endif
