/* The synthetic population: its mathematics against libm, its geometry and truth against draws from it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "exchange/generate.h"
#include "exchange/portable_math.h"
#include "exchange/synthetic_rows.h"

static demarc_generate_options options(int32_t d, int32_t k, double separation)
{
    return (demarc_generate_options){.out = "unused.h5",
                                     .customers = 1000,
                                     .features = d,
                                     .segments = k,
                                     .seed = 7,
                                     .separation = separation,
                                     .arms = 4};
}

static dm_synthetic world(int32_t d, int32_t k, double separation)
{
    dm_synthetic m;
    demarc_generate_options o = options(d, k, separation);
    assert_int_equal(dm_synthetic_create(&m, &o), DEMARC_OK);
    return m;
}

static void assert_near(double found, double wanted, double tolerance)
{
    if (!(fabs(found - wanted) <= tolerance)) fail_msg("found %.9g, wanted %.9g +- %.3g", found, wanted, tolerance);
}

static dm_random4 word_at(uint64_t i) { return dm_random(3, DM_PURPOSE_GENERATE, UINT64_C(1) << 40, i); }

static void test_portable_log_and_exp(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        dm_random4 r = word_at(i);
        float u = (float)(((double)(r.v[0] >> (i % 31)) + 0.5) * 0x1p-32);
        double exact = log((double)u);
        assert_near((double)dm_portable_log(u), exact, 3e-7 * fmax(fabs(exact), 1.0));
        float x = (float)(((double)r.v[1] * 0x1p-32 - 0.5) * 60.0);
        assert_near((double)dm_portable_exp(x) / exp((double)x), 1.0, 3e-7);
    }
    assert_true(dm_portable_log(1.0F) == 0.0F);
    assert_true(dm_portable_exp(0.0F) == 1.0F);
}

static void test_normals_are_normal(void **state)
{
    (void)state;
    const int64_t n = 1000000;
    double moment[5] = {0.0}, product = 0.0, quadrant[4] = {0.0};
    for (int64_t i = 0; i < n; i += 4) {
        float g[4];
        dm_synthetic_normal4(g, word_at((uint64_t)i));
        for (int j = 0; j < 4; j++) {
            for (int p = 1; p <= 4; p++) moment[p] += pow((double)g[j], p) / (double)n;
        }
        product += (double)(g[0] * g[1] + g[2] * g[3]) / (double)(n / 2);
        quadrant[(g[0] > 0.0F) * 2 + (g[1] > 0.0F)] += 4.0 / (double)n;
    }
    assert_near(moment[1], 0.0, 0.005);
    assert_near(moment[2], 1.0, 0.008);
    assert_near(moment[3], 0.0, 0.02);
    assert_near(moment[4], 3.0, 0.05);
    assert_near(product, 0.0, 0.007);
    for (int q = 0; q < 4; q++) assert_near(quadrant[q], 0.25, 0.005);
    float extreme[4];
    dm_synthetic_normal4(extreme, (dm_random4){{0, 0, UINT32_MAX, UINT32_MAX}});
    for (int j = 0; j < 4; j++) assert_true(isfinite(extreme[j]) && fabsf(extreme[j]) < 6.8F);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_ids_are_unique_and_scrambled(void **state)
{
    (void)state;
    enum { N = 200000, TOP = 1000, BITS = 44, ODD = 512 };
    int64_t *id = NULL, rises = 0, count = 0;
    assert_int_equal(dm_alloc(id, N + TOP + BITS * ODD, "ids"), DEMARC_OK);
    for (int64_t row = 0; row < N; row++) id[count++] = dm_synthetic_id(5, row);
    for (int64_t i = 1; i < N; i++) rises += id[i] > id[i - 1];
    assert_in_range((uint64_t)rises, N * 4 / 10, N * 6 / 10);
    /* The last rows of the largest possible file, and rows that differ from others in a few high bits only. */
    for (int64_t row = DM_SYNTHETIC_MAX_CUSTOMERS - TOP; row < DM_SYNTHETIC_MAX_CUSTOMERS; row++) {
        id[count++] = dm_synthetic_id(5, row);
    }
    for (int bit = 18; bit < BITS; bit++) {
        for (int64_t odd = 1; odd < ODD && odd << bit < DM_SYNTHETIC_MAX_CUSTOMERS; odd += 2) {
            id[count++] = dm_synthetic_id(5, odd << bit);
        }
    }
    qsort(id, (size_t)count, sizeof *id, by_value);
    assert_true(id[0] >= 1 && id[count - 1] <= DM_SYNTHETIC_MAX_CUSTOMERS);
    for (int64_t i = 1; i < count; i++) assert_true(id[i] > id[i - 1]);
    dm_free(id);
}

