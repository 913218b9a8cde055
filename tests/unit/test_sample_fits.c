/*
 * Many small fits at once: which customers the sample holds, that a fit ends where a plain weighted Lloyd from the true
 * places ends, that labels and objective are those of the definition, that threads change nothing, that an error gets out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/sample_fits.h"
#include "rows/rows_private.h"

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

static uint64_t random_state;

static double uniform(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53 * 2.0 - 1.0;
}

/* ------------------------------------------------------------------------------------------------ sample */

enum { D = 2, MOST_ROWS = 150000 };
static float shard[MOST_ROWS * D], weight[MOST_ROWS];

static struct dm_rows rows_of(int64_t n, bool weighted, int threads)
{
    for (int64_t r = 0; r < n; r++) {
        for (int64_t f = 0; f < D; f++) shard[r * D + f] = (float)r + 0.25f * (float)f;
        weight[r] = (float)(r % 1000) * 0.5f;
    }
    return (struct dm_rows){.o = {.comm = comm, .log = &quiet, .threads = threads},
                            .n = n,
                            .range = {0, n},
                            .d = D,
                            .stored = D,
                            .weighted = weighted,
                            .have_scaled = true,
                            .shard = shard,
                            .weight = weighted ? weight : NULL};
}

static int by_value(const void *a, const void *b)
{
    const uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;
    return p < q ? -1 : p > q;
}

static void small_files_are_taken_whole(void **state)
{
    (void)state;
    struct dm_rows rows = rows_of(DM_SAMPLE_ALL, true, 2);
    dm_fit_sample s;
    assert_int_equal(dm_fit_sample_draw(&s, &rows, 5), DEMARC_OK);
    assert_int_equal(s.m, DM_SAMPLE_ALL);
    for (int64_t i = 0; i < s.m; i++) {
        assert_int_equal(s.row[i], i);
        assert_true(s.x[i * D + 1] == (float)i + 0.25f && s.w[i] == weight[i]);
    }
    dm_fit_sample_clear(&s);
}

static uint64_t key_of(uint64_t seed, int64_t row)
{
    const dm_random4 r = dm_random(seed, DM_PURPOSE_FIT_SAMPLE, 0, (uint64_t)row);
    return ((uint64_t)r.v[0] << 32) | r.v[1];
}

static void large_files_are_drawn_from(void **state)
{
    (void)state;
    static uint64_t key[MOST_ROWS];
    const int64_t n = MOST_ROWS;
    for (int64_t i = 0; i < n; i++) key[i] = key_of(5, i);
    qsort(key, (size_t)n, sizeof *key, by_value);
    for (int threads = 1; threads <= 4; threads++) {
        struct dm_rows rows = rows_of(n, false, threads);
        dm_fit_sample s;
        assert_int_equal(dm_fit_sample_draw(&s, &rows, 5), DEMARC_OK);
        assert_int_equal(s.m, DM_SAMPLE_ROWS);
        assert_null(s.w);
        for (int64_t i = 0; i < s.m; i++) {
            assert_true(i == 0 || s.row[i] > s.row[i - 1]);
            assert_true(key_of(5, s.row[i]) < key[DM_SAMPLE_ROWS]);
            assert_true(s.x[i * D] == (float)s.row[i]);
        }
        dm_fit_sample_clear(&s);
    }
}

static void wide_files_give_smaller_samples(void **state)
{
    (void)state;
    assert_int_equal(dm_fit_sample_size(1, 3), 1);
    assert_int_equal(dm_fit_sample_size(65536, 64), 65536);
    assert_int_equal(dm_fit_sample_size(65536, 65), 32768);
    assert_int_equal(dm_fit_sample_size(INT64_C(1) << 40, 128), 32768);
    assert_int_equal(dm_fit_sample_size(INT64_C(1) << 40, 1024), 4096);
    assert_int_equal(dm_fit_sample_size(1000, 1024), 1000);
}

/* ------------------------------------------------------------------------------------------------ fits */

enum { M = 9000, K = 4, TASKS = 23 }; /* more than seed a fit */
static float point[M * D];
static double point_weight[M];

/* K places ten times farther apart than their points; some points of weight 0 lie far out. */
static void make_points(void)
{
    random_state = 3;
    for (int64_t i = 0; i < M; i++) {
        for (int64_t f = 0; f < D; f++) point[i * D + f] = (float)(uniform() + (f == 0 ? 10.0 * (double)(i % K) : 0.0));
        point_weight[i] = i % 7 == 0 ? 0.0 : (double)(1 + i % 3);
        if (i % 7 == 0) point[i * D] += 1e4f;
    }
}

static double brute(const double *c, int32_t *label)
{
    double total = 0.0;
    for (int64_t i = 0; i < M; i++) {
        double least = INFINITY;
        for (int32_t j = 0; j < K; j++) {
            double q = 0.0;
            for (int64_t f = 0; f < D; f++) q += pow((double)point[i * D + f] - c[j * D + f], 2.0);
            if (q < least) {
                least = q;
                label[i] = j;
            }
        }
        total += point_weight[i] * least;
    }
    return total;
}

