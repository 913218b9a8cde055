#include "boundary/sweep_sums.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "boundary/block_pass.h"
#include "linalg/replicate_sums.h"

#define REPLICATE_BYTES (INT64_C(512) << 20) /* for replicates without a memory limit */

static double weight_of(const dm_frozen_block *b, int64_t r) { return b->w == NULL ? 1.0 : (double)b->w[r]; }

static unsigned want_outcomes(int32_t outcomes) { return outcomes > 0 ? DM_WANT_OUTCOMES : 0; }

/* ------------------------------------------------------------------------------------------------ basics */

enum { SUM_WEIGHT, SUM_VALUE, BASIC_SUMS };
enum { COUNT_PRESENT, COUNT_ZERO, COUNT_ONE, BASIC_COUNTS };

typedef struct basics_run {
    int32_t k, m;
    dm_block_sums sums; /* [k] within, then [m, BASIC_SUMS]; maxima of -y and y [m, 2] */
} basics_run;

static void basics_block(void *context, int thread, const dm_frozen_block *b)
{
    basics_run *run = context;
    double *within = run->sums.part[thread], *part = within + run->k;
    int64_t *count = run->sums.count[thread];
    double *high = run->sums.high[thread];
    for (int64_t r = 0; r < b->rows; r++) {
        const double w = weight_of(b, r);
        within[b->segment[r]] += w * b->squared[r * b->k + b->segment[r]];
        for (int32_t o = 0; o < run->m; o++) {
            const double y = b->outcome[r * run->m + o];
            if (isnan(y)) continue;
            part[o * BASIC_SUMS + SUM_WEIGHT] += w;
            part[o * BASIC_SUMS + SUM_VALUE] += w * y;
            count[o * BASIC_COUNTS + COUNT_PRESENT]++;
            count[o * BASIC_COUNTS + COUNT_ZERO] += y == 0.0;
            count[o * BASIC_COUNTS + COUNT_ONE] += y == 1.0;
            if (-y > high[2 * (int64_t)o]) high[2 * (int64_t)o] = -y;
            if (y > high[2 * (int64_t)o + 1]) high[2 * (int64_t)o + 1] = y;
        }
    }
    dm_block_sums_flush(&run->sums, thread);
}

/* Rounded once, as fit does it, so that the number is that of its diagnostics. */
static double objective_of(const basics_run *run)
{
    dm_exact_sum all = {0};
    for (int32_t j = 0; j < run->k; j++) dm_exact_sum_merge(&all, &run->sums.exact[0][j]);
    return dm_exact_sum_value(&all);
}

static void take_basics(const basics_run *run, dm_sweep_basics *basics)
{
    for (int32_t o = 0; o < run->m; o++) {
        const double *sum = run->sums.value + run->k + (int64_t)o * BASIC_SUMS;
        const int64_t *count = run->sums.number + (int64_t)o * BASIC_COUNTS;
        const double low = -run->sums.most[2 * (int64_t)o], high = run->sums.most[2 * (int64_t)o + 1];
        const double mean = low == high ? low : sum[SUM_VALUE] / sum[SUM_WEIGHT];
        const bool defined = sum[SUM_WEIGHT] > 0.0;
        basics[o] = (dm_sweep_basics){.present = count[COUNT_PRESENT],
                                      .zeros = count[COUNT_ZERO],
                                      .ones = count[COUNT_ONE],
                                      .mean = defined ? mean : (double)NAN,
                                      .centre = defined ? mean : 0.0};
    }
}

demarc_status dm_sweep_basics_find(const dm_frozen *f, int32_t outcomes, dm_sweep_basics *basics, double *objective)
{
    demarc_status st = DEMARC_OK;
    const int64_t m = outcomes;
    basics_run run = {.k = f->model->k, .m = outcomes};
    DM_TRY_ALL(f->comm,
               dm_block_sums_create_with(&run.sums, f->threads, run.k + m * BASIC_SUMS, m * BASIC_COUNTS, 2 * m));
    DM_TRY(dm_block_pass(&run.sums, f, "outcomes", want_outcomes(outcomes), basics_block, &run));
    *objective = objective_of(&run);
    take_basics(&run, basics);
cleanup:
    dm_block_sums_destroy(&run.sums);
    return st;
}

