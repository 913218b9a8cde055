/*
 * Two runs compared: which segment is which, who moved and why, how the customers changed, whether segments still bring what
 * they brought. Collective.
 *
 * Segments are matched on the customers whom both runs have, by the assignment of largest total Jaccard similarity
 * (stats/matching.h); a pair without a common customer is no match, so its segments were born and died. A matched segment keeps
 * name and colour (the old segment's number); one that was born gets the next free colour.
 */
#ifndef DM_DIAGNOSIS_COMPARE_H
#define DM_DIAGNOSIS_COMPARE_H

#include "diagnosis/compared.h"
#include "report/compare_report.h"

typedef struct dm_compare_options {
    int32_t bins;
    double alpha;
    double margin;             /* of equivalence, standard deviations */
    const dm_strings *name[2]; /* [k] names of the segments of each side */
} dm_compare_options;

/**
 * @param[out] r  cleared by dm_compare_report_clear() also after an error; borrows from c and o
 * @retval DEMARC_ERR_IMPOSSIBLE  no customer is in both runs
 * @retval DEMARC_ERR_DATA        ids of different kinds; a file or its assignments are not those of the run
 */
demarc_status dm_compare(dm_compare_report *r, const dm_compared *c, const dm_compare_options *o);

#endif
