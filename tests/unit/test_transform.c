/* Original, working and scaled units: there and back, by the formulas of model_file.h; and through a model file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/model_file.h"

/* Feature: 0 plain, 1 Unix times, 2 logged money, 3 without weight, 4 logged without weight, 5 tiny, 6 huge. */
enum { D = 7, K = 3 };
static const struct {
    uint8_t log1p;
    double center, factor, origin;
} feature[D] = {
    {0, 3.0, 0.5, 2.5}, {0, 1.6e9, 1.0 / 3.1e7, 1.65e9}, {1, 2.0, 1.25, 3.5},     {0, 7.0, 0.0, 7.25},
    {1, 1.0, 0.0, 1.5}, {0, 1e-12, 1e12, 1.5e-12},       {0, -1e15, 1e-15, 2e15},
};
static const double original[D][5] = {
    {0.0, -4.75, 3.0, 1e6, 2.5},       {1.6e9, 1600000001.0, 0.0, 1.75e9, 1649999999.0},
    {0.0, 0.015625, 99.95, 1e6, -0.5}, {0.0, 1.0, 7.0, 1e9, -3.0},
    {0.0, 1.0, 7.0, 1e9, 0.25},        {0.0, 1e-12, 3e-12, -5e-12, 1e-9},
    {0.0, 1e15, -3e15, 7e15, 12345.0},
};

static void fill(dm_transform *t, double unit)
{
    assert_int_equal(dm_transform_create(t, D), DEMARC_OK);
    assert_true(t->d == D && t->unit == 1.0);
    t->unit = unit;
    for (int f = 0; f < D; f++) {
        t->log1p[f] = feature[f].log1p;
        t->center[f] = feature[f].center;
        t->factor[f] = feature[f].factor;
        t->origin[f] = feature[f].origin;
    }
}

/* |a - b| within `places` last places of a double of size `size`. */
static void near(double a, double b, double places, double size)
{
    if (!(fabs(a - b) <= places * 0x1p-52 * size)) fail_msg("%.17g is not %.17g", a, b);
}

static void there_and_back(void **state)
{
    (void)state;
    const double unit[] = {1.0, 0x1p40, 0x1p-60};
    for (int u = 0; u < 3; u++) {
        dm_transform t;
        fill(&t, unit[u]);
        for (int f = 0; f < D; f++) {
            for (int i = 0; i < 5; i++) {
                const double v = original[f][i], working = dm_transform_to_working(&t, f, v);
                const long double tv = feature[f].log1p ? log1pl((long double)v) : (long double)v;
                const long double want = (tv - feature[f].origin) * feature[f].factor / unit[u];
                const double reach = (double)(fabsl(tv) + fabsl((long double)feature[f].origin)) * feature[f].factor;
                near(working, (double)want, 8.0, reach / unit[u]);
                /* scaled = (T(v) - center) * factor, however it went through working */
                const long double scaled = (tv - feature[f].center) * feature[f].factor;
                const double far = reach + fabs(feature[f].center) * feature[f].factor;
                near(dm_transform_to_scaled(&t, f, working), (double)scaled, 16.0, far);
                const double back = dm_transform_to_original(&t, f, working);
                if (feature[f].factor == 0.0) { /* lost its place: the mean, in original units */
                    const double mean = feature[f].log1p ? expm1(feature[f].origin) : feature[f].origin;
                    assert_true(working == 0.0);
                    near(back, mean, 2.0, fabs(mean));
                } else if (feature[f].log1p) {
                    near(back, v, 16.0, (1.0 + fabs(v)) * (1.0 + fabs((double)tv) + fabs(feature[f].origin)));
                } else {
                    near(back, v, 8.0, fabs(v) + 2.0 * fabs(feature[f].origin));
                }
            }
        }
        dm_transform_destroy(&t);
        assert_null(t.factor);
    }
}

/* The origin is 0 in working space, exactly; the centre is 0 in scaled space. */
static void origin_and_center(void **state)
{
    (void)state;
    dm_transform t;
    fill(&t, 1.0);
    for (int f = 0; f < D; f++) {
        if (!feature[f].log1p) assert_true(dm_transform_to_working(&t, f, feature[f].origin) == 0.0);
        const double mean = dm_transform_to_original(&t, f, 0.0);
        near(mean, feature[f].log1p ? expm1(feature[f].origin) : feature[f].origin, 2.0, fabs(mean));
        const double center = feature[f].log1p ? expm1(feature[f].center) : feature[f].center;
        const double size = feature[f].factor * (fabs(feature[f].origin) + fabs(feature[f].center));
        near(dm_transform_to_scaled(&t, f, dm_transform_to_working(&t, f, center)), 0.0, 8.0, size);
    }
    dm_transform_destroy(&t);
}

/* Differences in working space times unit are differences in scaled space: one distance, two names. */
static void distances_agree(void **state)
{
    (void)state;
    dm_transform t;
    fill(&t, 0x1p-10);
    for (int f = 0; f < D; f++) {
        const double a = -3.25, b = 1.5;
        const double shift = fabs(feature[f].origin - feature[f].center) * feature[f].factor;
        near(dm_transform_to_scaled(&t, f, a) - dm_transform_to_scaled(&t, f, b), (a - b) * t.unit, 8.0, shift + 1.0);
    }
    dm_transform_destroy(&t);
}

