/*
 * Counter-based random numbers: Philox4x32-10 by the known answers of its authors, through our layout of seed, purpose,
 * step and index; uniform numbers stay off 0 and 1; integers stay in range and are even.
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

#include "base/counter_rng.h"

/* Rows "philox4x32 10" of Random123's kat_vectors: counter, key, result. */
static const struct {
    uint32_t counter[4], key[2], result[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

/* The layout: index in words 0 and 1, step in word 2 and the low half of 3, purpose in the high half of 3, seed as key. */
static dm_random4 through_layout(const uint32_t c[4], const uint32_t key[2])
{
    const uint64_t seed = (uint64_t)key[1] << 32 | key[0], index = (uint64_t)c[1] << 32 | c[0];
    const uint64_t step = (uint64_t)(c[3] & 0xffff) << 32 | c[2];
    return dm_random(seed, (dm_purpose)(c[3] >> 16), step, index);
}

static void known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const dm_random4 r = through_layout(known[i].counter, known[i].key);
        for (int w = 0; w < 4; w++) assert_int_equal(r.v[w], known[i].result[w]);
    }
}

/* Philox4x32-10 written out from the paper (Salmon et al. 2011, section 4.3). */
static dm_random4 by_the_paper(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xd2511f53 * c[0], q = (uint64_t)0xcd9e8d57 * c[2];
        const uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k[1],
                                  (uint32_t)p};
        memcpy(c, next, sizeof c);
        k[0] += 0x9e3779b9;
        k[1] += 0xbb67ae85;
    }
    return (dm_random4){{c[0], c[1], c[2], c[3]}};
}

