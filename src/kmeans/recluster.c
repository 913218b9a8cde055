/*
 * Weighted k-means on a few thousand points: the last step of k-means||, where quality is cheap.
 *
 * Each trial: greedy k-means++ (Arthur & Vassilvitskii 2007: of 2 + log k draws by D^2 the one that lowers the objective
 * most), then LS++ swaps (Lattanzi & Sohler 2019: draw a point by D^2, exchange it for the centre whose loss is least
 * if that lowers the objective), then Lloyd. The number of trials and swaps follows a budget of arithmetic, so that
 * large k d stays a matter of a second. Plain sequential double precision: rank 0 runs it alone.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define BUDGET 4e8 /* multiply-adds for all trials together */
#define MOST_TRIALS 16
#define MOST_PASSES 100

typedef struct problem {
    const double *y, *w;
    int64_t m;
    int32_t d, k;
    int32_t proposals, passes;    /* greedy draws per centre, Lloyd passes at most */
    uint64_t seed, stream, draws; /* draws numbers the random numbers used */
    double *near1, *near2;        /* [m] squared distance to the nearest and second nearest centre */
    int32_t *at1, *at2;           /* [m] which */
    double *fresh;                /* [m] squared distance to a proposed centre */
    double *best_fresh;           /* [m] the same for the best proposal */
    double *loss;                 /* [k] */
    double *sum, *weight;         /* [k, d], [k] */
} problem;

static double squared(const double *a, const double *b, int32_t d)
{
    double s = 0.0;
    for (int32_t f = 0; f < d; f++) s += (a[f] - b[f]) * (a[f] - b[f]);
    return s;
}

static double next_uniform(problem *p)
{
    const dm_random4 r = dm_random(p->seed, DM_PURPOSE_SEED_RECLUSTER, p->stream, p->draws++);
    return dm_uniform(r.v[0], r.v[1]);
}

/* A point drawn with probability proportional to w x near1; -1 when all mass is 0. */
static int64_t draw_point(problem *p)
{
    double total = 0.0;
    for (int64_t i = 0; i < p->m; i++) total += p->w[i] * p->near1[i];
    if (!(total > 0.0)) return -1;
    double left = next_uniform(p) * total;
    int64_t last = -1;
    for (int64_t i = 0; i < p->m; i++) {
        const double mass = p->w[i] * p->near1[i];
        if (!(mass > 0.0)) continue;
        last = i;
        left -= mass;
        if (left < 0.0) break;
    }
    return last;
}

static void distances_to(const problem *p, const double *center, double *out)
{
    for (int64_t i = 0; i < p->m; i++) out[i] = squared(p->y + i * p->d, center, p->d);
}

static double objective_of(const problem *p)
{
    double total = 0.0;
    for (int64_t i = 0; i < p->m; i++) total += p->w[i] * p->near1[i];
    return total;
}

static void plus_plus(problem *p, double *c)
{
    double total = 0.0;
    for (int64_t i = 0; i < p->m; i++) total += p->w[i];
    double left = next_uniform(p) * total;
    int64_t first = 0;
    while (first < p->m - 1 && (left -= p->w[first]) >= 0.0) first++;
    memcpy(c, p->y + first * p->d, (size_t)p->d * sizeof *c);
    distances_to(p, c, p->near1);
    for (int32_t j = 1; j < p->k; j++) {
        double best = INFINITY;
        int64_t chosen = -1;
        for (int32_t t = 0; t < p->proposals; t++) {
            const int64_t i = draw_point(p);
            if (i < 0) break;
            distances_to(p, p->y + i * p->d, p->fresh);
            double objective = 0.0;
            for (int64_t q = 0; q < p->m; q++) objective += p->w[q] * fmin(p->near1[q], p->fresh[q]);
            if (objective < best) {
                best = objective;
                chosen = i;
                double *exchange = p->best_fresh;
                p->best_fresh = p->fresh;
                p->fresh = exchange;
            }
        }
        if (chosen < 0) { /* fewer distinct points than centres: repeat the first; Lloyd will report it empty */
            memcpy(c + (int64_t)j * p->d, c, (size_t)p->d * sizeof *c);
            continue;
        }
        memcpy(c + (int64_t)j * p->d, p->y + chosen * p->d, (size_t)p->d * sizeof *c);
        for (int64_t q = 0; q < p->m; q++) p->near1[q] = fmin(p->near1[q], p->best_fresh[q]);
    }
}

static void nearest_two_of(problem *p, const double *c, int64_t i)
{
    double d1 = INFINITY, d2 = INFINITY;
    int32_t a1 = 0, a2 = 0;
    for (int32_t j = 0; j < p->k; j++) {
        const double s = squared(p->y + i * p->d, c + (int64_t)j * p->d, p->d);
        if (s < d1) {
            d2 = d1;
            a2 = a1;
            d1 = s;
            a1 = j;
        } else if (s < d2) {
            d2 = s;
            a2 = j;
        }
    }
    p->near1[i] = d1;
    p->near2[i] = d2;
    p->at1[i] = a1;
    p->at2[i] = a2;
}

