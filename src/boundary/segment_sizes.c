#include "boundary/segment_sizes.h"

#include <string.h>

#include "boundary/block_pass.h"

static void count_block(void *context, int thread, const dm_frozen_block *b)
{
    int64_t *size = ((const dm_block_sums *)context)->count[thread];
    for (int64_t r = 0; r < b->rows; r++) size[b->segment[r]]++;
}

demarc_status dm_segment_sizes(const dm_frozen *f, const double *offsets, int64_t *size)
{
    demarc_status st = DEMARC_OK;
    dm_model moved = *f->model; /* borrows all but the offsets */
    dm_frozen frozen = *f;
    const char *name = offsets != NULL ? "sizes under other offsets" : "sizes";
    dm_block_sums sums = {0};
    if (offsets != NULL) moved.offsets = (double *)(uintptr_t)offsets;
    frozen.model = &moved;
    DM_TRY_ALL(f->comm, dm_block_sums_create(&sums, f->threads, 0, moved.k));
    DM_TRY(dm_block_pass(&sums, &frozen, name, 0, count_block, &sums));
    memcpy(size, sums.number, (size_t)moved.k * sizeof *size);
cleanup:
    dm_block_sums_destroy(&sums);
    return st;
}
