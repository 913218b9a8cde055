/*
 * Criteria of each number of segments that need replicates, over one sample of the customers: gap statistic (gap.h),
 * prediction strength and bootstrap stability (resampling.h).
 */
#ifndef DM_DIAGNOSIS_SAMPLE_CRITERIA_H
#define DM_DIAGNOSIS_SAMPLE_CRITERIA_H

#include "base/trace.h"
#include "rows/rows.h"

typedef struct dm_sample_criteria_options {
    dm_rows *rows; /* scaled */
    uint64_t seed;
    int64_t most;                            /* customers in the sample */
    int32_t replicates, gap_draws, halvings; /* 0 = not computed, NaN */
    int32_t *done;                           /* criteria that are in `record` and r already: 1 = gaps, 1 + i = of i k */
    demarc_status (*edge)(void *context);    /* called after each of them; not DEMARC_OK ends it. NULL = nothing */
    void *edge_context;
} dm_sample_criteria_options;

/**
 * Complete the records of what could be fitted. Collective.
 * @param[in,out] record     [ks] ascending in k
 * @param[in]     centroids  [ks] [k, d] of each, working space; NULL where it failed
 * @param[out]    r          gap_one, gap_one_se
 */
demarc_status dm_sample_criteria(const dm_sample_criteria_options *o, int32_t ks, dm_k_record *record,
                                 const double *const *centroids, dm_recommendation *r);

#endif
