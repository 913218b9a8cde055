#include "stats/block_sums.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

demarc_status dm_block_sums_create(dm_block_sums *s, int threads, int64_t sums, int64_t counts)
{
    return dm_block_sums_create_with(s, threads, sums, counts, 0);
}

demarc_status dm_block_sums_create_with(dm_block_sums *s, int threads, int64_t sums, int64_t counts, int64_t maxima)
{
    demarc_status st = DEMARC_OK;
    *s = (dm_block_sums){.threads = threads, .sums = sums, .counts = counts, .maxima = maxima};
    DM_TRY(dm_alloc_zero(s->part, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->count, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->high, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->exact, threads, "sums"));
    DM_TRY(dm_alloc_zero(s->value, sums, "sums"));
    for (int t = 0; t < threads; t++) {
        DM_TRY(dm_alloc_zero(s->part[t], sums, "sums"));
        DM_TRY(dm_alloc_zero(s->count[t], counts, "sums"));
        DM_TRY(dm_alloc(s->high[t], maxima, "sums"));
        DM_TRY(dm_alloc_zero(s->exact[t], sums, "sums"));
        for (int64_t i = 0; i < maxima; i++) s->high[t][i] = -(double)INFINITY;
    }
    s->number = s->count[0];
    s->most = s->high[0];
cleanup:
    return st;
}

void dm_block_sums_destroy(dm_block_sums *s)
{
    for (int t = 0; t < s->threads; t++) {
        if (s->part != NULL) dm_free(s->part[t]);
        if (s->count != NULL) dm_free(s->count[t]);
        if (s->high != NULL) dm_free(s->high[t]);
        if (s->exact != NULL) dm_free(s->exact[t]);
    }
    dm_free(s->part);
    dm_free(s->count);
    dm_free(s->high);
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

/* ------------------------------------------------------------------------------------------------ totals */

static void clear(dm_block_sums *s, int thread)
{
    memset(s->exact[thread], 0, (size_t)s->sums * sizeof **s->exact);
    memset(s->count[thread], 0, (size_t)s->counts * sizeof **s->count);
    for (int64_t i = 0; i < s->maxima; i++) s->high[thread][i] = -(double)INFINITY;
}

void dm_block_sums_gather(dm_block_sums *s, dm_comm *comm)
{
    for (int t = 1; t < s->threads; t++) {
        for (int64_t i = 0; i < s->sums; i++) dm_exact_sum_merge(&s->exact[0][i], &s->exact[t][i]);
        for (int64_t i = 0; i < s->counts; i++) s->count[0][i] += s->count[t][i];
        for (int64_t i = 0; i < s->maxima; i++) s->high[0][i] = fmax(s->high[0][i], s->high[t][i]);
        clear(s, t);
    }
    dm_comm_sum_exact(comm, s->exact[0], s->sums);
    dm_comm_sum_i64(comm, s->count[0], s->counts);
    dm_comm_max_f64(comm, s->high[0], s->maxima);
}

void dm_block_sums_take(dm_block_sums *s)
{
    for (int64_t i = 0; i < s->sums; i++) s->value[i] = dm_exact_sum_value(&s->exact[0][i]);
}

void dm_block_sums_reduce(dm_block_sums *s, dm_comm *comm)
{
    dm_block_sums_gather(s, comm);
    dm_block_sums_take(s);
}

void dm_block_sums_pack(dm_block_sums *s, dm_packer *p)
{
    dm_pack_exact(p, s->exact[0], s->sums);
    dm_pack(p, s->count[0], s->counts * (int64_t)sizeof **s->count);
    dm_pack(p, s->high[0], s->maxima * (int64_t)sizeof **s->high);
}

void dm_block_sums_unpack(dm_block_sums *s, dm_unpacker *u)
{
    dm_unpack_exact(u, s->exact[0], s->sums);
    (void)dm_unpack(u, s->count[0], s->counts * (int64_t)sizeof **s->count);
    (void)dm_unpack(u, s->high[0], s->maxima * (int64_t)sizeof **s->high);
}

void dm_block_sums_forget(dm_block_sums *s) { clear(s, 0); }