/* Every bit of every argument reaches its place in the counter or the key, and no other. */
static void every_bit_has_its_place(void **state)
{
    (void)state;
    for (int bit = 0; bit < 192; bit++) {
        uint32_t c[4] = {0x01234567, 0x89abcdef, 0x55aa55aa, 0x00030f0f}, key[2] = {0xdeadbeef, 0x0badcafe};
        if (bit < 128) {
            c[bit / 32] ^= UINT32_C(1) << (bit % 32);
        } else {
            key[(bit - 128) / 32] ^= UINT32_C(1) << (bit % 32);
        }
        const dm_random4 got = through_layout(c, key), want = by_the_paper(c, key);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

static int by_words(const void *a, const void *b) { return memcmp(a, b, sizeof(dm_random4)); }

/* All purposes, small steps and indices, two seeds: a bijection per key, so within a seed nothing repeats. */
static void streams_do_not_overlap(void **state)
{
    (void)state;
    enum { PURPOSES = 7, STEPS = 20, INDICES = 200, ALL = 2 * PURPOSES * STEPS * INDICES };
    dm_random4 *all = malloc(ALL * sizeof *all);
    assert_non_null(all);
    const uint64_t step_base[] = {0, UINT64_C(0xfffffffffff0)};
    int at = 0;
    for (uint64_t seed = 0; seed < 2; seed++) {
        for (int p = DM_PURPOSE_SEED_FIRST; p <= DM_PURPOSE_SEED_SAMPLE; p++) {
            for (uint64_t s = 0; s < STEPS; s++) {
                const uint64_t step = step_base[s % 2] + s / 2;
                for (uint64_t i = 0; i < INDICES; i++) {
                    const uint64_t index = i % 2 == 0 ? i / 2 : UINT64_MAX - i / 2;
                    all[at++] = dm_random(seed, (dm_purpose)p, step, index);
                }
            }
        }
    }
    assert_int_equal(at, ALL);
    qsort(all, ALL, sizeof *all, by_words);
    for (int i = 1; i < ALL; i++) assert_true(memcmp(&all[i - 1], &all[i], sizeof *all) != 0);
    free(all);
}

static void purposes_are_distinct(void **state)
{
    (void)state;
    const int purpose[] = {DM_PURPOSE_SEED_FIRST,  DM_PURPOSE_SEED_ROUND,   DM_PURPOSE_SEED_RECLUSTER,
                           DM_PURPOSE_SEED_RANDOM, DM_PURPOSE_MINIBATCH,    DM_PURPOSE_GENERATE,
                           DM_PURPOSE_SEED_SAMPLE, DM_PURPOSE_SEED_CORESET, DM_PURPOSE_BOOTSTRAP};
    for (size_t i = 0; i < sizeof purpose / sizeof *purpose; i++) {
        assert_in_range(purpose[i], 1, 0xffff); /* 16 bits of the counter are theirs */
        for (size_t j = 0; j < i; j++) assert_int_not_equal(purpose[i], purpose[j]);
    }
}

static void uniform_is_open(void **state)
{
    (void)state;
    assert_true(dm_uniform(0, 0) == 0x1p-53);
    assert_true(dm_uniform(0, 0xfff) == 0x1p-53);
    assert_true(dm_uniform(0xffffffff, 0xffffffff) == 1.0 - 0x1p-53);
    assert_true(dm_uniform(0x80000000, 0) == 0.5 + 0x1p-53);
    assert_true(dm_uniform(0x7fffffff, 0xffffffff) == 0.5 - 0x1p-53);
    assert_true(dm_uniform(0, 0x1000) == 3 * 0x1p-53); /* every one of the 52 bits counts */
    double before = 0.0;
    for (uint32_t hi = 0; hi < 0xff000000; hi += 0x00ffffff) {
        const double u = dm_uniform(hi, 0x12345678);
        assert_true(u > before && u < 1.0);
        before = u;
    }
}

static void uniform_is_uniform(void **state)
{
    (void)state;
    enum { N = 200000, BINS = 64 };
    static int bin[BINS];
    double sum = 0.0, squares = 0.0;
    for (uint64_t i = 0; i < N; i++) {
        const dm_random4 r = dm_random(11, DM_PURPOSE_MINIBATCH, 3, i);
        const double u = dm_uniform(r.v[0], r.v[1]), v = dm_uniform(r.v[2], r.v[3]);
        sum += u;
        squares += (u - 0.5) * (v - 0.5);
        bin[(int)(u * BINS)]++;
    }
    double chi = 0.0;
    for (int b = 0; b < BINS; b++) chi += (bin[b] - N / BINS) * (double)(bin[b] - N / BINS) / (N / BINS);
    assert_true(chi < 63.0 + 6.0 * sqrt(2.0 * 63.0));
    assert_true(fabs(sum / N - 0.5) < 6.0 * sqrt(1.0 / 12.0 / N));
    assert_true(fabs(squares / N) < 6.0 / 12.0 / sqrt(N)); /* words 0,1 and 2,3 go separate ways */
}

static void below_stays_below(void **state)
{
    (void)state;
    const int64_t n[] = {1, 2, 3, 7, 4096, INT64_C(1) << 32, INT64_C(1000000000000), INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        assert_true(dm_random_below(0, 0, n[i]) == 0);
        assert_true(dm_random_below(0xffffffff, 0xffffffff, n[i]) == n[i] - 1);
        for (uint64_t t = 0; t < 2000; t++) {
            const dm_random4 r = dm_random(5, DM_PURPOSE_SEED_RANDOM, (uint64_t)i, t);
            const int64_t v = dm_random_below(r.v[0], r.v[1], n[i]);
            assert_true(v >= 0 && v < n[i]);
        }
    }
    assert_true(dm_random_below(0x80000000, 0, INT64_MAX) == INT64_MAX / 2);
    assert_true(dm_random_below(0, 1, INT64_MAX) == 0);
    assert_true(dm_random_below(0, 3, INT64_MAX) == 1); /* the low word counts */
}

static void below_is_even(void **state)
{
    (void)state;
    enum { N = 140000 };
    for (int64_t n = 2; n <= 101; n += 33) {
        int count[101] = {0};
        for (uint64_t i = 0; i < N; i++) {
            const dm_random4 r = dm_random(9, DM_PURPOSE_SEED_ROUND, (uint64_t)n, i);
            count[dm_random_below(r.v[0], r.v[1], n)]++;
        }
        double chi = 0.0;
        const double each = (double)N / (double)n, free = (double)(n - 1);
        for (int64_t v = 0; v < n; v++) chi += (count[v] - each) * (count[v] - each) / each;
        assert_true(chi < free + 6.0 * sqrt(2.0 * free) + 6.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),          cmocka_unit_test(every_bit_has_its_place),
        cmocka_unit_test(streams_do_not_overlap), cmocka_unit_test(purposes_are_distinct),
        cmocka_unit_test(uniform_is_open),        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(below_stays_below),      cmocka_unit_test(below_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
