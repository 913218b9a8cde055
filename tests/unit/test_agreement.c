/* Agreement of partitions against scikit-learn 1.2 (adjusted_rand_score) and scipy 1.10 (entropy, mutual information). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/agreement.h"

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-14)) fail_msg("found %.17g, wanted %.17g", found, wanted);
}

static const int64_t table[] = {50, 3, 0, 2, 40, 11, 0, 0, 0, 9, 1, 34}; /* [4, 3] */

static void against_scikit_learn(void **state)
{
    (void)state;
    const int64_t chance[] = {10, 10, 10, 10};
    near(dm_adjusted_rand(table, 4, 3), 0.5684554561447719);
    near(dm_variation_of_information(table, 4, 3), 0.9876638332125023);
    near(dm_adjusted_rand(chance, 2, 2), -0.02631578947368421);
    near(dm_variation_of_information(chance, 2, 2), 2.0 * log(2.0));
}

static void alike(void **state)
{
    (void)state;
    /* Equal up to numbers, of so many customers that their pairs exceed 64 bits. */
    const int64_t n = INT64_C(5000000011), same[] = {0, n, 0, n + 7, 0, 0, 0, 0, 3}, one = 17, singles[] = {1, 0, 0, 1},
                  none[] = {0, 0, 0, 0}, split[] = {1, 1};
    assert_true(dm_adjusted_rand(same, 3, 3) == 1.0 && dm_variation_of_information(same, 3, 3) == 0.0);
    assert_true(dm_adjusted_rand(&one, 1, 1) == 1.0 && dm_variation_of_information(&one, 1, 1) == 0.0);
    assert_true(dm_adjusted_rand(singles, 2, 2) == 1.0);
    assert_true(dm_adjusted_rand(split, 1, 2) == 0.0);
    assert_true(isnan(dm_adjusted_rand(none, 2, 2)) && isnan(dm_variation_of_information(none, 2, 2)));
}

static void jaccard(void **state)
{
    (void)state;
    double j[12];
    dm_jaccard(table, 4, 3, j);
    near(j[0], 50.0 / (53 + 61 - 50));
    near(j[1 * 3 + 2], 11.0 / (53 + 45 - 11));
    assert_true(j[2 * 3 + 1] == 0.0);
    const int64_t empty[] = {0};
    dm_jaccard(empty, 1, 1, j);
    assert_true(j[0] == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_scikit_learn), cmocka_unit_test(alike),
                                       cmocka_unit_test(jaccard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
