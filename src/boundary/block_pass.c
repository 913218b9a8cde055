#include "boundary/block_pass.h"

#include <stdio.h>

typedef struct block_pass {
    dm_block_sums *sums;
    dm_comm *comm;
} block_pass;

static void gather(void *context, dm_packer *p)
{
    const block_pass *b = context;
    dm_block_sums_gather(b->sums, b->comm);
    if (dm_comm_rank(b->comm) == 0) {
        dm_block_sums_pack(b->sums, p);
    } else {
        dm_block_sums_forget(b->sums);
    }
}

static void restore(void *context, dm_unpacker *u)
{
    const block_pass *b = context;
    if (u != NULL) dm_block_sums_unpack(b->sums, u);
}

demarc_status dm_block_pass(dm_block_sums *s, const dm_frozen *f, const char *name, unsigned want, dm_frozen_fn fn,
                            void *context)
{
    demarc_status st = DEMARC_OK;
    char under_way[96];
    dm_unpacker u;
    dm_packer p = {0};
    block_pass b = {s, f->comm};
    snprintf(under_way, sizeof under_way, "%s, in part", name);
    if (dm_journal_find(f->journal, name, &u)) {
        dm_block_sums_unpack(s, &u);
        DM_TRY_ALL(f->comm, dm_journal_read(&u));
    } else {
        const dm_pass_state state = {.name = under_way, .gather = gather, .restore = restore, .context = &b};
        DM_TRY(dm_saved_pass(f, want, fn, context, &state));
        dm_block_sums_gather(s, f->comm);
    }
    dm_block_sums_take(s);
    if (f->journal != NULL) dm_block_sums_pack(s, &p);
    DM_TRY_ALL(f->comm, dm_journal_note(f->journal, name, &p));
cleanup:
    dm_packer_clear(&p);
    return st;
}
