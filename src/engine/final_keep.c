/*
 * What of a final pass outlives an interruption: the ranges of rows that are labelled and written, and the sums over them.
 * Sums are exact, so those of the rows that are done and those of the others add up to the same bits whoever makes them.
 *
 * Packed: number of ranges, ranges; size [k]; sums [k, DM_SUMS] and sum of squares; digest; the profile's sums.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/final_run.h"

#define MOST_KEPT (INT64_C(256) << 20) /* bytes of sums; the pass is made again where it would be more */

static int by_begin(const void *a, const void *b)
{
    const int64_t x = ((const dm_row_range *)a)->begin, y = ((const dm_row_range *)b)->begin;
    return (x > y) - (x < y);
}

/* Ascending, and those that touch made one. */
static void join_ranges(dm_final_ranges *r)
{
    int64_t count = 0;
    if (r->count == 0) return;
    qsort(r->range, (size_t)r->count, sizeof *r->range, by_begin);
    for (int64_t i = 1; i < r->count; i++) {
        if (r->range[i].begin == r->range[count].end) {
            r->range[count].end = r->range[i].end;
        } else {
            r->range[++count] = r->range[i];
        }
    }
    r->count = count + 1;
}

/* Every rank gets the rows that are done by all. */
static demarc_status gather_done(const dm_final_run *run, dm_comm *comm, dm_final_ranges *done)
{
    demarc_status st = DEMARC_OK;
    const int64_t each = sizeof *run->window.range;
    const int64_t mine = run->turn < run->window.count ? run->turn : run->window.count;
    void *all = NULL;
    int64_t bytes = 0;
    DM_TRY(dm_comm_all_gather(comm, run->window.range, mine * each, &all, &bytes));
    done->count = run->done.count + bytes / each;
    DM_TRY_ALL(comm, dm_alloc(done->range, done->count, "checkpoint"));
    if (run->done.count > 0) memcpy(done->range, run->done.range, (size_t)(run->done.count * each));
    if (bytes > 0) memcpy(done->range + run->done.count, all, (size_t)bytes);
    join_ranges(done);
cleanup:
    dm_free(all);
    return st;
}

/* Sums of all threads and ranks, the pass's own untouched. */
static demarc_status pack_sums(const dm_final_run *run, dm_comm *comm, dm_packer *p)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)run->k * DM_SUMS;
    dm_exact_sum *sum = NULL;
    int64_t *size = NULL;
    dm_digest digest = {0};
    st = dm_alloc_zero(sum, cells + 1, "checkpoint");
    if (st == DEMARC_OK) st = dm_alloc_zero(size, run->k, "checkpoint");
    DM_TRY_ALL(comm, st);
    for (int t = 0; t < run->threads; t++) {
        const dm_final_part *part = &run->part[t];
        for (int64_t i = 0; i < cells; i++) dm_exact_sum_merge(&sum[i], &part->sum[i]);
        dm_exact_sum_merge(&sum[cells], &part->square);
        for (int32_t j = 0; j < run->k; j++) size[j] += part->size[j];
        dm_digest_merge(&digest, &part->digest);
    }
    dm_comm_sum_exact(comm, sum, cells + 1);
    dm_comm_sum_i64(comm, size, run->k);
    dm_comm_sum_i64(comm, &digest.low, 1);
    dm_comm_sum_i64(comm, &digest.high, 1);
    dm_pack(p, size, run->k * (int64_t)sizeof *size);
    dm_pack_exact(p, sum, cells + 1);
    dm_pack_i64(p, digest.low);
    dm_pack_i64(p, digest.high);
cleanup:
    dm_free(sum);
    dm_free(size);
    return st;
}

