/* Opening, raw passes, scaling and scaled passes. */
#include "rows/rows_private.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/stop.h"

#define SLAB_BYTES (INT64_C(16) << 20)   /* one of two that HDF5 reads into */
#define STRIDE_BYTES (INT64_C(64) << 20) /* read between two looks at the clock and at failures, past HDF5 */
#define AHEAD_BYTES (INT64_C(32) << 20)  /* asked from the system before they are read, past HDF5 */
#define TILE_VALUES 32768                /* doubles a thread converts at once: fits its second-level cache */

static void scaler_destroy(struct dm_scaler *s);

/* Whole blocks of stored values that fit in so many bytes, at least one, as rows. */
static int64_t rows_in(const dm_rows *rows, int64_t bytes)
{
    const int64_t blocks = bytes / (DM_BLOCK_ROWS * rows->stored * rows->width);
    return (blocks < 1 ? 1 : blocks) * DM_BLOCK_ROWS;
}

demarc_status dm_rows_open(dm_rows **out, const dm_rows_options *o)
{
    *out = NULL;
    const dm_schema *schema = dm_customers_schema(o->file);
    if (o->store == DEMARC_STORE_F16 && !schema->exact_f16) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "values are not float16: --store f16: %s, %s is %s, and rounding would change the result: use "
                       "--store auto",
                       dm_customers_path(o->file), dm_customers_features_path(o->file), schema->stored_type);
    }
    dm_rows *r = calloc(1, sizeof *r);
    if (r == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: row source: free some memory");
    r->o = *o;
    r->n = schema->n;
    r->d = o->d;
    r->stored = schema->d;
    r->weighted = schema->weight;
    r->width = schema->exact_f16 ? 2 : schema->exact_f32 ? 4 : 8;
    r->keep_half = r->width == 2 && r->o.column == NULL && o->store != DEMARC_STORE_F32;
    r->range = dm_row_range_of(r->n, dm_comm_rank(o->comm), dm_comm_size(o->comm));
    r->direct = dm_customers_features_are_direct(o->file);
    r->slab_rows = rows_in(r, r->direct ? STRIDE_BYTES : SLAB_BYTES);
    r->tile_rows = TILE_VALUES / r->d < 1 ? 1 : TILE_VALUES / r->d;
    r->streamed =
        o->stream || (o->memory_limit > 0 && dm_rows_shard_bytes(r) + dm_rows_stream_bytes(r) > o->memory_limit);
    *out = r;
    return DEMARC_OK;
}

void dm_rows_close(dm_rows **rows)
{
    if (*rows == NULL) return;
    scaler_destroy((*rows)->scaler);
    dm_free((*rows)->shard);
    dm_free((*rows)->half);
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
    return most * ((rows->keep_half ? 2 : 4) * (int64_t)rows->d + (rows->weighted ? 4 : 0));
}

int64_t dm_rows_stream_bytes(const dm_rows *rows)
{
    const int64_t threads = rows->o.most_threads, row = rows->stored * rows->width;
    /* What the system reads ahead is its cache, but the memory of a job is often counted with it. */
    const int64_t stored =
        rows->direct ? (threads * DM_BLOCK_ROWS + rows_in(rows, AHEAD_BYTES)) * row : 2 * rows->slab_rows * row;
    return stored + (rows->weighted ? 2 * rows->slab_rows * 4 : 0) + threads * DM_BLOCK_ROWS * rows->d * 4;
}

/* The shard is kept as stored when that needs no second buffer: all columns in order, halves or float32 values. */
static bool can_hold_raw(const dm_rows *rows)
{
    return !rows->streamed && rows->o.column == NULL && (rows->keep_half || rows->width == 4);
}

demarc_store dm_rows_store(const dm_rows *rows) { return rows->keep_half ? DEMARC_STORE_F16 : DEMARC_STORE_F32; }
bool dm_rows_loads_once(const dm_rows *rows) { return can_hold_raw(rows); }