static double product(const double *a, const double *b, int64_t d)
{
    double s = 0.0;
    for (int64_t j = 0; j < d; j++) s += a[j] * b[j];
    return s;
}

static void check_directions(const dm_synthetic *m)
{
    for (int a = 0; a < m->axes; a++) {
        for (int b = 0; b < m->axes; b++) {
            assert_near(product(m->axis + a * (int64_t)m->d, m->axis + b * (int64_t)m->d, m->d), a == b ? 1.0 : 0.0,
                        1e-9);
        }
        for (int f = 0; f < m->factors; f++) {
            assert_near(product(m->axis + a * (int64_t)m->d, m->loading + f * (int64_t)m->d, m->d), 0.0, 1e-9);
        }
    }
    for (int64_t j = 0; j < m->d; j++) {
        double norm = 0.0;
        for (int f = 0; f < m->factors; f++)
            norm += m->loading[f * (int64_t)m->d + j] * m->loading[f * (int64_t)m->d + j];
        assert_near(norm, m->rho, 1e-12);
    }
}

static void check_neighbours(const dm_synthetic *m, double separation)
{
    double *center = NULL;
    const int64_t d = m->d;
    assert_int_equal(dm_alloc(center, m->k * d, "centres"), DEMARC_OK);
    for (int32_t z = 0; z < m->k; z++) dm_synthetic_center(m, z, center + z * d);
    for (int32_t z = 0; z < m->k && m->k > 1; z++) {
        double nearest = INFINITY;
        for (int32_t y = 0; y < m->k; y++) {
            double q = 0.0;
            for (int64_t j = 0; j < d; j++)
                q += (center[z * d + j] - center[y * d + j]) * (center[z * d + j] - center[y * d + j]);
            if (y != z) nearest = fmin(nearest, sqrt(q));
        }
        assert_near(nearest, separation * m->own_sd, 1e-6 * separation);
    }
    dm_free(center);
}

static void test_geometry(void **state)
{
    (void)state;
    static const int32_t dims[] = {1, 2, 3, 4, 5, 6, 7, 24, 25, 40, 300}, ks[] = {1, 2, 3, 4, 5, 8, 9, 28, 100};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (size_t j = 0; j < sizeof ks / sizeof *ks; j++) {
            dm_synthetic m = world(dims[i], ks[j], 3.0);
            check_directions(&m);
            check_neighbours(&m, 3.0);
            double sum = 0.0;
            for (int32_t z = 0; z < m.k; z++) {
                sum += m.share[z];
                assert_true(m.share[z] >= 0.4 / m.k && (z == 0 || m.share[z] < m.share[z - 1]));
            }
            assert_near(sum, 1.0, 1e-12);
            dm_synthetic_clear(&m);
        }
    }
}

/* Beyond the mid-plane lies a share Phi(-separation / 2) of a segment, whatever the correlations. */
static void test_separation_means_what_it_says(void **state)
{
    (void)state;
    enum { D = 9, N = 200000 };
    dm_synthetic m = world(D, 2, 2.0);
    double c0[D], c1[D];
    int64_t beyond[2] = {0}, size[2] = {0};
    dm_synthetic_center(&m, 0, c0);
    dm_synthetic_center(&m, 1, c1);
    for (int64_t row = 0; row < N; row++) {
        float x[D];
        dm_synthetic_customer c = dm_synthetic_draw(&m, row);
        dm_synthetic_latent(&m, row, &c, x);
        double q0 = 0.0, q1 = 0.0;
        for (int j = 0; j < D; j++) {
            q0 += ((double)x[j] - c0[j]) * ((double)x[j] - c0[j]);
            q1 += ((double)x[j] - c1[j]) * ((double)x[j] - c1[j]);
        }
        size[c.segment]++;
        beyond[c.segment] += (q1 < q0) != (c.segment == 1);
    }
    for (int z = 0; z < 2; z++) {
        assert_near((double)beyond[z] / (double)size[z], 0.5 * erfc(1.0 / sqrt(2.0)),
                    5.0 * sqrt(0.135 / (double)size[z]));
    }
    dm_synthetic_clear(&m);
}

