/*
 * Sums of functions of a joined row over every cell of an experiment: exact, over threads and ranks.
 *
 * A cell is a stratum and an arm: 2 x stratum + arm. A cell's rows on one rank are added by one thread; since the sums are
 * exact (base/exact_sum.h) it does not matter who has which row.
 */
#ifndef DM_BOUNDARY_CELL_SUMS_H
#define DM_BOUNDARY_CELL_SUMS_H

#include "boundary/join.h"

enum { DM_CELL_QUANTITIES = 6 }; /* at most */

typedef struct dm_cells {
    dm_comm *comm;
    int threads;
    int32_t cells;
    int64_t *begin; /* [cells + 1] of this rank's rows */
    const dm_joined_row *row;
} dm_cells;

/** Bring the rows into the order of their cells. Local. @param[in,out] row  [count], borrowed until dm_cells_destroy() */
demarc_status dm_cells_create(dm_cells *c, dm_comm *comm, int threads, int32_t strata, dm_joined_row *row,
                              int64_t count);
void dm_cells_destroy(dm_cells *c);

/** The quantities of one row, zeroed before. Thread-safe. */
typedef void (*dm_cell_fn)(const void *context, int32_t cell, const dm_joined_row *row, double *quantity);

/** @param[out] sum  [cells, quantities], the same on all ranks. Collective. */
demarc_status dm_cells_sum(const dm_cells *c, int quantities, dm_cell_fn fn, const void *context, double *sum);

#endif
