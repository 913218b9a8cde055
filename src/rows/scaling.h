/* From options and a scan to a transform: which features are logged, how each is centred and scaled. Collective. */
#ifndef DM_ROWS_SCALING_H
#define DM_ROWS_SCALING_H

#include "rows/rows.h"

typedef struct dm_scaling_options {
    demarc_scale scale;
    demarc_missing missing;
    const char *log1p;           /* names, may be NULL */
    const char *feature_weights; /* NAME=W,..., may be NULL */
} dm_scaling_options;

/** Bounds of |scaled value|: the largest of a feature lies between them, in scaled space and in working space. */
#define DM_SCALED_LEAST 1e-33
#define DM_SCALED_MOST 1e33

/**
 * Scan the customers, refuse bad values, build the transform (center, factor, origin, unit).
 *
 * zscore: center = mean, scale = population standard deviation; robust: median and interquartile range (1 where the
 * range is 0 but the feature is not constant); minmax: minimum and range; none: 0 and 1. factor = weight / scale.
 *
 * @param[out] t      destroyed by the caller
 * @param[out] scan   destroyed by the caller; means and variances are of T(v), T = log1p where asked
 * @param[out] bound  [d] largest |working value| of each feature, dm_alloc'd
 * @retval DEMARC_ERR_USAGE  unknown feature name, bad weight, weight that brings a feature out of the bounds above
 * @retval DEMARC_ERR_DATA   missing or infinite values, constant feature that must be scaled, log1p of a value <= -1,
 *                           no positive weight, feature out of the bounds above once scaled
 */
demarc_status dm_scaling_build(dm_rows *rows, const dm_scaling_options *o, dm_transform *t, dm_scan *scan,
                               double **bound);

/** Refuse infinite values, and missing ones unless they may be imputed; used by assign too. Local. */
demarc_status dm_scaling_check_values(const dm_rows *rows, const dm_scan *scan, bool impute);
/** Refuse values that a given transform would carry beyond DM_SCALED_MOST; used by assign. Local. */
demarc_status dm_scaling_check_range(const dm_rows *rows, const dm_scan *scan, const dm_transform *t);

#endif