static demarc_status load_weights(dm_rows *rows)
{
    if (rows->streamed || !rows->weighted || rows->weight != NULL) return DEMARC_OK;
    demarc_status st = dm_alloc(rows->weight, rows->range.end - rows->range.begin, "weights");
    if (st != DEMARC_OK) return st;
    return dm_customers_weight(rows->o.file, rows->range.begin, rows->range.end, rows->weight);
}

static demarc_status make_shard(dm_rows *rows)
{
    static const char what[] = "this rank's shard of features";
    const int64_t values = (rows->range.end - rows->range.begin) * rows->d;
    if (rows->shard != NULL || rows->half != NULL) return DEMARC_OK;
    return rows->keep_half ? dm_alloc(rows->half, values, what) : dm_alloc(rows->shard, values, what);
}

/* Where the shard keeps, or is to keep, the stored values of a row of this rank. */
static char *kept_row(const dm_rows *rows, int64_t row)
{
    const int64_t i = (row - rows->range.begin) * rows->d;
    return rows->keep_half ? (char *)(rows->half + i) : (char *)(rows->shard + i);
}

/* Stored values at x as a block of rows [begin, begin + n). */
static dm_raw_block raw_block(const dm_rows *rows, int64_t begin, int64_t n, const void *x, const float *w)
{
    return (dm_raw_block){.begin = begin,
                          .rows = n,
                          .f16 = rows->width == 2 ? x : NULL,
                          .f32 = rows->width == 4 ? x : NULL,
                          .f64 = rows->width == 8 ? x : NULL,
                          .w = w};
}

/* The block that starts at row `begin` and ends before `end`, from the shard that keeps stored values. */
static dm_raw_block kept_block(const dm_rows *rows, int64_t begin, int64_t end)
{
    const float *w = rows->weight == NULL ? NULL : rows->weight + (begin - rows->range.begin);
    return raw_block(rows, begin, end - begin < DM_BLOCK_ROWS ? end - begin : DM_BLOCK_ROWS, kept_row(rows, begin), w);
}

/*
 * One pass over stored values that are still in the file.
 *
 * Where the values can be read past HDF5, each thread reads its block just before it works on it, while it is in its
 * cache, and the system is asked for what comes AHEAD. Else the thread that called the pass reads the next slab while
 * the others work on this one: HDF5 is never entered by any other thread. Weights that are not held are always read in
 * this second way.
 */
typedef struct pass {
    dm_rows *rows;
    int64_t end;   /* nothing beyond is asked for */
    bool keep;     /* the values go where the shard keeps them */
    char **part;   /* [threads] a block of stored values each, direct and not kept */
    char *slab[2]; /* even and odd slabs, not direct and not kept */
    float *w[2];   /* even and odd slabs, weights not held */
    dm_raw_fn fn;
    void *context;
    double work;          /* seconds that threads spent in fn */
    demarc_status failed; /* the first failure by row, and its line */
    int64_t failed_row;
    char line[1024];
} pass;

static void pass_clear(pass *p)
{
    for (int t = 0; t < p->rows->o.threads && p->part != NULL; t++) dm_free(p->part[t]);
    dm_free(p->part);
    for (int i = 0; i < 2; i++) {
        dm_free(p->slab[i]);
        dm_free(p->w[i]);
    }
}

static demarc_status pass_create(pass *p, dm_rows *rows, int64_t begin, int64_t end, dm_raw_fn fn, void *context)
{
    demarc_status st = DEMARC_OK;
    const int64_t most = end - begin < rows->slab_rows ? end - begin : rows->slab_rows;
    const int64_t row = rows->stored * rows->width;
    const int slabs = end - begin > most ? 2 : 1;
    *p = (pass){.rows = rows, .end = end, .fn = fn, .context = context, .failed_row = INT64_MAX};
    if (can_hold_raw(rows) && !rows->have_scaled && begin == rows->range.begin && end == rows->range.end) {
        DM_TRY(make_shard(rows));
        p->keep = true;
    }
    if (!p->keep && rows->direct) {
        const int64_t block = most < DM_BLOCK_ROWS ? most : DM_BLOCK_ROWS;
        DM_TRY(dm_alloc_zero(p->part, rows->o.threads, "blocks of features"));
        for (int t = 0; t < rows->o.threads; t++) DM_TRY(dm_alloc(p->part[t], block * row, "block of features"));
    }
    for (int i = 0; i < slabs; i++) {
        if (!p->keep && !rows->direct) DM_TRY(dm_alloc(p->slab[i], most * row, "slab of features"));
        if (rows->weighted && rows->weight == NULL) DM_TRY(dm_alloc(p->w[i], most, "slab of weights"));
    }
cleanup:
    if (st != DEMARC_OK) pass_clear(p);
    return st;
}

