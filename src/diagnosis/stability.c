#include "diagnosis/stability.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/stop.h"
#include "diagnosis/solution_fits.h"
#include "stats/agreement.h"
#include "stats/matching.h"
#include "stats/percentile.h"

#define WAVE_BYTES (INT64_C(256) << 20)
#define POLISH 2

typedef struct run {
    const dm_solution_data *data;
    const dm_stability_options *o;
    dm_stability_report *report;
    dm_memberships *members;
    dm_solution_sample sample;
    int32_t k, d;
    double *gamma;   /* [k, replicates] over the customers drawn */
    double *overall; /* [k, replicates] over all */
    double *scratch; /* [replicates] */
} run;

void dm_memberships_clear(dm_memberships *m)
{
    dm_free(m->centroids);
    dm_free(m->match);
    *m = (dm_memberships){0};
}

/* ------------------------------------------------------------------------------------------------ replicates */

/* largest[j * stride] = max over i of the Jaccard similarity of (j, i) in the table; jaccard [k, k] is left filled. */
static void largest_jaccard(const int64_t *table, int32_t k, double *jaccard, double *largest, int64_t stride)
{
    dm_jaccard(table, k, k, jaccard);
    for (int32_t j = 0; j < k; j++) {
        double most = 0.0;
        for (int32_t i = 0; i < k; i++) most = fmax(most, jaccard[(int64_t)j * k + i]);
        largest[j * stride] = most;
    }
}

static demarc_status keep_members(run *r, const dm_solution *a, const double *jaccard)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)r->k * r->d;
    int32_t *match = NULL, *to = r->members->match + (int64_t)a->replicate * r->k;
    memcpy(r->members->centroids + a->replicate * cells, a->centroids, (size_t)cells * sizeof *a->centroids);
    DM_TRY(dm_alloc(match, r->k, "matching"));
    DM_TRY(dm_match(jaccard, r->k, r->k, match));
    for (int32_t i = 0; i < r->k; i++) to[i] = -1;
    for (int32_t j = 0; j < r->k; j++) {
        if (match[j] >= 0) to[match[j]] = j;
    }
cleanup:
    dm_free(match);
    return st;
}

/* Figures of a replicate from its table. Local, the same on all ranks. */
static demarc_status read_table(run *r, const dm_solution *a, double *jaccard)
{
    const int64_t cells = (int64_t)r->k * r->k, replicates = r->o->replicates;
    int64_t *all = a->table, *drawn = a->table + cells;
    for (int64_t i = 0; i < cells; i++) all[i] += drawn[i];
    largest_jaccard(all, r->k, jaccard, r->overall + a->replicate, replicates);
    largest_jaccard(drawn, r->k, jaccard, r->gamma + a->replicate, replicates);
    r->report->rand[a->replicate] = dm_adjusted_rand(drawn, r->k, r->k);
    for (int32_t j = 0; a->replicate == 0 && j < r->k; j++) {
        r->report->segment[j].size = 0;
        for (int32_t i = 0; i < r->k; i++) r->report->segment[j].size += all[(int64_t)j * r->k + i];
    }
    return r->members == NULL ? DEMARC_OK : keep_members(r, a, jaccard);
}

/* Replicates [first, first + count), from their seeding to their figures. Collective. */
static demarc_status wave(run *r, int32_t first, int32_t count)
{
    demarc_status st = DEMARC_OK;
    dm_solutions s = {0};
    int32_t *k = NULL, *replicate = NULL;
    double *jaccard = NULL;
    const double started = dm_clock();
    st = dm_alloc(k, count, "replicates");
    if (st == DEMARC_OK) st = dm_alloc(replicate, count, "replicates");
    if (st == DEMARC_OK) st = dm_alloc(jaccard, (int64_t)r->k * r->k, "replicates");
    for (int32_t i = 0; st == DEMARC_OK && i < count; i++) {
        k[i] = r->k;
        replicate[i] = first + i;
    }
    if (st == DEMARC_OK) st = dm_solutions_create(&s, r->data, count, k, replicate);
    DM_TRY_ALL(r->data->comm, st);
    DM_TRY(dm_solution_fit_replicates(&s, &r->sample));
    const double fitted = dm_clock();
    for (int32_t i = 0; i < r->report->polish; i++) DM_TRY(dm_solutions_refine(&s));
    const double polished = dm_clock();
    DM_TRY(dm_solutions_count(&s));
    dm_log_line(r->data->log,
                "replicates %d to %d: %.2f s to fit the sample, %.2f s for %d shared passes of Lloyd, %.2f s to count",
                (int)first, (int)(first + count - 1), fitted - started, polished - fitted, (int)r->report->polish,
                dm_clock() - polished);
    for (int32_t i = 0; st == DEMARC_OK && i < count; i++) st = read_table(r, &s.solution[i], jaccard);
    DM_TRY_ALL(r->data->comm, st);
cleanup:
    dm_solutions_destroy(&s);
    dm_free(k);
    dm_free(replicate);
    dm_free(jaccard);
    return st;
}

