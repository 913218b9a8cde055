/*
 * What `demarc boundary analyze` found, as plain numbers, and its JSON form.
 *
 * boundary/analyze.h fills the numbers on every rank; rank 0 prints them. Undefined numbers are NaN and become null, texts that
 * do not apply are NULL. Effects are in units of the outcome, distances in scaled units: positive on the side of the second
 * segment of a boundary, negative on the side of the first.
 */
#ifndef DM_REPORT_ANALYZE_REPORT_H
#define DM_REPORT_ANALYZE_REPORT_H

#include "base/status.h"
#include "report/boundary_head.h"
#include "stats/confidence_sequence.h"
#include "stats/sample_ratio.h"
#include "stats/weighted_mean.h"

typedef enum dm_verdict { DM_VERDICT_NONE, DM_HELPS, DM_HURTS, DM_UNDECIDED, DM_NOT_ENOUGH } dm_verdict;

/** The customers of one segment at one boundary; arm 0 keeps the segment, arm 1 is switched to the other one. */
typedef struct dm_analyze_side {
    int32_t segment, other;
    int64_t customers;      /* in the experiment */
    int64_t n[2];           /* observed, by arm */
    double mean[2];         /* of the outcome as it was observed */
    dm_estimate effect;     /* of switching; adjusted for the covariate where there is one */
    dm_estimate unadjusted; /* the same without the covariate */
    dm_anytime anytime;
    double p, p_adjusted;
    dm_verdict verdict;
    bool cuped;
    double theta, variance_reduction;
} dm_analyze_side;

/** A merged stratum: the effect of being treated as the boundary's second segment, at a mean distance. */
typedef struct dm_analyze_point {
    int32_t side, first, last; /* strata of the experiment file */
    double distance, effect, se;
    int64_t n;
} dm_analyze_point;

typedef enum dm_decision { DM_DECISION_NONE, DM_KEEP, DM_WIDEN_FIRST, DM_WIDEN_SECOND, DM_LEAVE_OPEN } dm_decision;

typedef struct dm_analyze_boundary {
    int32_t segments[2];
    double gap, band;
    int64_t customers, observed;
    dm_analyze_side side[2];
    dm_estimate intercept, slope;
    double covariance;
    int32_t points;
    dm_analyze_point *point; /* [points], distances ascending within a side */
    bool crosses;
    double crossing, crossing_low, crossing_high;
    dm_decision decision;
    char reason[200];
    bool moves;
    double distance, offset_difference; /* of the new line; wanted change of (second's offset - first's) */
    double shift; /* where the line comes to lie when all boundaries have had their say; 0 when none moves */
} dm_analyze_boundary;

typedef struct dm_analyze_report {
    dm_boundary_head head;                            /* n: customers of the experiment */
    const char *experiment, *results, *outcome, *pre; /* borrowed; pre NULL = none */
    double srm_alpha, max_attrition;
    int64_t min_cell, min_events;
    dm_chi_squared assigned, observed, attrition;
    bool ratio_passed, attrition_passed;
    int64_t missing;
    const char *stopped; /* static; NULL = nothing is wrong */
    bool binary;
    int32_t boundaries;
    dm_analyze_boundary *boundary; /* [boundaries], dm_alloc'd */
    double *offsets;               /* [k] new offsets, dm_alloc'd; NULL = none */
} dm_analyze_report;

/** Local. Frees what the report owns. Safe on a zeroed struct. */
void dm_analyze_report_clear(dm_analyze_report *r);

/**
 * Local. @param[out] text  malloc'd JSON that ends in a newline
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_analyze_json(const dm_analyze_report *r, char **text);

#endif
