/*
 * Gap statistic (R. Tibshirani, G. Walther and T. Hastie, "Estimating the number of clusters in a data set via the gap
 * statistic", Journal of the Royal Statistical Society B 63, 2001) over a sample of the customers (kmeans/sample_fits.h).
 *
 *   gap(k) = mean over b of log W*_kb - log W_k,   se(k) = sd over b of log W*_kb x sqrt(1 + 1 / B)
 *
 * W_k is the sum of w ||x - mean of its segment||^2 with k segments, the least of DM_GAP_SEARCHES searches; W*_kb the same
 * for reference draw b: as many points with the same weights, uniform in the box that the sample takes up
 * along its principal components (their choice (b)). Rotations change no W, so the draws stay in the components' axes.
 * sd divides by B - 1. cluster::clusGap(d.power = 2, spaceH0 = "scaledPCA") is the same up to Monte Carlo error.
 */
#ifndef DM_DIAGNOSIS_GAP_H
#define DM_DIAGNOSIS_GAP_H

#include "diagnosis/sample_work.h"

#define DM_GAP_SEARCHES 3

/**
 * @param[in]  k    [ks] numbers of segments, >= 1
 * @param[out] gap  [ks], @param[out] se [ks]; NaN where W is 0 or draws < 2. Collective.
 */
demarc_status dm_gap(const dm_sample_work *work, int32_t draws, int32_t ks, const int32_t *k, double *gap, double *se);

#endif
