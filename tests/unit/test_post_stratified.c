/* Post-stratified effects against numpy 1.24 (mean, var(ddof=1) cell by cell), merged strata by hand, CUPED's theta. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/post_stratified.h"

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-13 * fabs(wanted))) fail_msg("found %.17g, wanted %.17g", found, wanted);
}

/* Stratum 0: keep 1 2 4 7, switch 3 5 9; stratum 1: keep 10 10.5 12, switch 11 15 13 16 9. */
static void against_numpy(void **state)
{
    (void)state;
    const dm_arm_cell cell[2][2] = {{{4, 3.5, 21.0}, {3, 17.0 / 3.0, 56.0 / 3.0}},
                                    {{3, 32.5 / 3.0, 13.0 / 6.0}, {5, 12.8, 32.8}}};
    const dm_stratified s = dm_post_stratified(2, cell), none = dm_post_stratified(0, cell);
    near(s.effect, 2.06);
    near(s.variance, 1.627846913580247);
    near(s.freedom, 7.8487796559527778);
    assert_true(isnan(none.effect) && isnan(none.variance) && isnan(none.freedom));
}

static void check_groups(int32_t count, const int64_t rows[][2], int32_t groups, const int32_t *wanted)
{
    int32_t group[8];
    assert_int_equal(dm_strata_merge(count, rows, group), groups);
    for (int32_t s = 0; s < count; s++) assert_int_equal(group[s], wanted[s]);
}

static void poor_strata_join_the_next(void **state)
{
    (void)state;
    const int64_t rich[][2] = {{2, 2}, {5, 9}, {3, 2}};
    check_groups(3, rich, 3, (const int32_t[]){0, 1, 2});
    const int64_t first[][2] = {{1, 9}, {0, 0}, {1, 0}, {2, 2}};
    check_groups(4, first, 2, (const int32_t[]){0, 0, 0, 1});
    const int64_t last[][2] = {{2, 2}, {2, 2}, {1, 5}, {0, 9}};
    check_groups(4, last, 2, (const int32_t[]){0, 1, 1, 1});
    const int64_t one[][2] = {{1, 1}, {1, 1}};
    check_groups(2, one, 1, (const int32_t[]){0, 0});
    const int64_t none[][2] = {{1, 30}, {0, 30}, {0, 30}};
    check_groups(3, none, 0, (const int32_t[]){0, 0, 0});
}

static void theta_of_a_constant_is_none(void **state)
{
    (void)state;
    assert_true(dm_cuped_theta(3.0, 4.0) == 0.75);
    assert_true(dm_cuped_theta(0.0, 0.0) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_numpy),
        cmocka_unit_test(poor_strata_join_the_next),
        cmocka_unit_test(theta_of_a_constant_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
