#include "kmeans/row_sample.h"

#include <omp.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"

/* First strip of stretch i of `count` over `strips` strips. */
static int64_t stretch(int64_t i, int64_t count, int64_t strips)
{
    return i * (strips / count) + (i < strips % count ? i : strips % count);
}

static int64_t draw_strip(uint64_t seed, int32_t restart, int64_t i, int64_t count, int64_t strips)
{
    const int64_t begin = stretch(i, count, strips), length = stretch(i + 1, count, strips) - begin;
    const dm_random4 r = dm_random(seed, DM_PURPOSE_SEED_SAMPLE, (uint64_t)restart, (uint64_t)i);
    return begin + dm_random_below(r.v[0], r.v[1], length);
}

/* Level at which stretch i joins: 0 for multiples of 2^(levels - 1), the last for odd ones. */
static int level_of(int64_t i, int levels)
{
    return i % ((int64_t)1 << (levels - 1)) == 0 ? 0 : levels - 1 - __builtin_ctzll((unsigned long long)i);
}

/* Copies [from, to) of this rank's strips (in level order) from the file or the shard. Local. */
static demarc_status fetch(dm_row_sample *s, int64_t from, int64_t to)
{
    demarc_status st = DEMARC_OK;
    const int64_t rows = (to - from) * DM_STRIP_ROWS;
    int64_t *row = NULL;
    if (rows == 0) return DEMARC_OK;
    DM_TRY(dm_alloc(row, rows, "sample"));
    for (int64_t i = 0; i < rows; i++) row[i] = s->strip[from + i / DM_STRIP_ROWS] + i % DM_STRIP_ROWS;
    DM_TRY(dm_rows_gather(s->source, rows, row, s->x + from * DM_STRIP_ROWS * s->d,
                          s->w == NULL ? NULL : s->w + from * DM_STRIP_ROWS));
cleanup:
    dm_free(row);
    return st;
}

/* All levels by one pass over the file: rows come in file order and are put in level order. Local. */
static demarc_status fetch_streamed(dm_row_sample *s)
{
    demarc_status st = DEMARC_OK;
    const int64_t strips = s->local[s->levels - 1] / DM_STRIP_ROWS, d = s->d;
    int64_t *row = NULL, *order = NULL;
    float *x = NULL, *w = NULL;
    if (strips == 0) return DEMARC_OK;
    DM_TRY(dm_alloc(row, strips * DM_STRIP_ROWS, "sample"));
    DM_TRY(dm_alloc(order, strips, "sample"));
    DM_TRY(dm_alloc(x, strips * DM_STRIP_ROWS * d, "sample"));
    if (s->w != NULL) DM_TRY(dm_alloc(w, strips * DM_STRIP_ROWS, "sample"));
    /* Each level is in file order: merge them. */
    int64_t at[DM_SAMPLE_LEVELS];
    for (int l = 0; l < s->levels; l++) at[l] = l == 0 ? 0 : s->local[l - 1] / DM_STRIP_ROWS;
    for (int64_t i = 0; i < strips; i++) {
        int best = -1;
        for (int l = 0; l < s->levels; l++) {
            if (at[l] < s->local[l] / DM_STRIP_ROWS && (best < 0 || s->strip[at[l]] < s->strip[at[best]])) best = l;
        }
        order[i] = at[best]++;
        for (int64_t r = 0; r < DM_STRIP_ROWS; r++) row[i * DM_STRIP_ROWS + r] = s->strip[order[i]] + r;
    }
    DM_TRY(dm_rows_gather(s->source, strips * DM_STRIP_ROWS, row, x, w));
    for (int64_t i = 0; i < strips; i++) {
        memcpy(s->x + order[i] * DM_STRIP_ROWS * d, x + i * DM_STRIP_ROWS * d, (size_t)(DM_STRIP_ROWS * d) * sizeof *x);
        if (w != NULL) memcpy(s->w + order[i] * DM_STRIP_ROWS, w + i * DM_STRIP_ROWS, DM_STRIP_ROWS * sizeof *w);
    }
cleanup:
    dm_free(row);
    dm_free(order);
    dm_free(x);
    dm_free(w);
    return st;
}

