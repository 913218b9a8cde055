/*
 * Do the segments still bring what they brought? For every outcome that both files have: the mean that a segment had in the
 * old run is what is expected of its partner in the new one; the mean of the new run's customers is what came. Observational:
 * nobody was randomised, and customers differ in more than their segment.
 *
 *  - difference = actual - expected, with the interval of B. L. Welch ("The generalization of Student's problem when several
 *    different population variances are involved", Biometrika 34, 1947; degrees by F. E. Satterthwaite 1946). Customers who
 *    are in both files are counted as if they were two: where their outcomes go together, that makes intervals too wide and
 *    never too narrow.
 *  - equivalence: two one-sided tests (D. J. Schuirmann 1987) against a margin in standard deviations of the outcome among all
 *    old customers; p is the larger of the two.
 *  - "as expected": equivalent at the family-wise level; else "shifted": different at it; else "undecided". Holm over both
 *    p-values of every segment and outcome.
 *  - advice: two segments of the new run are to be merged when they are equivalent in every outcome (an intersection-union
 *    test: R. L. Berger 1982; p the largest of the outcomes, Holm over pairs of segments). A segment that is shifted in any
 *    outcome is to be redefined, every other one kept.
 * Weighted means and their variance: stats/weighted_mean.h.
 */
#ifndef DM_DIAGNOSIS_CALIBRATION_H
#define DM_DIAGNOSIS_CALIBRATION_H

#include "diagnosis/compared.h"
#include "report/compare_report.h"

/**
 * Fill outcome, margin_of, calibration_tests, merge_tests, expectation, advice of the report; its other members are known.
 * Nothing where the files share no outcome. Collective.
 * @param[in] label   [2] this rank's segments of each side
 * @param[in] before  [rows] old segments of the new run's customers, -1 = was not there
 */
demarc_status dm_calibration(const dm_compared *c, const dm_pairing *pairing, const int32_t *const label[2],
                             const int32_t *before, dm_compare_report *r);

#endif
