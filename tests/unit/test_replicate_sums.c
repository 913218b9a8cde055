/*
 * Poisson bootstrap in tiles: every sum equal to integers added one by one here with dm_replicate_weight, whatever the
 * order of the rows, the threads, the kernels, the queues and the windows; and weights that are Poisson(1), independent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "linalg/distance.h"
#include "linalg/replicate_sums.h"
#include "stats/distributions.h"

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

enum { N = 6000, VALUES = 6, SEED = 77 };

/* Entries: row, cell, values. Whole numbers, a bound that is a power of two, others, one that is always 0. */
typedef struct entry {
    int64_t row;
    int32_t cell;
    double y[VALUES];
} entry;

static const bool whole[VALUES] = {true, false, false, true, false, false};
static const double bound[VALUES] = {1.0, 4.0, 3.7e-5, 2048.0, 0.0, 123456.78};
static entry entries[N];
static dm_comm *comm;

static void make_entries(int32_t cells)
{
    random_state = 5;
    for (int i = 0; i < N; i++) {
        entry *e = &entries[i];
        e->row = below(3) == 0 ? (INT64_C(1) << 33) + i / 2 : i / 2; /* a row in two cells; rows beyond 32 bits */
        e->cell = below(4) == 0 ? cells - 1 : below(cells);
        for (int v = 0; v < VALUES; v++) {
            const double at = below(5) == 0 ? (below(2) == 0 ? 1.0 : -1.0) : uniform();
            e->y[v] = whole[v] ? rint(at * bound[v]) : at * bound[v];
        }
        e->y[0] = 1.0;
    }
}

