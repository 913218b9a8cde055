#include "engine/segment_profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/*
 * Feature sums: within a block plain doubles in row order, of deviations from the segment's centroid, so that the spread
 * of a long-tailed feature is not lost; over blocks 128-bit integers on a grid of 2^-80 of the largest possible term.
 * A block's sum is below 2^92 there, so 2^35 blocks fit.
 */
#define EXTRA_BITS 40 /* beyond dm_fixed_scale() */

struct dm_profile {
    dm_rows *rows;
    dm_customers *customers;
    const dm_model *model;
    int threads;
    int32_t k, d, m, c;      /* segments, features, outcomes, channels */
    double *scale1, *scale2; /* [d] grids of deviations and their squares */
    double *step;            /* [d] unit / factor: original units per working unit */
    double *center;          /* [k, d] what deviations are from: working units, original ones where logged */
    double *block;           /* [threads][2, k, d] */
    dm_int128 *total;        /* [threads][2, k, d] */
    dm_exact_sum *outcome;   /* [k, m, 2]: w y, w */
    int64_t *outcome_count;  /* [k, m] */
    dm_exact_sum *reach;     /* [k, c + 1]: w reached, by channel and by any */
    double *y;               /* outcomes of one block */
    uint8_t *reachable;
    float *w;
    double *part; /* [k, max(2 m, c + 1)] sums of one block */
};

static int64_t cells(const dm_profile *p) { return 2 * (int64_t)p->k * p->d; }

static double fine_scale(double bound) { return fmin(ldexp(dm_fixed_scale(bound), EXTRA_BITS), 0x1p1000); }

static demarc_status make_grids(dm_profile *p, const dm_scan *scan)
{
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &p->model->transform;
    DM_TRY(dm_alloc(p->scale1, p->d, "profile"));
    DM_TRY(dm_alloc(p->scale2, p->d, "profile"));
    DM_TRY(dm_alloc(p->step, p->d, "profile"));
    DM_TRY(dm_alloc(p->center, (int64_t)p->k * p->d, "profile"));
    for (int32_t f = 0; f < p->d; f++) {
        p->step[f] = t->factor[f] > 0.0 ? t->unit / t->factor[f] : 0.0;
        /* Largest deviation: centroids are means, so they lie inside the range. 1% of slack for float32 rounding. */
        double range = 0.0;
        if (t->log1p[f]) {
            range = 1.01 * (expm1(scan->high[f]) - expm1(scan->low[f]));
        } else if (p->step[f] > 0.0) {
            range = 1.01 * (scan->high[f] - scan->low[f]) / p->step[f];
        }
        for (int32_t j = 0; j < p->k; j++) {
            const double c = p->model->centroids[(int64_t)j * p->d + f];
            p->center[(int64_t)j * p->d + f] = t->log1p[f] ? expm1(t->origin[f] + c * p->step[f]) : c;
        }
        p->scale1[f] = fine_scale(range * scan->weight_high);
        p->scale2[f] = fine_scale(range * range * scan->weight_high);
    }
cleanup:
    return st;
}

demarc_status dm_profile_create(dm_profile **out, dm_rows *rows, dm_customers *customers, const dm_model *model,
                                const dm_scan *scan)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *schema = dm_customers_schema(customers);
    dm_profile *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: profile: free some memory");
    p->rows = rows;
    p->customers = customers;
    p->model = model;
    p->threads = dm_rows_opened_with(rows)->threads;
    p->k = model->k;
    p->d = model->d;
    p->m = schema->outcome.count;
    p->c = schema->channel.count;
    const int64_t widest = 2 * (int64_t)p->m > p->c + 1 ? 2 * (int64_t)p->m : p->c + 1;
    DM_TRY(make_grids(p, scan));
    DM_TRY(dm_alloc_zero(p->block, p->threads * cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->total, p->threads * cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->outcome, 2 * (int64_t)p->k * p->m, "profile"));
    DM_TRY(dm_alloc_zero(p->outcome_count, (int64_t)p->k * p->m, "profile"));
    DM_TRY(dm_alloc_zero(p->reach, (int64_t)p->k * (p->c + 1), "profile"));
    DM_TRY(dm_alloc(p->part, p->k * widest, "profile"));
    DM_TRY(dm_alloc(p->y, (int64_t)DM_BLOCK_ROWS * p->m, "profile"));
    DM_TRY(dm_alloc(p->reachable, (int64_t)DM_BLOCK_ROWS * p->c, "profile"));
    DM_TRY(dm_alloc(p->w, DM_BLOCK_ROWS, "profile"));
    *out = p;
    p = NULL;
