#include "boundary/replay_value.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/block_pass.h"
#include "boundary/replay_rounds.h"

/* Rules of an outcome: the policy by both scores, its gain over the control, then each arm for all by both scores. */
enum { RULE_IPW, RULE_AIPW, RULE_GAIN, RULE_CONSTANTS };
/* Sums of a cut and an outcome: sum w d, sum w^2 d, sum w^2 d^2 by both scores; sum w of the movers. */
enum { MOVE_IPW, MOVE_AIPW = 3, MOVE_W = 6, MOVE_SUMS };
enum { MOVE_CHANGING, MOVE_OLD, MOVE_NEW, MOVE_EVENTS, MOVE_NON_EVENTS, MOVE_COUNTS };

/* One round: its outcomes `m` from number `first` on, its segments, and the cuts of these. */
typedef struct value_run {
    const dm_policy *p;
    const dm_cuts *cuts;
    const dm_cut *cut; /* [k, shifts] */
    int32_t shifts, rules;
    dm_replay_round round;
    int32_t m, first;
    int64_t cell_at, rule_at, move_at; /* where these sums begin; those of arms are first */
    double *centre;                    /* [arms, m], [segments, arms, m], [m, rules] as the sums */
    double **score;                    /* [threads][2, m, arms] G of the row at hand: IPW, AIPW */
    dm_block_sums sums;                /* counts: movers of the round's cuts, then of each of them and outcome */
} value_run;

static int32_t first_cut(const value_run *run) { return run->round.segment * run->shifts; }
static int32_t cut_count(const value_run *run) { return run->round.segments * run->shifts; }

/* Sums of arm a in segment j of the round; the m outcomes follow. */
static int64_t cell_of(const value_run *run, int32_t j, int32_t a)
{
    return run->cell_at + ((int64_t)(j - run->round.segment) * run->p->arms + a) * run->m;
}
/* Sums and counts of a cut of the round. */
static int64_t move_of(const value_run *run, int32_t c, int32_t o)
{
    return (int64_t)(c - first_cut(run)) * run->m + o;
}

/* ------------------------------------------------------------------------------------------------ centres */

static double mean_of(const dm_replay_cell *c) { return c->w > 0.0 ? c->wy / c->w : 0.0; }
static double hajek_of(const dm_replay_cell *c) { return c->wp > 0.0 ? c->wyp / c->wp : 0.0; }

/* Mean cost of the policy, over all who have the outcome. */
static double policy_cost(const dm_policy *p, int32_t o)
{
    double cost = 0.0, weight = 0.0;
    if (p->campaign->cost == NULL) return 0.0;
    for (int32_t half = 0; half < 2; half++) {
        for (int32_t j = 0; j < p->k; j++) {
            const double each = dm_campaign_cost(p->campaign, dm_policy_choice(p, half, j, o));
            for (int32_t a = 0; a < p->arms; a++) {
                const double w = p->cell[dm_policy_cell(p, half, j, a, o)].w;
                cost += w * each;
                weight += w;
            }
        }
    }
    return weight > 0.0 ? cost / weight : 0.0;
}

/* Means of the whole, known from the pass before: squares are summed about them. */
static void find_centres(value_run *run)
{
    const dm_policy *p = run->p;
    const int32_t control = p->campaign->control;
    for (int32_t i = 0; i < run->m; i++) {
        const int32_t o = run->first + i;
        dm_replay_cell whole = {0};
        double *rule = run->centre + run->rule_at + (int64_t)i * run->rules;
        for (int32_t a = 0; a < p->arms; a++) {
            dm_replay_cell arm = {0};
            for (int32_t j = 0; j < p->k; j++) {
                dm_replay_cell cell = p->cell[dm_policy_cell(p, 0, j, a, o)];
                dm_replay_cell_add(&cell, &p->cell[dm_policy_cell(p, 1, j, a, o)]);
                if (dm_replay_round_has(&run->round, j)) run->centre[cell_of(run, j, a) + i] = mean_of(&cell);
                dm_replay_cell_add(&arm, &cell);
            }
            run->centre[(int64_t)a * run->m + i] = mean_of(&arm);
            for (int s = 0; s < 2; s++) {
                rule[RULE_CONSTANTS + 2 * a + s] = hajek_of(&arm) - dm_campaign_cost(p->campaign, a);
            }
            dm_replay_cell_add(&whole, &arm);
        }
        const double cost = policy_cost(p, o);
        rule[RULE_IPW] = rule[RULE_AIPW] = mean_of(&whole) - cost;
        rule[RULE_GAIN] = control >= 0 ? dm_campaign_cost(p->campaign, control) - cost : 0.0;
    }
}

