/*
 * Exchanging centroids (split and merge: Capó, Pérez & Lozano 2020, "An efficient Split-Merge re-start for the K-means
 * algorithm"): Lloyd's algorithm cannot move a centroid from where two share one cluster to where one serves two. Here the
 * centroid that is missed least goes to the segment that gains most by two:
 *
 *   loss_j = sum over the customers of segment j of w (||x - c_second||^2 - ||x - c_j||^2), what they pay without c_j
 *   gain_j = W_0 W_1 / (W_0 + W_1) ||m_0 - m_1||^2, what segment j saves as two halves of weights W and means m
 *
 * Halves are found by 2-means in every segment at once, on the sample, from halves drawn at random: the sample is in memory
 * and small. A sample flatters the halves it was asked for, so losses and gains are measured on all customers, by one pass
 * over them a round. Exchanges are made in order of loss and of gain for as long as the gain is larger. A segment that was
 * split and the neighbour that takes over from a centroid keep theirs in that round: most of what was measured then still
 * holds, and a round lowers the objective but for what a neighbour of less weight may have lost at the same time.
 *
 * Labels and sums are exact and random halves are keyed by the global row, so the exchanges are the same on every layout.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define ROUNDS 4                       /* at most */
#define LLOYD_PASSES 8                 /* after each */
#define SPLIT_PASSES 8                 /* of 2-means on the sample */
#define WORTH 1e-6                     /* what a round must save, of the objective, to be made */
#define MOST_VALUES (INT64_C(1) << 18) /* k (d + 12): each thread holds sums of 2 k segments and k exact sums */

/* Per thread. */
typedef struct part {
    dm_tile tile;
    int32_t *from, *to, *label, *runner; /* [DM_BLOCK_ROWS], from all -1 */
    double *squared, *q_own, *q_runner;  /* [DM_BLOCK_ROWS] */
    dm_exact_sum *loss;                  /* [k] */
    dm_exact_sum objective;
} part;

typedef struct exchange {
    dm_kmeans *km;
    int32_t k;
    dm_centers centers;
    double *next;         /* [k, d] */
    double *half;         /* [2 k, d] means of the two halves of each segment */
    bool *whole;          /* [k] there is one half only */
    bool drawn;           /* halves are those of `half`, not random */
    int32_t *of_sample;   /* labels of the sample's rows on this rank */
    dm_segment_sums sums; /* of the halves */
    part *part;           /* [threads] */
    double *loss, *gain;  /* [k] */
    double objective;
} exchange;

static void exchange_destroy(exchange *e)
{
    for (int t = 0; t < e->km->threads && e->part != NULL; t++) {
        part *p = &e->part[t];
        e->km->settled += p->tile.settled;
        dm_tile_destroy(&p->tile);
        dm_free(p->from);
        dm_free(p->to);
        dm_free(p->label);
        dm_free(p->runner);
        dm_free(p->squared);
        dm_free(p->q_own);
        dm_free(p->q_runner);
        dm_free(p->loss);
    }
    dm_free(e->part);
    dm_centers_destroy(&e->centers);
    dm_segment_sums_destroy(&e->sums);
    dm_free(e->next);
    dm_free(e->half);
    dm_free(e->whole);
    dm_free(e->of_sample);
    dm_free(e->loss);
    dm_free(e->gain);
}

