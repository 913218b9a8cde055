/*
 * Exact cuts: the critical offset at which a segment holds a given number of customers.
 *
 * For segment j the customers are put in order of (critical offset t_ij, present members first, id): the first `count` of
 * them are members after the move (order_select.h). So members of a narrower segment are members of a wider one, and a
 * customer whose t is exactly b_j keeps the segment that the lowest index gave him until the cut decides.
 */
#ifndef DM_BOUNDARY_CUTS_H
#define DM_BOUNDARY_CUTS_H

#include "boundary/frozen.h"

typedef struct dm_cut {
    int32_t segment;
    double shift;    /* asked for: hold (1 + shift) of the present customers; > -1 */
    int64_t present; /* customers now */
    int64_t count;   /* llround((1 + shift) present) */
    bool possible;   /* count <= n; else nothing below is filled */
    double inside;   /* t of the last customer inside; -infinity when count == 0 */
    double outside;  /* t of the first one outside; +infinity when count == n */
    double offset;   /* b_j that makes it so: the middle of the two, or a number just beyond the one that exists */
    int64_t tied; /* customers with t == inside that stay outside: ids decide among them, `offset` is `inside`, and no
                         offset alone can make this cut; 0 = the offset is exact */
} dm_cut;

typedef struct dm_cuts dm_cuts;

/** All cuts in a few passes over the rows. Collective. @param[in,out] cut  [cuts]: segment and shift given; borrowed by `out`. */
demarc_status dm_cuts_find(dm_cuts **out, const dm_frozen *f, int32_t cuts, dm_cut *cut);
void dm_cuts_destroy(dm_cuts **cuts);

/** Whether row r of a block is in cut c's segment after the move. Local, thread-safe; cut c is possible. */
bool dm_cuts_inside(const dm_cuts *cuts, int32_t c, const dm_frozen_block *b, int64_t r);

/**
 * "-0.2,0.1": distinct shares, each finite, > -1 and not 0; NULL = -0.2,-0.1,-0.05,0.05,0.1,0.2. In the order given. Local.
 * @param[out] shift  dm_alloc'd; @retval DEMARC_ERR_USAGE
 */
demarc_status dm_shifts_parse(const char *text, double **shift, int32_t *count);

#endif
