/*
 * Mini-batch k-means (Sculley 2010): each batch moves a centroid towards the mean of its batch rows with the learning
 * rate (weight of this batch) / (weight of all batches so far).
 *
 * The rows of batch t are drawn with replacement by slot: row = Philox(seed, t, slot) scaled to [0, n). So every rank
 * knows every batch in advance and takes the slots that fall into its own rows, and streamed rows can be fetched for
 * a window of many batches by one pass over the file. Batch sums are exact, so the centroids have the same bits on
 * every layout.
 *
 * Stop: when a smoothed batch objective has not improved for PATIENCE batches (scikit-learn's early stopping), or after
 * max_epochs x n rows. A segment that got no row in IDLE batches while others filled is re-seeded at the row of the
 * batch that lies farthest from its centroid.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define PATIENCE 10
#define IDLE 10
#define WINDOW_BYTES (INT64_C(64) << 20) /* rows fetched ahead when streaming, over all ranks */
#define SMOOTHING 0.1                    /* smallest weight of the newest batch in the smoothed objective */

int64_t dm_kmeans_batch_size(int32_t k) { return k > 128 ? (int64_t)64 * k : 8192; }

/* One slot of a batch that falls into this rank's rows. */
typedef struct slot {
    int64_t row;
    int32_t batch; /* within the window */
    int32_t pad;
} slot;

typedef struct window {
    slot *slot; /* ordered by (row, batch) */
    int64_t count, room;
    int64_t *row; /* [room] */
    float *x, *w; /* [room, d], [room] */
} window;

typedef struct batcher {
    dm_kmeans *km;
    const dm_kmeans_options *o;
    int32_t restart;
    int64_t batch_rows;
    int32_t window_batches;
    window win;
    float *x, *w; /* rows of one batch, this rank's: [room, d] */
    int32_t *label;
    double *squared;
    dm_tile tile;
    dm_centers centers;
    dm_segment_sums sums;
    double *seen;  /* [k] weight of all batches so far */
    int32_t *idle; /* [k] batches since the last row */
} batcher;

static int by_row(const void *a, const void *b)
{
    const slot *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static void window_free(window *v)
{
    dm_free(v->slot);
    dm_free(v->row);
    dm_free(v->x);
    dm_free(v->w);
    *v = (window){0};
}

/* Draw batches [first, first + batches) and fetch this rank's rows of them. Local. */
static demarc_status fetch_window(batcher *b, int64_t first, int32_t batches)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = b->km;
    window *v = &b->win;
    const dm_row_range range = dm_rows_range(km->rows);
    v->count = 0;
    for (int32_t t = 0; t < batches; t++) {
        const uint64_t step = ((uint64_t)b->restart << 40) + (uint64_t)(first + t);
        for (int64_t pair = 0; 2 * pair < b->batch_rows; pair++) {
            const dm_random4 r = dm_random(km->seed, DM_PURPOSE_MINIBATCH, step, (uint64_t)pair);
            for (int half = 0; half < 2 && 2 * pair + half < b->batch_rows; half++) {
                const int64_t row = dm_random_below(r.v[2 * half], r.v[2 * half + 1], km->n);
                if (row < range.begin || row >= range.end) continue;
                if (v->count == v->room) {
                    const int64_t room = v->room == 0 ? 4096 : 2 * v->room;
                    slot *grown = NULL;
                    DM_TRY(dm_alloc(grown, room, "mini-batch rows"));
                    if (v->count > 0) memcpy(grown, v->slot, (size_t)v->count * sizeof *grown);
                    dm_free(v->slot);
                    v->slot = grown;
                    v->room = room;
                    dm_free(v->row);
                    dm_free(v->x);
                    dm_free(v->w);
                    v->row = NULL;
                    v->x = v->w = NULL;
                }
                v->slot[v->count++] = (slot){row, t, 0};
            }
        }
    }
    if (v->room == 0) return DEMARC_OK;
    qsort(v->slot, (size_t)v->count, sizeof *v->slot, by_row);
    if (v->row == NULL) {
        DM_TRY(dm_alloc(v->row, v->room, "mini-batch rows"));
        DM_TRY(dm_alloc(v->x, v->room * km->d, "mini-batch rows"));
        DM_TRY(dm_alloc(v->w, v->room, "mini-batch rows"));
    }
    for (int64_t i = 0; i < v->count; i++) v->row[i] = v->slot[i].row;
    DM_TRY(dm_rows_gather(km->rows, v->count, v->row, v->x, v->w));
cleanup:
    return st;
}

