/*
 * How small an effect a planned experiment can find, and whether that is enough.
 *
 * Each side of each boundary is a test of its own (stats/power.h): the outcome's mean and standard deviation are those of the
 * customers in the boundary's band, weighted: sd^2 = n var(mean) of stats/weighted_mean.h, the sample variance with w = 1.
 */
#ifndef DM_BOUNDARY_PLAN_POWER_H
#define DM_BOUNDARY_PLAN_POWER_H

#include "boundary/plan.h"

/**
 * Fill tests, effect, outcome_sd, mde, power and `underpowered` of a plan whose customers are chosen. Collective.
 * @retval DEMARC_ERR_IMPOSSIBLE  the outcome does not vary or is missing in all bands, so there is no size to plan for
 */
demarc_status dm_plan_size(dm_plan *p, dm_comm *comm, const dm_plan_request *request);

/**
 * Refuse a test with fewer than min_cell customers expected in an arm, or with less power than was asked for: the worst one
 * is named, and what would help. Local, the same on all ranks.
 * @retval DEMARC_ERR_IMPOSSIBLE
 */
demarc_status dm_plan_check(const dm_plan_report *p, int64_t min_cell);

#endif
