/*
 * The final exact pass: label, runner-up, distance and margin of every customer, consistent with a model; optionally
 * written, compared with what is stored, or profiled.
 *
 * Collective. Every figure is a function of the data and the model alone: per-row values come from
 * linalg/distance.h, per-segment sums run in row order within a block and exactly over blocks.
 */
#ifndef DM_ENGINE_FINAL_PASS_H
#define DM_ENGINE_FINAL_PASS_H

#include "base/packing.h"
#include "report/diagnostics.h"
#include "rows/rows.h"
#include "store/assignments_file.h"

/** A pass under way. */
typedef struct dm_final_run dm_final_run;

typedef struct dm_final_options {
    dm_rows *rows; /* scaled with the model's transform */
    dm_customers *customers;
    const dm_model *model;
    bool exhaustive;               /* brute force in double instead of BLAS (verify) */
    dm_assignments_writer *writer; /* NULL = do not write; discarded after an error */
    dm_assignments *compare;       /* NULL = nothing to compare with */
    const dm_scan *scan;           /* for the profile's bounds; NULL = no feature, outcome and reach profile */
    bool reach_only;               /* of the profile, features stay undefined */
    /* Called between two windows of rows by all ranks; not DEMARC_OK ends the pass. NULL = not called. */
    demarc_status (*edge)(void *context, const dm_final_run *at);
    void *edge_context;
    dm_unpacker *left; /* what dm_final_pack() packed, to go on from; NULL = from the first row */
} dm_final_options;

/** The rule of "near a boundary": margin < DM_NEAR_RULE x half the distance of the two centroids. */
#define DM_NEAR_RULE 0.1

/**
 * From `edge`: which rows are done, on all ranks, and the sums over them; what was written of them is on disk then, so a
 * pass over the same rows and model that is given this can leave them out, on any layout. Collective; for rank 0's p.
 * @param[out] kept  false: nothing is done yet, or it is too much to be kept; p is as it was
 */
demarc_status dm_final_pack(const dm_final_run *at, dm_packer *p, bool *kept);

/**
 * @param[out] g           size, weight, within, objective, ... of `k` segments; with `scan` also the profile.
 *                         Cleared by dm_diagnostics_clear().
 * @param[out] digest      of rows, centroids, offsets and objective
 * @param[out] write_seconds  time the pass stood still for writing, which otherwise goes on beside it (may be NULL)
 * @retval DEMARC_ERR_VERIFY  `compare` differs: first row and column named
 */
demarc_status dm_final_pass(const dm_final_options *o, dm_diagnostics *g, char digest[40], double *write_seconds);

#endif
