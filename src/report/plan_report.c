#include "report/plan_report.h"

#include "report/boundary_json.h"

static json_t *side(const dm_plan_side *s)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "segment", s->segment);
    bad |= dm_put_integer(o, "customers", s->customers);
    bad |= dm_put_integer(o, "keep", s->keep);
    bad |= dm_put_integer(o, "switch", s->switched);
    bad |= dm_put_real(o, "mde", s->mde);
    bad |= dm_put_real(o, "power", s->power);
    return dm_json_finish(o, bad);
}

static json_t *boundary(const dm_plan_boundary *b, int32_t index)
{
    const int64_t segments[2] = {b->side[0].segment, b->side[1].segment};
    json_t *o = json_object(), *sides = json_array();
    int bad = json_array_append_new(sides, side(&b->side[0]));
    bad |= json_array_append_new(sides, side(&b->side[1]));
    bad |= dm_put_integer(o, "boundary", index);
    bad |= dm_put(o, "segments", dm_json_integers(segments, 2));
    bad |= dm_put_real(o, "gap", b->gap);
    bad |= dm_put_real(o, "band", b->band);
    bad |= dm_put_integer(o, "facet_customers", b->facet_customers);
    bad |= dm_put_integer(o, "customers", b->customers);
    bad |= dm_put_real(o, "outcome_mean", b->outcome_mean);
    bad |= dm_put_real(o, "outcome_sd", b->outcome_sd);
    bad |= dm_put(o, "sides", sides);
    return dm_json_finish(o, bad);
}

static json_t *boundaries(const dm_plan_report *p)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < p->boundaries && !bad; i++)
        bad |= json_array_append_new(list, boundary(&p->boundary[i], i));
    return dm_json_finish(list, bad);
}

demarc_status dm_plan_json(const dm_plan_report *p, char **text)
{
    json_t *o = dm_boundary_json_head(&p->head);
    int bad = dm_put_text(o, "salt", p->salt);
    bad |= dm_put_text(o, "outcome", p->outcome);
    bad |= dm_put_real(o, "outcome_sd", p->outcome_sd);
    bad |= dm_put_real(o, "effect", p->effect);
    bad |= dm_put_real(o, "power", p->power);
    bad |= dm_put_real(o, "switch_share", p->switch_share);
    bad |= dm_put_integer(o, "distance_strata", p->distance_strata);
    bad |= dm_put_real(o, "band_share", p->band_share);
    bad |= dm_put_integer(o, "customers", p->customers);
    bad |= dm_put(o, "boundaries", boundaries(p));
    bad |= dm_put_flag(o, "underpowered", p->underpowered);
    return dm_json_write(dm_json_finish(o, bad), "plan of an experiment", text);
}
