/*
 * What bootstrap replicates of a figure say: its percentile interval and its standard error. Local.
 *
 * A replicate in which the figure is undefined is NaN. Where more than 5% of them are, the rest no longer stand for all that
 * might have happened, and nothing is said.
 */
#ifndef DM_STATS_PERCENTILE_H
#define DM_STATS_PERCENTILE_H

#include <stdint.h>

/**
 * Quantiles alpha / 2 and 1 - alpha / 2 of the defined replicates, by linear interpolation between order statistics (type 7 of
 * R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996). Percentile
 * interval: B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979). NaN: not said.
 * @param[in,out] v  [count] put in another order
 */
void dm_percentile_interval(double *v, int64_t count, double alpha, double *low, double *high);

/** Standard deviation of the defined replicates, divided by their number - 1; exactly 0 where all are equal. NaN: not said. */
double dm_replicate_sd(const double *v, int64_t count);

#endif