/* ------------------------------------------------------------------------------------------------ values of a row */

/* [m, DM_BASE_SUMS] */
static void base_values(const dm_sweep_view *v, const dm_frozen_block *b, int64_t r, double *out)
{
    const double w = weight_of(b, r);
    for (int32_t o = 0; o < v->outcomes; o++, out += DM_BASE_SUMS) {
        const double y = b->outcome[r * v->outcomes + o], centred = y - v->basics[o].centre;
        const bool there = !isnan(y);
        out[DM_BASE_WEIGHT] = there ? w : 0.0;
        out[DM_BASE_SUM] = there ? w * centred : 0.0;
        out[DM_BASE_SQUARE] = there ? w * centred * centred : 0.0;
    }
}

/* [1 + 2 m] of row r, which moves into or out of segment j. */
static void ring_values(const dm_sweep_view *v, const dm_frozen_block *b, int64_t r, int32_t j, double *out)
{
    const double w = weight_of(b, r), *squared = b->squared + r * b->k;
    const bool leaves = b->segment[r] == j;
    const int32_t other = dm_other_segment(b, r, j), to = leaves ? other : j, from = leaves ? j : other;
    *out++ = w * (squared[to] - squared[from]);
    for (int32_t o = 0; o < v->outcomes; o++) {
        const double y = b->outcome[r * v->outcomes + o];
        const bool there = !isnan(y);
        *out++ = there ? w : 0.0;
        *out++ = there ? w * (y - v->basics[o].centre) : 0.0;
    }
}

/* Cell of row r in segment j's rings, -1 = it stays. */
static int32_t cell_of(const dm_sweep_view *v, const dm_frozen_block *b, int64_t r, int32_t j)
{
    const int32_t cut = dm_sweep_ring_of(v->rings, b, r, j);
    return cut < 0 ? -1 : v->rings->index[(int64_t)cut * b->k + dm_other_segment(b, r, j)];
}

/* Sums of the rows of a block, the largest magnitude of each value as maxima, and scratch of each thread. */
typedef struct sums_run {
    const dm_sweep_view *v;
    int32_t first, end; /* segments of ring cells */
    int32_t values;     /* per cell */
    dm_block_sums sums;
    double *row; /* [threads, values] */
} sums_run;

static demarc_status sums_run_create(sums_run *run, int64_t sums, int64_t counts)
{
    const dm_frozen *f = run->v->f;
    demarc_status st = dm_block_sums_create_with(&run->sums, f->threads, sums, counts, run->values);
    if (st == DEMARC_OK) st = dm_alloc_zero(run->row, (int64_t)f->threads * run->values, "sums");
    return dm_comm_agree(f->comm, st);
}

static void sums_run_destroy(sums_run *run)
{
    dm_block_sums_destroy(&run->sums);
    dm_free(run->row);
}

static void add_row(double *sum, double *bound, const double *row, int32_t values)
{
    for (int32_t i = 0; i < values; i++) {
        sum[i] += row[i];
        const double size = fabs(row[i]);
        if (size > bound[i]) bound[i] = size;
    }
}

/* The largest magnitudes; 0 where there are no rows. */
static void take_bound(const sums_run *run, double *bound)
{
    for (int32_t i = 0; i < run->values; i++) bound[i] = fmax(run->sums.most[i], 0.0);
}

/* ------------------------------------------------------------------------------------------------ base cells */

static void base_block(void *context, int thread, const dm_frozen_block *b)
{
    sums_run *run = context;
    const int32_t m = run->v->outcomes, values = run->values;
    double *row = run->row + (int64_t)thread * values, *bound = run->sums.high[thread];
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t j = b->segment[r];
        base_values(run->v, b, r, row);
        add_row(run->sums.part[thread] + j * values, bound, row, values);
        int64_t *present = run->sums.count[thread] + j * m;
        for (int32_t o = 0; o < m; o++) present[o] += !isnan(b->outcome[r * m + o]);
    }
    dm_block_sums_flush(&run->sums, thread);
}