/* What HDF5 has to read of slab [at, stop), by the thread that called the pass. */
static demarc_status fetch(pass *p, int parity, int64_t at, int64_t stop)
{
    dm_rows *rows = p->rows;
    demarc_status st = DEMARC_OK;
    if (!rows->direct) {
        void *to = p->keep ? kept_row(rows, at) : p->slab[parity];
        st = rows->width == 2   ? dm_customers_features_f16(rows->o.file, at, stop, to)
             : rows->width == 4 ? dm_customers_features_f32(rows->o.file, at, stop, to)
                                : dm_customers_features_f64(rows->o.file, at, stop, to);
    }
    if (st == DEMARC_OK && p->w[parity] != NULL) st = dm_customers_weight(rows->o.file, at, stop, p->w[parity]);
    return st;
}

static void note_failure(pass *p, demarc_status st, int64_t row)
{
#pragma omp critical(dm_rows_failure)
    if (row < p->failed_row) {
        p->failed = st;
        p->failed_row = row;
        snprintf(p->line, sizeof p->line, "%s", dm_error_line());
    }
}

/* Ask the system for the block of rows from `begin` on, if there are any before `end`. */
static void expect_block(const pass *p, int64_t begin, int64_t end)
{
    if (begin >= end) return;
    dm_customers_features_expect(p->rows->o.file, begin, end - begin < DM_BLOCK_ROWS ? end : begin + DM_BLOCK_ROWS);
}

/* Block [begin, begin + n) of the slab that starts at `at`; any thread. Returns the seconds spent in fn. */
static double give_block(pass *p, int parity, int64_t at, int64_t begin, int64_t n)
{
    const dm_rows *rows = p->rows;
    const int thread = omp_get_thread_num();
    const int64_t row = rows->stored * rows->width, local = begin - rows->range.begin;
    char *x = p->keep ? kept_row(rows, begin) : rows->direct ? p->part[thread] : p->slab[parity] + (begin - at) * row;
    if (rows->direct) {
        const demarc_status st = dm_customers_features_direct(rows->o.file, begin, begin + n, x);
        if (st != DEMARC_OK) {
            note_failure(p, st, begin);
            return 0.0;
        }
    }
    const float *w = rows->weight != NULL   ? rows->weight + local
                     : p->w[parity] != NULL ? p->w[parity] + (begin - at)
                                            : NULL;
    const dm_raw_block block = raw_block(rows, begin, n, x, w);
    const double start = dm_clock();
    p->fn(p->context, thread, &block);
    return dm_clock() - start;
}

static demarc_status give_slab(pass *p, int parity, int64_t at, int64_t stop)
{
    const int64_t blocks = dm_block_count(stop - at), next_stop = stop + p->rows->slab_rows;
    demarc_status next = DEMARC_OK;
    double work = 0.0;
#pragma omp parallel num_threads(p->rows->o.threads) reduction(+ : work)
    {
#pragma omp master
        if (stop < p->end) next = fetch(p, 1 - parity, stop, next_stop < p->end ? next_stop : p->end);
#pragma omp for schedule(dynamic) nowait
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t begin = at + b * DM_BLOCK_ROWS;
            if (p->rows->direct) expect_block(p, begin + rows_in(p->rows, AHEAD_BYTES), p->end);
            work += give_block(p, parity, at, begin, stop - begin < DM_BLOCK_ROWS ? stop - begin : DM_BLOCK_ROWS);
        }
    }
    p->work += work;
    if (p->failed != DEMARC_OK) dm_error_set(p->line);
    return p->failed != DEMARC_OK ? p->failed : next;
}

