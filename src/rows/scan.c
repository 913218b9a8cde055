/*
 * Column moments and the audit of bad values, in one pass over the stored values.
 *
 * Within a block sums run in row order in double around a shift (the median of the first rows), so a column of Unix
 * times keeps its variance; block sums are added exactly. Mean and variance therefore have the same bits on any layout.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rows/rows_private.h"
#include "stats/digest.h"

#define PILOT_ROWS 1024
#define SQUARE_LEAST 0x1p-960 /* sums of squares below it have lost bits to underflow */

/* Per-thread state of the scan. */
typedef struct scan_part {
    double *tile;      /* [tile_rows, d] */
    double *block;     /* [6, d]: weight, first, second, low, high, bad of one block */
    dm_exact_sum *sum; /* [3, d]: weight, first, second */
    dm_exact_sum total_weight;
    double *low, *high;                                   /* [d] */
    int64_t *missing, *infinite, *outside;                /* [d] */
    int64_t *lost;                                        /* [2, d] blocks whose first or second sum overflowed */
    int64_t first_missing, first_infinite, first_outside; /* row * d + column, or INT64_MAX */
    int64_t positive;
    double weight_high;
    dm_digest digest;
} scan_part;

typedef struct scanner {
    dm_rows *rows;
    const uint8_t *log1p;
    double *shift;
    scan_part *part;
} scanner;

static int64_t lower(int64_t a, int64_t b) { return a < b ? a : b; }

/* The slow look at a tile that holds bad values: what kind, where first. */
static void audit_tile(const scanner *s, scan_part *p, const dm_raw_block *block, int64_t at, int64_t n)
{
    const int32_t d = s->rows->d;
    for (int64_t r = 0; r < n; r++) {
        for (int32_t f = 0; f < d; f++) {
            const double v = p->tile[r * d + f];
            if (isfinite(v)) continue;
            const int32_t c = s->rows->o.column == NULL ? f : s->rows->o.column[f];
            const int64_t i = (at + r) * s->rows->stored + c;
            const double stored = dm_rows_stored(s->rows, block, i);
            const int64_t place = (block->begin + at + r) * d + f;
            if (isnan(stored)) {
                p->missing[f]++;
                p->first_missing = lower(p->first_missing, place);
            } else if (isinf(stored)) {
                p->infinite[f]++;
                p->first_infinite = lower(p->first_infinite, place);
            } else {
                p->outside[f]++;
                p->first_outside = lower(p->first_outside, place);
            }
        }
    }
}

