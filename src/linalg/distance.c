#include "linalg/distance.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define UNIT 0x1p-24        /* unit roundoff of float */
#define TILE_BYTES 262144   /* of g: stays in a core's second-level cache beside the rows */
#define NORM_LIMIT 0x1p50f  /* beyond it single precision could overflow */
#define SEARCH_BYTES 32768  /* of rows searched at a time: most of a core's first-level cache, */
#define MANY_BYTES 8192     /* less where many centroids pass through it, too */
#define FUSED_FLOATS 262144 /* packed centroids up to a MiB stream from the second-level cache; more is sgemm's */

demarc_status dm_centers_create(dm_centers *c, int32_t capacity, int32_t d)
{
    demarc_status st = DEMARC_OK;
    *c = (dm_centers){.capacity = capacity, .d = d};
    const int64_t kd = (int64_t)capacity * d;
    DM_TRY(dm_alloc(c->c, kd, "centroids"));
    DM_TRY(dm_alloc(c->b, capacity, "offsets"));
    DM_TRY(dm_alloc(c->single, kd, "centroids"));
    DM_TRY(dm_alloc(c->h, capacity, "centroid norms"));
    DM_TRY(dm_alloc(c->norm, capacity, "centroid norms"));
    DM_TRY(dm_alloc(c->packed, dmk_packed_floats(capacity, d), "centroids"));
    DM_TRY(dm_alloc(c->packed_h, dmk_packed_centroids(capacity), "centroid norms"));
cleanup:
    if (st != DEMARC_OK) dm_centers_destroy(c);
    return st;
}

void dm_centers_destroy(dm_centers *c)
{
    dm_free(c->c);
    dm_free(c->b);
    dm_free(c->single);
    dm_free(c->h);
    dm_free(c->norm);
    dm_free(c->packed);
    dm_free(c->packed_h);
    *c = (dm_centers){0};
}

/* kernels/dmk.h says how. */
static void pack(dm_centers *c)
{
    const int64_t d = c->d, k = c->k, padded = dmk_packed_centroids(k);
    memset(c->packed, 0, (size_t)dmk_packed_floats(k, d) * sizeof *c->packed);
    for (int64_t j = 0; j < padded; j++) c->packed_h[j] = j < k ? c->h[j] : INFINITY;
    for (int64_t j = 0; j < k; j++) {
        const float *from = c->single + j * d;
        if (k <= 8) {
            for (int64_t f = 0; f < d; f++) c->packed[f / 2 * 16 + 2 * j + f % 2] = from[f];
        } else {
            for (int64_t f = 0; f < d; f++) c->packed[(j / 16 * d + f) * 16 + j % 16] = from[f];
        }
    }
}

/* True where the bound says nothing: products may overflow, or so many features that gamma_d is useless. */
static bool unbounded(const dm_centers *c)
{
    return !(c->norm_max < (double)NORM_LIMIT) || !(c->b_max < 0x1p100) || (double)c->d * UNIT > 0.01;
}

/* Twice error_bound() with the largest norms, as a polynomial in ||x||, rounded up by 1% for its own arithmetic. */
static void set_targets(dm_centers *c)
{
    const double d = (double)c->d, single = 1.02 * UNIT * (d + 3.0);
    c->targets = (dmk_targets){
        .k = c->k,
        .d = c->d,
        .packed = c->packed,
        .h = c->packed_h,
        .linear = (float)(2.02 * single * 1.001 * c->norm_max),
        .constant = (float)(2.02 * (single * c->h_max + (d + 3.0) * (double)FLT_MIN + (d + 16.0) * 0x1p-52 * c->b_max)),
        .square = (float)(2.02 * 1.003 * (d + 16.0) * 0x1p-52),
        .reach = (float)(c->norm_max * 1.000001),
        .norm_limit = unbounded(c) ? 0.0f : NORM_LIMIT}; /* 0: no row is certain */
}

