/* The order of phases of one fit, its restarts, and the smallest segment that is wanted. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kmeans/kmeans.h"

#define SPLITS 10                        /* attempts to enlarge a too small segment */
#define SAMPLE_BYTES (INT64_C(48) << 20) /* of the largest mini-batch, over all ranks */

demarc_status dm_kmeans_create(dm_kmeans *km, dm_rows *rows, const double *bound, const dm_scan *scan,
                               const dm_transform *transform, uint64_t seed)
{
    const dm_rows_options *o = dm_rows_opened_with(rows);
    *km = (dm_kmeans){.rows = rows,
                      .comm = o->comm,
                      .log = o->log,
                      .kernel = o->kernel,
                      .threads = o->threads,
                      .n = dm_rows_global(rows),
                      .d = dm_rows_features(rows),
                      .seed = seed,
                      .total_weight = scan->total_weight,
                      .positive = scan->positive,
                      .sum_squares = NAN};
    double variance = 0.0;
    int32_t counted = 0; /* a feature of weight 0 is as good as absent */
    for (int32_t f = 0; f < km->d; f++) {
        counted += transform->factor[f] > 0.0;
        const double factor = transform->factor[f] / transform->unit;
        if (factor == 0.0) continue;
        const double known = scan->variance[f] * factor * factor;
        variance += isfinite(known) ? known : 0.25 * bound[f] * bound[f]; /* squares of stored values overflow */
    }
    km->mean_variance = variance / (counted > 0 ? counted : 1);
    km->square_total = variance * scan->total_weight;
    for (int32_t f = 0; f < km->d; f++) km->square_most += bound[f] * bound[f] * scan->weight_high;
    return dm_sum_grid_create(&km->grid, km->d, bound, dm_rows_weighted(rows), scan->weight_high);
}

void dm_kmeans_destroy(dm_kmeans *km)
{
    dm_position_clear(&km->at);
    dm_row_state_destroy(&km->state);
    dm_sum_grid_destroy(&km->grid);
    *km = (dm_kmeans){0};
}

/*
 * Segments below the wanted share give up their centroid; the heaviest segment is split instead, its two centroids
 * placed half a standard deviation to either side of the old one (Linde, Buzo & Gray 1980).
 */
static int32_t split_for_share(const dm_kmeans *km, const dm_segment_sums *sums, double share, double *centroids)
{
    const double wanted = share * (double)km->positive;
    int32_t small = -1, heavy = 0;
    for (int32_t j = 0; j < sums->k; j++) {
        const int64_t count = dm_segment_sums_count(sums, j);
        if ((double)count < wanted && (small < 0 || count < dm_segment_sums_count(sums, small))) small = j;
        if (count > dm_segment_sums_count(sums, heavy)) heavy = j;
    }
    if (small < 0 || small == heavy) return small;
    const double offset = 0.5 * sqrt(km->mean_variance);
    for (int32_t f = 0; f < km->d; f++) {
        const double c = centroids[(int64_t)heavy * km->d + f], away = c - centroids[(int64_t)small * km->d + f];
        const double direction = away > 0.0 ? 1.0 : away < 0.0 ? -1.0 : 0.0; /* away from the segment given up */
        centroids[(int64_t)heavy * km->d + f] = c + offset * direction;
        centroids[(int64_t)small * km->d + f] = c - offset * direction;
    }
    return small;
}

/* Sums and objective of the segments of these centroids; then, if wanted, empty segments get a centroid that has a row. */
static demarc_status measure(dm_kmeans *km, int32_t k, double *centroids, dm_segment_sums *sums, double *objective,
                             bool refill)
{
    dm_centers centers = {0};
    demarc_status st = dm_comm_agree(km->comm, dm_centers_create(&centers, k, km->d));
    if (st == DEMARC_OK) {
        dm_centers_set(&centers, k, centroids, NULL);
        st = dm_assign_pass(km, &centers, sums, objective);
        if (st == DEMARC_OK && refill) st = dm_refill_empty(km, &centers, sums, centroids);
    }
    dm_centers_destroy(&centers);
    return st;
}

static bool any_empty(const dm_segment_sums *sums)
{
    for (int32_t j = 0; j < sums->k; j++) {
        if (dm_segment_sums_count(sums, j) == 0) return true;
    }
    return false;
}

/*
 * Measures, and fills what is empty, until nothing is: a filled segment can take the last customers of another. Every
 * round lowers the objective, or finds that there are fewer distinct customers than segments.
 */
static demarc_status fill_all(dm_kmeans *km, int32_t k, double *centroids, dm_segment_sums *sums, double *objective)
{
    demarc_status st = DEMARC_OK;
    do {
        DM_TRY(measure(km, k, centroids, sums, objective, true));
    } while (any_empty(sums));
cleanup:
    return st;
}

/* Passes over all rows that a fit may make, exchanges and Lloyd together. */
static int32_t most_passes(const dm_kmeans_options *o)
{
    const bool all = o->algorithm == DEMARC_LLOYD || o->polish < 0 || o->polish > o->max_iterations;
    return all ? o->max_iterations : o->polish;
}

