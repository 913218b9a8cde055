#include "diagnosis/resampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "linalg/replicate_sums.h"
#include "stats/agreement.h"

/* Scratch of one thread. */
typedef struct scratch {
    float *x;             /* [m, d] */
    double *w;            /* [m] */
    int32_t *own, *other; /* [m] labels */
    int32_t *fitted;      /* [m] */
    double *c[2], *trial; /* [k, d] */
    double *cell;         /* [k, k + 2] */
    int64_t *count;       /* [k, k] */
    double *jaccard;      /* [k, k] */
    struct keyed {
        uint64_t key;
        int64_t at;
    } * order; /* [m] */
} scratch;

typedef struct resampling {
    const dm_sample_work *work;
    int32_t k;
    const double *centroids;
    scratch *part; /* [threads] */
} resampling;

static demarc_status scratch_create(scratch *s, int64_t m, int64_t d, int64_t k)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(s->x, m * d, "resampling"));
    DM_TRY(dm_alloc(s->w, m, "resampling"));
    DM_TRY(dm_alloc(s->own, m, "resampling"));
    DM_TRY(dm_alloc(s->other, m, "resampling"));
    DM_TRY(dm_alloc(s->fitted, m, "resampling"));
    DM_TRY(dm_alloc(s->trial, k * d, "resampling"));
    DM_TRY(dm_alloc(s->c[0], k * d, "resampling"));
    DM_TRY(dm_alloc(s->c[1], k * d, "resampling"));
    DM_TRY(dm_alloc(s->cell, k * (k + 2), "resampling"));
    DM_TRY(dm_alloc(s->count, k * k, "resampling"));
    DM_TRY(dm_alloc(s->jaccard, k * k, "resampling"));
    DM_TRY(dm_alloc(s->order, m, "resampling"));
cleanup:
    return st;
}

static void resampling_destroy(resampling *r)
{
    for (int t = 0; t < r->work->threads && r->part != NULL; t++) {
        scratch *s = &r->part[t];
        void *const owned[] = {s->fitted, s->trial, s->x,    s->w,     s->own,     s->other,
                               s->c[0],   s->c[1],  s->cell, s->count, s->jaccard, s->order};
        for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) dm_free(owned[i]);
    }
    dm_free(r->part);
}

static demarc_status resampling_create(resampling *r, const dm_sample_work *work, int32_t k)
{
    demarc_status st = DEMARC_OK;
    *r = (resampling){.work = work, .k = k};
    DM_TRY(dm_alloc_zero(r->part, work->threads, "resampling"));
    for (int t = 0; t < work->threads; t++) DM_TRY(scratch_create(&r->part[t], work->sample->m, work->sample->d, k));
cleanup:
    return st;
}

/* The best of several fits: away from the true number of segments one seeding may end in a poor optimum. */
static demarc_status fit_best(const resampling *r, dm_fitter *f, const float *x, const double *w, int64_t m, int32_t k,
                              uint64_t stream, double *centroids)
{
    demarc_status st = DEMARC_OK;
    scratch *s = &r->part[f->thread];
    double least = INFINITY;
    const uint64_t searches = m * k * r->work->sample->d <= DM_RESAMPLE_SMALL ? 4 : 2;
    for (uint64_t search = 0; search < searches; search++) {
        const uint64_t number = (search & 1) << 40 | (search >> 1) << 43; /* bits that dm_fit_stream() leaves */
        DM_TRY(dm_fitter_fit(f, x, w, m, k, number | stream, s->trial));
        const double objective = dm_fitter_label(f, s->trial, k, x, w, m, s->fitted);
        if (search > 0 && !(objective < least)) continue;
        least = objective;
        memcpy(centroids, s->trial, (size_t)k * (size_t)r->work->sample->d * sizeof *centroids);
    }
cleanup:
    return st;
}

