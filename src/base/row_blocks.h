/*
 * Fixed global row blocks: the unit of work that makes results independent of the layout.
 *
 * Rows [b * DM_BLOCK_ROWS, (b + 1) * DM_BLOCK_ROWS) form block b, whatever the number of ranks and threads. A block is
 * never split between ranks or threads, so a floating-point sum over the rows of a block in row order has the same
 * bits on every layout; sums over blocks go through exact accumulators (exact_sum.h, fixed_sum.h).
 */
#ifndef DM_BASE_ROW_BLOCKS_H
#define DM_BASE_ROW_BLOCKS_H

#include <stdint.h>

#define DM_BLOCK_ROWS 4096

typedef struct dm_row_range {
    int64_t begin, end; /* global rows, half-open */
} dm_row_range;

static inline int64_t dm_block_count(int64_t n_global) { return (n_global + DM_BLOCK_ROWS - 1) / DM_BLOCK_ROWS; }

/** The rows of `rank`: a whole number of blocks, evenly spread; may be empty. */
static inline dm_row_range dm_row_range_of(int64_t n_global, int rank, int size)
{
    /* (blocks * rank) / size without overflow for any int64 number of blocks */
    int64_t blocks = dm_block_count(n_global), q = blocks / size, r = blocks % size;
    int64_t first = q * rank + r * rank / size, last = q * (rank + 1) + r * (rank + 1) / size;
    dm_row_range range = {first * DM_BLOCK_ROWS, last * DM_BLOCK_ROWS};
    if (range.begin > n_global) range.begin = n_global;
    if (range.end > n_global) range.end = n_global;
    return range;
}

#endif
