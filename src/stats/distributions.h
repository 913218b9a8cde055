/*
 * Distribution functions and quantiles, by Boost.Math. Sole owner of boost/. Local, thread-safe, double precision only (no
 * promotion to long double), so that every machine of one instruction set computes the same bits.
 *
 * Arguments outside the domain give NaN; nothing is thrown.
 */
#ifndef DM_STATS_DISTRIBUTIONS_H
#define DM_STATS_DISTRIBUTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

/** Standard normal: the z with P(Z <= z) = p, 0 < p < 1. */
double dm_normal_quantile(double p);
/** P(|Z| >= |z|): the two-sided p-value of a z-statistic. */
double dm_normal_two_sided(double z);

/** Student's t with `freedom` > 0 degrees: P(T <= t), the quantile, and P(|T| >= |t|). */
double dm_student_cdf(double t, double freedom);
double dm_student_quantile(double p, double freedom);
double dm_student_two_sided(double t, double freedom);

/** Chi-squared with `freedom` > 0 degrees: P(X > x). */
double dm_chi_squared_sf(double x, double freedom);

/**
 * P(K > x), K the limit of sqrt(n) max |F_n - F|: 2 sum (-1)^(j-1) exp(-2 j^2 x^2) (A. Kolmogorov 1933), and for small x the
 * same by Jacobi's transformation, sqrt(2 pi) / x sum exp(-(2j-1)^2 pi^2 / (8 x^2)) for P(K <= x) (N. Smirnov, "Table for
 * estimating the goodness of fit of empirical distributions", Annals of Mathematical Statistics 19, 1948). Boost has it from
 * release 1.75 on.
 */
double dm_kolmogorov_sf(double x);

#ifdef __cplusplus
}
#endif
#endif
