/*
 * A past randomised campaign: its arms, who its control is, how it was to be divided, and which arms a policy may give.
 *
 * Arms are the codes 0 ... arms - 1, arms = max(names, columns of /propensity, highest code + 1). The control is the one the
 * user names, else the attribute `control` of /arm, else an arm called "control", else arm 0; a user or a file may also say
 * that there is none.
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
    int32_t *candidate; /* ascending; all have customers */
} dm_campaign;

/**
 * Count and check. Collective; the texts are those of demarc_replay_options, NULL = the default.
 * @retval DEMARC_ERR_DATA   no arms, only one with customers, codes without a name or column, a control that is no arm
 * @retval DEMARC_ERR_USAGE  an option names no arm, or shares that are none
 */
demarc_status dm_campaign_open(dm_campaign *c, const dm_frozen *f, const char *control, const char *candidates,
                               const char *shares);
void dm_campaign_close(dm_campaign *c);

#endif
