/*
 * Sums of the rows of each segment: equal to 128-bit integers added one by one here, close to long double, and the same
 * bits whatever the threads, the pieces and the kernels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/row_blocks.h"
#include "kmeans/segment_sums.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }
static double uniform(void) { return (double)(random64() >> 11) * 0x1p-53 * 2.0 - 1.0; }

enum { N = 3 * DM_BLOCK_ROWS + 1234, D = 7, K = 5 };

typedef struct sample {
    dm_comm *comm;
    float x[N * D], w[N];
    int32_t label[N];
    double bound[D];
    float weight_high;
} sample;
static sample data;
/* No segment: where rows come from that are added. */
static int32_t none[N];

static int create(void **state)
{
    (void)state;
    random_state = 1;
    for (int f = 0; f < D; f++) data.bound[f] = f == 0 ? 0.0 : ldexp(0.5 + 0.5 * fabs(uniform()), 20 * (f - 3));
    for (int i = 0; i < N; i++) {
        for (int f = 0; f < D; f++) {
            const double v = data.bound[f] * (below(3) == 0 ? (below(2) == 0 ? 1.0 : -1.0) : uniform());
            const float u = (float)v;
            data.x[i * D + f] = fabs((double)u) > data.bound[f] ? 0.0f : u;
        }
        none[i] = -1;
        data.w[i] = below(7) == 0 ? 0.0f : (float)(37.5 * fabs(uniform()));
        data.label[i] = below(K - 1); /* segment K - 1 stays empty */
        if (data.w[i] > data.weight_high) data.weight_high = data.w[i];
    }
    return dm_comm_create(&data.comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    dm_comm_destroy(&data.comm);
    return 0;
}

static const dmk_table *kernel_of(const char *name) { return dmk_variant(dmk_variant_find(name)); }

static dm_sum_grid new_grid(bool weighted)
{
    dm_sum_grid g;
    assert_int_equal(dm_sum_grid_create(&g, D, data.bound, weighted, (double)data.weight_high), DEMARC_OK);
    return g;
}

/* Rows in pieces of random length (at most a block), each added by a random thread. */
static dm_segment_sums add_all(const dm_sum_grid *g, const dmk_table *kernel, int threads, int most, bool weighted)
{
    dm_segment_sums s;
    assert_int_equal(dm_segment_sums_create(&s, K + 2, D, threads), DEMARC_OK);
    dm_segment_sums_start(&s, K);
    int rows = 0;
    for (int at = 0; at < N; at += rows) {
        rows = most == DM_BLOCK_ROWS ? most : 1 + below(most);
        if (rows > N - at) rows = N - at;
        dm_segment_sums_move(&s, g, kernel, below(threads), data.x + at * D, weighted ? data.w + at : NULL, none,
                             data.label + at, rows);
    }
    assert_int_equal(dm_segment_sums_reduce(&s, data.comm), DEMARC_OK);
    return s;
}

static void check_exact(bool weighted)
{
    dm_sum_grid g = new_grid(weighted);
    dm_segment_sums s = add_all(&g, kernel_of("auto"), 1, DM_BLOCK_ROWS, weighted);
    static dm_int128 sum[K * (D + 1)];
    static long double direct[K * D], direct_weight[K];
    int64_t count[K] = {0}, rows[K] = {0};
    memset(sum, 0, sizeof sum);
    memset(direct, 0, sizeof direct);
    memset(direct_weight, 0, sizeof direct_weight);
    for (int i = 0; i < N; i++) {
        const int j = data.label[i];
        const long double w = weighted ? (long double)data.w[i] : 1.0L;
        for (int f = 0; f < D; f++) {
            const long double v = w * (long double)data.x[i * D + f];
            const long double term = rintl(v * (long double)g.scale[f]);
            assert_true(fabsl(term) <= 0x1p40L);
            sum[j * D + f] += (dm_int128)term;
            direct[j * D + f] += v;
        }
        sum[K * D + j] += (dm_int128)rintl(w * (long double)g.weight_scale);
        direct_weight[j] += w;
        count[j] += !weighted || data.w[i] > 0.0f;
        rows[j]++;
    }
    assert_memory_equal(s.total, sum, sizeof sum);
    for (int j = 0; j < K; j++) {
        assert_true(dm_segment_sums_count(&s, j) == count[j]);
        const long double half = (long double)rows[j] * 0.5L;
        const long double weight = (long double)dm_segment_sums_weight(&s, &g, j);
        if (!weighted) assert_true(weight == (long double)rows[j]);
        assert_true(fabsl(weight - direct_weight[j]) <= half / (long double)g.weight_scale + weight * 0x1p-52L);
        for (int f = 0; f < D; f++) {
            const long double v = (long double)dm_segment_sums_value(&s, &g, j, f);
            assert_true(fabsl(v - direct[j * D + f]) <= half / (long double)g.scale[f] + fabsl(v) * 0x1p-52L);
            /* what the grid costs: less than 2^-37 of the bound a row */
            const long double grain = (long double)data.bound[f] * (weighted ? (long double)data.weight_high : 1.0L);
            assert_true(fabsl(v - direct[j * D + f]) <= (long double)rows[j] * grain * 0x1p-37L + fabsl(v) * 0x1p-52L);
        }
        double mean[D];
        for (int f = 0; f < D; f++) mean[f] = -77.0;
        assert_int_equal(dm_segment_sums_mean(&s, &g, j, mean), rows[j] > 0);
        for (int f = 0; f < D; f++) {
            if (rows[j] == 0) {
                assert_true(mean[f] == -77.0); /* an empty segment leaves it alone */
            } else {
                const long double m = direct[j * D + f] / direct_weight[j];
                assert_true(fabsl((long double)mean[f] - m) <= (long double)data.bound[f] * 0x1p-32L);
            }
        }
    }
    dm_segment_sums_destroy(&s);
    dm_sum_grid_destroy(&g);
}

static void exact_without_weights(void **state)
{
    (void)state;
    check_exact(false);
}

static void exact_with_weights(void **state)
{
    (void)state;
    check_exact(true);
}

static void any_split_gives_the_same_bits(void **state)
{
    (void)state;
    random_state = 2;
    for (int weighted = 0; weighted < 2; weighted++) {
        dm_sum_grid g = new_grid(weighted != 0);
        dm_segment_sums want = add_all(&g, kernel_of("ref"), 1, DM_BLOCK_ROWS, weighted != 0);
        for (int t = 0; t < 12; t++) {
            for (int v = 0; v < dmk_variant_count(); v++) {
                if (!dmk_variant_supported(v)) continue;
                const int most[] = {1, 7, 100, 1000, DM_BLOCK_ROWS};
                dm_segment_sums s = add_all(&g, dmk_variant(v), 1 + t, most[t % 5], weighted != 0);
                assert_memory_equal(s.total, want.total, K * (D + 1) * sizeof *s.total);
                assert_memory_equal(s.count, want.count, K * sizeof *s.count);
                assert_true(dm_segment_sums_equal(&s, &want));
                dm_segment_sums_destroy(&s);
            }
        }
        dm_segment_sums_destroy(&want);
        dm_sum_grid_destroy(&g);
    }
}

/* A weight of 2 is the row twice; a weight of 0 is no row. */
static void weights_are_repetitions(void **state)
{
    (void)state;
    enum { M = 300 };
    static float twice[2 * M * D], w[M];
    static int32_t label[2 * M];
    int rows = 0;
    for (int i = 0; i < M; i++) {
        w[i] = (float)(i % 3);
        for (int t = 0; t < i % 3; t++) {
            memcpy(twice + rows * D, data.x + i * D, D * sizeof *twice);
            label[rows++] = data.label[i];
        }
    }
    dm_sum_grid g;
    assert_int_equal(dm_sum_grid_create(&g, D, data.bound, true, 2.0), DEMARC_OK);
    static float ones[2 * M];
    for (int i = 0; i < rows; i++) ones[i] = 1.0f;
    dm_segment_sums a, b;
    assert_int_equal(dm_segment_sums_create(&a, K, D, 1), DEMARC_OK);
    assert_int_equal(dm_segment_sums_create(&b, K, D, 1), DEMARC_OK);
    dm_segment_sums_move(&a, &g, kernel_of("auto"), 0, data.x, w, none, data.label, M);
    dm_segment_sums_move(&b, &g, kernel_of("auto"), 0, twice, ones, none, label, rows);
    assert_int_equal(dm_segment_sums_reduce(&a, data.comm), DEMARC_OK);
    assert_int_equal(dm_segment_sums_reduce(&b, data.comm), DEMARC_OK);
    for (int j = 0; j < K; j++) {
        assert_true(dm_segment_sums_weight(&a, &g, j) == dm_segment_sums_weight(&b, &g, j));
        for (int f = 0; f < D; f++) { /* up to the grid: 2 x rounds once, x + x twice */
            const double gap = dm_segment_sums_value(&a, &g, j, f) - dm_segment_sums_value(&b, &g, j, f);
            assert_true(fabs(gap) <= 1.5 * M / g.scale[f]);
        }
    }
    assert_false(dm_segment_sums_equal(&a, &b)); /* other counts: 200 customers against 300 */
    dm_segment_sums_destroy(&a);
    dm_segment_sums_destroy(&b);
    dm_sum_grid_destroy(&g);
}

/* A sum whose last customer leaves: adding and starting again leave no trace. */
static void starting_again(void **state)
{
    (void)state;
    dm_sum_grid g = new_grid(false);
    dm_segment_sums s = add_all(&g, kernel_of("auto"), 3, 500, false);
    dm_segment_sums_start(&s, 2); /* fewer segments than before */
    for (int t = 0; t < 3; t++) {
        const int32_t label[2] = {1, 0};
        dm_segment_sums_move(&s, &g, kernel_of("auto"), t, data.x + t * 2 * D, NULL, none, label, 2);
    }
    assert_int_equal(dm_segment_sums_reduce(&s, data.comm), DEMARC_OK);
    for (int j = 0; j < 2; j++) {
        assert_int_equal(dm_segment_sums_count(&s, j), 3);
        assert_true(dm_segment_sums_weight(&s, &g, j) == 3.0);
        for (int f = 0; f < D; f++) {
            dm_int128 want = 0;
            for (int t = 0; t < 3; t++) {
                want += (dm_int128)rint((double)data.x[(2 * t + 1 - j) * D + f] * g.scale[f]);
            }
            assert_true(dm_segment_sums_value(&s, &g, j, f) == (double)want / g.scale[f]);
        }
    }
    dm_segment_sums_destroy(&s);
    dm_sum_grid_destroy(&g);
}

/* Before the reduction a thread has touched its own part and no other: there is no lock. */
static void threads_keep_to_themselves(void **state)
{
    (void)state;
    enum { THREADS = 3, ROOM = K * (D + 1) };
    dm_sum_grid g = new_grid(true);
    dm_segment_sums s;
    assert_int_equal(dm_segment_sums_create(&s, K, D, THREADS), DEMARC_OK);
    for (int t = THREADS - 1; t >= 0; t--) {
        dm_segment_sums_move(&s, &g, kernel_of("auto"), t, data.x, data.w, none, data.label, 100);
        for (int other = 0; other < THREADS; other++) {
            int64_t held = 0;
            bool any = false;
            for (int i = 0; i < ROOM; i++) {
                any = any || s.part[other * ROOM + i] != 0;
                assert_true(s.total[other * ROOM + i] == 0); /* far from full */
            }
            for (int j = 0; j < K; j++) held += s.count[other * K + j];
            assert_int_equal(any, other >= t);
            assert_int_equal(held > 0, other >= t);
            assert_int_equal(s.pending[other], other >= t ? 100 : 0);
        }
    }
    dm_segment_sums_destroy(&s);
    dm_sum_grid_destroy(&g);
}

/* The sums of these labels from nothing. */
static dm_segment_sums from_scratch(const dm_sum_grid *g, const float *w, const int32_t *label, int32_t k)
{
    dm_segment_sums s;
    assert_int_equal(dm_segment_sums_create(&s, k, D, 1), DEMARC_OK);
    for (int at = 0; at < N; at += DM_BLOCK_ROWS) {
        const int rows = N - at < DM_BLOCK_ROWS ? N - at : DM_BLOCK_ROWS;
        dm_segment_sums_move(&s, g, kernel_of("ref"), 0, data.x + at * D, w == NULL ? NULL : w + at, none, label + at,
                             rows);
    }
    assert_int_equal(dm_segment_sums_reduce(&s, data.comm), DEMARC_OK);
    return s;
}

/*
 * Round after round some rows change segment (or leave all, or come back): what the changes add up to, put on top of what
 * was there, is what all rows added anew give, to the bit.
 */
static void moved_rows_are_as_if_added_anew(void **state)
{
    (void)state;
    random_state = 3;
    static int32_t old[N], new[N];
    for (int weighted = 0; weighted < 2; weighted++) {
        const float *w = weighted ? data.w : NULL;
        for (int v = 0; v < dmk_variant_count(); v++) {
            if (!dmk_variant_supported(v)) continue;
            const int threads = 1 + below(3);
            dm_sum_grid g = new_grid(weighted != 0);
            dm_segment_sums all, change;
            assert_int_equal(dm_segment_sums_create(&all, K, D, 1), DEMARC_OK);
            assert_int_equal(dm_segment_sums_create(&change, K, D, threads), DEMARC_OK);
            for (int i = 0; i < N; i++) old[i] = -1;
            for (int round = 0; round < 8; round++) {
                const int share = 1 + below(1 << round); /* fewer and fewer */
                for (int i = 0; i < N; i++) new[i] = below(share) == 0 ? below(K + 1) - 1 : old[i];
                if (round == 6) memset(new, 0xff, sizeof new); /* all leave: exactly nothing is left */
                dm_segment_sums_start(&change, K);
                for (int at = 0, rows = 0; at < N; at += rows) {
                    rows = 1 + below(DM_BLOCK_ROWS);
                    if (rows > N - at) rows = N - at;
                    dm_segment_sums_move(&change, &g, dmk_variant(v), below(threads), data.x + at * D,
                                         w == NULL ? NULL : w + at, old + at, new + at, rows);
                }
                assert_int_equal(dm_segment_sums_reduce(&change, data.comm), DEMARC_OK);
                dm_segment_sums_add(&change, &all);
                dm_segment_sums_copy(&all, &change);
                dm_segment_sums want = from_scratch(&g, w, new, K);
                assert_true(dm_segment_sums_equal(&all, &want));
                for (int i = 0; i < K * (D + 1) && round == 6; i++) assert_true(all.total[i] == 0);
                dm_segment_sums_destroy(&want);
                memcpy(old, new, sizeof old);
            }
            dm_segment_sums_destroy(&all);
            dm_segment_sums_destroy(&change);
            dm_sum_grid_destroy(&g);
        }
    }
}

/* More rows of the largest terms than an int64 holds: they are flushed in time, whichever way they go. */
static void more_rows_than_an_int64_holds(void **state)
{
    (void)state;
    enum { ROWS = DM_BLOCK_ROWS, CALLS = 5 * (1 << 21) / ROWS + 1 }; /* 2.5 times DM_FIXED_TERMS */
    static float x[ROWS];
    static int32_t zero[ROWS];
    const double bound[1] = {1.0};
    dm_sum_grid g;
    dm_segment_sums s;
    assert_int_equal(dm_sum_grid_create(&g, 1, bound, false, 1.0), DEMARC_OK);
    assert_int_equal(dm_segment_sums_create(&s, 1, 1, 1), DEMARC_OK);
    for (int r = 0; r < ROWS; r++) x[r] = 1.0f;
    for (int sign = 1; sign >= -1; sign -= 2) {
        dm_segment_sums_start(&s, 1);
        for (int i = 0; i < CALLS; i++) {
            dm_segment_sums_move(&s, &g, kernel_of("auto"), 0, x, NULL, sign > 0 ? none : zero, sign > 0 ? zero : none,
                                 ROWS);
            assert_true(s.pending[0] <= DM_FIXED_TERMS);
        }
        assert_int_equal(dm_segment_sums_reduce(&s, data.comm), DEMARC_OK);
        assert_true(s.total[0] == (dm_int128)(int64_t)g.scale[0] * CALLS * ROWS * sign);
        assert_true(s.total[1] == (dm_int128)CALLS * ROWS * sign);
        assert_true(dm_segment_sums_count(&s, 0) == (int64_t)CALLS * ROWS * sign);
    }
    dm_segment_sums_destroy(&s);
    dm_sum_grid_destroy(&g);
}

static void equal_and_copy(void **state)
{
    (void)state;
    dm_sum_grid g = new_grid(true);
    dm_segment_sums a = add_all(&g, kernel_of("auto"), 2, 900, true), b;
    assert_int_equal(dm_segment_sums_create(&b, K, D, 1), DEMARC_OK);
    assert_false(dm_segment_sums_equal(&a, &b));
    dm_segment_sums_copy(&b, &a);
    assert_true(dm_segment_sums_equal(&a, &b));
    b.total[K * D + 1] += 1; /* one grain of weight */
    assert_false(dm_segment_sums_equal(&a, &b));
    dm_segment_sums_copy(&b, &a);
    b.total[3] -= (dm_int128)1 << 64; /* in the high half */
    assert_false(dm_segment_sums_equal(&a, &b));
    dm_segment_sums_copy(&b, &a);
    b.count[K - 1] += 1; /* a customer of weight 0 moved */
    assert_false(dm_segment_sums_equal(&a, &b));
    dm_segment_sums_copy(&b, &a);
    b.k = K - 1;
    assert_false(dm_segment_sums_equal(&a, &b));
    dm_segment_sums_destroy(&a);
    dm_segment_sums_destroy(&b);
    dm_sum_grid_destroy(&g);
    assert_null(a.total);
    assert_null(g.scale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_without_weights),
        cmocka_unit_test(exact_with_weights),
        cmocka_unit_test(any_split_gives_the_same_bits),
        cmocka_unit_test(weights_are_repetitions),
        cmocka_unit_test(starting_again),
        cmocka_unit_test(equal_and_copy),
        cmocka_unit_test(threads_keep_to_themselves),
        cmocka_unit_test(moved_rows_are_as_if_added_anew),
        cmocka_unit_test(more_rows_than_an_int64_holds),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
