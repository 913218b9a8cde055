/*
 * The effect of a treatment in a stratified experiment with two arms. Local.
 *
 *     effect   = sum_s (n_s / n) (ybar_s1 - ybar_s0)
 *     variance = sum_s (n_s / n)^2 (s2_s1 / n_s1 + s2_s0 / n_s0),    s2 with n - 1
 *
 *     freedom  = variance^2 / sum_sa v_sa^2 / (n_sa - 1),    v_sa = (n_s / n)^2 s2_sa / n_sa
 *
 * over strata s with n_s = n_s0 + n_s1 observed rows of n; effect / sqrt(variance) is compared with Student's t of so many
 * degrees (F. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics 2, 1946;
 * B. Welch, Biometrika 34, 1947), which matters where cells are small. (J. Neyman, "On the application of probability theory to
 * agricultural experiments", 1923, translated in Statistical Science 5, 1990; L. Miratrix, J. Sekhon & B. Yu, "Adjusting
 * treatment effect estimates by post-stratification in randomized experiments", JRSS B 75, 2013.)
 *
 * Covariate adjustment (A. Deng, Y. Xu, R. Kohavi & T. Walker, "Improving the sensitivity of online controlled experiments by
 * utilizing pre-experiment data" (CUPED), WSDM 2013): with a covariate x that the treatment cannot have changed,
 * y' = y - theta (x - xbar) has the same expected effect and less variance; theta is the regression of y on x within the cells
 * of stratum and arm, so that neither the strata nor the effect enter it.
 */
#ifndef DM_STATS_POST_STRATIFIED_H
#define DM_STATS_POST_STRATIFIED_H

#include <stdbool.h>
#include <stdint.h>

/** Rows of one stratum in one arm: their number, mean, and sum of squares about that mean. */
typedef struct dm_arm_cell {
    int64_t n;
    double mean, squares;
} dm_arm_cell;

/**
 * Merge neighbouring strata until each has 2 rows in either arm, as the variance needs: a poorer one joins those that follow,
 * the last ones the group before.
 * @param[in]  rows   rows of each stratum by arm
 * @param[out] group  [count] number of each stratum's group, ascending from 0
 * @return groups; 0 when all strata together have fewer than 2 rows in an arm (group is then 0 everywhere)
 */
int32_t dm_strata_merge(int32_t count, const int64_t rows[][2], int32_t *group);

typedef struct dm_stratified {
    double effect, variance;
    double freedom; /* NaN where the outcome does not vary in any cell */
} dm_stratified;

/**
 * The formulas above; NaN without strata. Every cell has n >= 2.
 * @param[in] cell  arm 0 and arm 1 of each stratum
 */
dm_stratified dm_post_stratified(int32_t count, const dm_arm_cell cell[][2]);

/** theta from within-cell sums of (x - xbar)(y - ybar) and (x - xbar)^2; 0 where x does not vary. */
double dm_cuped_theta(double cross, double squares);

#endif
