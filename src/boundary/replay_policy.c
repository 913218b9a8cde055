#include "boundary/replay_policy.h"

#include <math.h>

#include "base/memory.h"
#include "boundary/block_pass.h"
#include "boundary/replay_rounds.h"
#include "stats/digest.h"
#include "store/id_hash.h"

enum { CELL_W, CELL_WY, CELL_WP, CELL_WYP, CELL_SUMS };
enum { CELL_N, CELL_EVENTS, CELL_COUNTS };

typedef struct learn_run {
    dm_policy *p;
    dm_replay_round round;
    dm_block_sums sums; /* of cells of the round [2, segments, arms, outcomes], then of the columns of /propensity */
    int64_t cells;
    int64_t size_at, other_at; /* counts after those of cells: customers per segment, values besides 0 and 1 */
    /* The one maximum is minus the first row whose arm had probability 0. */
} learn_run;

void dm_replay_cell_add(dm_replay_cell *a, const dm_replay_cell *b)
{
    a->n += b->n;
    a->events += b->events;
    a->w += b->w;
    a->wy += b->wy;
    a->wp += b->wp;
    a->wyp += b->wyp;
}

unsigned dm_policy_want(const dm_policy *p)
{
    return DM_WANT_OUTCOMES | DM_WANT_ARM | DM_WANT_IDS | (p->campaign->propensity ? (unsigned)DM_WANT_PROPENSITY : 0U);
}

int32_t dm_policy_half(const dm_policy *p, const dm_frozen_block *b, int64_t r)
{
    return (int32_t)(dm_id_hash(b->ids, b->ids_at + r, p->half_key) & 1);
}

/* ------------------------------------------------------------------------------------------------ the pass */

/* Of the round's first outcome; the others follow. */
static int64_t cell_of(const learn_run *run, int32_t half, int32_t j, int32_t a)
{
    const dm_replay_round *at = &run->round;
    return (((int64_t)half * at->segments + j - at->segment) * run->p->arms + a) * at->outcomes;
}

static void learn_row(const learn_run *run, int thread, const dm_frozen_block *b, int64_t r)
{
    const dm_policy *p = run->p;
    const int32_t half = dm_policy_half(p, b, r), j = b->segment[r], a = b->arm[r];
    const double w = b->w != NULL ? (double)b->w[r] : 1.0, e = dm_policy_propensity(p, b, r);
    double *part = run->sums.part[thread];
    int64_t *count = run->sums.count[thread];
    count[run->size_at + j]++;
    for (int32_t i = 0; i < b->arms; i++) part[run->cells * CELL_SUMS + i] += b->propensity[r * b->arms + i];
    if (!(e > 0.0)) {
        run->sums.high[thread][0] = fmax(run->sums.high[thread][0], -(double)(b->begin + r));
        return;
    }
    if (!dm_replay_round_has(&run->round, j)) return;
    for (int32_t o = 0; o < run->round.outcomes; o++) {
        const double y = b->outcome[r * b->outcomes + p->outcome[run->round.outcome + o]];
        if (isnan(y)) continue;
        const int64_t cell = cell_of(run, half, j, a) + o;
        double *s = part + cell * CELL_SUMS;
        s[CELL_W] += w;
        s[CELL_WY] += w * y;
        s[CELL_WP] += w / e;
        s[CELL_WYP] += w * y / e;
        count[cell * CELL_COUNTS + CELL_N]++;
        count[cell * CELL_COUNTS + CELL_EVENTS] += y == 1.0;
        count[run->other_at + o] += y != 0.0 && y != 1.0;
    }
}

static void learn_block(void *context, int thread, const dm_frozen_block *b)
{
    learn_run *run = context;
    for (int64_t r = 0; r < b->rows; r++) learn_row(run, thread, b, r);
    dm_block_sums_flush(&run->sums, thread);
}

static demarc_status run_create(learn_run *run, const dm_frozen *f)
{
    const dm_policy *p = run->p;
    run->cells = 2 * (int64_t)run->round.segments * p->arms * run->round.outcomes;
    run->size_at = run->cells * CELL_COUNTS;
    run->other_at = run->size_at + p->k;
    return dm_block_sums_create_with(&run->sums, f->threads, run->cells * CELL_SUMS + p->arms,
                                     run->other_at + run->round.outcomes, 1);
}

static void run_destroy(learn_run *run) { dm_block_sums_destroy(&run->sums); }

/* The first bad row of all ranks, whoever met it. */
static demarc_status check_rows(const learn_run *run, const dm_frozen *f)
{
    const double bad = -run->sums.most[0];
    if (isinf(bad)) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA,
                   "impossible arm: %s, row %lld: /propensity of the arm it had is 0: store the probability it had",
                   dm_customers_path(f->customers), (long long)bad);
}

/* ------------------------------------------------------------------------------------------------ what was learnt */

/* From one arm's cells of a half and a segment to those of all outcomes. */
static void take_cells(const learn_run *run, int64_t from, dm_replay_cell *to)
{
    for (int64_t o = 0; o < run->round.outcomes; o++) {
        const double *s = run->sums.value + (from + o) * CELL_SUMS;
        const int64_t *c = run->sums.number + (from + o) * CELL_COUNTS;
        to[o] = (dm_replay_cell){.n = c[CELL_N],
                                 .events = c[CELL_EVENTS],
                                 .w = s[CELL_W],
                                 .wy = s[CELL_WY],
                                 .wp = s[CELL_WP],
                                 .wyp = s[CELL_WYP]};
    }
}