static demarc_status read_pass(dm_rows *rows, int64_t begin, int64_t end, dm_raw_fn fn, void *context)
{
    pass p;
    const double start = dm_clock();
    demarc_status st = pass_create(&p, rows, begin, end, fn, context);
    if (st != DEMARC_OK) return st;
    const int64_t row = rows->stored * rows->width, first = begin + rows_in(rows, AHEAD_BYTES);
    if (rows->direct) dm_customers_features_expect(rows->o.file, begin, first < end ? first : end);
    DM_TRY(fetch(&p, 0, begin, begin + rows->slab_rows < end ? begin + rows->slab_rows : end));
    int parity = 0;
    for (int64_t at = begin; at < end; at += rows->slab_rows, parity = 1 - parity) {
        const int64_t stop = at + rows->slab_rows < end ? at + rows->slab_rows : end;
        DM_TRY(dm_stop_look());
        DM_TRY(give_slab(&p, parity, at, stop));
        rows->bytes_read += (stop - at) * row;
        dm_log_progress(rows->o.log, p.keep ? "read" : "pass", stop - begin, end - begin, start);
    }
    if (p.keep) rows->have_raw = true;
cleanup:
    rows->read_seconds += fmax(dm_clock() - start - p.work / rows->o.threads, 0.0);
    pass_clear(&p);
    return st;
}

demarc_status dm_rows_raw_pass(dm_rows *rows, int64_t begin, int64_t end, dm_raw_fn fn, void *context)
{
    demarc_status st = load_weights(rows);
    if (st != DEMARC_OK || begin >= end) return st;
    if (!rows->have_raw) return read_pass(rows, begin, end, fn, context);
    const int64_t blocks = dm_block_count(end - begin);
#pragma omp parallel for schedule(dynamic) num_threads(rows->o.threads)
    for (int64_t b = 0; b < blocks; b++) {
        const dm_raw_block block = kept_block(rows, begin + b * DM_BLOCK_ROWS, end);
        fn(context, omp_get_thread_num(), &block);
    }
    return DEMARC_OK;
}

const uint8_t *dm_rows_flags(const dm_rows *rows, const uint8_t *log1p_of)
{
    for (int32_t f = 0; log1p_of != NULL && f < rows->d; f++) {
        if (log1p_of[f]) return log1p_of;
    }
    return NULL;
}

bool dm_rows_plain(const dm_rows *rows, const uint8_t *log1p_of) { return rows->o.column == NULL && log1p_of == NULL; }

double dm_rows_stored(const dm_rows *rows, const dm_raw_block *block, int64_t i)
{
    if (block->f32 != NULL) return (double)block->f32[i];
    if (block->f64 != NULL) return block->f64[i];
    double v = 0.0;
    rows->o.kernel->widen_f16(block->f16 + i, 1, &v);
    return v;
}

void dm_rows_convert(const dm_rows *rows, const dm_raw_block *block, int64_t from, int64_t count,
                     const uint8_t *log1p_of, double *out)
{
    const int32_t d = rows->d, stored = rows->stored;
    const int32_t *column = rows->o.column;
    for (int64_t r = 0; r < count; r++) {
        double *to = out + r * d;
        const int64_t row = (from + r) * stored;
        if (block->f16 != NULL && column == NULL) {
            rows->o.kernel->widen_f16(block->f16 + row, d, to);
        } else if (block->f16 != NULL) {
            for (int32_t f = 0; f < d; f++) to[f] = dm_rows_stored(rows, block, row + column[f]);
        } else if (block->f32 != NULL) {
            const float *v = block->f32 + row;
            for (int32_t f = 0; f < d; f++) to[f] = (double)v[column == NULL ? f : column[f]];
        } else {
            const double *v = block->f64 + row;
            for (int32_t f = 0; f < d; f++) to[f] = v[column == NULL ? f : column[f]];
        }
        if (log1p_of == NULL) continue;
        for (int32_t f = 0; f < d; f++) {
            if (log1p_of[f] && !isnan(to[f])) to[f] = to[f] > -1.0 ? log1p(to[f]) : -(double)INFINITY;
        }
    }
}

