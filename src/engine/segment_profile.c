#include "engine/segment_profile.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/*
 * Feature sums: within a block plain doubles in row order, of deviations from the segment's centroid, so that the spread
 * of a long-tailed feature is not lost; over blocks 128-bit integers on a grid of 2^-80 of the largest possible term.
 * A block's sum is below 2^92 there, so 2^35 blocks fit.
 */
#define EXTRA_BITS 40       /* beyond dm_fixed_scale() */
#define SQUARE_MOST 0x1p400 /* what is squared within it, and summed by weight, stays finite */

#define OUTCOME_BLOCKS 16                /* read together, so that every thread has some */
#define OUTCOME_BYTES (INT64_C(4) << 20) /* but no more than these, if that is a block */

struct dm_profile {
    dm_rows *rows;
    dm_customers *customers;
    const dm_model *model;
    int threads;
    int32_t k, d, m, c;      /* segments, features, outcomes, channels */
    double *scale1, *scale2; /* [d] grids of deviations and their squares */
    double *step;            /* [d] unit / factor: original units per working unit */
    double *shrink;          /* [d] power of two times deviations in original units: their squares stay finite */
    double *center;          /* [k, d] what deviations are from: working units, original ones where logged */
    double *block;           /* [threads][2, k, d] */
    dm_int128 *total;        /* [threads][2, k, d] */
    int64_t rows_at_once;    /* outcomes and reach: whole blocks */
    double *y;               /* [rows_at_once, m] outcomes */
    uint8_t *reachable;      /* [rows_at_once, c] */
    float *w;                /* [rows_at_once] */
    double *part;            /* [rows_at_once in blocks][part_cells] sums of each block: outcomes, then reach */
    dm_exact_sum *outcome;   /* [k, m, 2]: w y, w */
    int64_t *outcome_count;  /* [k, m] */
    dm_exact_sum *reach;     /* [k, c + 1]: w reached, by channel and by any */
};

static int64_t cells(const dm_profile *p) { return 2 * (int64_t)p->k * p->d; }

static int64_t outcome_cells(const dm_profile *p) { return (int64_t)p->k * p->m; }
static int64_t reach_cells(const dm_profile *p) { return (int64_t)p->k * (p->c + 1); }
/* Of one block: w y, w and how many for each outcome; w for each channel. */
static int64_t part_cells(const dm_profile *p) { return 3 * outcome_cells(p) + reach_cells(p); }

static double fine_scale(double bound) { return fmin(ldexp(dm_fixed_scale(bound), EXTRA_BITS), 0x1p1000); }

