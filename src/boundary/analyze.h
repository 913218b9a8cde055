/*
 * The effect of switching customers near a boundary, from what became of them.
 *
 * Per boundary and side: post-stratified effect (stats/post_stratified.h), adjusted for a covariate where one is given, with a
 * fixed-horizon interval, a p-value adjusted over all sides of all boundaries, and an interval for any day
 * (stats/confidence_sequence.h). Per boundary: the effect of being treated as its second segment along the distance from the
 * facet, as a line through scores
 *     G = T (Y - m) / e - (1 - T) (Y - m) / (1 - e),    m = (1 - e) ybar_s(T = 1) + e ybar_s(T = 0),
 * whose mean at any distance is the effect there because e, the probability of T, is the design's own (Horvitz & Thompson
 * 1952; m only takes the noise out: Robins, Rotnitzky & Zhao 1994), and where that line crosses zero (stats/line_fit.h).
 *
 * All sums over customers are exact, cell by cell (stratum x arm), so they do not depend on which rank holds whom. Each round
 * of sums is centred on the means that the round before found.
 */
#ifndef DM_BOUNDARY_ANALYZE_H
#define DM_BOUNDARY_ANALYZE_H

#include "boundary/join.h"
#include "report/analyze_report.h"

/**
 * Fill the report but for decisions and offsets (boundary/decide.h). Collective.
 * @param[in,out] row  [count] joined rows of this rank; put in another order
 * @param[in,out] r    options and facts of the experiment are given; what follows `min_events` in the struct is filled
 * @param[in]     pre  a covariate was joined
 */
demarc_status dm_analyze(dm_comm *comm, int threads, const dm_experiment_facts *facts, dm_joined_row *row,
                         int64_t count, bool pre, dm_analyze_report *r);

#endif
