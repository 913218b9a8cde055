/* Full passes over the rows: assignment with segment sums, and the rows farthest from their centroids. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kmeans/kmeans.h"

typedef struct assigner {
    dm_kmeans *km;
    const dm_centers *c;
    dm_segment_sums *sums;
    dm_tile *tile;         /* [threads] */
    int32_t *label;        /* [threads][DM_BLOCK_ROWS] */
    double *zero;          /* [d], only while sum_squares is unknown */
    dm_exact_sum *squares; /* [threads] */
    /* farthest rows */
    int32_t far_count;
    dm_far_row *far; /* [threads][far_count], farthest first */
    float *far_x;    /* [threads][far_count, d] */
    double *squared; /* [threads][DM_BLOCK_ROWS] */
} assigner;

demarc_status dm_kmeans_pass(dm_kmeans *km, dm_block_fn fn, void *context)
{
    if (km->sample == NULL) return dm_rows_pass(km->rows, fn, context);
    const dm_row_range range = dm_rows_range(km->rows);
    int64_t from = 0;
    while (from < km->samples && km->sample[from] * DM_BLOCK_ROWS < range.begin) from++;
    int64_t to = from;
    while (to < km->samples && km->sample[to] * DM_BLOCK_ROWS < range.end) to++;
    return dm_rows_pass_blocks(km->rows, km->sample + from, to - from, fn, context);
}

static void assigner_destroy(assigner *a)
{
    for (int t = 0; t < a->km->threads && a->tile != NULL; t++) {
        a->km->settled += a->tile[t].settled;
        dm_tile_destroy(&a->tile[t]);
    }
    dm_free(a->tile);
    dm_free(a->label);
    dm_free(a->zero);
    dm_free(a->squares);
    dm_free(a->far);
    dm_free(a->far_x);
    dm_free(a->squared);
}

static demarc_status assigner_create(assigner *a, dm_kmeans *km, const dm_centers *c)
{
    demarc_status st = DEMARC_OK;
    *a = (assigner){.km = km, .c = c};
    DM_TRY(dm_alloc_zero(a->tile, km->threads, "assignment"));
    DM_TRY(dm_alloc(a->label, (int64_t)km->threads * DM_BLOCK_ROWS, "assignment"));
    for (int t = 0; t < km->threads; t++) DM_TRY(dm_tile_create(&a->tile[t], c->k));
cleanup:
    return st;
}

static void assign_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    (void)begin;
    assigner *a = context;
    const dm_kmeans *km = a->km;
    int32_t *label = a->label + (int64_t)thread * DM_BLOCK_ROWS;
    dm_nearest(km->kernel, a->c, &a->tile[thread], x, rows, label);
    dm_segment_sums_add(a->sums, &km->grid, km->kernel, thread, x, w, label, rows);
    if (a->zero != NULL) {
        double sum = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            const double wr = w == NULL ? 1.0 : (double)w[r];
            sum += wr * km->kernel->squared_distance(x + r * km->d, a->zero, km->d);
        }
        dm_exact_sum_add(&a->squares[thread], sum);
    }
}

/* sum over j of 2 c_j . S_j - W_j ||c_j||^2: what the segments take off sum_squares. */
static double explained_by(const dm_kmeans *km, const dm_centers *c, const dm_segment_sums *sums)
{
    double explained = 0.0;
    for (int32_t j = 0; j < c->k; j++) {
        const double weight = dm_segment_sums_weight(sums, &km->grid, j);
        for (int32_t f = 0; f < km->d; f++) {
            const double v = c->c[(int64_t)j * km->d + f];
            explained += v * (2.0 * dm_segment_sums_value(sums, &km->grid, j, f) - weight * v);
        }
    }
    return explained;
}

