/*
 * Confidence sequences against the formulas of the header written down in Python (math.log, sqrt, exp), and by what they
 * promise: a random walk without drift, looked at after each of many steps, leaves them in at most a share alpha of all runs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter_rng.h"
#include "stats/confidence_sequence.h"
#include "stats/distributions.h"

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-12 * fabs(wanted))) fail_msg("found %.17g, wanted %.17g", found, wanted);
}

static void check(dm_anytime a, double low, double high, double p, double rho)
{
    near(a.low, low);
    near(a.high, high);
    near(a.p, p);
    near(a.rho, rho);
}

static void against_python(void **state)
{
    (void)state;
    check(dm_confidence_sequence(0.3, 0.01, 400, 500, 0.05), -0.0040373712462041245, 0.6040373712462042,
          0.055554625404728455, 0.12598535313073156);
    check(dm_confidence_sequence(0.05, 0.004, 1000, 800, 0.1), -0.12494075676565695, 0.22494075676565695, 1.0,
          0.08894422132224383);
    check(dm_confidence_sequence(-2.0, 0.09, 50, 1000, 0.01), -3.542196802693073, -0.457803197306927,
          0.0003706290127738982, 0.10739525753363238);
}

static void nothing_without_variance(void **state)
{
    (void)state;
    dm_anytime a = dm_confidence_sequence(1.0, 0.0, 10, 10, 0.05);
    assert_true(isnan(a.low) && isnan(a.high) && isnan(a.p) && a.rho > 0.0);
    a = dm_confidence_sequence((double)NAN, 1.0, 10, 10, 0.05);
    assert_true(isnan(a.low) && isnan(a.p));
}

/* p is at most alpha exactly when the interval leaves out 0. */
static void p_and_interval_agree(void **state)
{
    (void)state;
    for (int i = 1; i < 400; i++) {
        const double effect = 0.01 * i;
        const dm_anytime a = dm_confidence_sequence(effect, 0.25, 300, 400, 0.05);
        assert_true((a.p <= 0.05) == (a.low >= 0.0));
    }
}

static void may_be_looked_at_daily(void **state)
{
    (void)state;
    enum { RUNS = 2000, DAYS = 40, A_DAY = 25 };
    int left = 0, left_fixed = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        double sum = 0.0;
        int out = 0, out_fixed = 0;
        for (int day = 1; day <= DAYS; day++) {
            for (int i = 0; i < A_DAY; i++) {
                const dm_random4 r = dm_random(11, DM_PURPOSE_GENERATE, run, (uint64_t)(day * A_DAY + i));
                sum += dm_normal_quantile(dm_uniform(r.v[0], r.v[1]));
            }
            const int64_t n = (int64_t)day * A_DAY;
            const dm_anytime a = dm_confidence_sequence(sum / (double)n, 1.0 / (double)n, n, DAYS * A_DAY, 0.05);
            out |= a.low > 0.0 || a.high < 0.0;
            out_fixed |= fabs(sum) > 1.96 * sqrt((double)n);
        }
        left += out;
        left_fixed += out_fixed;
    }
    assert_true(left <= 0.05 * RUNS);
    assert_true(left_fixed > 0.2 * RUNS); /* what looking daily does to an interval made for one look */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_python),
        cmocka_unit_test(nothing_without_variance),
        cmocka_unit_test(p_and_interval_agree),
        cmocka_unit_test(may_be_looked_at_daily),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
