/*
 * A straight line through points, with a covariance that holds when their spread differs, and where it crosses zero. Local.
 *
 * Least squares of g on (1, x) from centred sums: slope = Sxg / Sxx, intercept = gbar - slope xbar. Covariance HC1
 * (J. MacKinnon & H. White, "Some heteroskedasticity-consistent covariance matrix estimators", Journal of Econometrics 29,
 * 1985): (X'X)^-1 (sum u_i^2 x_i x_i') (X'X)^-1 n / (n - 2), u the residuals.
 *
 * Crossing: -intercept / slope. Its interval is the set of x whose height on the line cannot be told from 0 (E. Fieller, "Some
 * problems in interval estimation", JRSS B 16, 1954): { x : (a + b x)^2 <= z^2 (Vaa + 2 x Vab + x^2 Vbb) }. That set is an
 * interval only where the slope itself is significant; else it is the whole axis or all but an interval.
 */
#ifndef DM_STATS_LINE_FIT_H
#define DM_STATS_LINE_FIT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dm_line {
    int64_t n;
    double center; /* mean of x */
    double intercept, slope;
    double vaa, vab,
        vbb; /* variance of the intercept, covariance, variance of the slope; NaN before dm_line_spread() */
} dm_line;

/** The line; all NaN where x does not vary or n < 3. @param[in] sxx, sxg  sums about the means xbar, gbar */
dm_line dm_line_of(int64_t n, double xbar, double gbar, double sxx, double sxg);

/** Residual of a point. */
static inline double dm_line_residual(const dm_line *l, double x, double g)
{
    return g - (l->intercept + l->slope * x);
}

/** Fill the covariance. @param[in] meat  sums over the points of u^2 (1, x - xbar, (x - xbar)^2) */
void dm_line_spread(dm_line *l, double sxx, const double meat[3]);

typedef struct dm_crossing {
    double value, low, high;
} dm_crossing;

/** false where the interval is not bounded at level 1 - alpha; then `out` is untouched. */
bool dm_line_crossing(const dm_line *l, double alpha, dm_crossing *out);

#endif