/* Lloyd passes, then, if a smallest share is wanted, splits of the heaviest segment and more passes until it is had. */
static demarc_status polish(dm_kmeans *km, const dm_kmeans_options *o, double *objective)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    dm_segment_sums sums = {0};
    const int32_t wanted = most_passes(o);
    const int32_t passes = wanted > 0 || at->attempt == 0 ? wanted : 1;
    if (at->attempt > SPLITS || (passes > 0 && at->pass >= passes)) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "the checkpoint contradicts itself: position of the search: add --force to start anew"));
    }
    DM_TRY_ALL(km->comm, dm_segment_sums_create(&sums, o->k, km->d, km->threads));
    /* What exchanges remember of all rows goes on serving. */
    if (!km->state.on || km->state_of_sample || km->state.k != o->k) DM_TRY(dm_kmeans_remember(km, o->k));
    at->step = DM_STEP_LLOYD;
    *objective = INFINITY;
    if (passes > 0) DM_TRY(dm_lloyd(km, o, passes, objective, &sums));
    /* Restarts are compared by their objective, and no segment is left empty. */
    if (at->attempt == 0 && (passes == 0 || any_empty(&sums))) {
        DM_TRY(fill_all(km, o->k, at->centroids, &sums, objective));
    }
    while (o->min_segment_share > 0.0) {
        DM_TRY(measure(km, o->k, at->centroids, &sums, NULL, false));
        const int32_t small = split_for_share(km, &sums, o->min_segment_share, at->centroids);
        if (small < 0) break;
        if (at->attempt == SPLITS) {
            DM_TRY(dm_fail(
                DEMARC_ERR_IMPOSSIBLE,
                "segment %d holds %lld of %lld customers, below --min-segment-share %g: lower the share or --segments",
                (int)small, (long long)dm_segment_sums_count(&sums, small), (long long)km->positive,
                o->min_segment_share));
        }
        at->attempt++;
        at->pass = 0;
        DM_TRY(dm_lloyd(km, o, wanted > 0 ? wanted : 1, objective, &sums));
    }
cleanup:
    dm_segment_sums_destroy(&sums);
    return st;
}

/* Seeding, mini-batches and exchanges, which share a sample of a large file. */
static demarc_status start(dm_kmeans *km, const dm_kmeans_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    dm_row_sample sample = {0};
    const int64_t fit = SAMPLE_BYTES / (4 * (int64_t)km->d);
    DM_TRY(dm_row_sample_create(&sample, km->rows, km->seed, at->restart, o->batch_size,
                                fit > o->batch_size ? fit : o->batch_size));
    bool learn = o->algorithm == DEMARC_MINIBATCH && sample.levels > 0;
    if (at->step == DM_STEP_SEED) {
        km->sample = o->init == DM_INIT_PARALLEL && sample.levels > 0 ? &sample : NULL;
        DM_TRY(dm_seed(km, o, at->restart, at->centroids));
        learn = learn && (o->init != DM_INIT_PARALLEL || km->sample != NULL); /* distinct customers in the sample */
    }
    km->sample = &sample;
    if (learn && at->step != DM_STEP_EXCHANGE) {
        at->step = DM_STEP_MINIBATCH;
        DM_TRY(dm_minibatch(km, o));
        at->pass = 0;
    }
    if (learn && most_passes(o) > 1 && dm_exchange_wanted(km, o)) {
        if (at->step != DM_STEP_EXCHANGE) at->level = 0;
        at->step = DM_STEP_EXCHANGE;
        DM_TRY(dm_exchange(km, o, most_passes(o) - 1)); /* the last pass is Lloyd's */
        at->pass = at->trace.iterations;                /* of those that the polish may make */
    }
cleanup:
    km->sample = NULL;
    dm_row_sample_destroy(&sample);
    return st;
}

demarc_status dm_kmeans_fit(dm_kmeans *km, const dm_kmeans_options *o, double *centroids, dm_trace *trace)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    if (at->k != o->k) DM_TRY_ALL(km->comm, dm_position_start(at, o->k, km->d));
    while (at->restart < o->restarts) {
        double objective = INFINITY;
        if (at->step != DM_STEP_LLOYD) DM_TRY(start(km, o));
        DM_TRY(polish(km, o, &objective));
        if (o->restarts > 1) dm_log_detail(km->log, "restart %d: objective %.9g", (int)at->restart + 1, objective);
        dm_position_next_restart(at, objective);
    }
    memcpy(centroids, at->best, (size_t)o->k * (size_t)km->d * sizeof *centroids);
    dm_trace_clear(trace);
    *trace = at->best_trace;
    at->best_trace = (dm_trace){0};
    trace->restarts = o->restarts;
    trace->best_restart = at->best_restart;
    dm_position_clear(at);
    if (km->rows_passed > 0) {
        dm_log_detail(km->log, "rows looked at in passes: %.1f%%",
                      100.0 * (double)km->rows_seen / (double)km->rows_passed);
    }
cleanup:
    dm_row_state_destroy(&km->state);
    return st;
}