/* This rank's rows of batch t of the window, together. */
static int64_t pick_batch(const batcher *b, int32_t t)
{
    const int32_t d = b->km->d;
    int64_t rows = 0;
    for (int64_t i = 0; i < b->win.count; i++) {
        if (b->win.slot[i].batch != t) continue;
        memcpy(b->x + rows * d, b->win.x + i * d, (size_t)d * sizeof *b->x);
        if (b->km->grid.weighted) b->w[rows] = b->win.w[i];
        rows++;
    }
    return rows;
}

/* The row of this batch farthest from its centroid, agreed by all: value and features. */
static demarc_status farthest_in_batch(const batcher *b, int64_t rows, double *x_out)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = b->km->d;
    void *all = NULL;
    int64_t bytes = 0, best = -1;
    double *mine = NULL;
    DM_TRY_ALL(b->km->comm, dm_alloc_zero(mine, d + 1, "re-seeding"));
    mine[0] = -1.0;
    for (int64_t r = 0; r < rows; r++) {
        if (b->km->grid.weighted && !(b->w[r] > 0.0f)) continue;
        if (best < 0 || b->squared[r] > b->squared[best]) best = r; /* rows ascend: ties to the lowest */
    }
    if (best >= 0) {
        mine[0] = b->squared[best];
        for (int32_t f = 0; f < d; f++) mine[1 + f] = (double)b->x[best * d + f];
    }
    DM_TRY(dm_comm_all_gather(b->km->comm, mine, (d + 1) * (int64_t)sizeof *mine, &all, &bytes));
    const double *list = all;
    int size = dm_comm_size(b->km->comm), from = 0;
    for (int r = 1; r < size; r++) { /* ranks hold ascending rows: ties to the lowest again */
        if (list[(int64_t)r * (d + 1)] > list[(int64_t)from * (d + 1)]) from = r;
    }
    if (list[(int64_t)from * (d + 1)] > 0.0)
        memcpy(x_out, list + (int64_t)from * (d + 1) + 1, (size_t)d * sizeof *x_out);
cleanup:
    dm_free(mine);
    dm_free(all);
    return st;
}

/* One batch: assign, move the centroids. @param[out] objective  sum of w d^2 over the batch / weight of the batch */
static demarc_status run_batch(batcher *b, int64_t rows, double *centroids, double *objective, double *shift)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = b->km;
    const int32_t d = km->d, k = b->o->k;
    const float *w = km->grid.weighted ? b->w : NULL;
    dm_exact_sum sum = {0};
    dm_centers_set(&b->centers, k, centroids, NULL);
    dm_segment_sums_start(&b->sums, k);
    dm_nearest_distance(km->kernel, &b->centers, &b->tile, b->x, rows, b->label, b->squared);
    for (int64_t at = 0; at < rows; at += DM_BLOCK_ROWS) {
        const int64_t n = rows - at < DM_BLOCK_ROWS ? rows - at : DM_BLOCK_ROWS;
        dm_segment_sums_add(&b->sums, &km->grid, km->kernel, 0, b->x + at * d, w == NULL ? NULL : w + at, b->label + at,
                            n);
    }
    for (int64_t r = 0; r < rows; r++) dm_exact_sum_add(&sum, (w == NULL ? 1.0 : (double)w[r]) * b->squared[r]);
    DM_TRY(dm_segment_sums_reduce(&b->sums, km->comm));
    dm_comm_sum_exact(km->comm, &sum, 1);
    double weight = 0.0;
    int32_t starved = -1;
    *shift = 0.0;
    for (int32_t j = 0; j < k; j++) {
        const double now = dm_segment_sums_weight(&b->sums, &km->grid, j);
        weight += now;
        b->idle[j] = now > 0.0 ? 0 : b->idle[j] + 1;
        if (b->idle[j] >= IDLE && !(b->seen[j] > 0.0) && starved < 0) starved = j;
        if (!(now > 0.0)) continue;
        b->seen[j] += now;
        for (int32_t f = 0; f < d; f++) {
            double *c = &centroids[(int64_t)j * d + f];
            const double step = (dm_segment_sums_value(&b->sums, &km->grid, j, f) - now * *c) / b->seen[j];
            *c += step;
            *shift += step * step;
        }
    }
    *objective = weight > 0.0 ? dm_exact_sum_value(&sum) / weight : 0.0;
    if (starved >= 0) {
        DM_TRY(farthest_in_batch(b, rows, centroids + (int64_t)starved * d));
        b->idle[starved] = 0;
    }
