#include "diagnosis/drift.h"

#include <math.h>

#include "base/memory.h"
#include "diagnosis/drift_walk.h"
#include "diagnosis/windows.h"
#include "stats/block_sums.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"

/* Sums and counts of one set and feature. */
enum { SUM_W, SUM_W2, SUM_WX, SUM_WXX, SUMS };
enum { COUNT_PRESENT, COUNT_MISSING, COUNT_WEIGHT, COUNTS };

typedef struct moments {
    double effective; /* customers, by Kish where weights exist */
    double mean, sd;
    int64_t present, missing;
} moments;

typedef struct drifter {
    const dm_compared *c;
    int32_t d, sets, bins;
    double alpha;
    int32_t *set_of[2]; /* [k] */
    const int32_t *const *label;
    double *centre; /* [d] near the old means */
    int64_t *total; /* [2, sets, d] integer weights */
    moments *of;    /* [2, sets, d] */
    /* The side that is being read. */
    int side;
    dm_block_sums sums;
    double **low, **high; /* [threads] [sets, d] of present values */
} drifter;

static void add_value(drifter *p, int thread, int64_t cell, double x, double centred, double w, uint32_t q)
{
    double *sum = p->sums.part[thread] + cell * SUMS;
    int64_t *count = p->sums.count[thread] + cell * COUNTS;
    if (q == 0) return;
    if (isnan(x)) {
        count[COUNT_MISSING]++;
        return;
    }
    p->low[thread][cell] = fmin(p->low[thread][cell], x);
    p->high[thread][cell] = fmax(p->high[thread][cell], x);
    count[COUNT_PRESENT]++;
    count[COUNT_WEIGHT] += q;
    sum[SUM_W] += w;
    sum[SUM_W2] += w * w;
    sum[SUM_WX] += w * centred;
    sum[SUM_WXX] += w * centred * centred;
}

static void add_block(void *context, int thread, const dm_window *v, int64_t begin, int64_t end)
{
    drifter *p = context;
    const dm_compared_run *run = &p->c->run[p->side];
    for (int64_t r = begin; r < end; r++) {
        const int32_t set = p->set_of[p->side][p->label[p->side][v->at + r]];
        const double w = v->w != NULL ? (double)v->w[r] : 1.0;
        const uint32_t q = dm_walk_weight(w, run->weight_high, v->w != NULL);
        for (int32_t f = 0; f < p->d; f++) {
            const double x = v->x[r * v->features + run->column[f]], centred = x - p->centre[f];
            add_value(p, thread, f, x, centred, w, q);
            if (set > 0) add_value(p, thread, (int64_t)set * p->d + f, x, centred, w, q);
        }
    }
    dm_block_sums_flush(&p->sums, thread);
}

static demarc_status add_window(void *context, const dm_window *v)
{
    dm_window_blocks(((drifter *)context)->c, v, add_block, context);
    return DEMARC_OK;
}

static moments moments_of(const drifter *p, int64_t cell, bool weighted)
{
    const dm_block_sums *s = &p->sums;
    const double centre = p->centre[cell % p->d], low = p->low[0][cell], high = p->high[0][cell];
    const double *sum = s->value + cell * SUMS;
    const int64_t *count = s->number + cell * COUNTS;
    moments m = {.present = count[COUNT_PRESENT],
                 .missing = count[COUNT_MISSING],
                 .effective = (double)count[COUNT_PRESENT],
                 .mean = (double)NAN,
                 .sd = (double)NAN};
    if (count[COUNT_PRESENT] == 0) return m;
    const double shift = sum[SUM_WX] / sum[SUM_W];
    /* Where all values are one, rounding must not make a spread of it. */
    m.mean = low == high ? low : centre + shift;
    m.sd = low == high ? 0.0 : sqrt(fmax(0.0, sum[SUM_WXX] / sum[SUM_W] - shift * shift));
    if (weighted) m.effective = sum[SUM_W] * sum[SUM_W] / sum[SUM_W2];
    return m;
}