static demarc_status make_grids(dm_profile *p, const dm_scan *scan)
{
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &p->model->transform;
    DM_TRY(dm_alloc(p->scale1, p->d, "profile"));
    DM_TRY(dm_alloc(p->scale2, p->d, "profile"));
    DM_TRY(dm_alloc(p->step, p->d, "profile"));
    DM_TRY(dm_alloc(p->shrink, p->d, "profile"));
    DM_TRY(dm_alloc(p->center, (int64_t)p->k * p->d, "profile"));
    for (int32_t f = 0; f < p->d; f++) {
        p->step[f] = t->factor[f] > 0.0 ? t->unit / t->factor[f] : 0.0;
        /* Largest deviation: centroids are means, so they lie inside the range. 1% of slack for float32 rounding. */
        double range = 0.0;
        p->shrink[f] = 1.0;
        if (t->log1p[f]) {
            range = fmin(1.01 * (expm1(scan->high[f]) - expm1(scan->low[f])), DBL_MAX);
            if (range > SQUARE_MOST) p->shrink[f] = SQUARE_MOST * 0x1p-1024; /* range is below 2^1024 */
            range *= p->shrink[f];
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
    const int64_t block_bytes = DM_BLOCK_ROWS * (8 * (int64_t)p->m + p->c + 4) + 8 * part_cells(p);
    const int64_t blocks = OUTCOME_BYTES / block_bytes;
    p->rows_at_once = DM_BLOCK_ROWS * (blocks < 1 ? 1 : blocks < OUTCOME_BLOCKS ? blocks : OUTCOME_BLOCKS);
    DM_TRY(make_grids(p, scan));
    /* A fit has refused bad outcomes at its beginning; who tells of none need not. */
    if (p->m > 0) DM_TRY(dm_customers_use_outcomes(customers, 0, NULL));
    DM_TRY(dm_alloc_zero(p->block, p->threads * cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->total, p->threads * cells(p), "profile"));
    DM_TRY(dm_alloc(p->y, p->rows_at_once * p->m, "profile"));
    DM_TRY(dm_alloc(p->reachable, p->rows_at_once * p->c, "profile"));
    DM_TRY(dm_alloc(p->w, p->rows_at_once, "profile"));
    DM_TRY(dm_alloc(p->part, p->rows_at_once / DM_BLOCK_ROWS * part_cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->outcome, 2 * outcome_cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->outcome_count, outcome_cells(p), "profile"));
    DM_TRY(dm_alloc_zero(p->reach, reach_cells(p), "profile"));
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
    dm_free(p->shrink);
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

/* Value of a logged feature in original units. Rounded to float32, a logarithm may lie beyond the largest value's. */
static double original_of(const dm_profile *p, int32_t f, float x)
{
    return fmin(expm1(p->model->transform.origin[f] + (double)x * p->step[f]), DBL_MAX);
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
    dm_rows_opened_with(p->rows)->kernel->add_deviations(x, w, label, rows, d, p->center, block, block + kd);
    for (int32_t f = 0; f < d; f++) { /* logged features again, in original units: the sums above are discarded */
        if (!p->model->transform.log1p[f] || !(p->step[f] > 0.0)) continue;
        for (int32_t j = 0; j < p->k; j++) block[(int64_t)j * d + f] = block[kd + (int64_t)j * d + f] = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            const int64_t i = (int64_t)label[r] * d + f;
            const double u = (original_of(p, f, x[r * d + f]) - p->center[i]) * p->shrink[f];
            const double wu = (w == NULL ? 1.0 : (double)w[r]) * u;
            block[i] += wu;
            block[kd + i] += wu * u;
        }
    }
    flush_features(p, block, p->total + thread * cells(p));
}

/* One block of outcomes y [rows, m] to part [k, m, 3]. */
static void add_outcome_block(const dm_profile *p, const int32_t *label, int64_t rows, const double *y, const float *w,
                              double *part)
{
    const int64_t m = p->m;
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        for (int64_t o = 0; o < m; o++) {
            const double v = y[r * m + o];
            if (isnan(v)) continue;
            double *to = part + 3 * (label[r] * m + o);
            to[0] += wr * v;
            to[1] += wr;
            to[2] += 1.0;
        }
    }
}

/* One block of reachable [rows, c] to part [k, c + 1]. Zeros are added too: a branch would be mispredicted half the time. */
static void add_reach_block(const dm_profile *p, const int32_t *label, int64_t rows, const uint8_t *reachable,
                            const float *w, double *part)
{
    const int64_t c = p->c;
    for (int64_t r = 0; r < rows; r++) {
        const double add[2] = {0.0, w == NULL ? 1.0 : (double)w[r]};
        double *to = part + label[r] * (c + 1);
        int any = 0;
        for (int64_t i = 0; i < c; i++) {
            const int yes = reachable[r * c + i] != 0;
            to[i] += add[yes];
            any |= yes;
        }
        to[c] += add[any];
    }
}

/* Sums of `blocks` blocks to the totals; exact, so the order is free. */
static void flush_outcomes(const dm_profile *p, int64_t blocks)
{
    const int64_t km = outcome_cells(p), all = km + reach_cells(p);
#pragma omp parallel for schedule(static) num_threads(p->threads)
    for (int64_t i = 0; i < all; i++) {
        for (int64_t b = 0; b < blocks; b++) {
            const double *part = p->part + b * part_cells(p);
            if (i < km) {
                dm_exact_sum_add(&p->outcome[2 * i], part[3 * i]);
                dm_exact_sum_add(&p->outcome[2 * i + 1], part[3 * i + 1]);
                p->outcome_count[i] += (int64_t)part[3 * i + 2];
            } else {
                dm_exact_sum_add(&p->reach[i - km], part[2 * km + i]);
            }
        }
    }
}

demarc_status dm_profile_add_outcomes(dm_profile *p, const int32_t *label, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    if (p->m == 0 && p->c == 0) return DEMARC_OK;
    const bool weighted = dm_rows_weighted(p->rows);
    for (int64_t at = begin; at < end; at += p->rows_at_once) {
        const int64_t stop = at + p->rows_at_once < end ? at + p->rows_at_once : end;
        const int64_t blocks = dm_block_count(stop - at);
        if (weighted) DM_TRY(dm_customers_weight(p->customers, at, stop, p->w));
        if (p->m > 0) DM_TRY(dm_customers_outcomes(p->customers, at, stop, p->y));
        if (p->c > 0) DM_TRY(dm_customers_reachable(p->customers, at, stop, p->reachable));
#pragma omp parallel for schedule(dynamic) num_threads(p->threads)
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t from = b * DM_BLOCK_ROWS, left = stop - at - from;
            const int64_t rows = left < DM_BLOCK_ROWS ? left : DM_BLOCK_ROWS;
            const int32_t *of = label + (at - begin) + from;
            const float *w = weighted ? p->w + from : NULL;
            double *part = p->part + b * part_cells(p);
            memset(part, 0, (size_t)part_cells(p) * sizeof *part);
            if (p->m > 0) add_outcome_block(p, of, rows, p->y + from * p->m, w, part);
            if (p->c > 0) add_reach_block(p, of, rows, p->reachable + from * p->c, w, part + 3 * outcome_cells(p));
        }
        flush_outcomes(p, blocks);
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
    *mean = t->log1p[f] ? p->center[i] + off / p->shrink[f] : t->origin[f] + (p->center[i] + off) * p->step[f];
    *sd = sqrt(variance) * (t->log1p[f] ? 1.0 / p->shrink[f] : p->step[f]);
}

/* A power of two that brings values of original units near 1 where their sums or squares would leave double; else 1. */
static double unit_of(double largest)
{
    int e = 0;
    if (!(largest > 0.0) || isinf(largest) || (largest > 1.0 / SQUARE_MOST && largest < SQUARE_MOST)) return 1.0;
    (void)frexp(largest, &e);
    return ldexp(1.0, e < -1000 ? -1000 : e > 1000 ? 1000 : e); /* its inverse, too, is a number */
}

/* Overall figures from the segments': means by weight, variance within plus between. */
static void finish_features(const dm_profile *p, dm_diagnostics *g)
{
    for (int32_t f = 0; f < p->d; f++) {
        double first = 0.0, second = 0.0, most = 0.0;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            segment_moments(p, j, f, g->weight[j], &g->mean[i], &g->sd[i]);
            if (g->weight[j] > 0.0) most = fmax(most, fabs(g->mean[i]));
        }
        double unit = unit_of(most);
        for (int32_t j = 0; j < p->k; j++) {
            if (g->weight[j] > 0.0) first += g->weight[j] * (g->mean[(int64_t)j * p->d + f] / unit);
        }
        g->overall_mean[f] = first / g->total_weight * unit;
        most = 0.0;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            if (g->weight[j] > 0.0) most = fmax(most, fmax(g->sd[i], fabs(g->mean[i] - g->overall_mean[f])));
        }
        unit = unit_of(most);
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            const double sd = g->sd[i] / unit, away = (g->mean[i] - g->overall_mean[f]) / unit;
            if (g->weight[j] > 0.0) second += g->weight[j] * (sd * sd + away * away);
        }
        g->overall_sd[f] = sqrt(second / g->total_weight) * unit;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t i = (int64_t)j * p->d + f;
            /* mean - mean of the rest = (mean - overall mean) x total weight / weight of the rest */
            const double rest = g->total_weight - g->weight[j];
            g->difference[i] =
                g->overall_sd[f] > 0.0 && rest > 0.0
                    ? (g->mean[i] - g->overall_mean[f]) / unit * g->total_weight / rest / (g->overall_sd[f] / unit)
                    : (double)NAN;
        }
    }
}

