/*
 * Power of a comparison of two means: against numbers of SciPy 1.10 (stats.norm.ppf, stats.norm.cdf) by the formulas of
 * stats/power.h, and against the table of Cohen (1988).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/power.h"

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

/*
 * def f(N, sd, p, alpha, M, effect, power):
 *     se = sd * np.sqrt(1 / (N * p) + 1 / (N * (1 - p))); z = norm.ppf(1 - alpha / (2 * M))
 *     return se, norm.cdf(abs(effect) / se - z) + norm.cdf(-abs(effect) / se - z), (z + norm.ppf(power)) * se
 */
static void as_scipy(void **state)
{
    (void)state;
    static const struct {
        int64_t customers, tests;
        double sd, share, alpha, effect, power, se, of_effect, mde;
    } want[] = {
        {1000, 1, 2.0, 0.5, 0.05, 0.25, 0.8, 0.12649110640673517, 0.50660747383546911, 0.35437561393186384},
        {128, 1, 1.0, 0.5, 0.05, 0.5, 0.8, 0.17677669529663689, 0.807430419432557, 0.49525497644991823},
        {5000, 12, 37.5, 0.3, 0.01, -3.0, 0.9, 1.1572751247156892, 0.2268735559291836, 5.350118223429666},
        {200, 6, 1.0, 0.5, 0.05, 0.0, 0.8, 0.1414213562373095, 0.008333333333333302, 0.49212913800802743},
        {31, 40, 0.3, 0.1, 0.2, 0.05, 0.5, 0.17960530202677488, 0.0067414976257709662, 0.50415814776274626},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const dm_power_design d = {.alpha = want[i].alpha, .tests = want[i].tests, .switch_share = want[i].share};
        const double se = dm_power_se(&d, want[i].customers, want[i].sd);
        assert_near(se, want[i].se);
        assert_near(dm_power_of(&d, se, want[i].effect), want[i].of_effect);
        assert_near(dm_power_mde(&d, se, want[i].power), want[i].mde);
    }
}

/* Cohen (1988), table 2.4.1: 64 customers an arm find half a standard deviation in 4 of 5 trials at the level 0.05. */
static void as_cohen(void **state)
{
    (void)state;
    const dm_power_design d = {.alpha = 0.05, .tests = 1, .switch_share = 0.5};
    assert_true(fabs(dm_power_of(&d, dm_power_se(&d, 128, 1.0), 0.5) - 0.80) < 0.01);
    assert_true(fabs(dm_power_of(&d, dm_power_se(&d, 786, 1.0), 0.2) - 0.80) < 0.01);
}

/* The least effect is found with the power asked for (the far tail, below alpha / 2M, is left out of it). */
static void mde_has_its_power(void **state)
{
    (void)state;
    for (int64_t tests = 1; tests < 100; tests *= 3) {
        const dm_power_design d = {.alpha = 0.05, .tests = tests, .switch_share = 0.4};
        for (double power = 0.5; power < 0.99; power += 0.1) {
            const double found = dm_power_of(&d, 2.5, dm_power_mde(&d, 2.5, power));
            assert_true(found >= power - 1e-12 && found < power + 0.05 / (2.0 * (double)tests));
        }
    }
}

static void what_cannot_be_told(void **state)
{
    (void)state;
    const dm_power_design d = {.alpha = 0.05, .tests = 4, .switch_share = 0.5};
    assert_true(isinf(dm_power_se(&d, 0, 1.0)));
    assert_near(dm_power_of(&d, (double)INFINITY, 1.0), 0.0125); /* without customers: the level itself */
    assert_true(isinf(dm_power_mde(&d, (double)INFINITY, 0.8)));
    assert_true(isnan(dm_power_of(&d, 0.0, 1.0)));
    assert_true(isnan(dm_power_mde(&d, 0.0, 0.8)));
    assert_true(isnan(dm_power_of(&d, dm_power_se(&d, 10, (double)NAN), 1.0)));
    assert_true(isnan(dm_power_se(&d, 0, (double)NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_scipy),
        cmocka_unit_test(as_cohen),
        cmocka_unit_test(mde_has_its_power),
        cmocka_unit_test(what_cannot_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
