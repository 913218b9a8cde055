/*
 * Result of `demarc stability` as plain numbers, and its JSON form (schema/stability.schema.json).
 *
 * src/diagnosis fills the structs; NaN means undefined and becomes null. Objectives in scaled units squared. Local.
 */
#ifndef DM_REPORT_STABILITY_REPORT_H
#define DM_REPORT_STABILITY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/** What replicates say of a figure: the percentile interval is of the replicates, not of their mean. */
typedef struct dm_stability_figure {
    double mean, sd, low, high;
} dm_stability_figure;

typedef struct dm_stability_segment {
    const char *name; /* borrowed; NULL = it has none */
    int64_t size;
    double share;
    dm_stability_figure jaccard; /* drawn customers, one value a replicate */
    double recovered_share, dissolved_share;
    const char *word;           /* static */
    dm_stability_figure within; /* all customers, one value a pair of replicates */
    double *across;             /* [solutions] */
} dm_stability_segment;

typedef struct dm_stability_solution {
    int32_t k;
    bool model; /* it is the model itself */
    double objective;
    int64_t *size;   /* [k] */
    double *value;   /* [k] against the solution before; NULL for the first */
    int64_t *origin; /* [k before, k] customers; NULL for the first */
} dm_stability_solution;

typedef struct dm_stability_report {
    const char *data, *model_digest; /* borrowed */
    int64_t n;
    int32_t d, k, replicates, polish;
    uint64_t seed;
    double level;
    int64_t sample;                /* customers that refits begin with, of n */
    dm_stability_segment *segment; /* [k] */
    dm_stability_figure adjusted_rand;
    double *rand; /* [replicates] */
    int32_t solutions;
    dm_stability_solution *solution; /* [solutions]; 0 = not asked for */
} dm_stability_report;

/** "highly stable" from .85 on, "stable" .75, "pattern" .6, "unstable" .5, else "dissolved"; NULL for NaN. Static. */
const char *dm_stability_word(double jaccard);

/** Frees what dm_alloc gave: all arrays. Safe on a zeroed struct. */
void dm_stability_report_clear(dm_stability_report *r);

/** @param[out] text  malloc'd JSON that ends in a newline; NULL after an error. @retval DEMARC_ERR_MEMORY */
demarc_status dm_stability_report_json(const dm_stability_report *r, char **text);

#endif
