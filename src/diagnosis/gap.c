#include "diagnosis/gap.h"

#include <math.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "linalg/principal.h"

typedef struct gap_work {
    const dm_sample_work *work;
    int32_t ks, most_k;
    const int32_t *k;
    double *low, *high; /* [d] the box, along the principal components */
    float **draw;       /* [threads] [m, d] */
    int32_t **label;    /* [threads] [m] */
    double **centroids; /* [threads] [most_k, d] */
} gap_work;

/* ------------------------------------------------------------------------------------------------ the box */

/* Axes [d, d] of the principal components of the sample about `mean`. Local. */
static demarc_status find_axes(const dm_sample_work *work, double *mean, double *axes)
{
    demarc_status st = DEMARC_OK;
    enum { ROWS = 256 };
    const dm_fit_sample *s = work->sample;
    const int32_t d = s->d;
    double *row = NULL, *variance = NULL, total = 0.0;
    DM_TRY(dm_alloc(row, (int64_t)ROWS * d, "principal components"));
    DM_TRY(dm_alloc(variance, d, "principal components"));
    memset(mean, 0, (size_t)d * sizeof *mean);
    memset(axes, 0, (size_t)d * (size_t)d * sizeof *axes);
    for (int64_t i = 0; i < s->m; i++) {
        total += work->weight[i];
        for (int32_t f = 0; f < d; f++) mean[f] += work->weight[i] * (double)s->x[i * d + f];
    }
    for (int32_t f = 0; f < d; f++) mean[f] /= total;
    for (int64_t begin = 0; begin < s->m; begin += ROWS) {
        const int64_t count = s->m - begin < ROWS ? s->m - begin : ROWS;
        for (int64_t i = 0; i < count; i++) {
            const double root = sqrt(work->weight[begin + i]);
            for (int32_t f = 0; f < d; f++) row[i * d + f] = root * ((double)s->x[(begin + i) * d + f] - mean[f]);
        }
        dm_add_products(count, d, row, axes);
    }
    DM_TRY(dm_symmetric_eigen(d, axes, variance));
    /* The last bits are the CPU's (linalg/principal.h); a box along axes that are a millionth askew is as good. */
    for (int64_t i = 0; i < (int64_t)d * d; i++) axes[i] = nearbyint(axes[i] * 0x1p20) * 0x1p-20;
cleanup:
    dm_free(row);
    dm_free(variance);
    return st;
}

/* Where the customers of positive weight lie along the axes. Rank 0's numbers are everybody's. Collective. */
static demarc_status find_box(gap_work *g)
{
    demarc_status st = DEMARC_OK;
    const dm_sample_work *work = g->work;
    const dm_fit_sample *s = work->sample;
    const int32_t d = s->d;
    double *axes = NULL, *mean = NULL;
    st = dm_alloc(axes, (int64_t)d * d, "principal components");
    if (st == DEMARC_OK) st = dm_alloc(mean, d, "principal components");
    if (st == DEMARC_OK) st = dm_alloc(g->low, d, "gap statistic");
    if (st == DEMARC_OK) st = dm_alloc(g->high, d, "gap statistic");
    if (st == DEMARC_OK && dm_comm_rank(work->comm) == 0) st = find_axes(work, mean, axes);
    DM_TRY_ALL(work->comm, st);
    dm_comm_bcast(work->comm, mean, (int64_t)d * (int64_t)sizeof *mean, 0);
    dm_comm_bcast(work->comm, axes, (int64_t)d * d * (int64_t)sizeof *axes, 0);
#pragma omp parallel for num_threads(work->threads)
    for (int32_t a = 0; a < d; a++) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < s->m; i++) {
            double score = 0.0;
            if (!(work->weight[i] > 0.0)) continue;
            for (int32_t f = 0; f < d; f++) score += axes[(int64_t)a * d + f] * ((double)s->x[i * d + f] - mean[f]);
            low = fmin(low, score);
            high = fmax(high, score);
        }
        g->low[a] = low;
        g->high[a] = high;
    }
cleanup:
    dm_free(axes);
    dm_free(mean);
    return st;
}

/* ------------------------------------------------------------------------------------------------ tasks */

/* log W of k segments of these points. */
static demarc_status log_within(const gap_work *g, dm_fitter *f, const float *x, int32_t k, uint64_t stream,
                                double *log_w)
{
    const dm_sample_work *work = g->work;
    double *c = g->centroids[f->thread];
    demarc_status st = dm_fitter_fit(f, x, work->weight, work->sample->m, k, stream, c);
    if (st == DEMARC_ERR_IMPOSSIBLE) { /* fewer customers of positive weight in the sample than segments */
        *log_w = (double)NAN;
        return DEMARC_OK;
    }
    if (st == DEMARC_OK) *log_w = log(dm_fitter_label(f, c, k, x, work->weight, work->sample->m, g->label[f->thread]));
    return st;
}