/* ------------------------------------------------------------------------------------------------ figures */

static dm_stability_figure figure_of(const double *value, int64_t count, double level, double *scratch)
{
    dm_stability_figure f = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    double sum = 0.0;
    if (count == 0) return f;
    for (int64_t b = 0; b < count; b++) sum += value[b];
    f.mean = sum / (double)count;
    f.sd = dm_replicate_sd(value, count);
    memcpy(scratch, value, (size_t)count * sizeof *value);
    dm_percentile_interval(scratch, count, 1.0 - level, &f.low, &f.high);
    return f;
}

static void fill_segment(run *r, int32_t j)
{
    dm_stability_segment *s = &r->report->segment[j];
    const int64_t replicates = r->o->replicates, pairs = replicates / 2;
    const double *gamma = r->gamma + j * replicates;
    double *overall = r->overall + j * replicates;
    int64_t recovered = 0, dissolved = 0;
    for (int64_t b = 0; b < replicates; b++) {
        recovered += gamma[b] > 0.75;
        dissolved += gamma[b] <= 0.5;
    }
    s->share = (double)s->size / (double)r->report->n;
    s->jaccard = figure_of(gamma, replicates, r->o->level, r->scratch);
    s->recovered_share = (double)recovered / (double)replicates;
    s->dissolved_share = (double)dissolved / (double)replicates;
    s->word = dm_stability_word(s->jaccard.mean);
    for (int64_t b = 0; b < pairs; b++) overall[b] = (overall[2 * b] + overall[2 * b + 1]) / 2.0;
    s->within = figure_of(overall, pairs, r->o->level, r->scratch);
}

/* ------------------------------------------------------------------------------------------------ across solutions */

/* 1 - H / log parts of count[i * stride], i < parts. */
static double concentration(const int64_t *count, int64_t stride, int32_t parts)
{
    int64_t total = 0;
    double entropy = 0.0;
    for (int32_t i = 0; i < parts; i++) total += count[i * stride];
    if (total == 0 || parts < 2) return (double)NAN;
    for (int32_t i = 0; i < parts; i++) {
        const double p = (double)count[i * stride] / (double)total;
        if (p > 0.0) entropy -= p * log(p);
    }
    return fmax(0.0, 1.0 - entropy / log((double)parts));
}

static demarc_status read_solution(run *r, const dm_solutions *s, int32_t i)
{
    demarc_status st = DEMARC_OK;
    const dm_solution *a = &s->solution[i];
    dm_stability_solution *to = &r->report->solution[i];
    const int32_t before = i > 0 ? a[-1].k : 0;
    const int64_t *all = a->table + (int64_t)r->k * a->k;
    *to = (dm_stability_solution){.k = a->k, .model = a->k == r->k, .objective = a->objective};
    DM_TRY(dm_alloc_zero(to->size, a->k, "solutions"));
    for (int32_t j = 0; j < r->k; j++) {
        r->report->segment[j].across[i] = concentration(all + (int64_t)j * a->k, 1, a->k);
        for (int32_t l = 0; l < a->k; l++) to->size[l] += all[(int64_t)j * a->k + l];
    }
    if (i == 0) goto cleanup;
    DM_TRY(dm_alloc(to->value, a->k, "solutions"));
    DM_TRY(dm_alloc(to->origin, (int64_t)before * a->k, "solutions"));
    memcpy(to->origin, a->flow, (size_t)before * (size_t)a->k * sizeof *a->flow);
    for (int32_t l = 0; l < a->k; l++) to->value[l] = concentration(a->flow + l, a->k, before);
cleanup:
    return st;
}

/* The model stands for its own number of segments, offsets and all. */
static demarc_status put_model(const run *r, dm_solutions *s)
{
    const int32_t at = r->k - r->o->across_from;
    if (at < 0 || at >= s->count) return DEMARC_OK;
    memcpy(s->solution[at].centroids, r->data->model->centroids, (size_t)r->k * (size_t)r->d * sizeof(double));
    dm_centers_destroy(&s->solution[at].centers);
    return dm_solution_model_centers(r->data->model, &s->solution[at].centers);
}