demarc_status dm_sweep_base_find(const dm_sweep_view *v, dm_sweep_base *base)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = v->f->model->k, m = v->outcomes;
    sums_run run = {.v = v, .values = v->outcomes * DM_BASE_SUMS};
    *base = (dm_sweep_base){0};
    DM_TRY(sums_run_create(&run, cells * run.values, cells * m));
    st = dm_alloc(base->sum, cells * run.values, "sums");
    if (st == DEMARC_OK) st = dm_alloc(base->present, cells * m, "sums");
    if (st == DEMARC_OK) st = dm_alloc(base->bound, run.values, "sums");
    DM_TRY_ALL(v->f->comm, st);
    if (m > 0) DM_TRY(dm_block_pass(&run.sums, v->f, "segments", DM_WANT_OUTCOMES, base_block, &run));
    take_bound(&run, base->bound);
    memcpy(base->sum, run.sums.value, (size_t)(cells * run.values) * sizeof *base->sum);
    memcpy(base->present, run.sums.number, (size_t)(cells * m) * sizeof *base->present);
cleanup:
    sums_run_destroy(&run);
    return st;
}

void dm_sweep_base_clear(dm_sweep_base *base)
{
    dm_free(base->sum);
    dm_free(base->present);
    dm_free(base->bound);
    *base = (dm_sweep_base){0};
}

/* ------------------------------------------------------------------------------------------------ ring cells */

/* A cell's sums are its values and its weight; its counts per outcome the rows with it and the ones. */
static void ring_block(void *context, int thread, const dm_frozen_block *b)
{
    sums_run *run = context;
    const int32_t m = run->v->outcomes, values = run->values, before = run->v->rings->begin[run->first];
    double *row = run->row + (int64_t)thread * values, *bound = run->sums.high[thread];
    for (int64_t r = 0; r < b->rows; r++) {
        for (int32_t j = run->first; j < run->end; j++) {
            const int32_t cell = cell_of(run->v, b, r, j);
            if (cell < 0) continue;
            double *sum = run->sums.part[thread] + (int64_t)(cell - before) * (values + 1);
            int64_t *count = run->sums.count[thread] + (int64_t)(cell - before) * 2 * m;
            ring_values(run->v, b, r, j, row);
            add_row(sum, bound, row, values);
            sum[values] += weight_of(b, r);
            for (int32_t o = 0; o < m; o++) {
                const double y = b->outcome[r * m + o];
                count[2 * o] += !isnan(y);
                count[2 * o + 1] += y == 1.0;
            }
        }
    }
    dm_block_sums_flush(&run->sums, thread);
}

demarc_status dm_sweep_ring_sums_find(const dm_sweep_view *v, int32_t first, int32_t end, dm_sweep_ring_sums *ring)
{
    demarc_status st = DEMARC_OK;
    const int64_t m = v->outcomes, cells = v->rings->begin[end] - v->rings->begin[first];
    sums_run run = {.v = v, .first = first, .end = end, .values = dm_ring_sums(v)};
    const int64_t values = run.values;
    char name[64];
    snprintf(name, sizeof name, "movers of segments %d to %d", (int)first, (int)end);
    *ring = (dm_sweep_ring_sums){.first = first, .end = end};
    DM_TRY(sums_run_create(&run, cells * (values + 1), cells * 2 * m));
    st = dm_alloc(ring->sum, cells * values, "sums");
    if (st == DEMARC_OK) st = dm_alloc(ring->weight, cells, "sums");
    if (st == DEMARC_OK) st = dm_alloc(ring->present, cells * m, "sums");
    if (st == DEMARC_OK) st = dm_alloc(ring->ones, cells * m, "sums");
    if (st == DEMARC_OK) st = dm_alloc(ring->bound, values, "sums");
    DM_TRY_ALL(v->f->comm, st);
    if (cells > 0) DM_TRY(dm_block_pass(&run.sums, v->f, name, want_outcomes(v->outcomes), ring_block, &run));
    take_bound(&run, ring->bound);
    for (int64_t i = 0; i < cells; i++) {
        memcpy(ring->sum + i * values, run.sums.value + i * (values + 1), (size_t)values * sizeof *ring->sum);
        ring->weight[i] = run.sums.value[i * (values + 1) + values];
    }
    for (int64_t i = 0; i < cells * m; i++) {
        ring->present[i] = run.sums.number[2 * i];
        ring->ones[i] = run.sums.number[2 * i + 1];
    }
cleanup:
    sums_run_destroy(&run);
    return st;
}

