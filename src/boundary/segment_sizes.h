/* How many customers each segment would hold. */
#ifndef DM_BOUNDARY_SEGMENT_SIZES_H
#define DM_BOUNDARY_SEGMENT_SIZES_H

#include "boundary/frozen.h"

/**
 * As assign would place all customers with these offsets. One pass, a step of f->journal for each kind of offsets; collective.
 * @param[in]  offsets  [k] scaled units squared; NULL = those of the model
 * @param[out] size     [k]
 */
demarc_status dm_segment_sizes(const dm_frozen *f, const double *offsets, int64_t *size);

#endif