static demarc_status across(run *r)
{
    demarc_status st = DEMARC_OK;
    const int32_t count = r->o->across_to - r->o->across_from + 1;
    dm_solutions s = {0};
    int32_t *k = NULL, *replicate = NULL;
    st = dm_alloc(k, count, "solutions");
    if (st == DEMARC_OK) st = dm_alloc(replicate, count, "solutions");
    for (int32_t i = 0; st == DEMARC_OK && i < count; i++) {
        k[i] = r->o->across_from + i;
        replicate[i] = -1;
    }
    if (st == DEMARC_OK) st = dm_solutions_create(&s, r->data, count, k, replicate);
    DM_TRY_ALL(r->data->comm, st);
    DM_TRY(dm_solution_fit_sizes(&s, &r->sample));
    for (int32_t i = 0; i < r->report->polish; i++) DM_TRY(dm_solutions_refine(&s));
    DM_TRY_ALL(r->data->comm, put_model(r, &s));
    DM_TRY(dm_solutions_count(&s));
    st = dm_alloc_zero(r->report->solution, count, "solutions");
    if (st == DEMARC_OK) r->report->solutions = count;
    for (int32_t j = 0; st == DEMARC_OK && j < r->k; j++)
        st = dm_alloc(r->report->segment[j].across, count, "solutions");
    for (int32_t i = 0; st == DEMARC_OK && i < count; i++) st = read_solution(r, &s, i);
    DM_TRY_ALL(r->data->comm, st);
cleanup:
    dm_solutions_destroy(&s);
    dm_free(k);
    dm_free(replicate);
    return st;
}

/* ------------------------------------------------------------------------------------------------ all together */

static demarc_status prepare(run *r)
{
    demarc_status st = DEMARC_OK;
    const int64_t replicates = r->o->replicates;
    DM_TRY(dm_alloc(r->gamma, r->k * replicates, "replicates"));
    DM_TRY(dm_alloc(r->overall, r->k * replicates, "replicates"));
    DM_TRY(dm_alloc(r->scratch, replicates, "replicates"));
    DM_TRY(dm_alloc(r->report->rand, replicates, "replicates"));
    DM_TRY(dm_alloc_zero(r->report->segment, r->k, "segments"));
    if (r->members != NULL) {
        *r->members = (dm_memberships){.replicates = r->o->replicates, .k = r->k, .d = r->d};
        DM_TRY(dm_alloc(r->members->centroids, replicates * r->k * r->d, "replicates"));
        DM_TRY(dm_alloc(r->members->match, replicates * r->k, "replicates"));
    }
cleanup:
    return st;
}

demarc_status dm_stability_run(dm_stability_report *report, dm_memberships *members, const dm_solution_data *data,
                               const dm_stability_options *o)
{
    demarc_status st = DEMARC_OK;
    run r = {.data = data, .o = o, .report = report, .members = members, .k = data->model->k, .d = data->model->d};
    *report = (dm_stability_report){.model_digest = data->model->digest,
                                    .n = dm_rows_global(data->rows),
                                    .d = r.d,
                                    .k = r.k,
                                    .replicates = o->replicates,
                                    .seed = data->seed,
                                    .level = o->level};
    DM_TRY_ALL(data->comm, prepare(&r));
    DM_TRY(dm_solution_sample_draw(&r.sample, data));
    report->sample = r.sample.points.m;
    report->polish = o->polish >= 0 ? o->polish : report->sample == report->n ? 0 : POLISH;
    int64_t together = dm_solutions_together(data, r.k, WAVE_BYTES);
    dm_comm_min_i64(data->comm, &together, 1); /* ranks may have other numbers of threads */
    for (int32_t b = 0; b < o->replicates; b += (int32_t)together) {
        const int32_t left = o->replicates - b;
        DM_TRY(wave(&r, b, left < together ? left : (int32_t)together));
    }
    for (int32_t j = 0; j < r.k; j++) fill_segment(&r, j);
    report->adjusted_rand = figure_of(report->rand, o->replicates, o->level, r.scratch);
    if (o->across_from > 0) DM_TRY(across(&r));
cleanup:
    dm_solution_sample_clear(&r.sample);
    dm_free(r.gamma);
    dm_free(r.overall);
    dm_free(r.scratch);
    return st;
}
