/* Full passes over the rows: assignment with segment sums, and the rows farthest from their centroids. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kmeans/kmeans.h"

#define MOST_EXPIRED 0.5 /* a block of which more rows need a look is looked at as a whole */
#define SQUARE_ROWS 16
#define AHEAD 16 /* rows asked for before they are copied */
#define STATE_BYTES (INT64_C(200) << 20)

/* Per thread. */
typedef struct assign_part {
    dm_tile tile;
    int32_t *from, *to; /* [DM_BLOCK_ROWS] */
    int32_t *index;     /* [DM_BLOCK_ROWS] rows to look at */
    float *gap;         /* [DM_BLOCK_ROWS] */
    float *x, *w;       /* [tile rows, d], [tile rows] rows brought together */
    dm_exact_sum squares;
    int64_t changed, seen;
} assign_part;

typedef struct assigner {
    dm_kmeans *km;
    const dm_centers *c;
    dm_segment_sums *sums;
    dm_row_state *state; /* NULL = rows are not remembered */
    assign_part *part;   /* [threads] */
    double *zero;        /* [SQUARE_ROWS, d], only while sum_squares is unknown */
    /* farthest rows */
    int32_t far_count;
    dm_far_row *far; /* [threads][far_count], farthest first */
    float *far_x;    /* [threads][far_count, d] */
    double *squared; /* [threads][DM_BLOCK_ROWS] */
} assigner;

int64_t dm_kmeans_rows(const dm_kmeans *km)
{
    const dm_row_range range = dm_rows_range(km->rows);
    return km->sample != NULL ? dm_row_sample_rows(km->sample) : range.end - range.begin;
}

int64_t dm_kmeans_first(const dm_kmeans *km)
{
    return km->sample != NULL ? km->sample->first : dm_rows_range(km->rows).begin;
}

demarc_status dm_kmeans_pass(dm_kmeans *km, dm_block_fn fn, void *context)
{
    if (km->sample == NULL) return dm_rows_pass(km->rows, fn, context);
    dm_row_sample_pass(km->sample, fn, context);
    return DEMARC_OK;
}

static void assigner_destroy(assigner *a)
{
    dm_kmeans *km = a->km;
    for (int t = 0; t < km->threads && a->part != NULL; t++) {
        assign_part *p = &a->part[t];
        km->settled += p->tile.settled;
        dm_tile_destroy(&p->tile);
        dm_free(p->from);
        dm_free(p->to);
        dm_free(p->index);
        dm_free(p->gap);
        dm_free(p->x);
        dm_free(p->w);
    }
    dm_free(a->part);
    dm_free(a->zero);
    dm_free(a->far);
    dm_free(a->far_x);
    dm_free(a->squared);
}

static demarc_status assigner_create(assigner *a, dm_kmeans *km, const dm_centers *c)
{
    demarc_status st = DEMARC_OK;
    *a = (assigner){.km = km, .c = c};
    DM_TRY(dm_alloc_zero(a->part, km->threads, "assignment"));
    for (int t = 0; t < km->threads; t++) {
        assign_part *p = &a->part[t];
        DM_TRY(dm_tile_create(&p->tile, c->k));
        DM_TRY(dm_alloc(p->from, DM_BLOCK_ROWS, "assignment"));
        DM_TRY(dm_alloc(p->to, DM_BLOCK_ROWS, "assignment"));
        DM_TRY(dm_alloc(p->index, DM_BLOCK_ROWS, "assignment"));
        DM_TRY(dm_alloc(p->gap, DM_BLOCK_ROWS, "assignment"));
        DM_TRY(dm_alloc(p->x, dm_tile_rows(a->c->k, km->d) * km->d, "assignment"));
        DM_TRY(dm_alloc(p->w, dm_tile_rows(a->c->k, km->d), "assignment"));
        for (int64_t r = 0; r < DM_BLOCK_ROWS; r++) p->from[r] = -1;
    }
cleanup:
    return st;
}

/* Sum of w ||x||^2 of a block, in double by strips of rows that are the same on every layout. */
static void add_squares(const assigner *a, assign_part *p, int64_t rows, const float *x, const float *w)
{
    const dm_kmeans *km = a->km;
    for (int64_t r = 0; r < rows; r += SQUARE_ROWS) {
        const int64_t n = rows - r < SQUARE_ROWS ? rows - r : SQUARE_ROWS;
        double sum = 0.0;
        if (w == NULL) {
            sum = km->kernel->squared_distance(x + r * km->d, a->zero, n * km->d);
        } else {
            for (int64_t i = r; i < r + n; i++) {
                sum += (double)w[i] * km->kernel->squared_distance(x + i * km->d, a->zero, km->d);
            }
        }
        dm_exact_sum_add(&p->squares, sum);
    }
}