demarc_status dm_final_pack(const dm_final_run *at, dm_packer *p, bool *kept)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(at->o->rows)->comm;
    dm_final_ranges done = {0};
    int64_t bytes = (int64_t)at->k * DM_SUMS * (int64_t)sizeof(dm_exact_sum);
    if (at->profile != NULL) bytes += dm_profile_pack_bytes(at->profile);
    *kept = at->o->writer != NULL && bytes <= MOST_KEPT && (at->turn > 0 || at->done.count > 0);
    if (!*kept) return DEMARC_OK;
    DM_TRY(dm_assignments_flush(at->o->writer));
    DM_TRY(gather_done(at, comm, &done));
    dm_pack_i64(p, done.count);
    dm_pack(p, done.range, done.count * (int64_t)sizeof *done.range);
    DM_TRY(pack_sums(at, comm, p));
    if (at->profile != NULL) DM_TRY(dm_profile_pack(at->profile, comm, p));
cleanup:
    dm_free(done.range);
    return st;
}

/* ------------------------------------------------------------------------------------------------ going on */

static bool on_edge(int64_t row, int64_t n) { return row % DM_BLOCK_ROWS == 0 || row == n; }

demarc_status dm_final_restore(dm_final_run *run, bool root)
{
    demarc_status st = DEMARC_OK;
    dm_unpacker *u = run->o->left;
    const int64_t n = dm_rows_global(run->o->rows);
    const int64_t count = dm_unpack_within(u, 0, u->left / (int64_t)sizeof(dm_row_range));
    dm_final_part *part = &run->part[0];
    DM_TRY(dm_alloc(run->done.range, count, "rows that are done"));
    (void)dm_unpack(u, run->done.range, count * (int64_t)sizeof *run->done.range);
    for (int64_t i = 0, last = 0; i < count && !u->bad; i++) {
        const dm_row_range r = run->done.range[i];
        u->bad = r.begin < last || r.end <= r.begin || r.end > n || !on_edge(r.begin, n) || !on_edge(r.end, n);
        last = r.end;
    }
    run->done.count = count;
    if (root) {
        (void)dm_unpack(u, part->size, run->k * (int64_t)sizeof *part->size);
        dm_unpack_exact(u, part->sum, (int64_t)run->k * DM_SUMS);
        dm_unpack_exact(u, &part->square, 1);
        part->digest.low = dm_unpack_i64(u);
        part->digest.high = dm_unpack_i64(u);
        if (run->profile != NULL) dm_profile_unpack(run->profile, u);
    }
    st = dm_unpack_verdict(u, "rows done");
cleanup:
    return st;
}

/* The pieces of [begin, end) to `to` (NULL: only counted). @return their number */
static int64_t cut(int64_t begin, int64_t end, dm_row_range *to)
{
    const int64_t rows = (int64_t)DM_FINAL_BLOCKS * DM_BLOCK_ROWS;
    int64_t count = 0;
    for (int64_t at = begin; at < end; at += rows) {
        if (to != NULL) to[count] = (dm_row_range){at, at + rows < end ? at + rows : end};
        count++;
    }
    return count;
}

/* Windows between the ranges that are done. */
static int64_t cut_all(const dm_final_run *run, dm_row_range *to)
{
    const dm_row_range all = dm_rows_range(run->o->rows);
    int64_t count = 0, at = all.begin;
    for (int64_t i = 0; i <= run->done.count && at < all.end; i++) {
        const bool last = i == run->done.count;
        const int64_t stop = last || run->done.range[i].begin > all.end ? all.end : run->done.range[i].begin;
        if (stop > at) count += cut(at, stop, to == NULL ? NULL : to + count);
        if (!last && run->done.range[i].end > at) at = run->done.range[i].end;
    }
    return count;
}

demarc_status dm_final_windows(dm_final_run *run)
{
    const int64_t count = cut_all(run, NULL);
    demarc_status st = dm_alloc(run->window.range, count, "windows of rows");
    if (st != DEMARC_OK) return st;
    run->window.count = cut_all(run, run->window.range);
    return DEMARC_OK;
}
