/* How many customers each segment holds once its offsets are moved. */
#ifndef DM_BOUNDARY_MOVED_SIZES_H
#define DM_BOUNDARY_MOVED_SIZES_H

#include "boundary/frozen.h"

/**
 * One pass; labels by the definition of fit and assign, so these are the sizes that assign gives. Collective.
 * @param[in]  offset  [k] scaled units squared
 * @param[out] size    [k]
 */
demarc_status dm_moved_sizes(const dm_frozen *f, const double *offset, int64_t *size);

#endif