void dm_centers_set(dm_centers *c, int32_t k, const double *centroids, const double *offsets)
{
    c->k = k;
    c->norm_max = c->h_max = c->b_max = 0.0;
    memcpy(c->c, centroids, (size_t)k * (size_t)c->d * sizeof *c->c);
    for (int32_t j = 0; j < k; j++) {
        double norm2 = 0.0;
        for (int32_t f = 0; f < c->d; f++) {
            double v = c->c[(int64_t)j * c->d + f];
            c->single[(int64_t)j * c->d + f] = (float)v;
            norm2 += v * v;
        }
        c->b[j] = offsets == NULL ? 0.0 : offsets[j];
        double h = 0.5 * (norm2 - c->b[j]), norm = sqrt(norm2);
        c->h[j] = (float)h;
        c->norm[j] = (float)(norm * 1.000001) + FLT_MIN;
        c->norm_max = fmax(c->norm_max, norm);
        c->h_max = fmax(c->h_max, fabs(h));
        c->b_max = fmax(c->b_max, fabs(c->b[j]));
    }
    pack(c);
    set_targets(c);
}

demarc_status dm_tile_create(dm_tile *t, int32_t k)
{
    demarc_status st = DEMARC_OK;
    int64_t rows = TILE_BYTES / 4 / k / 64 * 64;
    *t = (dm_tile){.rows = rows < 64 ? 64 : rows > 1024 ? 1024 : rows, .ahead = INT64_MAX};
    DM_TRY(dm_alloc(t->g, t->rows * k, "distance tile"));
    DM_TRY(dm_alloc(t->best, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->second, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->norm, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->flag, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->open, t->rows / 16, "distance tile"));
    DM_TRY(dm_alloc(t->scratch,
                    DMK_NEAREST_SCRATCH(k < DMK_NEAREST_CENTROIDS ? k : DMK_NEAREST_CENTROIDS, DMK_NEAREST_FEATURES),
                    "distance tile"));
cleanup:
    if (st != DEMARC_OK) dm_tile_destroy(t);
    return st;
}

void dm_tile_destroy(dm_tile *t)
{
    dm_free(t->g);
    dm_free(t->best);
    dm_free(t->second);
    dm_free(t->norm);
    dm_free(t->flag);
    dm_free(t->open);
    dm_free(t->scratch);
    *t = (dm_tile){0};
}

/* The bound of the header for a row of norm `x_norm` (an estimate, inflated here) against norms c and h. */
static double error_bound(const dm_centers *c, double x_norm, double c_norm, double h)
{
    const double d = (double)c->d;
    const double single = 1.02 * UNIT * (d + 3.0) * (1.001 * x_norm * c_norm + h) + (d + 3.0) * (double)FLT_MIN;
    const double reach = 1.001 * x_norm + c->norm_max;
    return single + (d + 16.0) * 0x1p-52 * (reach * reach + c->b_max);
}

static bool beyond_bound(const dm_centers *c, float x_norm) { return !(x_norm < NORM_LIMIT) || unbounded(c); }

static bool is_fused(const dmk_table *kernel, const dm_centers *c)
{
    return kernel->nearest != NULL && c->k <= DMK_NEAREST_CENTROIDS && c->d <= DMK_NEAREST_FEATURES &&
           dmk_packed_floats(c->k, c->d) <= FUSED_FLOATS;
}

/* Products of rows [0, rows) of x with all centroids, rows <= t->rows, and the rows' norms. */
static void tile_products(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, c->k, (int)rows, c->d, 1.0f, c->single, c->d, x, c->d, 0.0f,
                t->g, (int)rows);
    kernel->row_norms(x, rows, c->d, t->norm);
}

/* Keeps the best and the second best of (q, j) pairs that arrive in order of j. */
typedef struct two_best {
    double q1, q2, squared1;
    int32_t j1, j2;
} two_best;

static void offer(two_best *t, int32_t j, double squared, double q)
{
    if (t->j1 < 0 || q < t->q1) { /* an infinite q counts when nothing better has come */
        t->q2 = t->q1;
        t->j2 = t->j1;
        t->q1 = q;
        t->j1 = j;
        t->squared1 = squared;
    } else if (t->j2 < 0 || q < t->q2) {
        t->q2 = q;
        t->j2 = j;
    }
}

/*
 * The exact two smallest of a row among those that the bounds cannot exclude. g: its products with the centroids, `ldg`
 * apart. `rank` is 1 when only the smallest matters, 2 when the runner-up must be exact too.
 */
