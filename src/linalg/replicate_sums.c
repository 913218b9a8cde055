#include "linalg/replicate_sums.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdalign.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/memory.h"

#define DIGIT_BITS 13
#define CHUNK 128 /* replicates of one sgemm and */
#define PIECE 64  /* rows: their weights stay in a first-level cache, and OpenBLAS does not copy matrices that small */
#define LEAST_POWER (-900)   /* of a grid: the scale stays finite */
#define LOCKS 256            /* parts of the sums that threads add to one at a time */
#define QUEUE_LEAST 1024     /* rows that wait in a thread, */
#define QUEUE_MOST (1 << 20) /* at most, */
#define QUEUE_PER_CELL 1024  /* and where there is room: then half a queue is whole tiles, however they fall */

/* rint(2^16 P(X > k)) for X ~ Poisson(1), k = 0..7, as limits: constants, so that no library's last bit can change them. */
static const uint16_t limit[8] = {65536 - 41427, 65536 - 17317, 65536 - 5263, 65536 - 1244,
                                  65536 - 240,   65536 - 39,    65536 - 5,    65536 - 1};

_Static_assert(((DM_REPLICATE_ROWS * 8) << (DIGIT_BITS - 1)) <= 1 << 24, "a tile's sums are exact in single precision");

/* A value that is not always 0: y * scale is its integer, digits [first, first + digits) of a row hold it. */
typedef struct column {
    int32_t value, first, digits;
    double scale, unit;
} column;

/* Rows of one thread that wait for their tiles, and the buffers of a tile. */
typedef struct queue {
    alignas(64) int64_t count;
    int64_t *row;
    int32_t *cell;
    int16_t *digit; /* [capacity, width] */
    int32_t *order; /* positions by cell */
    int64_t *end;   /* [cells] */
    int64_t *rows;  /* of a tile: [DM_REPLICATE_ROWS] */
    float *values;  /* [width, DM_REPLICATE_ROWS] */
    float *weights; /* [PIECE, CHUNK] */
    float *product; /* [width, CHUNK] */
    double flops, sgemm_seconds, draw_seconds;
} queue;

struct dm_replicates {
    uint64_t seed;
    const dmk_table *kernel;
    int32_t replicates, cells, values, columns, width, threads;
    column *column;     /* [columns] */
    int32_t *column_of; /* [values], -1 = always 0 */
    int64_t capacity;   /* of a queue */
    int32_t window;     /* a multiple of DMK_COUNTS */
    int32_t first, next;
    int64_t *sum; /* [cells, columns, window] */
    queue *queue; /* [threads] */
    omp_lock_t lock[LOCKS];
};

int32_t dm_replicate_weight(uint64_t seed, int32_t replicate, int64_t row)
{
    const int32_t i = replicate % DMK_COUNTS;
    const uint64_t step = (uint64_t)(replicate / DMK_COUNTS * 8 + i % 16 / 2);
    const uint32_t word = dm_random(seed, DM_PURPOSE_BOOTSTRAP, step, (uint64_t)row).v[i / 32 * 2 + i % 2];
    const uint32_t u = i / 16 % 2 == 0 ? word & 0xffff : word >> 16;
    int32_t weight = 0;
    while (weight < 8 && u >= limit[weight]) weight++;
    return weight;
}

void dm_replicate_weights(const dmk_table *kernel, uint64_t seed, int32_t first, const int64_t *row, int64_t rows,
                          int64_t groups, float *out, int64_t ld)
{
    dmk_counts counts = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                         .fourth = (uint32_t)DM_PURPOSE_BOOTSTRAP << 16,
                         .step = (uint32_t)(first / DMK_COUNTS * 8)};
    memcpy(counts.limit, limit, sizeof limit);
    kernel->row_counts(&counts, row, rows, groups, out, ld);
}

static int32_t log2_up(int64_t n)
{
    int32_t bits = 0;
    while (bits < 62 && (INT64_C(1) << bits) < n) bits++;
    return bits;
}

/* The grid of each value; whole numbers of one digit are their own. */
static void choose_columns(dm_replicates *r, const dm_replicates_options *o)
{
    const int32_t most = 61 - log2_up(o->n_global), bits = most < DM_REPLICATE_BITS ? most : DM_REPLICATE_BITS;
    for (int32_t v = 0; v < o->values; v++) {
        r->column_of[v] = -1;
        if (!(o->bound[v] > 0.0)) continue;
        column *c = &r->column[r->columns];
        *c = (column){.value = v, .first = r->width, .digits = 1, .scale = 1.0, .unit = 1.0};
        if (o->whole == NULL || !o->whole[v] || o->bound[v] > 0x1p11) {
            int power = 0; /* bound <= 2^power */
            if (frexp(o->bound[v], &power) == 0.5) power--;
            if (power < LEAST_POWER) power = LEAST_POWER;
            c->scale = ldexp(1.0, bits - power);
            c->unit = ldexp(1.0, power - bits);
            while (DIGIT_BITS * c->digits - 1 < bits) c->digits++;
        }
        r->width += c->digits;
        r->column_of[v] = r->columns++;
    }
}