static demarc_status exchange_create(exchange *e, dm_kmeans *km, int32_t k, int64_t sample_rows)
{
    demarc_status st = DEMARC_OK;
    *e = (exchange){.km = km, .k = k};
    DM_TRY(dm_centers_create(&e->centers, k, km->d));
    DM_TRY(dm_segment_sums_create(&e->sums, 2 * k, km->d, km->threads));
    DM_TRY(dm_alloc(e->next, (int64_t)k * km->d, "exchange"));
    DM_TRY(dm_alloc(e->half, 2 * (int64_t)k * km->d, "exchange"));
    DM_TRY(dm_alloc(e->whole, k, "exchange"));
    DM_TRY(dm_alloc(e->of_sample, sample_rows, "exchange"));
    DM_TRY(dm_alloc(e->loss, k, "exchange"));
    DM_TRY(dm_alloc(e->gain, k, "exchange"));
    DM_TRY(dm_alloc_zero(e->part, km->threads, "exchange"));
    for (int t = 0; t < km->threads; t++) {
        part *p = &e->part[t];
        DM_TRY(dm_tile_create(&p->tile, k));
        DM_TRY(dm_alloc(p->from, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->to, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->label, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->runner, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->squared, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->q_own, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->q_runner, DM_BLOCK_ROWS, "exchange"));
        DM_TRY(dm_alloc(p->loss, k, "exchange"));
        for (int64_t r = 0; r < DM_BLOCK_ROWS; r++) p->from[r] = -1;
    }
cleanup:
    return st;
}

/* The half of segment j that x is nearer to; ties to the first. */
static int32_t half_of(const exchange *e, int32_t j, const float *x)
{
    const int32_t d = e->km->d;
    const double *first = e->half + 2 * (int64_t)j * d;
    if (e->whole[j]) return 2 * j;
    const dmk_table *kernel = e->km->kernel;
    return 2 * j + (kernel->squared_distance(x, first + d, d) < kernel->squared_distance(x, first, d));
}

/* Rows of the sample: first their segments and random halves, then the halves they are nearer to. */
static void sample_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    exchange *e = context;
    const dm_kmeans *km = e->km;
    const int64_t d = km->d, local = begin - km->sample->first;
    part *p = &e->part[thread];
    int32_t *label = e->of_sample + local;
    if (!e->drawn) dm_nearest(km->kernel, &e->centers, &p->tile, x, rows, label);
    const uint64_t step = ((uint64_t)km->at.restart << 16) + (uint64_t)km->at.level;
    for (int64_t r = 0; r < rows; r++) {
        if (e->drawn) {
            p->to[r] = half_of(e, label[r], x + r * d);
        } else {
            const uint64_t row = (uint64_t)dm_row_sample_row(km->sample, local + r);
            p->to[r] = 2 * label[r] + (int32_t)(dm_random(km->seed, DM_PURPOSE_EXCHANGE, step, row).v[0] >> 31);
        }
    }
    dm_segment_sums_move(&e->sums, &km->grid, km->kernel, thread, x, w, p->from, p->to, rows);
}

/* All rows: what their segments would lose and gain. */
static void judge_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    (void)begin;
    exchange *e = context;
    const dm_kmeans *km = e->km;
    part *p = &e->part[thread];
    p->tile.ahead = km->d;
    dm_nearest_two(km->kernel, &e->centers, &p->tile, x, rows, p->label, p->runner, p->squared, p->q_own, p->q_runner);
    for (int64_t r = 0; r < rows; r++) {
        const double weight = w == NULL ? 1.0 : (double)w[r];
        p->to[r] = half_of(e, p->label[r], x + r * km->d);
        dm_exact_sum_add(&p->loss[p->label[r]], weight * (p->q_runner[r] - p->q_own[r]));
        dm_exact_sum_add(&p->objective, weight * p->squared[r]);
    }
    dm_segment_sums_move(&e->sums, &km->grid, km->kernel, thread, x, w, p->from, p->to, rows);
}

/* One pass of fn; the means of the halves that come of it. */
static demarc_status halves(exchange *e, dm_block_fn fn)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = e->km;
    dm_segment_sums_start(&e->sums, 2 * e->k);
    DM_TRY_ALL(km->comm, dm_kmeans_pass(km, fn, e));
    DM_TRY(dm_segment_sums_reduce(&e->sums, km->comm));
    for (int32_t j = 0; j < e->k; j++) {
        double *first = e->half + 2 * (int64_t)j * km->d;
        const bool one = dm_segment_sums_mean(&e->sums, &km->grid, 2 * j, first),
                   other = dm_segment_sums_mean(&e->sums, &km->grid, 2 * j + 1, first + km->d);
        e->whole[j] = !(one && other);
    }
    e->drawn = true;
