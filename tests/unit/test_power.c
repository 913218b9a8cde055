/*
 * Power of a comparison of two means: against numbers of SciPy 1.10 (stats.t.ppf, stats.t.cdf) by the formulas of
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
    if (!(fabs(got - want) <= 1e-11 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

/*
 * def f(N, sd, p, alpha, M, effect, power, Q):
 *     se = sd * np.sqrt(1 / (N * p) + 1 / (N * (1 - p))); v = max(1, N - 2 * Q); c = t.ppf(1 - alpha / (2 * M), v)
 *     return se, t.cdf(abs(effect) / se - c, v) + t.cdf(-abs(effect) / se - c, v), (c + t.ppf(power, v)) * se
 * with t.cdf by special.betainc and t.ppf refined by Newton's method, as SciPy's own is good to 1e-9 only.
 */
static void as_scipy(void **state)
{
    (void)state;
    static const struct {
        int64_t customers, tests;
        int32_t strata;
        double sd, share, alpha, effect, power, se, of_effect, mde;
    } want[] = {
        {1000, 1, 1, 2.0, 0.5, 0.05, 0.25, 0.8, 0.12649110640673517, 0.50565918967399681, 0.3547222212162266},
        {128, 1, 1, 1.0, 0.5, 0.05, 0.5, 0.8, 0.17677669529663689, 0.80138292745771122, 0.49912084090126158},
        {5000, 12, 4, 37.5, 0.3, 0.01, -3.0, 0.9, 1.1572751247156892, 0.22627796219680657, 5.3526717838013615},
        {200, 6, 4, 1.0, 0.5, 0.05, 0.0, 0.8, 0.1414213562373095, 0.0083333333333333627, 0.49629961747999352},
        {31, 40, 2, 0.3, 0.1, 0.2, 0.05, 0.5, 0.17960530202677488, 0.0061573319107191132, 0.54896721730208342},
        {6, 2, 4, 1.0, 0.5, 0.05, 3.0, 0.8, 0.81649658092772603, 0.025530673009893375, 21.905036817460157},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const dm_power_design d = {
            .alpha = want[i].alpha, .tests = want[i].tests, .switch_share = want[i].share, .strata = want[i].strata};
        const double se = dm_power_se(&d, want[i].customers, want[i].sd);
        assert_near(se, want[i].se);
        assert_near(dm_power_of(&d, want[i].customers, se, want[i].effect), want[i].of_effect);
        assert_near(dm_power_mde(&d, want[i].customers, se, want[i].power), want[i].mde);
    }
}

/* Cohen (1988), table 2.4.1: 64 customers an arm find half a standard deviation in 4 of 5 trials at the level 0.05. */
static void as_cohen(void **state)
{
    (void)state;
    const dm_power_design d = {.alpha = 0.05, .tests = 1, .switch_share = 0.5, .strata = 1};
    assert_true(fabs(dm_power_of(&d, 128, dm_power_se(&d, 128, 1.0), 0.5) - 0.80) < 0.01);
    assert_true(fabs(dm_power_of(&d, 786, dm_power_se(&d, 786, 1.0), 0.2) - 0.80) < 0.01);
}

/* The least effect is found with the power asked for (the far tail, below alpha / 2M, is left out of it). */
static void mde_has_its_power(void **state)
{
    (void)state;
    for (int64_t tests = 1; tests < 100; tests *= 3) {
        const dm_power_design d = {.alpha = 0.05, .tests = tests, .switch_share = 0.4, .strata = 1};
        for (double power = 0.5; power < 0.99; power += 0.1) {
            const double found = dm_power_of(&d, 60, 2.5, dm_power_mde(&d, 60, 2.5, power));
            assert_true(found >= power - 1e-12 && found < power + 0.05 / (2.0 * (double)tests));
        }
    }
}

static void what_cannot_be_told(void **state)
{
    (void)state;
    const dm_power_design d = {.alpha = 0.05, .tests = 4, .switch_share = 0.5, .strata = 1};
    assert_true(isinf(dm_power_se(&d, 0, 1.0)));
    assert_near(dm_power_of(&d, 0, (double)INFINITY, 1.0), 0.0125); /* without customers: the level itself */
    assert_true(isinf(dm_power_mde(&d, 0, (double)INFINITY, 0.8)));
    assert_true(isnan(dm_power_of(&d, 10, 0.0, 1.0)));
    assert_true(isnan(dm_power_mde(&d, 10, 0.0, 0.8)));
    assert_true(isnan(dm_power_of(&d, 10, dm_power_se(&d, 10, (double)NAN), 1.0)));
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
