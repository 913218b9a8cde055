/*
 * A lightweight coreset (Bachem, Lucic & Krause 2018, "Scalable k-means clustering via lightweight coresets"): about m rows
 * of the sample, each drawn on its own with probability
 *
 *   min(1, m q),   q = w (1 / (2 W) + ||x||^2 / (2 S)),   W = sum of w,   S = sum of w ||x||^2
 *
 * (working space has its origin at the mean), and weighted by w / probability: half the draws are fair, half favour
 * customers far out. The weighted objective of any k centroids is close to that of the sample.
 *
 * A sample misses what is rare, and rare customers can hold much of the objective. So every row of the file, not of the
 * sample, that alone holds FAR_SHARE of the total sum of squares joins with its own weight: there are at most 1 / FAR_SHARE
 * of them. Where the ranges of the features show that there are none the rows are not looked at.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define FAR_SHARE 1e-4

/* A row on its way to all ranks: this, then d floats. */
typedef struct point {
    int64_t row;
    float weight;
    float x[];
} point;

static int64_t point_bytes(int32_t d)
{
    return ((int64_t)sizeof(point) + (int64_t)d * (int64_t)sizeof(float) + 7) / 8 * 8;
}

/* Points of one thread. */
typedef struct points {
    int64_t count, room;
    char *at;
    demarc_status st;
} points;

static void add_point(points *p, int64_t row, double weight, const float *x, int32_t d)
{
    const int64_t size = point_bytes(d);
    if (p->st != DEMARC_OK) return;
    if (p->count == p->room) {
        char *grown = NULL;
        const int64_t room = p->room == 0 ? 64 : 2 * p->room;
        p->st = dm_alloc_zero(grown, room * size, "coreset");
        if (p->st != DEMARC_OK) return;
        if (p->count > 0) memcpy(grown, p->at, (size_t)(p->count * size));
        dm_free(p->at);
        p->at = grown;
        p->room = room;
    }
    point *to = (point *)(void *)(p->at + p->count++ * size);
    to->row = row;
    to->weight = (float)weight;
    memcpy(to->x, x, (size_t)d * sizeof *x);
}

static int by_row(const void *a, const void *b)
{
    const int64_t x = ((const point *)a)->row, y = ((const point *)b)->row;
    return (x > y) - (x < y);
}

typedef struct far_rows {
    const dm_kmeans *km;
    double limit; /* of w ||x||^2 */
    double *zero; /* [d] */
    points *part; /* [threads] */
} far_rows;

static void far_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    const far_rows *f = context;
    const dm_kmeans *km = f->km;
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        if (wr * km->kernel->squared_distance(x + r * km->d, f->zero, km->d) < f->limit) continue;
        add_point(&f->part[thread], begin + r, wr, x + r * km->d, km->d);
    }
}

/* The far rows of this rank, in order, to the end of `to`. Local but for the agreement. */
static demarc_status find_far(const dm_kmeans *km, double limit, double *zero, points *to)
{
    demarc_status st = DEMARC_OK;
    far_rows f = {.km = km, .limit = limit, .zero = zero};
    const int64_t size = point_bytes(km->d);
    st = dm_alloc_zero(f.part, km->threads, "coreset");
    if (st == DEMARC_OK) st = dm_rows_pass(km->rows, far_block, &f);
    for (int t = 0; t < km->threads && st == DEMARC_OK; t++) {
        st = f.part[t].st;
        for (int64_t i = 0; i < f.part[t].count && st == DEMARC_OK; i++) {
            const point *p = (const point *)(const void *)(f.part[t].at + i * size);
            add_point(to, p->row, (double)p->weight, p->x, km->d);
            st = to->st;
        }
    }
    if (st == DEMARC_OK && to->count > 0) qsort(to->at, (size_t)to->count, (size_t)size, by_row);
    for (int t = 0; t < km->threads && f.part != NULL; t++) dm_free(f.part[t].at);
    dm_free(f.part);
    return dm_comm_agree(km->comm, st);
}

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

/* Rows of the sample, but for the far ones, to the end of `to`; `share` customers stand behind each. Local. */
static void draw(const dm_kmeans *km, int32_t restart, double m, double weight, double square, double limit,
                 double share, double *zero, points *to)
{
    const dm_row_sample *s = km->sample;
    const int64_t rows = dm_row_sample_rows(s), d = km->d;
    for (int64_t i = 0; i < rows; i++) {
        const double w = s->w == NULL ? 1.0 : (double)s->w[i];
        if (!(w > 0.0)) continue;
        const double own = w * km->kernel->squared_distance(s->x + i * d, zero, d);
        if (own >= limit) continue;
        double q = w / (2.0 * weight);
        if (square > 0.0) q += own / (2.0 * square);
        const double chance = m * q < 1.0 ? m * q : 1.0;
        const dm_random4 r = dm_random(km->seed, DM_PURPOSE_SEED_CORESET, (uint64_t)restart, (uint64_t)(s->first + i));
        if (dm_uniform(r.v[0], r.v[1]) < chance) add_point(to, s->first + i, share * w / chance, s->x + i * d, km->d);
    }
}

demarc_status dm_coreset(const dm_kmeans *km, int32_t restart, int64_t m, double **y, double **w, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    const int64_t d = km->d, size = point_bytes(km->d);
    const double total = km->square_total, share = (double)km->n / (double)km->sample->total[0];
    const double limit = total > 0.0 ? FAR_SHARE * total : (double)INFINITY;
    double weight = 0.0, square = 0.0, *zero = NULL;
    points mine = {0};
    void *all = NULL;
    int64_t bytes = 0;
    *y = *w = NULL;
    *count = 0;
    DM_TRY(totals(km, &weight, &square));
    DM_TRY_ALL(km->comm, dm_alloc_zero(zero, d, "coreset"));
    /* Far rows first, of all ranks, then the others: each lot in the order of the file on any layout. */
    for (int lot = 0; lot < 2; lot++) {
        mine.count = 0;
        if (lot == 0 && km->square_most < limit) continue;
        if (lot == 0) DM_TRY(find_far(km, limit, zero, &mine));
        if (lot == 1) draw(km, restart, (double)m, weight, square, limit, share, zero, &mine);
        DM_TRY_ALL(km->comm, mine.st);
        DM_TRY(dm_comm_all_gather(km->comm, mine.at, mine.count * size, &all, &bytes));
        const int64_t more = bytes / size, before = *count;
        double *grown_y = NULL, *grown_w = NULL;
        st = dm_alloc(grown_y, (before + more + 1) * d, "coreset");
        if (st == DEMARC_OK) st = dm_alloc(grown_w, before + more + 1, "coreset");
        if (st == DEMARC_OK && before > 0) memcpy(grown_y, *y, (size_t)(before * d) * sizeof **y);
        if (st == DEMARC_OK && before > 0) memcpy(grown_w, *w, (size_t)before * sizeof **w);
        for (int64_t i = 0; i < more && st == DEMARC_OK; i++) {
            const point *p = (const point *)(const void *)((const char *)all + i * size);
            grown_w[before + i] = (double)p->weight;
            for (int64_t f = 0; f < d; f++) grown_y[(before + i) * d + f] = (double)p->x[f];
        }
        dm_free(*y);
        dm_free(*w);
        *y = grown_y;
        *w = grown_w;
        *count = before + more;
        dm_free(all);
        all = NULL;
        DM_TRY_ALL(km->comm, st);
    }
cleanup:
    dm_free(zero);
    dm_free(mine.at);
    dm_free(all);
    return st;
}
