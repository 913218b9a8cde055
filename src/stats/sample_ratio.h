/*
 * Did the randomisation deliver what it promised? Pearson's chi-squared (K. Pearson 1900) of counts. Local.
 *
 * A campaign whose arms do not hold the customers that its design gives them (sample ratio mismatch: A. Fabijan et al.,
 * "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019) lost or gained some of them for a reason,
 * and then its estimates mean nothing whatever their intervals say.
 */
#ifndef DM_STATS_SAMPLE_RATIO_H
#define DM_STATS_SAMPLE_RATIO_H

#include <stdint.h>

typedef struct dm_chi_squared {
    double value; /* sum of (observed - expected)^2 / expected; infinite where something happened that never should */
    int32_t freedom; /* degrees */
    double p;        /* P(X >= value) */
} dm_chi_squared;

/**
 * Observed counts against expected ones, both of `arms` cells; the expected are scaled to the observed total.
 *
 * Over the arms with expected > 0, freedom = their number - 1. Customers in an arm with expected == 0 make the value
 * infinite and p 0. With freedom < 1 there is nothing to compare: value 0 and p 1.
 */
dm_chi_squared dm_sample_ratio_test(int32_t arms, const int64_t *observed, const double *expected);

/**
 * Independence of rows and columns of a 2 x 2 table, 1 degree, without continuity correction. A table with an empty row or
 * column has nothing to compare: value 0 and p 1.
 */
dm_chi_squared dm_two_by_two_test(const int64_t count[2][2]);

#endif
