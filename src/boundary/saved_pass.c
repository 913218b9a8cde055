#include "boundary/saved_pass.h"

#include "base/clock.h"
#include "base/memory.h"

#define WINDOW_SECONDS 1.0
#define FIRST_BLOCKS 16 /* of a thread in the first window */

typedef struct saved_pass {
    const dm_frozen *f;
    const dm_pass_state *state;
    dm_row_range mine;  /* rows of this rank */
    int64_t at;         /* those before are done */
    dm_row_range *done; /* [count] rows that an earlier run did, of all ranks, ascending */
    int64_t count;
} saved_pass;

/* ------------------------------------------------------------------------------------------------ rows done */

static int64_t lower(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t higher(int64_t a, int64_t b) { return a > b ? a : b; }

/* The next rows to do, at most `blocks`; false when there are none. */
static bool next_rows(saved_pass *p, int64_t blocks, dm_row_range *rows)
{
    int64_t end = p->mine.end;
    for (int64_t i = 0; i < p->count; i++) {
        if (p->done[i].end <= p->at) continue;
        if (p->done[i].begin > p->at) {
            end = lower(end, p->done[i].begin);
            break;
        }
        p->at = p->done[i].end;
    }
    if (p->at >= p->mine.end) return false;
    *rows = (dm_row_range){p->at, lower(end, p->at + blocks * DM_BLOCK_ROWS)};
    return true;
}

/* Rows that are done, of all ranks; `all` is freed by dm_free. Collective. */
static demarc_status done_rows(const saved_pass *p, dm_row_range **all, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    dm_row_range *mine = NULL;
    int64_t here = 0, bytes = 0;
    const int64_t at = lower(p->at, p->mine.end);
    DM_TRY_ALL(p->f->comm, dm_alloc(mine, p->count + 1, "checkpoint"));
    if (at > p->mine.begin) mine[here++] = (dm_row_range){p->mine.begin, at};
    for (int64_t i = 0; i < p->count; i++) {
        const dm_row_range r = {higher(p->done[i].begin, at), lower(p->done[i].end, p->mine.end)};
        if (r.begin < r.end) mine[here++] = r;
    }
    DM_TRY(dm_comm_all_gather(p->f->comm, mine, here * (int64_t)sizeof *mine, (void **)all, &bytes));
    *count = bytes / (int64_t)sizeof *mine;
cleanup:
    dm_free(mine);
    return st;
}

static demarc_status pack_pass(void *context, dm_packer *to)
{
    demarc_status st = DEMARC_OK;
    saved_pass *p = context;
    dm_row_range *all = NULL;
    int64_t count = 0;
    DM_TRY(done_rows(p, &all, &count));
    dm_pack_i64(to, count);
    dm_pack(to, all, count * (int64_t)sizeof *all);
    p->state->gather(p->state->context, to);
cleanup:
    dm_free(all);
    return st;
}

/* Local; the sums to rank 0. */
static demarc_status unpack_pass(saved_pass *p, dm_unpacker *u)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = dm_rows_global(p->f->rows);
    const int64_t count = dm_unpack_within(u, 0, u->left / (int64_t)sizeof *p->done);
    DM_TRY(dm_alloc(p->done, count, "checkpoint"));
    (void)dm_unpack(u, p->done, count * (int64_t)sizeof *p->done);
    int64_t before = 0;
    for (int64_t i = 0; i < count && !u->bad; i++) {
        const dm_row_range r = p->done[i];
        u->bad = r.begin < before || r.end <= r.begin || r.end > n || r.begin % DM_BLOCK_ROWS != 0 ||
                 (r.end % DM_BLOCK_ROWS != 0 && r.end != n);
        before = r.end;
    }
    p->count = count;
    const bool root = dm_comm_rank(p->f->comm) == 0;
    if (!u->bad) p->state->restore(p->state->context, root ? u : NULL);
    if (root || u->bad) DM_TRY(dm_journal_read(u));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the pass */

/* Blocks of the next window, by what the last one took. */
static int64_t next_window(const saved_pass *p, int64_t blocks, double seconds)
{
    if (dm_journal_window(p->f->journal) > 0) return dm_journal_window(p->f->journal);
    const double factor = WINDOW_SECONDS / (seconds > 1e-3 ? seconds : 1e-3), least = p->f->threads;
    const double next = (double)blocks * (factor < 0.25 ? 0.25 : factor > 4.0 ? 4.0 : factor);
    return (int64_t)(next < least ? least : next < 1e9 ? next : 1e9);
}

static demarc_status do_windows(saved_pass *p, unsigned want, dm_frozen_fn fn, void *context)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = p->f->comm;
    const int64_t given = dm_journal_window(p->f->journal);
    int64_t blocks = given > 0 ? given : FIRST_BLOCKS * (int64_t)p->f->threads, more = 1;
    while (more != 0) {
        dm_row_range rows = {0, 0};
        const double start = dm_clock();
        if (next_rows(p, blocks, &rows)) {
            st = dm_frozen_pass_range(p->f, rows.begin, rows.end, want, fn, context);
            p->at = rows.end;
        }
        DM_TRY_ALL(comm, st);
        blocks = next_window(p, blocks, dm_clock() - start);
        more = next_rows(p, 1, &rows);
        dm_comm_max_i64(comm, &more, 1);
        DM_TRY(dm_journal_edge(p->f->journal));
    }
cleanup:
    return st;
}

demarc_status dm_saved_pass(const dm_frozen *f, unsigned want, dm_frozen_fn fn, void *context,
                            const dm_pass_state *state)
{
    demarc_status st = DEMARC_OK;
    if (f->journal == NULL) return dm_comm_agree(f->comm, dm_frozen_pass(f, want, fn, context));
    const int32_t mark = dm_journal_mark(f->journal);
    saved_pass p = {.f = f, .state = state, .mine = dm_rows_range(f->rows)};
    dm_unpacker u;
    p.at = p.mine.begin;
    if (state != NULL) {
        if (dm_journal_find(f->journal, state->name, &u)) st = unpack_pass(&p, &u);
        if (st == DEMARC_OK) st = dm_journal_open(f->journal, state->name, pack_pass, &p);
        DM_TRY_ALL(f->comm, st);
    }
    DM_TRY(do_windows(&p, want, fn, context));
cleanup:
    dm_journal_drop(f->journal, mark);
    dm_free(p.done);
    return st;
}
