/*
 * Poisson bootstrap as matrix products: sums of values per cell under R sets of replicate weights, in one pass.
 *
 * Replicate r gives row i the weight W_ri ~ Poisson(1) (Hanley & MacGibbon 2006; Chamandy, Muralidharan, Najmi & Naidu 2012),
 * a function of (seed, replicate, global row) alone by the counter generator. For each cell c (a group of rows) and value v
 *     S_rcv = sum over rows i in c of W_ri y_iv.
 * Rows are collected per cell; when a tile of them is full one sgemm adds weights [R x rows] times values [rows x values].
 *
 * Exact, so that any layout, any tile and any BLAS gives the same bits: values are rounded to a fixed grid of
 * DM_REPLICATE_BITS bits below their bound and split into limbs of so few bits that every partial sum of a tile is an integer
 * below 2^24, which single precision holds exactly in any order of summation (error-free splitting: Ozaki, Ogita, Oishi &
 * Rump 2012); tiles add up in 64-bit integers.
 */
#ifndef DM_LINALG_REPLICATE_SUMS_H
#define DM_LINALG_REPLICATE_SUMS_H

#include "comm/comm.h"

#define DM_REPLICATE_BITS 36

typedef struct dm_replicates dm_replicates;

typedef struct dm_replicates_options {
    uint64_t seed;
    int32_t replicates; /* R >= 1 */
    int32_t cells, values;
    const double *bound; /* [values] |y_iv| <= bound; 0 = always 0; copied */
    const bool *whole;   /* [values] y_iv is an integer below 2^11 in magnitude: one limb; NULL = none; copied */
    int64_t n_global;    /* rows, for the range of the sums */
    int threads;
    int64_t budget; /* bytes this rank may use; windows of replicates get smaller to fit, at least 64 replicates each */
} dm_replicates_options;

/** Local. @retval DEMARC_ERR_MEMORY */
demarc_status dm_replicates_create(dm_replicates **out, const dm_replicates_options *o);
void dm_replicates_destroy(dm_replicates **r);

/**
 * Replicates are worked off in windows, one pass over the data each (usually a single one):
 *     while (dm_replicates_next(r, &first, &count)) {
 *         pass over the rows: dm_replicates_add(...);
 *         DM_TRY(dm_replicates_reduce(r, comm));
 *         read S_rcv of replicates [first, first + count) by dm_replicates_sum();
 *     }
 */
bool dm_replicates_next(dm_replicates *r, int32_t *first, int32_t *count);
/** Row `row` (global) belongs to `cell`, with values y [values]. By `thread` in [0, threads): local. A row may be in many cells. */
void dm_replicates_add(dm_replicates *r, int thread, int64_t row, int32_t cell, const double *y);
/** Flush the tiles and sum over threads and ranks. Collective. */
demarc_status dm_replicates_reduce(dm_replicates *r, dm_comm *comm);
/** S of replicate first + i of the present window. Local. */
double dm_replicates_sum(const dm_replicates *r, int32_t cell, int32_t value, int32_t i);

/** Weight of one row in one replicate, as the tiles use it: for tests and for replicates by hand. Local. */
int32_t dm_replicate_weight(uint64_t seed, int32_t replicate, int64_t row);

/** Multiplications and additions done in sgemm so far by this rank, and seconds of threads spent in it and in drawing. */
void dm_replicates_work(const dm_replicates *r, double *flops, double *sgemm_seconds, double *draw_seconds);

#endif