cleanup:
    dm_profile_destroy(&p);
    return st;
}

void dm_profile_destroy(dm_profile **profile)
{
    dm_profile *p = *profile;
    if (p == NULL) return;
    dm_free(p->scale1);
    dm_free(p->scale2);
    dm_free(p->step);
    dm_free(p->center);
    dm_free(p->block);
    dm_free(p->total);
    dm_free(p->outcome);
    dm_free(p->outcome_count);
    dm_free(p->reach);
    dm_free(p->y);
    dm_free(p->reachable);
    dm_free(p->w);
    dm_free(p->part);
    free(p);
    *profile = NULL;
}

/* Value of a logged feature in original units. */
static double original_of(const dm_profile *p, int32_t f, float x)
{
    return expm1(p->model->transform.origin[f] + (double)x * p->step[f]);
}

/* Block sums to the grid. */
static void flush_features(const dm_profile *p, double *block, dm_int128 *total)
{
    const int64_t kd = (int64_t)p->k * p->d;
    for (int64_t i = 0; i < kd; i++) {
        const int64_t f = i % p->d;
        if (block[kd + i] == 0.0) continue; /* no deviation at all */
        total[i] += (dm_int128)rint(block[i] * p->scale1[f]);
        total[kd + i] += (dm_int128)rint(block[kd + i] * p->scale2[f]);
        block[i] = block[kd + i] = 0.0;
    }
}

void dm_profile_add_features(dm_profile *p, int thread, const int32_t *label, int64_t rows, const float *x,
                             const float *w)
{
    const int32_t d = p->d;
    const int64_t kd = (int64_t)p->k * d;
    double *block = p->block + thread * cells(p);
    for (int64_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        const double wr = w == NULL ? 1.0 : (double)w[r];
        const double *restrict center = p->center + (int64_t)label[r] * d;
        double *restrict sum1 = block + (int64_t)label[r] * d, *restrict sum2 = sum1 + kd;
        for (int32_t f = 0; f < d; f++) {
            const double u = (double)v[f] - center[f], wu = wr * u;
            sum1[f] += wu;
            sum2[f] += wu * u;
        }
    }
    for (int32_t f = 0; f < d; f++) { /* logged features again, in original units: the sums above are discarded */
        if (!p->model->transform.log1p[f] || !(p->step[f] > 0.0)) continue;
        for (int32_t j = 0; j < p->k; j++) block[(int64_t)j * d + f] = block[kd + (int64_t)j * d + f] = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            const int64_t i = (int64_t)label[r] * d + f;
            const double u = original_of(p, f, x[r * d + f]) - p->center[i], wu = (w == NULL ? 1.0 : (double)w[r]) * u;
            block[i] += wu;
            block[kd + i] += wu * u;
        }
    }
    flush_features(p, block, p->total + thread * cells(p));
}

static void add_outcome_block(dm_profile *p, const int32_t *label, int64_t rows, const float *w)
{
    const int64_t m = p->m;
    memset(p->part, 0, (size_t)(2 * p->k * m) * sizeof *p->part);
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        for (int64_t o = 0; o < m; o++) {
            const double y = p->y[r * m + o];
            if (!isfinite(y)) continue;
            const int64_t i = label[r] * m + o;
            p->part[2 * i] += wr * y;
            p->part[2 * i + 1] += wr;
            p->outcome_count[i]++;
        }
    }
    for (int64_t i = 0; i < 2 * p->k * m; i++) dm_exact_sum_add(&p->outcome[i], p->part[i]);
}

static void add_reach_block(dm_profile *p, const int32_t *label, int64_t rows, const float *w)
{
    const int64_t c = p->c;
    memset(p->part, 0, (size_t)(p->k * (c + 1)) * sizeof *p->part);
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        bool any = false;
        for (int64_t i = 0; i < c; i++) {
            if (!p->reachable[r * c + i]) continue;
            p->part[label[r] * (c + 1) + i] += wr;
            any = true;
        }
        if (any) p->part[label[r] * (c + 1) + c] += wr;
    }
    for (int64_t i = 0; i < p->k * (c + 1); i++) dm_exact_sum_add(&p->reach[i], p->part[i]);
}

