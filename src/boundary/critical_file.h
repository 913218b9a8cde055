/*
 * The file of critical offsets: /id (as results hold ids), /segment int32 [n], /critical_offset float64 [n, k] in scaled
 * units squared: customer i is in segment j exactly when the offset of j is above /critical_offset[i, j]. Attributes of "/":
 * kind = "critical offsets", format_version, model_digest, and what made it (store/made.h). Rows in input order.
 */
#ifndef DM_BOUNDARY_CRITICAL_FILE_H
#define DM_BOUNDARY_CRITICAL_FILE_H

#include "boundary/frozen.h"
#include "store/made.h"

/** Bytes of the file, about. Local. */
int64_t dm_critical_file_bytes(const dm_frozen *f);
/** Window by window; a run that was stopped writes it anew. Collective. @param[in] path  a temporary; k >= 2 */
demarc_status dm_critical_file_write(const dm_frozen *f, demarc_io io, const dm_made *made, const char *path);

#endif
