/*
 * The nested sample: where its strips lie, that each level holds the one before, that every layout draws the same, and that
 * the rows are those of the file, streamed or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "kmeans/row_sample.h"
#include "rows/rows_private.h"
#include "store/writer.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }

static dm_comm *comm;
static dm_log quiet = {.verbosity = DEMARC_QUIET};

static int create(void **state)
{
    (void)state;
    return dm_comm_create(&comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    dm_comm_destroy(&comm);
    return 0;
}

/* ------------------------------------------------------------------------------------------------ rows */

enum { D = 3, MOST_ROWS = 200000, THREADS = 4 };
static float shard[MOST_ROWS * D], weight[MOST_ROWS];

/* Features that only their own row has. */
static float feature_of(int64_t row, int64_t f) { return (float)(row % 1000003) + 0.25f * (float)f; }
static float weight_of(int64_t row) { return (float)(row % 1000) * 0.5f; }

/* The rows that rank `rank` of `size` would hold, in memory. */
static struct dm_rows rows_of(int64_t n, int rank, int size, bool weighted, int threads)
{
    const dm_row_range range = dm_row_range_of(n, rank, size);
    assert_true(range.end - range.begin <= MOST_ROWS);
    for (int64_t r = range.begin; r < range.end; r++) {
        for (int64_t f = 0; f < D; f++) shard[(r - range.begin) * D + f] = feature_of(r, f);
        weight[r - range.begin] = weight_of(r);
    }
    return (struct dm_rows){.o = {.comm = comm, .log = &quiet, .threads = threads},
                            .n = n,
                            .range = range,
                            .d = D,
                            .stored = D,
                            .weighted = weighted,
                            .have_scaled = true,
                            .shard = shard,
                            .weight = weighted ? weight : NULL};
}

static dm_row_sample draw(struct dm_rows *rows, uint64_t seed, int32_t restart, int64_t smallest, int64_t largest)
{
    dm_row_sample s;
    assert_int_equal(dm_row_sample_create(&s, rows, seed, restart, smallest, largest), DEMARC_OK);
    return s;
}

static int by_value(const void *a, const void *b)
{
    const int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return p < q ? -1 : p > q;
}

/* ------------------------------------------------------------------------------------------------ strips */

static int64_t strips_at(const dm_row_sample *s, int level) { return level < 0 ? 0 : s->local[level] / DM_STRIP_ROWS; }

/* All strips of a sample on one rank against what the header promises. */
static void check_strips(const dm_row_sample *s, int64_t n, int64_t smallest, int64_t largest)
{
    const int64_t all = n / DM_STRIP_ROWS, last = strips_at(s, s->levels - 1);
    assert_true(s->level == 0 && s->first == 0 && s->held >= 1);
    assert_true(s->total[0] >= smallest && s->total[0] < smallest + DM_STRIP_ROWS && s->total[0] % DM_STRIP_ROWS == 0);
    for (int level = 0; level < s->levels; level++) {
        assert_true(s->local[level] == s->total[level]); /* one rank */
        if (level > 0) assert_true(s->total[level] == 2 * s->total[level - 1]);
        /* what a level adds is in file order */
        for (int64_t i = strips_at(s, level - 1) + 1; i < strips_at(s, level); i++) {
            assert_true(s->strip[i] > s->strip[i - 1]);
        }
    }
    assert_true(s->total[s->levels - 1] <= n / 2);
    if (s->levels > 1) assert_true(s->total[s->levels - 1] <= largest);
    /* another level would have been too large */
    const int64_t most = largest < n / 2 ? largest : n / 2;
    assert_true(s->levels == DM_SAMPLE_LEVELS || 2 * s->total[s->levels - 1] > most);
    /* The strips of each level by place: one in each of its stretches, as near as whole stretches of the last level go. */
    int64_t *sorted = malloc((size_t)last * sizeof *sorted);
    assert_non_null(sorted);
    for (int level = 0; level < s->levels; level++) {
        const int64_t count = strips_at(s, level), step = last / count;
        memcpy(sorted, s->strip, (size_t)count * sizeof *sorted);
        qsort(sorted, (size_t)count, sizeof *sorted, by_value);
        for (int64_t i = 0; i < count; i++) {
            assert_true(sorted[i] >= 0 && sorted[i] % DM_STRIP_ROWS == 0 && sorted[i] + DM_STRIP_ROWS <= n);
            /* The first `all % last` of the `last` stretches are one strip longer than the others. */
            const int64_t stretch = i * step, longer = all % last, length = all / last + (stretch < longer);
            const int64_t begin = stretch * (all / last) + (stretch < longer ? stretch : longer);
            assert_true(sorted[i] / DM_STRIP_ROWS >= begin && sorted[i] / DM_STRIP_ROWS < begin + length);
        }
    }
    free(sorted);
}