static void reduce_bounds(drifter *p, int64_t cells)
{
    for (int t = 1; t < p->c->threads; t++) {
        for (int64_t cell = 0; cell < cells; cell++) {
            p->low[0][cell] = fmin(p->low[0][cell], p->low[t][cell]);
            p->high[0][cell] = fmax(p->high[0][cell], p->high[t][cell]);
        }
    }
    dm_comm_min_f64(p->c->comm, p->low[0], cells);
    dm_comm_max_f64(p->c->comm, p->high[0], cells);
}

/* Moments and integer weights of one side. Collective. */
static demarc_status read_side(drifter *p, int side)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)p->sets * p->d;
    const bool weighted = dm_customers_schema(p->c->run[side].customers)->weight;
    p->side = side;
    for (int t = 0; t < p->c->threads; t++) {
        for (int64_t cell = 0; cell < cells; cell++) {
            p->low[t][cell] = (double)INFINITY;
            p->high[t][cell] = -(double)INFINITY;
        }
    }
    DM_TRY_ALL(p->c->comm, dm_block_sums_create(&p->sums, p->c->threads, cells * SUMS, cells * COUNTS));
    DM_TRY_ALL(p->c->comm, dm_windows(p->c, side, DM_WINDOW_FEATURES, add_window, p));
    dm_block_sums_reduce(&p->sums, p->c->comm);
    reduce_bounds(p, cells);
    for (int64_t cell = 0; cell < cells; cell++) {
        p->of[side * cells + cell] = moments_of(p, cell, weighted);
        p->total[side * cells + cell] = p->sums.number[cell * COUNTS + COUNT_WEIGHT];
    }
cleanup:
    dm_block_sums_destroy(&p->sums);
    return st;
}

/* ------------------------------------------------------------------------------------------------ figures */

static double cell_share(int64_t q, int64_t total, double effective)
{
    return q > 0 ? (double)q / (double)total : 0.5 / effective;
}

/* Bins end at the edges that were found; the last one at the end. */
static void stability_index(dm_drift_figure *g, const int64_t *edge, int32_t bins, const int64_t total[2],
                            const moments *of[2])
{
    int64_t before[2] = {0, 0};
    g->bins = 0;
    g->psi = 0.0;
    for (int32_t b = 0; b < bins; b++) {
        const bool last = b == bins - 1;
        if (!last && edge[2 * b] < 0) continue;
        const int64_t upto[2] = {last ? total[0] : edge[2 * b], last ? total[1] : edge[2 * b + 1]};
        const double p = cell_share(upto[0] - before[0], total[0], of[0]->effective);
        const double q = cell_share(upto[1] - before[1], total[1], of[1]->effective);
        g->psi += (q - p) * log(q / p);
        before[0] = upto[0];
        before[1] = upto[1];
        g->bins++;
    }
}

static dm_drift_figure figure_of(const drifter *p, const dm_walk *walk, int64_t cell)
{
    const int64_t cells = (int64_t)p->sets * p->d, total[2] = {p->total[cell], p->total[cells + cell]};
    const moments *of[2] = {&p->of[cell], &p->of[cells + cell]};
    const double none = (double)NAN;
    dm_drift_figure g = {.old_count = of[0]->present,
                         .new_count = of[1]->present,
                         .old_missing = of[0]->missing,
                         .new_missing = of[1]->missing,
                         .psi = none,
                         .psi_p = none,
                         .ks = none,
                         .ks_p = none,
                         .wasserstein = none,
                         .wasserstein_sd = none,
                         .old_mean = of[0]->mean,
                         .new_mean = of[1]->mean};
    if (total[0] == 0 || total[1] == 0) return g;
    const double harmonic = of[0]->effective * of[1]->effective / (of[0]->effective + of[1]->effective);
    g.ks = walk->ks[cell];
    g.ks_p = dm_kolmogorov_sf(g.ks * sqrt(harmonic));
    g.wasserstein = walk->wasserstein[cell];
    if (of[0]->sd > 0.0) g.wasserstein_sd = g.wasserstein / of[0]->sd;
    stability_index(&g, walk->edge + cell * (p->bins - 1) * 2, p->bins, total, of);
    if (g.bins > 1) {
        g.psi_p = dm_chi_squared_sf(g.psi * harmonic, g.bins - 1);
    } else {
        g.psi = none; /* one bin says nothing */
    }
    return g;
}

