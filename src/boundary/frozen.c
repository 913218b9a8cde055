#include "boundary/frozen.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define WINDOW_BLOCKS 64                 /* row blocks whose outcomes, arms and ids are read at a time */
#define WINDOW_BYTES (INT64_C(16) << 20) /* and at most this much of them */

typedef struct pass_part {
    double *squared; /* [DM_BLOCK_ROWS, k] */
    int32_t *segment, *runner_up;
} pass_part;

typedef struct pass_run {
    const dm_frozen *f;
    dm_frozen_fn fn;
    void *context;
    int32_t k, d, outcomes, arms;
    double unit2;
    double *offset; /* [k] scaled units squared */
    pass_part *part;
    int64_t window_begin, window_rows;
    double *outcome, *propensity;
    int32_t *arm;
    dm_ids ids;
    bool with_ids;
} pass_run;

/* The two smallest of squared_j - b_j, lowest index among equals. */
static void smallest_two(const double *squared, const double *offset, int32_t k, int32_t *first, int32_t *second)
{
    int32_t a = 0, b = -1;
    double qa = squared[0] - offset[0], qb = (double)INFINITY;
    for (int32_t j = 1; j < k; j++) {
        const double q = squared[j] - offset[j];
        if (q < qa) {
            b = a;
            qb = qa;
            a = j;
            qa = q;
        } else if (b < 0 || q < qb) {
            b = j;
            qb = q;
        }
    }
    *first = a;
    *second = b;
}

static void pass_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    pass_run *run = context;
    pass_part *p = &run->part[thread];
    const int64_t at = begin - run->window_begin;
    const double *centroids = run->f->model->centroids;
    for (int64_t r = 0; r < rows; r++) {
        double *s = p->squared + r * run->k;
        run->f->kernel->squared_distances(x + r * run->d, centroids, run->k, run->d, s);
        for (int32_t j = 0; j < run->k; j++) s[j] *= run->unit2;
        smallest_two(s, run->offset, run->k, &p->segment[r], &p->runner_up[r]);
    }
    const dm_frozen_block block = {.begin = begin,
                                   .rows = rows,
                                   .k = run->k,
                                   .d = run->d,
                                   .outcomes = run->outcomes,
                                   .arms = run->arms,
                                   .x = x,
                                   .w = w,
                                   .squared = p->squared,
                                   .offset = run->offset,
                                   .segment = p->segment,
                                   .runner_up = p->runner_up,
                                   .outcome = run->outcome != NULL ? run->outcome + at * run->outcomes : NULL,
                                   .arm = run->arm != NULL ? run->arm + at : NULL,
                                   .propensity = run->propensity != NULL ? run->propensity + at * run->arms : NULL,
                                   .ids = run->with_ids ? &run->ids : NULL,
                                   .ids_at = at};
    run->fn(run->context, thread, &block);
}

static demarc_status lacks(const dm_frozen *f, const char *what)
{
    return dm_fail(DEMARC_ERR_DATA, "no %s: %s: name a customer file that has them (--%s PATH)", what,
                   dm_customers_path(f->customers), what);
}

