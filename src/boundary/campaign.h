/*
 * A past randomised campaign: its arms, who its control is, how it was to be divided, and which arms a policy may give.
 *
 * Arms are the codes 0 ... arms - 1, arms = max(names, columns of /propensity, highest code + 1). The control is the one the
 * user names, else the attribute `control` of /arm, else an arm called "control", else arm 0; a user or a file may also say
 * that there is none.
 *
 * A user may also tell which arm each segment gets, instead of having it learnt, and what giving an arm to a customer costs.
 */
#ifndef DM_BOUNDARY_CAMPAIGN_H
#define DM_BOUNDARY_CAMPAIGN_H

#include "boundary/frozen.h"
#include "stats/sample_ratio.h"

typedef struct dm_campaign {
    int32_t arms;
    int64_t *size; /* [arms] customers */
    double *share; /* [arms] of all customers */
    double *
        design; /* [arms] shares that were intended, summing to 1; those of /propensity count instead where it is there */
    const dm_strings *name; /* empty = not named; borrowed from the customers */
    bool propensity;        /* the file has one per customer */
    int32_t control;        /* -1 = none */
    int32_t against;        /* the control, else the lowest arm with customers */
    int32_t candidates;
    int32_t *candidate; /* ascending; all have customers; those of `policy` where there is one */
    int32_t *policy;    /* [k] arm that each segment gets by the user's word; NULL = to be learnt */
    double *cost;       /* [arms] per customer, units of the outcome; NULL = not told, that is 0 */
} dm_campaign;

static inline double dm_campaign_cost(const dm_campaign *c, int32_t arm)
{
    return c->cost != NULL ? c->cost[arm] : 0.0;
}

/**
 * Count and check. Collective.
 * @param[in] o  control, arms, arm_shares, policy and arm_costs are looked at
 * @retval DEMARC_ERR_DATA   no arms, only one with customers, codes without a name or column, a control that is no arm
 * @retval DEMARC_ERR_USAGE  an option names no arm or no segment, or numbers that are none; a policy with gaps
 */
demarc_status dm_campaign_open(dm_campaign *c, const dm_frozen *f, const demarc_replay_options *o);
void dm_campaign_close(dm_campaign *c);

#endif
