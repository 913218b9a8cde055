/* Opening, raw passes, scaling and scaled passes. */
#include "rows/rows_private.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define SLAB_BYTES (INT64_C(32) << 20)
#define TILE_VALUES 32768 /* doubles a thread converts at once: fits its second-level cache */

demarc_status dm_rows_open(dm_rows **out, const dm_rows_options *o)
{
    *out = NULL;
    dm_rows *r = calloc(1, sizeof *r);
    if (r == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: row source: free some memory");
    const dm_schema *schema = dm_customers_schema(o->file);
    r->o = *o;
    r->n = schema->n;
    r->d = o->d;
    r->stored = schema->d;
    r->weighted = schema->weight;
    r->single = schema->exact_f32;
    r->range = dm_row_range_of(r->n, dm_comm_rank(o->comm), dm_comm_size(o->comm));
    const int64_t block_bytes = (int64_t)DM_BLOCK_ROWS * r->stored * (r->single ? 4 : 8);
    const int64_t blocks = SLAB_BYTES / block_bytes;
    r->slab_rows = (blocks < 1 ? 1 : blocks) * DM_BLOCK_ROWS;
    r->tile_rows = TILE_VALUES / r->d < 1 ? 1 : TILE_VALUES / r->d;
    r->streamed =
        o->stream || (o->memory_limit > 0 && dm_rows_shard_bytes(r) + dm_rows_stream_bytes(r) > o->memory_limit);
    *out = r;
    return DEMARC_OK;
}

void dm_rows_close(dm_rows **rows)
{
    if (*rows == NULL) return;
    dm_free((*rows)->shard);
    dm_free((*rows)->weight);
    dm_transform_destroy(&(*rows)->transform);
    free(*rows);
    *rows = NULL;
}

int64_t dm_rows_global(const dm_rows *rows) { return rows->n; }
dm_row_range dm_rows_range(const dm_rows *rows) { return rows->range; }
int32_t dm_rows_features(const dm_rows *rows) { return rows->d; }
bool dm_rows_streamed(const dm_rows *rows) { return rows->streamed; }
bool dm_rows_weighted(const dm_rows *rows) { return rows->weighted; }
const dm_rows_options *dm_rows_opened_with(const dm_rows *rows) { return &rows->o; }
int64_t dm_rows_bytes_read(const dm_rows *rows) { return rows->bytes_read; }
double dm_rows_read_seconds(const dm_rows *rows) { return rows->read_seconds; }

int64_t dm_rows_shard_bytes(const dm_rows *rows)
{
    /* The largest shard of any rank, so that all ranks decide alike. */
    int size = dm_comm_size(rows->o.comm);
    int64_t most = (dm_block_count(rows->n) + size - 1) / size * DM_BLOCK_ROWS;
    if (most > rows->n) most = rows->n;
    return most * (4 * (int64_t)rows->d + (rows->weighted ? 4 : 0));
}

int64_t dm_rows_stream_bytes(const dm_rows *rows)
{
    return rows->slab_rows * (int64_t)rows->stored * (rows->single ? 4 : 8) +
           (int64_t)rows->o.threads * DM_BLOCK_ROWS * rows->d * 4;
}

/* Read stored values of [begin, end) into the slab or, for the whole shard, in place. */
static demarc_status read_stored(dm_rows *rows, int64_t begin, int64_t end, float *f32, double *f64)
{
    double start = dm_clock();
    demarc_status st = f32 != NULL ? dm_customers_features_f32(rows->o.file, begin, end, f32)
                                   : dm_customers_features_f64(rows->o.file, begin, end, f64);
    rows->read_seconds += dm_clock() - start;
    rows->bytes_read += (end - begin) * rows->stored * (f32 != NULL ? 4 : 8);
    return st;
}

static void give_blocks(dm_rows *rows, int64_t begin, int64_t end, const float *f32, const double *f64, const float *w,
                        dm_raw_fn fn, void *context)
{
    const int64_t blocks = dm_block_count(end - begin);
#pragma omp parallel for schedule(dynamic) num_threads(rows->o.threads)
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t from = b * DM_BLOCK_ROWS, left = end - begin - from;
        const dm_raw_block block = {.begin = begin + from,
                                    .rows = left < DM_BLOCK_ROWS ? left : DM_BLOCK_ROWS,
                                    .f32 = f32 == NULL ? NULL : f32 + from * rows->stored,
                                    .f64 = f64 == NULL ? NULL : f64 + from * rows->stored,
                                    .w = w == NULL ? NULL : w + from};
        fn(context, omp_get_thread_num(), &block);
    }
}

