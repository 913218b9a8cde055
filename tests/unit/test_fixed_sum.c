/* Sums on a fixed grid: how fine the grid is, that parts add up exactly, and that limbs survive any number of ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fixed_sum.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A power of two; the bound becomes an integer below 2^40 but no coarser than 2^37, so 37 bits of it always count. */
static void check_scale(double bound)
{
    const double scale = dm_fixed_scale(bound);
    int e = 0;
    assert_true(frexp(scale, &e) == 0.5);
    assert_true(isfinite(scale) && scale > 0.0);
    assert_true(rint(bound * scale) < 0x1p40);
    if (bound > 0x1p-960) assert_true(bound * scale >= 0x1p37);
}

static void scale_fits_its_bound(void **state)
{
    (void)state;
    for (int e = -1074; e <= 1023; e++) {
        const double power = ldexp(1.0, e);
        check_scale(power);
        check_scale(nextafter(power, INFINITY));
        check_scale(nextafter(power, 0.0) > 0.0 ? nextafter(power, 0.0) : power);
        if (e > -1073) check_scale(1.5 * power);
    }
    check_scale(DBL_MAX);
    check_scale((double)FLT_MAX);
    check_scale((double)FLT_MAX * (double)FLT_MAX);
    assert_true(dm_fixed_scale(0.0) == 1.0);
}

/* A finer grid for a smaller bound, never a coarser one. */
static void scale_is_monotone(void **state)
{
    (void)state;
    double before = dm_fixed_scale(5e-324);
    for (double bound = 1e-320; bound < 1e300; bound *= 1.37) {
        const double scale = dm_fixed_scale(bound);
        assert_true(scale <= before);
        before = scale;
    }
}

static void flush_adds_and_clears(void **state)
{
    (void)state;
    dm_int128 total[4] = {0, -5, (dm_int128)1 << 100, -((dm_int128)1 << 100)};
    int64_t part[4] = {INT64_MAX, INT64_MIN, -3, 0};
    dm_fixed_flush(total, part, 4);
    assert_true(total[0] == INT64_MAX);
    assert_true(total[1] == -5 + (dm_int128)INT64_MIN);
    assert_true(total[2] == ((dm_int128)1 << 100) - 3);
    assert_true(total[3] == -((dm_int128)1 << 100));
    for (int i = 0; i < 4; i++) assert_true(part[i] == 0);
    dm_fixed_flush(total, part, 4);
    assert_true(total[0] == INT64_MAX);
    part[0] = INT64_MAX;
    dm_fixed_flush(total, part, 0); /* nothing */
    assert_true(part[0] == INT64_MAX && total[0] == INT64_MAX);
    dm_fixed_flush(total, part, 1);
    assert_true(total[0] == 2 * (dm_int128)INT64_MAX);
}

/* As many of the largest terms that a bound allows as may be added before a flush stay inside an int64. */
static void the_most_of_the_largest_terms(void **state)
{
    (void)state;
    const double bound[] = {1.0, 0.7, nextafter(1.0, 0.0), 1e-30, 3e38, 1e70};
    for (size_t b = 0; b < sizeof bound / sizeof *bound; b++) {
        const int64_t term = (int64_t)rint(bound[b] * dm_fixed_scale(bound[b]));
        dm_int128 total[2] = {0, 0};
        int64_t most = 0;
        assert_true(term <= INT64_C(1) << DM_FIXED_BITS);
        assert_false(__builtin_mul_overflow(DM_FIXED_TERMS, INT64_C(1) << DM_FIXED_BITS, &most));
        for (int flushes = 1; flushes <= 3; flushes++) {
            int64_t sum[2] = {0, 0};
            for (int64_t r = 0; r < DM_FIXED_TERMS; r++) {
                sum[0] += term;
                sum[1] -= term - (r % 2);
            }
            dm_fixed_flush(total, sum, 2);
            assert_true(total[0] == (dm_int128)term * DM_FIXED_TERMS * flushes);
            assert_true(total[1] == -((dm_int128)term * DM_FIXED_TERMS - DM_FIXED_TERMS / 2) * flushes);
        }
    }
}

static const dm_int128 one = 1;

static void split_and_join(void **state)
{
    (void)state;
    random_state = 7;
    const dm_int128 most = (dm_int128)((~(unsigned __int128)0) >> 1), least = -most - 1;
    const dm_int128 edge[] = {0,
                              1,
                              -1,
                              one << 31,
                              -(one << 31),
                              (one << 32) - 1,
                              one << 32,
                              -(one << 32),
                              one << 63,
                              -(one << 63),
                              (one << 64) - 1,
                              one << 64,
                              -(one << 64),
                              -(one << 64) - 1,
                              one << 96,
                              -(one << 96),
                              most,
                              least,
                              most - 1,
                              least + 1};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
        int64_t limb[3];
        dm_fixed_split(limb, edge[i]);
        assert_true(limb[0] >= 0 && limb[0] < INT64_C(1) << 32);
        assert_true(limb[1] >= 0 && limb[1] < INT64_C(1) << 32);
        assert_true(dm_fixed_join(limb) == edge[i]);
    }
    for (int t = 0; t < 10000; t++) {
        const dm_int128 v = (dm_int128)(((unsigned __int128)random64() << 64) | random64()) >> (random64() % 127);
        int64_t limb[3];
        dm_fixed_split(limb, v);
        assert_true(dm_fixed_join(limb) == v);
    }
}

/* The limbs of many ranks added as int64 and joined once: the sum of their integers, negative and large ones too. */
static void limbs_added_over_ranks(void **state)
{
    (void)state;
    random_state = 8;
    for (int kind = 0; kind < 4; kind++) {
        int64_t sum[3] = {0, 0, 0};
        dm_int128 want = 0;
        for (int rank = 0; rank < 100000; rank++) {
            dm_int128 v = (dm_int128)(((unsigned __int128)random64() << 64) | random64()) >> (20 + random64() % 100);
            if (kind == 1) v = -(v < 0 ? -v : v);
            if (kind == 2) v = v < 0 ? -v : v;
            if (kind == 3) v = -1 - (rank % 3); /* low limbs all ones */
            int64_t limb[3];
            dm_fixed_split(limb, v);
            for (int i = 0; i < 3; i++) sum[i] += limb[i];
            want += v;
        }
        assert_true(dm_fixed_join(sum) == want);
    }
}

/* 2^31 ranks that all hold the worst limbs: the sums are multiplied out, not added. */
static void limbs_have_room_for_2e31_ranks(void **state)
{
    (void)state;
    const dm_int128 value[] = {-1, (one << 64) - 1, -(one << 64) - 1, (one << 90) + 0x7fffffff, -(one << 90) - 5};
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        int64_t limb[3];
        dm_fixed_split(limb, value[i]);
        for (int l = 0; l < 3; l++) assert_false(__builtin_mul_overflow(limb[l], INT64_C(1) << 31, &limb[l]));
        assert_true(dm_fixed_join(limb) == value[i] * (one << 31));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scale_fits_its_bound),
        cmocka_unit_test(scale_is_monotone),
        cmocka_unit_test(flush_adds_and_clears),
        cmocka_unit_test(the_most_of_the_largest_terms),
        cmocka_unit_test(split_and_join),
        cmocka_unit_test(limbs_added_over_ranks),
        cmocka_unit_test(limbs_have_room_for_2e31_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
