/*
 * Where many solutions start: fits of the sample (kmeans/sample_fits.h), each with seedings and searches of its own.
 *
 * A solution is the best of several fits. One is not enough: on a million customers in eight overlapping segments a single
 * fit puts the mean adjusted Rand index of replicates at .87, three at .967, five to twenty at .969. The difference is not
 * the customers' but the search's, and none of the model's instability.
 */
#ifndef DM_DIAGNOSIS_SOLUTION_FITS_H
#define DM_DIAGNOSIS_SOLUTION_FITS_H

#include "diagnosis/many_solutions.h"
#include "kmeans/sample_fits.h"

typedef struct dm_solution_sample {
    dm_fit_sample points;
    int64_t *key; /* [m] hashes of ids, by which replicates weigh them */
} dm_solution_sample;

/** Collective. */
demarc_status dm_solution_sample_draw(dm_solution_sample *s, const dm_solution_data *data);
void dm_solution_sample_clear(dm_solution_sample *s);

/**
 * Centroids of solutions that are all replicates of one k, each fitted to the sample under its weights. Collective.
 * @retval DEMARC_ERR_IMPOSSIBLE  a replicate with fewer customers than segments
 * @retval DEMARC_STOPPED
 */
demarc_status dm_solution_fit_replicates(dm_solutions *s, const dm_solution_sample *sample);
/** Centroids of solutions of any k without replicates. As above. */
demarc_status dm_solution_fit_sizes(dm_solutions *s, const dm_solution_sample *sample);

#endif
