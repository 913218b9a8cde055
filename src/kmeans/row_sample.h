/*
 * A nested sample of the customers, in memory: strips of DM_STRIP_ROWS rows, one drawn at random from each of as many equal
 * stretches of the file, so that every part of the file has its say. Level 0 is the smallest; each level holds the one
 * before and as many strips again, between them (nested batches: Newling & Fleuret 2016, "Nested Mini-Batch K-Means").
 *
 * The strips depend on (seed, restart, n) only, so the sample is the same on every layout; a rank holds the strips
 * that lie in its rows. At level 0 the sample's rows have positions 0, 1, 2, ... in file order over all ranks: what
 * random draws within the sample are keyed by.
 */
#ifndef DM_KMEANS_ROW_SAMPLE_H
#define DM_KMEANS_ROW_SAMPLE_H

#include "rows/rows.h"

#define DM_STRIP_ROWS 32
#define DM_SAMPLE_LEVELS 24

typedef struct dm_row_sample {
    dm_rows *source; /* borrowed */
    int32_t d, levels;
    int level;                       /* in use */
    int64_t total[DM_SAMPLE_LEVELS]; /* rows of each level, over all ranks */
    int64_t local[DM_SAMPLE_LEVELS]; /* rows of each level on this rank */
    int64_t first;                   /* position of this rank's first row at level 0 */
    int64_t *strip;                  /* [local strips] global row of each strip's first row */
    float *x, *w;                    /* [local rows, d], [local rows] or NULL */
    int held;                        /* levels whose rows are in x */
} dm_row_sample;

/**
 * Draw the strips and fetch the rows of level 0. Collective.
 *
 * @param[in] smallest, largest  rows wanted of the first level, and at most of the last (over all ranks)
 * @param[out] s                 levels == 0: the file is too small for a sample
 */
demarc_status dm_row_sample_create(dm_row_sample *s, dm_rows *rows, uint64_t seed, int32_t restart, int64_t smallest,
                                   int64_t largest);
/** Use this level; fetches its rows when it is new. Streamed rows were all fetched by create. Collective. */
demarc_status dm_row_sample_use(dm_row_sample *s, int level);
void dm_row_sample_destroy(dm_row_sample *s);

/** Rows of the level in use on this rank. */
int64_t dm_row_sample_rows(const dm_row_sample *s);
/** Global row of the i-th row on this rank. */
int64_t dm_row_sample_row(const dm_row_sample *s, int64_t i);
/** Give the rows of the level in use to fn, `begin` = first + index on this rank. Local. */
void dm_row_sample_pass(const dm_row_sample *s, dm_block_fn fn, void *context);

#endif