/* ------------------------------------------------------------------------------------------------ the pass */

static void add(const value_run *run, double *part, int64_t at, double w, double y)
{
    dm_moments_add((dm_moments *)(void *)(part + at * DM_MOMENTS), w, y - run->centre[at]);
}

static void add_move(double *s, double w, double delta)
{
    s[0] += w * delta;
    s[1] += w * w * delta;
    s[2] += w * w * delta * delta;
}

/* Scores of all arms and outcomes, and what needs no cut. NaN where the outcome is missing. */
static void value_row(const value_run *run, int thread, const dm_frozen_block *b, int64_t r, int32_t half, double w)
{
    const dm_policy *p = run->p;
    const int32_t j = b->segment[r], had = b->arm[r], control = p->campaign->control;
    const double e = dm_policy_propensity(p, b, r);
    double *part = run->sums.part[thread];
    for (int32_t i = 0; i < run->m; i++) {
        const int32_t o = run->first + i;
        double *ipw = run->score[thread] + (int64_t)i * p->arms, *aipw = ipw + (int64_t)run->m * p->arms;
        const double y = b->outcome[r * b->outcomes + p->outcome[o]];
        const int64_t rule = run->rule_at + (int64_t)i * run->rules;
        if (isnan(y)) continue;
        for (int32_t a = 0; a < p->arms; a++) {
            const double mu = p->mu[dm_policy_cell(p, 1 - half, j, a, o)], cost = dm_campaign_cost(p->campaign, a);
            ipw[a] = (a == had ? y / e : 0.0) - cost;
            aipw[a] = (a == had ? mu + (y - mu) / e : mu) - cost;
            add(run, part, rule + RULE_CONSTANTS + 2 * a, w, ipw[a]);
            add(run, part, rule + RULE_CONSTANTS + 2 * a + 1, w, aipw[a]);
        }
        const int32_t choice = dm_policy_choice(p, half, j, o);
        add(run, part, rule + RULE_IPW, w, ipw[choice]);
        add(run, part, rule + RULE_AIPW, w, aipw[choice]);
        add(run, part, rule + RULE_GAIN, w, control >= 0 ? aipw[choice] - aipw[control] : 0.0);
        add(run, part, (int64_t)had * run->m + i, w, y);
        if (dm_replay_round_has(&run->round, j)) add(run, part, cell_of(run, j, had) + i, w, y);
    }
}

/* Row r moves by cut c from its segment to `after`. */
static void move_row(const value_run *run, int thread, const dm_frozen_block *b, int64_t r, int32_t half, double w,
                     int32_t c, int32_t after)
{
    const dm_policy *p = run->p;
    int64_t *count = run->sums.count[thread];
    count[c - first_cut(run)]++;
    for (int32_t i = 0; i < run->m; i++) {
        const int32_t o = run->first + i;
        const double y = b->outcome[r * b->outcomes + p->outcome[o]];
        double *s = run->sums.part[thread] + run->move_at * DM_MOMENTS + move_of(run, c, i) * MOVE_SUMS;
        int64_t *n = count + cut_count(run) + move_of(run, c, i) * MOVE_COUNTS;
        if (isnan(y)) continue;
        s[MOVE_W] += w;
        const int32_t old = dm_policy_choice(p, half, b->segment[r], o), new = dm_policy_choice(p, half, after, o);
        if (old == new) continue;
        const double *ipw = run->score[thread] + (int64_t)i * p->arms, *aipw = ipw + (int64_t)run->m * p->arms;
        add_move(s + MOVE_IPW, w, ipw[new] - ipw[old]);
        add_move(s + MOVE_AIPW, w, aipw[new] - aipw[old]);
        n[MOVE_CHANGING]++;
        n[MOVE_OLD] += b->arm[r] == old;
        n[MOVE_NEW] += b->arm[r] == new;
        if (b->arm[r] == old || b->arm[r] == new) n[y == 1.0 ? MOVE_EVENTS : MOVE_NON_EVENTS]++;
    }
}

