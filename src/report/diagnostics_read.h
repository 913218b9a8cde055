/* Reading a diagnostics.json back, as far as a fit's result is printed from it. Local. */
#ifndef DM_REPORT_DIAGNOSTICS_READ_H
#define DM_REPORT_DIAGNOSTICS_READ_H

#include "report/diagnostics.h"

/** Longer texts are not parsed, bytes. */
#define DM_DIAGNOSTICS_MOST (INT64_C(64) << 20)

/**
 * Sizes, objectives, margins and differences of the segments; other members of g stay empty.
 * @param[in]  path     for the error line
 * @param[out] g        cleared by dm_diagnostics_clear() also after an error; g->feature is `feature`
 * @param[out] feature  names as they are in the text
 * @retval DEMARC_ERR_DATA  not a diagnostics.json
 */
demarc_status dm_diagnostics_parse(const char *text, const char *path, dm_diagnostics *g, dm_strings *feature,
                                   int32_t *iterations);

#endif