static int create(void **state)
{
    (void)state;
    dm_blas_init();
    return dm_comm_create(&comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    dm_comm_destroy(&comm);
    return 0;
}

/* Value on the grid that the header promises, in units of *unit. */
static int64_t on_grid(int v, double y, long double *unit)
{
    *unit = 1.0L;
    if (whole[v] || bound[v] == 0.0) return (int64_t)y;
    int power = 0;
    while (ldexp(1.0, power) < bound[v]) power++;
    while (ldexp(1.0, power - 1) >= bound[v]) power--;
    *unit = ldexpl(1.0L, power - DM_REPLICATE_BITS);
    return (int64_t)rintl((long double)y / *unit);
}

/* want [replicates, cells, VALUES] in the order added; *slack: what rounding to the grid may cost. */
static double *by_hand(int32_t replicates, int32_t cells)
{
    double *want = calloc((size_t)replicates * (size_t)cells * VALUES, sizeof *want);
    int64_t *sum = calloc((size_t)cells * VALUES, sizeof *sum);
    long double *plain = calloc((size_t)cells * VALUES, sizeof *plain), unit = 0.0L;
    assert_true(want != NULL && sum != NULL && plain != NULL);
    for (int32_t r = 0; r < replicates; r++) {
        memset(sum, 0, (size_t)cells * VALUES * sizeof *sum);
        memset(plain, 0, (size_t)cells * VALUES * sizeof *plain);
        for (int i = 0; i < N; i++) {
            const int32_t w = dm_replicate_weight(SEED, r, entries[i].row);
            for (int v = 0; v < VALUES; v++) {
                sum[entries[i].cell * VALUES + v] += w * on_grid(v, entries[i].y[v], &unit);
                plain[entries[i].cell * VALUES + v] += (long double)w * (long double)entries[i].y[v];
            }
        }
        for (int at = 0; at < cells * VALUES; at++) {
            (void)on_grid(at % VALUES, 0.0, &unit);
            const long double got = (long double)sum[at] * unit;
            assert_true(fabsl(got - plain[at]) <= 1e-6L * (long double)bound[at % VALUES]); /* 2 N rows, 2^-37 each */
            want[(size_t)r * (size_t)cells * VALUES + (size_t)at] = (double)got;
        }
    }
    free(sum);
    free(plain);
    return want;
}

typedef struct feeder {
    dm_replicates *r;
    const int *order;
    int thread, threads;
} feeder;

static void *feed(void *argument)
{
    const feeder *f = argument;
    for (int i = f->thread; i < N; i += f->threads) {
        const entry *e = &entries[f->order[i]];
        dm_replicates_add(f->r, f->thread, e->row, e->cell, e->y);
    }
    return NULL;
}

/* All windows by `threads` threads at once, rows in the order given; returns the number of windows. */
static int check_case(const dm_replicates_options *o, const int *order, const double *want)
{
    dm_replicates *r = NULL;
    int windows = 0;
    int32_t first = 0, count = 0, next = 0;
    assert_int_equal(dm_replicates_create(&r, o), DEMARC_OK);
    while (dm_replicates_next(r, &first, &count)) {
        pthread_t id[8];
        feeder f[8];
        assert_int_equal(first, next);
        assert_true(count >= 1 && first + count <= o->replicates);
        for (int t = 0; t < o->threads; t++) {
            f[t] = (feeder){r, order, t, o->threads};
            assert_int_equal(pthread_create(&id[t], NULL, feed, &f[t]), 0);
        }
        for (int t = 0; t < o->threads; t++) pthread_join(id[t], NULL);
        assert_int_equal(dm_replicates_reduce(r, comm), DEMARC_OK);
        for (int32_t i = 0; i < count; i++) {
            for (int32_t c = 0; c < o->cells; c++) {
                for (int32_t v = 0; v < VALUES; v++) {
                    const double w = want[((int64_t)(first + i) * o->cells + c) * VALUES + v];
                    assert_true(dm_replicates_sum(r, c, v, i) == w);
                }
            }
        }
        next = first + count;
        windows++;
    }
    assert_int_equal(next, o->replicates);
    double flops = 0.0, sgemm = 0.0, draw = 0.0;
    dm_replicates_work(r, &flops, &sgemm, &draw);
    assert_true(flops >= 2.0 * 9 * N * o->replicates && sgemm > 0.0 && draw > 0.0); /* 1 + 3 + 3 + 1 + 3 digits */
    dm_replicates_destroy(&r);
    assert_null(r);
    return windows;
}

static void equal_to_integers_by_hand(void **state)
{
    (void)state;
    static const struct {
        int32_t replicates, cells;
    } size[] = {{1, 1}, {63, 3}, {64, 200}, {65, 1}, {300, 7}, {130, 1000}};
    static int order[N];
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        make_entries(size[s].cells);
        double *want = by_hand(size[s].replicates, size[s].cells);
        for (int turn = 0; turn < 6; turn++) {
            for (int i = 0; i < N; i++) order[i] = i;
            for (int i = N - 1; turn > 0 && i > 0; i--) {
                const int j = below(i + 1), t = order[i];
                order[i] = order[j];
                order[j] = t;
            }
            const int variant = turn % dmk_variant_count();
            const dm_replicates_options o = {.seed = SEED,
                                             .replicates = size[s].replicates,
                                             .cells = size[s].cells,
                                             .values = VALUES,
                                             .bound = bound,
                                             .whole = whole,
                                             .n_global = N,
                                             .threads = 1 + turn % 3,
                                             .budget = turn < 3 ? 1 << 28 : 1, /* 1: the least of everything */
                                             .kernel = dmk_variant_supported(variant) ? dmk_variant(variant) : NULL};
            const int windows = check_case(&o, order, want);
            assert_int_equal(windows, turn < 3 ? 1 : (size[s].replicates + 63) / 64);
        }
        free(want);
    }
}

/* The 16 bits that a weight is made of, by the order that dmk.h states. */
static double uniform_of(uint64_t seed, int32_t replicate, int64_t row)
{
    const int32_t i = replicate % 64;
    const dm_random4 r =
        dm_random(seed, DM_PURPOSE_BOOTSTRAP, (uint64_t)(replicate / 64 * 8 + i % 16 / 2), (uint64_t)row);
    const uint32_t word = r.v[2 * (i / 32) + i % 2];
    return (i / 16 % 2 == 0 ? word & 0xffff : word >> 16);
}

/* P(X <= count) of a Poisson variable of mean 1: the sum of exp(-1) / w!, the smallest first. */
static double poisson_cdf(int count)
{
    double sum = 0.0;
    for (int w = count; w >= 0; w--) sum += 1.0 / tgamma(w + 1.0);
    return sum * exp(-1.0);
}

