#include "diagnosis/solution_fits.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/stop.h"
#include "linalg/replicate_sums.h"
#include "store/id_hash.h"

#define WINDOW_ROWS (64 * DM_BLOCK_ROWS)    /* whose ids are read at a time */
#define TRIALS 5                            /* fits, of which the best is taken, */
#define TRIALS_SMALL 20                     /* of no more than */
#define SMALL (1 << 20)                     /* customers x segments x features */
#define STREAM_OF_SIZES (UINT64_C(1) << 40) /* beyond any replicate */

/* ------------------------------------------------------------------------------------------------ sample */

/* key[0, count) of rows row[0, count), which are this rank's. Local. */
static demarc_status hash_ids(const dm_solution_data *data, const int64_t *row, int64_t count, int64_t *key)
{
    demarc_status st = DEMARC_OK;
    dm_ids ids = {0};
    for (int64_t i = 0; i < count;) {
        const int64_t first = row[i], end = first + WINDOW_ROWS;
        int64_t last = i;
        while (last + 1 < count && row[last + 1] < end) last++;
        DM_TRY(dm_customers_ids(data->customers, first, row[last] + 1, &ids));
        for (; i <= last; i++) key[i] = (int64_t)dm_id_hash(&ids, row[i] - first, 0);
        dm_ids_clear(&ids);
    }
cleanup:
    dm_ids_clear(&ids);
    return st;
}

demarc_status dm_solution_sample_draw(dm_solution_sample *s, const dm_solution_data *data)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range = dm_rows_range(data->rows);
    int64_t *key = NULL, first = 0, last = 0, bytes = 0;
    void *all = NULL;
    *s = (dm_solution_sample){0};
    DM_TRY(dm_fit_sample_draw(&s->points, data->rows, data->seed));
    while (first < s->points.m && s->points.row[first] < range.begin) first++;
    for (last = first; last < s->points.m && s->points.row[last] < range.end;) last++;
    st = dm_alloc(key, last - first, "sample");
    if (st == DEMARC_OK) st = hash_ids(data, s->points.row + first, last - first, key);
    DM_TRY_ALL(data->comm, st);
    DM_TRY(dm_comm_all_gather(data->comm, key, (last - first) * (int64_t)sizeof *key, &all, &bytes));
    s->key = all;
    DM_TRY(dm_solution_edge(data->comm));
cleanup:
    dm_free(key);
    return st;
}

void dm_solution_sample_clear(dm_solution_sample *s)
{
    dm_fit_sample_clear(&s->points);
    dm_free(s->key);
    *s = (dm_solution_sample){0};
}

/* ------------------------------------------------------------------------------------------------ fits */

typedef struct fits {
    const dm_solutions *s;
    const dm_solution_sample *sample;
    double *weight; /* [threads, m] */
    int32_t *label; /* [threads, m] */
    double *trial;  /* [threads, width] */
    int64_t width;
} fits;

static demarc_status too_few(int32_t replicate, int64_t customers, int32_t k)
{
    return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                   "fewer customers than segments: replicate %d has %lld different customers, the model %d segments: "
                   "use more customers or a model of fewer segments",
                   (int)replicate, (long long)customers, (int)k);
}

/*
 * The best of several fits by the objective of the sample under the same weights: a replicate should differ from the model
 * because its customers differ, not because its search was worse.
 */
static demarc_status best_fit(const fits *c, dm_fitter *f, int32_t k, const double *w, uint64_t stream, double *out)
{
    demarc_status st = DEMARC_OK;
    const dm_fit_sample *p = &c->sample->points;
    const int64_t cells = (int64_t)k * f->d;
    double *trial = c->trial + f->thread * c->width, best = (double)INFINITY;
    const int trials = p->m * cells <= SMALL ? TRIALS_SMALL : TRIALS;
    for (int t = 0; t < trials; t++) {
        DM_TRY(dm_fitter_fit(f, p->x, w, p->m, k, stream + (uint64_t)t, trial));
        const double objective = dm_fitter_label(f, trial, k, p->x, w, p->m, c->label + f->thread * p->m);
        if (objective < best) memcpy(out, trial, (size_t)cells * sizeof *out);
        best = fmin(best, objective);
    }
cleanup:
    return st;
}