void dm_sweep_ring_sums_clear(dm_sweep_ring_sums *ring)
{
    dm_free(ring->sum);
    dm_free(ring->weight);
    dm_free(ring->present);
    dm_free(ring->ones);
    dm_free(ring->bound);
    *ring = (dm_sweep_ring_sums){0};
}

/* ------------------------------------------------------------------------------------------------ replicates */

typedef struct draw_run {
    const dm_sweep_view *v;
    dm_replicates *replicates;
    int32_t first, end; /* segments of ring cells */
    int32_t cells, values;
    double *row; /* [threads, values] */
    double *sum; /* [cells, values] of one replicate */
    const char *what;
} draw_run;

static void draw_base_block(void *context, int thread, const dm_frozen_block *b)
{
    const draw_run *run = context;
    double *row = run->row + (int64_t)thread * run->values;
    for (int64_t r = 0; r < b->rows; r++) {
        base_values(run->v, b, r, row);
        dm_replicates_add(run->replicates, thread, b->begin + r, b->segment[r], row);
    }
}

static void draw_ring_block(void *context, int thread, const dm_frozen_block *b)
{
    const draw_run *run = context;
    double *row = run->row + (int64_t)thread * run->values;
    const int32_t before = run->v->rings->begin[run->first];
    for (int64_t r = 0; r < b->rows; r++) {
        for (int32_t j = run->first; j < run->end; j++) {
            const int32_t cell = cell_of(run->v, b, r, j);
            if (cell < 0) continue;
            ring_values(run->v, b, r, j, row);
            dm_replicates_add(run->replicates, thread, b->begin + r, cell - before, row);
        }
    }
}

static void give_window(draw_run *run, int32_t first, int32_t count, dm_sweep_draws *draws)
{
    draws->done = first + count;
    if (dm_comm_rank(run->v->f->comm) != 0) return;
    for (int32_t i = 0; i < count; i++) {
        for (int32_t c = 0; c < run->cells; c++) {
            for (int32_t s = 0; s < run->values; s++)
                run->sum[(int64_t)c * run->values + s] = dm_replicates_sum(run->replicates, c, s, i);
        }
        draws->take(draws->context, first + i, run->sum);
    }
}

static void gather(void *context, dm_packer *p)
{
    const draw_run *run = context;
    dm_replicates_gather(run->replicates, run->v->f->comm, p);
}

static void restore(void *context, dm_unpacker *u)
{
    if (u != NULL) dm_replicates_restore(((const draw_run *)context)->replicates, u);
}

/* One window of replicates. Collective. */
static demarc_status draw_window(draw_run *run, int32_t first, int32_t count, dm_frozen_fn fn)
{
    const dm_frozen *f = run->v->f;
    char name[96];
    const dm_pass_state state = {.name = name, .gather = gather, .restore = restore, .context = run};
    snprintf(name, sizeof name, "replicates %d to %d of %s %d to %d", (int)first, (int)(first + count), run->what,
             (int)run->first, (int)run->end);
    const demarc_status st = dm_saved_pass(f, want_outcomes(run->v->outcomes), fn, run, &state);
    return st == DEMARC_OK ? dm_replicates_reduce(run->replicates, f->comm) : st;
}

