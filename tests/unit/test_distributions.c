/*
 * Distribution functions against values computed with 60 digits (erfc, regularised incomplete beta and gamma functions by
 * mpmath, quantiles by bisection), tails included; arguments outside the domain give NaN and nothing is thrown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>

#include "stats/distributions.h"

static bool near(double got, double want) { return got == want || fabs(got - want) <= 1e-13 * fabs(want); }

static void normal(void **state)
{
    (void)state;
    static const double row[][2] = {
        {-37.0, 1.1451142445049154e-299}, {-8.5, 1.8959069644406635e-17},
        {-3.0, 0.002699796063260189},     {-1.959963984540054, 0.050000000000000024},
        {-0.3, 0.7641771556220948},       {0.0, 1.0},
        {0.5, 0.6170750774519738},        {1.96, 0.04999579029644087},
        {5.0, 5.733031437583878e-07},     {9.0, 2.257176811907681e-19},
        {37.0, 1.1451142445049154e-299},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) assert_true(near(dm_normal_two_sided(row[i][0]), row[i][1]));
    assert_true(dm_normal_two_sided((double)INFINITY) == 0.0 && dm_normal_two_sided(-(double)INFINITY) == 0.0);
}

static void normal_quantile(void **state)
{
    (void)state;
    static const double row[][2] = {
        {1e-300, -37.0470962993612},  {1e-20, -9.262340089798407}, {1e-05, -4.264890793922825},
        {0.025, -1.9599639845400543}, {0.3, -0.5244005127080408},  {0.5, 0.0},
        {0.9, 1.2815515655446006},    {0.975, 1.9599639845400538}, {0.9999999999, 6.361340889697422},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) assert_true(near(dm_normal_quantile(row[i][0]), row[i][1]));
    for (double p = 0.001; p < 0.4995; p += 0.001) {
        assert_true(fabs(dm_normal_two_sided(dm_normal_quantile(p)) / (2.0 * p) - 1.0) < 1e-13);
        assert_true(fabs(dm_normal_two_sided(dm_normal_quantile(1.0 - p)) / (2.0 * p) - 1.0) < 1e-12);
    }
}

static void student(void **state)
{
    (void)state;
    static const double tail[][3] = {
        {0.0, 3.0, 1.0},
        {0.5, 1.0, 0.7048327646991335},
        {2.0, 5.0, 0.10193947882985836},
        {-2.0, 5.0, 0.10193947882985836},
        {12.7, 1.0, 0.05002432768934416},
        {1.96, 1000.0, 0.05027318495574872},
        {40.0, 4.0, 2.3340163226012686e-06},
        {3.5, 2.5, 0.05234554696032034},
        {6.0, 1000000.0, 1.9738498123544347e-09},
    };
    static const double quantile[][3] = {
        {0.975, 1.0, 12.706204736174694},  {0.975, 5.0, 2.5705818356363146},
        {0.025, 5.0, -2.5705818356363155}, {0.5, 7.0, 0.0},
        {0.9999, 30.0, 4.23398595727206},  {0.95, 2.5, 2.5582186141359355},
        {1e-06, 10.0, -9.75199549094058},  {0.975, 200.0, 1.971896223633909},
    };
    for (size_t i = 0; i < sizeof tail / sizeof *tail; i++) {
        assert_true(near(dm_student_two_sided(tail[i][0], tail[i][1]), tail[i][2]));
    }
    for (size_t i = 0; i < sizeof quantile / sizeof *quantile; i++) {
        assert_true(near(dm_student_quantile(quantile[i][0], quantile[i][1]), quantile[i][2]));
    }
    assert_true(dm_student_two_sided((double)INFINITY, 3.0) == 0.0);
}

static void chi_squared(void **state)
{
    (void)state;
    static const double row[][3] = {
        {0.0, 1.0, 1.0},
        {3.841458820694124, 1.0, 0.05000000000000006},
        {1.0, 2.0, 0.6065306597126334},
        {10.0, 10.0, 0.4404932850652124},
        {200.0, 3.0, 4.2185411071920426e-43},
        {0.001, 4.0, 0.9999998750416589},
        {1400.0, 20.0, 1.1106924650193637e-284},
        {50.0, 45.5, 0.2992988414024879},
        {1e-10, 1.0, 0.9999920211543921},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_true(near(dm_chi_squared_sf(row[i][0], row[i][1]), row[i][2]));
}

static void kolmogorov(void **state)
{
    (void)state;
    static const double row[][2] = {{0.2, 0.999999999999495},     {0.5, 0.9639452436648751},
                                    {0.99, 0.2808738392255489},   {1.0, 0.26999967167735456},
                                    {1.01, 0.25943416909359746},  {1.3581, 0.0499996304316674},
                                    {2.5, 7.453306344157342e-06}, {6.0, 1.0760372320042276e-31}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) assert_true(near(dm_kolmogorov_sf(row[i][0]), row[i][1]));
    assert_true(dm_kolmogorov_sf(0.0) == 1.0 && dm_kolmogorov_sf(1e-3) == 1.0 && dm_kolmogorov_sf(50.0) == 0.0);
    assert_true(isnan(dm_kolmogorov_sf((double)NAN)));
}

static void outside_the_domain(void **state)
{
    (void)state;
    const double nan = (double)NAN, infinite = (double)INFINITY;
    assert_true(isnan(dm_normal_two_sided(nan)));
    assert_true(isnan(dm_normal_quantile(nan)) && isnan(dm_normal_quantile(-0.1)) && isnan(dm_normal_quantile(1.1)));
    assert_true(isnan(dm_student_quantile(0.5, 0.0)) && isnan(dm_student_quantile(0.5, -1.0)));
    assert_true(isnan(dm_student_quantile(2.0, 3.0)) && isnan(dm_student_quantile(nan, 3.0)));
    assert_true(isnan(dm_student_quantile(0.5, nan)));
    assert_true(isnan(dm_student_two_sided(1.0, 0.0)) && isnan(dm_student_two_sided(nan, 3.0)));
    assert_true(isnan(dm_student_two_sided(1.0, nan)));
    assert_true(isnan(dm_chi_squared_sf(1.0, 0.0)) && isnan(dm_chi_squared_sf(-1.0, 1.0)));
    assert_true(isnan(dm_chi_squared_sf(nan, 1.0)) && isnan(dm_chi_squared_sf(1.0, nan)));
    /* The ends of the open interval: infinite or NaN, never a finite number */
    assert_false(isfinite(dm_normal_quantile(0.0)) || isfinite(dm_normal_quantile(1.0)));
    assert_false(isfinite(dm_student_quantile(0.0, 3.0)) || isfinite(dm_student_quantile(1.0, 3.0)));
    assert_true(isnan(dm_chi_squared_sf(infinite, 3.0))); /* takes finite numbers only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal),      cmocka_unit_test(normal_quantile), cmocka_unit_test(student),
        cmocka_unit_test(chi_squared), cmocka_unit_test(kolmogorov),      cmocka_unit_test(outside_the_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