/* The shard is kept as stored when that needs no second buffer: float32 values, all columns in order. */
static bool can_hold_raw(const dm_rows *rows) { return !rows->streamed && rows->single && rows->o.column == NULL; }

static demarc_status load_weights(dm_rows *rows)
{
    if (rows->streamed || !rows->weighted || rows->weight != NULL) return DEMARC_OK;
    demarc_status st = dm_alloc(rows->weight, rows->range.end - rows->range.begin, "weights");
    if (st != DEMARC_OK) return st;
    return dm_customers_weight(rows->o.file, rows->range.begin, rows->range.end, rows->weight);
}

static demarc_status load_raw(dm_rows *rows)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range = rows->range;
    const double start = dm_clock();
    DM_TRY(dm_alloc(rows->shard, (range.end - range.begin) * rows->d, "this rank's shard of features"));
    for (int64_t at = range.begin; at < range.end; at += rows->slab_rows) {
        const int64_t stop = at + rows->slab_rows < range.end ? at + rows->slab_rows : range.end;
        DM_TRY(read_stored(rows, at, stop, rows->shard + (at - range.begin) * rows->d, NULL));
        dm_log_progress(rows->o.log, "read", stop - range.begin, range.end - range.begin, start);
    }
    rows->have_raw = true;
cleanup:
    return st;
}

demarc_status dm_rows_raw_pass(dm_rows *rows, int64_t begin, int64_t end, dm_raw_fn fn, void *context)
{
    demarc_status st = DEMARC_OK;
    float *f32 = NULL, *w = NULL;
    double *f64 = NULL;
    DM_TRY(load_weights(rows));
    if (can_hold_raw(rows) && !rows->have_raw && !rows->have_scaled) DM_TRY(load_raw(rows));
    if (rows->have_raw) {
        const int64_t from = begin - rows->range.begin;
        give_blocks(rows, begin, end, rows->shard + from * rows->d, NULL,
                    rows->weight == NULL ? NULL : rows->weight + from, fn, context);
        return DEMARC_OK;
    }
    const int64_t most = end - begin < rows->slab_rows ? end - begin : rows->slab_rows;
    if (rows->single) {
        DM_TRY(dm_alloc(f32, most * rows->stored, "slab of features"));
    } else {
        DM_TRY(dm_alloc(f64, most * rows->stored, "slab of features"));
    }
    if (rows->weighted && rows->weight == NULL) DM_TRY(dm_alloc(w, most, "slab of weights"));
    const double start = dm_clock();
    for (int64_t at = begin; at < end; at += rows->slab_rows) {
        const int64_t stop = at + rows->slab_rows < end ? at + rows->slab_rows : end;
        DM_TRY(read_stored(rows, at, stop, f32, f64));
        const float *slab_w = w;
        if (w != NULL) DM_TRY(dm_customers_weight(rows->o.file, at, stop, w));
        if (rows->weight != NULL) slab_w = rows->weight + (at - rows->range.begin);
        give_blocks(rows, at, stop, f32, f64, slab_w, fn, context);
        dm_log_progress(rows->o.log, "pass", stop - begin, end - begin, start);
    }
cleanup:
    dm_free(f32);
    dm_free(f64);
    dm_free(w);
    return st;
}

void dm_rows_convert(const dm_rows *rows, const dm_raw_block *block, int64_t from, int64_t count,
                     const uint8_t *log1p_of, double *out)
{
    const int32_t d = rows->d, stored = rows->stored;
    const int32_t *column = rows->o.column;
    for (int64_t r = 0; r < count; r++) {
        double *to = out + r * d;
        if (block->f32 != NULL) {
            const float *v = block->f32 + (from + r) * stored;
            for (int32_t f = 0; f < d; f++) to[f] = (double)v[column == NULL ? f : column[f]];
        } else {
            const double *v = block->f64 + (from + r) * stored;
            for (int32_t f = 0; f < d; f++) to[f] = v[column == NULL ? f : column[f]];
        }
        if (log1p_of == NULL) continue;
        for (int32_t f = 0; f < d; f++) {
            if (log1p_of[f] && !isnan(to[f])) to[f] = to[f] > -1.0 ? log1p(to[f]) : -(double)INFINITY;
        }
    }
}

