#include "report/analyze_report.h"

#include <math.h>

#include "base/memory.h"
#include "report/boundary_json.h"

void dm_analyze_report_clear(dm_analyze_report *r)
{
    for (int32_t b = 0; b < r->boundaries; b++) dm_free(r->boundary[b].point);
    dm_free(r->boundary);
    dm_free(r->offsets);
    *r = (dm_analyze_report){0};
}

static json_t *chi_squared(const dm_chi_squared *t)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "chi_squared", t->value);
    bad |= dm_put_integer(o, "freedom", t->freedom);
    bad |= dm_put_real(o, "p", t->p);
    return dm_json_finish(o, bad);
}

static json_t *sample_ratio(const dm_analyze_report *r)
{
    json_t *o = json_object();
    int bad = dm_put(o, "assigned", chi_squared(&r->assigned));
    bad |= dm_put(o, "observed", chi_squared(&r->observed));
    bad |= dm_put_flag(o, "passed", r->ratio_passed);
    return dm_json_finish(o, bad);
}

static json_t *attrition(const dm_analyze_report *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "missing", r->missing);
    bad |= dm_put_real(o, "share", (double)r->missing / (double)r->head.n);
    bad |= dm_put_real(o, "limit", r->max_attrition);
    bad |= dm_put_real(o, "chi_squared", r->attrition.value);
    bad |= dm_put_real(o, "p", r->attrition.p);
    bad |= dm_put_flag(o, "passed", r->attrition_passed);
    return dm_json_finish(o, bad);
}

static json_t *arm(const dm_analyze_side *s, int a)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "n", s->n[a]);
    bad |= dm_put_real(o, "mean", s->mean[a]);
    return dm_json_finish(o, bad);
}

static json_t *anytime(const dm_anytime *t)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "low", t->low);
    bad |= dm_put_real(o, "high", t->high);
    bad |= dm_put_real(o, "p", t->p);
    bad |= dm_put_real(o, "rho", t->rho);
    return dm_json_finish(o, bad);
}

static json_t *cuped(const dm_analyze_side *s)
{
    if (!s->cuped) return json_null();
    json_t *o = json_object();
    int bad = dm_put_real(o, "theta", s->theta);
    bad |= dm_put_real(o, "variance_reduction", s->variance_reduction);
    return dm_json_finish(o, bad);
}

static json_t *side(const dm_analyze_side *s)
{
    static const char *const verdict[] = {[DM_VERDICT_NONE] = NULL,
                                          [DM_HELPS] = "helps",
                                          [DM_HURTS] = "hurts",
                                          [DM_UNDECIDED] = "undecided",
                                          [DM_NOT_ENOUGH] = "not enough data"};
    json_t *o = json_object();
    int bad = dm_put_integer(o, "segment", s->segment);
    bad |= dm_put_integer(o, "other", s->other);
    bad |= dm_put_integer(o, "customers", s->customers);
    bad |= dm_put(o, "keep", arm(s, 0));
    bad |= dm_put(o, "switch", arm(s, 1));
    bad |= dm_put(o, "effect", dm_boundary_json_estimate(&s->effect));
    bad |= dm_put(o, "unadjusted_effect", dm_boundary_json_estimate(&s->unadjusted));
    bad |= dm_put(o, "anytime", anytime(&s->anytime));
    bad |= dm_put_real(o, "p", s->p);
    bad |= dm_put_real(o, "p_adjusted", s->p_adjusted);
    bad |= dm_put_text(o, "verdict", verdict[s->verdict]);
    bad |= dm_put(o, "cuped", cuped(s));
    return dm_json_finish(o, bad);
}

static json_t *sides(const dm_analyze_boundary *b)
{
    json_t *list = json_array();
    int bad = json_array_append_new(list, side(&b->side[0]));
    bad |= json_array_append_new(list, side(&b->side[1]));
    return dm_json_finish(list, bad);
}

static json_t *curve(const dm_analyze_boundary *b)
{
    if (isnan(b->slope.value)) return json_null();
    json_t *o = json_object();
    int bad = dm_put(o, "intercept", dm_boundary_json_estimate(&b->intercept));
    bad |= dm_put(o, "slope", dm_boundary_json_estimate(&b->slope));
    bad |= dm_put_real(o, "covariance", b->covariance);
    return dm_json_finish(o, bad);
}