/* Scaling of raw blocks: context of scale_block. */
typedef struct dm_scaler {
    const dm_rows *rows;
    const uint8_t *log1p;
    double *factor; /* [d] factor / unit */
    double **tile;  /* per thread */
    float **block;  /* per thread, NULL when the shard is the target */
    dm_block_fn fn; /* of the pass under way */
    void *context;
} dm_scaler;

/* Rows [from, from + n) of a raw block to working space. */
static void scale_some(const dm_scaler *s, int thread, const dm_raw_block *raw, int64_t from, int64_t n, float *out)
{
    const dm_rows *rows = s->rows;
    const dmk_table *kernel = rows->o.kernel;
    const double *origin = rows->transform.origin;
    const int64_t d = rows->d;
    if (dm_rows_plain(rows, s->log1p)) {
        if (raw->f16 != NULL) kernel->scale_rows_f16(raw->f16 + from * d, n, d, origin, s->factor, out);
        if (raw->f32 != NULL) kernel->scale_rows_f32(raw->f32 + from * d, n, d, origin, s->factor, out);
        if (raw->f64 != NULL) kernel->scale_rows(raw->f64 + from * d, n, d, origin, s->factor, out);
        return;
    }
    for (int64_t at = 0; at < n; at += rows->tile_rows) {
        const int64_t some = n - at < rows->tile_rows ? n - at : rows->tile_rows;
        dm_rows_convert(rows, raw, from + at, some, s->log1p, s->tile[thread]);
        kernel->scale_rows(s->tile[thread], some, d, origin, s->factor, out + at * d);
    }
}

/* Into the shard: over the stored values where it keeps them, each of which is taken before it is overwritten. */
static void scale_into_shard(void *context, int thread, const dm_raw_block *raw)
{
    const dm_scaler *s = context;
    scale_some(s, thread, raw, 0, raw->rows, s->rows->shard + (raw->begin - s->rows->range.begin) * s->rows->d);
}

static void scale_and_give(void *context, int thread, const dm_raw_block *raw)
{
    const dm_scaler *s = context;
    scale_some(s, thread, raw, 0, raw->rows, s->block[thread]);
    s->fn(s->context, thread, raw->begin, raw->rows, s->block[thread], raw->w);
}

static void scaler_destroy(dm_scaler *s)
{
    if (s == NULL) return;
    for (int t = 0; t < s->rows->o.threads; t++) {
        if (s->tile != NULL) dm_free(s->tile[t]);
        if (s->block != NULL) dm_free(s->block[t]);
    }
    dm_free(s->tile);
    dm_free(s->block);
    dm_free(s->factor);
    free(s);
}

static demarc_status scaler_create(dm_scaler **out, const dm_rows *rows, bool blocks)
{
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &rows->transform;
    dm_scaler *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: scaling: free some memory");
    s->rows = rows;
    s->log1p = dm_rows_flags(rows, t->log1p);
    DM_TRY(dm_alloc(s->factor, rows->d, "scale factors"));
    for (int32_t f = 0; f < rows->d; f++) s->factor[f] = t->factor[f] / t->unit;
    DM_TRY(dm_alloc_zero(s->tile, rows->o.threads, "tiles"));
    if (blocks) DM_TRY(dm_alloc_zero(s->block, rows->o.threads, "blocks"));
    for (int i = 0; i < rows->o.threads; i++) {
        DM_TRY(dm_alloc(s->tile[i], rows->tile_rows * rows->d, "tile"));
        if (blocks) DM_TRY(dm_alloc(s->block[i], (int64_t)DM_BLOCK_ROWS * rows->d, "block"));
    }
    *out = s;
    s = NULL;
cleanup:
    scaler_destroy(s);
    return st;
}

