/*
 * Who the segments are: mean and spread of every feature in original units, outcomes and reach, per segment.
 *
 * Block sums run in row order and are added over blocks exactly or on a fixed grid, so profiles do not depend on the layout
 * either. Features are recovered from working space (float32, about 7 digits); imputed values
 * count as the mean they were given. A feature without weight is not in working space: its figures are NaN.
 */
#ifndef DM_ENGINE_SEGMENT_PROFILE_H
#define DM_ENGINE_SEGMENT_PROFILE_H

#include "base/packing.h"
#include "report/diagnostics.h"
#include "rows/rows.h"

typedef struct dm_profile dm_profile;

/** Local. Everything borrowed. */
demarc_status dm_profile_create(dm_profile **out, dm_rows *rows, dm_customers *customers, const dm_model *model,
                                const dm_scan *scan);
void dm_profile_destroy(dm_profile **p);
/** At most DM_BLOCK_ROWS labelled rows on behalf of `thread`. Local. */
void dm_profile_add_features(dm_profile *p, int thread, const int32_t *label, int64_t rows, const float *x,
                             const float *w);
/** Outcomes and reach of rows [begin, end), begin at a block edge; label is of row `begin`. Reads the file. Local. */
demarc_status dm_profile_add_outcomes(dm_profile *p, const int32_t *label, int64_t begin, int64_t end);
/**
 * All sums so far, over threads and ranks; the profile goes on as before. Collective; rank 0's p gets them.
 * dm_profile_unpack() puts them into a fresh profile of one rank. Local.
 */
demarc_status dm_profile_pack(const dm_profile *profile, dm_comm *comm, dm_packer *p);
void dm_profile_unpack(dm_profile *profile, dm_unpacker *u);
/** Bytes that packing takes in memory at most. */
int64_t dm_profile_pack_bytes(const dm_profile *profile);
/** Reduce and fill g's profile (g->weight and g->total_weight are already set). Collective. */
demarc_status dm_profile_finish(dm_profile *p, dm_comm *comm, dm_diagnostics *g);

#endif
