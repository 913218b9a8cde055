/*
 * A pass over the customers that adds to block sums (stats/block_sums.h), as a step of the command's journal.
 */
#ifndef DM_BOUNDARY_BLOCK_PASS_H
#define DM_BOUNDARY_BLOCK_PASS_H

#include "boundary/saved_pass.h"
#include "stats/block_sums.h"

/**
 * A pass whose fn adds to `s`, and the totals as by dm_block_sums_reduce(); a step of f->journal. Collective.
 * @param[in] name  of the step, see dm_pass_state
 */
demarc_status dm_block_pass(dm_block_sums *s, const dm_frozen *f, const char *name, unsigned want, dm_frozen_fn fn,
                            void *context);

#endif
