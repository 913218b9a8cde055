/* Sample ratios against scipy 1.10 (chisquare, chi2_contingency(correction=False)); weighted means against their definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/sample_ratio.h"
#include "stats/weighted_mean.h"

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-12 * fabs(wanted))) fail_msg("found %.17g, wanted %.17g", found, wanted);
}

static void against_scipy(void **state)
{
    (void)state;
    const int64_t hillstrom[] = {21307, 21387, 21306}, few[] = {700, 0, 300};
    const double equal[] = {1.0, 1.0, 1.0}, unequal[] = {0.75, 0.0, 0.25};
    dm_chi_squared t = dm_sample_ratio_test(3, hillstrom, equal);
    near(t.value, 0.20253125);
    assert_int_equal(t.freedom, 2);
    near(t.p, 0.9036929575604196);
    t = dm_sample_ratio_test(3, few, unequal);
    near(t.value, 2500.0 / 750.0 + 2500.0 / 250.0);
    assert_int_equal(t.freedom, 1);
    near(t.p, 0.0002607296328553165);
    const int64_t table[2][2] = {{12, 488}, {31, 469}};
    t = dm_two_by_two_test(table);
    near(t.value, 8.77256931787806);
    near(t.p, 0.003057943899844394);
}

static void what_cannot_be_compared(void **state)
{
    (void)state;
    const int64_t observed[] = {5, 1, 5};
    const double none_in_1[] = {1.0, 0.0, 1.0}, only_0[] = {1.0, 0.0, 0.0};
    dm_chi_squared t = dm_sample_ratio_test(3, observed, none_in_1);
    assert_true(isinf(t.value) && t.p == 0.0 && t.freedom == 1);
    t = dm_sample_ratio_test(1, observed, only_0);
    assert_true(t.value == 0.0 && t.p == 1.0 && t.freedom == 0);
    const int64_t nobody_missing[2][2] = {{12, 0}, {31, 0}};
    t = dm_two_by_two_test(nobody_missing);
    assert_true(t.value == 0.0 && t.p == 1.0);
}

static void means_far_from_zero(void **state)
{
    (void)state;
    /* Halves and quarters far from 0: exact in double, so the two-pass definition below is, too. */
    const double y[] = {1e9 + 1.0, 1e9 + 2.5, 1e9 - 3.25, 1e9 + 8.0}, w[] = {1.0, 0.5, 2.0, 0.25}, centre = 1e9 + 1.0;
    dm_moments m = {0};
    double sw = 0.0, swy = 0.0, squares = 0.0;
    for (int i = 0; i < 4; i++) {
        dm_moments_add(&m, w[i], y[i] - centre);
        sw += w[i];
        swy += w[i] * (y[i] - 1e9);
    }
    for (int i = 0; i < 4; i++) squares += pow(w[i] * (y[i] - 1e9 - swy / sw), 2.0);
    dm_mean r = dm_mean_of(4, &m, centre);
    assert_int_equal(r.n, 4);
    near(r.mean, 1e9 + swy / sw);
    near(r.variance, squares / (sw * sw) * 4.0 / 3.0);
    assert_true(isnan(dm_mean_of(1, &m, centre).variance) && !isnan(dm_mean_of(1, &m, centre).mean));
    assert_true(isnan(dm_mean_of(0, &(dm_moments){0}, 0.0).mean));
}

static void estimates(void **state)
{
    (void)state;
    dm_estimate e = dm_estimate_of(-0.5, 0.04, 0.05);
    near(e.se, 0.2);
    near(e.low, -0.5 - 1.959963984540054 * 0.2);
    near(e.high, -0.5 + 1.959963984540054 * 0.2);
    near(dm_estimate_p(&e), 0.012419330651552265);
    e = dm_estimate_of(0.0, 0.0, 0.05);
    assert_true(isnan(dm_estimate_p(&e)));
    e = dm_estimate_of((double)NAN, (double)NAN, 0.05);
    assert_true(isnan(e.low) && isnan(dm_estimate_p(&e)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_scipy), cmocka_unit_test(what_cannot_be_compared),
                                       cmocka_unit_test(means_far_from_zero), cmocka_unit_test(estimates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
