/*
 * Result of `demarc boundary sweep` as plain numbers, and its JSON form (schema/sweep.schema.json).
 *
 * src/boundary fills the structs on rank 0; NaN and NULL mean undefined and become null. Offsets and objective in scaled
 * units squared, means in units of the outcome. Local.
 */
#ifndef DM_REPORT_SWEEP_REPORT_H
#define DM_REPORT_SWEEP_REPORT_H

#include <stdbool.h>

#include "report/boundary_head.h"

/** A figure with its percentile interval. */
typedef struct dm_sweep_interval {
    double value, low, high;
} dm_sweep_interval;

typedef struct dm_sweep_contrast {
    double value, se;
} dm_sweep_contrast;

/** One outcome of one shift. */
typedef struct dm_sweep_effect {
    int64_t n; /* movers with the outcome */
    dm_sweep_interval movers, left, joined, eta_squared_change;
    dm_sweep_contrast difference; /* joined - left */
    dm_sweep_contrast contrast;   /* 2 movers - left - joined */
    double p, p_adjusted;
    const char *verdict; /* "joined", "left", "undecided", "not enough data"; NULL = no replicates. Static */
} dm_sweep_effect;

typedef struct dm_sweep_shift {
    int32_t segment;
    double shift;
    bool possible; /* else only `target` is told */
    int64_t target;
    double offset;
    int64_t tied, movers;
    double movers_weight;
    int32_t others;        /* segments that movers come from, or fall to */
    int32_t *other;        /* [others] ascending */
    int64_t *other_number; /* [others] movers */
    dm_sweep_interval objective_change;
    dm_sweep_effect *effect; /* [outcomes] */
} dm_sweep_shift;

typedef struct dm_sweep_outcome {
    const char *name; /* borrowed */
    int64_t n;        /* customers with it */
    double mean, eta_squared;
    bool binary;
    const char *exploratory_feature; /* the feature it shaped the segments as; NULL = none; borrowed */
} dm_sweep_outcome;

typedef struct dm_sweep_segment {
    int64_t size;
    double offset;
} dm_sweep_segment;

typedef struct dm_sweep_report {
    dm_boundary_head head;
    int32_t replicates;
    int64_t min_cell, min_events;
    double objective;
    int32_t outcomes, shifts; /* shifts: segments x shares */
    dm_sweep_outcome *outcome;
    dm_sweep_segment *segment; /* [head.k] */
    dm_sweep_shift *shift;
} dm_sweep_report;

/** Frees what dm_alloc gave: all arrays. Safe on a zeroed struct. */
void dm_sweep_report_clear(dm_sweep_report *r);

/** @param[out] text  malloc'd JSON that ends in a newline; NULL after an error. @retval DEMARC_ERR_MEMORY */
demarc_status dm_sweep_report_json(const dm_sweep_report *r, char **text);

#endif
