/*
 * The figures of one move of a boundary, from the sums of sweep_sums.h: of the customers as they are or of one replicate.
 *
 * Segment j grows (s > 0) by movers from other segments l, or shrinks (s < 0) by movers that fall to them. W_l = weight of the
 * movers from or to l that have the outcome.
 *     s > 0: joined = mean of j as it is; left = sum_l W_l nu_l / sum_l W_l, nu_l = mean of those of l that stay
 *     s < 0: left = mean of those of j that stay; joined = sum_l W_l nu_l / sum_l W_l, nu_l = mean of l as it is
 * eta squared = sum_l W_l (ybar_l - ybar)^2 / sum w (y - ybar)^2, W_l then the weight of segment l. Its change is taken segment
 * by segment, so that a small one is not lost in the difference of two large numbers. Means are those of the centred
 * outcome. What is undefined is NaN. Local.
 */
#ifndef DM_BOUNDARY_SWEEP_FIGURES_H
#define DM_BOUNDARY_SWEEP_FIGURES_H

#include "boundary/sweep_sums.h"

typedef struct dm_sweep_figures {
    double movers, left, joined, eta_change;
} dm_sweep_figures;

/** The move of one cut. */
typedef struct dm_sweep_move {
    const dm_sweep_rings *rings;
    int32_t cut, outcomes;
    int32_t first, end;   /* cells of its movers */
    int32_t others;       /* other segments among them */
    int32_t *other;       /* [others] ascending */
    int64_t *number;      /* [others] movers */
    int32_t *slot;        /* [end - first] place of a cell's other segment in `other` */
    double *weight, *sum; /* [others] scratch */
} dm_sweep_move;

/** @retval DEMARC_ERR_MEMORY  give it to dm_sweep_move_clear() all the same */
demarc_status dm_sweep_move_of(dm_sweep_move *v, const dm_sweep_rings *g, int32_t cut, int32_t outcomes);
void dm_sweep_move_clear(dm_sweep_move *v);

/** Sum of squares of outcome o about its mean; 0 where it has no spread. */
double dm_sweep_spread(const double *base, int32_t k, int32_t outcomes, int32_t o);
double dm_sweep_eta_squared(const double *base, int32_t k, int32_t outcomes, int32_t o);

/**
 * @param[in] base    as dm_sweep_base.sum
 * @param[in] ring    sums of the cell `before` and those after it
 * @param[in] spread  dm_sweep_spread() of this outcome and these sums
 */
dm_sweep_figures dm_sweep_figures_of(const dm_sweep_move *v, const double *base, const double *ring, int32_t before,
                                     int32_t o, double spread);
double dm_sweep_objective_change(const dm_sweep_move *v, const double *ring, int32_t before);

/** Customers with outcome o that an outcome's verdict rests on. */
typedef struct dm_sweep_support {
    int64_t movers, ones; /* movers, and those where it is 1 */
    int64_t left, joined; /* customers behind the two means they are held against */
} dm_sweep_support;
dm_sweep_support dm_sweep_support_of(const dm_sweep_move *v, const dm_sweep_base *base, const dm_sweep_ring_sums *ring,
                                     int32_t o);

#endif
