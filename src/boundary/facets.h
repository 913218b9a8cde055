/*
 * The facets that customers lie at: pairs of segments {a, b} that are somebody's own segment and runner-up.
 *
 * Of the k (k - 1) / 2 pairs few occur; they are found and numbered in one pass. A customer lies at one facet only. His margin
 * is his distance to it, |q_b - q_a| / (2 gap), q_j = ||x - c_j||^2 - b_j, gap = ||c_b - c_a||.
 */
#ifndef DM_BOUNDARY_FACETS_H
#define DM_BOUNDARY_FACETS_H

#include "boundary/frozen.h"

/** Facets in ascending order of (a, b), a < b: side 0 is the customers in a, side 1 those in b. */
typedef struct dm_facets {
    int32_t count;
    int32_t *segments; /* [count, 2] */
    int64_t *size;     /* [count, 2] customers of each side */
    double *gap;       /* [count] scaled units, > 0 */
    int32_t k;
    int32_t *first; /* [k + 1] facets of lower segment a are first[a] ... first[a + 1] - 1 */
} dm_facets;

/** All facets with customers; centroids that lie in one place have none. Collective; needs k >= 2. */
demarc_status dm_facets_find(dm_facets *out, const dm_frozen *f);
void dm_facets_clear(dm_facets *s);
/** Only those with keep[facet], renumbered. Local. */
void dm_facets_keep(dm_facets *s, const bool *keep);

/** Index of a-b in either order, -1 if absent. Local. */
int32_t dm_facets_index(const dm_facets *s, int32_t a, int32_t b);

/** Facet (-1: none of these), side and margin (finite, >= 0) of row r. Local, thread-safe. */
int32_t dm_facets_of_row(const dm_facets *s, const dm_frozen_block *b, int64_t r, int32_t *side, double *margin);

#endif
