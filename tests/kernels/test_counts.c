/*
 * Kernels of the bootstrap: row_counts of every variant against Philox written out here from the paper and the order that
 * dmk.h states, add_pieces and add_counts against integers. The last value lies before a page that may not be touched. A variant that this
 * CPU cannot run is reported as skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dmk.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }

static unsigned char *map;
static size_t usable;

static int reserve(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    usable = ((size_t)1 << 20) / page * page;
    void *p = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return -1;
    map = p;
    return mprotect(map + usable, page, PROT_NONE);
}

static int release(void **state)
{
    (void)state;
    return munmap(map, usable + (size_t)sysconf(_SC_PAGESIZE));
}

static void *at_the_end(size_t bytes)
{
    assert_true(bytes <= usable);
    return map + usable - bytes;
}

static const dmk_table *variant_or_skip(const char *name)
{
    const int i = dmk_variant_find(name);
    if (i < 0 || !dmk_variant_supported(i)) {
        print_message("skipped: no %s kernels here\n", name);
        skip();
    }
    return dmk_variant(i);
}

/* Salmon et al. 2011, section 4.3. */
static uint32_t word_of(const dmk_counts *c, uint64_t row, uint32_t step, int which)
{
    uint32_t x[4] = {(uint32_t)row, (uint32_t)(row >> 32), step, c->fourth}, k[2] = {c->key[0], c->key[1]};
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xd2511f53 * x[0], q = (uint64_t)0xcd9e8d57 * x[2];
        const uint32_t next[4] = {(uint32_t)(q >> 32) ^ x[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ x[3] ^ k[1],
                                  (uint32_t)p};
        memcpy(x, next, sizeof x);
        k[0] += 0x9e3779b9;
        k[1] += 0xbb67ae85;
    }
    return x[which];
}

static float naive_count(const dmk_counts *c, int64_t row, int64_t i)
{
    const int64_t at = i % DMK_COUNTS;
    const uint32_t step = c->step + (uint32_t)(i / DMK_COUNTS * 8 + at % 16 / 2);
    const uint32_t word = word_of(c, (uint64_t)row, step, (int)(2 * (at / 32 % 2) + at % 2));
    const uint32_t u = at / 16 % 2 == 0 ? word & 0xffff : word >> 16;
    int reached = 0;
    while (reached < 8 && u >= c->limit[reached]) reached++;
    return (float)reached;
}

static int by_value(const void *a, const void *b) { return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b; }

static void check_counts(const char *name)
{
    const dmk_table *t = variant_or_skip(name);
    random_state = 3;
    for (int64_t rows = 0; rows <= 11; rows++) {
        for (int64_t groups = 0; groups <= 4; groups++) {
            const int64_t ld = groups * DMK_COUNTS + below(3);
            dmk_counts c = {{(uint32_t)random64(), (uint32_t)random64()}, (uint32_t)random64(), 0, {0}};
            c.step = below(2) == 0 ? (uint32_t)below(100) : UINT32_MAX - (uint32_t)below(20); /* past 2^32, too */
            for (int k = 0; k < 8; k++) {
                /* the first few spread, the last few rare; or all anywhere; or the ends of the range */
                const int kind = (int)(rows % 3);
                c.limit[k] = (uint16_t)(kind == 0   ? 65535 - 40000 / (1 << (2 * k))
                                        : kind == 1 ? 1 + below(65535)
                                                    : (k < 4 ? 1 : 65535));
            }
            qsort(c.limit, 8, sizeof *c.limit, by_value);
            int64_t row[11];
            for (int64_t r = 0; r < rows; r++) row[r] = (int64_t)(random64() >> (1 + below(60)));
            const int64_t all = rows == 0 ? 0 : (rows - 1) * ld + groups * DMK_COUNTS;
            float *out = at_the_end((size_t)all * sizeof *out);
            memset(out, 0xff, (size_t)all * sizeof *out);
            t->row_counts(&c, row, rows, groups, out, ld);
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t i = 0; i < groups * DMK_COUNTS; i++) {
                    assert_true(out[r * ld + i] == naive_count(&c, row[r], i));
                }
            }
        }
    }
}

