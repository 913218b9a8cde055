#include "boundary/replay.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/exploratory.h"
#include "boundary/replay_value.h"

struct dm_replay {
    const demarc_replay_options *o;
    dm_campaign campaign;
    dm_policy policy;
    dm_replay_value value;
    double *shift;
    int32_t shifts, outcomes, cuts;
    int32_t *outcome; /* [outcomes] columns, in the order asked for */
    int32_t *feature; /* [outcomes of the file] that it shaped */
    dm_cut *cut;      /* [cuts] by segment, then by shift */
    dm_cuts *found;
    double *p; /* of all tests: by outcome its effects, then its moves */
    dm_replay_report report;
};

/* ------------------------------------------------------------------------------------------------ what is asked for */

static demarc_status no_such_outcome(const dm_frozen *f, const char *name)
{
    const dm_strings *have = &dm_customers_schema(f->customers)->outcome;
    char list[400] = "";
    size_t used = 0;
    for (int32_t i = 0; i < have->count && used + 50 < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s'%.30s'", i > 0 ? ", " : "", have->item[i]);
    }
    return dm_fail(DEMARC_ERR_USAGE, "no such outcome: --outcome '%.80s': %s has %s: name one of them", name,
                   dm_customers_path(f->customers), list);
}

static demarc_status find_outcomes(dm_replay *r, const dm_frozen *f)
{
    demarc_status st = DEMARC_OK;
    const dm_strings *have = &dm_customers_schema(f->customers)->outcome;
    dm_strings list = {0};
    if (have->count == 0) {
        return dm_fail(DEMARC_ERR_DATA, "no outcomes: %s: name the dataset that holds them by --outcomes PATH",
                       dm_customers_path(f->customers));
    }
    DM_TRY(dm_strings_split(&list, r->o->outcome, "--outcome"));
    r->outcomes = list.count > 0 ? list.count : have->count;
    DM_TRY(dm_alloc(r->outcome, r->outcomes, "outcomes"));
    DM_TRY(dm_alloc(r->feature, have->count, "outcomes"));
    for (int32_t i = 0; i < r->outcomes; i++) {
        r->outcome[i] = list.count > 0 ? dm_strings_find(have, list.item[i]) : i;
        if (r->outcome[i] < 0) {
            DM_TRY(no_such_outcome(f, list.item[i]));
        }
    }
    if (r->o->arm_costs != NULL && r->outcomes > 1) {
        DM_TRY(dm_fail(DEMARC_ERR_USAGE,
                       "costs of what outcome: --arm-costs: %d outcomes have their own units: name one "
                       "(--outcome NAME)",
                       (int)r->outcomes));
    }
    st = dm_customers_use_outcomes(f->customers, r->outcomes, r->outcome);
cleanup:
    dm_strings_clear(&list);
    return st;
}

static demarc_status plan_cuts(dm_replay *r, int32_t k)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_shifts_parse(r->o->shifts, &r->shift, &r->shifts));
    r->cuts = k * r->shifts;
    DM_TRY(dm_alloc_zero(r->cut, r->cuts, "cuts"));
    for (int32_t c = 0; c < r->cuts; c++) {
        r->cut[c] = (dm_cut){.segment = c / r->shifts, .shift = r->shift[c % r->shifts]};
    }
cleanup:
    return st;
}

