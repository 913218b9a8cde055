/*
 * The rank's customers: scanned, scaled, and handed out block by block, from memory or streamed from the file.
 *
 * Order of calls: open, scan (and quantiles where the scaling wants them), scale, then any number of passes. A pass
 * gives each block (base/row_blocks.h) of the rank to a function, from several threads, in any order; blocks are the
 * same on every layout, so a function that keeps per-block results exact keeps the whole independent of the layout.
 *
 * In memory: the shard of working-space features as float32 [n_local, d] (4 n_local d bytes) and weights; or the stored
 * halves (2 n_local d bytes), and each pass scales its blocks as it goes, by the same operations. Streamed (memory
 * limit below that): every pass reads the file into two blocks per thread (stored and working-space values), or one block
 * per thread and two slabs of stored values where only HDF5 can read them (chunks, filters, other types).
 */
#ifndef DM_ROWS_ROWS_H
#define DM_ROWS_ROWS_H

#include "base/log.h"
#include "base/row_blocks.h"
#include "dmk.h"
#include "store/customer_file.h"
#include "store/model_file.h"

typedef struct dm_rows dm_rows;

/** How to open: everything borrowed for the life of the rows. */
typedef struct dm_rows_options {
    dm_comm *comm;
    dm_log *log;
    dm_customers *file;
    const dmk_table *kernel;
    int threads, most_threads; /* of this rank, and of any: what all ranks must decide alike goes by the latter */
    int64_t memory_limit;      /* bytes per rank, 0 = none */
    bool stream;               /* never hold the shard (assign, verify, info) */
    int32_t d;                 /* features used */
    const int32_t *column;     /* [d] column of the file for each feature, NULL = all in order (then d = the file's) */
    demarc_store store;        /* how a held shard is kept */
} dm_rows_options;

/**
 * Local and cheap: nothing is read yet.
 * @retval DEMARC_ERR_USAGE  store is DEMARC_STORE_F16, but the file's features are no halves
 */
demarc_status dm_rows_open(dm_rows **out, const dm_rows_options *o);
void dm_rows_close(dm_rows **rows);

int64_t dm_rows_global(const dm_rows *rows);
dm_row_range dm_rows_range(const dm_rows *rows);
int32_t dm_rows_features(const dm_rows *rows);
bool dm_rows_streamed(const dm_rows *rows);
bool dm_rows_weighted(const dm_rows *rows);
/** How the shard is kept unless streamed: DEMARC_STORE_F16 or DEMARC_STORE_F32. */
demarc_store dm_rows_store(const dm_rows *rows);
/** True when one pass over the file both scans it and fills the shard. */
bool dm_rows_loads_once(const dm_rows *rows);
const dm_rows_options *dm_rows_opened_with(const dm_rows *rows);
/**
 * Stored bytes read so far by this rank, and the seconds its passes took beyond the work on the blocks: reading, as far
 * as it was not hidden behind the work, and waiting.
 */
int64_t dm_rows_bytes_read(const dm_rows *rows);
double dm_rows_read_seconds(const dm_rows *rows);
/** Bytes per rank that holding the shard takes, and that streaming takes, for plans. */
int64_t dm_rows_shard_bytes(const dm_rows *rows);
int64_t dm_rows_stream_bytes(const dm_rows *rows);

/** Columns of the customer file as stored (after T = log1p where asked); the same on all ranks. Arrays [d]. */
typedef struct dm_scan {
    int32_t d;
    int64_t n;
    int64_t *count;   /* finite values */
    int64_t *missing; /* NaN */
    int64_t *infinite;
    int64_t *outside;   /* log1p of a value <= -1 */
    double *weight;     /* weight of the finite values */
    double *low, *high; /* of finite values; +inf, -inf when there are none */
    double *mean,
        *variance; /* weighted, population (divided by the weight). Values too far apart for a double: variance
                              * infinite, and mean NaN where sums overflow, too; too close together: variance NaN */
    int64_t first_missing_row, first_infinite_row, first_outside_row; /* -1 = none */
    int32_t first_missing_column, first_infinite_column, first_outside_column;
    double total_weight;
    double weight_high; /* largest weight; 1 without /weight */
    int64_t positive;   /* rows with weight > 0 */
    /* Of the stored feature values and weights, layout-independent. Values count as they are read: halves as 2 bytes,
     * what is exactly float32 as 4, all else as 8; so one table stored in two types has two digests. */
    char digest[33];
} dm_scan;

/**
 * One pass over the stored values. Collective.
 * @param[in] log1p  [d] flags, NULL = none
 */
demarc_status dm_rows_scan(dm_rows *rows, const uint8_t *log1p, dm_scan *scan);
void dm_scan_destroy(dm_scan *scan);

/**
 * Exact quantiles of the finite values of every column, by linear interpolation between order statistics (type 7 of
 * Hyndman & Fan 1996, numpy's default), unweighted. Collective; eight passes.
 * @param[out] q  [d, count]; NaN for a column without finite values
 */
demarc_status dm_rows_quantiles(dm_rows *rows, const uint8_t *log1p, const dm_scan *scan, int32_t count,
                                const double *probability, double *q);

/** Adopt the transform (copied); loads the shard unless streamed. Collective. */
demarc_status dm_rows_scale(dm_rows *rows, const dm_transform *t);

/**
 * A block: global rows [begin, begin + rows), working-space features x [rows, d], weights w [rows] or NULL (= all 1).
 * `thread` in [0, threads) names the caller's slot for per-thread state.
 */
typedef void (*dm_block_fn)(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w);

/** Give every block of this rank to fn. Local: the caller agrees on the status. Missing values are at the origin. */
demarc_status dm_rows_pass(dm_rows *rows, dm_block_fn fn, void *context);
/** As dm_rows_pass for the blocks within [begin, end), which are multiples of DM_BLOCK_ROWS (or the end of the data). */
demarc_status dm_rows_pass_range(dm_rows *rows, int64_t begin, int64_t end, dm_block_fn fn, void *context);

/**
 * A pass over held rows whose function asks for no more of a block than it needs. dm_rows_held(): every row is in memory,
 * scaled or as halves. dm_rows_visit() gives every block of this rank to fn, which may call, with its own thread number:
 *   dm_rows_at     the block's x [rows, d] where it is held scaled, else NULL
 *   dm_rows_block  the block's x [rows, d], scaled now into a buffer of the thread where need be
 *   dm_rows_pick   rows begin + index[i], i in [0, count), into x [count, d]
 *   dm_rows_weight the block's weights or NULL (= all 1)
 * Local: the caller agrees on the status of the visit.
 */
typedef void (*dm_visit_fn)(void *context, int thread, int64_t begin, int64_t rows);
bool dm_rows_held(const dm_rows *rows);
demarc_status dm_rows_visit(dm_rows *rows, dm_visit_fn fn, void *context);
const float *dm_rows_at(const dm_rows *rows, int64_t begin);
const float *dm_rows_block(const dm_rows *rows, int thread, int64_t begin, int64_t n);
void dm_rows_pick(const dm_rows *rows, int thread, int64_t begin, const int32_t *index, int64_t count, float *x);
const float *dm_rows_weight(const dm_rows *rows, int64_t begin);

/**
 * Copy chosen rows of this rank: x [count, d] and, when weighted, w [count]. Local; streamed rows cost a pass.
 * @param[in] row  [count] global rows in ascending order (repeats allowed), all in this rank's range
 */
demarc_status dm_rows_gather(dm_rows *rows, int64_t count, const int64_t *row, float *x, float *w);

#endif