/* Task s x ks + i: search s for k[i] segments of the sample. */
static demarc_status observed(void *context, dm_fitter *f, int64_t task, double *out)
{
    const gap_work *g = context;
    const int32_t k = g->k[task % g->ks];
    return log_within(g, f, g->work->sample->x, k, dm_fit_stream(DM_FIT_OBSERVED, (int32_t)(task / g->ks), k), out);
}

/* Task b: reference draw b, searched for every number of segments. */
static demarc_status reference(void *context, dm_fitter *f, int64_t task, double *out)
{
    demarc_status st = DEMARC_OK;
    const gap_work *g = context;
    const int64_t m = g->work->sample->m, d = g->work->sample->d;
    float *x = g->draw[f->thread];
    for (int64_t v = 0; v < m * d; v += 2) {
        const dm_random4 r = dm_random(g->work->seed, DM_PURPOSE_REFERENCE, (uint64_t)task, (uint64_t)v);
        for (int64_t i = 0; i < 2 && v + i < m * d; i++) {
            const int64_t a = (v + i) % d;
            const double u = dm_uniform(r.v[2 * i], r.v[2 * i + 1]);
            x[v + i] = (float)(g->low[a] + u * (g->high[a] - g->low[a]));
        }
    }
    for (int32_t i = 0; i < g->ks; i++) {
        for (int32_t search = 0; search < DM_GAP_SEARCHES; search++) {
            const int32_t number = (int32_t)task * DM_GAP_SEARCHES + search;
            double log_w = 0.0;
            DM_TRY(log_within(g, f, x, g->k[i], dm_fit_stream(DM_FIT_REFERENCE, number, g->k[i]), &log_w));
            if (search == 0 || log_w < out[i]) out[i] = log_w;
        }
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static demarc_status scratch_create(gap_work *g)
{
    demarc_status st = DEMARC_OK;
    const int threads = g->work->threads;
    const int64_t m = g->work->sample->m, d = g->work->sample->d;
    DM_TRY(dm_alloc_zero(g->draw, threads, "gap statistic"));
    DM_TRY(dm_alloc_zero(g->label, threads, "gap statistic"));
    DM_TRY(dm_alloc_zero(g->centroids, threads, "gap statistic"));
    for (int t = 0; t < threads; t++) {
        DM_TRY(dm_alloc(g->draw[t], m * d, "gap statistic"));
        DM_TRY(dm_alloc(g->label[t], m, "gap statistic"));
        DM_TRY(dm_alloc(g->centroids[t], g->most_k * d, "gap statistic"));
    }
cleanup:
    return st;
}

static void scratch_destroy(gap_work *g)
{
    for (int t = 0; t < g->work->threads; t++) {
        if (g->draw != NULL) dm_free(g->draw[t]);
        if (g->label != NULL) dm_free(g->label[t]);
        if (g->centroids != NULL) dm_free(g->centroids[t]);
    }
    dm_free(g->draw);
    dm_free(g->label);
    dm_free(g->centroids);
    dm_free(g->low);
    dm_free(g->high);
}

demarc_status dm_gap(const dm_sample_work *work, int32_t draws, int32_t ks, const int32_t *k, double *gap, double *se)
{
    demarc_status st = DEMARC_OK;
    gap_work g = {.work = work, .ks = ks, .k = k};
    double *found = NULL, *drawn = NULL;
    for (int32_t i = 0; i < ks; i++) g.most_k = k[i] > g.most_k ? k[i] : g.most_k;
    st = scratch_create(&g);
    if (st == DEMARC_OK) st = dm_alloc(found, (int64_t)DM_GAP_SEARCHES * ks, "gap statistic");
    if (st == DEMARC_OK) st = dm_alloc(drawn, (int64_t)draws * ks, "gap statistic");
    DM_TRY_ALL(work->comm, st);
    DM_TRY(find_box(&g));
    const dm_fit_tasks of_sample = dm_sample_tasks(work, g.most_k, observed, &g);
    DM_TRY(dm_fit_tasks_run(&of_sample, (int64_t)DM_GAP_SEARCHES * ks, 1, found));
    const dm_fit_tasks of_draws = dm_sample_tasks(work, g.most_k, reference, &g);
    DM_TRY(dm_fit_tasks_run(&of_draws, draws, ks, drawn));
    for (int32_t i = 0; i < ks; i++) {
        double least = INFINITY, mean = 0.0, square = 0.0;
        for (int32_t s = 0; s < DM_GAP_SEARCHES; s++) least = fmin(least, found[s * ks + i]);
        for (int32_t b = 0; b < draws; b++) mean += drawn[(int64_t)b * ks + i] / draws;
        for (int32_t b = 0; b < draws; b++) square += pow(drawn[(int64_t)b * ks + i] - mean, 2.0);
        gap[i] = isfinite(mean - least) && draws >= 2 ? mean - least : (double)NAN;
        se[i] = isfinite(gap[i]) ? sqrt(square / (draws - 1) * (1.0 + 1.0 / draws)) : (double)NAN;
    }
cleanup:
    scratch_destroy(&g);
    dm_free(found);
    dm_free(drawn);
    return st;
}