static void value_block(void *context, int thread, const dm_frozen_block *b)
{
    value_run *run = context;
    const int32_t begin = first_cut(run), end = begin + cut_count(run);
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t half = dm_policy_half(run->p, b, r), present = b->segment[r];
        const double w = b->w != NULL ? (double)b->w[r] : 1.0;
        double t = 0.0;
        value_row(run, thread, b, r, half, w);
        for (int32_t c = begin, j = -1; c < end; c++) {
            const dm_cut *cut = &run->cut[c];
            if (!cut->possible || (cut->shift > 0.0) == (cut->segment == present)) continue;
            if (cut->segment != j) {
                j = cut->segment;
                t = dm_critical_offset(b, r, j);
            }
            /* Ids are asked only where offsets are equal. */
            const bool inside = t == cut->inside ? dm_cuts_inside(run->cuts, c, b, r) : t < cut->inside;
            if (inside == (cut->shift > 0.0)) move_row(run, thread, b, r, half, w, c, inside ? j : b->runner_up[r]);
        }
    }
    dm_block_sums_flush(&run->sums, thread);
}

/* ------------------------------------------------------------------------------------------------ results */

static dm_mean moments_mean(const value_run *run, int64_t n, int64_t at)
{
    dm_moments m;
    memcpy(&m, run->sums.value + at * DM_MOMENTS, sizeof m);
    return dm_mean_of(n, &m, run->centre[at]);
}

static void take_move(const value_run *run, dm_move_value *m, int64_t n, int64_t rule, int64_t at)
{
    const double *s = run->sums.value + run->move_at * DM_MOMENTS + at * MOVE_SUMS;
    const int64_t *count = run->sums.number + cut_count(run) + at * MOVE_COUNTS;
    dm_moments moments;
    memcpy(&moments, run->sums.value + rule * DM_MOMENTS, sizeof moments); /* weights of all rows with the outcome */
    *m = (dm_move_value){.changing = count[MOVE_CHANGING],
                         .had_old = count[MOVE_OLD],
                         .had_new = count[MOVE_NEW],
                         .events = count[MOVE_EVENTS],
                         .non_events = count[MOVE_NON_EVENTS],
                         .per_mover = s[MOVE_W] > 0.0 ? s[MOVE_AIPW] / s[MOVE_W] : (double)NAN};
    for (int i = 0; i < 2; i++) {
        const double *d = s + (i == 0 ? MOVE_IPW : MOVE_AIPW);
        moments.wy = d[0];
        moments.w2y = d[1];
        moments.w2y2 = d[2];
        *(i == 0 ? &m->ipw : &m->aipw) = dm_mean_of(n, &moments, 0.0);
    }
}

/* Means of the arms in all segments and in those of the round; returns how many rows have outcome i of the round. */
static int64_t take_arms(const value_run *run, dm_replay_value *v, int32_t i)
{
    const dm_policy *p = run->p;
    const int32_t o = run->first + i;
    int64_t n = 0;
    for (int32_t a = 0; a < p->arms; a++) {
        int64_t arm_n = 0;
        for (int32_t j = 0; j < p->k; j++) {
            const int64_t cell_n = p->cell[dm_policy_cell(p, 0, j, a, o)].n + p->cell[dm_policy_cell(p, 1, j, a, o)].n;
            arm_n += cell_n;
            if (!dm_replay_round_has(&run->round, j)) continue;
            v->cell[((int64_t)j * p->arms + a) * p->outcomes + o] = moments_mean(run, cell_n, cell_of(run, j, a) + i);
        }
        v->arm[(int64_t)a * p->outcomes + o] = moments_mean(run, arm_n, (int64_t)a * run->m + i);
        n += arm_n;
    }
    return n;
}

static void take_rules(const value_run *run, dm_replay_value *v, int32_t i, int64_t n)
{
    const dm_policy *p = run->p;
    const int32_t m = p->outcomes, o = run->first + i, control = p->campaign->control;
    const int64_t rule = run->rule_at + (int64_t)i * run->rules;
    for (int32_t a = 0; a < p->arms; a++) {
        const int64_t n_rule = v->arm[(int64_t)a * m + o].n > 0 ? n : 0; /* an arm that nobody had has no value */
        v->constant[(int64_t)a * m + o] =
            (dm_rule_value){.ipw = moments_mean(run, n_rule, rule + RULE_CONSTANTS + 2 * a),
                            .aipw = moments_mean(run, n_rule, rule + RULE_CONSTANTS + 2 * a + 1)};
    }
    v->policy[o] =
        (dm_rule_value){.ipw = moments_mean(run, n, rule + RULE_IPW), .aipw = moments_mean(run, n, rule + RULE_AIPW)};
    const bool held = control >= 0 && v->arm[(int64_t)control * m + o].n > 0;
    v->gain[o] = moments_mean(run, held ? n : 0, rule + RULE_GAIN);
}