/*
 * Three quarters of the budget for the sums, the rest for the queues; both have a least size. The window depends on the
 * options alone that are equal on all ranks, not on the threads.
 */
static void choose_sizes(dm_replicates *r, const dm_replicates_options *o)
{
    const int64_t tile = 4 * (PIECE * CHUNK + (int64_t)DM_REPLICATE_ROWS * (2 + r->width) + (int64_t)r->width * CHUNK),
                  fits = (o->budget / 4 / o->threads - tile - 8 * (int64_t)o->cells) / (16 + 2 * r->width);
    int64_t want = (int64_t)QUEUE_PER_CELL * o->cells;
    if (want > QUEUE_MOST) want = QUEUE_MOST;
    if (want > 4 * o->n_global) want = 4 * o->n_global;
    if (want > fits) want = fits;
    r->capacity = want < QUEUE_LEAST ? QUEUE_LEAST : want;
    const int64_t all = ((int64_t)o->replicates + DMK_COUNTS - 1) / DMK_COUNTS,
                  each = 8 * DMK_COUNTS * (int64_t)o->cells * r->columns;
    int64_t groups = each == 0 ? all : o->budget / 4 * 3 / each;
    if (groups > all) groups = all;
    if (groups < 1) groups = 1;
    r->window = (int32_t)(groups * DMK_COUNTS);
}

static demarc_status queue_create(const dm_replicates *r, queue *q)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(q->row, r->capacity, "rows of replicates"));
    DM_TRY(dm_alloc(q->cell, r->capacity, "rows of replicates"));
    DM_TRY(dm_alloc(q->digit, r->capacity * r->width, "rows of replicates"));
    DM_TRY(dm_alloc(q->order, r->capacity, "rows of replicates"));
    DM_TRY(dm_alloc(q->end, r->cells, "cells of replicates"));
    DM_TRY(dm_alloc(q->rows, DM_REPLICATE_ROWS, "tile of replicates"));
    DM_TRY(dm_alloc(q->values, (int64_t)r->width * DM_REPLICATE_ROWS, "tile of replicates"));
    DM_TRY(dm_alloc(q->weights, PIECE * CHUNK, "tile of replicates"));
    DM_TRY(dm_alloc(q->product, (int64_t)r->width * CHUNK, "tile of replicates"));
cleanup:
    return st;
}

demarc_status dm_replicates_create(dm_replicates **out, const dm_replicates_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_replicates *r = NULL;
    *out = NULL;
    if (o->n_global > DM_REPLICATE_MOST_ROWS) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE, "too many rows for replicates: %lld: take a sample of at most 2^40",
                       (long long)o->n_global);
    }
    DM_TRY(dm_alloc_zero(r, 1, "replicates"));
    for (int i = 0; i < LOCKS; i++) omp_init_lock(&r->lock[i]);
    r->seed = o->seed;
    r->kernel = o->kernel != NULL ? o->kernel : dmk_variant(dmk_variant_find(NULL));
    r->replicates = o->replicates;
    r->cells = o->cells;
    r->values = o->values;
    r->threads = o->threads;
    DM_TRY(dm_alloc(r->column, o->values, "values of replicates"));
    DM_TRY(dm_alloc(r->column_of, o->values, "values of replicates"));
    choose_columns(r, o);
    choose_sizes(r, o);
    DM_TRY(dm_alloc(r->sum, (int64_t)r->cells * r->columns * r->window, "sums of replicates"));
    DM_TRY(dm_alloc_zero(r->queue, r->threads, "queues of replicates"));
    for (int t = 0; t < r->threads; t++) DM_TRY(queue_create(r, &r->queue[t]));
    *out = r;
cleanup:
    if (st != DEMARC_OK) dm_replicates_destroy(&r);
    return st;
}

void dm_replicates_destroy(dm_replicates **handle)
{
    dm_replicates *r = *handle;
    if (r == NULL) return;
    for (int t = 0; r->queue != NULL && t < r->threads; t++) {
        const queue *q = &r->queue[t];
        void *const all[] = {q->row, q->cell, q->digit, q->order, q->end, q->rows, q->values, q->weights, q->product};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) dm_free(all[i]);
    }
    for (int i = 0; i < LOCKS; i++) omp_destroy_lock(&r->lock[i]);
    dm_free(r->queue);
    dm_free(r->sum);
    dm_free(r->column);
    dm_free(r->column_of);
    dm_free(r);
    *handle = NULL;
}