static two_best settle(const dmk_table *kernel, const dm_centers *c, const float *row, float norm, const float *g,
                       int64_t ldg, int rank)
{
    two_best found = {INFINITY, INFINITY, 0.0, -1, -1};
    const double x_norm = (double)norm;
    const bool all = beyond_bound(c, norm);
    /* The rank-th smallest upper bound: nothing whose lower bound lies above it can be among the rank smallest. */
    double up1 = INFINITY, up2 = INFINITY;
    for (int32_t j = 0; j < c->k && !all; j++) {
        double s = (double)c->h[j] - (double)g[j * ldg];
        double up = s + error_bound(c, x_norm, (double)c->norm[j], fabs((double)c->h[j]));
        if (up < up1) {
            up2 = up1;
            up1 = up;
        } else if (up < up2) {
            up2 = up;
        }
    }
    const double limit = rank == 1 ? up1 : up2;
    for (int32_t j = 0; j < c->k; j++) {
        if (!all) {
            double s = (double)c->h[j] - (double)g[j * ldg];
            double low = s - error_bound(c, x_norm, (double)c->norm[j], fabs((double)c->h[j]));
            if (low > limit) continue;
        }
        double squared = kernel->squared_distance(row, c->c + (int64_t)j * c->d, c->d);
        offer(&found, j, squared, squared - c->b[j]);
    }
    return found;
}

/* Products of one row with all centroids into t->g, and its norm. */
static void products_of(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *row, float *norm)
{
    kernel->row_norms(row, 1, c->d, norm);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, c->k, c->d, 1.0f, c->single, c->d, row, 1, 0.0f, t->g, 1);
    t->settled++;
}

/* The exact nearest of a row that the fused search left open. */
static int32_t settle_open(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *row)
{
    float norm = 0.0f;
    products_of(kernel, c, t, row, &norm);
    return settle(kernel, c, row, norm, t->g, 1, 1).j1;
}

int64_t dm_tile_rows(int32_t k, int32_t d)
{
    const int64_t rows = (k <= 32 ? SEARCH_BYTES : MANY_BYTES) / 4 / (d < 1 ? 1 : d) / 16 * 16;
    return rows < 16 ? 16 : rows > 1024 ? 1024 : rows;
}

/* One tile: labels, and where wanted the two scores (best, second NULL or both). */
static void search_tile(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                        int32_t *label, float *best, float *second)
{
    const int64_t ahead = t->ahead < c->d ? t->ahead : c->d;
    int64_t left = kernel->nearest(&c->targets, x, rows, ahead, t->scratch, label, t->open, best, second);
    for (int64_t i = 0; left > 0; i++) {
        for (uint32_t bits = t->open[i]; bits != 0; bits &= bits - 1, left--) {
            const int64_t r = i * 16 + __builtin_ctz(bits);
            label[r] = settle_open(kernel, c, t, x + r * c->d);
            if (best != NULL) best[r] = second[r] = 0.0f;
        }
    }
}

static void sgemm_tile(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                       int32_t *label)
{
    const dmk_targets *g = &c->targets;
    tile_products(kernel, c, t, x, rows);
    kernel->smallest_two(t->g, rows, c->h, c->k, rows, t->best, t->second, label);
    int64_t left = kernel->uncertain(t->best, t->second, t->norm, rows, g->linear, g->constant, g->square, g->reach,
                                     g->norm_limit, t->flag);
    t->settled += left;
    for (int64_t r = 0; left > 0; r++) {
        if (!t->flag[r]) continue;
        label[r] = settle(kernel, c, x + r * c->d, t->norm[r], t->g + r, rows, 1).j1;
        t->best[r] = t->second[r] = 0.0f;
        left--;
    }
}

static int64_t tile_rows(const dm_tile *t, const dm_centers *c, bool fused, int64_t left)
{
    int64_t rows = fused ? dm_tile_rows(c->k, c->d) : t->rows;
    if (rows > t->rows) rows = t->rows;
    return left < rows ? left : rows;
}

void dm_nearest(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows, int32_t *label)
{
    const bool fused = is_fused(kernel, c);
    for (int64_t at = 0, n = 0; at < rows; at += n) {
        n = tile_rows(t, c, fused, rows - at);
        if (fused) {
            search_tile(kernel, c, t, x + at * c->d, n, label + at, NULL, NULL);
        } else {
            sgemm_tile(kernel, c, t, x + at * c->d, n, label + at);
        }
    }
}

