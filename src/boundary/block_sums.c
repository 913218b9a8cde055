#include "boundary/block_sums.h"

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

/* Over threads and ranks to thread 0 of every rank. Collective. */
static void bring_together(dm_block_sums *s, dm_comm *comm)
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

static void take_values(dm_block_sums *s)
{
    for (int64_t i = 0; i < s->sums; i++) s->value[i] = dm_exact_sum_value(&s->exact[0][i]);
}

void dm_block_sums_reduce(dm_block_sums *s, dm_comm *comm)
{
    bring_together(s, comm);
    take_values(s);
}

static void pack(dm_block_sums *s, dm_packer *p)
{
    dm_pack_exact(p, s->exact[0], s->sums);
    dm_pack(p, s->count[0], s->counts * (int64_t)sizeof **s->count);
    dm_pack(p, s->high[0], s->maxima * (int64_t)sizeof **s->high);
}

static void gather(void *context, dm_packer *p)
{
    dm_block_sums *s = context;
    bring_together(s, s->comm);
    if (dm_comm_rank(s->comm) == 0) {
        pack(s, p);
    } else {
        clear(s, 0);
    }
}

static void restore(void *context, dm_unpacker *u)
{
    dm_block_sums *s = context;
    if (u == NULL) return;
    dm_unpack_exact(u, s->exact[0], s->sums);
    (void)dm_unpack(u, s->count[0], s->counts * (int64_t)sizeof **s->count);
    (void)dm_unpack(u, s->high[0], s->maxima * (int64_t)sizeof **s->high);
}

demarc_status dm_block_sums_pass(dm_block_sums *s, const dm_frozen *f, const char *name, unsigned want, dm_frozen_fn fn,
                                 void *context)
{
    demarc_status st = DEMARC_OK;
    char under_way[96];
    dm_unpacker u;
    dm_packer p = {0};
    s->comm = f->comm;
    snprintf(under_way, sizeof under_way, "%s, in part", name);
    if (dm_journal_find(f->journal, name, &u)) {
        restore(s, &u);
        DM_TRY_ALL(s->comm, dm_journal_read(&u));
    } else {
        const dm_pass_state state = {.name = under_way, .gather = gather, .restore = restore, .context = s};
        DM_TRY(dm_saved_pass(f, want, fn, context, &state));
        bring_together(s, f->comm);
    }
    take_values(s);
    if (f->journal != NULL) pack(s, &p);
    DM_TRY_ALL(s->comm, dm_journal_note(f->journal, name, &p));
cleanup:
    dm_packer_clear(&p);
    return st;
}