/* The customary words, but only for a change that is more than chance. */
static const char *word_of(const dm_drift_figure *g, double alpha)
{
    if (isnan(g->psi_p_adjusted)) return NULL;
    if (g->psi_p_adjusted > alpha) return "none shown";
    return g->psi < 0.1 ? "small" : g->psi < 0.25 ? "moderate" : "large";
}

/* Holm over the two p-values of every figure. */
static demarc_status adjust(const drifter *p, dm_drift_figure *figure, int64_t *tests)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)p->sets * p->d;
    double *v = NULL;
    DM_TRY(dm_alloc(v, 2 * cells, "drift"));
    for (int64_t i = 0; i < cells; i++) {
        v[2 * i] = figure[i].psi_p;
        v[2 * i + 1] = figure[i].ks_p;
    }
    DM_TRY(dm_adjust_p(DM_ADJUST_HOLM, v, 2 * cells, v, tests));
    for (int64_t i = 0; i < cells; i++) {
        figure[i].psi_p_adjusted = v[2 * i];
        figure[i].ks_p_adjusted = v[2 * i + 1];
        figure[i].word = word_of(&figure[i], p->alpha);
    }
cleanup:
    dm_free(v);
    return st;
}

static demarc_status start(drifter *p, const dm_pairing *pairing)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)p->sets * p->d;
    const dm_transform *scaling = &p->c->run[0].model->transform;
    for (int side = 0; side < 2; side++) {
        DM_TRY(dm_alloc(p->set_of[side], pairing->k[side], "drift"));
        for (int32_t j = 0; j < pairing->k[side]; j++) p->set_of[side][j] = pairing->pair[side][j] + 1;
    }
    DM_TRY(dm_alloc(p->centre, p->d, "drift"));
    for (int32_t f = 0; f < p->d; f++) p->centre[f] = dm_transform_to_original(scaling, f, 0.0);
    DM_TRY(dm_alloc(p->total, 2 * cells, "drift"));
    DM_TRY(dm_alloc(p->of, 2 * cells, "drift"));
    DM_TRY(dm_alloc_zero(p->low, p->c->threads, "drift"));
    DM_TRY(dm_alloc_zero(p->high, p->c->threads, "drift"));
    for (int t = 0; t < p->c->threads; t++) {
        DM_TRY(dm_alloc(p->low[t], cells, "drift"));
        DM_TRY(dm_alloc(p->high[t], cells, "drift"));
    }
cleanup:
    return st;
}

demarc_status dm_drift(const dm_compared *c, const dm_pairing *pairing, const int32_t *const label[2], int32_t bins,
                       double alpha, dm_drift_figure *figure, int64_t *tests)
{
    demarc_status st = DEMARC_OK;
    drifter p = {.c = c, .d = c->d, .sets = 1 + pairing->pairs, .bins = bins, .alpha = alpha, .label = label};
    dm_walk walk = {0};
    DM_TRY_ALL(c->comm, start(&p, pairing));
    for (int side = 0; side < 2; side++) DM_TRY(read_side(&p, side));
    const dm_walk_options o = {.c = c,
                               .d = p.d,
                               .sets = p.sets,
                               .bins = bins,
                               .set_of = {p.set_of[0], p.set_of[1]},
                               .label = {label[0], label[1]},
                               .total = p.total};
    DM_TRY(dm_walk_run(&walk, &o));
    for (int64_t cell = 0; cell < (int64_t)p.sets * p.d; cell++) figure[cell] = figure_of(&p, &walk, cell);
    DM_TRY_ALL(c->comm, adjust(&p, figure, tests));
cleanup:
    dm_walk_clear(&walk);
    for (int t = 0; t < c->threads; t++) {
        if (p.low != NULL) dm_free(p.low[t]);
        if (p.high != NULL) dm_free(p.high[t]);
    }
    dm_free(p.low);
    dm_free(p.high);
    dm_free(p.set_of[0]);
    dm_free(p.set_of[1]);
    dm_free(p.centre);
    dm_free(p.total);
    dm_free(p.of);
    return st;
}
