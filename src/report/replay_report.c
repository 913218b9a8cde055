#include "report/replay_report.h"

#include <math.h>

#include "report/boundary_json.h"

static json_t *arm_means(const dm_replay_report *r, const dm_replay_arm *arm)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t a = 0; a < r->arms && !bad; a++) {
        json_t *o = json_object();
        bad |= dm_put_integer(o, "arm", a);
        bad |= dm_put_integer(o, "n", arm[a].n);
        bad |= dm_put_real(o, "mean", arm[a].mean);
        bad |= dm_put_real(o, "se", arm[a].se);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *effects(const dm_replay_report *r, const dm_replay_effect *effect, bool tested)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i + 1 < r->arms && !bad; i++) {
        const dm_replay_effect *e = &effect[i];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "arm", e->arm);
        bad |= dm_put_integer(o, "against", r->against);
        bad |= dm_put(o, "difference", dm_boundary_json_estimate(&e->difference));
        if (tested) {
            bad |= dm_put_real(o, "p", e->p);
            bad |= dm_put_real(o, "p_adjusted", e->p_adjusted);
            bad |= dm_put_text(o, "verdict", e->verdict);
        }
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *segments(const dm_replay_report *r, const dm_replay_outcome *y)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < r->head.k && !bad; j++) {
        const dm_replay_segment *s = &y->segment[j];
        const int64_t policy[2] = {s->policy[0], s->policy[1]};
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", j);
        bad |= dm_put_integer(o, "size", r->size[j]);
        bad |= dm_put(o, "policy", dm_json_integers(policy, 2));
        bad |= dm_put(o, "arms", arm_means(r, s->arm));
        bad |= dm_put(o, "effects", effects(r, s->effect, false));
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *value(const dm_replay_report *r, const dm_replay_outcome *y)
{
    json_t *o = json_object(), *list = json_array();
    int bad = list == NULL;
    for (int32_t a = 0; a < r->arms && !bad; a++) {
        if (r->arm_size[a] == 0) continue; /* what nobody had has no value */
        json_t *c = json_object();
        bad |= dm_put_integer(c, "arm", a);
        bad |= dm_put(c, "ipw", dm_boundary_json_estimate(&y->constant[a].ipw));
        bad |= dm_put(c, "aipw", dm_boundary_json_estimate(&y->constant[a].aipw));
        bad |= json_array_append_new(list, c);
    }
    bad |= dm_put(o, "ipw", dm_boundary_json_estimate(&y->policy.ipw));
    bad |= dm_put(o, "aipw", dm_boundary_json_estimate(&y->policy.aipw));
    bad |= dm_put(o, "gain_over_control", isnan(y->gain.value) ? json_null() : dm_boundary_json_estimate(&y->gain));
    bad |= dm_put(o, "constant", list);
    return dm_json_finish(o, bad);
}

static json_t *shifts(const dm_replay_report *r, const dm_replay_outcome *y)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->cuts && !bad; i++) {
        const dm_replay_cut *c = &r->cut[i];
        const dm_replay_shift *s = &y->shift[i];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", c->segment);
        bad |= dm_put_real(o, "shift", c->shift);
        bad |= dm_put_integer(o, "target", c->target);
        bad |= dm_put_real(o, "offset", c->offset);
        bad |= dm_put_index(o, "tied", c->tied);
        bad |= dm_put_index(o, "movers", c->movers);
        bad |= dm_put_index(o, "changing", s->changing);
        bad |= dm_put_text(o, "status", s->status);
        bad |= dm_put(o, "ipw", dm_boundary_json_estimate(&s->ipw));
        bad |= dm_put(o, "aipw", dm_boundary_json_estimate(&s->aipw));
        bad |= dm_put_real(o, "per_mover", s->per_mover);
        bad |= dm_put_real(o, "p", s->p);
        bad |= dm_put_real(o, "p_adjusted", s->p_adjusted);
        bad |= dm_put_text(o, "verdict", s->verdict);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *verdicts(const dm_replay_report *r, const dm_replay_outcome *y)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < r->head.k && !bad; j++) {
        const dm_replay_verdict *v = &y->verdict[j];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", j);
        bad |= dm_put_text(o, "verdict", v->verdict);
        bad |= dm_put_real(o, "shift", v->shift);
        bad |= dm_put_text(o, "reason", v->reason);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *outcomes(const dm_replay_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->outcomes && !bad; i++) {
        const dm_replay_outcome *y = &r->outcome[i];
        json_t *o = json_object();
        bad |= dm_put_text(o, "name", y->name);
        bad |= dm_put_integer(o, "n", y->n);
        bad |= dm_put_flag(o, "binary", y->binary);
        bad |= dm_put_flag(o, "exploratory", y->exploratory_feature != NULL);
        bad |= dm_put_text(o, "exploratory_feature", y->exploratory_feature);
        bad |= dm_put(o, "arms", arm_means(r, y->arm));
        bad |= dm_put(o, "effects", effects(r, y->effect, true));
        bad |= dm_put(o, "segments", segments(r, y));
        bad |= dm_put(o, "value", value(r, y));
        bad |= dm_put(o, "shifts", shifts(r, y));
        bad |= dm_put(o, "verdicts", verdicts(r, y));
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *sample_ratio(const dm_replay_report *r)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "chi_squared", r->ratio.value);
    bad |= dm_put_integer(o, "freedom", r->ratio.freedom);
    bad |= dm_put_real(o, "p", r->ratio.p);
    bad |= dm_put_flag(o, "passed", r->passed);
    return dm_json_finish(o, bad);
}