static json_t *points(const dm_analyze_boundary *b)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < b->points && !bad; i++) {
        const dm_analyze_point *p = &b->point[i];
        const int64_t strata[2] = {p->first, p->last};
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", b->segments[p->side]);
        bad |= dm_put(o, "strata", dm_json_integers(strata, 2));
        bad |= dm_put_real(o, "distance", p->distance);
        bad |= dm_put_real(o, "effect", p->effect);
        bad |= dm_put_real(o, "se", p->se);
        bad |= dm_put_integer(o, "n", p->n);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *crossing(const dm_analyze_boundary *b)
{
    if (!b->crosses) return json_null();
    json_t *o = json_object();
    int bad = dm_put_real(o, "value", b->crossing);
    bad |= dm_put_real(o, "low", b->crossing_low);
    bad |= dm_put_real(o, "high", b->crossing_high);
    return dm_json_finish(o, bad);
}

static json_t *decision(const dm_analyze_boundary *b)
{
    switch (b->decision) {
    case DM_KEEP:
        return json_string("keep");
    case DM_WIDEN_FIRST:
        return json_sprintf("widen %d", (int)b->segments[0]);
    case DM_WIDEN_SECOND:
        return json_sprintf("widen %d", (int)b->segments[1]);
    case DM_LEAVE_OPEN:
        return json_string("undecided");
    default:
        return json_null();
    }
}

static json_t *move(const dm_analyze_boundary *b)
{
    if (!b->moves) return json_null();
    json_t *o = json_object();
    int bad = dm_put_real(o, "distance", b->distance);
    bad |= dm_put_real(o, "offset_difference", b->offset_difference);
    bad |= dm_put_real(o, "achieved", b->shift);
    return dm_json_finish(o, bad);
}

static json_t *boundary(const dm_analyze_boundary *b, int32_t index)
{
    const int64_t segments[2] = {b->segments[0], b->segments[1]};
    json_t *o = json_object();
    int bad = dm_put_integer(o, "boundary", index);
    bad |= dm_put(o, "segments", dm_json_integers(segments, 2));
    bad |= dm_put_real(o, "gap", b->gap);
    bad |= dm_put_real(o, "band", b->band);
    bad |= dm_put_integer(o, "customers", b->customers);
    bad |= dm_put_integer(o, "observed", b->observed);
    bad |= dm_put(o, "sides", sides(b));
    bad |= dm_put(o, "curve", curve(b));
    bad |= dm_put(o, "points", points(b));
    bad |= dm_put(o, "crossing", crossing(b));
    bad |= dm_put(o, "decision", decision(b));
    bad |= dm_put_text(o, "reason", b->reason);
    bad |= dm_put(o, "move", move(b));
    bad |= dm_put_real(o, "shift", b->shift);
    return dm_json_finish(o, bad);
}

demarc_status dm_analyze_json(const dm_analyze_report *r, char **text)
{
    json_t *o = dm_boundary_json_head(&r->head), *list = json_array();
    int bad = dm_put(o, "experiment", dm_json_path(r->experiment));
    bad |= dm_put(o, "results", dm_json_path(r->results));
    bad |= dm_put_text(o, "outcome", r->outcome);
    bad |= dm_put_text(o, "pre", r->pre);
    bad |= dm_put_real(o, "srm_alpha", r->srm_alpha);
    bad |= dm_put_real(o, "max_attrition", r->max_attrition);
    bad |= dm_put_integer(o, "min_cell", r->min_cell);
    bad |= dm_put_integer(o, "min_events", r->min_events);
    bad |= dm_put(o, "sample_ratio", sample_ratio(r));
    bad |= dm_put(o, "attrition", attrition(r));
    bad |= dm_put_text(o, "stopped", r->stopped);
    for (int32_t b = 0; b < r->boundaries; b++) bad |= json_array_append_new(list, boundary(&r->boundary[b], b));
    bad |= dm_put(o, "boundaries", list);
    bad |= dm_put(o, "offsets", dm_json_reals(r->offsets, r->head.k));
    return dm_json_write(dm_json_finish(o, bad), "result of boundary analyze", text);
}
