/*
 * What passes remember of the rows they went over: labels, and bounds that let a later pass leave rows alone.
 *
 * Labels: segment sums are exact integers, so a pass need only move the rows whose label changed from one segment's sums
 * to another's; the totals have the same bits as if all rows had been added up anew.
 *
 * Bounds (after Hamerly 2010, one number a row as in Newling & Fleuret 2016): a row that lies nearer to its centroid than
 * to any other by g keeps its label until its own centroid and the fastest of the others have moved by g together. With
 * D_j = the sum over passes of (move of centroid j + largest move of another), the row with label j holds while
 * D_j < until = g + D_j as it was when g was found. So a late pass reads 8 bytes a row instead of the row. Labels stay
 * those of the full pass to the bit: g comes from single-precision scores less twice their error bound
 * (dm_nearest_gap), so while the bound holds the exact distances differ by more than the rounding of the
 * double-precision definition, for which D_j grows by a little more each pass.
 *
 * Local and not thread-safe, but for rows of different blocks. Whether bounds are kept is each rank's own decision: it
 * changes the time, never a label.
 */
#ifndef DM_KMEANS_ROW_STATE_H
#define DM_KMEANS_ROW_STATE_H

#include "kmeans/segment_sums.h"
#include "linalg/distance.h"

typedef enum dm_bound_use { DM_BOUNDS_OFF, DM_BOUNDS_MAKE, DM_BOUNDS_USE } dm_bound_use;

typedef struct dm_row_state {
    bool on;      /* something is remembered: the same on all ranks, also those without rows */
    int64_t rows; /* of this rank */
    int32_t k, d;
    int32_t *label;       /* [rows] -1 = not in any sums */
    float *until;         /* [rows], or NULL: no room for bounds */
    float *limit;         /* [k] D_j, rounded up */
    double *last;         /* [k, d] centroids of the pass before */
    bool any;             /* there was a pass before */
    dm_segment_sums sums; /* of the labels, over all ranks; one thread's */
    dm_bound_use use;
    int32_t wait, patience; /* passes to go without bounds, and how many after the next failure */
} dm_row_state;

/**
 * Room for `rows` rows of k segments; everything forgotten. Allocates nothing when the last room still fits.
 * @param[in] bounds  keep bounds where they pay
 */
demarc_status dm_row_state_start(dm_row_state *s, int64_t rows, int32_t k, int32_t d, bool bounds);
/** More rows (none labelled) after the ones there are; bounds of those stay. */
demarc_status dm_row_state_grow(dm_row_state *s, int64_t rows);
void dm_row_state_destroy(dm_row_state *s);
/** Bytes per row. */
int64_t dm_row_state_bytes(bool bounds);

/** A pass with these centroids begins: D_j grows by their moves. */
void dm_row_state_begin(dm_row_state *s, const dm_centers *c);
/** The pass is over: `changed` labels are new and `seen` rows were looked at. Decides about the next one. */
void dm_row_state_end(dm_row_state *s, int64_t changed, int64_t seen);

/** The bound of a row: gap as dm_nearest_gap gives it. */
static inline float dm_row_until(const dm_row_state *s, int32_t label, float gap)
{
    return (gap + s->limit[label]) * 0.9999997f; /* 1 - 5 u: below the exact sum whatever the rounding */
}

#endif
