/*
 * Many solutions of the same customers at once: refits of bootstrap replicates, and of other numbers of segments.
 *
 * A pass gives every block of rows (base/row_blocks.h) to all solutions while it is in cache, so that B replicates read the
 * data once. Replicate b counts customer i Poisson(1) times (linalg/replicate_sums.h), a function of (seed, b, hash of the
 * customer's id): neither the layout nor the order of the rows matters.
 *
 *   refine  Lloyd's step (Lloyd 1982): exact labels (linalg/distance.h), then each centroid becomes the mean of its customers,
 *           each as often as it is counted, times its /weight; a segment that nobody is in stays where it is. Values are taken on a
 *           grid of 20 bits below the feature's bound, the rounding of which averages out over customers, as integers: so
 *           the sums are exact and the same on any layout. With /weight the same holds for weight x value, relative to
 *           the largest weight.
 *   count   customers by (drawn or not, segment of the model, segment of the solution), each once however often it is
 *           counted; for solutions without a replicate also by (segment of the solution before, segment), and
 *           the objective.
 *
 * Arithmetic of a pass: 2 n d (sum of k) in the distances and 2 n d in the sums per solution, from caches: rows go by in tiles
 * of 512. A rank's memory: per thread 12 d_16 bytes and per solution 20 d bytes a segment (d_16: d in whole 16), and 16 bytes
 * for each pair of a segment of the model and one of a replicate.
 */
#ifndef DM_DIAGNOSIS_MANY_SOLUTIONS_H
#define DM_DIAGNOSIS_MANY_SOLUTIONS_H

#include "base/log.h"
#include "linalg/distance.h"
#include "rows/rows.h"

/** Customers and the model they are held against; all borrowed. `rows` are scaled with the model's transform. */
typedef struct dm_solution_data {
    dm_comm *comm;
    dm_log *log;
    const dmk_table *kernel;
    int threads;
    dm_rows *rows;
    dm_customers *customers;
    const dm_model *model;
    const dm_scan *scan;
    uint64_t seed; /* of the replicates */
} dm_solution_data;

typedef struct dm_solution {
    int32_t k;
    int32_t replicate; /* whose weights it has; -1 = every customer counts once */
    double *centroids; /* [k, d] working space */
    dm_centers centers;
    int64_t first;    /* of its segments among those of all solutions */
    int64_t *table;   /* [2, model's k, k] customers: not drawn, drawn (without a replicate all are) */
    int64_t *flow;    /* [k of the solution before, k]; NULL unless both have no replicate */
    double objective; /* scaled units squared; NaN with a replicate */
} dm_solution;

typedef struct dm_solutions {
    const dm_solution_data *data;
    int32_t count, most_k;
    dm_solution *solution; /* [count] */
    int64_t segments;      /* of all together */
    double *centroids;     /* [segments, d] */
    int64_t *table;        /* [tables] all of them, then the flows */
    int64_t tables;
    int32_t first, groups; /* replicates first + [0, 64 groups) are drawn */
} dm_solutions;

/**
 * Local. Centroids are the caller's to fill, then dm_solutions_set().
 * @param[in] k, replicate  [count]; replicates that are not -1 ascend
 */
demarc_status dm_solutions_create(dm_solutions *s, const dm_solution_data *data, int32_t count, const int32_t *k,
                                  const int32_t *replicate);
/** The centroids are filled, or have changed. Local. */
void dm_solutions_set(dm_solutions *s);
void dm_solutions_destroy(dm_solutions *s);

/** One step of Lloyd for all, one pass. Collective. @retval DEMARC_STOPPED */
demarc_status dm_solutions_refine(dm_solutions *s);
/** Fill tables, flows and objectives, one pass. Collective. @retval DEMARC_STOPPED */
demarc_status dm_solutions_count(dm_solutions *s);

/** Solutions that are worked on together at most, so that what they hold stays within about `budget` bytes. Local. */
int32_t dm_solutions_together(const dm_solution_data *data, int32_t k, int64_t budget);

/** The model's own centroids and offsets, for its labels. Local. */
demarc_status dm_solution_model_centers(const dm_model *model, dm_centers *out);

/** Has a signal asked any rank to stop? Collective. @retval DEMARC_STOPPED  says so */
demarc_status dm_solution_edge(dm_comm *comm);

#endif