static void take_sums(learn_run *run, int64_t n)
{
    dm_policy *p = run->p;
    const dm_replay_round *at = &run->round;
    for (int32_t half = 0; half < 2; half++) {
        for (int32_t j = at->segment; j < at->segment + at->segments; j++) {
            for (int32_t a = 0; a < p->arms; a++)
                take_cells(run, cell_of(run, half, j, a), &p->cell[dm_policy_cell(p, half, j, a, at->outcome)]);
        }
    }
    for (int32_t j = 0; j < p->k; j++) p->size[j] = run->sums.number[run->size_at + j];
    for (int32_t o = 0; o < at->outcomes; o++) p->others[at->outcome + o] += run->sums.number[run->other_at + o];
    for (int32_t a = 0; a < p->arms; a++) {
        p->expected[a] =
            p->campaign->propensity ? run->sums.value[run->cells * CELL_SUMS + a] : (double)n * p->campaign->design[a];
    }
}

static double net(const dm_campaign *c, int32_t arm, double mean) { return mean - dm_campaign_cost(c, arm); }

static double hajek(const dm_replay_cell *c, double otherwise) { return c->wp > 0.0 ? c->wyp / c->wp : otherwise; }

/* Means and choices of one outcome learnt on one half. `all` [arms] is scratch. */
static void learn_outcome(dm_policy *p, int32_t half, int32_t o, int64_t min_cell, dm_replay_cell *all)
{
    const dm_campaign *c = p->campaign;
    int32_t best = -1;
    for (int32_t a = 0; a < p->arms; a++) {
        all[a] = (dm_replay_cell){0};
        for (int32_t j = 0; j < p->k; j++) dm_replay_cell_add(&all[a], &p->cell[dm_policy_cell(p, half, j, a, o)]);
    }
    for (int32_t i = 0; i < c->candidates; i++) {
        const int32_t a = c->candidate[i];
        if (all[a].wp > 0.0 && (best < 0 || net(c, a, hajek(&all[a], 0.0)) > net(c, best, hajek(&all[best], 0.0))))
            best = a;
    }
    if (best < 0) best = c->candidate[0]; /* nobody has the outcome */
    for (int32_t j = 0; j < p->k; j++) {
        int32_t choice = -1;
        for (int32_t a = 0; a < p->arms; a++) {
            const int64_t cell = dm_policy_cell(p, half, j, a, o);
            p->mu[cell] = hajek(&p->cell[cell], hajek(&all[a], 0.0));
        }
        for (int32_t i = 0; i < c->candidates; i++) {
            const int64_t cell = dm_policy_cell(p, half, j, c->candidate[i], o);
            if (p->cell[cell].n < min_cell) continue;
            if (choice < 0 ||
                net(c, c->candidate[i], p->mu[cell]) > net(c, choice, p->mu[dm_policy_cell(p, half, j, choice, o)]))
                choice = c->candidate[i];
        }
        if (c->policy != NULL) choice = c->policy[j];
        p->choice[((int64_t)(1 - half) * p->k + j) * p->outcomes + o] = choice >= 0 ? choice : best;
    }
}

static demarc_status policy_create(dm_policy *p)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = 2 * (int64_t)p->k * p->arms * p->outcomes;
    DM_TRY(dm_alloc(p->size, p->k, "policy"));
    DM_TRY(dm_alloc(p->expected, p->arms, "policy"));
    DM_TRY(dm_alloc_zero(p->others, p->outcomes, "policy"));
    DM_TRY(dm_alloc(p->cell, cells, "policy"));
    DM_TRY(dm_alloc(p->mu, cells, "policy"));
    DM_TRY(dm_alloc(p->choice, 2 * (int64_t)p->k * p->outcomes, "policy"));
cleanup:
    return st;
}

demarc_status dm_policy_learn(dm_policy *p, const dm_frozen *f, const dm_campaign *campaign, int32_t outcomes,
                              const int32_t *outcome, uint64_t seed, int64_t min_cell)
{
    demarc_status st = DEMARC_OK;
    learn_run run = {.p = p};
    char name[64];
    dm_replay_cell *all = NULL;
    *p = (dm_policy){.campaign = campaign,
                     .k = f->model->k,
                     .arms = campaign->arms,
                     .outcomes = outcomes,
                     .outcome = outcome,
                     .half_key = dm_hash64("replay fold", 11, seed)};
    st = policy_create(p);
    if (st == DEMARC_OK) st = dm_alloc(all, p->arms, "policy");
    DM_TRY_ALL(f->comm, st);
    dm_replay_rounds rounds = dm_replay_rounds_of(f, outcomes, 1, 2 * (int64_t)p->arms * CELL_SUMS);
    while (dm_replay_rounds_next(&rounds)) {
        run.round = rounds.at;
        dm_replay_round_name(&run.round, "policy", name);
        DM_TRY_ALL(f->comm, run_create(&run, f));
        DM_TRY(dm_block_pass(&run.sums, f, name, dm_policy_want(p), learn_block, &run));
        DM_TRY(check_rows(&run, f));
        take_sums(&run, dm_rows_global(f->rows));
        run_destroy(&run);
    }
    for (int32_t o = 0; o < outcomes; o++) {
        for (int32_t half = 0; half < 2; half++) learn_outcome(p, half, o, min_cell, all);
    }
cleanup:
    run_destroy(&run);
    dm_free(all);
    return st;
}

void dm_policy_destroy(dm_policy *p)
{
    dm_free(p->size);
    dm_free(p->expected);
    dm_free(p->others);
    dm_free(p->cell);
    dm_free(p->mu);
    dm_free(p->choice);
    *p = (dm_policy){0};
}