/* Weighted Lloyd from the true places. */
static double lloyd(double *c)
{
    static int32_t label[M];
    for (int32_t j = 0; j < K; j++) {
        c[j * D] = 10.0 * j;
        c[j * D + 1] = 0.0;
    }
    for (int pass = 0; pass < 20; pass++) {
        double sum[K * D] = {0.0}, total[K] = {0.0};
        (void)brute(c, label);
        for (int64_t i = 0; i < M; i++) {
            total[label[i]] += point_weight[i];
            for (int64_t f = 0; f < D; f++) sum[label[i] * D + f] += point_weight[i] * (double)point[i * D + f];
        }
        for (int32_t j = 0; j < K * D; j++) c[j] = sum[j] / total[j / D];
    }
    return brute(c, label);
}

static demarc_status one_fit(void *context, dm_fitter *f, int64_t task, double *out)
{
    static _Thread_local int32_t label[M];
    double c[K * D];
    (void)context;
    demarc_status st = dm_fitter_fit(f, point, point_weight, M, K, (uint64_t)task, c);
    out[0] = dm_fitter_label(f, c, K, point, point_weight, M, label);
    memcpy(out + 1, c, sizeof c);
    return st;
}

static demarc_status failing(void *context, dm_fitter *f, int64_t task, double *out)
{
    (void)context;
    (void)f;
    out[0] = 0.0;
    return task == 7 ? dm_fail(DEMARC_ERR_DATA, "task 7 of the test") : DEMARC_OK;
}

static dm_fit_tasks tasks_of(int threads, dm_fit_task_fn fn)
{
    return (dm_fit_tasks){.comm = comm,
                          .kernel = dmk_variant(dmk_variant_find("auto")),
                          .threads = threads,
                          .most = M,
                          .d = D,
                          .most_k = K,
                          .seed = 11,
                          .fn = fn};
}

static void fits_end_at_the_optimum_whoever_makes_them(void **state)
{
    (void)state;
    enum { WIDTH = 1 + K * D };
    static double out[TASKS * WIDTH], first[TASKS * WIDTH];
    double best_centers[K * D];
    make_points();
    const double best = lloyd(best_centers);
    for (int threads = 1; threads <= 4; threads++) {
        const dm_fit_tasks o = tasks_of(threads, one_fit);
        assert_int_equal(dm_fit_tasks_run(&o, TASKS, WIDTH, out), DEMARC_OK);
        if (threads == 1) memcpy(first, out, sizeof first);
        assert_memory_equal(out, first, sizeof first);
    }
    for (int t = 0; t < TASKS; t++) {
        static int32_t label[M];
        assert_true(fabs(out[t * WIDTH] - best) <= 1e-9 * best);
        assert_true(fabs(brute(out + t * WIDTH + 1, label) - out[t * WIDTH]) <= 1e-9 * best);
    }
}

static void labels_are_the_nearest(void **state)
{
    (void)state;
    static int32_t label[M], expected[M];
    dm_fitter f;
    make_points();
    assert_int_equal(dm_fitter_create(&f, dmk_variant(dmk_variant_find("auto")), 0, M, D, K, 1), DEMARC_OK);
    for (int t = 0; t < 50; t++) {
        double c[K * D];
        for (int i = 0; i < K * D; i++) c[i] = 20.0 * uniform();
        const double objective = dm_fitter_label(&f, c, K, point, point_weight, M, label);
        assert_true(fabs(brute(c, expected) - objective) <= 1e-12 * objective);
        assert_memory_equal(label, expected, sizeof label);
    }
    dm_fitter_destroy(&f);
}

static void errors_get_out(void **state)
{
    (void)state;
    double out[TASKS];
    for (int threads = 1; threads <= 4; threads++) {
        const dm_fit_tasks o = tasks_of(threads, failing);
        assert_int_equal(dm_fit_tasks_run(&o, TASKS, 1, out), DEMARC_ERR_DATA);
        assert_string_equal(dm_error_line(), "task 7 of the test");
        dm_error_set("");
    }
    dm_fitter f;
    double c[K * D];
    const double none[M] = {1.0, 1.0, 1.0};
    assert_int_equal(dm_fitter_create(&f, dmk_variant(0), 0, M, D, K, 1), DEMARC_OK);
    assert_int_equal(dm_fitter_fit(&f, point, none, M, K, 0, c), DEMARC_ERR_IMPOSSIBLE);
    dm_fitter_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files_are_taken_whole),     cmocka_unit_test(large_files_are_drawn_from),
        cmocka_unit_test(wide_files_give_smaller_samples), cmocka_unit_test(fits_end_at_the_optimum_whoever_makes_them),
        cmocka_unit_test(labels_are_the_nearest),          cmocka_unit_test(errors_get_out),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