/* This rank's strips in level order, and the numbers that follow from them. Local. */
static demarc_status list_strips(dm_row_sample *s, uint64_t seed, int32_t restart, int64_t count)
{
    demarc_status st = DEMARC_OK;
    const int64_t strips = dm_rows_global(s->source) / DM_STRIP_ROWS;
    const dm_row_range range = dm_rows_range(s->source);
    int64_t mine = 0, listed = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = draw_strip(seed, restart, i, count, strips) * DM_STRIP_ROWS;
        mine += row >= range.begin && row < range.end;
        if (row < range.begin && level_of(i, s->levels) == 0) s->first += DM_STRIP_ROWS;
    }
    DM_TRY(dm_alloc(s->strip, mine, "sample"));
    for (int l = 0; l < s->levels; l++) {
        const int64_t step = (int64_t)1 << (s->levels - 1 - l); /* level l: multiples of step that earlier ones left */
        for (int64_t i = 0; i < count; i += step) {
            if (level_of(i, s->levels) != l) continue;
            const int64_t row = draw_strip(seed, restart, i, count, strips) * DM_STRIP_ROWS;
            if (row >= range.begin && row < range.end) s->strip[listed++] = row;
        }
        s->local[l] = listed * DM_STRIP_ROWS;
        s->total[l] = (count / step) * DM_STRIP_ROWS;
    }
cleanup:
    return st;
}

demarc_status dm_row_sample_create(dm_row_sample *s, dm_rows *rows, uint64_t seed, int32_t restart, int64_t smallest,
                                   int64_t largest)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(rows)->comm;
    const int64_t n = dm_rows_global(rows);
    *s = (dm_row_sample){.source = rows, .d = dm_rows_features(rows)};
    int64_t base = (smallest + DM_STRIP_ROWS - 1) / DM_STRIP_ROWS;
    if (base * DM_STRIP_ROWS > n / 2) return DEMARC_OK;
    s->levels = 1;
    while (s->levels < DM_SAMPLE_LEVELS && (base << s->levels) * DM_STRIP_ROWS <= (largest < n / 2 ? largest : n / 2)) {
        s->levels++;
    }
    st = list_strips(s, seed, restart, base << (s->levels - 1));
    const int64_t most = s->local[s->levels - 1];
    if (st == DEMARC_OK) st = dm_alloc(s->x, most * s->d, "sample");
    if (st == DEMARC_OK && dm_rows_weighted(rows)) st = dm_alloc(s->w, most, "sample");
    if (st == DEMARC_OK && dm_rows_streamed(rows)) {
        st = fetch_streamed(s);
        s->held = s->levels;
    }
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_row_sample_use(s, 0));
cleanup:
    if (st != DEMARC_OK) dm_row_sample_destroy(s);
    return st;
}

demarc_status dm_row_sample_use(dm_row_sample *s, int level)
{
    demarc_status st = DEMARC_OK;
    for (; s->held <= level && st == DEMARC_OK; s->held++) {
        st = fetch(s, s->held == 0 ? 0 : s->local[s->held - 1] / DM_STRIP_ROWS, s->local[s->held] / DM_STRIP_ROWS);
    }
    s->level = level;
    return dm_comm_agree(dm_rows_opened_with(s->source)->comm, st);
}

void dm_row_sample_destroy(dm_row_sample *s)
{
    dm_free(s->strip);
    dm_free(s->x);
    dm_free(s->w);
    *s = (dm_row_sample){0};
}

int64_t dm_row_sample_rows(const dm_row_sample *s) { return s->local[s->level]; }

int64_t dm_row_sample_row(const dm_row_sample *s, int64_t i) { return s->strip[i / DM_STRIP_ROWS] + i % DM_STRIP_ROWS; }

void dm_row_sample_pass(const dm_row_sample *s, dm_block_fn fn, void *context)
{
    /* Small samples are dealt out in smaller pieces, so that all threads have some. */
    const int threads = dm_rows_opened_with(s->source)->threads;
    const int64_t rows = dm_row_sample_rows(s), share = rows / (4 * threads) / DM_STRIP_ROWS * DM_STRIP_ROWS;
    const int64_t piece = share < 16 * DM_STRIP_ROWS ? 16 * DM_STRIP_ROWS
                          : share > DM_BLOCK_ROWS    ? DM_BLOCK_ROWS
                                                     : share;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t at = 0; at < rows; at += piece) {
        const int64_t n = rows - at < piece ? rows - at : piece;
        fn(context, omp_get_thread_num(), s->first + at, n, s->x + at * s->d, s->w == NULL ? NULL : s->w + at);
    }
}