bool dm_replicates_next(dm_replicates *r, int32_t *first, int32_t *count)
{
    if (r->next >= r->replicates) return false;
    const int32_t left = r->replicates - r->next;
    *first = r->first = r->next;
    *count = left < r->window ? left : r->window;
    r->next += *count;
    memset(r->sum, 0, (size_t)r->cells * (size_t)r->columns * (size_t)r->window * sizeof *r->sum);
    return true;
}

/* Replicates of the present window, up to a whole number of counters. */
static int32_t replicates_drawn(const dm_replicates *r)
{
    return (r->next - r->first + DMK_COUNTS - 1) / DMK_COUNTS * DMK_COUNTS;
}

/* The digits of product [width, n] into the sums of a cell, replicates [at, at + n) of the window. */
static void add_product(dm_replicates *r, const queue *q, int32_t cell, int32_t at, int32_t n)
{
    omp_lock_t *lock = &r->lock[((uint32_t)cell * 31 + (uint32_t)(at / CHUNK)) % LOCKS];
    omp_set_lock(lock);
    for (int32_t c = 0; c < r->columns; c++) {
        int64_t *sum = r->sum + ((int64_t)cell * r->columns + c) * r->window + at;
        r->kernel->add_pieces(q->product + (int64_t)r->column[c].first * n, n, n, r->column[c].digits, DIGIT_BITS, sum);
    }
    omp_unset_lock(lock);
}

/* product [width, n] = values of the tile [width, rows] times their weights in replicates [first, first + n). */
static void multiply(const dm_replicates *r, queue *q, int32_t rows, int32_t first, int32_t n)
{
    double before = dm_clock();
    for (int32_t at = 0; at < rows; at += PIECE) {
        const int32_t some = rows - at < PIECE ? rows - at : PIECE;
        dm_replicate_weights(r->kernel, r->seed, first, q->rows + at, some, n / DMK_COUNTS, q->weights, n);
        const double drawn = dm_clock();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r->width, n, some, 1.0f, q->values + at, rows,
                    q->weights, n, at == 0 ? 0.0f : 1.0f, q->product, n);
        const double multiplied = dm_clock();
        q->draw_seconds += drawn - before;
        q->sgemm_seconds += multiplied - drawn;
        before = multiplied;
    }
    q->flops += 2.0 * r->width * n * rows;
}

/* The rows at order[0, rows) of the queue, all of one cell. */
static void work_tile(dm_replicates *r, int thread, int32_t cell, const int32_t *order, int32_t rows)
{
    queue *q = &r->queue[thread];
    for (int32_t i = 0; i < rows; i++) {
        const int16_t *digit = q->digit + (int64_t)order[i] * r->width;
        q->rows[i] = q->row[order[i]];
        for (int32_t l = 0; l < r->width; l++) q->values[l * rows + i] = digit[l];
    }
    const int32_t all = replicates_drawn(r), chunks = (all + CHUNK - 1) / CHUNK;
    for (int32_t i = 0; i < chunks; i++) { /* each thread from another chunk on, so that they do not meet at the lock */
        const int32_t at = (i + thread) % chunks * CHUNK, n = all - at < CHUNK ? all - at : CHUNK;
        multiply(r, q, rows, r->first + at, n);
        add_product(r, q, cell, at, n);
    }
}

/* Positions by cell, in the order they came. */
static void sort_queue(const dm_replicates *r, queue *q)
{
    memset(q->end, 0, (size_t)r->cells * sizeof *q->end);
    for (int64_t i = 0; i < q->count; i++) q->end[q->cell[i]]++;
    int64_t begin = 0;
    for (int32_t c = 0; c < r->cells; c++) {
        const int64_t n = q->end[c];
        q->end[c] = begin;
        begin += n;
    }
    for (int64_t i = 0; i < q->count; i++) q->order[q->end[q->cell[i]]++] = (int32_t)i;
}

/* Rows that are not in a whole tile. */
static int64_t left_over(const dm_replicates *r, const queue *q)
{
    int64_t begin = 0, left = 0;
    for (int32_t c = 0; c < r->cells; c++) {
        left += (q->end[c] - begin) % DM_REPLICATE_ROWS;
        begin = q->end[c];
    }
    return left;
}

