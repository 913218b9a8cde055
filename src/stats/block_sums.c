#include "stats/block_sums.h"

#include "base/memory.h"

demarc_status dm_block_sums_create(dm_block_sums *s, int threads, int64_t sums, int64_t counts)
{
    demarc_status st = DEMARC_OK;
    *s = (dm_block_sums){.threads = threads, .sums = sums, .counts = counts};
    DM_TRY(dm_alloc_zero(s->part, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->count, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->exact, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->value, sums, "sums"));
    for (int t = 0; t < threads; t++) {
        DM_TRY(dm_alloc_zero(s->part[t], sums, "sums"));
        DM_TRY(dm_alloc_zero(s->count[t], counts, "sums"));
        DM_TRY(dm_alloc_zero(s->exact[t], sums, "sums"));
    }
    s->number = s->count[0];
cleanup:
    return st;
}

void dm_block_sums_destroy(dm_block_sums *s)
{
    for (int t = 0; t < s->threads; t++) {
        if (s->part != NULL) dm_free(s->part[t]);
        if (s->count != NULL) dm_free(s->count[t]);
        if (s->exact != NULL) dm_free(s->exact[t]);
    }
    dm_free(s->part);
    dm_free(s->count);
    dm_free(s->exact);
    dm_free(s->value);
    *s = (dm_block_sums){0};
}

void dm_block_sums_flush(dm_block_sums *s, int thread)
{
    double *part = s->part[thread];
    dm_exact_sum *exact = s->exact[thread];
    for (int64_t i = 0; i < s->sums; i++) {
        if (part[i] == 0.0) continue;
        dm_exact_sum_add(&exact[i], part[i]);
        part[i] = 0.0;
    }
}

void dm_block_sums_reduce(dm_block_sums *s, dm_comm *comm)
{
    for (int t = 1; t < s->threads; t++) {
        for (int64_t i = 0; i < s->sums; i++) dm_exact_sum_merge(&s->exact[0][i], &s->exact[t][i]);
        for (int64_t i = 0; i < s->counts; i++) s->count[0][i] += s->count[t][i];
    }
    dm_comm_sum_exact(comm, s->exact[0], s->sums);
    dm_comm_sum_i64(comm, s->count[0], s->counts);
    for (int64_t i = 0; i < s->sums; i++) s->value[i] = dm_exact_sum_value(&s->exact[0][i]);
}
