/*
 * From effects to new lines between segments. Local: every rank computes the same.
 *
 * A boundary a|b is moved into the side whose customers do better when switched while those of the other side do not: to
 * where the effect crosses zero, if that is known and lies on this side within the band, else to the edge of the band, beyond
 * which nothing was tested. The crossing counts only where the effect grows towards b's side (slope > 0): where it falls, the
 * customers between the old line and the crossing would be the ones who are worse off.
 *
 * Lines follow from offsets: moving a|b by x (towards b positive) takes a change of b_b - b_a by -2 gap x. Boundaries share
 * segments, so wishes can contradict each other: least squares over all boundaries of the plan (those that stay wish 0),
 * weighted by their customers. Only differences matter, so in each connected component the largest segment stays put.
 */
#ifndef DM_BOUNDARY_DECIDE_H
#define DM_BOUNDARY_DECIDE_H

#include "report/analyze_report.h"

/** Decision, reason, distance and wanted difference of each boundary; nothing but a reason when the report is stopped. */
void dm_decide(dm_analyze_report *r);

/**
 * The lines that result, and the offsets behind them.
 *
 * @param[in]     k       segments
 * @param[in]     size    [k] customers of each segment; NULL = not known (the differences do not depend on it)
 * @param[out]    change  [k] change of each offset, scaled units squared
 * @param[in,out] r       `shift` of every boundary is filled
 */
demarc_status dm_decide_offsets(dm_analyze_report *r, int32_t k, const int64_t *size, double *change);

#endif