static void strips_lie_where_they_should(void **state)
{
    (void)state;
    random_state = 1;
    for (int t = 0; t < 60; t++) {
        const int64_t n = 2000 + below(t < 40 ? 20000 : MOST_ROWS - 2000), smallest = 1 + below(900);
        const int64_t largest = below(2) == 0 ? n : smallest + below((int)n);
        struct dm_rows rows = rows_of(n, 0, 1, false, 1 + below(THREADS));
        dm_row_sample s = draw(&rows, random64(), below(10), smallest, largest);
        assert_true(s.levels >= 1);
        check_strips(&s, n, smallest, largest);
        dm_row_sample_destroy(&s);
        assert_true(s.strip == NULL && s.x == NULL && s.levels == 0);
    }
}

/* Within its stretch a strip may lie anywhere, and no two draws are alike. */
static void strips_are_drawn_evenly(void **state)
{
    (void)state;
    enum { N = 64 * 100 * DM_STRIP_ROWS, DRAWS = 400 }; /* 100 strips a stretch at the last level */
    static int64_t hit[10];
    int64_t all = 0, same = 0;
    memset(hit, 0, sizeof hit);
    struct dm_rows rows = rows_of(MOST_ROWS, 0, 1, false, 1);
    rows.n = N;
    rows.range = (dm_row_range){0, 0}; /* a rank without rows draws all the same */
    for (int t = 0; t < DRAWS; t++) {
        dm_row_sample s = draw(&rows, (uint64_t)t, t % 3, 4 * DM_STRIP_ROWS, 64 * DM_STRIP_ROWS);
        assert_true(s.levels == 5 && s.total[4] == 64 * DM_STRIP_ROWS && s.local[4] == 0);
        assert_int_equal(dm_row_sample_rows(&s), 0);
        dm_row_sample_destroy(&s);
    }
    rows.n = MOST_ROWS / DM_STRIP_ROWS / 64 * 64 * DM_STRIP_ROWS;
    rows.range = (dm_row_range){0, rows.n};
    const int64_t length = rows.n / DM_STRIP_ROWS / 64;
    int64_t before[64] = {0};
    for (int t = 0; t < DRAWS; t++) { /* other seeds and other restarts draw other strips */
        dm_row_sample s =
            draw(&rows, t % 2 == 0 ? (uint64_t)t : 1, t % 2 == 0 ? 1 : t, 64 * DM_STRIP_ROWS, 64 * DM_STRIP_ROWS);
        assert_true(s.levels == 1);
        for (int64_t i = 0; i < 64; i++) {
            hit[s.strip[i] / DM_STRIP_ROWS % length * 10 / length]++;
            same += s.strip[i] == before[i];
            before[i] = s.strip[i];
            all++;
        }
        dm_row_sample_destroy(&s);
    }
    for (int i = 0; i < 10; i++) assert_true(hit[i] > all / 10 * 8 / 10 && hit[i] < all / 10 * 12 / 10);
    assert_true(same < 3 * all / length);
}