static demarc_status fit_replicate(void *context, dm_fitter *f, int64_t task, double *out)
{
    const fits *c = context;
    const dm_fit_sample *p = &c->sample->points;
    const dm_solution *a = &c->s->solution[task];
    double *w = c->weight + f->thread * p->m;
    int64_t positive = 0;
    if (dm_stop_requested() != 0) return DEMARC_OK;
    for (int64_t i = 0; i < p->m; i++) {
        w[i] = (double)dm_replicate_weight(c->s->data->seed, a->replicate, c->sample->key[i]);
        if (p->w != NULL) w[i] *= (double)p->w[i];
        positive += w[i] > 0.0;
    }
    if (positive < a->k) return too_few(a->replicate, positive, a->k);
    return best_fit(c, f, a->k, w, (uint64_t)a->replicate * TRIALS_SMALL, out);
}

static demarc_status fit_size(void *context, dm_fitter *f, int64_t task, double *out)
{
    const fits *c = context;
    const dm_fit_sample *p = &c->sample->points;
    const dm_solution *a = &c->s->solution[task];
    double *w = c->weight + f->thread * p->m;
    if (dm_stop_requested() != 0) return DEMARC_OK;
    for (int64_t i = 0; i < p->m; i++) w[i] = p->w == NULL ? 1.0 : (double)p->w[i];
    return best_fit(c, f, a->k, w, STREAM_OF_SIZES + (uint64_t)a->k * TRIALS_SMALL, out);
}

static demarc_status run_fits(fits *c, dm_fit_task_fn fn, int64_t tasks, double *out)
{
    demarc_status st = DEMARC_OK;
    const dm_solution_data *data = c->s->data;
    const int64_t m = c->sample->points.m;
    const dm_fit_tasks o = {.comm = data->comm,
                            .kernel = data->kernel,
                            .threads = data->threads,
                            .most = m,
                            .d = data->model->d,
                            .most_k = c->s->most_k,
                            .seed = data->seed,
                            .fn = fn,
                            .context = c};
    st = dm_alloc(c->weight, data->threads * m, "sample");
    if (st == DEMARC_OK) st = dm_alloc(c->label, data->threads * m, "sample");
    if (st == DEMARC_OK) st = dm_alloc(c->trial, data->threads * c->width, "sample");
    DM_TRY_ALL(data->comm, st);
    DM_TRY(dm_fit_tasks_run(&o, tasks, (int32_t)c->width, out));
    DM_TRY(dm_solution_edge(data->comm));
cleanup:
    dm_free(c->weight);
    dm_free(c->label);
    dm_free(c->trial);
    return st;
}

demarc_status dm_solution_fit_replicates(dm_solutions *s, const dm_solution_sample *sample)
{
    fits c = {.s = s, .sample = sample, .width = (int64_t)s->most_k * s->data->model->d};
    const demarc_status st = run_fits(&c, fit_replicate, s->count, s->centroids);
    if (st == DEMARC_OK) dm_solutions_set(s);
    return st;
}

demarc_status dm_solution_fit_sizes(dm_solutions *s, const dm_solution_sample *sample)
{
    demarc_status st = DEMARC_OK;
    const int64_t d = s->data->model->d;
    fits c = {.s = s, .sample = sample, .width = s->most_k * d};
    double *out = NULL;
    DM_TRY_ALL(s->data->comm, dm_alloc(out, s->count * c.width, "solutions"));
    DM_TRY(run_fits(&c, fit_size, s->count, out));
    for (int32_t i = 0; i < s->count; i++)
        memcpy(s->solution[i].centroids, out + i * c.width, (size_t)(s->solution[i].k * d) * sizeof *out);
    dm_solutions_set(s);
cleanup:
    dm_free(out);
    return st;
}
