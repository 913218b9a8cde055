/*
 * k-means over the ranks' rows: seeding, mini-batch, Lloyd. Everything is in working space (store/model_file.h).
 *
 * All functions are collective and layout-independent: labels are exact (linalg/distance.h), sums over rows are exact
 * (segment_sums.h, base/exact_sum.h), random numbers are keyed by global row (base/counter_rng.h). What every rank
 * computes for itself from agreed numbers (new centroids, stop rules) is the same bits on every rank.
 */
#ifndef DM_KMEANS_KMEANS_H
#define DM_KMEANS_KMEANS_H

#include "kmeans/position.h"
#include "kmeans/row_sample.h"
#include "kmeans/row_state.h"
#include "kmeans/segment_sums.h"
#include "linalg/distance.h"
#include "rows/rows.h"

/** What all phases share. Borrowed pointers; created once per fit. */
typedef struct dm_kmeans {
    dm_rows *rows;
    dm_comm *comm;
    dm_log *log;
    const dmk_table *kernel;
    int threads;
    int64_t n;
    int32_t d;
    uint64_t seed;
    double total_weight;
    double mean_variance;           /* mean variance of the features that count: unit of the tolerance */
    double square_total;            /* sum of w ||x||^2 by the scan: close, and the same on every layout */
    double square_most;             /* bound of w ||x||^2 of any row */
    int64_t positive;               /* customers with weight > 0 */
    dm_sum_grid grid;               /* how segment sums are held */
    double sum_squares;             /* sum of w ||x||^2, NaN until the first full pass */
    dm_row_sample *sample;          /* what passes go over while a large file is seeded and learnt; NULL = all rows */
    dm_row_state state;             /* of the rows passes go over */
    bool state_of_sample;           /* those are the sample's */
    int64_t settled;                /* rows settled in double precision so far, this rank */
    int64_t rows_passed, rows_seen; /* rows of all passes with a state, and those looked at; this rank */
    double seed_seconds, minibatch_seconds, polish_seconds;
    int64_t seed_bytes, minibatch_bytes, polish_bytes; /* read from the file (streamed), this rank */
    dm_position at;                                    /* where dm_kmeans_fit stands */
    demarc_status (*edge)(void *context);              /* what is called there; NULL = nothing */
    void *edge_context;
} dm_kmeans;

/**
 * Between two passes: `at` says how to go on from here, so this is where a fit is saved and stopped. Collective.
 * @return what `edge` says, the same on all ranks; not DEMARC_OK ends the fit
 */
static inline demarc_status dm_kmeans_edge(const dm_kmeans *km)
{
    return km->edge == NULL ? DEMARC_OK : km->edge(km->edge_context);
}

/** @param[in] bound  [d] largest |x| of each feature; weight_high the largest weight. Local. */
demarc_status dm_kmeans_create(dm_kmeans *km, dm_rows *rows, const double *bound, const dm_scan *scan,
                               const dm_transform *transform, uint64_t seed);
void dm_kmeans_destroy(dm_kmeans *km);

typedef enum dm_init { DM_INIT_PARALLEL, DM_INIT_PLUS_PLUS, DM_INIT_RANDOM, DM_INIT_GIVEN } dm_init;

typedef struct dm_kmeans_options {
    int32_t k;
    dm_init init;
    const double *given; /* [k, d] for DM_INIT_GIVEN */
    int32_t restarts;
    demarc_algorithm algorithm;
    int64_t batch_size; /* >= 1 */
    int32_t max_epochs, max_iterations;
    double tolerance;
    int32_t polish; /* -1 = until converged */
    double min_segment_share;
} dm_kmeans_options;

/** Rows of the first mini-batch, from which seeding draws, too, when the user names none: more where rows are cheap. */
int64_t dm_kmeans_batch_size(int32_t k, int32_t d);

/**
 * Fit k segments; the best of `restarts` by objective. Goes on from km->at where that is of k segments, and leaves it
 * cleared, but for an error: then it says where it came.
 *
 * @param[out] centroids  [k, d], caller's
 * @param[in,out] trace   passes of the best restart are left in it
 * @retval DEMARC_ERR_IMPOSSIBLE  fewer distinct customers than segments, or a share that cannot be had
 */
demarc_status dm_kmeans_fit(dm_kmeans *km, const dm_kmeans_options *o, double *centroids, dm_trace *trace);

/* ---- the phases, for dm_kmeans_fit and the tests ---- */

/**
 * One pass over all rows, or those of km->sample: exact labels against c, segment sums of what they hold. With a state for
 * as many segments (dm_kmeans_remember) only rows whose label may have changed are looked at.
 * @param[out] objective  sum of w ||x - c||^2 by sum_squares and the sums: diagnostic accuracy (about 1e-12 of the total);
 *                        NULL = not wanted
 */
demarc_status dm_assign_pass(dm_kmeans *km, const dm_centers *c, dm_segment_sums *sums, double *objective);