/* A half or a replicate that has fewer customers than segments says nothing. */
static demarc_status too_few(demarc_status st, double *out, int32_t count)
{
    if (st != DEMARC_ERR_IMPOSSIBLE) return st;
    for (int32_t i = 0; i < count; i++) out[i] = (double)NAN;
    return DEMARC_OK;
}

/* Mean of what is defined of v[0], v[step], ... and how many that are. */
static double mean_of(const double *v, int64_t count, int64_t step, int64_t *counted)
{
    double sum = 0.0;
    *counted = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(v[i * step])) continue;
        sum += v[i * step];
        ++*counted;
    }
    return *counted > 0 ? sum / (double)*counted : (double)NAN;
}

/* ------------------------------------------------------------------------------------------------ prediction strength */

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The sample's rows, those of the first half first, each half in row order; returns the size of the first. */
static int64_t halve(const dm_sample_work *work, scratch *s, int64_t halving)
{
    const dm_fit_sample *sample = work->sample;
    const int64_t m = sample->m, first = m / 2;
    for (int64_t i = 0; i < m; i++) {
        const dm_random4 r = dm_random(work->seed, DM_PURPOSE_HALVES, (uint64_t)halving, (uint64_t)sample->row[i]);
        s->order[i] = (struct keyed){((uint64_t)r.v[0] << 32) | r.v[1], i};
    }
    qsort(s->order, (size_t)m, sizeof *s->order, by_key);
    for (int64_t i = 0; i < m; i++) s->own[s->order[i].at] = i < first ? 0 : 1;
    for (int64_t i = 0, to[2] = {0, first}; i < m; i++) {
        const int64_t at = to[s->own[i]]++;
        memcpy(s->x + at * sample->d, sample->x + i * sample->d, (size_t)sample->d * sizeof *s->x);
        s->w[at] = work->weight[i];
    }
    return first;
}

/* Least share, over the segments `own` of a half, of pairs that `other` keeps together. */
static double least_kept(scratch *s, int32_t k, int64_t begin, int64_t end)
{
    double least = 1.0;
    memset(s->cell, 0, (size_t)k * ((size_t)k + 2) * sizeof *s->cell);
    for (int64_t i = begin; i < end; i++) {
        double *row = s->cell + (int64_t)s->own[i] * (k + 2);
        row[s->other[i]] += s->w[i];
        row[k] += s->w[i] * s->w[i];
        row[k + 1] += s->w[i];
    }
    for (int32_t a = 0; a < k; a++) {
        const double *row = s->cell + (int64_t)a * (k + 2);
        const double pairs = row[k + 1] * row[k + 1] - row[k];
        double kept = -row[k];
        for (int32_t l = 0; l < k; l++) kept += row[l] * row[l];
        if (pairs > 1e-9 * row[k]) least = fmin(least, kept / pairs); /* else rounding of one customer */
    }
    return least;
}

static demarc_status one_halving(void *context, dm_fitter *f, int64_t task, double *out)
{
    demarc_status st = DEMARC_OK;
    const resampling *r = context;
    scratch *s = &r->part[f->thread];
    const int64_t m = r->work->sample->m, d = r->work->sample->d, first = halve(r->work, s, task);
    const int64_t begin[2] = {0, first}, end[2] = {first, m};
    for (int h = 0; h < 2; h++) {
        DM_TRY(fit_best(r, f, s->x + begin[h] * d, s->w + begin[h], end[h] - begin[h], r->k,
                        dm_fit_stream(DM_FIT_HALF, (int32_t)(2 * task + h), r->k), s->c[h]));
    }
    double total = 0.0;
    for (int h = 0; h < 2; h++) {
        const int64_t from = begin[h], count = end[h] - begin[h];
        (void)dm_fitter_label(f, s->c[h], r->k, s->x + from * d, s->w + from, count, s->own + from);
        (void)dm_fitter_label(f, s->c[1 - h], r->k, s->x + from * d, s->w + from, count, s->other + from);
        total += least_kept(s, r->k, from, end[h]);
    }
    out[0] = total / 2.0;
cleanup:
    return too_few(st, out, 1);
}

