/*
 * Exact sums against a big integer kept by hand: any order, any merging, one rounding at the end.
 *
 * The oracle shares nothing with the code under test: two magnitudes (what was added, what was taken away) in 16-bit
 * limbs of 2^-1074, subtracted and rounded bit by bit. A few sums worked out with Python's fractions check the oracle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_sum.h"

/* ------------------------------------------------------------------------------------------------ oracle */

#define LIMBS 140 /* 2240 bits: 2^-1074 .. 2^1166 */

typedef struct oracle {
    uint32_t part[2][LIMBS]; /* 16 bits each: positive, negative */
} oracle;

static void oracle_add(oracle *o, double x)
{
    if (x == 0.0) return;
    int e = 0;
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(x), &e), 53); /* |x| = mantissa 2^(e - 53) */
    int at = e - 53 + 1074;
    for (; at < 0; at++) mantissa >>= 1; /* denormals: their low bits are zero */
    uint32_t *p = o->part[x < 0.0];
    uint32_t carry = 0;
    for (int i = at / 16, left = at % 16; i < LIMBS && (mantissa != 0 || carry != 0); i++) {
        uint32_t take = (uint32_t)(mantissa << left) & 0xffff;
        mantissa >>= 16 - left;
        left = 0;
        uint32_t v = p[i] + take + carry;
        p[i] = v & 0xffff;
        carry = v >> 16;
    }
}

static bool bit(const uint32_t *p, int i) { return i >= 0 && ((p[i / 16] >> (i % 16)) & 1) != 0; }

static double oracle_value(const oracle *o)
{
    int order = 0;
    for (int i = LIMBS - 1; i >= 0 && order == 0; i--) {
        order = (o->part[0][i] > o->part[1][i]) - (o->part[0][i] < o->part[1][i]);
    }
    if (order == 0) return 0.0;
    const uint32_t *big = o->part[order < 0], *small = o->part[order > 0];
    uint32_t p[LIMBS], borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        uint32_t v = 0x10000 + big[i] - small[i] - borrow;
        p[i] = v & 0xffff;
        borrow = (v >> 16) == 0;
    }
    int top = LIMBS * 16 - 1;
    while (!bit(p, top)) top--;
    int last = top - 52; /* the last bit that a double keeps */
    if (last < 0) last = 0;
    uint64_t kept = 0;
    for (int i = top; i >= last; i--) kept = 2 * kept + bit(p, i);
    bool rest = false;
    for (int i = last - 2; i >= 0 && !rest; i--) rest = bit(p, i);
    if (bit(p, last - 1) && (rest || (kept & 1) != 0)) kept++;
    double v = ldexp((double)kept, last - 1074);
    return order < 0 ? -v : v;
}

static uint64_t bits_of(double v)
{
    uint64_t b = 0;
    memcpy(&b, &v, sizeof b);
    return b;
}

static double double_of(uint64_t b)
{
    double v = 0.0;
    memcpy(&v, &b, sizeof v);
    return v;
}

#define assert_same(a, b)                                                                                              \
    do {                                                                                                               \
        double got_ = (a), want_ = (b);                                                                                \
        if (bits_of(got_) != bits_of(want_))                                                                           \
            fail_msg("got %a (%.17g), expected %a (%.17g)", got_, got_, want_, want_);                                 \
    } while (0)

static double sum_of(const double *x, int n)
{
    dm_exact_sum s = {0};
    for (int i = 0; i < n; i++) dm_exact_sum_add(&s, x[i]);
    return dm_exact_sum_value(&s);
}

static double oracle_of(const double *x, int n)
{
    static oracle o;
    memset(&o, 0, sizeof o);
    for (int i = 0; i < n; i++) oracle_add(&o, x[i]);
    return oracle_value(&o);
}

/* ------------------------------------------------------------------------------------------------ random numbers */

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }

/* Any finite double, its exponent field uniform in [low, high] (0 = denormal, 2046 = largest). */
static double random_double(int low, int high)
{
    uint64_t e = (uint64_t)(low + below(high - low + 1));
    uint64_t m = random64() >> 12;
    if (below(4) == 0) m &= UINT64_C(0xfffff) << (4 * below(9)); /* mantissas with few bits make ties */
    return double_of((random64() & (UINT64_C(1) << 63)) | (e << 52) | m);
}

