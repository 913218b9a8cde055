/*
 * Nested mini-batches (Newling & Fleuret 2016, "Nested Mini-Batch K-Means"): Lloyd passes over a sample that doubles.
 *
 * A batch is not thrown away: the next one holds it, and each customer counts once, with its latest label, as in Lloyd's
 * algorithm. So nothing has to be forgotten and the labels and bounds of the rows already met go on serving. A batch has
 * taught what it can once its centroids move less in a pass than the means of so few customers are uncertain:
 *
 *   sum_j ||move_j||^2 <= GROW sum_j v / W_j,   v = objective per weight, W_j = weight of segment j
 *
 * (the right side is the expected squared error of the segment means). The last batch is left by the same rule; the
 * polish goes on from there with all customers. A segment without customers in the batch keeps its centroid: what it stands
 * for may be too rare for the sample. Sums are exact, so the centroids have the same bits on every layout.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define GROW 0.1
#define LEVEL_PASSES 20               /* at most, with one batch */
#define SEED_FLOPS 4.0e10             /* what seeding may cost: ten rounds' worth of distances to 2k candidates */
#define MOST_FIRST (INT64_C(1) << 15) /* rows of the first batch, at most and */
#define LEAST_PER_SEGMENT 32          /* at least per segment */

int64_t dm_kmeans_batch_size(int32_t k, int32_t d)
{
    const double rows = SEED_FLOPS / (10.0 * k * d);
    const int64_t first = rows > (double)MOST_FIRST ? MOST_FIRST : (int64_t)rows;
    return first < (int64_t)k * LEAST_PER_SEGMENT ? (int64_t)k * LEAST_PER_SEGMENT : first;
}

static double weight_of(const dm_kmeans *km, const dm_segment_sums *sums)
{
    double weight = 0.0;
    for (int32_t j = 0; j < sums->k; j++) weight += dm_segment_sums_weight(sums, &km->grid, j);
    return weight;
}

/* sum_j v / W_j as above. */
static double noise(const dm_kmeans *km, const dm_segment_sums *sums, double objective)
{
    double inverse = 0.0;
    for (int32_t j = 0; j < sums->k; j++) {
        const double w = dm_segment_sums_weight(sums, &km->grid, j);
        if (w > 0.0) inverse += 1.0 / w;
    }
    return objective / weight_of(km, sums) * inverse;
}

/* Sum of w ||x||^2 of the sample's level: what the objective is measured from. */
typedef struct squares {
    const dm_kmeans *km;
    double *zero;      /* [DM_STRIP_ROWS, d] */
    dm_exact_sum *sum; /* [threads] */
} squares;

static void squares_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    (void)begin;
    squares *s = context;
    const int64_t d = s->km->d;
    for (int64_t r = 0; r < rows; r += DM_STRIP_ROWS) { /* pieces of a sample are whole strips */
        double sum = 0.0;
        if (w == NULL) sum = s->km->kernel->squared_distance(x + r * d, s->zero, DM_STRIP_ROWS * d);
        for (int64_t i = r; i < r + DM_STRIP_ROWS && w != NULL; i++) {
            sum += (double)w[i] * s->km->kernel->squared_distance(x + i * d, s->zero, d);
        }
        dm_exact_sum_add(&s->sum[thread], sum);
    }
}

static demarc_status sample_squares(dm_kmeans *km, double *value)
{
    demarc_status st = DEMARC_OK;
    squares s = {.km = km};
    st = dm_alloc_zero(s.zero, (int64_t)DM_STRIP_ROWS * km->d, "mini-batch");
    if (st == DEMARC_OK) st = dm_alloc_zero(s.sum, km->threads, "mini-batch");
    DM_TRY_ALL(km->comm, st);
    DM_TRY(dm_kmeans_pass(km, squares_block, &s));
    for (int t = 1; t < km->threads; t++) dm_exact_sum_merge(&s.sum[0], &s.sum[t]);
    dm_comm_sum_exact(km->comm, &s.sum[0], 1);
    *value = dm_exact_sum_value(&s.sum[0]);
cleanup:
    dm_free(s.zero);
    dm_free(s.sum);
    return st;
}

demarc_status dm_minibatch(dm_kmeans *km, const dm_kmeans_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    dm_trace *trace = &at->trace;
    double *centroids = at->centroids;
    dm_row_sample *sample = km->sample;
    const double start = dm_clock(), whole = km->sum_squares;
    const int64_t read_before = dm_rows_bytes_read(km->rows), kd = (int64_t)o->k * km->d;
    const double most = (double)o->max_epochs * (double)km->n;
    double *next = NULL;
    bool fresh = true; /* no row is remembered */
    dm_centers centers = {0};
    dm_segment_sums sums = {0};
    st = dm_centers_create(&centers, o->k, km->d);
    if (st == DEMARC_OK) st = dm_segment_sums_create(&sums, o->k, km->d, km->threads);
    if (st == DEMARC_OK) st = dm_alloc(next, kd, "centroids");
    DM_TRY_ALL(km->comm, st);
    for (; at->level < sample->levels && at->passed < most; at->level++, at->pass = 0) {
        DM_TRY(dm_row_sample_use(sample, at->level));
        if (fresh) DM_TRY(dm_kmeans_remember(km, o->k));
        if (!fresh) DM_TRY_ALL(km->comm, dm_row_state_grow(&km->state, dm_row_sample_rows(sample)));
        fresh = false;
        DM_TRY(sample_squares(km, &km->sum_squares));
        bool more = true;
        for (; at->pass < LEVEL_PASSES && more && at->passed < most; at->pass++) {
            double objective = 0.0, shift = 0.0;
            DM_TRY(dm_kmeans_edge(km));
            dm_centers_set(&centers, o->k, centroids, NULL);
            DM_TRY(dm_assign_pass(km, &centers, &sums, &objective));
            dm_means_of(km, &sums, centroids, next);
            shift = dm_adopt(km, o->k, next, centroids);
            more = shift > GROW * noise(km, &sums, objective);
            at->passed += (double)sample->total[at->level];
            trace->batches++;
            DM_TRY_ALL(km->comm, dm_trace_add(trace, "minibatch", (int32_t)trace->batches,
                                              objective * (km->total_weight / weight_of(km, &sums)), shift));
            dm_log_progress(km->log, "minibatch", trace->batches, 0, start);
        }
        dm_log_detail(km->log, "mini-batch of %lld rows: %lld passes so far", (long long)sample->total[at->level],
                      (long long)trace->batches);
    }
cleanup:
    dm_log_progress_end(km->log);
    km->sum_squares = whole;
    dm_row_state_destroy(&km->state);
    dm_centers_destroy(&centers);
    dm_segment_sums_destroy(&sums);
    dm_free(next);
    km->minibatch_seconds += dm_clock() - start;
    km->minibatch_bytes += dm_rows_bytes_read(km->rows) - read_before;
    return st;
}
