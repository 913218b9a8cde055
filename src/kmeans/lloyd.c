/*
 * Lloyd's algorithm (1982): assign, move each centroid to the mean of its customers, repeat.
 *
 * Stop rules: (a) the exact sums of a pass equal those of the pass before: then the centroids are what they were and no
 * label can change any more; (b) the squared shift of all centroids together is at most tolerance x the mean feature
 * variance (scikit-learn's tol); (c) the number of passes.
 *
 * A segment that lost all its customers takes the row farthest from its own centroid (as scikit-learn does), the
 * lowest row among equals, one row per empty segment.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

static int32_t count_empty(const dm_segment_sums *sums)
{
    int32_t empty = 0;
    for (int32_t j = 0; j < sums->k; j++) empty += dm_segment_sums_count(sums, j) == 0;
    return empty;
}

demarc_status dm_refill_empty(dm_kmeans *km, const dm_centers *c, const dm_segment_sums *sums, double *next)
{
    demarc_status st = DEMARC_OK;
    const int32_t empty = count_empty(sums);
    if (empty == 0) return DEMARC_OK;
    dm_far_row *far = NULL;
    float *x = NULL;
    st = dm_alloc(far, empty, "empty segments");
    if (st == DEMARC_OK) st = dm_alloc(x, (int64_t)empty * km->d, "empty segments");
    DM_TRY_ALL(km->comm, st);
    DM_TRY(dm_farthest_rows(km, c, empty, far, x));
    for (int32_t j = 0, e = 0; j < sums->k; j++) {
        if (dm_segment_sums_count(sums, j) != 0) continue;
        if (far[e].row < 0 || !(far[e].squared > 0.0)) {
            DM_TRY(dm_fail(
                DEMARC_ERR_IMPOSSIBLE,
                "fewer distinct customers than segments: %d segments asked, %d can be told apart: lower --segments",
                (int)sums->k, (int)(sums->k - empty + e)));
        }
        for (int32_t f = 0; f < km->d; f++) next[(int64_t)j * km->d + f] = (double)x[(int64_t)e * km->d + f];
        e++;
    }
cleanup:
    dm_free(far);
    dm_free(x);
    return st;
}

void dm_means_of(const dm_kmeans *km, const dm_segment_sums *sums, const double *centroids, double *next)
{
    memcpy(next, centroids, (size_t)sums->k * (size_t)km->d * sizeof *next);
    for (int32_t j = 0; j < sums->k; j++) (void)dm_segment_sums_mean(sums, &km->grid, j, next + (int64_t)j * km->d);
}

double dm_adopt(const dm_kmeans *km, int32_t k, const double *next, double *centroids)
{
    double shift = 0.0;
    for (int64_t i = 0; i < (int64_t)k * km->d; i++) {
        shift += (next[i] - centroids[i]) * (next[i] - centroids[i]);
        centroids[i] = next[i];
    }
    return shift;
}

/* sum_squares - sum_j ||S_j||^2 / W_j: the objective of these labels with each centroid at its segment's mean. */
static double objective_at_means(const dm_kmeans *km, const dm_segment_sums *sums)
{
    double explained = 0.0;
    for (int32_t j = 0; j < sums->k; j++) {
        const double weight = dm_segment_sums_weight(sums, &km->grid, j);
        if (!(weight > 0.0)) continue;
        double norm2 = 0.0;
        for (int32_t f = 0; f < km->d; f++) {
            const double s = dm_segment_sums_value(sums, &km->grid, j, f);
            norm2 += s * s;
        }
        explained += norm2 / weight;
    }
    return fmax(km->sum_squares - explained, 0.0);
}

demarc_status dm_lloyd(dm_kmeans *km, const dm_kmeans_options *o, int32_t passes, double *objective,
                       dm_segment_sums *sums)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    dm_trace *trace = &at->trace;
    double *centroids = at->centroids;
    bool compare = false; /* `before` is of the pass before */
    const int64_t kd = (int64_t)o->k * km->d;
    const double start = dm_clock();
    const int64_t read_before = dm_rows_bytes_read(km->rows);
    dm_centers centers = {0};
    dm_segment_sums before = {0};
    double *next = NULL;
    st = dm_centers_create(&centers, o->k, km->d);
    if (st == DEMARC_OK) st = dm_segment_sums_create(&before, o->k, km->d, 1);
    if (st == DEMARC_OK) st = dm_alloc(next, kd, "centroids");
    DM_TRY_ALL(km->comm, st);
    trace->converged = false;
    for (; at->pass < passes; at->pass++) {
        double now = 0.0, shift = 0.0;
        DM_TRY(dm_kmeans_edge(km));
        const double began = dm_clock();
        const int64_t passed_before = km->rows_passed, seen_before = km->rows_seen;
        dm_centers_set(&centers, o->k, centroids, NULL);
        DM_TRY(dm_assign_pass(km, &centers, sums, &now));
        *objective = objective_at_means(km, sums);
        dm_means_of(km, sums, centroids, next);
        const bool refilled = count_empty(sums) > 0;
        DM_TRY(dm_refill_empty(km, &centers, sums, next));
        shift = dm_adopt(km, o->k, next, centroids);
        const bool same = compare && !refilled && dm_segment_sums_equal(&before, sums);
        trace->iterations++;
        DM_TRY_ALL(km->comm, dm_trace_add(trace, "lloyd", trace->iterations, now, shift));
        const int64_t passed = km->rows_passed - passed_before, seen = km->rows_seen - seen_before;
        dm_log_detail(km->log, "pass %d: objective %.9g, squared shift %.3g, %.1f%% of rows looked at, %.4f s",
                      (int)trace->iterations, now, shift, passed > 0 ? 100.0 * (double)seen / (double)passed : 100.0,
                      dm_clock() - began);
        dm_log_progress(km->log, "lloyd", at->pass + 1, 0, start);
        if (same || (!refilled && shift <= o->tolerance * km->mean_variance)) {
            trace->converged = true;
            break;
        }
        dm_segment_sums_copy(&before, sums);
        compare = true;
    }
cleanup:
    dm_log_progress_end(km->log);
    dm_centers_destroy(&centers);
    dm_segment_sums_destroy(&before);
    dm_free(next);
    km->polish_seconds += dm_clock() - start;
    km->polish_bytes += dm_rows_bytes_read(km->rows) - read_before;
    return st;
}
