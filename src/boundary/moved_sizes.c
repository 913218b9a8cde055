#include "boundary/moved_sizes.h"

#include <string.h>

#include "base/memory.h"

typedef struct sizes_run {
    const double *offset;
    int64_t *size; /* [threads, k] */
} sizes_run;

static void count_block(void *context, int thread, const dm_frozen_block *b)
{
    const sizes_run *run = context;
    int64_t *size = run->size + (int64_t)thread * b->k;
    for (int64_t r = 0; r < b->rows; r++) {
        const double *squared = b->squared + r * b->k;
        int32_t best = 0;
        for (int32_t j = 1; j < b->k; j++) {
            if (squared[j] - run->offset[j] < squared[best] - run->offset[best]) best = j;
        }
        size[best]++;
    }
}

demarc_status dm_moved_sizes(const dm_frozen *f, const double *offset, int64_t *size)
{
    demarc_status st = DEMARC_OK;
    const int64_t k = f->model->k;
    sizes_run run = {.offset = offset};
    st = dm_alloc_zero(run.size, f->threads * k, "sizes");
    if (st == DEMARC_OK) st = dm_frozen_pass(f, 0, count_block, &run);
    DM_TRY_ALL(f->comm, st);
    for (int64_t i = k; i < f->threads * k; i++) run.size[i % k] += run.size[i];
    memcpy(size, run.size, (size_t)k * sizeof *size);
    dm_comm_sum_i64(f->comm, size, k);
cleanup:
    dm_free(run.size);
    return st;
}
