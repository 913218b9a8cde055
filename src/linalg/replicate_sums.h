/*
 * Poisson bootstrap as matrix products: sums of values per cell under R sets of replicate weights, in one pass.
 *
 * Replicate r gives row i the weight W_ri ~ Poisson(1) (Hanley & MacGibbon 2006; Chamandy, Muralidharan, Najmi & Naidu 2012),
 * a function of (seed, replicate, global row) alone by the counter generator. For each cell c (a group of rows) and value v
 *     S_rcv = sum over rows i in c of W_ri y_iv.
 * Rows are collected per cell; a tile of them, at most DM_REPLICATE_ROWS, is one sgemm: values [values x rows] times weights
 * [rows x R].
 *
 * Weights: a counter (row; replicate) of Philox4x32-10 gives eight 16-bit integers u (kernels/dmk.h says which replicate
 * takes which), and W is the number of t_k, k = 0, 1, ..., with u >= t_k: inversion with 2^16 - t_k = rint(2^16 P(X > k)),
 * X ~ Poisson(1). The eight tails that do not round to 0 happen to add up to 2^16, so the mean is exactly 1; the variance
 * is 1 - 2^-15 and the largest weight 8.
 *
 * Exact, so that any layout, any tile and any BLAS gives the same bits: values are rounded to a fixed grid of B bits below
 * their bound (the next power of two) and split into signed digits of 13 bits, so that every partial sum of a tile is an
 * integer of at most 512 rows x 8 x 2^12 = 2^24, which single precision holds exactly in any order of summation (error-free
 * splitting: Ozaki, Ogita, Oishi & Rump 2012); tiles add up in 64-bit integers. B = DM_REPLICATE_BITS up to 2^25 rows, one
 * less for each doubling beyond: the weights of a replicate add up to less than 2 n but for a chance below e^(-0.38 n), or
 * 8 n where n is small, so that |S| < 2^63 on the grid. What the grid takes from a mean is at most 2^-(B + 1) of the bound.
 */
#ifndef DM_LINALG_REPLICATE_SUMS_H
#define DM_LINALG_REPLICATE_SUMS_H

#include "base/packing.h"
#include "comm/comm.h"
#include "dmk.h"

#define DM_REPLICATE_BITS 36
#define DM_REPLICATE_ROWS 512
#define DM_REPLICATE_MOST_ROWS (INT64_C(1) << 40)

typedef struct dm_replicates dm_replicates;

typedef struct dm_replicates_options {
    uint64_t seed;
    int32_t replicates; /* R >= 1 */
    int32_t cells, values;
    const double *bound; /* [values] |y_iv| <= bound; 0 = always 0; copied */
    const bool *whole;   /* [values] y_iv is an integer below 2^11 in magnitude: one limb; NULL = none; copied */
    int64_t n_global;    /* rows, for the range of the sums; a row counts as often as it is put into one cell */
    int threads;
    int64_t
        budget; /* bytes a rank may use, about; windows of replicates get smaller to fit, at least 64 replicates each */
    const dmk_table *kernel; /* NULL = the best of this CPU; all give the same bits */
} dm_replicates_options;

/**
 * Local.
 * @retval DEMARC_ERR_IMPOSSIBLE  more than 2^40 rows
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_replicates_create(dm_replicates **out, const dm_replicates_options *o);
void dm_replicates_destroy(dm_replicates **r);

/**
 * Replicates are worked off in windows, one pass over the data each (usually a single one):
 *     while (dm_replicates_next(r, &first, &count)) {
 *         pass over the rows: dm_replicates_add(...);
 *         DM_TRY(dm_replicates_reduce(r, comm));
 *         read S_rcv of replicates [first, first + count) by dm_replicates_sum();
 *     }
 * Windows are the same on all ranks if their options are; only `threads` and `kernel` may differ. Local.
 */
bool dm_replicates_next(dm_replicates *r, int32_t *first, int32_t *count);
/**
 * Row `row` (global) belongs to `cell`, with values y [values], finite and within their bounds. By `thread` in
 * [0, threads), each used by one thread at a time: local. A row may be in many cells. Does the work of a tile now and then.
 */
void dm_replicates_add(dm_replicates *r, int thread, int64_t row, int32_t cell, const double *y);
/** Flush the tiles and sum over threads and ranks. Collective. */
demarc_status dm_replicates_reduce(dm_replicates *r, dm_comm *comm);
/**
 * What has been added in the present window so far: from all threads and ranks to rank 0, where it is packed; the others begin
 * at nothing, and adding goes on. dm_replicates_restore() is its inverse: rank 0, after dm_replicates_next() gave the same
 * window. Collective; local.
 */
void dm_replicates_gather(dm_replicates *r, dm_comm *comm, dm_packer *p);
void dm_replicates_restore(dm_replicates *r, dm_unpacker *u);
/** Begin with replicate `done` rather than 0: before the first dm_replicates_next(); a window's end. Local. */
void dm_replicates_skip(dm_replicates *r, int32_t done);
/** S of replicate first + i of the present window. Local. */
double dm_replicates_sum(const dm_replicates *r, int32_t cell, int32_t value, int32_t i);

/** Weight of one row in one replicate, as the tiles use it: for tests and for replicates by hand. Local. */
int32_t dm_replicate_weight(uint64_t seed, int32_t replicate, int64_t row);

/**
 * out[r * ld + i] = weight of row[r] in replicate first + i, for i < groups * DMK_COUNTS: many rows at a time. `row` may be any
 * 64-bit key of a row. @param[in] first  a multiple of DMK_COUNTS. Local.
 */
void dm_replicate_weights(const dmk_table *kernel, uint64_t seed, int32_t first, const int64_t *row, int64_t rows,
                          int64_t groups, float *out, int64_t ld);

/** Multiplications and additions done in sgemm so far by this rank, and seconds of threads spent in it and in drawing. */
void dm_replicates_work(const dm_replicates *r, double *flops, double *sgemm_seconds, double *draw_seconds);

#endif
