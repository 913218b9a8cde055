/*
 * The JSON that the reports of all boundary tests share; for this room only. As json_tools.h: a helper returns NULL when
 * memory is short, setters accept NULL, and a document is built without a check per line. Local.
 */
#ifndef DM_REPORT_BOUNDARY_JSON_H
#define DM_REPORT_BOUNDARY_JSON_H

#include "report/boundary_head.h"
#include "report/json_tools.h"
#include "stats/weighted_mean.h"

/** The object that the document goes on from. */
json_t *dm_boundary_json_head(const dm_boundary_head *h);
/** {"value", "se", "low", "high"}; NaN is null. */
json_t *dm_boundary_json_estimate(const dm_estimate *e);

/** -1 when memory is short. */
static inline int dm_put(json_t *o, const char *key, json_t *v) { return json_object_set_new(o, key, v); }
static inline int dm_put_text(json_t *o, const char *key, const char *v) { return dm_put(o, key, dm_json_text(v)); }
static inline int dm_put_integer(json_t *o, const char *key, int64_t v) { return dm_put(o, key, json_integer(v)); }
static inline int dm_put_real(json_t *o, const char *key, double v) { return dm_put(o, key, dm_json_real(v)); }
static inline int dm_put_flag(json_t *o, const char *key, bool v) { return dm_put(o, key, json_boolean(v)); }
/** null for a negative one. */
static inline int dm_put_index(json_t *o, const char *key, int64_t v)
{
    return dm_put(o, key, v < 0 ? json_null() : json_integer(v));
}

#endif