static demarc_status run_create(pass_run *run, unsigned want)
{
    demarc_status st = DEMARC_OK;
    const dm_frozen *f = run->f;
    const dm_schema *schema = dm_customers_schema(f->customers);
    if ((want & DM_WANT_OUTCOMES) != 0 && schema->outcome.count == 0) return lacks(f, "outcomes");
    if ((want & DM_WANT_ARM) != 0 && !schema->arm) return lacks(f, "arm");
    if ((want & DM_WANT_PROPENSITY) != 0 && schema->propensity == 0) return lacks(f, "propensity");
    run->outcomes = (want & DM_WANT_OUTCOMES) != 0 ? schema->outcome.count : 0;
    run->arms = (want & DM_WANT_PROPENSITY) != 0 ? schema->propensity : 0;
    run->with_ids = (want & DM_WANT_IDS) != 0;
    DM_TRY(dm_alloc(run->offset, run->k, "boundary pass"));
    memcpy(run->offset, f->model->offsets, (size_t)run->k * sizeof *run->offset);
    DM_TRY(dm_alloc_zero(run->part, f->threads, "boundary pass"));
    for (int t = 0; t < f->threads; t++) {
        DM_TRY(dm_alloc(run->part[t].squared, DM_BLOCK_ROWS * (int64_t)run->k, "boundary pass"));
        DM_TRY(dm_alloc(run->part[t].segment, DM_BLOCK_ROWS, "boundary pass"));
        DM_TRY(dm_alloc(run->part[t].runner_up, DM_BLOCK_ROWS, "boundary pass"));
    }
    const int64_t block_bytes =
        DM_BLOCK_ROWS * (8 * (int64_t)(run->outcomes + run->arms) + 4 + (run->with_ids ? 32 : 0));
    const int64_t fit = WINDOW_BYTES / block_bytes, blocks = fit < 1 ? 1 : fit < WINDOW_BLOCKS ? fit : WINDOW_BLOCKS;
    run->window_rows = blocks * DM_BLOCK_ROWS;
    if (run->outcomes > 0) DM_TRY(dm_alloc(run->outcome, run->window_rows * run->outcomes, "outcomes"));
    if (run->arms > 0) DM_TRY(dm_alloc(run->propensity, run->window_rows * run->arms, "propensities"));
    if ((want & DM_WANT_ARM) != 0) DM_TRY(dm_alloc(run->arm, run->window_rows, "arms"));
cleanup:
    return st;
}

static void run_destroy(pass_run *run)
{
    for (int t = 0; t < run->f->threads && run->part != NULL; t++) {
        dm_free(run->part[t].squared);
        dm_free(run->part[t].segment);
        dm_free(run->part[t].runner_up);
    }
    dm_free(run->part);
    dm_free(run->offset);
    dm_free(run->outcome);
    dm_free(run->propensity);
    dm_free(run->arm);
    dm_ids_clear(&run->ids);
}

static demarc_status read_window(pass_run *run, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    dm_customers *c = run->f->customers;
    if (run->outcome != NULL) DM_TRY(dm_customers_outcomes(c, begin, end, run->outcome));
    if (run->arm != NULL) DM_TRY(dm_customers_arm(c, begin, end, run->arm));
    if (run->propensity != NULL) DM_TRY(dm_customers_propensity(c, begin, end, run->propensity));
    if (run->with_ids) {
        dm_ids_clear(&run->ids);
        DM_TRY(dm_customers_ids(c, begin, end, &run->ids));
    }
cleanup:
    return st;
}

demarc_status dm_frozen_pass_range(const dm_frozen *f, int64_t begin, int64_t end, unsigned want, dm_frozen_fn fn,
                                   void *context)
{
    demarc_status st = DEMARC_OK;
    const double unit = f->model->transform.unit;
    pass_run run = {.f = f, .fn = fn, .context = context, .k = f->model->k, .d = f->model->d, .unit2 = unit * unit};
    DM_TRY(run_create(&run, want));
    /* Without columns to read there is no window to wait for. */
    const int64_t step = want == 0 ? end - begin : run.window_rows;
    for (int64_t at = begin; at < end; at += step) {
        const int64_t to = end - at < step ? end : at + step;
        run.window_begin = at;
        DM_TRY(read_window(&run, at, to));
        DM_TRY(dm_rows_pass_range(f->rows, at, to, pass_block, &run));
    }
cleanup:
    run_destroy(&run);
    return st;
}

demarc_status dm_frozen_pass(const dm_frozen *f, unsigned want, dm_frozen_fn fn, void *context)
{
    const dm_row_range range = dm_rows_range(f->rows);
    return dm_frozen_pass_range(f, range.begin, range.end, want, fn, context);
}

double dm_frozen_gap(const dm_frozen *f, int32_t a, int32_t b)
{
    const int64_t d = f->model->d;
    double sum = 0.0;
    for (int64_t i = 0; i < d; i++) {
        const double t = f->model->centroids[a * d + i] - f->model->centroids[b * d + i];
        sum += t * t;
    }
    return sqrt(sum) * f->model->transform.unit;
}