void dm_nearest_gap(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                    int32_t *label, float *gap)
{
    const bool fused = is_fused(kernel, c);
    for (int64_t at = 0, n = 0; at < rows; at += n) {
        n = tile_rows(t, c, fused, rows - at);
        if (fused) {
            kernel->row_norms(x + at * c->d, n, c->d, t->norm);
            search_tile(kernel, c, t, x + at * c->d, n, label + at, t->best, t->second);
        } else {
            sgemm_tile(kernel, c, t, x + at * c->d, n, label + at);
        }
        kernel->gap(t->best, t->second, t->norm, n, &c->targets, gap + at);
    }
}

void dm_nearest_distance(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                         int32_t *label, double *squared)
{
    dm_nearest(kernel, c, t, x, rows, label);
    for (int64_t r = 0; r < rows; r++) {
        squared[r] = kernel->squared_distance(x + r * c->d, c->c + (int64_t)label[r] * c->d, c->d);
    }
}

/* Where a row's label, runner-up and exact quantities go. */
typedef struct two_out {
    int32_t *label, *runner;
    double *squared, *q_own, *q_runner;
} two_out;

static void put(const two_out *o, int64_t r, two_best found)
{
    o->label[r] = found.j1;
    o->runner[r] = found.j2;
    o->squared[r] = found.squared1;
    o->q_own[r] = found.q1;
    o->q_runner[r] = found.q2;
}

/* The fused search says which two; only their distances are left, and the rows that it left open. */
static void two_fused(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t at,
                      int64_t rows, const two_out *o)
{
    const int64_t ahead = t->ahead < c->d ? t->ahead : c->d;
    const float *tile = x + at * c->d;
    (void)kernel->nearest_two(&c->targets, tile, rows, ahead, t->scratch, o->label + at, o->runner + at, t->open);
    for (int64_t i = 0; i < rows; i++) {
        const float *row = tile + i * c->d;
        const int64_t r = at + i;
        if ((t->open[i / 16] >> (i % 16) & 1) != 0) {
            products_of(kernel, c, t, row, &t->norm[0]);
            put(o, r, settle(kernel, c, row, t->norm[0], t->g, 1, 2));
            continue;
        }
        const int32_t own = o->label[r], other = o->runner[r];
        o->squared[r] = kernel->squared_distance(row, c->c + (int64_t)own * c->d, c->d);
        o->q_own[r] = o->squared[r] - c->b[own];
        o->q_runner[r] = kernel->squared_distance(row, c->c + (int64_t)other * c->d, c->d) - c->b[other];
    }
}

void dm_nearest_two(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                    int32_t *label, int32_t *runner, double *squared, double *q_own, double *q_runner)
{
    const two_out o = {label, runner, squared, q_own, q_runner};
    const bool fused = is_fused(kernel, c) && kernel->nearest_two != NULL && c->k > 1;
    for (int64_t at = 0, n = 0; at < rows; at += n) {
        n = tile_rows(t, c, fused, rows - at);
        if (fused) {
            two_fused(kernel, c, t, x, at, n, &o);
            continue;
        }
        tile_products(kernel, c, t, x + at * c->d, n);
        for (int64_t r = 0; r < n; r++) {
            put(&o, at + r, settle(kernel, c, x + (at + r) * c->d, t->norm[r], t->g + r, n, 2));
        }
    }
}

void dm_nearest_two_exhaustive(const dmk_table *kernel, const dm_centers *c, const float *x, int64_t rows,
                               int32_t *label, int32_t *runner, double *squared, double *q_own, double *q_runner)
{
    for (int64_t r = 0; r < rows; r++) {
        two_best found = {INFINITY, INFINITY, 0.0, -1, -1};
        for (int32_t j = 0; j < c->k; j++) {
            double s = kernel->squared_distance(x + r * c->d, c->c + (int64_t)j * c->d, c->d);
            offer(&found, j, s, s - c->b[j]);
        }
        label[r] = found.j1;
        runner[r] = found.j2;
        squared[r] = found.squared1;
        q_own[r] = found.q1;
        q_runner[r] = found.q2;
    }
}
