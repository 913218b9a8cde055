/*
 * A planned experiment as plain numbers, and its JSON form: what `demarc boundary plan` prints and writes as plan.json.
 *
 * NaN stands for what is undefined and becomes null; an infinite figure (no customers) too. Local.
 */
#ifndef DM_REPORT_PLAN_REPORT_H
#define DM_REPORT_PLAN_REPORT_H

#include "report/boundary_head.h"

/** One test: customers of `segment` in the band, some of whom are switched to the other segment. */
typedef struct dm_plan_side {
    int32_t segment;
    int64_t customers, keep, switched;
    double mde, power; /* stats/power.h */
} dm_plan_side;

typedef struct dm_plan_boundary {
    double gap, band; /* scaled units; the largest margin admitted */
    int64_t facet_customers, customers;
    double outcome_mean, outcome_sd; /* of the customers in the band */
    dm_plan_side side[2];            /* the lower segment first */
} dm_plan_boundary;

typedef struct dm_plan_report {
    dm_boundary_head head;
    const char *salt;
    const char *outcome; /* NULL = none named */
    double outcome_sd, effect, power, switch_share;
    int32_t distance_strata;
    double band_share; /* NaN: the band was given as a margin */
    int64_t customers; /* in the experiment */
    int32_t boundaries;
    dm_plan_boundary *boundary; /* [boundaries] */
    bool underpowered;          /* a test has less power than was asked for */
} dm_plan_report;

/** @param[out] text  malloc'd, ends in a newline. @retval DEMARC_ERR_MEMORY */
demarc_status dm_plan_json(const dm_plan_report *p, char **text);

#endif