/* The unit is a power of two, so it changes no digit. */
static void unit_is_exact(void **state)
{
    (void)state;
    dm_transform one, other;
    fill(&one, 1.0);
    fill(&other, 0x1p-33);
    for (int f = 0; f < D; f++) {
        for (int i = 0; i < 5; i++) {
            const double w = dm_transform_to_working(&one, f, original[f][i]);
            assert_true(dm_transform_to_working(&other, f, original[f][i]) == w * 0x1p33);
            assert_true(dm_transform_to_original(&other, f, w * 0x1p33) == dm_transform_to_original(&one, f, w));
            assert_true(dm_transform_to_scaled(&other, f, w * 0x1p33) == dm_transform_to_scaled(&one, f, w));
        }
    }
    dm_transform_destroy(&one);
    dm_transform_destroy(&other);
}

/* log1p is what keeps small amounts apart: log(1 + v) by hand would lose them. */
static void small_amounts_survive_log1p(void **state)
{
    (void)state;
    dm_transform t;
    fill(&t, 1.0);
    t.origin[2] = t.center[2] = 0.0;
    for (double v = 1e-300; v < 1e-3; v *= 997.0) {
        near(dm_transform_to_original(&t, 2, dm_transform_to_working(&t, 2, v)), v, 8.0, v);
    }
    dm_transform_destroy(&t);
}

/* ------------------------------------------------------------------------------------------------ model file */

static void through_a_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/demarc-transform-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.h5", folder);
    dm_comm *comm = NULL;
    assert_int_equal(dm_comm_create(&comm), DEMARC_OK);
    dm_model m, r;
    assert_int_equal(dm_model_create(&m, K, D), DEMARC_OK);
    dm_transform_destroy(&m.transform);
    fill(&m.transform, 0x1p-7);
    m.transform.scale = DEMARC_SCALE_ROBUST;
    m.transform.impute = true;
    m.named = true;
    for (int f = 0; f < D; f++) {
        char name[16];
        snprintf(name, sizeof name, "d\xc3\xa9p %d", f);
        assert_int_equal(dm_strings_add(&m.feature, name), DEMARC_OK);
    }
    for (int i = 0; i < K * D; i++) m.centroids[i] = ldexp(1.0 / (i + 3), 3 * i - 30) * (i % 2 == 0 ? 1.0 : -1.0);
    for (int j = 0; j < K; j++) {
        m.offsets[j] = 0.1 * (j - 1);
        m.size[j] = INT64_C(3000000000) + j;
    }
    m.objective = 1.0 / 3.0;
    m.seed = UINT64_MAX;
    m.iterations = 17;
    snprintf(m.digest, sizeof m.digest, "0123456789abcdef0123456789abcdef");
    snprintf(m.created_utc, sizeof m.created_utc, "2024-02-29T23:59:59Z");
    assert_int_equal(dm_model_write(comm, &m, NULL, path), DEMARC_OK);
    assert_int_equal(dm_model_read(comm, &r, path, DEMARC_ERR_DATA), DEMARC_OK);

    assert_true(r.k == K && r.d == D && r.named && r.transform.d == D);
    assert_int_equal(r.feature.count, D);
    for (int f = 0; f < D; f++) assert_string_equal(r.feature.item[f], m.feature.item[f]);
    assert_true(r.transform.scale == DEMARC_SCALE_ROBUST && r.transform.impute && r.transform.unit == 0x1p-7);
    assert_memory_equal(r.transform.log1p, m.transform.log1p, D);
    assert_memory_equal(r.transform.center, m.transform.center, D * sizeof(double));
    assert_memory_equal(r.transform.factor, m.transform.factor, D * sizeof(double));
    assert_memory_equal(r.transform.origin, m.transform.origin, D * sizeof(double));
    assert_memory_equal(r.centroids, m.centroids, K * D * sizeof(double));
    assert_memory_equal(r.offsets, m.offsets, K * sizeof(double));
    assert_memory_equal(r.size, m.size, K * sizeof *m.size);
    assert_true(r.objective == m.objective && r.seed == UINT64_MAX && r.iterations == 17);
    assert_string_equal(r.digest, m.digest);
    assert_string_equal(r.created_utc, m.created_utc);

    double c[K * D]; /* /centroids are in original units */
    assert_int_equal(dm_centroids_read(comm, path, K, D, c), DEMARC_OK);
    for (int i = 0; i < K * D; i++) {
        assert_true(c[i] == dm_transform_to_original(&m.transform, i % D, m.centroids[i]));
    }
    assert_int_equal(dm_centroids_read(comm, path, K + 1, D, c), DEMARC_ERR_DATA);
    assert_non_null(strstr(dm_error_line(), path));
    dm_model_destroy(&r);

    assert_int_equal(truncate(path, 1000), 0); /* damaged, then gone */
    assert_int_equal(dm_model_read(comm, &r, path, DEMARC_ERR_DATA), DEMARC_ERR_DATA);
    assert_non_null(strstr(dm_error_line(), path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dm_model_read(comm, &r, path, DEMARC_ERR_DATA), DEMARC_ERR_DATA);
    assert_null(r.centroids);
    dm_model_destroy(&m);
    dm_comm_destroy(&comm);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(origin_and_center),
        cmocka_unit_test(distances_agree),
        cmocka_unit_test(unit_is_exact),
        cmocka_unit_test(small_amounts_survive_log1p),
        cmocka_unit_test(through_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
