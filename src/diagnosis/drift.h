/*
 * Have the customers changed? The distribution of every feature in the old and in the new file, in original units: of all
 * customers, and of the customers of each matched pair of segments. Collective.
 *
 * With F and G the two empirical distribution functions (weighted where weights exist, missing values left out):
 *  - Kolmogorov-Smirnov: D = max |F - G|; p = Q(D sqrt(n m / (n + m))), Q the limit of its distribution (A. Kolmogorov 1933,
 *    N. Smirnov 1948), conservative where values repeat;
 *  - Wasserstein-1: the integral of |F - G|, in the feature's units: how far a customer's value moved at least on average
 *    (L. Kantorovich 1942; S. Vallender 1974 for this form);
 *  - population stability index: sum over bins of (q - p) log(q / p), p the old and q the new share of the bin. Bins end at
 *    the quantiles 1/B, 2/B, ... of the old values (the smallest value whose F reaches the share: inverse of F), each belonging
 *    to the bin below it; equal ones merge, and the largest old value ends no bin. A cell without customers counts half a
 *    customer. Without change PSI n m / (n + m) is chi-squared with bins - 1 degrees in the limit (B. Yurdakul, "Statistical
 *    properties of population stability index", PhD thesis, Western Michigan University, 2018), so the p-value knows the
 *    sample's size, which the customary .1 and .25 do not.
 * With weights n is (sum w)^2 / sum w^2 (L. Kish, "Survey Sampling", 1965).
 *
 * All three come from one walk along both samples in the order of values. Values travel to the ranks by ranges, a few
 * features at a time, or one feature in several sweeps where memory is short; each rank sorts its range by digits and walks
 * it, beginning with what lies in the ranges below. Counts are integers, weights too (30 bits of the largest), and the terms
 * of the integral are functions of the data alone that are added exactly: no figure depends on the layout.
 */
#ifndef DM_DIAGNOSIS_DRIFT_H
#define DM_DIAGNOSIS_DRIFT_H

#include "diagnosis/compared.h"
#include "report/compare_report.h"

#define DM_DRIFT_BINS_MAX 1000

/**
 * @param[in]  label   [2] this rank's segments of each side
 * @param[out] figure  [1 + pairs, d] of all customers, then pair by pair; p adjusted by Holm over all of them
 * @param[out] tests   p-values adjusted together
 */
demarc_status dm_drift(const dm_compared *c, const dm_pairing *pairing, const int32_t *const label[2], int32_t bins,
                       double alpha, dm_drift_figure *figure, int64_t *tests);

#endif
