/*
 * Exact cuts: the critical offset at which a segment holds a given number of customers.
 *
 * For segment j the customers are put in order of (critical offset t_ij, id): the first `count` of them are members. The
 * order statistic is found exactly, by counting keys digit by digit over all ranks (no sampling, no histogram error), so it
 * does not depend on the layout; customers with equal t are taken in order of their id (integers by value, strings by
 * bytes, row numbers where the file has no ids), so it does not depend on the order of rows either.
 */
#ifndef DM_BOUNDARY_CUTS_H
#define DM_BOUNDARY_CUTS_H

#include "boundary/frozen.h"

typedef struct dm_cut {
    int32_t segment;
    int64_t count;  /* asked for: customers in the segment after the move, in [0, n] */
    double inside;  /* t of the last customer inside; -infinity when count == 0 */
    double outside; /* t of the first one outside; +infinity when count == n */
    double offset;  /* b_j that makes it so: the middle of the two (a finite number beyond the one that exists) */
    int64_t tied;   /* customers with t == inside that stay outside: offset then is `inside`, ids decide, and no offset
                         alone can make this cut; 0 = the offset is exact */
} dm_cut;

typedef struct dm_cuts dm_cuts;

/**
 * Find all cuts in a few passes over the rows together. Collective.
 * @param[in,out] cut  [count_cuts]: segment and count are given, the rest is filled. Borrowed for the life of `out`.
 * @retval DEMARC_ERR_USAGE  count out of [0, n]
 */
demarc_status dm_cuts_find(dm_cuts **out, const dm_frozen *f, int32_t cuts, dm_cut *cut);
void dm_cuts_destroy(dm_cuts **cuts);

/** Whether this rank's global row `row`, whose critical offset for cut c's segment is t, is inside. Local, thread-safe. */
bool dm_cuts_inside(const dm_cuts *cuts, int32_t c, double t, int64_t row);

#endif
