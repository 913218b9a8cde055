/*
 * What sets a segment apart, in words, and what it is called. Local.
 *
 * Names are given by the user (--names 0=Loyal,1=Bargain) or made of the features that differ most from the other
 * customers: "High spend, low recency". They are for people: nothing is computed from them and no digest covers them.
 *
 *   automatic: the two features of largest |difference|, where that is at least 0.2 standard deviations (Cohen 1988: a
 *   small effect), with blanks for underscores, and levels of a category as "Channel=Web, not channel=Phone"; "Average"
 *   where there is none, "All customers" where there is one segment. Names that are alike get their third feature, and
 *   where they are alike still, numbers: the first keeps its name, then " 2", " 3", ...
 */
#ifndef DM_REPORT_SEGMENT_NAMES_H
#define DM_REPORT_SEGMENT_NAMES_H

#include "report/diagnostics.h"

/** Indices of the features that set segment j apart, largest |difference| first, into order[d]. */
void dm_diagnostics_order(const dm_diagnostics *g, int32_t j, int32_t *order);

/** "high frequency (+1.8 sd), low recency (-0.9 sd)": the top features of segment j in words. */
void dm_diagnostics_words(const dm_diagnostics *g, int32_t j, char *buf, size_t buf_size);

/**
 * Read SEGMENT=NAME,...: a comma in a name is written twice; blanks around numbers and names do not count.
 *
 * @param[in]  list  NULL or "" names nothing
 * @param[out] out   one string per segment up to the last one named, "" = not named; cleared by the caller
 * @retval DEMARC_ERR_USAGE  no such segment, a segment or a name twice, an empty name, one that is longer than
 *                           DM_SEGMENT_NAME_BYTES, holds a control character or is not UTF-8
 */
demarc_status dm_segment_names_parse(const char *list, int32_t k, dm_strings *out);

/** Name the segments of g (name, name_given): as given where that is, else automatically. Needs g->difference. */
demarc_status dm_segment_names_make(dm_diagnostics *g, const dm_strings *given);

/** Put given names in the place of others. @retval DEMARC_ERR_USAGE  then two segments would have the same name */
demarc_status dm_segment_names_replace(dm_strings *name, const dm_strings *given);

/**
 * diagnostics.json with other names and all else as it was.
 * @param[in]  name   [k]
 * @param[in]  given  those that the user gives now are marked so
 * @param[out] text   malloc'd, as of dm_diagnostics_json()
 * @retval DEMARC_ERR_DATA  the file is missing, larger than DM_JSON_MAX_BYTES, or of another k
 */
demarc_status dm_diagnostics_rename(const char *path, const dm_strings *name, const dm_strings *given, char **text);

#endif