/* The ranks of any layout hold, together and in order, what one rank holds. */
static void every_layout_draws_the_same(void **state)
{
    (void)state;
    random_state = 2;
    for (int t = 0; t < 25; t++) {
        const int64_t n = 3000 + below(90000), smallest = 1 + below(1400);
        const int size = 1 + below(t % 5 == 0 ? 40 : 6); /* more ranks than blocks, too */
        const uint64_t seed = random64();
        const int32_t restart = below(5);
        struct dm_rows rows = rows_of(n, 0, 1, true, 2);
        dm_row_sample one = draw(&rows, seed, restart, smallest, n);
        int64_t at[DM_SAMPLE_LEVELS], first = 0;
        for (int level = 0; level < one.levels; level++) at[level] = strips_at(&one, level - 1);
        for (int rank = 0; rank < size; rank++) {
            struct dm_rows part = rows_of(n, rank, size, true, 2);
            dm_row_sample s = draw(&part, seed, restart, smallest, n);
            assert_int_equal(s.levels, one.levels);
            assert_true(s.first == first);
            for (int level = 0; level < s.levels; level++) {
                assert_true(s.total[level] == one.total[level]);
                for (int64_t i = strips_at(&s, level - 1); i < strips_at(&s, level); i++) {
                    assert_true(s.strip[i] == one.strip[at[level]++]);
                    assert_true(s.strip[i] >= part.range.begin && s.strip[i] + DM_STRIP_ROWS <= part.range.end);
                }
            }
            first += s.local[0];
            dm_row_sample_destroy(&s);
        }
        for (int level = 0; level < one.levels; level++) assert_true(at[level] == strips_at(&one, level));
        assert_true(first == one.total[0]);
        dm_row_sample_destroy(&one);
    }
}

static void too_small_a_file(void **state)
{
    (void)state;
    const struct {
        int64_t n, smallest;
        int levels;
    } c[] = {{100, 51, 0}, {127, 64, 0}, {128, 64, 1}, {128, 65, 0}, {64, 32, 1}, {63, 1, 0}, {0, 1, 0}, {1, 1, 0}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct dm_rows rows = rows_of(c[i].n, 0, 1, false, 1);
        dm_row_sample s = draw(&rows, 1, 0, c[i].smallest, c[i].n);
        assert_int_equal(s.levels, c[i].levels);
        assert_true((s.x == NULL) == (s.levels == 0));
        dm_row_sample_destroy(&s);
    }
}

/* ------------------------------------------------------------------------------------------------ rows of the sample */

typedef struct visit {
    const dm_row_sample *s;
    uint8_t seen[MOST_ROWS];
    int64_t rows[THREADS];
} visit;
static visit visited;

static void visit_piece(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    visit *v = context;
    const int64_t local = begin - v->s->first;
    assert_true(thread >= 0 && thread < THREADS);
    assert_true(rows > 0 && rows <= DM_BLOCK_ROWS && rows % DM_STRIP_ROWS == 0 && local % DM_STRIP_ROWS == 0);
    assert_true(local >= 0 && local + rows <= dm_row_sample_rows(v->s));
    assert_int_equal(w == NULL, v->s->w == NULL);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t row = dm_row_sample_row(v->s, local + r);
        for (int64_t f = 0; f < D; f++) assert_true(x[r * D + f] == feature_of(row, f));
        if (w != NULL) assert_true(w[r] == weight_of(row));
        v->seen[local + r]++; /* pieces do not overlap: no two threads write here */
    }
    v->rows[thread] += rows;
}

static void check_pass(const dm_row_sample *s)
{
    memset(&visited, 0, sizeof visited);
    visited.s = s;
    dm_row_sample_pass(s, visit_piece, &visited);
    int64_t rows = 0;
    for (int t = 0; t < THREADS; t++) rows += visited.rows[t];
    assert_true(rows == dm_row_sample_rows(s) && rows == s->local[s->level]);
    for (int64_t i = 0; i < MOST_ROWS; i++) assert_int_equal(visited.seen[i], i < rows);
}

static void passes_give_every_row_once(void **state)
{
    (void)state;
    random_state = 3;
    for (int t = 0; t < 12; t++) {
        const int size = 1 + t % 3, rank = below(size);
        const int64_t n = t < 6 ? 20000 + below(20000) : MOST_ROWS;
        struct dm_rows rows = rows_of(n, rank, size, t % 2 == 0, 1 + t % THREADS);
        dm_row_sample s = draw(&rows, random64(), 0, 100 + below(3000), n);
        assert_int_equal(s.held, 1); /* rows in memory are fetched when their turn comes */
        check_pass(&s);
        if (t % 4 == 3 && s.levels > 2) { /* a level may be left out */
            assert_int_equal(dm_row_sample_use(&s, s.levels - 1), DEMARC_OK);
            check_pass(&s);
            assert_int_equal(dm_row_sample_use(&s, 0), DEMARC_OK); /* and back */
            check_pass(&s);
        }
        for (int level = 0; level < s.levels; level++) {
            assert_int_equal(dm_row_sample_use(&s, level), DEMARC_OK);
            check_pass(&s);
        }
        dm_row_sample_destroy(&s);
    }
}

