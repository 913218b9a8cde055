/*
 * A lightweight coreset (Bachem, Lucic & Krause 2018, "Scalable k-means clustering via lightweight coresets"): about m rows
 * of the sample, each drawn on its own with probability
 *
 *   min(1, m q),   q = w (1 / (2 W) + ||x||^2 / (2 S)),   W = sum of w,   S = sum of w ||x||^2
 *
 * (working space has its origin at the mean), and weighted by w / probability: half the draws are fair, half favour
 * customers far out. The weighted objective of any k centroids is close to that of the sample.
 */
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

/* W and S of the rows of km->sample, over all ranks. */
static demarc_status totals(const dm_kmeans *km, double *weight, double *square)
{
    demarc_status st = DEMARC_OK;
    const dm_row_sample *s = km->sample;
    const int64_t rows = dm_row_sample_rows(s), d = km->d;
    dm_exact_sum sum[2];
    double *zero = NULL;
    memset(sum, 0, sizeof sum);
    DM_TRY_ALL(km->comm, dm_alloc_zero(zero, d, "coreset"));
    for (int64_t r = 0; r < rows; r += DM_STRIP_ROWS) {
        double part[2] = {0.0, 0.0};
        for (int64_t i = r; i < r + DM_STRIP_ROWS; i++) {
            const double w = s->w == NULL ? 1.0 : (double)s->w[i];
            part[0] += w;
            part[1] += w * km->kernel->squared_distance(s->x + i * d, zero, d);
        }
        dm_exact_sum_add(&sum[0], part[0]);
        dm_exact_sum_add(&sum[1], part[1]);
    }
    dm_comm_sum_exact(km->comm, sum, 2);
    *weight = dm_exact_sum_value(&sum[0]);
    *square = dm_exact_sum_value(&sum[1]);
cleanup:
    dm_free(zero);
    return st;
}

/* Drawn rows one after the other: weight, then values as float; returns their number. `out` NULL: count only. */
static int64_t draw(const dm_kmeans *km, int32_t restart, double m, double weight, double square, double *zero,
                    float *out)
{
    const dm_row_sample *s = km->sample;
    const int64_t rows = dm_row_sample_rows(s), d = km->d;
    int64_t count = 0;
    for (int64_t i = 0; i < rows; i++) {
        const double w = s->w == NULL ? 1.0 : (double)s->w[i];
        if (!(w > 0.0)) continue;
        double q = w / (2.0 * weight);
        if (square > 0.0) q += w * km->kernel->squared_distance(s->x + i * d, zero, d) / (2.0 * square);
        const double chance = m * q < 1.0 ? m * q : 1.0;
        const dm_random4 r = dm_random(km->seed, DM_PURPOSE_SEED_CORESET, (uint64_t)restart, (uint64_t)(s->first + i));
        if (!(dm_uniform(r.v[0], r.v[1]) < chance)) continue;
        if (out != NULL) {
            float *to = out + count * (d + 1);
            to[0] = (float)(w / chance);
            memcpy(to + 1, s->x + i * d, (size_t)d * sizeof *to);
        }
        count++;
    }
    return count;
}

demarc_status dm_coreset(const dm_kmeans *km, int32_t restart, int64_t m, double **y, double **w, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    const int64_t d = km->d;
    double weight = 0.0, square = 0.0, *zero = NULL;
    float *mine = NULL;
    void *all = NULL;
    int64_t bytes = 0;
    *y = *w = NULL;
    DM_TRY(totals(km, &weight, &square));
    st = dm_alloc_zero(zero, d, "coreset");
    int64_t drawn = 0;
    if (st == DEMARC_OK) drawn = draw(km, restart, (double)m, weight, square, zero, NULL);
    if (st == DEMARC_OK) st = dm_alloc(mine, (drawn > 0 ? drawn : 1) * (d + 1), "coreset");
    DM_TRY_ALL(km->comm, st);
    (void)draw(km, restart, (double)m, weight, square, zero, mine);
    DM_TRY(dm_comm_all_gather(km->comm, mine, drawn * (d + 1) * (int64_t)sizeof *mine, &all, &bytes));
    *count = bytes / ((d + 1) * (int64_t)sizeof *mine);
    st = dm_alloc(*y, (*count > 0 ? *count : 1) * d, "coreset");
    if (st == DEMARC_OK) st = dm_alloc(*w, *count > 0 ? *count : 1, "coreset");
    DM_TRY_ALL(km->comm, st);
    for (int64_t i = 0; i < *count; i++) {
        const float *from = (const float *)all + i * (d + 1);
        (*w)[i] = (double)from[0];
        for (int64_t f = 0; f < d; f++) (*y)[i * d + f] = (double)from[1 + f];
    }
cleanup:
    dm_free(zero);
    dm_free(mine);
    dm_free(all);
    return st;
}