cleanup:
    return st;
}

static void batcher_destroy(batcher *b)
{
    window_free(&b->win);
    dm_free(b->x);
    dm_free(b->w);
    dm_free(b->label);
    dm_free(b->squared);
    dm_tile_destroy(&b->tile);
    dm_centers_destroy(&b->centers);
    dm_segment_sums_destroy(&b->sums);
    dm_free(b->seen);
    dm_free(b->idle);
}

static demarc_status batcher_create(batcher *b, dm_kmeans *km, const dm_kmeans_options *o, int32_t restart)
{
    demarc_status st = DEMARC_OK;
    *b = (batcher){.km = km, .o = o, .restart = restart};
    b->batch_rows = o->batch_size < km->n ? o->batch_size : km->n;
    const int64_t row_bytes = 4 * (int64_t)km->d;
    const int64_t fit = WINDOW_BYTES / (b->batch_rows * row_bytes);
    b->window_batches = !dm_rows_streamed(km->rows) || fit < 1 ? 1 : fit > 1024 ? 1024 : (int32_t)fit;
    DM_TRY(dm_alloc(b->x, b->batch_rows * km->d, "mini-batch"));
    DM_TRY(dm_alloc(b->w, b->batch_rows, "mini-batch"));
    DM_TRY(dm_alloc(b->label, b->batch_rows, "mini-batch"));
    DM_TRY(dm_alloc(b->squared, b->batch_rows, "mini-batch"));
    DM_TRY(dm_tile_create(&b->tile, o->k));
    DM_TRY(dm_centers_create(&b->centers, o->k, km->d));
    DM_TRY(dm_segment_sums_create(&b->sums, o->k, km->d, 1));
    DM_TRY(dm_alloc_zero(b->seen, o->k, "mini-batch"));
    DM_TRY(dm_alloc_zero(b->idle, o->k, "mini-batch"));
cleanup:
    return st;
}

demarc_status dm_minibatch(dm_kmeans *km, const dm_kmeans_options *o, int32_t restart, double *centroids,
                           dm_trace *trace)
{
    demarc_status st = DEMARC_OK;
    batcher b = {0};
    const double start = dm_clock();
    const int64_t read_before = dm_rows_bytes_read(km->rows);
    double smooth = NAN, best = INFINITY;
    int32_t stale = 0;
    DM_TRY_ALL(km->comm, batcher_create(&b, km, o, restart));
    const double per_epoch = ceil((double)km->n / (double)b.batch_rows);
    const double most = fmin(per_epoch * o->max_epochs, 1e9);
    const double alpha = fmax(SMOOTHING, fmin(1.0, 2.0 * (double)b.batch_rows / ((double)km->n + 1.0)));
    for (int64_t t = 0; t < (int64_t)most && stale < PATIENCE; t++) {
        const int32_t place = (int32_t)(t % b.window_batches);
        if (place == 0) {
            const int64_t left = (int64_t)most - t;
            DM_TRY_ALL(km->comm, fetch_window(&b, t, left < b.window_batches ? (int32_t)left : b.window_batches));
        }
        double objective = 0.0, shift = 0.0;
        DM_TRY(run_batch(&b, pick_batch(&b, place), centroids, &objective, &shift));
        smooth = isnan(smooth) ? objective : smooth + alpha * (objective - smooth);
        if (smooth < best * (1.0 - 1e-4)) {
            best = smooth;
            stale = 0;
        } else {
            stale++;
        }
        trace->batches++;
        if ((t & (t + 1)) == 0 || stale == PATIENCE) { /* batches 1, 2, 4, 8, ... and the last */
            DM_TRY_ALL(km->comm, dm_trace_add(trace, "minibatch", (int32_t)t + 1, objective * km->total_weight, shift));
        }
        dm_log_progress(km->log, "minibatch", t + 1, 0, start);
    }
    dm_log_detail(km->log, "mini-batch: %lld batches of %lld rows, smoothed objective %.9g", (long long)trace->batches,
                  (long long)b.batch_rows, smooth * km->total_weight);
cleanup:
    dm_log_progress_end(km->log);
    batcher_destroy(&b);
    km->minibatch_seconds += dm_clock() - start;
    km->minibatch_bytes += dm_rows_bytes_read(km->rows) - read_before;
    return st;
}
