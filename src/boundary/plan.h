/*
 * The design of a randomised experiment around boundaries: who takes part, in which stratum, and who is switched.
 *
 * Band: of each boundary's facet the customers with margin <= band, or the llround(band_share x customers) nearest by
 * (margin, id). A customer lies at one facet, so nobody takes part twice.
 * Strata: on each side of a boundary the N customers in order of (margin, id); number r (from 0) is in quantile
 * floor(r Q / N), and stratum = (boundary x 2 + side) x Q + quantile.
 * Arm: u = (hash of the id's bytes, keyed by the hash of the salt, >> 11) 2^-53; switched if u < switch_share. It depends on
 * salt and id alone: neither on the order of rows nor on the layout, and anybody can recompute it.
 * Size: plan_power.h.
 */
#ifndef DM_BOUNDARY_PLAN_H
#define DM_BOUNDARY_PLAN_H

#include "boundary/frozen.h"
#include "report/plan_report.h"
#include "store/experiment_file.h"

typedef struct dm_plan_request {
    int32_t pairs;           /* 0 = all boundaries with customers in the band */
    const int32_t *pair;     /* [pairs, 2] different ones, either segment first */
    double band;             /* scaled units; 0 = by band_share */
    double band_share;       /* (0, 1] */
    int32_t distance_strata; /* Q >= 1 */
    double switch_share;     /* (0, 1) */
    const char *salt;
    int32_t outcome;   /* column of /outcomes, -1 = none */
    double outcome_sd; /* given instead of the column's; 0 = the column's */
    double effect;     /* 0 = 0.1 standard deviations */
    double alpha, power;
} dm_plan_request;

typedef struct dm_plan {
    dm_plan_report
        report; /* but for seed and outcome, which are the caller's to fill; borrows from model and request */
    dm_experiment_facts facts; /* likewise */
    int64_t count;             /* customers of this rank in the experiment, rows ascending */
    dm_experiment_rows rows;   /* propensity stays NULL */
    double *outcome;           /* [count] NaN = missing; NULL without a column */
    float *weight;             /* [count] */
} dm_plan;

/**
 * Collective. Arrays and figures are owned by `out`.
 * @retval DEMARC_ERR_IMPOSSIBLE  one segment; no customers in a band; nothing to size by
 */
demarc_status dm_plan_make(dm_plan *out, const dm_frozen *f, const dm_plan_request *request);
/** Safe on a zeroed struct. */
void dm_plan_clear(dm_plan *p);

#endif
