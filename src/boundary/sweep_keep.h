/* One shift of a sweep as bytes, before the verdicts, which need all tests; and back. Local. */
#ifndef DM_BOUNDARY_SWEEP_KEEP_H
#define DM_BOUNDARY_SWEEP_KEEP_H

#include "base/packing.h"
#include "report/sweep_report.h"

void dm_sweep_shift_pack(const dm_sweep_shift *shift, int32_t outcomes, dm_packer *p);
/** @param[out] shift  as tell_cut() leaves it; @retval DEMARC_ERR_MEMORY */
demarc_status dm_sweep_shift_unpack(dm_sweep_shift *shift, int32_t outcomes, int32_t k, dm_unpacker *u);

#endif