/* Weights of many replicates: each by inversion, mean, variance, every probability, chi-squared. */
static void weights_are_poisson(void **state)
{
    (void)state;
    enum { ROWS = 4000, R = 1000 };
    int64_t seen[16] = {0};
    double sum = 0.0, squares = 0.0;
    double limit[10];
    for (int w = 0; w < 10; w++) limit[w] = 65536.0 - rint(65536.0 * (1.0 - poisson_cdf(w)));
    for (int32_t r = 0; r < R; r++) {
        for (int64_t i = 0; i < ROWS; i++) {
            const int32_t w = dm_replicate_weight(3, r, i);
            const double u = uniform_of(3, r, i);
            assert_in_range(w, 0, 8);
            assert_true(u < limit[w] && (w == 0 || u >= limit[w - 1]));
            seen[w]++;
            sum += w;
            squares += (w - 1.0) * (w - 1.0);
        }
    }
    const double n = (double)ROWS * R;
    assert_true(fabs(sum / n - 1.0) < 5.0 / sqrt(n));
    assert_true(fabs(squares / n - 1.0) < 5.0 * sqrt(3.0 / n));
    double chi = 0.0, tail = 0.0;
    for (int w = 0; w <= 8; w++) {
        /* Probabilities in units of 2^-16: what is counted is the rounded tail's */
        const double above = rint(65536.0 * (1.0 - poisson_cdf(w))),
                     before = w == 0 ? 65536.0 : rint(65536.0 * (1.0 - poisson_cdf(w - 1)));
        const double expected = n * (before - above) / 65536.0;
        chi += ((double)seen[w] - expected) * ((double)seen[w] - expected) / expected;
        tail += above;
        /* and beside Poisson(1) itself, less than half a unit off at either end */
        const double poisson = poisson_cdf(w) - (w == 0 ? 0.0 : poisson_cdf(w - 1));
        assert_true(fabs((before - above) / 65536.0 - poisson) <= 1.0 / 65536.0);
    }
    assert_true(tail == 65536.0); /* the mean is exactly 1 */
    assert_true(dm_chi_squared_sf(chi, 8.0) > 1e-4);
    assert_true(fabs((double)seen[0] / n - exp(-1.0)) < 5.0 * sqrt(0.24 / n) + 1.0 / 65536.0);
}

/* No two replicates of two groups share a number, nor two neighbouring rows: all correlations are small. */
static void weights_are_independent(void **state)
{
    (void)state;
    enum { ROWS = 5000, R = 2 * DMK_COUNTS };
    static double w[R][ROWS + 1];
    for (int32_t r = 0; r < R; r++) {
        for (int64_t i = 0; i <= ROWS; i++) w[r][i] = dm_replicate_weight(9, r, i) - 1.0;
    }
    for (int a = 0; a < R; a++) {
        for (int b = 0; b <= a; b++) {
            double same = 0.0, next = 0.0;
            for (int i = 0; i < ROWS; i++) {
                same += w[a][i] * w[b][i];
                next += w[a][i] * w[b][i + 1];
            }
            if (a != b) assert_true(fabs(same / ROWS) < 6.0 / sqrt(ROWS));
            assert_true(fabs(next / ROWS) < 6.0 / sqrt(ROWS));
        }
    }
}

static void weights_depend_on_all_keys(void **state)
{
    (void)state;
    int seed = 0, replicate = 0, high = 0;
    for (int32_t i = 0; i < 1000; i++) {
        const int32_t w = dm_replicate_weight(1, i, i);
        seed += w != dm_replicate_weight(UINT64_C(1) << 32 | 1, i, i);
        replicate += w != dm_replicate_weight(1, i + 64 * 1000, i);
        high += w != dm_replicate_weight(1, i, i + (INT64_C(1) << 32));
        assert_int_equal(w, dm_replicate_weight(1, i, i));
    }
    /* Two independent weights are equal with probability 0.309 */
    assert_in_range(seed, 600, 780);
    assert_in_range(replicate, 600, 780);
    assert_in_range(high, 600, 780);
}