/* Rows one after the other: labels, sums of those that changed, bounds where they are being made. */
static void assign_all(assigner *a, int thread, int64_t local, int64_t rows, const float *x, const float *w)
{
    const dm_kmeans *km = a->km;
    assign_part *p = &a->part[thread];
    const int64_t d = km->d, most = dm_tile_rows(a->c->k, km->d);
    int32_t *from = a->state == NULL ? p->from : a->state->label + local;
    const bool bounds = a->state != NULL && a->state->use != DM_BOUNDS_OFF;
    p->tile.ahead = d;
    for (int64_t at = 0; at < rows; at += most) {
        const int64_t n = rows - at < most ? rows - at : most;
        const float *tile = x + at * d;
        if (bounds) {
            dm_nearest_gap(km->kernel, a->c, &p->tile, tile, n, p->to, p->gap);
            for (int64_t r = 0; r < n; r++)
                a->state->until[local + at + r] = dm_row_until(a->state, p->to[r], p->gap[r]);
        } else {
            dm_nearest(km->kernel, a->c, &p->tile, tile, n, p->to);
        }
        dm_segment_sums_move(a->sums, &km->grid, km->kernel, thread, tile, w == NULL ? NULL : w + at, from + at, p->to,
                             n);
        if (a->state == NULL) continue;
        int64_t changed = 0;
        for (int64_t r = 0; r < n; r++) changed += from[at + r] != p->to[r];
        if (changed > 0) memcpy(from + at, p->to, (size_t)n * sizeof *from);
        p->changed += changed;
    }
    p->seen += rows;
}

/* Rows of a block brought together. */
static void bring_together(const float *x, int64_t d, const int32_t *index, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++, to += d) {
        const float *row = x + index[i] * d, *ahead = x + index[i + AHEAD < n ? i + AHEAD : n - 1] * d;
        for (int64_t f = 0; f < d; f += 16) __builtin_prefetch(ahead + f, 0, 3);
        for (int64_t f = 0; f < d; f++) to[f] = row[f];
    }
}

/* Only the `count` rows of p->index; x == NULL: of held rows, which are scaled as they are picked. */
static void assign_some(assigner *a, int thread, int64_t begin, int64_t count, const float *x, const float *w)
{
    const int64_t local = begin - dm_kmeans_first(a->km);
    const dm_kmeans *km = a->km;
    dm_row_state *s = a->state;
    assign_part *p = &a->part[thread];
    const int64_t d = km->d, most = dm_tile_rows(a->c->k, km->d);
    p->tile.ahead = 0;
    for (int64_t at = 0; at < count; at += most) {
        const int64_t n = count - at < most ? count - at : most;
        const int32_t *index = p->index + at;
        if (x == NULL) dm_rows_pick(km->rows, thread, begin, index, n, p->x);
        if (x != NULL) bring_together(x, d, index, n, p->x);
        for (int64_t i = 0; i < n; i++) {
            if (w != NULL) p->w[i] = w[index[i]];
            p->from[i] = s->label[local + index[i]];
        }
        dm_nearest_gap(km->kernel, a->c, &p->tile, p->x, n, p->to, p->gap);
        dm_segment_sums_move(a->sums, &km->grid, km->kernel, thread, p->x, w == NULL ? NULL : p->w, p->from, p->to, n);
        for (int64_t i = 0; i < n; i++) {
            p->changed += p->from[i] != p->to[i];
            s->label[local + index[i]] = p->to[i];
            s->until[local + index[i]] = dm_row_until(s, p->to[i], p->gap[i]);
        }
    }
    p->seen += count;
}

/* The rows of a block that need a look, in p->index; -1 where all get one. */
static int64_t expired_rows(const assigner *a, assign_part *p, int64_t local, int64_t rows)
{
    if (a->state == NULL || a->state->use != DM_BOUNDS_USE) return -1;
    const int64_t count =
        a->km->kernel->expired(a->state->until + local, a->state->label + local, a->state->limit, rows, p->index);
    return (double)count <= MOST_EXPIRED * (double)rows ? count : -1;
}

static void assign_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    assigner *a = context;
    const int64_t local = begin - dm_kmeans_first(a->km);
    assign_part *p = &a->part[thread];
    if (a->zero != NULL) add_squares(a, p, rows, x, w);
    const int64_t count = expired_rows(a, p, local, rows);
    if (count >= 0) {
        assign_some(a, thread, begin, count, x, w);
    } else {
        assign_all(a, thread, local, rows, x, w);
    }
}

