/*
 * Exact sums of the rows of each segment: sum of w x [k, d], sum of w [k], customers [k] (base/fixed_sum.h says how).
 */
#ifndef DM_KMEANS_SEGMENT_SUMS_H
#define DM_KMEANS_SEGMENT_SUMS_H

#include "comm/comm.h"
#include "dmk.h"

/** The grid on which terms are rounded: the same for every pass of a fit. */
typedef struct dm_sum_grid {
    int32_t d;
    double *scale; /* [d] powers of two */
    float *single; /* [d] the same, or NULL where single precision cannot hold one of them */
    double weight_scale;
    bool weighted;
} dm_sum_grid;

demarc_status dm_sum_grid_create(dm_sum_grid *g, int32_t d, const double *bound, bool weighted, double weight_high);
void dm_sum_grid_destroy(dm_sum_grid *g);

typedef struct dm_segment_sums {
    int32_t k, capacity, d;
    int threads;
    dm_int128 *total; /* [threads][k (d + 1)]: sums, then weights; after reduction thread 0 holds the global ones */
    int64_t *part;    /* [threads][k (d + 1)] of the last rows, not yet in total */
    int64_t *pending; /* [threads] rows in part */
    int64_t *count;   /* [threads][k] rows of positive weight */
} dm_segment_sums;

demarc_status dm_segment_sums_create(dm_segment_sums *s, int32_t capacity, int32_t d, int threads);
void dm_segment_sums_destroy(dm_segment_sums *s);
/** Zero everything for k <= capacity segments. Local. */
void dm_segment_sums_start(dm_segment_sums *s, int32_t k);
/** At most DM_BLOCK_ROWS rows go from segment from[r] to segment to[r] (-1 = none) on behalf of `thread`. Local. */
void dm_segment_sums_move(dm_segment_sums *s, const dm_sum_grid *g, const dmk_table *kernel, int thread, const float *x,
                          const float *w, const int32_t *from, const int32_t *to, int64_t rows);
/** Sum over threads and ranks. Collective. */
demarc_status dm_segment_sums_reduce(dm_segment_sums *s, dm_comm *comm);
/** a += b (reduced values, equal k). */
void dm_segment_sums_add(dm_segment_sums *a, const dm_segment_sums *b);

/** After reduction, local: */
double dm_segment_sums_weight(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j);
int64_t dm_segment_sums_count(const dm_segment_sums *s, int32_t j);
double dm_segment_sums_value(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j, int32_t f);
/** mean [d] of segment j; untouched (false) when its weight is 0. */
bool dm_segment_sums_mean(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j, double *mean);
/** Same sums, weights and counts? (Then the same centroids: the fit has converged.) */
bool dm_segment_sums_equal(const dm_segment_sums *a, const dm_segment_sums *b);
/** a = b (reduced values only). */
void dm_segment_sums_copy(dm_segment_sums *a, const dm_segment_sums *b);

#endif
