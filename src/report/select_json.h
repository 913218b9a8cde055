/* How many segments, as JSON: what the documents of select and fit share; for this room only (json_tools.h). Local. */
#ifndef DM_REPORT_SELECT_JSON_H
#define DM_REPORT_SELECT_JSON_H

#include "report/json_tools.h"
#include "report/select_report.h"

/** A row per k. */
json_t *dm_select_json_per_k(const dm_k_record *record, int32_t ks, const dm_recommendation *r);
/** null where nothing was to be recommended. */
json_t *dm_select_json_recommendation(const dm_recommendation *r, const dm_k_record *record, int32_t ks);

#endif
