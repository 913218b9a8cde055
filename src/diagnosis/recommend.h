/*
 * How many segments to have, from the criteria of each number of them. Local, pure.
 *
 * The rule, general and not fitted to any data set (tests/oracle/test_select_mixtures.py says how often it is right):
 *
 * 1. Eligible is a k >= 2 that can be fitted, whose smallest segment holds the share asked for, whose least reachable
 *    segment is reachable (DM_REACHABLE of its customers on some channel), and whose gap statistic exceeds that of one
 *    segment by two standard errors of the difference (Tibshirani, Walther & Hastie 2001 compare neighbours by one; here as
 *    many comparisons as there are k's are made against one segment), and that is
 *    - repeatable: prediction strength plus its standard error is at least 0.8 (Tibshirani & Walther 2005: 0.8 to 0.9), or
 *    - stable: mean Jaccard over segments at least 0.75, of the lowest segment at least 0.6 (Hennig 2007, 2008: stable;
 *      a pattern).
 * 2. Among repeatable ones, ascending: the next is taken if its gap exceeds that of the one taken before by one standard error
 *    of the difference; within four to eight also if the one before has fewer than four and is no better than that. One of
 *    prediction strength 0.9 or more gives way only to another such, to one whose gap the next k does not raise by its
 *    standard error (Tibshirani, Walther & Hastie's rule), or to four to eight where it lies outside.
 *    (Prediction strength's own rule takes the largest; the gap, and that, keep it from splitting what is one: of a long
 *    segment halves are found again, too, but less surely.)
 * 3. Four to eight segments are preferred unless the evidence clearly says otherwise: where the k of 2. lies outside and its
 *    prediction strength is below 0.9, or there is none, the stable k within four to eight of the highest mean Jaccard is
 *    taken, the smaller of equals, if its gap is at least that of the k of 2.
 *    In place of two or three segments whose prediction strength is below 0.95 it also takes a highly stable k (mean Jaccard at least 0.85, of the lowest segment
 *    0.75; Hennig 2008) whose gap is higher by a standard error: that halves agree on a coarse division does not say that
 *    there is no finer one.
 * 4. With no k of 2. or 3. the stable k of the highest mean Jaccard.
 * 5. Nothing eligible although gap, prediction strength or stability was computed: no structure where no k passes for reasons
 *    of evidence; where all that pass the evidence are too small, unreachable or not to be had, there is structure, but no k.
 * A criterion that was not computed asks for nothing; with none of the three the highest simplified silhouette decides.
 */
#ifndef DM_DIAGNOSIS_RECOMMEND_H
#define DM_DIAGNOSIS_RECOMMEND_H

#include "base/trace.h"

/**
 * @param[in,out] record  [ks] ascending in k; eligible and concerns are set
 * @param[in,out] r       in: gap_one, min_share; replicates, gap_draws, halvings say what was computed. Out: the rest
 */
void dm_recommend(dm_k_record *record, int32_t ks, dm_recommendation *r);

#endif
