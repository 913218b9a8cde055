/*
 * Which segment of one solution is which of another: the assignment of largest total gain. Local, pure.
 *
 * A matching of rows to columns, each used at most once and as many as the smaller side has, that maximises the sum of
 * gain[row, column] (H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2,
 * 1955). Solved by one shortest augmenting path for each row of the smaller side, over reduced costs that dual prices keep
 * from falling below zero (R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
 * assignment problems", Computing 38, 1987): O(min(a, b)^2 max(a, b)), in a fixed order, so that equal tables are always
 * matched alike; among equal paths the lowest column goes first.
 *
 * A gain of 0 is matched like any other where nothing better is left: whether such a pair means anything is the caller's
 * to say.
 */
#ifndef DM_STATS_MATCHING_H
#define DM_STATS_MATCHING_H

#include <stdint.h>

#include "base/status.h"

/**
 * @param[in]  gain   [a, b] row-major, finite
 * @param[out] match  [a] column of each row, -1 = none (a > b); the caller allocates
 * @retval DEMARC_ERR_MEMORY  match untouched
 */
demarc_status dm_match(const double *gain, int32_t a, int32_t b, int32_t *match);

#endif
