/*
 * What demarc compare says of two runs, and that as JSON (schema/compare.schema.json). Local.
 *
 * Segments are 0-based. Numbers that are not defined are NaN and become null; -1 is "no segment". Names are borrowed.
 */
#ifndef DM_REPORT_COMPARE_REPORT_H
#define DM_REPORT_COMPARE_REPORT_H

#include "base/text.h"

typedef struct dm_compare_side {
    const char *run; /* folder */
    int64_t n;
    int32_t d, k;
    const char *digest;
    double objective;
} dm_compare_side;

/** A matched pair, a segment of the new run that was born, or one of the old run that died. */
typedef struct dm_compare_segment {
    int32_t old_segment, new_segment;
    const char *name;
    int32_t colour;
    const char *status; /* "matched", "born", "died" */
    int64_t common;     /* of the customers in both runs, how many are in both segments */
    double jaccard;     /* of these customers */
    int64_t old_size, new_size;
} dm_compare_segment;

/** Common customers who are no longer in their segment, by the first step at which they leave it. */
typedef struct dm_compare_moves {
    int64_t moved, customer, scaling, model; /* the last three sum to the first */
} dm_compare_moves;

/** A feature's two distributions. */
typedef struct dm_drift_figure {
    int64_t old_count, new_count, old_missing, new_missing;
    int32_t bins;
    double psi, psi_p, psi_p_adjusted;
    const char *word; /* NULL = nothing can be said */
    double ks, ks_p, ks_p_adjusted;
    double wasserstein, wasserstein_sd; /* original units; in standard deviations of the old customers */
    double old_mean, new_mean;
} dm_drift_figure;

/** Mean of an outcome, as the old run's segment had it and as the new run's has it. */
typedef struct dm_compare_expectation {
    double expected, actual, difference, low, high;
    int64_t expected_customers, customers; /* who have the outcome */
    double p, p_adjusted;                  /* of "no difference" */
    double equivalence_p, equivalence_p_adjusted;
    const char *word; /* "as expected", "shifted", "undecided" */
    int64_t stayers;  /* new customers of the segment who were in its partner before */
    double stayers_actual;
} dm_compare_expectation;

typedef struct dm_compare_advice {
    int32_t segment, other; /* of the new run; other -1 = alone */
    const char *advice;     /* "merge", "redefine", "keep" */
    double p_adjusted;      /* of a merge */
    char *why;              /* owned */
} dm_compare_advice;

typedef struct dm_compare_report {
    dm_compare_side side[2]; /* old, new */
    double alpha;
    int64_t common, entered, left;
    int32_t segments;
    dm_compare_segment *segment; /* pairs first, by new segment; then died; then born */
    int64_t *count;              /* [k_old, k_new] common customers */
    int64_t *entered_in;         /* [k_new] */
    int64_t *left_from;          /* [k_old] */
    double adjusted_rand, variation, variation_max;
    dm_compare_moves moves;
    dm_compare_moves *moves_of; /* [k_old] */
    /* Drift: of all customers, then of each pair. */
    const dm_strings *feature;
    int32_t bins, pairs;
    int32_t *pair_segment;  /* [pairs] of the new run */
    int64_t drift_tests;    /* adjusted together */
    dm_drift_figure *drift; /* [1 + pairs, d] */
    /* Calibration; outcomes without any in common: none. */
    dm_strings outcome; /* of both files; owned */
    double margin;      /* in standard deviations of all old customers */
    double *margin_of;  /* [outcomes] the same in the outcome's units */
    int64_t calibration_tests, merge_tests;
    dm_compare_expectation *expectation; /* [pairs, outcomes] */
    int32_t advices;
    dm_compare_advice *advice;
    dm_strings label; /* names of segments that had to be made; owned */
} dm_compare_report;

/** Safe on a zeroed struct. */
void dm_compare_report_clear(dm_compare_report *r);

/** @param[out] text  malloc'd; NULL after an error. @retval DEMARC_ERR_MEMORY */
demarc_status dm_compare_json(const dm_compare_report *r, char **text);

#endif
