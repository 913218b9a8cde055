/*
 * Power of a comparison of two means before anybody is treated. Local.
 *
 * N customers are switched with probability p each, the outcome has the standard deviation sd: the difference of the two
 * means has the standard error (J. Neyman 1923, with equal variances)
 *
 *     se = sd sqrt(1 / (N p) + 1 / (N (1 - p))).
 *
 * Of M tests together each must pass the level alpha / M (C. Bonferroni 1936), which is the first and hardest step of Holm's
 * procedure (stats/multiplicity.h), so the power promised here is kept whatever the other tests say:
 *
 *     c = t quantile(1 - alpha / (2 M)),   t: Student's with max(1, N - 2 Q) degrees, Q strata by distance
 *     power(effect) = P(t <= |effect| / se - c) + P(t <= -|effect| / se - c),
 *     minimum detectable effect = (c + t quantile(power)) se       (the far tail, below alpha / (2 M), left out).
 *
 * (H. Bloom, "Minimum detectable effects: a simple way to report the statistical power of experimental designs", Evaluation
 * Review 19, 1995; J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988, chapter 2.)
 */
#ifndef DM_STATS_POWER_H
#define DM_STATS_POWER_H

#include <stdint.h>

typedef struct dm_power_design {
    double alpha;        /* of all tests together, two-sided */
    int64_t tests;       /* M >= 1 */
    double switch_share; /* p in (0, 1) */
    int32_t strata;      /* Q >= 1 of a test */
} dm_power_design;

/** se of the difference; infinite without customers, NaN where sd is. */
double dm_power_se(const dm_power_design *d, int64_t customers, double sd);
/** Power of N customers to find `effect`. NaN where se is NaN or 0: an outcome that never varied tells nothing of its future spread. */
double dm_power_of(const dm_power_design *d, int64_t customers, double se, double effect);
/** Smallest effect found with probability `power`. NaN likewise. */
double dm_power_mde(const dm_power_design *d, int64_t customers, double se, double power);

#endif
