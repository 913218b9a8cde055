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

#endif