static void check_pieces(const char *name)
{
    enum { MOST = 70 };
    const dmk_table *t = variant_or_skip(name);
    random_state = 4;
    for (int64_t n = 0; n <= MOST; n++) {
        for (int32_t pieces = 1; pieces <= 4; pieces++) {
            const int32_t bits = 1 + below(11);
            const int64_t ld = n + below(3);
            float *part = at_the_end((size_t)(pieces * ld) * sizeof *part);
            int64_t sum[MOST], want[MOST];
            for (int64_t i = 0; i < pieces * ld; i++) {
                part[i] = (float)((below(2) == 0 ? 1 : -1) * (below(9) == 0 ? 1 << 24 : below(1 << 24)));
            }
            for (int64_t i = 0; i < n; i++) {
                sum[i] = want[i] = (int64_t)random64() >> (2 + below(60));
                for (int32_t l = 0; l < pieces; l++) want[i] += (int64_t)part[l * ld + i] * (INT64_C(1) << (bits * l));
            }
            t->add_pieces(part, ld, n, pieces, bits, sum);
            assert_memory_equal(sum, want, (size_t)n * sizeof *sum);
        }
    }
}

/* Rows of several segments, counted 0 to 8 times, with and without units; sums go on from what is there. */
static void check_rows_on_a_grid(const char *name)
{
    enum { ROWS = 37, K = 5, LD = 48 };
    const dmk_table *t = variant_or_skip(name);
    int32_t grid[ROWS * LD], unit[ROWS], label[ROWS], want[K * LD], weight[K], want_weight[K];
    uint8_t count[ROWS];
    random_state = 5;
    for (int c = 0; c < 200; c++) {
        const int64_t rows = below(ROWS + 1), ld = 16 * (1 + below(3));
        const int32_t k = 1 + below(K);
        const bool units = below(2) == 0;
        int32_t *sum = at_the_end((size_t)(k * ld) * sizeof *sum);
        for (int64_t i = 0; i < rows * ld; i++) grid[i] = below(1 << 20) - (1 << 19);
        for (int64_t i = 0; i < k * ld; i++) sum[i] = want[i] = below(1000) - 500;
        for (int32_t j = 0; j < k; j++) weight[j] = want_weight[j] = below(1000);
        for (int64_t r = 0; r < rows; r++) {
            unit[r] = below(1 << 19);
            label[r] = below(k);
            count[r] = (uint8_t)below(9);
            for (int64_t f = 0; f < ld; f++) want[label[r] * ld + f] += count[r] * grid[r * ld + f];
            want_weight[label[r]] += count[r] * (units ? unit[r] : 1);
        }
        t->add_counts(grid, units ? unit : NULL, count, label, rows, ld, sum, weight);
        assert_memory_equal(sum, want, (size_t)(k * ld) * sizeof *sum);
        assert_memory_equal(weight, want_weight, (size_t)k * sizeof *weight);
    }
}

#define TEST_ALL(op)                                                                                                   \
    static void op##_ref(void **state)                                                                                 \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op("ref");                                                                                             \
    }                                                                                                                  \
    static void op##_avx2(void **state)                                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op("avx2");                                                                                            \
    }                                                                                                                  \
    static void op##_avx512(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op("avx512");                                                                                          \
    }

TEST_ALL(counts)
TEST_ALL(pieces)
TEST_ALL(rows_on_a_grid)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_ref),
        cmocka_unit_test(counts_avx2),
        cmocka_unit_test(counts_avx512),
        cmocka_unit_test(pieces_ref),
        cmocka_unit_test(pieces_avx2),
        cmocka_unit_test(pieces_avx512),
        cmocka_unit_test(rows_on_a_grid_ref),
        cmocka_unit_test(rows_on_a_grid_avx2),
        cmocka_unit_test(rows_on_a_grid_avx512),
    };
    return cmocka_run_group_tests(tests, reserve, release);
}
