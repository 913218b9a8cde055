/*
 * An interval that may be looked at any day. Local.
 *
 * The asymptotic confidence sequence with a normal mixture: for a mean of n customers with variance sigma^2 each,
 *
 *     half-width = sigma sqrt( 2 (n rho^2 + 1) / (n^2 rho^2) log( sqrt(n rho^2 + 1) / alpha ) )
 *
 * holds the truth at all n at once with probability 1 - alpha as n grows, so an experiment may be stopped when the interval
 * leaves 0, or be looked at daily, at no cost in error. (S. Howard, A. Ramdas, J. McAuliffe & J. Sekhon, "Time-uniform,
 * nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49, 2021; I. Waudby-Smith, D. Arbour, R. Sinha,
 * E. Kennedy & A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2021, theorem 2.2.)
 * It is narrowest, relative to the others, near n = n_star by
 *
 *     rho^2 = (-2 log alpha + log(-2 log alpha + 1)) / n_star.
 *
 * The p-value is the least alpha (at this rho) whose interval leaves out 0:
 * min(1, sqrt(n rho^2 + 1) exp(-n^2 rho^2 t^2 / (2 (n rho^2 + 1)))), t = effect / sigma.
 */
#ifndef DM_STATS_CONFIDENCE_SEQUENCE_H
#define DM_STATS_CONFIDENCE_SEQUENCE_H

#include <stdint.h>

typedef struct dm_anytime {
    double low, high, p, rho;
} dm_anytime;

/**
 * @param[in] effect, variance  the estimate and the variance of it (sigma^2 / n); NaN, or variance not above 0: all but rho NaN
 * @param[in] n                 customers seen
 * @param[in] n_star            customers that were planned, >= 1
 */
dm_anytime dm_confidence_sequence(double effect, double variance, int64_t n, int64_t n_star, double alpha);

#endif