/* The same for held rows: halves are scaled only where a row is looked at. */
static void assign_held(void *context, int thread, int64_t begin, int64_t rows)
{
    assigner *a = context;
    const dm_kmeans *km = a->km;
    const float *x = dm_rows_at(km->rows, begin), *w = dm_rows_weight(km->rows, begin);
    if (x == NULL && a->zero == NULL) {
        const int64_t count = expired_rows(a, &a->part[thread], begin - dm_kmeans_first(km), rows);
        if (count >= 0) {
            assign_some(a, thread, begin, count, NULL, w);
            return;
        }
    }
    assign_block(context, thread, begin, rows, x != NULL ? x : dm_rows_block(km->rows, thread, begin, rows), w);
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

demarc_status dm_kmeans_remember(dm_kmeans *km, int32_t k)
{
    const dm_rows_options *o = dm_rows_opened_with(km->rows);
    const int64_t rows = dm_kmeans_rows(km), shard = dm_rows_shard_bytes(km->rows);
    km->state_of_sample = km->sample != NULL;
    if (km->sample != NULL) return dm_comm_agree(km->comm, dm_row_state_start(&km->state, rows, k, km->d, true));
    dm_row_state_destroy(&km->state);
    /* A tenth of the shard and a bit are there for the asking, unless the user sets a limit. All ranks decide alike. */
    const int64_t room =
        o->memory_limit > 0 ? o->memory_limit - shard - dm_rows_stream_bytes(km->rows) : shard / 10 + STATE_BYTES;
    const int size = dm_comm_size(km->comm);
    const int64_t blocks = (dm_block_count(km->n) + size - 1) / size, most = blocks * DM_BLOCK_ROWS; /* of any rank */
    if (dm_rows_streamed(km->rows) || most * dm_row_state_bytes(false) > room) return DEMARC_OK;
    return dm_comm_agree(km->comm,
                         dm_row_state_start(&km->state, rows, k, km->d, most * dm_row_state_bytes(true) <= room));
}

demarc_status dm_assign_pass(dm_kmeans *km, const dm_centers *c, dm_segment_sums *sums, double *objective)
{
    demarc_status st = DEMARC_OK;
    assigner a;
    const bool first = isnan(km->sum_squares) && km->sample == NULL && objective != NULL;
    st = assigner_create(&a, km, c);
    a.sums = sums;
    if (km->state.on && km->state.k == c->k && (km->sample != NULL) == km->state_of_sample) a.state = &km->state;
    if (first && st == DEMARC_OK) st = dm_alloc_zero(a.zero, (int64_t)SQUARE_ROWS * km->d, "assignment");
    DM_TRY_ALL(km->comm, st);
    dm_segment_sums_start(sums, c->k);
    if (a.state != NULL) dm_row_state_begin(a.state, c);
    const bool held = km->sample == NULL && dm_rows_held(km->rows);
    DM_TRY_ALL(km->comm, held ? dm_rows_visit(km->rows, assign_held, &a) : dm_kmeans_pass(km, assign_block, &a));
    DM_TRY(dm_segment_sums_reduce(sums, km->comm));
    for (int t = 1; t < km->threads; t++) {
        dm_exact_sum_merge(&a.part[0].squares, &a.part[t].squares);
        a.part[0].changed += a.part[t].changed;
        a.part[0].seen += a.part[t].seen;
    }
    if (a.state != NULL) {
        km->rows_passed += a.state->rows;
        km->rows_seen += a.part[0].seen;
        dm_segment_sums_add(sums, &a.state->sums);
        dm_segment_sums_copy(&a.state->sums, sums);
        dm_row_state_end(a.state, a.part[0].changed, a.part[0].seen);
    }
    if (first) {
        dm_comm_sum_exact(km->comm, &a.part[0].squares, 1);
        km->sum_squares = dm_exact_sum_value(&a.part[0].squares);
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
    const int64_t local = begin - dm_kmeans_first(km);
    double *squared = a->squared + (int64_t)thread * DM_BLOCK_ROWS;
    dm_nearest_distance(km->kernel, a->c, &a->part[thread].tile, x, rows, a->part[thread].to, squared);
    for (int64_t r = 0; r < rows; r++) {
        if (w != NULL && !(w[r] > 0.0f)) continue;
        const int64_t row = km->sample == NULL ? begin + r : dm_row_sample_row(km->sample, local + r);
        offer_far(a->far + (int64_t)thread * a->far_count, a->far_x + (int64_t)thread * a->far_count * km->d,
                  a->far_count, km->d, (dm_far_row){squared[r], row}, x + r * km->d);
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
    DM_TRY_ALL(km->comm, dm_kmeans_pass(km, far_block, &a));
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