static void test_spread_is_the_population_sd(void **state)
{
    (void)state;
    enum { D = 30, N = 100000 };
    dm_synthetic m = world(D, 5, 6.0);
    double sum[D] = {0.0}, square[D] = {0.0};
    for (int64_t row = 0; row < N; row++) {
        float x[D];
        dm_synthetic_customer c = dm_synthetic_draw(&m, row);
        dm_synthetic_latent(&m, row, &c, x);
        for (int j = 0; j < D; j++) {
            sum[j] += (double)x[j] / N;
            square[j] += (double)x[j] * (double)x[j] / N;
        }
    }
    for (int j = 0; j < D; j++) {
        assert_near(sum[j], 0.0, 6.0 * m.spread[j] / sqrt(N));
        assert_near(sqrt(square[j]), m.spread[j], 0.02 * m.spread[j]);
    }
    dm_synthetic_clear(&m);
}

/* The threshold in feature units is where the map takes the latent threshold; maps rise with the latent value. */
static void test_maps(void **state)
{
    (void)state;
    enum { D = 30 };
    dm_synthetic m = world(D, 6, 4.0);
    float previous[D];
    for (int step = -60; step <= 60; step++) {
        float x[D];
        for (int j = 0; j < D; j++) x[j] = (float)(0.1 * step * m.spread[j]);
        dm_synthetic_map(&m, x);
        for (int j = 0; j < D; j++) {
            bool group = j >= 9 && j <= 17, count = j == 1 || (j >= 21 && j <= 23);
            if (!group) {
                double wanted = dm_synthetic_map_column(&m, j, (double)(float)(0.1 * step * m.spread[j]));
                assert_near((double)x[j], wanted, count ? 1.0 : 2e-6 * fabs(wanted) + 1e-30);
                assert_true(step == -60 || (count ? x[j] >= previous[j] : x[j] > previous[j]));
            }
            previous[j] = x[j];
        }
    }
    float far[D];
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int j = 0; j < D; j++) far[j] = (float)sign * 1e30F;
        dm_synthetic_map(&m, far);
        for (int j = 0; j < D; j++) assert_true(isfinite(far[j]));
    }
    dm_synthetic_clear(&m);
}

static void test_effect_changes_sign_at_the_threshold_only(void **state)
{
    (void)state;
    for (int32_t d = 3; d < 40; d += 12) {
        dm_synthetic m = world(d, 6, 4.0);
        for (int32_t a = 1; a < m.arms; a++) {
            double h = m.effect_threshold[a], sign = m.effect_slope[a] > 0.0 ? 1.0 : -1.0;
            for (double gap = -8.0; gap <= 8.0; gap += 0.125) {
                double effect = dm_synthetic_visit(&m, 2, a, 0.3, h + gap) - dm_synthetic_visit(&m, 2, 0, 0.3, h + gap);
                assert_true(gap < 0.0 ? sign * effect > 0.0 : gap > 0.0 ? sign * effect < 0.0 : fabs(effect) < 1e-15);
            }
        }
        dm_synthetic_clear(&m);
    }
}

static void test_segment_effect_is_the_mean_over_draws(void **state)
{
    (void)state;
    enum { D = 10, N = 300000 };
    dm_synthetic m = world(D, 3, 5.0);
    double sum[3][4] = {{0.0}}, size[3] = {0.0}, truth[4];
    for (int64_t row = 0; row < N; row++) {
        float x[D];
        dm_synthetic_customer c = dm_synthetic_draw(&m, row);
        dm_synthetic_latent(&m, row, &c, x);
        size[c.segment] += 1.0;
        for (int32_t a = 0; a < 4; a++) {
            double f0 = (double)c.factor[0], e = (double)x[m.effect_column];
            sum[c.segment][a] +=
                dm_synthetic_visit(&m, c.segment, a, f0, e) - dm_synthetic_visit(&m, c.segment, 0, f0, e);
        }
    }
    for (int32_t z = 0; z < 3; z++) {
        dm_synthetic_segment_effect(&m, z, truth);
        for (int32_t a = 0; a < 4; a++) assert_near(sum[z][a] / size[z], truth[a], 5.0 * 0.1 / sqrt(size[z]));
    }
    dm_synthetic_clear(&m);
}

