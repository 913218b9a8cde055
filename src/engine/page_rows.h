/* What the report's page takes from assignments.h5: customers nearest to their centroid, segments of those on the map. */
#ifndef DM_ENGINE_PAGE_ROWS_H
#define DM_ENGINE_PAGE_ROWS_H

#include "report/page_report.h"
#include "store/assignments_file.h"

/**
 * Collective; each rank reads its share once.
 * @param[in]  n        rows of `a`
 * @param[in]  row      [rows] ascending: whose segment is wanted
 * @param[out] segment  [rows]
 * @param[out] example  [k, DM_PAGE_EXAMPLES] by distance (as stored), ties to the lowest row; row -1 = no more
 * @retval DEMARC_ERR_DATA  a segment outside [0, k)
 */
demarc_status dm_page_rows_read(dm_assignments *a, dm_comm *comm, int64_t n, int32_t k, int32_t rows,
                                const int64_t *row, int32_t *segment, dm_page_example *example);

/** Every rank gets what one rank has and the others have as zeros. `bytes` is a multiple of 8. Collective. */
void dm_page_rows_share(dm_comm *comm, void *values, int64_t bytes);

#endif