static json_t *campaign(const dm_replay_report *r)
{
    json_t *o = json_object(), *arms = json_array(), *candidates = json_array();
    int bad = arms == NULL || candidates == NULL;
    for (int32_t a = 0; a < r->arms && !bad; a++) {
        json_t *v = json_object();
        bad |= dm_put_integer(v, "arm", a);
        bad |= dm_put_text(v, "name", a < r->arm_name->count ? r->arm_name->item[a] : NULL);
        bad |= dm_put_integer(v, "n", r->arm_size[a]);
        bad |= dm_put_real(v, "expected", r->expected[a]);
        bad |= dm_put_real(v, "share", (double)r->arm_size[a] / (double)r->head.n);
        bad |= json_array_append_new(arms, v);
    }
    for (int32_t i = 0; i < r->candidates && !bad; i++) {
        bad |= json_array_append_new(candidates, json_integer(r->candidate[i]));
    }
    bad |= dm_put(o, "arms", arms);
    bad |= dm_put_index(o, "control", r->control);
    bad |= dm_put(o, "candidates", candidates);
    bad |= dm_put_text(o, "policy", r->policy_given ? "given" : "learnt");
    bad |= dm_put(o, "arm_costs", dm_json_reals(r->arm_cost, r->arms));
    bad |= dm_put_text(o, "propensity", r->propensity ? "file" : "observed shares");
    bad |= dm_put(o, "sample_ratio", sample_ratio(r));
    return dm_json_finish(o, bad);
}

demarc_status dm_replay_json(const dm_replay_report *r, char **text)
{
    json_t *o = dm_boundary_json_head(&r->head);
    int bad = dm_put_real(o, "srm_alpha", r->srm_alpha);
    bad |= dm_put_integer(o, "min_cell", r->min_cell);
    bad |= dm_put_integer(o, "min_events", r->min_events);
    bad |= dm_put(o, "campaign", campaign(r));
    bad |= dm_put_text(o, "stopped", r->stopped[0] != 0 ? r->stopped : NULL);
    bad |= dm_put(o, "outcomes", outcomes(r));
    return dm_json_write(dm_json_finish(o, bad), "result of a replay", text);
}
