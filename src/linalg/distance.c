#include "linalg/distance.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define UNIT 0x1p-24       /* unit roundoff of float */
#define TILE_BYTES 262144  /* of g: stays in a core's second-level cache beside the rows */
#define NORM_LIMIT 0x1p50f /* beyond it single precision could overflow */

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
    const int64_t padded = ((int64_t)capacity + DMK_PACK - 1) / DMK_PACK * DMK_PACK;
    DM_TRY(dm_alloc_zero(c->packed, padded * d, "centroids"));
    DM_TRY(dm_alloc(c->packed_h, padded, "centroid norms"));
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

static void pack(dm_centers *c)
{
    const int64_t d = c->d, padded = ((int64_t)c->k + DMK_PACK - 1) / DMK_PACK * DMK_PACK;
    for (int64_t j = 0; j < padded; j++) {
        float *to = c->packed + j / DMK_PACK * DMK_PACK * d + j % DMK_PACK;
        c->packed_h[j] = j < c->k ? c->h[j] : INFINITY;
        for (int64_t f = 0; f < d; f++) to[f * DMK_PACK] = j < c->k ? c->single[j * d + f] : 0.0f;
    }
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
}

demarc_status dm_tile_create(dm_tile *t, int32_t k)
{
    demarc_status st = DEMARC_OK;
    int64_t rows = TILE_BYTES / 4 / k / 64 * 64;
    *t = (dm_tile){.rows = rows < 64 ? 64 : rows > 1024 ? 1024 : rows};
    DM_TRY(dm_alloc(t->g, t->rows * k, "distance tile"));
    DM_TRY(dm_alloc(t->best, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->second, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->norm, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->flag, t->rows, "distance tile"));
    DM_TRY(dm_alloc(t->scratch, DMK_NEAREST_SCRATCH, "distance tile"));
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
    dm_free(t->scratch);
    *t = (dm_tile){0};
}

/* The bound of the header for a row of norm `x_norm` (an estimate, inflated here) against norms c and h. */
static double error_bound(const dm_centers *c, double x_norm, double c_norm, double h)
{
    const double d = (double)c->d, xc = 1.001 * x_norm * c_norm;
    const double single = 1.02 * UNIT * ((d + 3.0) * xc + 2.0 * h) + (d + 3.0) * (double)FLT_MIN;
    const double reach = 1.001 * x_norm + c->norm_max;
    return single + (d + 16.0) * 0x1p-52 * (reach * reach + c->b_max);
}

/* True where the bound says nothing: rows whose products may overflow, or so many features that gamma_d is useless. */
static bool beyond_bound(const dm_centers *c, float x_norm)
{
    return !(x_norm < NORM_LIMIT) || !(c->norm_max < (double)NORM_LIMIT) || !(c->b_max < 0x1p100) ||
           (double)c->d * UNIT > 0.01;
}

/* Single-precision best, second, norm and label of rows [0, rows) of x, rows <= t->rows, and g for whoever needs it. */
static void tile_scores(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                        int32_t *label, bool need_g)
{
    const int d = c->d, k = c->k;
    t->has_g = need_g || kernel->nearest == NULL || d > DMK_NEAREST_FEATURES;
    if (!t->has_g) {
        kernel->nearest->rows(x, rows, d, c->packed, c->packed_h, k, t->scratch, t->best, t->second, label, t->norm);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, k, (int)rows, d, 1.0f, c->single, d, x, d, 0.0f, t->g,
                (int)rows);
    kernel->smallest_two(t->g, rows, c->h, k, rows, t->best, t->second, label);
    kernel->row_norms(x, rows, d, t->norm);
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
 * The exact two smallest of row r of the tile among those that the bounds cannot exclude. `rank` is 1 when only the
 * smallest matters, 2 when the runner-up must be exact too.
 */
static two_best settle(const dmk_table *kernel, const dm_centers *c, const dm_tile *t, const float *row, int64_t r,
                       int64_t ldg, int rank)
{
    two_best found = {INFINITY, INFINITY, 0.0, -1, -1};
    const double x_norm = (double)t->norm[r];
    const bool all = !t->has_g || beyond_bound(c, t->norm[r]);
    /* The rank-th smallest upper bound: nothing whose lower bound lies above it can be among the rank smallest. */
    double up1 = INFINITY, up2 = INFINITY;
    for (int32_t j = 0; j < c->k && !all; j++) {
        double s = (double)c->h[j] - (double)t->g[j * ldg + r];
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
            double s = (double)c->h[j] - (double)t->g[j * ldg + r];
            double low = s - error_bound(c, x_norm, (double)c->norm[j], fabs((double)c->h[j]));
            if (low > limit) continue;
        }
        double squared = kernel->squared_distance(row, c->c + (int64_t)j * c->d, c->d);
        offer(&found, j, squared, squared - c->b[j]);
    }
    return found;
}

/* Flags the rows of the tile whose smallest value the tile alone cannot tell; returns how many. */
static int64_t flag_uncertain(const dmk_table *kernel, const dm_centers *c, dm_tile *t, int64_t rows)
{
    /* Twice error_bound() with the largest norms, as a polynomial in ||x||, rounded up by 1% for its own arithmetic. */
    const double d = (double)c->d, single = 1.02 * UNIT;
    const double linear = 2.02 * single * (d + 3.0) * 1.001 * c->norm_max;
    const double constant =
        2.02 * (single * 2.0 * c->h_max + (d + 3.0) * (double)FLT_MIN + (d + 16.0) * 0x1p-52 * c->b_max);
    const double square = 2.02 * 1.003 * (d + 16.0) * 0x1p-52;
    const float limit = beyond_bound(c, 0.0f) ? 0.0f : NORM_LIMIT; /* 0: no row is certain */
    return kernel->uncertain(t->best, t->second, t->norm, rows, (float)linear, (float)constant, (float)square,
                             (float)c->norm_max, limit, t->flag);
}

static int64_t tile_rows(const dm_tile *t, int64_t left) { return left < t->rows ? left : t->rows; }

void dm_nearest(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows, int32_t *label)
{
    for (int64_t at = 0, n = 0; at < rows; at += n) {
        const float *tile = x + at * c->d;
        n = tile_rows(t, rows - at);
        tile_scores(kernel, c, t, tile, n, label + at, false);
        const int64_t open = flag_uncertain(kernel, c, t, n);
        for (int64_t r = 0, left = open; left > 0; r++) {
            if (!t->flag[r]) continue;
            label[at + r] = settle(kernel, c, t, tile + r * c->d, r, n, 1).j1;
            left--;
        }
        t->settled += open;
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

void dm_nearest_two(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                    int32_t *label, int32_t *runner, double *squared, double *q_own, double *q_runner)
{
    for (int64_t at = 0, n = 0; at < rows; at += n) {
        const float *tile = x + at * c->d;
        n = tile_rows(t, rows - at);
        tile_scores(kernel, c, t, tile, n, label + at, true);
        for (int64_t r = 0; r < n; r++) {
            two_best found = settle(kernel, c, t, tile + r * c->d, r, n, 2);
            label[at + r] = found.j1;
            runner[at + r] = found.j2;
            squared[at + r] = found.squared1;
            q_own[at + r] = found.q1;
            q_runner[at + r] = found.q2;
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