static void shuffle(double *x, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int j = below(i + 1);
        double t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

/* ------------------------------------------------------------------------------------------------ tests */

/* Sums by Python: float(sum(map(Fraction, ...))); rounding by the definition of IEEE 754. */
static const struct {
    double x[6];
    double sum;
} known[] = {
    {{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, 2.1},
    {{0.1, 0.1, 0.1, 0.0, 0.0, 0.0}, 0x1.3333333333334p-2},
    {{1e308, 1e308, -1e308, -1e308, 5e-324, 0.0}, 5e-324},
    {{1e16, 1.0, -1e16, 0.0, 0.0, 0.0}, 1.0},
    {{1e100, 1.0, -1e100, 1e-100, 0.0, 0.0}, 1.0},
    {{0x1p53, 1.0, 0.0, 0.0, 0.0, 0.0}, 0x1p53},                      /* tie to even: down */
    {{0x1p53, 2.0, 1.0, 0.0, 0.0, 0.0}, 0x1.0000000000002p53},        /* tie to even: up */
    {{0x1p53, 1.0, 5e-324, 0.0, 0.0, 0.0}, 0x1.0000000000001p53},     /* above the tie by the least possible */
    {{0x1p53, 2.0, 1.0, -5e-324, 0.0, 0.0}, 0x1.0000000000001p53},    /* below it */
    {{-0x1p53, -1.0, -5e-324, 0.0, 0.0, 0.0}, -0x1.0000000000001p53}, /* the same, negative */
    {{DBL_MAX, 0x1p969, 0.0, 0.0, 0.0, 0.0}, DBL_MAX},                /* below half a last place over the largest */
    {{DBL_MAX, 0x1p970, -5e-324, 0.0, 0.0, 0.0}, DBL_MAX},
    {{DBL_MAX, 0x1p970, 0.0, 0.0, 0.0, 0.0}, INFINITY}, /* half: to even, which is 2^1024 */
    {{-DBL_MAX, -DBL_MAX, 0.0, 0.0, 0.0, 0.0}, -INFINITY},
    {{DBL_MAX, DBL_MAX, DBL_MAX, -DBL_MAX, -DBL_MAX, 0.0}, DBL_MAX},
    {{DBL_MIN, -5e-324, 0.0, 0.0, 0.0, 0.0}, 0x0.fffffffffffffp-1022}, /* into the denormals */
    {{5e-324, 5e-324, 5e-324, -1e-323, 0.0, 0.0}, 5e-324},
    {{0x1p31, 0x1p63, 0x1p95, -0x1p95, -0x1p63, -0x1p31}, 0.0},
};

static void known_sums(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_same(oracle_of(known[i].x, 6), known[i].sum);
        assert_same(sum_of(known[i].x, 6), known[i].sum);
    }
}

static void nothing_and_zeros(void **state)
{
    (void)state;
    dm_exact_sum s = {0};
    assert_same(dm_exact_sum_value(&s), 0.0);
    dm_exact_sum_add(&s, 0.0);
    dm_exact_sum_add(&s, -0.0);
    assert_same(dm_exact_sum_value(&s), 0.0);
    dm_exact_sum_add(&s, -1.5);
    dm_exact_sum_add(&s, 1.5);
    assert_same(dm_exact_sum_value(&s), 0.0);
}

static void not_finite_is_ignored(void **state)
{
    (void)state;
    const double bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++) { /* one at a time: two could cancel */
        const double x[] = {1.25, bad[i], 2.5};
        assert_same(sum_of(x, 3), 3.75);
    }
}

/* One double, every exponent, both signs, hard mantissas: comes back unchanged. */
static void every_double_is_itself(void **state)
{
    (void)state;
    const uint64_t mantissa[] = {0, 1, UINT64_C(0xfffffffffffff), UINT64_C(0x8000000000000), UINT64_C(0x5555555555555)};
    for (uint64_t e = 0; e < 2047; e++) {
        for (size_t m = 0; m < 5; m++) {
            if (e == 0 && mantissa[m] == 0) continue;
            double v = double_of((e << 52) | mantissa[m]), w = -v;
            assert_same(sum_of(&v, 1), v);
            assert_same(sum_of(&w, 1), w);
        }
    }
}

static void against_oracle(int low, int high, int most, int times)
{
    static double x[4096];
    for (int t = 0; t < times; t++) {
        int n = 1 + below(most);
        for (int i = 0; i < n; i++) x[i] = random_double(low, high);
        if (t % 3 == 0) { /* cancel most of it */
            for (int i = n / 2; i < n; i++) x[i] = -x[i - n / 2];
            if (t % 2 == 0) x[0] = nextafter(x[0], INFINITY);
            shuffle(x, n);
        }
        double want = oracle_of(x, n), got = sum_of(x, n);
        if (bits_of(got) != bits_of(want)) {
            fail_msg("%d doubles of exponents %d..%d: %a, expected %a", n, low, high, got, want);
        }
    }
}