/** A row with its squared distance to its centroid. */
typedef struct dm_far_row {
    double squared;
    int64_t row; /* global, -1 = none */
} dm_far_row;
/** The `count` rows of positive weight that lie farthest from their centroid (ties to the lowest row), and their values. */
demarc_status dm_farthest_rows(dm_kmeans *km, const dm_centers *c, int32_t count, dm_far_row *far, float *x);

/** Give this rank's rows to fn: all, or those of km->sample. Local. */
demarc_status dm_kmeans_pass(dm_kmeans *km, dm_block_fn fn, void *context);
/** Number of those rows, and the `begin` that fn gets for the first of them. */
int64_t dm_kmeans_rows(const dm_kmeans *km);
int64_t dm_kmeans_first(const dm_kmeans *km);

/** Remember labels (and bounds) of the rows that passes go over from now on, as far as memory allows. Collective. */
demarc_status dm_kmeans_remember(dm_kmeans *km, int32_t k);

/**
 * Seed `centroids` [k, d] from all rows or those of km->sample, which is dropped (km->sample = NULL) when it holds too few
 * distinct customers. restart keys the random numbers.
 */
demarc_status dm_seed(dm_kmeans *km, const dm_kmeans_options *o, int32_t restart, double *centroids);

/** True where a seeding from the sample has time for one start only: many segments of many features. Local. */
bool dm_seed_once(const dm_kmeans *km, int32_t k);

/** Nested mini-batches (Newling & Fleuret 2016) over km->sample, from where km->at stands. */
demarc_status dm_minibatch(dm_kmeans *km, const dm_kmeans_options *o);

/** Are centroids to be exchanged in this fit? Only where one start was all that there was time for. Local. */
bool dm_exchange_wanted(const dm_kmeans *km, const dm_kmeans_options *o);
/**
 * Rounds of exchanges (exchange.c), with Lloyd passes after each, from where km->at stands; needs km->sample.
 * @param[in] passes  over all rows, at most: exchanges and Lloyd together
 */
demarc_status dm_exchange(dm_kmeans *km, const dm_kmeans_options *o, int32_t passes);

/**
 * Lloyd passes (Lloyd 1982) from where km->at stands up to pass `passes`; none where it is there, then nothing is written.
 * @param[out] objective  of the last labels with the updated centroids: sum_squares - sum_j ||S_j||^2 / W_j
 */
demarc_status dm_lloyd(dm_kmeans *km, const dm_kmeans_options *o, int32_t passes, double *objective,
                       dm_segment_sums *sums);

/** next [k, d] = the segments' means; the old centroid of a segment without weight. Local. */
void dm_means_of(const dm_kmeans *km, const dm_segment_sums *sums, const double *centroids, double *next);
/** centroids [k, d] = next; returns the squared shift of all together. Local. */
double dm_adopt(const dm_kmeans *km, int32_t k, const double *next, double *centroids);

/**
 * Give each segment that holds no customer the row farthest from its centroid, in place; nothing to do when none is empty.
 * @param[in] c     the centroids that `sums` were taken with
 * @param[out] next [k, d] only the empty segments' centroids are written
 * @retval DEMARC_ERR_IMPOSSIBLE  there are no more distinct customers
 */
demarc_status dm_refill_empty(dm_kmeans *km, const dm_centers *c, const dm_segment_sums *sums, double *next);

/**
 * Rows that stand for all (coreset.c): about m of km->sample's level 0 and the farthest of the file. Points y [count, d],
 * weights w [count], dm_alloc'd, the same on all ranks; the caller frees them (also after an error). Collective.
 */
demarc_status dm_coreset(const dm_kmeans *km, int32_t restart, int64_t m, double **y, double **w, int64_t *count);

typedef struct dm_recluster_options {
    const dmk_table *kernel;
    int threads;
    double budget; /* multiply-adds for all trials together; one trial is always made */
    uint64_t seed, stream;
    const double *start; /* [k, d] where the second trial starts, NULL = all by k-means++ */
    int32_t most_trials; /* 0 = as many as the budget allows */
} dm_recluster_options;

/**
 * Weighted k-means on few points on one rank: greedy k-means++ (Arthur & Vassilvitskii 2007), local search by swaps
 * (LS++, Lattanzi & Sohler 2019), Lloyd; the best of several trials. Local, deterministic whatever the threads.
 *
 * @param[in]  y  [m, d] points, @param[in] w [m] weights > 0, m >= k
 * @param[out] centroids [k, d]
 */
demarc_status dm_recluster(const dm_recluster_options *o, const double *y, const double *w, int64_t m, int32_t d,
                           int32_t k, double *centroids);
/** False if the budget lets dm_recluster make one trial only, so that no start is asked for. Local. */
bool dm_recluster_wants_start(const dm_recluster_options *o, int64_t m, int32_t d, int32_t k);

#endif
