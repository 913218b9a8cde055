/*
 * What the results of all boundary tests begin with: which customers, which model, which level, how many tests. Local.
 */
#ifndef DM_REPORT_BOUNDARY_HEAD_H
#define DM_REPORT_BOUNDARY_HEAD_H

#include "stats/multiplicity.h"

typedef struct dm_boundary_head {
    const char *command; /* "boundary replay", ... */
    int64_t n;           /* customers */
    int32_t d, k;        /* features, segments; 0 = no model was named */
    const char *model_digest;
    uint64_t seed;
    double alpha; /* level of the verdicts; intervals have 1 - alpha each */
    dm_adjust adjust;
    int64_t tests; /* p-values adjusted together */
} dm_boundary_head;

#endif
