#include "report/boundary_json.h"

json_t *dm_boundary_json_head(const dm_boundary_head *h)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "command", h->command);
    bad |= dm_put_integer(o, "format_version", 1);
    bad |= dm_put_integer(o, "n", h->n);
    bad |= dm_put_index(o, "d", h->d > 0 ? h->d : -1);
    bad |= dm_put_index(o, "k", h->k > 0 ? h->k : -1);
    bad |= dm_put_text(o, "model_digest", h->model_digest);
    bad |= dm_put(o, "seed", dm_json_u64(h->seed));
    bad |= dm_put_real(o, "alpha", h->alpha);
    bad |= dm_put_text(o, "adjust", dm_adjust_name(h->adjust));
    bad |= dm_put_integer(o, "tests", h->tests);
    return dm_json_finish(o, bad);
}

json_t *dm_boundary_json_estimate(const dm_estimate *e)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "value", e->value);
    bad |= dm_put_real(o, "se", e->se);
    bad |= dm_put_real(o, "low", e->low);
    bad |= dm_put_real(o, "high", e->high);
    return dm_json_finish(o, bad);
}