static void random_sums(void **state)
{
    (void)state;
    random_state = 1;
    against_oracle(0, 2046, 4000, 60);    /* whole range */
    against_oracle(0, 3, 4000, 60);       /* denormals and their neighbours */
    against_oracle(0, 60, 20, 3000);      /* several chunks, gradual underflow */
    against_oracle(1000, 1060, 12, 8000); /* around 1: sums that round */
    against_oracle(2030, 2046, 8, 2000);  /* overflow near the top */
    against_oracle(1023, 1023, 3, 8000);  /* ties */
}

/* a + b where b lies at and around half of a's last place, with dust far below: every rounding case, both signs. */
static void rounding_at_the_last_bit(void **state)
{
    (void)state;
    random_state = 2;
    for (int t = 0; t < 20000; t++) {
        int e = 60 + below(1900);
        uint64_t odd = random64() & 1;
        double a = double_of(((uint64_t)e << 52) | ((random64() >> 12) & ~UINT64_C(1)) | odd);
        double half = double_of((uint64_t)(e - 53) << 52);
        double dust = double_of((uint64_t)below(e - 54) << 52 | 1);
        double x[3] = {a, half, below(3) == 0 ? 0.0 : below(2) == 0 ? dust : -dust};
        if (below(2) == 0) x[1] = -x[1];
        if (below(2) == 0) {
            for (int i = 0; i < 3; i++) x[i] = -x[i];
        }
        double want = oracle_of(x, 3);
        if (bits_of(sum_of(x, 3)) != bits_of(want)) {
            fail_msg("%a + %a + %a = %a, expected %a", x[0], x[1], x[2], sum_of(x, 3), want);
        }
    }
}

static void order_does_not_count(void **state)
{
    (void)state;
    random_state = 3;
    static double x[3000];
    for (int i = 0; i < 3000; i++) x[i] = random_double(0, 2040);
    const double want = oracle_of(x, 3000);
    for (int t = 0; t < 20; t++) {
        shuffle(x, 3000);
        assert_same(sum_of(x, 3000), want);
    }
}

/* After normalising, equal sums are equal bytes: what ranks compare and add. */
static void normal_form_is_unique(void **state)
{
    (void)state;
    random_state = 4;
    static double x[2500];
    for (int i = 0; i < 2500; i++) x[i] = random_double(900, 1200);
    dm_exact_sum first = {0};
    for (int t = 0; t < 10; t++) {
        dm_exact_sum s = {0};
        for (int i = 0; i < 2500; i++) {
            dm_exact_sum_add(&s, x[i]);
            if (i % (t + 7) == 0) dm_exact_sum_normalize(&s);
        }
        dm_exact_sum_normalize(&s);
        for (int i = 0; i < DM_EXACT_CHUNKS; i++) {
            assert_true(s.chunk[i] < INT64_C(1) << 32 && s.chunk[i] > -(INT64_C(1) << 32));
        }
        assert_int_equal(s.pending, 0);
        if (t == 0) first = s;
        assert_memory_equal(&s, &first, sizeof s);
        dm_exact_sum_normalize(&s);
        assert_memory_equal(&s, &first, sizeof s);
        shuffle(x, 2500);
    }
}

static void any_merging(void **state)
{
    (void)state;
    random_state = 5;
    static double x[5000];
    static dm_exact_sum part[40];
    for (int t = 0; t < 30; t++) {
        int n = 1 + below(5000), parts = 1 + below(40);
        for (int i = 0; i < n; i++) x[i] = random_double(t % 2 == 0 ? 0 : 990, t % 2 == 0 ? 2040 : 1056);
        memset(part, 0, sizeof part);
        for (int i = 0; i < n; i++) dm_exact_sum_add(&part[below(parts)], x[i]);
        for (int left = parts; left > 1; left--) { /* merge random pairs */
            int a = below(left), b = below(left - 1);
            if (b >= a) b++;
            dm_exact_sum before = part[b];
            dm_exact_sum_merge(&part[a], &part[b]);
            assert_memory_equal(&part[b], &before, sizeof before);
            part[b] = part[left - 1]; /* close the gap */
        }
        assert_same(dm_exact_sum_value(&part[0]), oracle_of(x, n));
    }
}