cleanup:
    return st;
}

static demarc_status judge(exchange *e)
{
    demarc_status st = DEMARC_OK;
    const dm_kmeans *km = e->km;
    part *all = &e->part[0];
    for (int t = 0; t < km->threads; t++) {
        memset(e->part[t].loss, 0, (size_t)e->k * sizeof *e->part[t].loss);
        e->part[t].objective = (dm_exact_sum){0};
    }
    DM_TRY(halves(e, judge_block));
    for (int t = 1; t < km->threads; t++) {
        for (int32_t j = 0; j < e->k; j++) dm_exact_sum_merge(&all->loss[j], &e->part[t].loss[j]);
        dm_exact_sum_merge(&all->objective, &e->part[t].objective);
    }
    dm_comm_sum_exact(km->comm, all->loss, e->k);
    dm_comm_sum_exact(km->comm, &all->objective, 1);
    e->objective = dm_exact_sum_value(&all->objective);
    for (int32_t j = 0; j < e->k; j++) {
        const double *first = e->half + 2 * (int64_t)j * km->d, *second = first + km->d;
        const double w0 = dm_segment_sums_weight(&e->sums, &km->grid, 2 * j),
                     w1 = dm_segment_sums_weight(&e->sums, &km->grid, 2 * j + 1);
        double apart = 0.0;
        for (int32_t f = 0; f < km->d; f++) apart += (first[f] - second[f]) * (first[f] - second[f]);
        e->loss[j] = dm_exact_sum_value(&all->loss[j]);
        e->gain[j] = e->whole[j] ? 0.0 : w0 * w1 / (w0 + w1) * apart;
    }
cleanup:
    return st;
}

typedef struct ranked {
    double value;
    int32_t j;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->j > y->j) - (x->j < y->j);
}

static int32_t nearest_other(const dm_centers *c, int32_t j)
{
    int32_t best = -1;
    double least = INFINITY;
    for (int32_t i = 0; i < c->k; i++) {
        double squared = 0.0;
        for (int64_t f = 0; f < c->d; f++) {
            const double t = c->c[i * (int64_t)c->d + f] - c->c[j * (int64_t)c->d + f];
            squared += t * t;
        }
        if (i == j || squared >= least) continue;
        least = squared;
        best = i;
    }
    return best;
}

/*
 * Who goes where, by losses and gains. next [k, d] = the centroids then, *saved = what that should take off the objective.
 */
static demarc_status exchange_some(exchange *e, double *next, int32_t *exchanges, double *saved)
{
    enum { FREE, GONE, KEPT };
    demarc_status st = DEMARC_OK;
    const int32_t k = e->k;
    const size_t row = (size_t)e->km->d * sizeof *next;
    ranked *low = NULL, *high = NULL;
    uint8_t *state = NULL;
    *exchanges = 0;
    *saved = 0.0;
    DM_TRY(dm_alloc(low, k, "exchange"));
    DM_TRY(dm_alloc(high, k, "exchange"));
    DM_TRY(dm_alloc_zero(state, k, "exchange"));
    for (int32_t j = 0; j < k; j++) {
        low[j] = (ranked){e->loss[j], j};
        high[j] = (ranked){-e->gain[j], j};
    }
    qsort(low, (size_t)k, sizeof *low, by_value);
    qsort(high, (size_t)k, sizeof *high, by_value);
    for (int32_t l = 0, h = 0; l < k; l++) {
        const int32_t from = low[l].j;
        if (state[from] != FREE) continue;
        while (h < k && state[high[h].j] != FREE) h++;
        int32_t g = h;
        while (g < k && (state[high[g].j] != FREE || high[g].j == from)) g++;
        if (g == k || !(e->gain[high[g].j] > e->loss[from])) {
            if (g != h) continue; /* it gains most itself; the next may take that */
            break;
        }
        const int32_t to = high[g].j, neighbour = nearest_other(&e->centers, from);
        if (state[neighbour] == GONE || neighbour == to) continue;
        state[from] = GONE;
        state[to] = state[neighbour] = KEPT;
        memcpy(next + (int64_t)to * e->km->d, e->half + 2 * (int64_t)to * e->km->d, row);
        memcpy(next + (int64_t)from * e->km->d, e->half + (2 * (int64_t)to + 1) * e->km->d, row);
        ++*exchanges;
        *saved += e->gain[to] - e->loss[from];
    }
cleanup:
    dm_free(low);
    dm_free(high);
    dm_free(state);
    return st;
}

