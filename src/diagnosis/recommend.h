/* stub */
#ifndef DM_DIAGNOSIS_RECOMMEND_H
#define DM_DIAGNOSIS_RECOMMEND_H
#include "base/trace.h"
void dm_recommend(dm_k_record *record, int32_t ks, dm_recommendation *r);
#endif