static void weights_of_many_rows(void **state)
{
    (void)state;
    enum { ROWS = 30, GROUPS = 2, LD = GROUPS * DMK_COUNTS + 3 };
    static float out[ROWS * LD];
    int64_t key[ROWS];
    for (int r = 0; r < ROWS; r++) key[r] = (int64_t)((uint64_t)r * UINT64_C(0x9e3779b97f4a7c15));
    for (int v = 0; v < dmk_variant_count(); v++) {
        if (!dmk_variant_supported(v)) continue;
        dm_replicate_weights(dmk_variant(v), 7, 3 * DMK_COUNTS, key, ROWS, GROUPS, out, LD);
        for (int r = 0; r < ROWS; r++) {
            for (int32_t i = 0; i < GROUPS * DMK_COUNTS; i++)
                assert_true(out[r * LD + i] == (float)dm_replicate_weight(7, 3 * DMK_COUNTS + i, key[r]));
        }
    }
}

/* All rows at the bound, or with the largest digits, and the grid that the number of rows leaves. */
static void large_sums_are_exact(void **state)
{
    (void)state;
    const double least = 5e-324, digits = (0x0fff + 0x0fff * 0x1p13) * 0x1p-39 + 0x1p-4;
    const double edge[4] = {0x1p-3, least, 0x1p-3, 1.0}, y[4] = {-0x1p-3, least, digits, 1.0 / 3.0};
    const struct {
        int64_t n;
        int bits;
    } size[] = {{1000, 36},
                {INT64_C(1) << 25, 36},
                {(INT64_C(1) << 25) + 1, 35},
                {INT64_C(1) << 30, 31},
                {DM_REPLICATE_MOST_ROWS, 21}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        dm_replicates *r = NULL;
        int32_t first = 0, count = 0, weights = 0;
        const dm_replicates_options o = {.replicates = 1,
                                         .cells = 1,
                                         .values = 4,
                                         .bound = edge,
                                         .n_global = size[i].n,
                                         .threads = 1,
                                         .budget = 1 << 20};
        assert_int_equal(dm_replicates_create(&r, &o), DEMARC_OK);
        assert_true(dm_replicates_next(r, &first, &count));
        for (int64_t row = 0; row < 5000; row++) {
            dm_replicates_add(r, 0, row, 0, y);
            weights += dm_replicate_weight(0, 0, row);
        }
        assert_int_equal(dm_replicates_reduce(r, comm), DEMARC_OK);
        assert_true(dm_replicates_sum(r, 0, 0, 0) == -0x1p-3 * weights);
        assert_true(fabs(dm_replicates_sum(r, 0, 1, 0)) < 1e-200);
        if (size[i].bits == 36) assert_true(dm_replicates_sum(r, 0, 2, 0) == digits * weights);
        assert_true(dm_replicates_sum(r, 0, 3, 0) == ldexp(rint(ldexp(y[3], size[i].bits)), -size[i].bits) * weights);
        dm_replicates_destroy(&r);
    }
}

static void nothing_to_do(void **state)
{
    (void)state;
    dm_replicates *r = NULL;
    int32_t first = 0, count = 0;
    const double zero[1] = {0.0}, y[1] = {0.0};
    dm_replicates_options o = {
        .replicates = 5, .cells = 2, .values = 1, .bound = zero, .threads = 2, .budget = 1 << 20};
    assert_int_equal(dm_replicates_create(&r, &o), DEMARC_OK);
    assert_true(dm_replicates_next(r, &first, &count));
    assert_int_equal(count, 5);
    dm_replicates_add(r, 1, 0, 1, y);
    assert_int_equal(dm_replicates_reduce(r, comm), DEMARC_OK);
    assert_true(dm_replicates_sum(r, 1, 0, 4) == 0.0);
    assert_false(dm_replicates_next(r, &first, &count));
    dm_replicates_destroy(&r);
    dm_replicates_destroy(&r);
    o.n_global = DM_REPLICATE_MOST_ROWS + 1;
    assert_int_equal(dm_replicates_create(&r, &o), DEMARC_ERR_IMPOSSIBLE);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_integers_by_hand),
        cmocka_unit_test(weights_are_poisson),
        cmocka_unit_test(weights_are_independent),
        cmocka_unit_test(weights_depend_on_all_keys),
        cmocka_unit_test(weights_of_many_rows),
        cmocka_unit_test(large_sums_are_exact),
        cmocka_unit_test(nothing_to_do),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
