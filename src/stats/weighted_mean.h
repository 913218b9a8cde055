/*
 * Weighted means whose sums can be made block by block, and their variance. Local.
 *
 * mean = sum w y / sum w over a set of n rows, and
 *     var = sum w^2 (y - mean)^2 / (sum w)^2 x n / (n - 1),
 * the linearised variance of a ratio of sums (W. G. Cochran, "Sampling Techniques", 3rd ed. 1977, section 6.8: with w = 1 it
 * is s^2 / n). The difference of two such means of customers who were randomised apart has the variance var_1 + var_0, which
 * is never too small on average (J. Neyman, "On the application of probability theory to agricultural experiments", 1923,
 * translated in Statistical Science 5, 1990).
 *
 * Moments are taken about a centre chosen beforehand, near the mean, so that an outcome far from zero loses no digits.
 */
#ifndef DM_STATS_WEIGHTED_MEAN_H
#define DM_STATS_WEIGHTED_MEAN_H

#include <stdint.h>

/** Sums over the rows of a set; doubles that the caller adds up per row block, then exactly (base/exact_sum.h). */
typedef struct dm_moments {
    double w, w2;     /* sum w, sum w^2 */
    double wy;        /* sum w (y - centre) */
    double w2y, w2y2; /* sum w^2 (y - centre), sum w^2 (y - centre)^2 */
} dm_moments;
#define DM_MOMENTS 5 /* doubles in it */

static inline void dm_moments_add(dm_moments *m, double w, double centred)
{
    const double w2 = w * w, w2y = w2 * centred;
    m->w += w;
    m->w2 += w2;
    m->wy += w * centred;
    m->w2y += w2y;
    m->w2y2 += w2y * centred;
}

typedef struct dm_mean {
    int64_t n;
    double mean, variance; /* NaN where undefined: no weight, fewer than 2 rows; variance of the mean, not of y */
} dm_mean;

dm_mean dm_mean_of(int64_t n, const dm_moments *m, double centre);

/** A figure with its standard error and normal interval; all NaN where undefined. */
typedef struct dm_estimate {
    double value, se, low, high;
} dm_estimate;

/** value +- z sqrt(variance), z = the normal quantile of 1 - alpha / 2. */
dm_estimate dm_estimate_of(double value, double variance, double alpha);
/** The same by Student's t with `freedom` degrees (NaN: an interval of NaN). */
dm_estimate dm_estimate_of_student(double value, double variance, double freedom, double alpha);
double dm_estimate_p_student(const dm_estimate *e, double freedom);
/** Two-sided p-value of "the figure is 0"; NaN where se is undefined or not above 0. */
double dm_estimate_p(const dm_estimate *e);

#endif
