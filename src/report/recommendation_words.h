/* The recommendation of a number of segments in words. Local. */
#ifndef DM_REPORT_RECOMMENDATION_WORDS_H
#define DM_REPORT_RECOMMENDATION_WORDS_H

#include "report/select_report.h"

/** What one concern about a k says. */
void dm_concern_words(const dm_k_record *k, const dm_recommendation *r, dm_concern concern, char *buf, size_t size);
/** The rule by which a k is recommended, with its sources. Static. */
const char *dm_recommendation_rule(void);
/** Reason i for the recommendation; false: there are no more. */
bool dm_recommendation_reason(const dm_recommendation *r, const dm_k_record *record, int32_t ks, int32_t i, char *buf,
                              size_t size);

#endif