static void scan_block(void *context, int thread, const dm_raw_block *block)
{
    const scanner *s = context;
    scan_part *p = &s->part[thread];
    const int64_t d = s->rows->d;
    dmk_moments m = {p->block, p->block + d, p->block + 2 * d, p->block + 3 * d, p->block + 4 * d, p->block + 5 * d};
    memset(p->block, 0, (size_t)(6 * d) * sizeof *p->block);
    for (int64_t f = 0; f < d; f++) {
        m.low[f] = INFINITY;
        m.high[f] = -INFINITY;
    }
    const dmk_table *kernel = s->rows->o.kernel;
    const bool plain = dm_rows_plain(s->rows, s->log1p);
    double bad = 0.0;
    for (int64_t at = 0; at < block->rows; at += s->rows->tile_rows) {
        const int64_t n = lower(block->rows - at, s->rows->tile_rows);
        const float *w = block->w == NULL ? NULL : block->w + at;
        if (plain && block->f16 != NULL) {
            kernel->add_moments_f16(block->f16 + at * d, w, n, d, s->shift, &m);
        } else if (plain && block->f32 != NULL) {
            kernel->add_moments_f32(block->f32 + at * d, w, n, d, s->shift, &m);
        } else if (plain) {
            kernel->add_moments(block->f64 + at * d, w, n, d, s->shift, &m);
        } else {
            dm_rows_convert(s->rows, block, at, n, s->log1p, p->tile);
            kernel->add_moments(p->tile, w, n, d, s->shift, &m);
        }
        double now = 0.0;
        for (int64_t f = 0; f < d; f++) now += m.bad[f];
        if (now > bad) {
            if (plain) dm_rows_convert(s->rows, block, at, n, s->log1p, p->tile);
            audit_tile(s, p, block, at, n);
        }
        bad = now;
    }
    for (int64_t f = 0; f < d; f++) {
        dm_exact_sum_add(&p->sum[f], m.weight[f]);
        dm_exact_sum_add(&p->sum[d + f], m.first[f]);
        dm_exact_sum_add(&p->sum[2 * d + f], m.second[f]);
        p->lost[f] += !isfinite(m.first[f]);
        p->lost[d + f] += !isfinite(m.second[f]);
        p->low[f] = fmin(p->low[f], m.low[f]);
        p->high[f] = fmax(p->high[f], m.high[f]);
    }
    double weight = 0.0;
    for (int64_t r = 0; r < block->rows; r++) {
        const double w = block->w == NULL ? 1.0 : (double)block->w[r];
        weight += w;
        if (w > 0.0) p->positive++;
        p->weight_high = fmax(p->weight_high, w);
    }
    dm_exact_sum_add(&p->total_weight, weight);
    const uint64_t index = (uint64_t)(block->begin / DM_BLOCK_ROWS);
    const size_t bytes = (size_t)(block->rows * s->rows->stored * s->rows->width);
    const void *stored = block->f16 != NULL   ? (const void *)block->f16
                         : block->f32 != NULL ? (const void *)block->f32
                                              : (const void *)block->f64;
    dm_digest_add(&p->digest, index, stored, bytes);
    if (block->w != NULL) dm_digest_add(&p->digest, ~index, block->w, (size_t)block->rows * sizeof(float));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* First row of positive weight over all ranks; 0 without weights, n when there is none. Collective. */
static demarc_status first_weighted_row(dm_rows *rows, int64_t *first)
{
    demarc_status st = DEMARC_OK;
    float *w = NULL;
    *first = rows->weighted ? rows->n : 0;
    if (!rows->weighted) return DEMARC_OK;
    st = dm_alloc(w, DM_BLOCK_ROWS, "weights");
    for (int64_t at = rows->range.begin; at < rows->range.end && *first == rows->n && st == DEMARC_OK;
         at += DM_BLOCK_ROWS) {
        const int64_t stop = lower(at + DM_BLOCK_ROWS, rows->range.end);
        st = dm_customers_weight(rows->o.file, at, stop, w);
        for (int64_t r = 0; r < stop - at && st == DEMARC_OK && *first == rows->n; r++) {
            if (w[r] > 0.0f) *first = at + r;
        }
    }
    st = dm_comm_agree(rows->o.comm, st);
    if (st == DEMARC_OK) dm_comm_min_i64(rows->o.comm, first, 1);
    dm_free(w);
    return st;
}

/* Finite values of column f among the pilot rows of positive weight, sorted; returns their number. */
static int64_t pilot_values(const dm_rows *rows, const double *used, const float *w, int64_t n, int32_t f,
                            double *column)
{
    int64_t count = 0;
    for (int64_t r = 0; r < n; r++) {
        const double v = used[r * rows->d + f];
        if (isfinite(v) && (w == NULL || w[r] > 0.0f)) column[count++] = v;
    }
    qsort(column, (size_t)count, sizeof *column, by_value);
    return count;
}

/*
 * Median of the finite values of the first rows that count, by column; 0 where there are none. Every rank reads the same
 * rows itself. Rows of weight 0 have no say: a shift far from the others would cost the variance its digits.
 */
static demarc_status pilot_shift(dm_rows *rows, const uint8_t *log1p_of, int64_t first, double *shift)
{
    demarc_status st = DEMARC_OK;
    const int64_t begin = first < rows->n ? first : 0, n = lower(rows->n - begin, PILOT_ROWS);
    double *stored = NULL, *used = NULL, *column = NULL;
    float *w = NULL;
    DM_TRY(dm_alloc(stored, n * rows->stored, "first rows"));
    DM_TRY(dm_alloc(used, n * rows->d, "first rows"));
    DM_TRY(dm_alloc(column, n, "first rows"));
    if (rows->weighted) {
        DM_TRY(dm_alloc(w, n, "first rows"));
        DM_TRY(dm_customers_weight(rows->o.file, begin, begin + n, w));
    }
    DM_TRY(dm_customers_features_f64(rows->o.file, begin, begin + n, stored));
    const dm_raw_block block = {.begin = begin, .rows = n, .f64 = stored};
    dm_rows_convert(rows, &block, 0, n, log1p_of, used);
    for (int32_t f = 0; f < rows->d; f++) {
        const int64_t count = pilot_values(rows, used, w, n, f, column);
        shift[f] = count == 0 ? 0.0 : column[count / 2];
    }
cleanup:
    dm_free(stored);
    dm_free(used);
    dm_free(column);
    dm_free(w);
    return st;
}

static void part_destroy(scan_part *p)
{
    dm_free(p->tile);
    dm_free(p->block);
    dm_free(p->sum);
    dm_free(p->low);
    dm_free(p->high);
    dm_free(p->missing);
    dm_free(p->infinite);
    dm_free(p->outside);
    dm_free(p->lost);
}

static demarc_status part_create(scan_part *p, const dm_rows *rows)
{
    demarc_status st = DEMARC_OK;
    const int64_t d = rows->d;
    *p = (scan_part){.first_missing = INT64_MAX, .first_infinite = INT64_MAX, .first_outside = INT64_MAX};
    DM_TRY(dm_alloc(p->tile, rows->tile_rows * d, "scan"));
    DM_TRY(dm_alloc(p->block, 6 * d, "scan"));
    DM_TRY(dm_alloc_zero(p->sum, 3 * d, "scan"));
    DM_TRY(dm_alloc(p->low, d, "scan"));
    DM_TRY(dm_alloc(p->high, d, "scan"));
    DM_TRY(dm_alloc_zero(p->missing, d, "scan"));
    DM_TRY(dm_alloc_zero(p->infinite, d, "scan"));
    DM_TRY(dm_alloc_zero(p->outside, d, "scan"));
    DM_TRY(dm_alloc_zero(p->lost, 2 * d, "scan"));
    for (int64_t f = 0; f < d; f++) {
        p->low[f] = INFINITY;
        p->high[f] = -INFINITY;
    }
cleanup:
    return st;
}

static void part_merge(scan_part *to, const scan_part *from, int64_t d)
{
    for (int64_t i = 0; i < 3 * d; i++) dm_exact_sum_merge(&to->sum[i], &from->sum[i]);
    dm_exact_sum_merge(&to->total_weight, &from->total_weight);
    for (int64_t f = 0; f < d; f++) {
        to->low[f] = fmin(to->low[f], from->low[f]);
        to->high[f] = fmax(to->high[f], from->high[f]);
        to->missing[f] += from->missing[f];
        to->infinite[f] += from->infinite[f];
        to->outside[f] += from->outside[f];
    }
    for (int64_t i = 0; i < 2 * d; i++) to->lost[i] += from->lost[i];
    to->first_missing = lower(to->first_missing, from->first_missing);
    to->first_infinite = lower(to->first_infinite, from->first_infinite);
    to->first_outside = lower(to->first_outside, from->first_outside);
    to->positive += from->positive;
    to->weight_high = fmax(to->weight_high, from->weight_high);
    dm_digest_merge(&to->digest, &from->digest);
}

static void part_reduce(dm_comm *comm, scan_part *p, int64_t d)
{
    dm_comm_sum_exact(comm, p->sum, 3 * d);
    dm_comm_sum_exact(comm, &p->total_weight, 1);
    dm_comm_min_f64(comm, p->low, d);
    dm_comm_max_f64(comm, p->high, d);
    dm_comm_sum_i64(comm, p->missing, d);
    dm_comm_sum_i64(comm, p->infinite, d);
    dm_comm_sum_i64(comm, p->outside, d);
    dm_comm_sum_i64(comm, p->lost, 2 * d);
    int64_t first[3] = {p->first_missing, p->first_infinite, p->first_outside};
    dm_comm_min_i64(comm, first, 3);
    p->first_missing = first[0];
    p->first_infinite = first[1];
    p->first_outside = first[2];
    dm_comm_sum_i64(comm, &p->positive, 1);
    dm_comm_max_f64(comm, &p->weight_high, 1);
    dm_comm_sum_i64(comm, &p->digest.low, 1);
    dm_comm_sum_i64(comm, &p->digest.high, 1);
}

static void set_first(int64_t place, int32_t d, int64_t *row, int32_t *column)
{
    *row = place == INT64_MAX ? -1 : place / d;
    *column = place == INT64_MAX ? -1 : (int32_t)(place % d);
}

/*
 * Population variance from the mean deviation and the mean squared one. Infinite where squares overflow; NaN where they
 * are so small that too few of their bits are left, for squares of doubles end at 2^-1074.
 */
static double variance_of(double first, double second, double total, double range, double weight_high)
{
    if (!(range > 0.0)) return 0.0;
    if (!isfinite(second) || !isfinite(first * first)) return INFINITY;
    const double most = range * range;
    const bool small = most < SQUARE_LEAST || most * weight_high < SQUARE_LEAST;
    if (small && (second < SQUARE_LEAST || total < SQUARE_LEAST)) return NAN;
    return fmax(second - first * first, 0.0);
}

static demarc_status fill_scan(dm_scan *scan, const dm_rows *rows, const scan_part *p, const double *shift)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = rows->d;
    *scan = (dm_scan){.d = d, .n = rows->n, .weight_high = rows->weighted ? p->weight_high : 1.0};
    DM_TRY(dm_alloc(scan->count, d, "scan"));
    DM_TRY(dm_alloc(scan->missing, d, "scan"));
    DM_TRY(dm_alloc(scan->infinite, d, "scan"));
    DM_TRY(dm_alloc(scan->outside, d, "scan"));
    DM_TRY(dm_alloc(scan->weight, d, "scan"));
    DM_TRY(dm_alloc(scan->low, d, "scan"));
    DM_TRY(dm_alloc(scan->high, d, "scan"));
    DM_TRY(dm_alloc(scan->mean, d, "scan"));
    DM_TRY(dm_alloc(scan->variance, d, "scan"));
    for (int32_t f = 0; f < d; f++) {
        scan->missing[f] = p->missing[f];
        scan->infinite[f] = p->infinite[f];
        scan->outside[f] = p->outside[f];
        scan->count[f] = rows->n - p->missing[f] - p->infinite[f] - p->outside[f];
        scan->weight[f] = dm_exact_sum_value(&p->sum[f]);
        scan->low[f] = p->low[f];
        scan->high[f] = p->high[f];
        const double first = dm_exact_sum_value(&p->sum[d + f]) / scan->weight[f];
        const double squares = dm_exact_sum_value(&p->sum[2 * (int64_t)d + f]);
        const double second = p->lost[d + f] > 0 ? (double)INFINITY : squares / scan->weight[f];
        scan->mean[f] = p->lost[f] > 0 ? (double)NAN : shift[f] + first;
        scan->variance[f] = variance_of(first, second, squares, scan->high[f] - scan->low[f], scan->weight_high);
    }
    scan->total_weight = dm_exact_sum_value(&p->total_weight);
    scan->positive = p->positive;
    set_first(p->first_missing, d, &scan->first_missing_row, &scan->first_missing_column);
    set_first(p->first_infinite, d, &scan->first_infinite_row, &scan->first_infinite_column);
    set_first(p->first_outside, d, &scan->first_outside_row, &scan->first_outside_column);
    dm_digest_hex(&p->digest, scan->digest);
cleanup:
    return st;
}

