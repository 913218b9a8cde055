/*
 * Who moves under which shifts, in pieces that nested shifts share.
 *
 * The customers inside of a narrower cut of a segment are inside of every wider one (cuts.h). So the movers of a widening
 * shift are those of the next smaller one and a ring more, and likewise for narrowing ones. A cell is what is counted: the
 * customers in the ring of one cut of segment j whose other segment is l (the one they come from, or fall to). The movers of
 * a cut are the cells of its own ring and of the rings nearer to the boundary, which stand together. Only cells that
 * somebody is in exist.
 */
#ifndef DM_BOUNDARY_SWEEP_RINGS_H
#define DM_BOUNDARY_SWEEP_RINGS_H

#include "boundary/cuts.h"

typedef struct dm_sweep_cell {
    int32_t segment, cut, other;
    int64_t rows; /* customers, over all ranks */
} dm_sweep_cell;

typedef struct dm_sweep_rings {
    int32_t k, shifts;
    const dm_cuts *cuts;
    const dm_cut *cut; /* [k, shifts] */
    int32_t wider;     /* number of positive shifts */
    int32_t *order;    /* [shifts] the positive ones, nearest to 0 first, then the negative ones likewise */
    int32_t cells;
    dm_sweep_cell *cell; /* [cells] segment by segment, in the order of its cuts, then by `other` */
    int32_t *index;      /* [k, shifts, k] cell of (cut, other), -1 = nobody */
    int32_t *begin;      /* [k + 1] cells of a segment */
} dm_sweep_rings;

/**
 * One pass. Collective.
 * @param[in] cut  [k, shifts] as found by dm_cuts_find(): segment by segment, shifts in one order; borrowed, as `cuts` is
 */
demarc_status dm_sweep_rings_find(dm_sweep_rings *g, const dm_frozen *f, int32_t shifts, const dm_cuts *cuts,
                                  const dm_cut *cut);
void dm_sweep_rings_clear(dm_sweep_rings *g);

/** The cut of segment j in whose ring row r of a block is, -1 where no shift moves it. Local, thread-safe. */
int32_t dm_sweep_ring_of(const dm_sweep_rings *g, const dm_frozen_block *b, int64_t r, int32_t j);
/** Cells of the movers of a possible cut: [*first, *end). Local. */
void dm_sweep_movers_of(const dm_sweep_rings *g, int32_t cut, int32_t *first, int32_t *end);

#endif