/* Sums over all customers are made in every round of an outcome, with the same bits; the others in one. */
static void take_sums(const value_run *run, dm_replay_value *v)
{
    const int32_t begin = first_cut(run), cuts = cut_count(run);
    for (int32_t c = 0; c < cuts; c++) v->movers[begin + c] = run->sums.number[c];
    for (int32_t i = 0; i < run->m; i++) {
        const int64_t n = take_arms(run, v, i);
        take_rules(run, v, i, n);
        for (int32_t c = begin; c < begin + cuts; c++) {
            take_move(run, &v->move[(int64_t)c * run->p->outcomes + run->first + i], n,
                      run->rule_at + (int64_t)i * run->rules, move_of(run, c, i));
        }
    }
}

/* ------------------------------------------------------------------------------------------------ all of it */

static demarc_status run_create(value_run *run, const dm_frozen *f)
{
    demarc_status st = DEMARC_OK;
    const dm_policy *p = run->p;
    const int64_t cuts = cut_count(run);
    run->m = run->round.outcomes;
    run->first = run->round.outcome;
    run->cell_at = (int64_t)p->arms * run->m;
    run->rule_at = run->cell_at + (int64_t)run->round.segments * p->arms * run->m;
    run->move_at = run->rule_at + (int64_t)run->m * run->rules;
    DM_TRY(dm_block_sums_create(&run->sums, f->threads, run->move_at * DM_MOMENTS + cuts * run->m * MOVE_SUMS,
                                cuts + cuts * run->m * MOVE_COUNTS));
    DM_TRY(dm_alloc(run->centre, run->move_at, "replay"));
    DM_TRY(dm_alloc_zero(run->score, f->threads, "replay"));
    for (int t = 0; t < f->threads; t++) DM_TRY(dm_alloc(run->score[t], 2 * (int64_t)run->m * p->arms, "replay"));
    find_centres(run);
cleanup:
    return st;
}

static void run_destroy(value_run *run, const dm_frozen *f)
{
    for (int t = 0; t < f->threads && run->score != NULL; t++) dm_free(run->score[t]);
    dm_free(run->score);
    dm_free(run->centre);
    run->score = NULL;
    run->centre = NULL;
    dm_block_sums_destroy(&run->sums);
}

static demarc_status value_create(dm_replay_value *v, const dm_policy *p, int64_t cuts)
{
    demarc_status st = DEMARC_OK;
    const int64_t m = p->outcomes;
    DM_TRY(dm_alloc(v->arm, p->arms * m, "replay"));
    DM_TRY(dm_alloc(v->cell, p->k * p->arms * m, "replay"));
    DM_TRY(dm_alloc(v->policy, m, "replay"));
    DM_TRY(dm_alloc(v->constant, p->arms * m, "replay"));
    DM_TRY(dm_alloc(v->gain, m, "replay"));
    DM_TRY(dm_alloc(v->movers, cuts, "replay"));
    DM_TRY(dm_alloc(v->move, cuts * m, "replay"));
cleanup:
    return st;
}

demarc_status dm_replay_value_find(dm_replay_value *v, const dm_frozen *f, const dm_policy *policy, const dm_cuts *cuts,
                                   int32_t shifts, const dm_cut *cut)
{
    demarc_status st = DEMARC_OK;
    const int64_t arms = policy->arms;
    char name[64];
    value_run run = {
        .p = policy, .cuts = cuts, .cut = cut, .shifts = shifts, .rules = RULE_CONSTANTS + 2 * policy->arms};
    *v = (dm_replay_value){0};
    DM_TRY_ALL(f->comm, value_create(v, policy, (int64_t)policy->k * shifts));
    dm_replay_rounds rounds = dm_replay_rounds_of(f, policy->outcomes, (arms + run.rules) * DM_MOMENTS,
                                                  arms * DM_MOMENTS + (int64_t)shifts * MOVE_SUMS);
    while (dm_replay_rounds_next(&rounds)) {
        run.round = rounds.at;
        dm_replay_round_name(&run.round, "value", name);
        DM_TRY_ALL(f->comm, run_create(&run, f));
        DM_TRY(dm_block_pass(&run.sums, f, name, dm_policy_want(policy), value_block, &run));
        take_sums(&run, v);
        run_destroy(&run, f);
    }
cleanup:
    run_destroy(&run, f);
    return st;
}

void dm_replay_value_destroy(dm_replay_value *v)
{
    dm_free(v->arm);
    dm_free(v->cell);
    dm_free(v->policy);
    dm_free(v->constant);
    dm_free(v->gain);
    dm_free(v->movers);
    dm_free(v->move);
    *v = (dm_replay_value){0};
}
