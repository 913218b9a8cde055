#include "boundary/sweep_keep.h"

#include "base/memory.h"

void dm_sweep_shift_pack(const dm_sweep_shift *shift, int32_t outcomes, dm_packer *p)
{
    dm_pack(p, shift, sizeof *shift);
    dm_pack(p, shift->other, shift->others * (int64_t)sizeof *shift->other);
    dm_pack(p, shift->other_number, shift->others * (int64_t)sizeof *shift->other_number);
    dm_pack(p, shift->effect, outcomes * (int64_t)sizeof *shift->effect);
}

demarc_status dm_sweep_shift_unpack(dm_sweep_shift *shift, int32_t outcomes, int32_t k, dm_unpacker *u)
{
    demarc_status st = DEMARC_OK;
    (void)dm_unpack(u, shift, sizeof *shift);
    shift->other = NULL; /* the pointers were those of the run that saved them */
    shift->other_number = NULL;
    shift->effect = NULL;
    if (shift->others < 0 || shift->others > k) u->bad = true;
    if (u->bad) shift->others = 0;
    DM_TRY(dm_alloc(shift->other, shift->others, "movers"));
    DM_TRY(dm_alloc(shift->other_number, shift->others, "movers"));
    DM_TRY(dm_alloc_zero(shift->effect, outcomes, "effects"));
    (void)dm_unpack(u, shift->other, shift->others * (int64_t)sizeof *shift->other);
    (void)dm_unpack(u, shift->other_number, shift->others * (int64_t)sizeof *shift->other_number);
    (void)dm_unpack(u, shift->effect, outcomes * (int64_t)sizeof *shift->effect);
    for (int32_t o = 0; o < outcomes; o++) shift->effect[o].verdict = NULL;
cleanup:
    return st;
}
