/*
 * experiment.h5: a randomised experiment around boundaries, frozen before anybody is treated.
 *
 * One row a customer of the experiment, in input order: /id (kind as in the input, id_layout.h), /row int64 (global row of
 * the input), /boundary int32 (index), /segment and /other int32 (where he is, and on the other side of the boundary),
 * /margin float64 (distance to the boundary, scaled units), /stratum int32 (boundary x side x quantile of the margin),
 * /arm int32 (0 keep, 1 switch), /propensity float64 (probability of 1). One row a boundary: /boundaries int32 [B, 2]
 * (lower segment first), /gap float64 (distance of the two centroids), /band float64 (largest margin admitted). What the
 * design was made of stands in attributes of "/".
 */
#ifndef DM_STORE_EXPERIMENT_FILE_H
#define DM_STORE_EXPERIMENT_FILE_H

#include "store/customer_file.h"
#include "store/made.h"

#define DM_STRATA_FREE 65536 /* strata that any experiment may have; more only if there are as many customers */

typedef struct dm_experiment_facts {
    int64_t customers;
    int32_t boundaries;
    int32_t distance_strata;  /* quantiles a side: strata are [boundaries, 2, distance_strata] */
    int32_t *segments;        /* [boundaries, 2], the lower one first: side 0, side 1 */
    double *gap, *band;       /* [boundaries] */
    const char *model_digest; /* of the frozen model */
    const char *salt;         /* of the hash that assigned */
    const char *outcome;      /* "" = none named */
    uint64_t seed;
    double alpha, power, effect, outcome_sd; /* of the design; effect and sd in units of the outcome, NaN = not known */
    double switch_share;
    const dm_made *made; /* when writing; NULL = not told */
} dm_experiment_facts;

/** A range of rows; arrays [rows]. */
typedef struct dm_experiment_rows {
    int64_t *row;
    int32_t *boundary, *segment, *other, *stratum, *arm;
    double *margin;
    double *propensity; /* not looked at when writing: facts' switch_share */
} dm_experiment_rows;

/**
 * Write this rank's `count` customers, whose rows ascend, after those of the ranks before it. Collective.
 * @param[in] facts      the same on all ranks; `customers` is the sum of all counts
 * @param[in] customers  where ids come from
 */
demarc_status dm_experiment_write(dm_comm *comm, demarc_io io, dm_customers *customers, const char *path,
                                  const dm_experiment_facts *facts, int64_t count, const dm_experiment_rows *rows);

typedef struct dm_experiment dm_experiment;

/**
 * Open for reading on every rank and check what concerns the file as a whole. Collective.
 * @retval DEMARC_ERR_DATA  no experiment, or a damaged one; the line names file and dataset or attribute
 */
demarc_status dm_experiment_open(dm_experiment **out, dm_comm *comm, const char *path);
void dm_experiment_close(dm_experiment **e);
/** Borrowed until close. */
const dm_experiment_facts *dm_experiment_facts_of(const dm_experiment *e);
const char *dm_experiment_path(const dm_experiment *e);

/**
 * Rows [begin, begin + count) into the arrays that are not NULL, each value checked against the boundaries. Local.
 * @retval DEMARC_ERR_DATA  a value that no plan writes: dataset and row are named
 */
demarc_status dm_experiment_read(dm_experiment *e, int64_t begin, int64_t count, const dm_experiment_rows *rows);
/** Ids of rows [begin, end); given back by dm_ids_clear(). Local. */
demarc_status dm_experiment_ids(dm_experiment *e, int64_t begin, int64_t end, dm_ids *out);

#endif