static void log_work(const draw_run *run, double since)
{
    double flops = 0.0, sgemm = 0.0, drawing = 0.0;
    dm_replicates_work(run->replicates, &flops, &sgemm, &drawing);
    dm_log_detail(run->v->f->log,
                  "replicates: %d of %d cells x %d values in %.2f s; threads of rank 0: %.4g GFLOP by sgemm in %.2f s, "
                  "weights drawn in %.2f s",
                  (int)run->v->replicates, (int)run->cells, (int)run->values, dm_clock() - since, 1e-9 * flops, sgemm,
                  drawing);
}

/* Values `whole_every` of a row, from `whole_first` on, are weights: integers where customers have none. Collective. */
static demarc_status draw(draw_run *run, const double *bound, int32_t whole_first, int32_t whole_every, dm_frozen_fn fn,
                          dm_sweep_draws *draws)
{
    demarc_status st = DEMARC_OK;
    const dm_frozen *f = run->v->f;
    const bool plain = !dm_rows_weighted(f->rows);
    const double start = dm_clock();
    bool *whole = NULL;
    int32_t first = 0, count = 0;
    st = dm_alloc_zero(whole, run->values, "replicates");
    if (st == DEMARC_OK) st = dm_alloc(run->row, (int64_t)f->threads * run->values, "replicates");
    if (st == DEMARC_OK) st = dm_alloc(run->sum, (int64_t)run->cells * run->values, "replicates");
    if (st == DEMARC_OK) {
        for (int32_t i = whole_first; i < run->values; i += whole_every) whole[i] = plain;
        const dm_replicates_options o = {.seed = run->v->seed,
                                         .replicates = run->v->replicates,
                                         .cells = run->cells,
                                         .values = run->values,
                                         .bound = bound,
                                         .whole = whole,
                                         .n_global = dm_rows_global(f->rows),
                                         .threads = f->threads,
                                         .budget = f->memory_limit > 0 ? f->memory_limit / 4 : REPLICATE_BYTES,
                                         .kernel = f->kernel};
        st = dm_replicates_create(&run->replicates, &o);
    }
    DM_TRY_ALL(f->comm, st);
    dm_replicates_skip(run->replicates, draws->done);
    while (dm_replicates_next(run->replicates, &first, &count)) {
        DM_TRY(draw_window(run, first, count, fn));
        give_window(run, first, count, draws);
    }
    log_work(run, start);
cleanup:
    dm_replicates_destroy(&run->replicates);
    dm_free(whole);
    dm_free(run->row);
    dm_free(run->sum);
    return st;
}

demarc_status dm_sweep_base_draws(const dm_sweep_view *v, const dm_sweep_base *base, dm_sweep_draws *draws)
{
    draw_run run = {.v = v,
                    .what = "segments",
                    .end = v->f->model->k,
                    .cells = v->f->model->k,
                    .values = v->outcomes * DM_BASE_SUMS};
    if (v->outcomes == 0 || v->replicates == 0) return DEMARC_OK;
    return draw(&run, base->bound, DM_BASE_WEIGHT, DM_BASE_SUMS, draw_base_block, draws);
}

demarc_status dm_sweep_ring_draws(const dm_sweep_view *v, const dm_sweep_ring_sums *ring, dm_sweep_draws *draws)
{
    draw_run run = {.v = v,
                    .what = "movers",
                    .first = ring->first,
                    .end = ring->end,
                    .cells = v->rings->begin[ring->end] - v->rings->begin[ring->first],
                    .values = dm_ring_sums(v)};
    if (v->replicates == 0) return DEMARC_OK;
    if (run.cells > 0) return draw(&run, ring->bound, 1, 2, draw_ring_block, draws);
    for (int32_t i = 0; i < v->replicates && dm_comm_rank(v->f->comm) == 0; i++) draws->take(draws->context, i, NULL);
    return DEMARC_OK;
}