/* Scaling of raw blocks: context of scale_block. */
typedef struct scaler {
    dm_rows *rows;
    const uint8_t *log1p;
    double *factor; /* [d] factor / unit */
    double **tile;  /* per thread */
    float **block;  /* per thread, streamed passes only */
    float *shard;   /* target of loading, or NULL */
    dm_block_fn fn;
    void *context;
} scaler;

static void scale_block(void *context, int thread, const dm_raw_block *raw)
{
    scaler *s = context;
    const dm_rows *rows = s->rows;
    const int64_t d = rows->d;
    float *out = s->shard != NULL ? s->shard + (raw->begin - rows->range.begin) * d : s->block[thread];
    for (int64_t at = 0; at < raw->rows; at += rows->tile_rows) {
        const int64_t n = raw->rows - at < rows->tile_rows ? raw->rows - at : rows->tile_rows;
        dm_rows_convert(rows, raw, at, n, s->log1p, s->tile[thread]);
        rows->o.kernel->scale_rows(s->tile[thread], n, d, rows->transform.origin, s->factor, out + at * d);
    }
    if (s->fn != NULL) s->fn(s->context, thread, raw->begin, raw->rows, out, raw->w);
}

static void scaler_destroy(scaler *s, int threads)
{
    for (int t = 0; t < threads; t++) {
        if (s->tile != NULL) dm_free(s->tile[t]);
        if (s->block != NULL) dm_free(s->block[t]);
    }
    dm_free(s->tile);
    dm_free(s->block);
    dm_free(s->factor);
}

static demarc_status scaler_create(scaler *s, dm_rows *rows, bool blocks)
{
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &rows->transform;
    *s = (scaler){.rows = rows};
    DM_TRY(dm_alloc(s->factor, rows->d, "scale factors"));
    for (int32_t f = 0; f < rows->d; f++) {
        s->factor[f] = t->factor[f] / t->unit;
        if (t->log1p[f]) s->log1p = t->log1p;
    }
    DM_TRY(dm_alloc_zero(s->tile, rows->o.threads, "tiles"));
    DM_TRY(dm_alloc_zero(s->block, rows->o.threads, "blocks"));
    for (int i = 0; i < rows->o.threads; i++) {
        DM_TRY(dm_alloc(s->tile[i], rows->tile_rows * rows->d, "tile"));
        if (blocks) DM_TRY(dm_alloc(s->block[i], (int64_t)DM_BLOCK_ROWS * rows->d, "block"));
    }
cleanup:
    if (st != DEMARC_OK) scaler_destroy(s, rows->o.threads);
    return st;
}

demarc_status dm_rows_scale(dm_rows *rows, const dm_transform *t)
{
    demarc_status st = DEMARC_OK;
    scaler s = {0};
    bool made = false;
    DM_TRY_ALL(rows->o.comm, dm_transform_create(&rows->transform, t->d));
    rows->transform.scale = t->scale;
    rows->transform.impute = t->impute;
    rows->transform.unit = t->unit;
    memcpy(rows->transform.log1p, t->log1p, (size_t)t->d);
    memcpy(rows->transform.center, t->center, (size_t)t->d * sizeof(double));
    memcpy(rows->transform.factor, t->factor, (size_t)t->d * sizeof(double));
    memcpy(rows->transform.origin, t->origin, (size_t)t->d * sizeof(double));
    if (rows->streamed) return DEMARC_OK;
    DM_TRY_ALL(rows->o.comm, scaler_create(&s, rows, false));
    made = true;
    if (rows->shard == NULL && !can_hold_raw(rows)) {
        DM_TRY_ALL(rows->o.comm,
                   dm_alloc(s.shard, (rows->range.end - rows->range.begin) * rows->d, "this rank's shard of features"));
    } else if (can_hold_raw(rows) && !rows->have_raw) {
        DM_TRY_ALL(rows->o.comm, load_raw(rows));
    }
    if (s.shard == NULL) s.shard = rows->shard; /* in place: a tile is converted before it is overwritten */
    st = dm_rows_raw_pass(rows, rows->range.begin, rows->range.end, scale_block, &s);
    rows->shard = s.shard;
    DM_TRY_ALL(rows->o.comm, st);
    rows->have_raw = false;
    rows->have_scaled = true;
cleanup:
    if (made) scaler_destroy(&s, rows->o.threads);
    return st;
}