int64_t dm_profile_pack_bytes(const dm_profile *p)
{
    const int64_t exact = 2 * outcome_cells(p) + reach_cells(p);
    return cells(p) * (int64_t)sizeof(dm_int128) + exact * (int64_t)sizeof(dm_exact_sum) + 8 * outcome_cells(p);
}

demarc_status dm_profile_pack(const dm_profile *profile, dm_comm *comm, dm_packer *p)
{
    demarc_status st = DEMARC_OK;
    const int64_t features = cells(profile), km = outcome_cells(profile), reach = reach_cells(profile);
    dm_int128 *total = NULL;
    dm_exact_sum *exact = NULL;
    int64_t *count = NULL;
    st = dm_alloc(total, features, "checkpoint");
    if (st == DEMARC_OK) st = dm_alloc(exact, 2 * km + reach, "checkpoint");
    if (st == DEMARC_OK) st = dm_alloc(count, km, "checkpoint");
    DM_TRY_ALL(comm, st);
    memcpy(total, profile->total, (size_t)features * sizeof *total);
    for (int t = 1; t < profile->threads; t++) {
        for (int64_t i = 0; i < features; i++) total[i] += profile->total[t * features + i];
    }
    memcpy(exact, profile->outcome, (size_t)(2 * km) * sizeof *exact);
    memcpy(exact + 2 * km, profile->reach, (size_t)reach * sizeof *exact);
    memcpy(count, profile->outcome_count, (size_t)km * sizeof *count);
    DM_TRY(dm_comm_sum_fixed(comm, total, features));
    dm_comm_sum_exact(comm, exact, 2 * km + reach);
    dm_comm_sum_i64(comm, count, km);
    dm_pack_int128(p, total, features);
    dm_pack_exact(p, exact, 2 * km + reach);
    dm_pack(p, count, km * (int64_t)sizeof *count);
cleanup:
    dm_free(total);
    dm_free(exact);
    dm_free(count);
    return st;
}

void dm_profile_unpack(dm_profile *profile, dm_unpacker *u)
{
    const int64_t km = outcome_cells(profile);
    dm_unpack_int128(u, profile->total, cells(profile));
    dm_unpack_exact(u, profile->outcome, 2 * km);
    dm_unpack_exact(u, profile->reach, reach_cells(profile));
    (void)dm_unpack(u, profile->outcome_count, km * (int64_t)sizeof *profile->outcome_count);
}

demarc_status dm_profile_finish(dm_profile *p, dm_comm *comm, dm_diagnostics *g)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *schema = dm_customers_schema(p->customers);
    const int64_t kd = (int64_t)p->k * p->d, km = outcome_cells(p), c = p->c;
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
