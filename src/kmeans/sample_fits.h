/*
 * Many small fits at once: what gap statistic, prediction strength and bootstrap need.
 *
 * A sample of the customers is drawn and every rank holds all of it; tasks, each a small fit or a few of them, are spread
 * over ranks and threads. A task is sequential and a function of (sample, seed, task) only, so it does not matter who does
 * it. What a task finds is a few numbers; they come back to every rank.
 *
 *   sample   all customers of n <= DM_SAMPLE_ALL, else DM_SAMPLE_ROWS of them, those with the smallest keys of (seed, row):
 *            without replacement, each set equally likely; in row order. Where they have more than DM_SAMPLE_VALUES values
 *            (over 64 features for all, over 128 for a sample) the sample is as much smaller.
 *   fit      seeded from DM_SEED_POINTS of the points (32 k if that is more; all, where there are no more), equally spaced
 *            in cumulative weight, by one trial of dm_recluster: greedy k-means++, local search by swaps, Lloyd (kmeans.h), of
 *            about DM_SEED_BUDGET multiply-adds; then at most DM_FIT_PASSES Lloyd passes over all points, until not more than
 *            one in 10,000 changes its segment. 32,768 customers x 32 features, 8 segments: about 0.05 s
 *
 * Memory of a rank: the sample (4 m d bytes) and, per thread, a fit's points (as much again).
 */
#ifndef DM_KMEANS_SAMPLE_FITS_H
#define DM_KMEANS_SAMPLE_FITS_H

#include "linalg/distance.h"
#include "rows/rows.h"

#define DM_SAMPLE_ALL 65536
#define DM_SAMPLE_ROWS 32768
#define DM_SAMPLE_VALUES (INT64_C(1) << 22)
#define DM_SEED_POINTS 4096
#define DM_SEED_BUDGET 6e7
#define DM_FIT_PASSES 50

/** The sample, the same on all ranks. */
typedef struct dm_fit_sample {
    int64_t m, n; /* customers in it, of n */
    int32_t d;
    int64_t *row; /* [m] global rows, ascending */
    float *x;     /* [m, d] working space */
    float *w;     /* [m] or NULL = all 1; a customer of weight 0 is in the sample, but in no fit */
} dm_fit_sample;

/** Number of customers that a sample of n with d features has. Local. */
int64_t dm_fit_sample_size(int64_t n, int32_t d);
/** Draw and gather. Collective; streamed rows cost a pass. */
demarc_status dm_fit_sample_draw(dm_fit_sample *s, dm_rows *rows, uint64_t seed);
/** The same, but of `most` customers at most. */
demarc_status dm_fit_sample_draw_most(dm_fit_sample *s, dm_rows *rows, uint64_t seed, int64_t most);
void dm_fit_sample_clear(dm_fit_sample *s);

/** One thread's means to fit. */
typedef struct dm_fitter {
    const dmk_table *kernel;
    int thread; /* in [0, threads): names the caller's own scratch, too */
    int32_t d, most_k;
    uint64_t seed;
    int64_t most;    /* points */
    float *point;    /* [most, d] of positive weight, */
    double *pw;      /* [most] and their weights */
    int32_t *label;  /* [most] */
    double *squared; /* [most] */
    int64_t seeds;
    double *y, *yw;       /* [seeds, d], [seeds] points that seed */
    double *sum, *weight; /* [most_k, d], [most_k] */
    dm_centers centers;
    dm_tile tile;
} dm_fitter;

/** For up to `most` points and most_k segments. Local. */
demarc_status dm_fitter_create(dm_fitter *f, const dmk_table *kernel, int thread, int64_t most, int32_t d,
                               int32_t most_k, uint64_t seed);
void dm_fitter_destroy(dm_fitter *f);

/**
 * k segments of m points. Local; a function of (points, k, seed, stream).
 *
 * @param[in]  x, w      [m, d], [m] weights >= 0, NULL = all 1
 * @param[in]  stream    < 2^44: which random numbers
 * @param[out] centroids [k, d]; where fewer than k points are distinct some centroids coincide
 * @retval DEMARC_ERR_IMPOSSIBLE  fewer than k points of positive weight
 */
demarc_status dm_fitter_fit(dm_fitter *f, const float *x, const double *w, int64_t m, int32_t k, uint64_t stream,
                            double *centroids);
/**
 * Nearest of k centroids for each of m <= most points, ties to the lowest.
 * @param[out] label [m]
 * @return sum of w x squared distance, in point order
 */
double dm_fitter_label(dm_fitter *f, const double *centroids, int32_t k, const float *x, const double *w, int64_t m,
                       int32_t *label);

/** Does one task and leaves `width` finite numbers, or NaN, in `out`. Called by several threads, in any order. */
typedef demarc_status (*dm_fit_task_fn)(void *context, dm_fitter *f, int64_t task, double *out);

typedef struct dm_fit_tasks {
    dm_comm *comm;
    const dmk_table *kernel;
    int threads; /* of this rank; dm_fitter.thread is below it */
    int64_t most;
    int32_t d, most_k;
    uint64_t seed;
    dm_fit_task_fn fn;
    void *context;
} dm_fit_tasks;

/**
 * Do tasks [0, tasks): task t by rank t mod ranks. Collective; the lowest failed rank's error is everybody's.
 * @param[out] out  [tasks, width], the same on all ranks
 */
demarc_status dm_fit_tasks_run(const dm_fit_tasks *o, int64_t tasks, int32_t width, double *out);

#endif