static void test_rows_do_not_depend_on_the_window(void **state)
{
    (void)state;
    enum { D = 261, N = 50, FROM = 17, PART = 9 }; /* more columns than are drawn at once, not a multiple of four */
    dm_synthetic m = world(D, 6, 4.0);
    float x[N][D], y[PART][D], outcome[N][4], part_outcome[PART][4];
    int64_t id[N], part_id[PART];
    int32_t z[N], part_z[PART], arm[N], part_arm[PART];
    uint8_t reach[N][3], part_reach[PART][3];
    m.missing_share = 0.1;
    dm_synthetic_rows(&m, 1000, N, &(dm_synthetic_buffers){&x[0][0], id, z, arm, &outcome[0][0], &reach[0][0]});
    dm_synthetic_rows(
        &m, 1000 + FROM, PART,
        &(dm_synthetic_buffers){&y[0][0], part_id, part_z, part_arm, &part_outcome[0][0], &part_reach[0][0]});
    assert_memory_equal(x[FROM], y, sizeof y);
    assert_memory_equal(outcome[FROM], part_outcome, sizeof part_outcome);
    assert_memory_equal(id + FROM, part_id, sizeof part_id);
    assert_memory_equal(z + FROM, part_z, sizeof part_z);
    assert_memory_equal(arm + FROM, part_arm, sizeof part_arm);
    assert_memory_equal(reach[FROM], part_reach, sizeof part_reach);
    dm_synthetic_clear(&m);
}

/* Columns that are drawn together, and a row and its neighbour, share nothing. */
static void test_columns_and_rows_are_uncorrelated(void **state)
{
    (void)state;
    enum { D = 140, N = 20000 };
    dm_synthetic m = world(D, 1, 4.0);
    memset(m.basis, 0, 6 * D * sizeof *m.basis); /* the noise alone */
    double *sum = NULL;
    assert_int_equal(dm_alloc_zero(sum, (int64_t)D * D + D, "products"), DEMARC_OK);
    float x[D], before[D] = {0.0F};
    for (int64_t row = 0; row < N; row++) {
        dm_synthetic_customer c = dm_synthetic_draw(&m, row);
        dm_synthetic_latent(&m, row, &c, x);
        for (int i = 0; i < D; i++) {
            for (int j = 0; j < i; j++) sum[i * D + j] += (double)(x[i] * x[j]);
            sum[D * D + i] += (double)(x[i] * before[i]);
        }
        memcpy(before, x, sizeof x);
    }
    double bound = 6.0 * m.own_sd * m.own_sd * sqrt(N);
    for (int i = 0; i < D * D + D; i++) assert_near(sum[i], 0.0, bound);
    dm_free(sum);
    dm_synthetic_clear(&m);
}

static void refuse(dm_comm *comm, demarc_generate_options o, const char *option)
{
    dm_log log = {0};
    assert_int_equal(dm_generate(comm, &log, &o, DEMARC_IO_FUNNEL), DEMARC_ERR_USAGE);
    if (strstr(demarc_error(), option) == NULL) fail_msg("'%s' does not name %s", demarc_error(), option);
}

static void test_options_out_of_range(void **state)
{
    (void)state;
    dm_comm *comm = NULL;
    assert_int_equal(dm_comm_create(&comm), DEMARC_OK);
    const demarc_generate_options good = options(3, 2, 4.0);
    demarc_generate_options o;
#define REFUSE(field, value, option) (o = good, o.field = (value), refuse(comm, o, (option)))
    REFUSE(out, "", "OUT.h5");
    REFUSE(customers, 0, "--customers");
    REFUSE(customers, DM_SYNTHETIC_MAX_CUSTOMERS + 1, "--customers");
    REFUSE(features, 0, "--features");
    REFUSE(segments, 0, "--segments");
    REFUSE(segments, 1001, "--segments");
    REFUSE(arms, 1, "--arms");
    REFUSE(arms, 65, "--arms");
    REFUSE(separation, -1.0, "--separation");
    REFUSE(separation, NAN, "--separation");
    REFUSE(separation, INFINITY, "--separation");
    REFUSE(missing_share, 1.0, "--missing-share");
    REFUSE(missing_share, NAN, "--missing-share");
    dm_comm_destroy(&comm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_portable_log_and_exp),
        cmocka_unit_test(test_normals_are_normal),
        cmocka_unit_test(test_ids_are_unique_and_scrambled),
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_separation_means_what_it_says),
        cmocka_unit_test(test_spread_is_the_population_sd),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_effect_changes_sign_at_the_threshold_only),
        cmocka_unit_test(test_segment_effect_is_the_mean_over_draws),
        cmocka_unit_test(test_rows_do_not_depend_on_the_window),
        cmocka_unit_test(test_columns_and_rows_are_uncorrelated),
        cmocka_unit_test(test_options_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
