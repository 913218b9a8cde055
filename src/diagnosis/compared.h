/*
 * Two runs side by side: what every part of a comparison looks at. Everything borrowed.
 *
 * Side 0 is the old run, side 1 the new one. Features are counted in the old model's order on both sides; a file's column is
 * found by name, so neither file needs that order.
 *
 * Segments are matched on the customers whom both runs have: the pairs are numbered 0 .. pairs - 1 in the order of the new
 * segments, and a segment that has no partner was born (new) or died (old).
 */
#ifndef DM_DIAGNOSIS_COMPARED_H
#define DM_DIAGNOSIS_COMPARED_H

#include "base/log.h"
#include "comm/comm.h"
#include "rows/rows.h"
#include "store/assignments_file.h"

typedef struct dm_compared_run {
    const char *folder; /* for error lines */
    const dm_model *model;
    dm_customers *customers;
    dm_rows *rows; /* scaled by the model's own transform, the model's order of features */
    dm_assignments *assignments;
    const int32_t *column; /* [d] of the file for each feature of the OLD model */
    double weight_high;    /* largest weight, 1 without /weight */
} dm_compared_run;

typedef struct dm_compared {
    dm_comm *comm;
    dm_log *log;
    const dmk_table *kernel;
    int threads;
    int64_t memory_limit; /* bytes per rank, 0 = none */
    int32_t d;
    dm_compared_run run[2];
    dm_rows *carried;     /* the new customers scaled by the old transform, the old model's order of features */
    const int32_t *place; /* [d] feature of the new model for each of the old one */
} dm_compared;

/** How segments of the two sides belong together. Arrays owned by the dm_pairing. */
typedef struct dm_pairing {
    int32_t k[2], pairs;
    int32_t *partner[2]; /* [k[side]] segment of the other side, -1 = none */
    int32_t *pair[2];    /* [k[side]] number of the pair, -1 = none */
} dm_pairing;

#endif
