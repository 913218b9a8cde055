/*
 * The map of the report: customers and centroids on the two principal axes of the working space (K. Pearson 1901).
 *
 * The axes are those of all customers: products of rows are summed per block by dsyrk and over blocks exactly, so the
 * covariance has the same bits on every layout; eigenvectors come from LAPACK with their sign fixed (linalg/principal.h).
 * Drawn are the DM_MAP_CUSTOMERS customers with the smallest keys of (seed 0, row), the same on every layout.
 */
#ifndef DM_ENGINE_PAGE_MAP_H
#define DM_ENGINE_PAGE_MAP_H

#include "engine/frozen_model.h"
#include "report/page_report.h"

#define DM_MAP_CUSTOMERS 3000
#define DM_MAP_FEATURES 1024 /* at most: the exact sums of d^2/2 products take 552 bytes each */

/**
 * Make the map, all but the segments of its customers. Collective; one pass.
 * @param[out] map  cleared by dm_page_map_clear() also after an error; on every rank
 * @param[out] row  [map->customers] ascending; dm_alloc'd
 */
demarc_status dm_page_map_make(dm_page_map *map, const dm_frozen_model *m, int threads, int64_t **row);

#endif