demarc_status dm_assign_pass(dm_kmeans *km, const dm_centers *c, dm_segment_sums *sums, double *objective)
{
    demarc_status st = DEMARC_OK;
    assigner a;
    const bool first = isnan(km->sum_squares) && km->sample == NULL;
    st = assigner_create(&a, km, c);
    a.sums = sums;
    if (first && st == DEMARC_OK) st = dm_alloc_zero(a.zero, km->d, "assignment");
    if (first && st == DEMARC_OK) st = dm_alloc_zero(a.squares, km->threads, "assignment");
    DM_TRY_ALL(km->comm, st);
    dm_segment_sums_start(sums, c->k);
    DM_TRY_ALL(km->comm, dm_kmeans_pass(km, assign_block, &a));
    DM_TRY(dm_segment_sums_reduce(sums, km->comm));
    if (first) {
        for (int t = 1; t < km->threads; t++) dm_exact_sum_merge(&a.squares[0], &a.squares[t]);
        dm_comm_sum_exact(km->comm, &a.squares[0], 1);
        km->sum_squares = dm_exact_sum_value(&a.squares[0]);
    }
    if (objective != NULL) *objective = fmax(km->sum_squares - explained_by(km, c, sums), 0.0);
cleanup:
    assigner_destroy(&a);
    return st;
}

static bool farther(const dm_far_row *a, const dm_far_row *b)
{
    if (b->row < 0) return a->row >= 0;
    return a->squared > b->squared || (a->squared == b->squared && a->row < b->row);
}

/* Insert into a list ordered farthest first, dropping its last entry. */
static void offer_far(dm_far_row *list, float *list_x, int32_t count, int32_t d, dm_far_row row, const float *x)
{
    if (!farther(&row, &list[count - 1])) return;
    int32_t at = count - 1;
    while (at > 0 && farther(&row, &list[at - 1])) at--;
    memmove(list + at + 1, list + at, (size_t)(count - 1 - at) * sizeof *list);
    memmove(list_x + (int64_t)(at + 1) * d, list_x + (int64_t)at * d,
            (size_t)(count - 1 - at) * (size_t)d * sizeof *list_x);
    list[at] = row;
    memcpy(list_x + (int64_t)at * d, x, (size_t)d * sizeof *x);
}

static void far_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    assigner *a = context;
    const dm_kmeans *km = a->km;
    int32_t *label = a->label + (int64_t)thread * DM_BLOCK_ROWS;
    double *squared = a->squared + (int64_t)thread * DM_BLOCK_ROWS;
    dm_nearest_distance(km->kernel, a->c, &a->tile[thread], x, rows, label, squared);
    for (int64_t r = 0; r < rows; r++) {
        if (w != NULL && !(w[r] > 0.0f)) continue;
        offer_far(a->far + (int64_t)thread * a->far_count, a->far_x + (int64_t)thread * a->far_count * km->d,
                  a->far_count, km->d, (dm_far_row){squared[r], begin + r}, x + r * km->d);
    }
}

demarc_status dm_farthest_rows(dm_kmeans *km, const dm_centers *c, int32_t count, dm_far_row *far, float *x)
{
    demarc_status st = DEMARC_OK;
    assigner a;
    void *all = NULL, *all_x = NULL;
    int64_t bytes = 0;
    const int64_t slots = (int64_t)km->threads * count;
    st = assigner_create(&a, km, c);
    a.far_count = count;
    if (st == DEMARC_OK) st = dm_alloc(a.far, slots, "farthest rows");
    if (st == DEMARC_OK) st = dm_alloc_zero(a.far_x, slots * km->d, "farthest rows");
    if (st == DEMARC_OK) st = dm_alloc(a.squared, (int64_t)km->threads * DM_BLOCK_ROWS, "farthest rows");
    DM_TRY_ALL(km->comm, st);
    for (int64_t i = 0; i < slots; i++) a.far[i] = (dm_far_row){-1.0, -1};
    DM_TRY_ALL(km->comm, dm_rows_pass(km->rows, far_block, &a));
    DM_TRY(dm_comm_all_gather(km->comm, a.far, slots * (int64_t)sizeof *a.far, &all, &bytes));
    const int64_t total = bytes / (int64_t)sizeof *a.far;
    DM_TRY(dm_comm_all_gather(km->comm, a.far_x, slots * km->d * (int64_t)sizeof *a.far_x, &all_x, &bytes));
    for (int32_t i = 0; i < count; i++) far[i] = (dm_far_row){-1.0, -1};
    for (int64_t i = 0; i < total; i++) {
        offer_far(far, x, count, km->d, ((dm_far_row *)all)[i], (float *)all_x + i * km->d);
    }
cleanup:
    dm_free(all);
    dm_free(all_x);
    assigner_destroy(&a);
    return st;
}