/* One block of the scaled shard. */
static void give_scaled(const dm_rows *rows, int64_t from, int64_t end, dm_block_fn fn, void *context)
{
    const int64_t local = from - rows->range.begin, n = end - from < DM_BLOCK_ROWS ? end - from : DM_BLOCK_ROWS;
    fn(context, omp_get_thread_num(), from, n, rows->shard + local * rows->d,
       rows->weight == NULL ? NULL : rows->weight + local);
}

demarc_status dm_rows_pass_range(dm_rows *rows, int64_t begin, int64_t end, dm_block_fn fn, void *context)
{
    if (rows->have_scaled) {
        const int64_t blocks = dm_block_count(end - begin);
#pragma omp parallel for schedule(dynamic) num_threads(rows->o.threads)
        for (int64_t b = 0; b < blocks; b++) {
            give_scaled(rows, begin + b * DM_BLOCK_ROWS, end, fn, context);
        }
        return DEMARC_OK;
    }
    scaler s;
    demarc_status st = scaler_create(&s, rows, true);
    if (st != DEMARC_OK) return st;
    s.fn = fn;
    s.context = context;
    st = dm_rows_raw_pass(rows, begin, end, scale_block, &s);
    scaler_destroy(&s, rows->o.threads);
    return st;
}

demarc_status dm_rows_pass(dm_rows *rows, dm_block_fn fn, void *context)
{
    return dm_rows_pass_range(rows, rows->range.begin, rows->range.end, fn, context);
}

demarc_status dm_rows_pass_blocks(dm_rows *rows, const int64_t *block, int64_t count, dm_block_fn fn, void *context)
{
    if (rows->have_scaled) {
#pragma omp parallel for schedule(dynamic) num_threads(rows->o.threads)
        for (int64_t i = 0; i < count; i++) give_scaled(rows, block[i] * DM_BLOCK_ROWS, rows->range.end, fn, context);
        return DEMARC_OK;
    }
    demarc_status st = DEMARC_OK;
    for (int64_t i = 0; i < count && st == DEMARC_OK; i++) { /* streamed: the file is what takes the time */
        const int64_t begin = block[i] * DM_BLOCK_ROWS, stop = begin + DM_BLOCK_ROWS;
        st = dm_rows_pass_range(rows, begin, stop < rows->range.end ? stop : rows->range.end, fn, context);
    }
    return st;
}

/* Gathering: each block copies the wanted rows that fall into it. */
typedef struct gatherer {
    const int64_t *row;
    int64_t count;
    int32_t d;
    float *x, *w;
} gatherer;

static int64_t first_at_least(const int64_t *row, int64_t count, int64_t value)
{
    int64_t lo = 0, hi = count;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (row[mid] < value) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void gather_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    (void)thread;
    const gatherer *g = context;
    for (int64_t i = first_at_least(g->row, g->count, begin); i < g->count && g->row[i] < begin + rows; i++) {
        memcpy(g->x + i * g->d, x + (g->row[i] - begin) * g->d, (size_t)g->d * sizeof *x);
        if (g->w != NULL) g->w[i] = w[g->row[i] - begin];
    }
}

demarc_status dm_rows_gather(dm_rows *rows, int64_t count, const int64_t *row, float *x, float *w)
{
    gatherer g = {row, count, rows->d, x, rows->weighted ? w : NULL};
    if (rows->have_scaled) {
#pragma omp parallel for schedule(static) num_threads(rows->o.threads)
        for (int64_t i = 0; i < count; i++) {
            const int64_t local = row[i] - rows->range.begin;
            memcpy(x + i * rows->d, rows->shard + local * rows->d, (size_t)rows->d * sizeof *x);
            if (g.w != NULL) w[i] = rows->weight[local];
        }
        return DEMARC_OK;
    }
    /* Streamed: read only the blocks from the first to the last wanted row. */
    if (count == 0) return DEMARC_OK;
    const int64_t begin = row[0] / DM_BLOCK_ROWS * DM_BLOCK_ROWS;
    int64_t end = (row[count - 1] / DM_BLOCK_ROWS + 1) * DM_BLOCK_ROWS;
    if (end > rows->range.end) end = rows->range.end;
    return dm_rows_pass_range(rows, begin, end, gather_block, &g);
}