/* One LS++ step; needs near1, near2, at1, at2. */
static void swap_step(problem *p, double *c)
{
    const int64_t i = draw_point(p);
    if (i < 0) return;
    const double now = objective_of(p);
    distances_to(p, p->y + i * p->d, p->fresh);
    double with = 0.0;
    memset(p->loss, 0, (size_t)p->k * sizeof *p->loss);
    for (int64_t q = 0; q < p->m; q++) {
        const double keep = fmin(p->near1[q], p->fresh[q]);
        with += p->w[q] * keep;
        p->loss[p->at1[q]] += p->w[q] * (fmin(p->near2[q], p->fresh[q]) - keep);
    }
    int32_t out = 0;
    for (int32_t j = 1; j < p->k; j++) {
        if (p->loss[j] < p->loss[out]) out = j;
    }
    if (!(with + p->loss[out] < now * (1.0 - 1e-12))) return;
    memcpy(c + (int64_t)out * p->d, p->y + i * p->d, (size_t)p->d * sizeof *c);
    for (int64_t q = 0; q < p->m; q++) {
        if (p->at1[q] == out || p->at2[q] == out) {
            nearest_two_of(p, c, q);
        } else if (p->fresh[q] < p->near1[q]) {
            p->near2[q] = p->near1[q];
            p->at2[q] = p->at1[q];
            p->near1[q] = p->fresh[q];
            p->at1[q] = out;
        } else if (p->fresh[q] < p->near2[q]) {
            p->near2[q] = p->fresh[q];
            p->at2[q] = out;
        }
    }
}

/* Lloyd in place; returns the objective of the final centres. */
static double small_lloyd(problem *p, double *c)
{
    double before = INFINITY;
    for (int pass = 0; pass <= p->passes; pass++) {
        for (int64_t i = 0; i < p->m; i++) nearest_two_of(p, c, i);
        const double now = objective_of(p);
        if (pass == p->passes || !(now < before * (1.0 - 1e-9))) return now;
        before = now;
        memset(p->sum, 0, (size_t)p->k * (size_t)p->d * sizeof *p->sum);
        memset(p->weight, 0, (size_t)p->k * sizeof *p->weight);
        for (int64_t i = 0; i < p->m; i++) {
            double *s = p->sum + (int64_t)p->at1[i] * p->d;
            for (int32_t f = 0; f < p->d; f++) s[f] += p->w[i] * p->y[i * p->d + f];
            p->weight[p->at1[i]] += p->w[i];
        }
        for (int32_t j = 0; j < p->k; j++) {
            if (!(p->weight[j] > 0.0)) continue;
            for (int32_t f = 0; f < p->d; f++) c[(int64_t)j * p->d + f] = p->sum[(int64_t)j * p->d + f] / p->weight[j];
        }
    }
    return before;
}

demarc_status dm_recluster(uint64_t seed, uint64_t stream, const double *y, const double *w, int64_t m, int32_t d,
                           int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    problem p = {.y = y, .w = w, .m = m, .d = d, .k = k, .seed = seed, .stream = stream};
    const int64_t kd = (int64_t)k * d;
    double *c = NULL;
    DM_TRY(dm_alloc(p.near1, m, "reclustering"));
    DM_TRY(dm_alloc(p.near2, m, "reclustering"));
    DM_TRY(dm_alloc(p.at1, m, "reclustering"));
    DM_TRY(dm_alloc(p.at2, m, "reclustering"));
    DM_TRY(dm_alloc(p.fresh, m, "reclustering"));
    DM_TRY(dm_alloc(p.best_fresh, m, "reclustering"));
    DM_TRY(dm_alloc(p.loss, k, "reclustering"));
    DM_TRY(dm_alloc(p.sum, kd, "reclustering"));
    DM_TRY(dm_alloc(p.weight, k, "reclustering"));
    DM_TRY(dm_alloc(c, kd, "reclustering"));
    /* Costs in multiply-adds: looking at all points once; a full assignment is k looks, a swap about three. */
    const double look = (double)m * (d + 4.0), full = look * k;
    p.proposals = (int32_t)fmin(2.0 + log((double)k), fmax(1.0, BUDGET / full));
    p.passes = (int32_t)fmin(MOST_PASSES, fmax(2.0, BUDGET / full));
    const double once = full * (p.proposals + 1.0) + fmin(10.0, p.passes) * full;
    const double swaps = fmin(20.0 * k, fmax(0.0, (BUDGET / 4.0 - once) / (3.0 * look)));
    const double trials = fmin(MOST_TRIALS, fmax(1.0, BUDGET / (once + 3.0 * swaps * look)));
    double best = INFINITY;
    for (int32_t t = 0; t < (int32_t)trials; t++) {
        plus_plus(&p, c);
        for (int64_t i = 0; i < m; i++) nearest_two_of(&p, c, i);
        /* Swaps lead all trials to the same few points; every second trial goes without, for variety. */
        for (int32_t s = 0; s < (int32_t)swaps && k > 1 && t % 2 == 0; s++) swap_step(&p, c);
        const double objective = small_lloyd(&p, c);
        if (objective < best || t == 0) {
            best = objective;
            memcpy(centroids, c, (size_t)kd * sizeof *c);
        }
    }
cleanup:
    dm_free(p.near1);
    dm_free(p.near2);
    dm_free(p.at1);
    dm_free(p.at2);
    dm_free(p.fresh);
    dm_free(p.best_fresh);
    dm_free(p.loss);
    dm_free(p.sum);
    dm_free(p.weight);
    dm_free(c);
    return st;
}