demarc_status dm_prediction_strength(const dm_sample_work *work, int32_t halvings, int32_t k, double *strength,
                                     double *se)
{
    demarc_status st = DEMARC_OK;
    resampling r;
    double *found = NULL, square = 0.0;
    int64_t counted = 0;
    st = resampling_create(&r, work, k);
    if (st == DEMARC_OK) st = dm_alloc(found, halvings, "prediction strength");
    DM_TRY_ALL(work->comm, st);
    const dm_fit_tasks tasks = dm_sample_tasks(work, k, one_halving, &r);
    DM_TRY(dm_fit_tasks_run(&tasks, halvings, 1, found));
    *strength = mean_of(found, halvings, 1, &counted);
    for (int32_t h = 0; h < halvings; h++) {
        if (!isnan(found[h])) square += pow(found[h] - *strength, 2.0);
    }
    const double n = (double)counted;
    *se = counted > 1 ? sqrt(square / (n - 1.0) / n) : (double)NAN;
cleanup:
    resampling_destroy(&r);
    dm_free(found);
    return st;
}

/* ------------------------------------------------------------------------------------------------ bootstrap */

static demarc_status one_replicate(void *context, dm_fitter *f, int64_t task, double *out)
{
    demarc_status st = DEMARC_OK;
    const resampling *r = context;
    const dm_sample_work *work = r->work;
    const dm_fit_sample *sample = work->sample;
    scratch *s = &r->part[f->thread];
    const int32_t k = r->k;
    for (int64_t i = 0; i < sample->m; i++)
        s->w[i] = work->weight[i] * dm_replicate_weight(work->seed, (int32_t)task, sample->row[i]);
    DM_TRY(fit_best(r, f, sample->x, s->w, sample->m, k, dm_fit_stream(DM_FIT_BOOTSTRAP, (int32_t)task, k), s->c[0]));
    (void)dm_fitter_label(f, r->centroids, k, sample->x, s->w, sample->m, s->own);
    (void)dm_fitter_label(f, s->c[0], k, sample->x, s->w, sample->m, s->other);
    memset(s->count, 0, (size_t)k * (size_t)k * sizeof *s->count);
    for (int64_t i = 0; i < sample->m; i++) s->count[(int64_t)s->own[i] * k + s->other[i]] += s->w[i] > 0.0;
    dm_jaccard(s->count, k, k, s->jaccard);
    for (int32_t j = 0; j < k; j++) {
        int64_t size = 0;
        double most = 0.0;
        for (int32_t l = 0; l < k; l++) {
            size += s->count[(int64_t)j * k + l];
            most = fmax(most, s->jaccard[(int64_t)j * k + l]);
        }
        out[j] = size > 0 ? most : (double)NAN;
    }
cleanup:
    return too_few(st, out, k);
}

demarc_status dm_bootstrap_jaccard(const dm_sample_work *work, int32_t replicates, int32_t k, const double *centroids,
                                   double *jaccard)
{
    demarc_status st = DEMARC_OK;
    resampling r;
    double *found = NULL;
    int64_t counted = 0;
    st = resampling_create(&r, work, k);
    r.centroids = centroids;
    if (st == DEMARC_OK) st = dm_alloc(found, (int64_t)replicates * k, "bootstrap");
    DM_TRY_ALL(work->comm, st);
    const dm_fit_tasks tasks = dm_sample_tasks(work, k, one_replicate, &r);
    DM_TRY(dm_fit_tasks_run(&tasks, replicates, k, found));
    for (int32_t j = 0; j < k; j++) jaccard[j] = mean_of(found + j, replicates, k, &counted);
cleanup:
    resampling_destroy(&r);
    dm_free(found);
    return st;
}
