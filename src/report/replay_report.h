/*
 * Result of `demarc boundary replay` as plain numbers, and its JSON form (schema/replay.schema.json).
 *
 * src/boundary fills the structs; NaN and NULL mean undefined and become null. Estimates are per customer in units of the
 * outcome, intervals normal of level 1 - alpha each. Local.
 */
#ifndef DM_REPORT_REPLAY_REPORT_H
#define DM_REPORT_REPLAY_REPORT_H

#include "base/text.h"
#include "report/boundary_head.h"
#include "stats/sample_ratio.h"
#include "stats/weighted_mean.h"

/** Customers with the outcome, their mean and its standard error. */
typedef struct dm_replay_arm {
    int64_t n;
    double mean, se;
} dm_replay_arm;

/** Mean under `arm` minus mean under the arm it is held against. */
typedef struct dm_replay_effect {
    int32_t arm;
    dm_estimate difference;
    double p, p_adjusted;
    const char *verdict; /* "raises", "lowers", "undecided", "not enough data"; NULL = stopped */
} dm_replay_effect;

typedef struct dm_replay_segment {
    int32_t policy[2];        /* arm that customers of half 0 and 1 get: learnt on the other half */
    dm_replay_arm *arm;       /* [arms] */
    dm_replay_effect *effect; /* [arms - 1]; no p, no verdict */
} dm_replay_segment;

/** Value per customer if all got one arm. */
typedef struct dm_replay_rule {
    dm_estimate ipw, aipw;
} dm_replay_rule;

/** Where a boundary is moved to; the same for all outcomes. */
typedef struct dm_replay_cut {
    int32_t segment;
    double shift;
    int64_t target;
    bool possible;
    double offset;        /* scaled units squared */
    int64_t tied, movers; /* -1 = not possible */
} dm_replay_cut;

typedef struct dm_replay_shift {
    int64_t changing;      /* movers with the outcome whose arm changes with the segment; -1 = not possible */
    const char *status;    /* "ok", "same arm", "not enough data", "impossible" */
    dm_estimate ipw, aipw; /* change of the policy's value per customer of the file */
    double per_mover;      /* by AIPW */
    double p, p_adjusted;
    const char *verdict; /* "gain", "loss", "undecided"; NULL unless ok */
} dm_replay_shift;

typedef struct dm_replay_verdict {
    const char *verdict; /* "widen", "narrow", "keep", "undecided"; NULL = stopped */
    double shift;        /* of the largest gain; NaN = none */
    char reason[160];
} dm_replay_verdict;

typedef struct dm_replay_outcome {
    const char *name;
    int64_t n;
    bool binary;
    const char *exploratory_feature; /* NULL = it did not shape the segments */
    dm_replay_arm *arm;              /* [arms] */
    dm_replay_effect *effect;        /* [arms - 1] */
    dm_replay_segment *segment;      /* [k] */
    dm_replay_rule policy;
    dm_estimate gain;           /* AIPW value of the policy minus that of the control for all */
    dm_replay_rule *constant;   /* [arms] */
    dm_replay_shift *shift;     /* [cuts] */
    dm_replay_verdict *verdict; /* [k] */
} dm_replay_outcome;

typedef struct dm_replay_report {
    dm_boundary_head head;
    double srm_alpha;
    int64_t min_cell, min_events;
    int32_t arms;
    const dm_strings *arm_name; /* empty = not named */
    const int64_t *arm_size;    /* [arms] customers */
    const double *expected;     /* [arms] customers by the design */
    int32_t control;            /* -1 = none */
    int32_t against;            /* arm that effects are held against */
    int32_t candidates;
    const int32_t *candidate; /* arms that the policy may give */
    bool policy_given;        /* by the user; else learnt */
    const double
        *arm_cost;   /* [arms] per customer, taken off values and changes, not off means and effects; NULL = none */
    bool propensity; /* of the file; else the observed shares */
    dm_chi_squared ratio;
    bool passed;
    char stopped[240]; /* "" = verdicts stand */
    int32_t outcomes, cuts;
    const int64_t *size; /* [k] customers */
    dm_replay_cut *cut;  /* [cuts] by segment, then in the order of the shifts */
    dm_replay_outcome *outcome;
} dm_replay_report;

/** @param[out] text  malloc'd, ends in a newline; NULL after an error. @retval DEMARC_ERR_MEMORY */
demarc_status dm_replay_json(const dm_replay_report *r, char **text);

#endif
