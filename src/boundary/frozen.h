/*
 * A frozen model over a customer file: what every boundary test looks at.
 *
 * One kind of pass serves them all. It gives each row block (base/row_blocks.h) to a function with the squared distances
 * to all centroids in double precision, evaluated by the definition that labels are made of (linalg/distance.h), so the
 * same rows are members here as in fit and assign; and with outcomes, arms and propensities of the same rows.
 *
 * Critical offset: t_ij = ||x_i - c_j||^2 - min_{l != j} (||x_i - c_l||^2 - b_l). Customer i is in
 * segment j exactly when b_j > t_ij, so t_ij - b_j < 0 for members and >= 0 for all others, and segment j can be widened or
 * narrowed by moving b_j alone (power diagram: Aurenhammer 1987).
 */
#ifndef DM_BOUNDARY_FROZEN_H
#define DM_BOUNDARY_FROZEN_H

#include "base/log.h"
#include "boundary/journal.h"
#include "comm/comm.h"
#include "rows/rows.h"

/** Everything borrowed. `rows` are scaled with the model's transform. */
typedef struct dm_frozen {
    dm_comm *comm;
    dm_log *log;
    const dmk_table *kernel;
    int threads;
    int64_t memory_limit; /* bytes per rank, 0 = none */
    dm_rows *rows;
    dm_customers *customers;
    const dm_model *model;
    dm_journal *journal; /* of a command that can be stopped and gone on with; NULL = none */
} dm_frozen;

/** What a pass is asked for beyond distances. A column that the file lacks is DEMARC_ERR_DATA. */
typedef enum dm_frozen_want {
    DM_WANT_OUTCOMES = 1,   /* /outcomes */
    DM_WANT_ARM = 2,        /* /arm */
    DM_WANT_PROPENSITY = 4, /* /propensity */
    DM_WANT_IDS = 8         /* /id */
} dm_frozen_want;

/** One block. Distances, offsets and q in scaled units squared. Pointers hold for the call only. */
typedef struct dm_frozen_block {
    int64_t begin, rows; /* global rows [begin, begin + rows), rows <= DM_BLOCK_ROWS */
    int32_t k, d, outcomes, arms;
    const float *x;           /* [rows, d] working space */
    const float *w;           /* [rows] or NULL = all 1 */
    const double *squared;    /* [rows, k] ||x - c_j||^2 */
    const double *offset;     /* [k] b_j of the model */
    const int32_t *segment;   /* [rows] argmin_j (squared_j - b_j), ties to the lowest */
    const int32_t *runner_up; /* [rows] second smallest; -1 when k == 1 */
    const double *outcome;    /* [rows, outcomes], NaN = missing; NULL unless asked for */
    const int32_t *arm;       /* [rows]; NULL unless asked for */
    const double *propensity; /* [rows, arms] */
    const dm_ids *ids;        /* of the window that holds the block; NULL unless asked for */
    int64_t ids_at;           /* index of row `begin` in `ids` */
} dm_frozen_block;

/** The segment that row r would be in if not in segment j. */
static inline int32_t dm_other_segment(const dm_frozen_block *b, int64_t r, int32_t j)
{
    return b->segment[r] == j ? b->runner_up[r] : b->segment[r];
}

/** t of row r and segment j: in j exactly when b_j > t. +infinity for k == 1 would be meaningless: k >= 2. */
static inline double dm_critical_offset(const dm_frozen_block *b, int64_t r, int32_t j)
{
    const int32_t l = dm_other_segment(b, r, j);
    return b->squared[r * b->k + j] - (b->squared[r * b->k + l] - b->offset[l]);
}

/** `thread` in [0, threads) names the caller's slot for per-thread state. Blocks come in any order. */
typedef void (*dm_frozen_fn)(void *context, int thread, const dm_frozen_block *block);

/**
 * Give every block of this rank to fn, several threads at a time. Local: the caller agrees on the status.
 * @param[in] want  dm_frozen_want flags
 */
demarc_status dm_frozen_pass(const dm_frozen *f, unsigned want, dm_frozen_fn fn, void *context);
/** The same for the blocks of this rank within [begin, end), which are multiples of DM_BLOCK_ROWS (or the end of the data). */
demarc_status dm_frozen_pass_range(const dm_frozen *f, int64_t begin, int64_t end, unsigned want, dm_frozen_fn fn,
                                   void *context);

/** Distance between the centroids a and b in scaled units: the margin of a customer to facet a|b is |q_a - q_b| / (2 gap). */
double dm_frozen_gap(const dm_frozen *f, int32_t a, int32_t b);

#endif
