#include "report/sweep_report.h"

#include "base/memory.h"
#include "report/boundary_json.h"

void dm_sweep_report_clear(dm_sweep_report *r)
{
    for (int32_t i = 0; i < r->shifts && r->shift != NULL; i++) {
        dm_free(r->shift[i].other);
        dm_free(r->shift[i].other_number);
        dm_free(r->shift[i].effect);
    }
    dm_free(r->shift);
    dm_free(r->outcome);
    dm_free(r->segment);
    *r = (dm_sweep_report){0};
}

static json_t *interval(const dm_sweep_interval *v)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "value", v->value);
    bad |= dm_put_real(o, "low", v->low);
    bad |= dm_put_real(o, "high", v->high);
    return dm_json_finish(o, bad);
}

static json_t *contrast(const dm_sweep_contrast *v)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "value", v->value);
    bad |= dm_put_real(o, "se", v->se);
    return dm_json_finish(o, bad);
}

static json_t *outcomes(const dm_sweep_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->outcomes && !bad; i++) {
        const dm_sweep_outcome *v = &r->outcome[i];
        json_t *o = json_object();
        bad |= dm_put_text(o, "name", v->name);
        bad |= dm_put_integer(o, "n", v->n);
        bad |= dm_put_real(o, "mean", v->mean);
        bad |= dm_put_real(o, "eta_squared", v->eta_squared);
        bad |= dm_put_flag(o, "binary", v->binary);
        bad |= dm_put_flag(o, "exploratory", v->exploratory_feature != NULL);
        bad |= dm_put_text(o, "exploratory_feature", v->exploratory_feature);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *segments(const dm_sweep_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < r->head.k && !bad; j++) {
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", j);
        bad |= dm_put_integer(o, "size", r->segment[j].size);
        bad |= dm_put_real(o, "offset", r->segment[j].offset);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *others(const dm_sweep_shift *s)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < s->others && !bad; i++) {
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", s->other[i]);
        bad |= dm_put_integer(o, "count", s->other_number[i]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *effects(const dm_sweep_report *r, const dm_sweep_shift *s)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->outcomes && s->possible && !bad; i++) {
        const dm_sweep_effect *e = &s->effect[i];
        json_t *o = json_object();
        bad |= dm_put_text(o, "name", r->outcome[i].name);
        bad |= dm_put_integer(o, "n", e->n);
        bad |= dm_put(o, "movers", interval(&e->movers));
        bad |= dm_put(o, "left", interval(&e->left));
        bad |= dm_put(o, "joined", interval(&e->joined));
        bad |= dm_put(o, "eta_squared_change", interval(&e->eta_squared_change));
        bad |= dm_put(o, "difference", contrast(&e->difference));
        bad |= dm_put(o, "contrast", contrast(&e->contrast));
        bad |= dm_put_real(o, "p", e->p);
        bad |= dm_put_real(o, "p_adjusted", e->p_adjusted);
        bad |= dm_put_text(o, "verdict", e->verdict);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *shifts(const dm_sweep_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->shifts && !bad; i++) {
        const dm_sweep_shift *s = &r->shift[i];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", s->segment);
        bad |= dm_put_real(o, "shift", s->shift);
        bad |= dm_put_text(o, "status", s->possible ? "ok" : "impossible");
        bad |= dm_put_integer(o, "target", s->target);
        bad |= dm_put_real(o, "offset", s->offset);
        bad |= dm_put_index(o, "tied", s->possible ? s->tied : -1);
        bad |= dm_put_index(o, "movers", s->possible ? s->movers : -1);
        bad |= dm_put_real(o, "movers_weight", s->movers_weight);
        bad |= dm_put(o, "with", others(s));
        bad |= dm_put(o, "objective_change", interval(&s->objective_change));
        bad |= dm_put_real(o, "objective_change_share", s->objective_change.value / r->objective);
        bad |= dm_put(o, "outcomes", effects(r, s));
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

demarc_status dm_sweep_report_json(const dm_sweep_report *r, char **text)
{
    json_t *o = dm_boundary_json_head(&r->head);
    int bad = dm_put_flag(o, "observational", true);
    bad |= dm_put_integer(o, "replicates", r->replicates);
    bad |= dm_put_integer(o, "min_cell", r->min_cell);
    bad |= dm_put_integer(o, "min_events", r->min_events);
    bad |= dm_put_real(o, "objective", r->objective);
    bad |= dm_put(o, "outcomes", outcomes(r));
    bad |= dm_put(o, "segments", segments(r));
    bad |= dm_put(o, "shifts", shifts(r));
    return dm_json_write(dm_json_finish(o, bad), "result of boundary sweep", text);
}
