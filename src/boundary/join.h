/*
 * What became of the customers of an experiment: its rows and the rows of a results file, brought together by id.
 *
 * Every id has an owner among the ranks, by its hash. The experiment's rows travel to their owners and are put into a hash
 * table there; rows of the results follow in batches, in whatever order the file has them, and leave outcome and covariate.
 * Hashes only say where to look: ids are compared byte by byte (integers by value), so a collision joins nobody wrongly. A
 * rank holds its share of the experiment and one batch.
 *
 * The rows stay with the owners, in no order that means anything: what is computed of them must be exact sums.
 */
#ifndef DM_BOUNDARY_JOIN_H
#define DM_BOUNDARY_JOIN_H

#include "comm/comm.h"
#include "store/customer_file.h"
#include "store/experiment_file.h"

/** A customer of the experiment. */
typedef struct dm_joined_row {
    double margin;     /* to the boundary, scaled units, >= 0 */
    double propensity; /* probability of arm 1, in (0, 1) */
    double y, x;       /* outcome and covariate; NaN = missing, or no row in the results */
    int32_t stratum;   /* of the experiment file: boundary x side x quantile */
    int32_t arm;       /* 0 keep, 1 switch */
} dm_joined_row;

/**
 * Join. Collective.
 * @param[in]  outcome, pre  columns of the results' outcomes; pre == -1: no covariate
 * @param[out] row           [count] this rank's rows, dm_alloc'd; the caller frees by dm_free()
 * @retval DEMARC_ERR_DATA  ids of different kinds; a value that is infinite, else an id that is not in the experiment or comes
 *                          twice: the lowest such row is named, whatever the layout
 */
demarc_status dm_join_results(dm_comm *comm, dm_experiment *experiment, dm_customers *results, int32_t outcome,
                              int32_t pre, dm_joined_row **row, int64_t *count);

#endif