/* Collective. */
static demarc_status begin(dm_replay *r, const dm_frozen *f, const demarc_replay_options *o)
{
    demarc_status st = DEMARC_OK;
    r->o = o;
    DM_TRY(dm_campaign_open(&r->campaign, f, o));
    DM_TRY_ALL(f->comm, find_outcomes(r, f));
    DM_TRY_ALL(f->comm, plan_cuts(r, f->model->k));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the report's memory */

static demarc_status outcome_create(const dm_replay *r, dm_replay_outcome *y)
{
    demarc_status st = DEMARC_OK;
    const int32_t arms = r->campaign.arms, k = r->policy.k;
    DM_TRY(dm_alloc_zero(y->arm, arms, "result"));
    DM_TRY(dm_alloc_zero(y->effect, arms, "result"));
    DM_TRY(dm_alloc_zero(y->constant, arms, "result"));
    DM_TRY(dm_alloc_zero(y->shift, r->cuts, "result"));
    DM_TRY(dm_alloc_zero(y->verdict, k, "result"));
    DM_TRY(dm_alloc_zero(y->segment, k, "result"));
    for (int32_t j = 0; j < k; j++) {
        DM_TRY(dm_alloc_zero(y->segment[j].arm, arms, "result"));
        DM_TRY(dm_alloc_zero(y->segment[j].effect, arms, "result"));
    }
cleanup:
    return st;
}

static void outcome_destroy(const dm_replay *r, dm_replay_outcome *y)
{
    for (int32_t j = 0; j < r->policy.k && y->segment != NULL; j++) {
        dm_free(y->segment[j].arm);
        dm_free(y->segment[j].effect);
    }
    dm_free(y->arm);
    dm_free(y->effect);
    dm_free(y->constant);
    dm_free(y->shift);
    dm_free(y->verdict);
    dm_free(y->segment);
}

static demarc_status report_create(dm_replay *r)
{
    demarc_status st = DEMARC_OK;
    dm_replay_report *t = &r->report;
    DM_TRY(dm_alloc_zero(t->cut, r->cuts, "result"));
    DM_TRY(dm_alloc_zero(t->outcome, r->outcomes, "result"));
    t->outcomes = r->outcomes;
    DM_TRY(dm_alloc(r->p, (int64_t)r->outcomes * (r->campaign.arms - 1 + r->cuts), "result"));
    for (int32_t o = 0; o < r->outcomes; o++) DM_TRY(outcome_create(r, &t->outcome[o]));
cleanup:
    return st;
}

void dm_replay_destroy(dm_replay **replay)
{
    dm_replay *r = *replay;
    if (r == NULL) return;
    for (int32_t o = 0; o < r->report.outcomes; o++) outcome_destroy(r, &r->report.outcome[o]);
    dm_free(r->report.outcome);
    dm_free(r->report.cut);
    dm_free(r->p);
    dm_cuts_destroy(&r->found);
    dm_free(r->cut);
    dm_free(r->feature);
    dm_free(r->outcome);
    dm_free(r->shift);
    dm_replay_value_destroy(&r->value);
    dm_policy_destroy(&r->policy);
    dm_campaign_close(&r->campaign);
    dm_free(r);
    *replay = NULL;
}

/* ------------------------------------------------------------------------------------------------ estimates */

static dm_estimate estimate(const dm_replay *r, const dm_mean *m)
{
    return dm_estimate_of(m->mean, m->variance, r->o->alpha);
}

static dm_replay_arm arm_of(const dm_mean *m)
{
    return (dm_replay_arm){.n = m->n, .mean = m->mean, .se = sqrt(m->variance)};
}

/* Means [arms] at a stride of outcomes, and the differences from the arm they are held against. */
static void fill_arms(const dm_replay *r, const dm_mean *mean, dm_replay_arm *arm, dm_replay_effect *effect)
{
    const dm_mean *against = &mean[(int64_t)r->campaign.against * r->outcomes];
    int32_t i = 0;
    for (int32_t a = 0; a < r->campaign.arms; a++) {
        const dm_mean *m = &mean[(int64_t)a * r->outcomes];
        arm[a] = arm_of(m);
        if (a == r->campaign.against) continue;
        effect[i++] = (dm_replay_effect){
            .arm = a,
            .difference = dm_estimate_of(m->mean - against->mean, m->variance + against->variance, r->o->alpha),
            .p = (double)NAN,
            .p_adjusted = (double)NAN};
    }
}

static bool enough(const dm_replay *r, bool binary, int64_t n, int64_t events, int64_t non_events)
{
    return n >= r->o->min_cell && (!binary || (events >= r->o->min_events && non_events >= r->o->min_events));
}

/* Whether all customers who had the arm suffice for a test. */
static bool arm_suffices(const dm_replay *r, int32_t a, int32_t o)
{
    const dm_policy *p = &r->policy;
    dm_replay_cell all = {0};
    for (int32_t half = 0; half < 2; half++) {
        for (int32_t j = 0; j < p->k; j++) dm_replay_cell_add(&all, &p->cell[dm_policy_cell(p, half, j, a, o)]);
    }
    return enough(r, dm_policy_binary(p, o), all.n, all.events, all.n - all.events);
}

static void fill_shift(const dm_replay *r, dm_replay_shift *s, int32_t c, int32_t o)
{
    const dm_move_value *m = &r->value.move[(int64_t)c * r->outcomes + o];
    const dm_estimate unknown = dm_estimate_of((double)NAN, (double)NAN, r->o->alpha);
    const int64_t fewer = m->had_old < m->had_new ? m->had_old : m->had_new;
    *s = (dm_replay_shift){.changing = -1,
                           .status = "impossible",
                           .ipw = unknown,
                           .aipw = unknown,
                           .per_mover = (double)NAN,
                           .p = (double)NAN,
                           .p_adjusted = (double)NAN};
    if (!r->cut[c].possible) return;
    s->changing = m->changing;
    s->ipw = estimate(r, &m->ipw);
    s->aipw = estimate(r, &m->aipw);
    s->per_mover = m->per_mover;
    s->p = dm_estimate_p(&s->aipw);
    s->status = m->changing == 0 ? "same arm"
                : enough(r, dm_policy_binary(&r->policy, o), fewer, m->events, m->non_events) && !isnan(s->p)
                    ? "ok"
                    : "not enough data";
    if (strcmp(s->status, "ok") != 0) s->p = (double)NAN;
}

static void fill_outcome(const dm_replay *r, const dm_frozen *f, int32_t o)
{
    dm_replay_outcome *y = &r->report.outcome[o];
    const dm_replay_value *v = &r->value;
    const int32_t arms = r->campaign.arms, m = r->outcomes, feature = r->feature[r->outcome[o]];
    y->name = dm_customers_schema(f->customers)->outcome.item[r->outcome[o]];
    y->binary = dm_policy_binary(&r->policy, o);
    y->exploratory_feature = feature >= 0 ? f->model->feature.item[feature] : NULL;
    fill_arms(r, v->arm + o, y->arm, y->effect);
    for (int32_t a = 0; a < arms; a++) {
        y->n += y->arm[a].n;
        y->constant[a].ipw = estimate(r, &v->constant[(int64_t)a * m + o].ipw);
        y->constant[a].aipw = estimate(r, &v->constant[(int64_t)a * m + o].aipw);
    }
    const bool base = arm_suffices(r, r->campaign.against, o);
    for (int32_t i = 0; i + 1 < arms; i++) {
        if (base && arm_suffices(r, y->effect[i].arm, o)) y->effect[i].p = dm_estimate_p(&y->effect[i].difference);
    }
    for (int32_t j = 0; j < r->policy.k; j++) {
        dm_replay_segment *s = &y->segment[j];
        for (int32_t half = 0; half < 2; half++) s->policy[half] = dm_policy_choice(&r->policy, half, j, o);
        fill_arms(r, v->cell + (int64_t)j * arms * m + o, s->arm, s->effect);
    }
    y->policy.ipw = estimate(r, &v->policy[o].ipw);
    y->policy.aipw = estimate(r, &v->policy[o].aipw);
    y->gain = estimate(r, &v->gain[o]);
    for (int32_t c = 0; c < r->cuts; c++) fill_shift(r, &y->shift[c], c, o);
}

static void fill_cuts(dm_replay *r)
{
    for (int32_t c = 0; c < r->cuts; c++) {
        const dm_cut *cut = &r->cut[c];
        r->report.cut[c] = (dm_replay_cut){.segment = cut->segment,
                                           .shift = cut->shift,
                                           .target = cut->count,
                                           .possible = cut->possible,
                                           .offset = cut->possible ? cut->offset : (double)NAN,
                                           .tied = cut->possible ? cut->tied : -1,
                                           .movers = cut->possible ? r->value.movers[c] : -1};
    }
}

static void fill_head(dm_replay *r, const dm_frozen *f)
{
    dm_replay_report *t = &r->report;
    const demarc_replay_options *o = r->o;
    const dm_campaign *c = &r->campaign;
    t->head = (dm_boundary_head){.command = "boundary replay",
                                 .n = dm_rows_global(f->rows),
                                 .d = f->model->d,
                                 .k = f->model->k,
                                 .model_digest = f->model->digest,
                                 .seed = o->seed,
                                 .alpha = o->alpha,
                                 .adjust = o->adjust == DEMARC_ADJUST_BH ? DM_ADJUST_BH : DM_ADJUST_HOLM};
    t->srm_alpha = o->srm_alpha;
    t->min_cell = o->min_cell;
    t->min_events = o->min_events;
    t->arms = c->arms;
    t->arm_name = c->name;
    t->arm_size = c->size;
    t->expected = r->policy.expected;
    t->control = c->control;
    t->against = c->against;
    t->candidates = c->candidates;
    t->candidate = c->candidate;
    t->policy_given = c->policy != NULL;
    t->arm_cost = c->cost;
    t->propensity = c->propensity;
    t->size = r->policy.size;
    t->cuts = r->cuts;
    t->ratio = dm_sample_ratio_test(c->arms, c->size, r->policy.expected);
    t->passed = !(t->ratio.p < o->srm_alpha);
    if (!t->passed) {
        snprintf(
            t->stopped, sizeof t->stopped,
            "sample ratio: customers per arm are not what the design gives (chi-squared %.4g, %d degree%s of freedom, "
            "p %.2g < %g): find out why before believing an estimate",
            t->ratio.value, (int)t->ratio.freedom, t->ratio.freedom == 1 ? "" : "s", t->ratio.p, o->srm_alpha);
    }
}

/* ------------------------------------------------------------------------------------------------ judgements */

/* `none` where no test was made. */
static const char *judge(const dm_replay *r, double p, double value, const char *up, const char *down, const char *none)
{
    if (isnan(p)) return none;
    if (p > r->o->alpha) return "undecided";
    return value > 0.0 ? up : down;
}

static demarc_status adjust(dm_replay *r)
{
    demarc_status st = DEMARC_OK;
    dm_replay_report *t = &r->report;
    const int64_t effects = r->campaign.arms - 1, each = effects + r->cuts;
    for (int32_t o = 0; o < r->outcomes; o++) {
        dm_replay_outcome *y = &t->outcome[o];
        for (int64_t i = 0; i < effects; i++) {
            if (!t->passed) y->effect[i].p = (double)NAN;
            r->p[o * each + i] = y->effect[i].p;
        }
        for (int64_t c = 0; c < r->cuts; c++) {
            if (!t->passed) y->shift[c].p = (double)NAN;
            r->p[o * each + effects + c] = y->shift[c].p;
        }
    }
    DM_TRY(dm_adjust_p(t->head.adjust, r->p, r->outcomes * each, r->p, &t->head.tests));
    for (int32_t o = 0; o < r->outcomes; o++) {
        dm_replay_outcome *y = &t->outcome[o];
        for (int64_t i = 0; i < effects; i++) {
            dm_replay_effect *e = &y->effect[i];
            e->p_adjusted = r->p[o * each + i];
            e->verdict =
                t->passed ? judge(r, e->p_adjusted, e->difference.value, "raises", "lowers", "not enough data") : NULL;
        }
        for (int64_t c = 0; c < r->cuts; c++) {
            dm_replay_shift *s = &y->shift[c];
            s->p_adjusted = r->p[o * each + effects + c];
            s->verdict = judge(r, s->p_adjusted, s->aipw.value, "gain", "loss", NULL);
        }
    }
cleanup:
    return st;
}

static bool is(const char *verdict, const char *word) { return verdict != NULL && strcmp(verdict, word) == 0; }

/* What the shifts of one segment in one direction say. */
typedef struct direction {
    bool asked, loss, gain, same; /* same: all of them change nobody's arm */
    int64_t judged;
} direction;

static direction look(const dm_replay *r, const dm_replay_outcome *y, int32_t j, bool outward)
{
    direction d = {.same = true};
    for (int32_t c = j * r->shifts; c < (j + 1) * r->shifts; c++) {
        if ((r->cut[c].shift > 0.0) != outward) continue;
        d.asked = true;
        d.loss |= is(y->shift[c].verdict, "loss");
        d.gain |= is(y->shift[c].verdict, "gain");
        d.same &= strcmp(y->shift[c].status, "same arm") == 0;
        d.judged += y->shift[c].verdict != NULL;
    }
    return d;
}

/* Cut of the largest gain of the segment (of all for j < 0), -1 if there is none; the first of equals. */
static int32_t largest_gain(const dm_replay *r, const dm_replay_outcome *y, int32_t j)
{
    int32_t best = -1;
    for (int32_t c = 0; c < r->cuts; c++) {
        if ((j >= 0 && r->cut[c].segment != j) || !is(y->shift[c].verdict, "gain")) continue;
        if (best < 0 || y->shift[c].aipw.value > y->shift[best].aipw.value) best = c;
    }
    return best;
}

static void conclude(const dm_replay *r, const dm_replay_outcome *y, int32_t j)
{
    dm_replay_verdict *v = &y->verdict[j];
    const int32_t best = largest_gain(r, y, j);
    const direction out = look(r, y, j, true), in = look(r, y, j, false);
    const bool settled = (!out.asked || out.loss || out.same) && (!in.asked || in.loss || in.same);
    v->shift = (double)NAN;
    if (!r->report.passed) {
        snprintf(v->reason, sizeof v->reason, "stopped: the sample ratio failed");
    } else if (best >= 0) {
        const dm_replay_shift *s = &y->shift[best];
        v->shift = r->cut[best].shift;
        v->verdict = v->shift > 0.0 ? "widen" : "narrow";
        snprintf(v->reason, sizeof v->reason,
                 "%+g%% of its customers gains %.4g per customer, %.4g per mover (adjusted p %.2g)", 100.0 * v->shift,
                 s->aipw.value, s->per_mover, s->p_adjusted);
    } else if (settled) {
        v->verdict = "keep";
        snprintf(v->reason, sizeof v->reason, "%s",
                 !out.loss && !in.loss ? "no move changes anybody's arm"
                 : out.loss && in.loss ? "moves either way lose"
                 : out.loss  ? (in.asked ? "widening loses, narrowing changes nobody's arm" : "widening loses")
                 : out.asked ? "narrowing loses, widening changes nobody's arm"
                             : "narrowing loses");
    } else {
        v->verdict = "undecided";
        snprintf(v->reason, sizeof v->reason, "%s",
                 out.judged + in.judged == 0 ? "not enough data for any move"
                 : out.loss                  ? "widening loses, narrowing shows neither gain nor loss"
                 : in.loss                   ? "narrowing loses, widening shows neither gain nor loss"
                                             : "no move shows a gain or a loss");
    }
}

/* ------------------------------------------------------------------------------------------------ all of it */

demarc_status dm_replay_run(dm_replay **out, const dm_frozen *f, const demarc_replay_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_replay *r = NULL;
    *out = NULL;
    DM_TRY_ALL(f->comm, dm_alloc_zero(r, 1, "replay"));
    DM_TRY(begin(r, f, o));
    DM_TRY(dm_exploratory_find(f, r->feature));
    DM_TRY(dm_policy_learn(&r->policy, f, &r->campaign, r->outcomes, r->outcome, o->seed, o->min_cell));
    DM_TRY(dm_cuts_find(&r->found, f, r->cuts, r->cut));
    DM_TRY(dm_replay_value_find(&r->value, f, &r->policy, r->found, r->shifts, r->cut));
    DM_TRY_ALL(f->comm, report_create(r));
    fill_head(r, f);
    fill_cuts(r);
    for (int32_t i = 0; i < r->outcomes; i++) fill_outcome(r, f, i);
    DM_TRY_ALL(f->comm, adjust(r));
    for (int32_t i = 0; i < r->outcomes; i++) {
        for (int32_t j = 0; j < r->policy.k; j++) conclude(r, &r->report.outcome[i], j);
    }
    *out = r;
    r = NULL;
cleanup:
    dm_replay_destroy(&r);
    return st;
}

const dm_replay_report *dm_replay_result(const dm_replay *r) { return &r->report; }

int32_t dm_replay_best(const dm_replay *r) { return largest_gain(r, &r->report.outcome[0], -1); }

demarc_status dm_replay_check(const dm_frozen *f, const demarc_replay_options *o, int32_t *cuts)
{
    dm_replay r = {0};
    demarc_status st = begin(&r, f, o);
    *cuts = r.cuts;
    dm_free(r.cut);
    dm_free(r.feature);
    dm_free(r.outcome);
    dm_free(r.shift);
    dm_campaign_close(&r.campaign);
    return st;
}