demarc_status dm_rows_scan(dm_rows *rows, const uint8_t *log1p_of, dm_scan *scan)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = rows->o.comm;
    scanner s = {.rows = rows, .log1p = dm_rows_flags(rows, log1p_of)};
    int64_t first = 0;
    *scan = (dm_scan){0};
    DM_TRY(first_weighted_row(rows, &first));
    st = dm_alloc(s.shift, rows->d, "scan");
    if (st == DEMARC_OK) st = dm_alloc_zero(s.part, rows->o.threads, "scan");
    for (int t = 0; t < rows->o.threads && st == DEMARC_OK; t++) st = part_create(&s.part[t], rows);
    if (st == DEMARC_OK) st = pilot_shift(rows, log1p_of, first, s.shift);
    DM_TRY_ALL(comm, st);
    DM_TRY_ALL(comm, dm_rows_raw_pass(rows, rows->range.begin, rows->range.end, scan_block, &s));
    for (int t = 1; t < rows->o.threads; t++) part_merge(&s.part[0], &s.part[t], rows->d);
    part_reduce(comm, &s.part[0], rows->d);
    DM_TRY_ALL(comm, fill_scan(scan, rows, &s.part[0], s.shift));
cleanup:
    for (int t = 0; t < rows->o.threads && s.part != NULL; t++) part_destroy(&s.part[t]);
    dm_free(s.part);
    dm_free(s.shift);
    if (st != DEMARC_OK) dm_scan_destroy(scan);
    return st;
}

void dm_scan_destroy(dm_scan *scan)
{
    dm_free(scan->count);
    dm_free(scan->missing);
    dm_free(scan->infinite);
    dm_free(scan->outside);
    dm_free(scan->weight);
    dm_free(scan->low);
    dm_free(scan->high);
    dm_free(scan->mean);
    dm_free(scan->variance);
    *scan = (dm_scan){0};
}
