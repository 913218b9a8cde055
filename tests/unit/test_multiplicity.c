/*
 * Adjusted p-values: equal to what R's p.adjust() gives (its formulas, by hand), NaN left out, ties alike, in place; and on
 * random p-values equal to the definitions of Holm and of Benjamini and Hochberg as searches over all thresholds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stats/multiplicity.h"

static bool near(double a, double b) { return fabs(a - b) <= 1e-15 * fabs(b); }

static void names(void **state)
{
    (void)state;
    assert_string_equal(dm_adjust_name(DM_ADJUST_HOLM), "holm");
    assert_string_equal(dm_adjust_name(DM_ADJUST_BH), "bh");
}

/* p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05, 0.001, 0.04, 1, 0.5, 0), "holm") and "BH", with three NaN strewn in. */
static void as_in_r(void **state)
{
    (void)state;
    enum { N = 13 };
    const double nan = (double)NAN;
    const double p[N] = {0.01, nan, 0.02, 0.03, 0.04, 0.05, 0.001, nan, 0.04, 1.0, 0.5, 0.0, nan};
    const double holm[N] = {0.08, nan, 0.14, 0.18, 0.2, 0.2, 0.009, nan, 0.2, 1.0, 1.0, 0.0, nan};
    const double bh[N] = {0.1 / 3.0, nan,       0.05, 0.4 / 7.0, 0.4 / 7.0, 0.0625, 0.005,
                          nan,       0.4 / 7.0, 1.0,  5.0 / 9.0, 0.0,       nan};
    for (int how = 0; how < 2; how++) {
        const double *want = how == 0 ? holm : bh;
        double got[N], in_place[N];
        int64_t made = -1;
        memcpy(in_place, p, sizeof p);
        assert_int_equal(dm_adjust_p(how == 0 ? DM_ADJUST_HOLM : DM_ADJUST_BH, p, N, got, &made), DEMARC_OK);
        assert_int_equal(made, 10);
        assert_int_equal(dm_adjust_p(how == 0 ? DM_ADJUST_HOLM : DM_ADJUST_BH, in_place, N, in_place, NULL), DEMARC_OK);
        for (int i = 0; i < N; i++) {
            assert_true(isnan(want[i]) ? isnan(got[i]) : near(got[i], want[i]));
            assert_true(isnan(want[i]) ? isnan(in_place[i]) : in_place[i] == got[i]);
        }
    }
}

static void few_or_none(void **state)
{
    (void)state;
    double p[2] = {0.3, (double)NAN}, got[2] = {7.0, 7.0};
    int64_t made = -1;
    for (int how = 0; how < 2; how++) {
        const dm_adjust a = how == 0 ? DM_ADJUST_HOLM : DM_ADJUST_BH;
        assert_int_equal(dm_adjust_p(a, p, 0, got, &made), DEMARC_OK);
        assert_true(made == 0 && got[0] == 7.0);
        assert_int_equal(dm_adjust_p(a, p, 2, got, &made), DEMARC_OK);
        assert_true(made == 1 && got[0] == 0.3 && isnan(got[1])); /* one test is not adjusted */
        assert_int_equal(dm_adjust_p(a, p + 1, 1, got, &made), DEMARC_OK);
        assert_true(made == 0 && isnan(got[0]));
        got[0] = 7.0;
    }
}

static uint64_t random_state = 8;

static int below(int n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((random_state >> 33) % (uint64_t)n);
}

/*
 * The largest adjusted value by the procedure itself. Holm at level alpha rejects, from the smallest p on, while (M - i) p <=
 * alpha; BH rejects all p up to the largest i with M p(i) / i <= alpha. The adjusted p-value is the least alpha that rejects.
 */
static bool rejects(bool holm, const double *p, int m, int which, double alpha)
{
    int best = 0;
    double limit = -1.0; /* p-values up to it are rejected */
    for (int i = 0; i < m; i++) {
        int up_to = 0, less = 0;
        for (int l = 0; l < m; l++) {
            up_to += p[l] <= p[i];
            less += p[l] < p[i];
        }
        if (!holm && (double)m / (double)up_to * p[i] <= alpha && up_to > best) {
            best = up_to;
            limit = p[i];
        }
        if (holm && p[i] <= p[which] && (double)(m - less) * p[i] > alpha) return false;
    }
    return holm || p[which] <= limit;
}

static void least_level_that_rejects(void **state)
{
    (void)state;
    enum { MOST = 12 };
    for (int turn = 0; turn < 3000; turn++) {
        const int m = 1 + below(MOST);
        double p[MOST], got[MOST];
        for (int i = 0; i < m; i++) p[i] = below(30) / (turn % 2 == 0 ? 29.0 : 900.0); /* with ties, 0 and 1 */
        for (int how = 0; how < 2; how++) {
            assert_int_equal(dm_adjust_p(how == 0 ? DM_ADJUST_HOLM : DM_ADJUST_BH, p, m, got, NULL), DEMARC_OK);
            for (int i = 0; i < m; i++) {
                assert_true(got[i] >= p[i] && got[i] <= 1.0);
                assert_true(got[i] == 1.0 || rejects(how == 0, p, m, i, got[i] * (1.0 + 1e-12)));
                assert_true(got[i] == 0.0 || !rejects(how == 0, p, m, i, got[i] * (1.0 - 1e-12)));
                for (int l = 0; l < i; l++) assert_true(p[l] != p[i] || got[l] == got[i]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(as_in_r),
        cmocka_unit_test(few_or_none),
        cmocka_unit_test(least_level_that_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
