/* Matching against scipy 1.10 (linear_sum_assignment, totals) and against every permutation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stats/matching.h"

/* Knuth's linear congruential generator, upper 20 bits: exact in double, easily repeated elsewhere. */
static void draw(double *gain, int32_t count, double modulus)
{
    uint64_t s = 12345;
    for (int32_t i = 0; i < count; i++) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        gain[i] = fmod((double)(s >> 44), modulus);
    }
}

/* Each column at most once, as many rows as there can be; @return the total gain */
static double check(const double *gain, int32_t a, int32_t b, const int32_t *match)
{
    bool used[64] = {false};
    double total = 0.0;
    int32_t matched = 0;
    for (int32_t i = 0; i < a; i++) {
        if (match[i] < 0) continue;
        assert_true(match[i] < b && !used[match[i]]);
        used[match[i]] = true;
        total += gain[i * b + match[i]];
        matched++;
    }
    assert_int_equal(matched, a < b ? a : b);
    return total;
}

static void against_scipy(void **state)
{
    (void)state;
    const struct {
        int32_t a, b;
        double modulus, total;
    } wanted[] = {{1, 1, 1e9, 114901},  {3, 3, 1e9, 2215489},    {5, 5, 1e9, 4202181}, {4, 9, 1e9, 3858628},
                  {9, 4, 1e9, 3675535}, {30, 30, 1e9, 29859411}, {1, 7, 1e9, 928644},  {7, 1, 1e9, 928644},
                  {6, 6, 4, 17},        {5, 8, 4, 15},           {20, 12, 4, 36}};
    for (size_t t = 0; t < sizeof wanted / sizeof *wanted; t++) {
        double gain[900];
        int32_t match[64];
        draw(gain, wanted[t].a * wanted[t].b, wanted[t].modulus);
        assert_int_equal(dm_match(gain, wanted[t].a, wanted[t].b, match), DEMARC_OK);
        assert_true(check(gain, wanted[t].a, wanted[t].b, match) == wanted[t].total);
    }
}

static double best_of(const double *gain, int32_t n, int32_t row, uint32_t used)
{
    double best = row == n ? 0.0 : -(double)INFINITY;
    for (int32_t j = 0; row < n && j < n; j++) {
        if (used & (1u << j)) continue;
        best = fmax(best, gain[row * n + j] + best_of(gain, n, row + 1, used | (1u << j)));
    }
    return best;
}

/* Shares, among them negative ones, whose sums are not exact. */
static void against_every_permutation(void **state)
{
    (void)state;
    double all[64 * 40];
    draw(all, 64 * 40, 1e9);
    for (int32_t t = 0; t < 40; t++) {
        const int32_t n = 2 + t % 6;
        double *gain = all + 64 * t;
        int32_t match[8];
        for (int32_t i = 0; i < n * n; i++) gain[i] = gain[i] / 1048576.0 / 3.0 - (t % 3 == 0 ? 0.1 : 0.0);
        assert_int_equal(dm_match(gain, n, n, match), DEMARC_OK);
        assert_true(fabs(check(gain, n, n, match) - best_of(gain, n, 0, 0)) < 1e-12);
    }
}

static void ties_go_to_the_lowest(void **state)
{
    (void)state;
    const double none[12] = {0};
    int32_t match[4];
    assert_int_equal(dm_match(none, 3, 4, match), DEMARC_OK);
    for (int32_t i = 0; i < 3; i++) assert_int_equal(match[i], i);
    assert_int_equal(dm_match(none, 4, 3, match), DEMARC_OK);
    for (int32_t i = 0; i < 3; i++) assert_int_equal(match[i], i);
    assert_int_equal(match[3], -1);
    assert_int_equal(dm_match(none, 0, 3, match), DEMARC_OK);
    assert_int_equal(dm_match(none, 2, 0, match), DEMARC_OK);
    assert_true(match[0] == -1 && match[1] == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_scipy), cmocka_unit_test(against_every_permutation),
                                       cmocka_unit_test(ties_go_to_the_lowest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