static void merging_with_itself_and_nothing(void **state)
{
    (void)state;
    dm_exact_sum s = {0}, empty = {0};
    dm_exact_sum_add(&s, -3.5);
    dm_exact_sum_merge(&s, &s);
    assert_same(dm_exact_sum_value(&s), -7.0);
    dm_exact_sum_merge(&s, &empty);
    assert_same(dm_exact_sum_value(&s), -7.0);
    dm_exact_sum_merge(&empty, &s);
    assert_same(dm_exact_sum_value(&empty), -7.0);
}

/* 2^62 in doublings by merging: carries travel far, then all is taken away again. */
static void doubling(void **state)
{
    (void)state;
    dm_exact_sum s = {0}, t = {0};
    dm_exact_sum_add(&s, -0x1.fffffffffffffp-1);
    for (int i = 0; i < 62; i++) {
        t = s;
        dm_exact_sum_merge(&s, &t);
    }
    assert_same(dm_exact_sum_value(&s), -0x1.fffffffffffffp61);
    dm_exact_sum_add(&s, 0x1.fffffffffffffp61);
    assert_same(dm_exact_sum_value(&s), 0.0);
}

/*
 * The most that may be pending: additions whose chunks are all ones, same sign, in the number at which carries are
 * propagated and around it, also on top of a merge. Any overflow of a chunk would show here (and under UBSan).
 */
static void pending_never_overflows(void **state)
{
    (void)state;
    for (uint64_t shift = 0; shift < 32; shift++) {
        double v = -double_of(((1024 + shift) << 52) | UINT64_C(0xfffffffffffff));
        dm_exact_sum s = {0}, t = {0};
        oracle o = {0};
        for (int i = 0; i < 2100; i++) {
            dm_exact_sum_add(&s, v);
            oracle_add(&o, v);
            if (i == 998 || i == 999 || i == 1000 || i == 1023 || i == 1024 || i == 1999 || i == 2000 || i == 2099) {
                assert_same(dm_exact_sum_value(&s), oracle_value(&o));
            }
        }
        for (int i = 0; i < 999; i++) dm_exact_sum_add(&t, v);
        dm_exact_sum_merge(&t, &s);
        for (int i = 0; i < 5000; i++) dm_exact_sum_add(&t, v);
        for (int i = 0; i < 5999; i++) oracle_add(&o, v);
        assert_same(dm_exact_sum_value(&t), oracle_value(&o));
    }
}

/* As ranks do it: normalised sums added chunk by chunk as int64, thousands of them, of both signs. */
static void chunks_added_over_ranks(void **state)
{
    (void)state;
    random_state = 6;
    dm_exact_sum total = {0};
    oracle o = {0};
    for (int rank = 0; rank < 5000; rank++) {
        dm_exact_sum s = {0};
        for (int i = 0; i < 3; i++) {
            double v = random_double(980, 1100);
            if (rank % 2 == 0) v = -fabs(v);
            dm_exact_sum_add(&s, v);
            oracle_add(&o, v);
        }
        dm_exact_sum_normalize(&s);
        int64_t *sum = (int64_t *)&total, *mine = (int64_t *)&s;
        for (size_t i = 0; i < sizeof s / sizeof *mine; i++) sum[i] += mine[i];
    }
    dm_exact_sum_normalize(&total);
    assert_same(dm_exact_sum_value(&total), oracle_value(&o));
}

static void value_leaves_the_sum_alone(void **state)
{
    (void)state;
    dm_exact_sum s = {0};
    for (int i = 0; i < 100; i++) dm_exact_sum_add(&s, -1e10 / (i + 1));
    dm_exact_sum before = s;
    (void)dm_exact_sum_value(&s);
    assert_memory_equal(&s, &before, sizeof s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
        cmocka_unit_test(nothing_and_zeros),
        cmocka_unit_test(not_finite_is_ignored),
        cmocka_unit_test(every_double_is_itself),
        cmocka_unit_test(random_sums),
        cmocka_unit_test(rounding_at_the_last_bit),
        cmocka_unit_test(order_does_not_count),
        cmocka_unit_test(normal_form_is_unique),
        cmocka_unit_test(any_merging),
        cmocka_unit_test(merging_with_itself_and_nothing),
        cmocka_unit_test(doubling),
        cmocka_unit_test(pending_never_overflows),
        cmocka_unit_test(chunks_added_over_ranks),
        cmocka_unit_test(value_leaves_the_sum_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
