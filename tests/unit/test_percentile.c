/* Percentile intervals and standard errors of replicates against numbers worked out by hand and by NumPy (quantile, std). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "stats/percentile.h"

static void near_to(double got, double want) { assert_true(fabs(got - want) <= 1e-14 * fabs(want)); }

static void quantiles_are_of_type_seven(void **state)
{
    (void)state;
    double v[] = {5.0, 1.0, 4.0, 2.0, 3.0}, low = 0.0, high = 0.0;
    dm_percentile_interval(v, 5, 0.5, &low, &high);
    assert_true(low == 2.0 && high == 4.0);
    dm_percentile_interval(v, 5, 0.05, &low, &high);
    near_to(low, 1.1);
    near_to(high, 4.9);
    double one[] = {7.5};
    dm_percentile_interval(one, 1, 0.05, &low, &high);
    assert_true(low == 7.5 && high == 7.5);
}

static void undefined_replicates_are_left_out(void **state)
{
    (void)state;
    double v[40], low = 0.0, high = 0.0;
    for (int i = 0; i < 40; i++) v[i] = i;
    v[3] = v[20] = (double)NAN; /* 5% */
    near_to(dm_replicate_sd(v, 40), 11.683625823156671);
    dm_percentile_interval(v, 40, 0.1, &low, &high);
    near_to(low, 1.85);
    near_to(high, 37.15);
    v[5] = (double)NAN; /* one more than 5% */
    dm_percentile_interval(v, 40, 0.1, &low, &high);
    assert_true(isnan(low) && isnan(high) && isnan(dm_replicate_sd(v, 40)));
    dm_percentile_interval(v, 0, 0.1, &low, &high);
    assert_true(isnan(low) && isnan(dm_replicate_sd(v, 0)));
}

static void equal_replicates_have_no_spread(void **state)
{
    (void)state;
    double v[1000];
    for (int i = 0; i < 1000; i++) v[i] = 0.1;
    assert_true(dm_replicate_sd(v, 1000) == 0.0);
    assert_true(isnan(dm_replicate_sd(v, 1)));
    v[0] = 1e9 + 1.0;
    v[1] = 1e9 + 2.0;
    near_to(dm_replicate_sd(v, 2), sqrt(0.5)); /* no digits lost to the mean */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_of_type_seven),
        cmocka_unit_test(undefined_replicates_are_left_out),
        cmocka_unit_test(equal_replicates_have_no_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
