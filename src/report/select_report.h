/*
 * How many segments: `demarc select` and a fit of LO:HI in words and as JSON (schema/select.schema.json). The engine fills
 * the records and src/diagnosis decides; what is said about it is made here. Local to rank 0.
 */
#ifndef DM_REPORT_SELECT_REPORT_H
#define DM_REPORT_SELECT_REPORT_H

#include "base/trace.h"

typedef struct dm_select_report {
    const char *data; /* borrowed */
    int64_t n;
    int32_t d, from, to;
    uint64_t seed;
    int32_t ks;
    const dm_k_record *record; /* [ks], borrowed */
    dm_recommendation recommendation;
} dm_select_report;

/** "5 segments: ..." or "no structure to segment: ..."; one sentence, no full stop. */
void dm_recommendation_sentence(const dm_recommendation *r, const dm_k_record *record, int32_t ks, char *buf,
                                size_t size);

/** The document. @param[out] text  malloc'd, freed by free(). @retval DEMARC_ERR_MEMORY */
demarc_status dm_select_report_json(const dm_select_report *r, char **text);

#endif