demarc_status dm_rows_scale(dm_rows *rows, const dm_transform *t)
{
    demarc_status st = DEMARC_OK;
    const bool as_it_goes = rows->streamed || rows->keep_half;
    DM_TRY_ALL(rows->o.comm, dm_transform_create(&rows->transform, t->d));
    rows->transform.scale = t->scale;
    rows->transform.impute = t->impute;
    rows->transform.unit = t->unit;
    memcpy(rows->transform.log1p, t->log1p, (size_t)t->d);
    memcpy(rows->transform.center, t->center, (size_t)t->d * sizeof(double));
    memcpy(rows->transform.factor, t->factor, (size_t)t->d * sizeof(double));
    memcpy(rows->transform.origin, t->origin, (size_t)t->d * sizeof(double));
    DM_TRY_ALL(rows->o.comm, scaler_create(&rows->scaler, rows, as_it_goes));
    if (as_it_goes) return DEMARC_OK;
    DM_TRY_ALL(rows->o.comm, make_shard(rows));
    DM_TRY_ALL(rows->o.comm,
               dm_rows_raw_pass(rows, rows->range.begin, rows->range.end, scale_into_shard, rows->scaler));
    rows->have_raw = false;
    rows->have_scaled = true;
cleanup:
    if (rows->have_scaled || st != DEMARC_OK) {
        scaler_destroy(rows->scaler);
        rows->scaler = NULL;
    }
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
    rows->scaler->fn = fn;
    rows->scaler->context = context;
    return dm_rows_raw_pass(rows, begin, end, scale_and_give, rows->scaler);
}

demarc_status dm_rows_pass(dm_rows *rows, dm_block_fn fn, void *context)
{
    return dm_rows_pass_range(rows, rows->range.begin, rows->range.end, fn, context);
}

bool dm_rows_held(const dm_rows *rows) { return rows->have_scaled || (rows->have_raw && rows->scaler != NULL); }

demarc_status dm_rows_visit(dm_rows *rows, dm_visit_fn fn, void *context)
{
    const demarc_status st = load_weights(rows);
    if (st != DEMARC_OK) return st;
    const int64_t begin = rows->range.begin, end = rows->range.end, blocks = dm_block_count(end - begin);
#pragma omp parallel for schedule(dynamic) num_threads(rows->o.threads)
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t from = begin + b * DM_BLOCK_ROWS;
        fn(context, omp_get_thread_num(), from, end - from < DM_BLOCK_ROWS ? end - from : DM_BLOCK_ROWS);
    }
    return DEMARC_OK;
}

const float *dm_rows_at(const dm_rows *rows, int64_t begin)
{
    return rows->have_scaled ? rows->shard + (begin - rows->range.begin) * rows->d : NULL;
}

const float *dm_rows_weight(const dm_rows *rows, int64_t begin)
{
    return rows->weight == NULL ? NULL : rows->weight + (begin - rows->range.begin);
}

const float *dm_rows_block(const dm_rows *rows, int thread, int64_t begin, int64_t n)
{
    if (rows->have_scaled) return dm_rows_at(rows, begin);
    const dm_raw_block raw = kept_block(rows, begin, begin + n);
    scale_some(rows->scaler, thread, &raw, 0, n, rows->scaler->block[thread]);
    return rows->scaler->block[thread];
}

void dm_rows_pick(const dm_rows *rows, int thread, int64_t begin, const int32_t *index, int64_t count, float *x)
{
    const int64_t d = rows->d;
    if (rows->have_scaled) {
        for (int64_t i = 0; i < count; i++)
            memcpy(x + i * d, dm_rows_at(rows, begin + index[i]), (size_t)d * sizeof *x);
        return;
    }
    const dm_raw_block raw = kept_block(rows, begin, rows->range.end);
    for (int64_t i = 0; i < count; i++) scale_some(rows->scaler, thread, &raw, index[i], 1, x + i * d);
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
    if (rows->have_raw) {
        const dm_raw_block raw =
            raw_block(rows, rows->range.begin, rows->range.end - rows->range.begin, rows->half, NULL);
#pragma omp parallel for schedule(static) num_threads(rows->o.threads)
        for (int64_t i = 0; i < count; i++) {
            const int64_t local = row[i] - rows->range.begin;
            scale_some(rows->scaler, omp_get_thread_num(), &raw, local, 1, x + i * rows->d);
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