/* Keep the rows that no tile took: the first end[cell] of each cell are done. */
static void compact(const dm_replicates *r, queue *q)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < q->count; i++) {
        const int32_t cell = q->cell[i];
        if (q->end[cell] > 0) {
            q->end[cell]--;
            continue;
        }
        q->row[kept] = q->row[i];
        q->cell[kept] = cell;
        memmove(q->digit + kept * r->width, q->digit + i * r->width, (size_t)r->width * sizeof *q->digit);
        kept++;
    }
    q->count = kept;
}

/* Whole tiles are worked off, or all rows where the rest would leave too little room. */
static void drain(dm_replicates *r, int thread, bool all)
{
    queue *q = &r->queue[thread];
    sort_queue(r, q);
    if (left_over(r, q) > r->capacity / 2) all = true;
    int64_t begin = 0;
    for (int32_t c = 0; c < r->cells; c++) {
        const int64_t end = q->end[c], n = all ? end - begin : (end - begin) / DM_REPLICATE_ROWS * DM_REPLICATE_ROWS;
        for (int64_t at = 0; at < n; at += DM_REPLICATE_ROWS) {
            const int64_t rows = n - at < DM_REPLICATE_ROWS ? n - at : DM_REPLICATE_ROWS;
            work_tile(r, thread, c, q->order + begin + at, (int32_t)rows);
        }
        q->end[c] = n;
        begin = end;
    }
    if (all) {
        q->count = 0;
    } else {
        compact(r, q);
    }
}

void dm_replicates_add(dm_replicates *r, int thread, int64_t row, int32_t cell, const double *y)
{
    if (r->columns == 0) return;
    queue *q = &r->queue[thread];
    const int64_t at = q->count++;
    int16_t *digit = q->digit + at * r->width;
    q->row[at] = row;
    q->cell[at] = cell;
    for (int32_t c = 0; c < r->columns; c++) {
        const column *k = &r->column[c];
        int64_t left = llrint(y[k->value] * k->scale);
        assert(fabs(y[k->value] * k->scale) <= 0x1p36);
        for (int32_t l = 0; l < k->digits; l++) { /* digits in [-2^12, 2^12), the last one up to 2^12 */
            const int64_t half = INT64_C(1) << (DIGIT_BITS - 1);
            const int64_t low = l + 1 < k->digits ? ((left + half) & (2 * half - 1)) - half : left;
            digit[k->first + l] = (int16_t)low;
            left = (left - low) >> DIGIT_BITS;
        }
    }
    if (q->count == r->capacity) drain(r, thread, false);
}

demarc_status dm_replicates_reduce(dm_replicates *r, dm_comm *comm)
{
#pragma omp parallel for schedule(static, 1) num_threads(r->threads)
    for (int t = 0; t < r->threads; t++) drain(r, t, true);
    dm_comm_sum_i64(comm, r->sum, (int64_t)r->cells * r->columns * r->window);
    return DEMARC_OK;
}

/* The window's sums of one cell and column are packed without the room behind them. */
void dm_replicates_gather(dm_replicates *r, dm_comm *comm, dm_packer *p)
{
    const int64_t rows = (int64_t)r->cells * r->columns, count = r->next - r->first;
    (void)dm_replicates_reduce(r, comm);
    if (dm_comm_rank(comm) == 0) {
        dm_packer_room(p, rows * count * (int64_t)sizeof *r->sum);
        for (int64_t i = 0; i < rows; i++) dm_pack(p, r->sum + i * r->window, count * (int64_t)sizeof *r->sum);
    } else {
        memset(r->sum, 0, (size_t)(rows * r->window) * sizeof *r->sum);
    }
}

void dm_replicates_restore(dm_replicates *r, dm_unpacker *u)
{
    const int64_t rows = (int64_t)r->cells * r->columns, count = r->next - r->first;
    for (int64_t i = 0; i < rows; i++) (void)dm_unpack(u, r->sum + i * r->window, count * (int64_t)sizeof *r->sum);
}

void dm_replicates_skip(dm_replicates *r, int32_t done) { r->next = done; }

double dm_replicates_sum(const dm_replicates *r, int32_t cell, int32_t value, int32_t i)
{
    const int32_t c = r->column_of[value];
    if (c < 0) return 0.0;
    return (double)r->sum[((int64_t)cell * r->columns + c) * r->window + i] * r->column[c].unit;
}

void dm_replicates_work(const dm_replicates *r, double *flops, double *sgemm_seconds, double *draw_seconds)
{
    *flops = *sgemm_seconds = *draw_seconds = 0.0;
    for (int t = 0; t < r->threads; t++) {
        *flops += r->queue[t].flops;
        *sgemm_seconds += r->queue[t].sgemm_seconds;
        *draw_seconds += r->queue[t].draw_seconds;
    }
}
