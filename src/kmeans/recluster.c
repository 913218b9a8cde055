/*
 * Weighted k-means on a few thousand points: the last step of seeding, where quality is cheap.
 *
 * Each trial: greedy k-means++ (Arthur & Vassilvitskii 2007: of 2 + log k draws by D^2 the one that lowers the objective
 * most), or a given start; then LS++ swaps (Lattanzi & Sohler 2019: draw a point by D^2, exchange it for the centre whose
 * loss is least if that lowers the objective); then Lloyd. The number of trials and swaps follows a budget of arithmetic,
 * so that large k d stays a matter of a second. Rank 0 runs it alone; its threads share the trials, each of which has
 * random numbers of its own (threads within a trial would meet after every centre, a millisecond apart). Distances are single
 * precision, of points about their mean, lanes over points, the same bits with every kernel variant; Lloyd's labels are
 * exact and its means double. Sums over points are sums over chunks of sums over lanes, in that order on any layout.
 */
#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define MOST_TRIALS 16
#define MOST_PASSES 100
#define LANES 8           /* partial sums over points, added in a fixed order */
#define CHUNK 1024        /* points between two partial sums: whole tiles that stay in the cache */
#define MOST_PROPOSALS 16 /* more than 2 + log k is for any k */
#define GREEDY 24.0       /* times the budget, for proposals: they decide what a large search ends with */

/* What all trials share. */
typedef struct problem {
    const dm_recluster_options *o;
    const double *w;
    double *mean;       /* [d] of all points */
    double *y;          /* [m, d] distances from it: what is left for rounding is small */
    float *row, *tiles; /* [m, d], and as the kernel's distances_to() takes them: y rounded */
    int64_t m;
    int64_t padded; /* m rounded up to whole tiles */
    int64_t chunks;
    int32_t d, k;
    int32_t proposals, passes, swaps; /* greedy draws per centre, Lloyd passes at most, LS++ steps */
} problem;

/* One trial at work. */
typedef struct trial {
    const problem *p;
    uint64_t draws;         /* numbers the random numbers used */
    double *c;              /* [k, d] */
    float *near1, *near2;   /* [m] squared distance to the nearest and second nearest centre */
    int32_t *at1, *at2;     /* [m] which */
    float *fresh;           /* [MOST_PROPOSALS, padded] squared distances to proposed centres */
    float *center;          /* [MOST_PROPOSALS, d] */
    double *mass;           /* [chunks] sum of w near1 */
    double *with;           /* [chunks, MOST_PROPOSALS] sum of w min(near1, fresh) */
    double *squared, *loss; /* [m], [k] */
    double *sum, *weight;   /* [k, d], [k] */
    dm_centers centers;
    dm_tile tile;
} trial;

static double next_uniform(trial *t)
{
    const dm_random4 r = dm_random(t->p->o->seed, DM_PURPOSE_SEED_RECLUSTER, t->p->o->stream, t->draws++);
    return dm_uniform(r.v[0], r.v[1]);
}

