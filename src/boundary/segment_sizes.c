#include "boundary/segment_sizes.h"

#include <string.h>

#include "base/memory.h"

typedef struct size_run {
    int32_t k;
    int64_t *size; /* [threads, k] */
} size_run;

static void count_block(void *context, int thread, const dm_frozen_block *b)
{
    const size_run *run = context;
    int64_t *size = run->size + (int64_t)thread * run->k;
    for (int64_t r = 0; r < b->rows; r++) size[b->segment[r]]++;
}

demarc_status dm_segment_sizes(const dm_frozen *f, const double *offsets, int64_t *size)
{
    demarc_status st = DEMARC_OK;
    dm_model moved = *f->model; /* borrows all but the offsets */
    dm_frozen frozen = *f;
    size_run run = {.k = moved.k};
    if (offsets != NULL) moved.offsets = (double *)(uintptr_t)offsets;
    frozen.model = &moved;
    st = dm_alloc_zero(run.size, (int64_t)f->threads * run.k, "sizes of segments");
    if (st == DEMARC_OK) st = dm_frozen_pass(&frozen, 0, count_block, &run);
    DM_TRY_ALL(f->comm, st);
    for (int64_t i = run.k; i < (int64_t)f->threads * run.k; i++) run.size[i % run.k] += run.size[i];
    dm_comm_sum_i64(f->comm, run.size, run.k);
    memcpy(size, run.size, (size_t)run.k * sizeof *size);
cleanup:
    dm_free(run.size);
    return st;
}
