/*
 * A line and its crossing against numpy and scipy: (X'X)^-1 X'g, HC1 by matrix products, Fieller's ends as the roots that
 * scipy.optimize.brentq finds of (a + b x)^2 - z^2 (Vaa + 2 x Vab + x^2 Vbb) on either side of -a / b.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/line_fit.h"

static const double x[] = {-2.0, -1.5, -1.0, -0.25, 0.5, 1.0, 1.75, 3.0};
static const double g[] = {-1.0, -2.2, 0.1, -0.6, 1.3, 0.4, 2.9, 2.2};
enum { POINTS = 8 };

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-12 * fabs(wanted))) fail_msg("found %.17g, wanted %.17g", found, wanted);
}

static dm_line fit(void)
{
    const double sxx = 20.34375;
    double meat[3] = {0.0, 0.0, 0.0};
    dm_line l = dm_line_of(POINTS, 0.1875, 3.1 / 8.0, sxx, 17.49375);
    for (int i = 0; i < POINTS; i++) {
        const double u = dm_line_residual(&l, x[i], g[i]), c = x[i] - l.center;
        meat[0] += u * u;
        meat[1] += u * u * c;
        meat[2] += u * u * c * c;
    }
    dm_line_spread(&l, sxx, meat);
    return l;
}

static void against_numpy(void **state)
{
    (void)state;
    const dm_line l = fit();
    near(l.intercept, 0.22626728110599081);
    near(l.slope, 0.8599078341013826);
    near(l.vaa, 0.10641846240660884);
    near(l.vab, -0.006057237049405462);
    near(l.vbb, 0.03951490285097144);
}

static void crossing_against_scipy(void **state)
{
    (void)state;
    const dm_line l = fit();
    dm_crossing c;
    assert_true(dm_line_crossing(&l, 0.05, &c));
    near(c.value, -0.26312968917470525);
    near(c.low, -1.2343804832043141);
    near(c.high, 0.4929905722521249);
    assert_true(dm_line_crossing(&l, 0.001, &c));
    near(c.low, -2.8917995403088037);
    near(c.high, 1.221957167822198);
    /* |slope| is 4.33 standard errors: not significant at 1e-9, so anything could be where the line crosses. */
    assert_false(dm_line_crossing(&l, 1e-9, &c));
}

static void no_line(void **state)
{
    (void)state;
    dm_crossing c;
    const dm_line same = dm_line_of(5, 1.0, 2.0, 0.0, 0.0), few = dm_line_of(2, 1.0, 2.0, 1.0, 1.0);
    assert_true(isnan(same.slope) && isnan(few.slope));
    assert_false(dm_line_crossing(&same, 0.05, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_numpy),
        cmocka_unit_test(crossing_against_scipy),
        cmocka_unit_test(no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
