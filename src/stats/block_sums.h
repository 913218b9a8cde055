/*
 * Many exact sums over rows, one plain addition per row.
 *
 * Within a row block (base/row_blocks.h) a thread adds doubles in the order of rows; the block's sums then go into exact
 * accumulators, so the totals have the same bits for every layout. Quantities that a block does not touch cost nothing.
 * Besides the sums there are counts and maxima.
 */
#ifndef DM_STATS_BLOCK_SUMS_H
#define DM_STATS_BLOCK_SUMS_H

#include "base/packing.h"
#include "comm/comm.h"

typedef struct dm_block_sums {
    int threads;
    int64_t sums, counts, maxima;
    double **part;        /* [threads][sums] of the block at hand: callers add to it */
    int64_t **count;      /* [threads][counts] callers add to it; exact as they are */
    double **high;        /* [threads][maxima] callers raise it; -infinity at first */
    dm_exact_sum **exact; /* [threads][sums] */
    double *value;        /* [sums] after dm_block_sums_reduce(), the same on all ranks */
    int64_t *number;      /* [counts] likewise */
    double *most;         /* [maxima] likewise; never NaN */
} dm_block_sums;

/** All zero. Local. @retval DEMARC_ERR_MEMORY  give it to dm_block_sums_destroy() all the same */
demarc_status dm_block_sums_create(dm_block_sums *s, int threads, int64_t sums, int64_t counts);
/** The same with maxima besides. */
demarc_status dm_block_sums_create_with(dm_block_sums *s, int threads, int64_t sums, int64_t counts, int64_t maxima);
/** Safe on a zeroed struct. */
void dm_block_sums_destroy(dm_block_sums *s);

/** End of a block of `thread`. Local, one thread each. */
void dm_block_sums_flush(dm_block_sums *s, int thread);
/** Totals over threads and ranks. Collective. */
void dm_block_sums_reduce(dm_block_sums *s, dm_comm *comm);
/** The first half of reduce: over threads and ranks to thread 0 of every rank, where more can be added. Collective. */
void dm_block_sums_gather(dm_block_sums *s, dm_comm *comm);
/** The second: the totals from what thread 0 has. Local. */
void dm_block_sums_take(dm_block_sums *s);
/** What thread 0 has: into p, from u, to nothing. Local. */
void dm_block_sums_pack(dm_block_sums *s, dm_packer *p);
void dm_block_sums_unpack(dm_block_sums *s, dm_unpacker *u);
void dm_block_sums_forget(dm_block_sums *s);

#endif
