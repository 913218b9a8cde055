/*
 * A pass over the customers that can be stopped and gone on with.
 *
 * Where the command keeps a journal, the pass is cut into windows of whole row blocks that take about a second; between two
 * of them is an edge (journal.h). What has been added up by then can be saved with the rows that it is of, and another run
 * on any layout passes over the other rows only. That gives the same bytes because such sums are exact: it does not matter
 * which rank and thread held which part.
 */
#ifndef DM_BOUNDARY_SAVED_PASS_H
#define DM_BOUNDARY_SAVED_PASS_H

#include "boundary/frozen.h"

/** What a pass adds up. `name` tells it from all others of the command, and its shape where that depends on the layout. */
typedef struct dm_pass_state {
    const char *name;
    /* Bring together what threads and ranks have, in rank 0's state, so that the others begin at nothing, and pack it there.
     * Collective; the pass goes on afterwards. */
    void (*gather)(void *context, dm_packer *p);
    /* Put in what was packed: `u` is NULL but on rank 0. Local. */
    void (*restore)(void *context, dm_unpacker *u);
    void *context;
} dm_pass_state;

/**
 * dm_frozen_pass(), agreed upon. Collective.
 * @param[in] state  NULL = nothing that can be saved: stopped, the pass begins anew
 * @retval DEMARC_STOPPED  at an edge
 */
demarc_status dm_saved_pass(const dm_frozen *f, unsigned want, dm_frozen_fn fn, void *context,
                            const dm_pass_state *state);

#endif