static double total_of(const double lane[LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* sum of w min(a, b) over the points of a chunk. */
static double chunk_sum(const problem *p, int64_t chunk, const float *a, const float *b)
{
    double lane[LANES] = {0.0};
    int64_t i = chunk * CHUNK;
    const int64_t end = i + CHUNK < p->m ? i + CHUNK : p->m;
    for (; i + LANES <= end; i += LANES) {
        for (int l = 0; l < LANES; l++) lane[l] += p->w[i + l] * (double)(a[i + l] < b[i + l] ? a[i + l] : b[i + l]);
    }
    for (; i < end; i++) lane[0] += p->w[i] * (double)(a[i] < b[i] ? a[i] : b[i]);
    return total_of(lane);
}

/* The objective of the centres so far, by `mass`. */
static double total_mass(const trial *t)
{
    double total = 0.0;
    for (int64_t i = 0; i < t->p->chunks; i++) total += t->mass[i];
    return total;
}

/* A point drawn with probability proportional to w x near1; -1 when all mass is 0. */
static int64_t draw_point(trial *t)
{
    const problem *p = t->p;
    const double total = total_mass(t);
    if (!(total > 0.0)) return -1;
    double left = next_uniform(t) * total;
    int64_t chunk = 0, last = -1;
    while (chunk < p->chunks - 1 && left >= t->mass[chunk]) left -= t->mass[chunk++];
    while (chunk > 0 && !(t->mass[chunk] > 0.0)) chunk--; /* by rounding left may exceed all that is there */
    for (int64_t i = chunk * CHUNK; i < p->m && i < (chunk + 1) * CHUNK; i++) {
        const double mass = p->w[i] * (double)t->near1[i];
        if (!(mass > 0.0)) continue;
        last = i;
        left -= mass;
        if (left < 0.0) break;
    }
    return last;
}

/* fresh[a] = distances to the `count` centres from[a] [d], and `with`. */
static void look_from(trial *t, const double *const *from, int32_t count)
{
    const problem *p = t->p;
    for (int32_t a = 0; a < count; a++) {
        for (int64_t f = 0; f < p->d; f++) t->center[a * p->d + f] = (float)from[a][f];
    }
    for (int64_t i = 0; i < p->chunks; i++) {
        const int64_t begin = i * CHUNK, rows = begin + CHUNK < p->m ? CHUNK : p->m - begin;
        p->o->kernel->distances_to(p->tiles + begin * p->d, rows, p->d, t->center, count, t->fresh + begin, p->padded);
        for (int32_t a = 0; a < count; a++) {
            t->with[i * MOST_PROPOSALS + a] = chunk_sum(p, i, t->near1, t->fresh + a * p->padded);
        }
    }
}

/* The objective if centre a of the last look were added. */
static double objective_with(const trial *t, int32_t a)
{
    double total = 0.0;
    for (int64_t i = 0; i < t->p->chunks; i++) total += t->with[i * MOST_PROPOSALS + a];
    return total;
}

/* Centre j is the a-th of the last look: the nearest two of every point, and `mass`. */
static void add_center(trial *t, int32_t j, int32_t a)
{
    const problem *p = t->p;
    const float *fresh = t->fresh + a * p->padded;
    for (int64_t i = 0; i < p->chunks; i++) {
        const int64_t end = (i + 1) * CHUNK < p->m ? (i + 1) * CHUNK : p->m;
        for (int64_t q = i * CHUNK; q < end; q++) {
            const bool first = fresh[q] < t->near1[q], second = fresh[q] < t->near2[q];
            t->near2[q] = first ? t->near1[q] : second ? fresh[q] : t->near2[q];
            t->at2[q] = first ? t->at1[q] : second ? j : t->at2[q];
            t->near1[q] = first ? fresh[q] : t->near1[q];
            t->at1[q] = first ? j : t->at1[q];
        }
        t->mass[i] = chunk_sum(p, i, t->near1, t->near1);
    }
}

static void no_centers(trial *t)
{
    for (int64_t q = 0; q < t->p->m; q++) {
        t->near1[q] = t->near2[q] = FLT_MAX;
        t->at1[q] = t->at2[q] = 0;
    }
}

static void plus_plus(trial *t)
{
    const problem *p = t->p;
    double total = 0.0;
    for (int64_t i = 0; i < p->m; i++) total += p->w[i];
    double left = next_uniform(t) * total;
    int64_t first = 0;
    while (first < p->m - 1 && (left -= p->w[first]) >= 0.0) first++;
    no_centers(t);
    memcpy(t->c, p->y + first * p->d, (size_t)p->d * sizeof *t->c);
    look_from(t, &(const double *){t->c}, 1);
    add_center(t, 0, 0);
    for (int32_t j = 1; j < p->k; j++) {
        const double *from[MOST_PROPOSALS];
        double best = INFINITY;
        int32_t count = 0, chosen = -1;
        while (count < p->proposals) {
            const int64_t i = draw_point(t);
            if (i < 0) break;
            from[count++] = p->y + i * p->d;
        }
        look_from(t, from, count);
        for (int32_t a = 0; a < count; a++) {
            const double objective = objective_with(t, a);
            if (objective < best) {
                best = objective;
                chosen = a;
            }
        }
        if (chosen < 0) { /* fewer distinct points than centres: repeat the first; Lloyd will report it empty */
            memcpy(t->c + (int64_t)j * p->d, t->c, (size_t)p->d * sizeof *t->c);
            continue;
        }
        memcpy(t->c + (int64_t)j * p->d, from[chosen], (size_t)p->d * sizeof *t->c);
        add_center(t, j, chosen);
    }
}

static void given_start(trial *t)
{
    const problem *p = t->p;
    for (int64_t i = 0; i < (int64_t)p->k * p->d; i++) t->c[i] = p->o->start[i] - p->mean[i % p->d];
    no_centers(t);
    for (int32_t j = 0; j < p->k; j++) {
        look_from(t, &(const double *){t->c + (int64_t)j * p->d}, 1);
        add_center(t, j, 0);
    }
}

/* The nearest two of one point, from all centres. */
static void nearest_two_of(trial *t, int64_t i)
{
    const problem *p = t->p;
    t->near1[i] = t->near2[i] = FLT_MAX;
    for (int32_t j = 0; j < p->k; j++) {
        const float s = (float)p->o->kernel->squared_distance(p->row + i * p->d, t->c + (int64_t)j * p->d, p->d);
        if (s < t->near1[i]) {
            t->near2[i] = t->near1[i];
            t->at2[i] = t->at1[i];
            t->near1[i] = s;
            t->at1[i] = j;
        } else if (s < t->near2[i]) {
            t->near2[i] = s;
            t->at2[i] = j;
        }
    }
}

/* One LS++ step; needs near1, near2, at1, at2. */
static void swap_step(trial *t)
{
    const problem *p = t->p;
    const int64_t i = draw_point(t);
    if (i < 0) return;
    const double now = total_mass(t);
    look_from(t, &(const double *){p->y + i * p->d}, 1);
    const double with = objective_with(t, 0);
    memset(t->loss, 0, (size_t)p->k * sizeof *t->loss);
    for (int64_t q = 0; q < p->m; q++) {
        const float keep = t->near1[q] < t->fresh[q] ? t->near1[q] : t->fresh[q];
        const float lost = t->near2[q] < t->fresh[q] ? t->near2[q] : t->fresh[q];
        t->loss[t->at1[q]] += p->w[q] * (double)(lost - keep);
    }
    int32_t out = 0;
    for (int32_t j = 1; j < p->k; j++) {
        if (t->loss[j] < t->loss[out]) out = j;
    }
    if (!(with + t->loss[out] < now * (1.0 - 1e-6))) return;
    memcpy(t->c + (int64_t)out * p->d, p->y + i * p->d, (size_t)p->d * sizeof *t->c);
    for (int64_t q = 0; q < p->m; q++) {
        if (t->at1[q] == out || t->at2[q] == out) {
            nearest_two_of(t, q);
        } else if (t->fresh[q] < t->near1[q]) {
            t->near2[q] = t->near1[q];
            t->at2[q] = t->at1[q];
            t->near1[q] = t->fresh[q];
            t->at1[q] = out;
        } else if (t->fresh[q] < t->near2[q]) {
            t->near2[q] = t->fresh[q];
            t->at2[q] = out;
        }
    }
    for (int64_t chunk = 0; chunk < p->chunks; chunk++) t->mass[chunk] = chunk_sum(p, chunk, t->near1, t->near1);
}

/* Lloyd in place; returns the objective of the final centres. */
static double small_lloyd(trial *t)
{
    const problem *p = t->p;
    double before = INFINITY;
    for (int pass = 0; pass <= p->passes; pass++) {
        dm_centers_set(&t->centers, p->k, t->c, NULL);
        dm_nearest_distance(p->o->kernel, &t->centers, &t->tile, p->row, p->m, t->at1, t->squared);
        double now = 0.0;
        for (int64_t i = 0; i < p->m; i++) now += p->w[i] * t->squared[i];
        if (pass == p->passes || !(now < before * (1.0 - 1e-9))) return now;
        before = now;
        memset(t->sum, 0, (size_t)p->k * (size_t)p->d * sizeof *t->sum);
        memset(t->weight, 0, (size_t)p->k * sizeof *t->weight);
        for (int64_t i = 0; i < p->m; i++) {
            double *s = t->sum + (int64_t)t->at1[i] * p->d;
            for (int32_t f = 0; f < p->d; f++) s[f] += p->w[i] * p->y[i * p->d + f];
            t->weight[t->at1[i]] += p->w[i];
        }
        for (int32_t j = 0; j < p->k; j++) {
            if (!(t->weight[j] > 0.0)) continue;
            for (int32_t f = 0; f < p->d; f++)
                t->c[(int64_t)j * p->d + f] = t->sum[(int64_t)j * p->d + f] / t->weight[j];
        }
    }
    return before;
}

static double run_trial(trial *t, int32_t number)
{
    t->draws = (uint64_t)number << 32;
    if (number == 1 && t->p->o->start != NULL) {
        given_start(t);
    } else {
        plus_plus(t);
    }
    /* Swaps lead all trials to the same few points; every fourth trial goes without, for variety. */
    if (t->p->k > 1 && number % 4 != 3) {
        for (int32_t s = 0; s < t->p->swaps; s++) swap_step(t);
    }
    return small_lloyd(t);
}

static void trial_destroy(trial *t)
{
    dm_free(t->c);
    dm_free(t->near1);
    dm_free(t->near2);
    dm_free(t->at1);
    dm_free(t->at2);
    dm_free(t->fresh);
    dm_free(t->center);
    dm_free(t->mass);
    dm_free(t->with);
    dm_free(t->squared);
    dm_free(t->loss);
    dm_free(t->sum);
    dm_free(t->weight);
    dm_centers_destroy(&t->centers);
    dm_tile_destroy(&t->tile);
}

static demarc_status trial_create(trial *t, const problem *p)
{
    demarc_status st = DEMARC_OK;
    const int64_t kd = (int64_t)p->k * p->d;
    *t = (trial){.p = p};
    DM_TRY(dm_alloc(t->c, kd, "reclustering"));
    DM_TRY(dm_alloc(t->near1, p->m, "reclustering"));
    DM_TRY(dm_alloc(t->near2, p->m, "reclustering"));
    DM_TRY(dm_alloc(t->at1, p->m, "reclustering"));
    DM_TRY(dm_alloc(t->at2, p->m, "reclustering"));
    DM_TRY(dm_alloc(t->fresh, p->proposals * p->padded, "reclustering"));
    DM_TRY(dm_alloc(t->center, (int64_t)p->proposals * p->d, "reclustering"));
    DM_TRY(dm_alloc(t->mass, p->chunks, "reclustering"));
    DM_TRY(dm_alloc(t->with, p->chunks * MOST_PROPOSALS, "reclustering"));
    DM_TRY(dm_alloc(t->squared, p->m, "reclustering"));
    DM_TRY(dm_alloc(t->loss, p->k, "reclustering"));
    DM_TRY(dm_alloc(t->sum, kd, "reclustering"));
    DM_TRY(dm_alloc(t->weight, p->k, "reclustering"));
    DM_TRY(dm_centers_create(&t->centers, p->k, p->d));
    DM_TRY(dm_tile_create(&t->tile, p->k));
cleanup:
    return st;
}

/* Proposals, passes, swaps of a trial by the budget; returns the number of trials. */
static int32_t plan(problem *p)
{
    const double budget = p->o->budget;
    /* Costs in multiply-adds: looking at all points once; a full assignment is k looks, a swap about three. */
    const double look = (double)p->m * (p->d + 4.0), full = look * p->k;
    p->proposals = (int32_t)fmin(2.0 + log((double)p->k), fmax(1.0, GREEDY * budget / full));
    if (p->proposals > MOST_PROPOSALS) p->proposals = MOST_PROPOSALS;
    p->passes = (int32_t)fmin(MOST_PASSES, fmax(2.0, budget / full));
    const double once = full * (p->proposals + 1.0) + fmin(10.0, p->passes) * full;
    p->swaps = (int32_t)fmin(20.0 * p->k, fmax(0.0, (budget / 4.0 - once) / (3.0 * look)));
    const int32_t most = p->o->most_trials > 0 && p->o->most_trials < MOST_TRIALS ? p->o->most_trials : MOST_TRIALS;
    return (int32_t)fmin(most, fmax(1.0, budget / (once + 3.0 * p->swaps * look)));
}

bool dm_recluster_wants_start(const dm_recluster_options *o, int64_t m, int32_t d, int32_t k)
{
    problem p = {.o = o, .m = m, .d = d, .k = k};
    return plan(&p) > 1;
}

demarc_status dm_recluster(const dm_recluster_options *o, const double *y, const double *w, int64_t m, int32_t d,
                           int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    problem p = {.o = o, .w = w, .m = m, .d = d, .k = k};
    const int64_t kd = (int64_t)k * d;
    p.padded = (m + DMK_TILE_POINTS - 1) / DMK_TILE_POINTS * DMK_TILE_POINTS;
    p.chunks = (m + CHUNK - 1) / CHUNK;
    trial *at = NULL; /* [threads] */
    double objective[MOST_TRIALS], *found = NULL;
    const int32_t trials = plan(&p);
    const int threads = o->threads < trials ? o->threads : trials;
    DM_TRY(dm_alloc_zero(p.mean, d, "reclustering"));
    DM_TRY(dm_alloc(p.y, m * d, "reclustering"));
    DM_TRY(dm_alloc(p.row, m * d, "reclustering"));
    DM_TRY(dm_alloc_zero(p.tiles, p.padded * d, "reclustering"));
    double total = 0.0;
    for (int64_t i = 0; i < m; i++) {
        total += w[i];
        for (int64_t f = 0; f < d; f++) p.mean[f] += w[i] * y[i * d + f];
    }
    for (int64_t f = 0; f < d; f++) p.mean[f] /= total;
    for (int64_t i = 0; i < m; i++) {
        float *column = p.tiles + i / DMK_TILE_POINTS * DMK_TILE_POINTS * d + i % DMK_TILE_POINTS;
        for (int64_t f = 0; f < d; f++) {
            p.y[i * d + f] = y[i * d + f] - p.mean[f];
            p.row[i * d + f] = column[f * DMK_TILE_POINTS] = (float)p.y[i * d + f];
        }
    }
    DM_TRY(dm_alloc_zero(at, threads, "reclustering"));
    DM_TRY(dm_alloc(found, trials * kd, "reclustering"));
    for (int t = 0; t < threads; t++) DM_TRY(trial_create(&at[t], &p));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int32_t number = 0; number < trials; number++) {
        trial *t = &at[omp_get_thread_num()];
        objective[number] = run_trial(t, number);
        memcpy(found + number * kd, t->c, (size_t)kd * sizeof *found);
    }
    int32_t best = 0;
    for (int32_t number = 1; number < trials; number++) {
        if (objective[number] < objective[best]) best = number;
    }
    for (int64_t i = 0; i < kd; i++) centroids[i] = found[best * kd + i] + p.mean[i % d];
cleanup:
    for (int t = 0; t < threads && at != NULL; t++) trial_destroy(&at[t]);
    dm_free(at);
    dm_free(found);
    dm_free(p.mean);
    dm_free(p.y);
    dm_free(p.row);
    dm_free(p.tiles);
    return st;
}