demarc_status dm_profile_add_outcomes(dm_profile *p, const int32_t *label, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    if (p->m == 0 && p->c == 0) return DEMARC_OK;
    const bool weighted = dm_rows_weighted(p->rows);
    for (int64_t at = begin; at < end; at += DM_BLOCK_ROWS) {
        const int64_t stop = at + DM_BLOCK_ROWS < end ? at + DM_BLOCK_ROWS : end;
        if (weighted) DM_TRY(dm_customers_weight(p->customers, at, stop, p->w));
        if (p->m > 0) {
            DM_TRY(dm_customers_outcomes(p->customers, at, stop, p->y));
            add_outcome_block(p, label + (at - begin), stop - at, weighted ? p->w : NULL);
        }
        if (p->c > 0) {
            DM_TRY(dm_customers_reachable(p->customers, at, stop, p->reachable));
            add_reach_block(p, label + (at - begin), stop - at, weighted ? p->w : NULL);
        }
    }
cleanup:
    return st;
}

/* Mean and standard deviation of feature f in segment j, original units. */
static void segment_moments(const dm_profile *p, int32_t j, int32_t f, double weight, double *mean, double *sd)
{
    const dm_transform *t = &p->model->transform;
    const int64_t i = (int64_t)j * p->d + f, kd = (int64_t)p->k * p->d;
    *mean = *sd = (double)NAN;
    if (!(weight > 0.0) || !(p->step[f] > 0.0)) return;
    const double off = (double)p->total[i] / p->scale1[f] / weight;
    const double variance = fmax((double)p->total[kd + i] / p->scale2[f] / weight - off * off, 0.0);
    *mean = t->log1p[f] ? p->center[i] + off : t->origin[f] + (p->center[i] + off) * p->step[f];
    *sd = sqrt(variance) * (t->log1p[f] ? 1.0 : p->step[f]);
}

/* Overall figures from the segments': means by weight, variance within plus between. */
static void finish_features(const dm_profile *p, dm_diagnostics *g)
{
    for (int32_t f = 0; f < p->d; f++) {
        double first = 0.0, second = 0.0;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            segment_moments(p, j, f, g->weight[j], &g->mean[i], &g->sd[i]);
            if (g->weight[j] > 0.0) first += g->weight[j] * g->mean[i];
        }
        g->overall_mean[f] = first / g->total_weight;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            const double away = g->mean[i] - g->overall_mean[f];
            if (g->weight[j] > 0.0) second += g->weight[j] * (g->sd[i] * g->sd[i] + away * away);
        }
        g->overall_sd[f] = sqrt(second / g->total_weight);
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            /* mean - mean of the rest = (mean - overall mean) x total weight / weight of the rest */
            const double rest = g->total_weight - g->weight[j];
            g->difference[i] = g->overall_sd[f] > 0.0 && rest > 0.0
                                   ? (g->mean[i] - g->overall_mean[f]) * g->total_weight / rest / g->overall_sd[f]
                                   : (double)NAN;
        }
    }
}

demarc_status dm_profile_finish(dm_profile *p, dm_comm *comm, dm_diagnostics *g)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *schema = dm_customers_schema(p->customers);
    const int64_t kd = (int64_t)p->k * p->d, km = (int64_t)p->k * p->m, c = p->c;
    for (int t = 1; t < p->threads; t++) {
        for (int64_t i = 0; i < cells(p); i++) p->total[i] += p->total[t * cells(p) + i];
    }
    DM_TRY(dm_comm_sum_fixed(comm, p->total, cells(p)));
    dm_comm_sum_exact(comm, p->outcome, 2 * km);
    dm_comm_sum_i64(comm, p->outcome_count, km);
    dm_comm_sum_exact(comm, p->reach, p->k * (c + 1));
    st = dm_alloc(g->mean, kd, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->sd, kd, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->difference, kd, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->overall_mean, p->d, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->overall_sd, p->d, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->outcome_mean, km, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->outcome_count, km, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->reach, p->k * c, "profile");
    if (st == DEMARC_OK) st = dm_alloc(g->reach_any, p->k, "profile");
    DM_TRY_ALL(comm, st);
    finish_features(p, g);
    for (int64_t i = 0; i < km; i++) {
        const double weight = dm_exact_sum_value(&p->outcome[2 * i + 1]);
        g->outcome_mean[i] = weight > 0.0 ? dm_exact_sum_value(&p->outcome[2 * i]) / weight : (double)NAN;
        g->outcome_count[i] = p->outcome_count[i];
    }
    for (int32_t j = 0; j < p->k; j++) {
        for (int64_t i = 0; i <= c; i++) {
            const double share = dm_exact_sum_value(&p->reach[j * (c + 1) + i]) / g->weight[j];
            if (i < c)
                g->reach[j * c + i] = share;
            else
                g->reach_any[j] = share;
        }
    }
    g->outcomes = p->m;
    g->channels = p->c;
    g->outcome = &schema->outcome;
    g->channel = &schema->channel;
    g->feature = &p->model->feature;
cleanup:
    return st;
}
