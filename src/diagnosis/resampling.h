/*
 * Would another sample of such customers give the same segments? Two answers, over a sample (kmeans/sample_fits.h).
 *
 * Prediction strength (R. Tibshirani and G. Walther, "Cluster validation by prediction strength", Journal of Computational
 * and Graphical Statistics 14, 2005): the sample is halved at random, both halves are divided into k segments; a pair of
 * customers that are together in one half should also be together by the centroids of the other. For each segment A of a
 * half: the share of its pairs that are; with weights, pair (i, j) counts w_i w_j,
 *     (sum over l of W_Al^2 - q) / (W_A^2 - q),  q = sum over A of w^2,  W_Al = weight of A that the other half puts into l,
 * and 1 where A has not two customers. The least over segments, meaned over both directions, meaned over the halvings, as
 * fpc::prediction.strength does. Halving h is the same for every k.
 *
 * Bootstrap stability (C. Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis
 * 52, 2007): the sample is refitted under Poisson(1) weights; for each segment the largest Jaccard coefficient with any of
 * the replicate's segments, over the customers drawn at least once, each counted once. Meaned over replicates, as
 * fpc::clusterboot does. `demarc stability` looks closer, at all customers.
 */
#ifndef DM_DIAGNOSIS_RESAMPLING_H
#define DM_DIAGNOSIS_RESAMPLING_H

#include "diagnosis/sample_work.h"

#define DM_RESAMPLE_SMALL                                                                                              \
    (INT64_C(1) << 20) /* customers x segments x features: four fits of each half and replicate, else two */

/**
 * @param[out] strength  mean over halvings, @param[out] se its standard error (NaN of fewer than 2). Collective.
 * NaN, both, where every halving has a half with fewer than k customers.
 */
demarc_status dm_prediction_strength(const dm_sample_work *work, int32_t halvings, int32_t k, double *strength,
                                     double *se);

/**
 * @param[in]  centroids  [k, d] of the segments that are judged, working space
 * @param[out] jaccard    [k] mean over replicates; NaN of a segment that has no customer in the sample. Collective.
 */
demarc_status dm_bootstrap_jaccard(const dm_sample_work *work, int32_t replicates, int32_t k, const double *centroids,
                                   double *jaccard);

#endif