/* One round of exchanges in at->centroids; *made = false: not worth it, they are as they were. */
static demarc_status one_round(exchange *e, dm_row_sample *sample, bool *made)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = e->km;
    dm_position *at = &km->at;
    int32_t exchanges = 0;
    double saved = 0.0, shift = 0.0;
    dm_centers_set(&e->centers, e->k, at->centroids, NULL);
    memcpy(e->next, at->centroids, (size_t)e->k * (size_t)km->d * sizeof *e->next);
    km->sample = sample;
    e->drawn = false;
    for (int pass = 0; pass <= SPLIT_PASSES; pass++) DM_TRY(halves(e, sample_block));
    km->sample = NULL;
    DM_TRY(judge(e));
    DM_TRY_ALL(km->comm, exchange_some(e, e->next, &exchanges, &saved));
    *made = saved > WORTH * e->objective;
    if (*made) shift = dm_adopt(km, e->k, e->next, at->centroids);
    at->trace.iterations++;
    DM_TRY_ALL(km->comm, dm_trace_add(&at->trace, "exchange", at->trace.iterations, e->objective, shift));
    dm_log_detail(km->log, "exchange %d: objective %.9g, %d of %d centroids would save %.3g", (int)at->level + 1,
                  e->objective, (int)exchanges, (int)e->k, saved);
cleanup:
    km->sample = NULL;
    return st;
}

bool dm_exchange_wanted(const dm_kmeans *km, const dm_kmeans_options *o)
{
    return o->algorithm == DEMARC_MINIBATCH && o->init == DM_INIT_PARALLEL && o->k > 2 &&
           (int64_t)o->k * (km->d + 12) <= MOST_VALUES && dm_seed_once(km, o->k);
}

demarc_status dm_exchange(dm_kmeans *km, const dm_kmeans_options *o, int32_t passes)
{
    demarc_status st = DEMARC_OK;
    dm_position *at = &km->at;
    dm_row_sample *sample = km->sample;
    exchange e = {.km = km};
    dm_segment_sums sums = {0};
    double objective = 0.0;
    DM_TRY(dm_row_sample_use(sample, sample->levels - 1));
    km->sample = NULL;
    st = exchange_create(&e, km, o->k, dm_row_sample_rows(sample));
    if (st == DEMARC_OK) st = dm_segment_sums_create(&sums, o->k, km->d, km->threads);
    DM_TRY_ALL(km->comm, st);
    DM_TRY(dm_kmeans_remember(km, o->k));
    for (; at->level < ROUNDS && at->trace.iterations < passes; at->level++, at->pass = 0) {
        if (at->pass == 0) { /* 0: the exchanges are due; then 1 + Lloyd passes that are done */
            bool made = false;
            DM_TRY(dm_kmeans_edge(km));
            const double start = dm_clock();
            const int64_t read_before = dm_rows_bytes_read(km->rows);
            DM_TRY(one_round(&e, sample, &made));
            km->polish_seconds += dm_clock() - start;
            km->polish_bytes += dm_rows_bytes_read(km->rows) - read_before;
            if (!made && at->trace.converged) break; /* nothing left to move for either */
            at->pass = 1;
        }
        const int32_t done = at->trace.iterations - (at->pass - 1), left = passes - done;
        DM_TRY(dm_lloyd(km, o, 1 + (left < LLOYD_PASSES ? left : LLOYD_PASSES), &objective, &sums));
    }
cleanup:
    km->sample = sample;
    exchange_destroy(&e);
    dm_segment_sums_destroy(&sums);
    return st;
}
