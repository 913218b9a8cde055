/*
 * How stable the segments of a saved model are: `demarc stability`.
 *
 * Replicate b draws the customers with replacement, as weights Poisson(1) keyed by (seed, b, id), and fits the model's number
 * of segments anew, with a seeding and a search of its own: on the sample (kmeans/sample_fits.h), then by `polish` passes of
 * Lloyd over all customers that all replicates share (many_solutions.h). Of the tables (segment of the model, segment of the
 * replicate) that a last pass counts:
 *
 *   jaccard  gamma_j = max over segments i of the replicate of |J and I| / |J or I|, J and I restricted to the customers drawn,
 *            each once (C. Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis
 *            52, 2007): as R's fpc::clusterboot counts, which by default (multipleboot = FALSE) also refits on each drawn
 *            customer once, where we refit on them as often as they are drawn (its multipleboot = TRUE).
 *            Recovered: gamma > .75; dissolved: gamma <= .5 (its bootrecover and bootbrd).
 *   within   segment level stability within solutions (S. Dolnicar and F. Leisch, "Using segment level stability to select
 *            target segments in data-driven market segmentation studies", Marketing Letters 28, 2017): the same maximum
 *            over all customers, drawn or not, as R's flexclust::slswFlexclust takes it: one value for each pair of
 *            replicates (2b, 2b + 1), the mean of the two; a last replicate without a partner is left out.
 *   adjusted Rand index of model and replicate over the customers drawn.
 *
 * Segment level stability across solutions (the same paper): 1 - H / log k with H = - sum p_i log p_i, p_i the share of the
 * segment's customers in segment i of another solution with k segments; 0: spread evenly, 1: all in one. For the segments of
 * the model against each solution; and for the segments of each solution against the solution before.
 *
 * Membership probability: share of the replicates in which a customer is in the segment that the replicate's are matched to,
 * one to one by the largest total Jaccard similarity (stats/matching.h).
 */
#ifndef DM_DIAGNOSIS_STABILITY_H
#define DM_DIAGNOSIS_STABILITY_H

#include "diagnosis/many_solutions.h"
#include "report/stability_report.h"

typedef struct dm_stability_options {
    int32_t replicates; /* >= 2 */
    int32_t polish;     /* -1 = 0 where the sample is everybody, else 2 */
    double level;
    int32_t across_from, across_to; /* 0 = none */
} dm_stability_options;

/** The replicates' segments, for probabilities of membership. */
typedef struct dm_memberships {
    int32_t replicates, k, d;
    double *centroids; /* [replicates, k, d] */
    int32_t *match;    /* [replicates, k] segment of the model that a replicate's segment is, -1 = none */
} dm_memberships;

void dm_memberships_clear(dm_memberships *m);

/**
 * Collective.
 * @param[out] report  the same on all ranks; dm_stability_report_clear() it before the model is closed
 * @param[out] members NULL = not wanted
 * @retval DEMARC_ERR_IMPOSSIBLE  a replicate with fewer customers than segments
 * @retval DEMARC_STOPPED
 */
demarc_status dm_stability_run(dm_stability_report *report, dm_memberships *members, const dm_solution_data *data,
                               const dm_stability_options *o);

#endif
