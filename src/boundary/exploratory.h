/*
 * Segments must not be tested on the outcomes that shaped them.
 *
 * An outcome counts as one that shaped the model when it has the name of a feature (case and punctuation apart) that the
 * model weighs, or when it is a monotone transform of one: |Spearman's rank correlation| >= 0.995 over a sample of rows that
 * is a function of the number of rows alone (whole row blocks spread over the file, at most 16,384 rows), ties by mean ranks
 * (C. Spearman 1904; M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945). Rows without the
 * outcome are left out of its ranks; fewer than 8 rows, or a column of equal values, say nothing.
 */
#ifndef DM_BOUNDARY_EXPLORATORY_H
#define DM_BOUNDARY_EXPLORATORY_H

#include "boundary/frozen.h"

/**
 * feature[o] = the feature that outcome o shaped, or -1: the one of its name, else the first whose ranks agree. Collective.
 * @param[out] feature  [outcomes of the file]
 */
demarc_status dm_exploratory_find(const dm_frozen *f, int32_t *feature);

#endif