/* From a file: what is streamed by one pass is what is copied out of memory level by level. */
static void streamed_is_the_same(void **state)
{
    (void)state;
    enum { N = 50000 };
    char dir[] = "/tmp/demarc-test-sample-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/customers.h5", dir);
    dm_writer *w = NULL;
    int features = 0, weights = 0;
    struct dm_rows rows = rows_of(N, 0, 1, true, 1);
    assert_int_equal(dm_writer_create(&w, comm, DEMARC_IO_FUNNEL, path), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/features", DM_TYPE_F32, N, D, 0, &features), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/weight", DM_TYPE_F32, N, 0, 0, &weights), DEMARC_OK);
    assert_int_equal(dm_writer_rows(w, features, 0, N, rows.shard), DEMARC_OK);
    assert_int_equal(dm_writer_rows(w, weights, 0, N, rows.weight), DEMARC_OK);
    assert_int_equal(dm_writer_close(&w), DEMARC_OK);
    dm_transform as_it_is;
    assert_int_equal(dm_transform_create(&as_it_is, D), DEMARC_OK);
    as_it_is.unit = 1.0;
    for (int f = 0; f < D; f++) {
        as_it_is.factor[f] = 1.0;
        as_it_is.origin[f] = as_it_is.center[f] = 0.0;
        as_it_is.log1p[f] = 0;
    }
    dm_customers *file = NULL;
    const demarc_paths paths = {0};
    assert_int_equal(dm_customers_open(&file, comm, path, &paths), DEMARC_OK);
    dm_rows *from[2] = {NULL, NULL};
    dm_row_sample s[2];
    for (int streamed = 0; streamed < 2; streamed++) {
        const dm_rows_options o = {.comm = comm,
                                   .log = &quiet,
                                   .file = file,
                                   .kernel = dmk_variant(dmk_variant_find("auto")),
                                   .threads = 1 + streamed,
                                   .stream = streamed != 0,
                                   .d = D};
        assert_int_equal(dm_rows_open(&from[streamed], &o), DEMARC_OK);
        assert_int_equal(dm_rows_scale(from[streamed], &as_it_is), DEMARC_OK);
        assert_int_equal(dm_rows_streamed(from[streamed]), streamed);
        s[streamed] = draw(from[streamed], 17, 2, 500, N);
        assert_true(s[streamed].levels == 6);
        assert_int_equal(s[streamed].held, streamed ? 6 : 1); /* one pass over the file for all levels */
    }
    const int64_t read = dm_rows_bytes_read(from[1]);
    for (int level = 0; level < s[0].levels; level++) {
        for (int streamed = 0; streamed < 2; streamed++) {
            assert_int_equal(dm_row_sample_use(&s[streamed], level), DEMARC_OK);
            check_pass(&s[streamed]);
        }
        const int64_t n = dm_row_sample_rows(&s[0]);
        assert_true(n == dm_row_sample_rows(&s[1]));
        assert_memory_equal(s[0].strip, s[1].strip, (size_t)(n / DM_STRIP_ROWS) * sizeof *s[0].strip);
        assert_memory_equal(s[0].x, s[1].x, (size_t)(n * D) * sizeof *s[0].x);
        assert_memory_equal(s[0].w, s[1].w, (size_t)n * sizeof *s[0].w);
    }
    assert_true(dm_rows_bytes_read(from[1]) == read);
    for (int i = 0; i < 2; i++) {
        dm_row_sample_destroy(&s[i]);
        dm_rows_close(&from[i]);
    }
    dm_customers_close(&file);
    dm_transform_destroy(&as_it_is);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strips_lie_where_they_should), cmocka_unit_test(strips_are_drawn_evenly),
        cmocka_unit_test(every_layout_draws_the_same),  cmocka_unit_test(too_small_a_file),
        cmocka_unit_test(passes_give_every_row_once),   cmocka_unit_test(streamed_is_the_same),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
