/*
 * Compute kernels: `ref` against loops written here from the contract in dmk.h, every other variant against `ref`, bit
 * for bit. Buffers end at a page that may not be touched and start one element off any alignment, so a vector load too
 * wide is a crash. A variant that this CPU cannot run is reported as skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dmk.h"

static const int64_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000};
enum { SIZES = sizeof sizes / sizeof *sizes };

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
static double uniform(void) { return (double)(random64() >> 11) * 0x1p-53 * 2.0 - 1.0; }

/* Full mantissas over some 40 binary orders: sums of them round differently in every order. */
static double wide(void) { return ldexp(uniform(), below(40) - 20); }

/* ------------------------------------------------------------------------------------------------ buffers */

#define ARENAS 16
typedef struct arena {
    unsigned char *map;
    size_t bytes; /* usable; a page without access follows */
} arena;
static arena arenas[ARENAS];

static int reserve(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = ((size_t)16 << 20) / page * page;
    for (int i = 0; i < ARENAS; i++) {
        void *p = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return -1;
        arenas[i] = (arena){p, bytes};
        if (mprotect(arenas[i].map + bytes, page, PROT_NONE) != 0) return -1;
    }
    return 0;
}

static int release(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < ARENAS; i++) munmap(arenas[i].map, arenas[i].bytes + page);
    return 0;
}

/* `count` objects that end where the forbidden page begins (gap 0), or `gap` objects before it. */
static void *place(int slot, int64_t count, size_t size, size_t gap)
{
    const size_t bytes = ((size_t)count + gap) * size;
    assert_true(bytes <= arenas[slot].bytes);
    return arenas[slot].map + arenas[slot].bytes - bytes;
}
#define PLACE(slot, type, count, gap) ((type *)place((slot), (count), sizeof(type), (gap)))

/* ------------------------------------------------------------------------------------------------ variants */

static const dmk_table *ref(void)
{
    const int i = dmk_variant_find("ref");
    assert_true(i >= 0 && dmk_variant_supported(i));
    return dmk_variant(i);
}

static const dmk_table *variant_or_skip(const char *name)
{
    const int i = dmk_variant_find(name);
    if (i < 0) {
        print_message("skipped: this build has no %s kernels\n", name);
        skip();
    }
    if (!dmk_variant_supported(i)) {
        print_message("skipped: this CPU cannot run the %s kernels\n", name);
        skip();
    }
    return dmk_variant(i);
}

static void registry(void **state)
{
    (void)state;
    const int n = dmk_variant_count();
    assert_true(n >= 1);
    int best = -1;
    for (int i = 0; i < n; i++) {
        const dmk_table *t = dmk_variant(i);
        assert_non_null(t);
        assert_int_equal(dmk_variant_find(t->name), i); /* names are unique */
        assert_non_null(t->squared_distance);
        assert_non_null(t->row_norms);
        assert_non_null(t->smallest_two);
        assert_non_null(t->accumulate);
        assert_non_null(t->scale_rows);
        assert_non_null(t->add_moments);
        assert_non_null(t->scale_rows_f32);
        assert_non_null(t->add_moments_f32);
        assert_non_null(t->widen_f16);
        assert_non_null(t->scale_rows_f16);
        assert_non_null(t->add_moments_f16);
        if (best < 0 && dmk_variant_supported(i)) best = i;
        for (int j = 0; j < i; j++) assert_ptr_not_equal(t->squared_distance, dmk_variant(j)->squared_distance);
    }
    assert_string_equal(dmk_variant(n - 1)->name, "ref"); /* the last resort, on every CPU */
    assert_true(dmk_variant_supported(n - 1));
    assert_int_equal(dmk_variant_find("auto"), best);
    assert_int_equal(dmk_variant_find(NULL), best);
    assert_int_equal(dmk_variant_find(""), -1);
    assert_int_equal(dmk_variant_find("avx"), -1);
    assert_int_equal(dmk_variant_find("REF"), -1);
#if defined(__x86_64__)
    assert_int_equal(n, 3);
    assert_int_equal(dmk_variant_supported(dmk_variant_find("avx2")),
                     __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
}

/* Equal bits; NaN equals NaN whatever its payload. */
static void same_bits(const char *what, const void *got, const void *want, int64_t count, size_t size, int64_t rows,
                      int64_t d)
{
    for (int64_t i = 0; i < count; i++) {
        const char *a = (const char *)got + (size_t)i * size, *b = (const char *)want + (size_t)i * size;
        if (memcmp(a, b, size) == 0) continue;
        double x = 0.0, y = 0.0;
        if (size == sizeof(double)) {
            memcpy(&x, a, size);
            memcpy(&y, b, size);
        } else {
            float u = 0.0f, v = 0.0f;
            memcpy(&u, a, size);
            memcpy(&v, b, size);
            x = (double)u;
            y = (double)v;
        }
        if (isnan(x) && isnan(y)) continue;
        fail_msg("%s, %lld rows x %lld: item %lld is %a, expected %a", what, (long long)rows, (long long)d,
                 (long long)i, x, y);
    }
}

/* ------------------------------------------------------------------------------------------------ squared distance */

/* Feature f to partial sum f mod 8 in index order; the eight in the tree that dmk.h's implementation fixes. */
static double naive_squared(const float *x, const double *c, int64_t d)
{
    double s[8];
    for (int64_t l = 0; l < 8; l++) {
        s[l] = 0.0;
        for (int64_t f = l; f < d; f += 8) {
            const double t = (double)x[f] - c[f], square = t * t;
            s[l] = s[l] + square;
        }
    }
    const double a = s[0] + s[4], b = s[2] + s[6], e = s[1] + s[5], g = s[3] + s[7];
    return (a + b) + (e + g);
}

static void check_squared(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 1;
    for (int i = 0; i < SIZES; i++) {
        const int64_t d = sizes[i];
        for (size_t gap = 0; gap < 6; gap++) {
            float *x = PLACE(0, float, d, gap);
            double *c = PLACE(1, double, d, gap / 2);
            for (int64_t f = 0; f < d; f++) {
                x[f] = (float)wide();
                c[f] = below(5) == 0 ? (double)x[f] : wide();
            }
            const double got = t->squared_distance(x, c, d);
            const double want = oracle == NULL ? naive_squared(x, c, d) : oracle->squared_distance(x, c, d);
            same_bits("squared_distance", &got, &want, 1, sizeof got, 1, d);
            long double exact = 0.0L;
            for (int64_t f = 0; f < d; f++) exact += ((long double)x[f] - c[f]) * ((long double)x[f] - c[f]);
            assert_true(fabsl((long double)got - exact) <= exact * (long double)(d + 8) * 0x1p-53L);
        }
    }
    /* the ends of the range: float's largest and smallest, no overflow on the way */
    const float far[3] = {FLT_MAX, -FLT_MAX, FLT_TRUE_MIN};
    const double origin[3] = {-(double)FLT_MAX, (double)FLT_MAX, 0.0};
    assert_true(t->squared_distance(far, origin, 3) == 8.0 * (double)FLT_MAX * (double)FLT_MAX);
    assert_true(t->squared_distance(far + 2, origin + 2, 1) == 0x1p-298);
    assert_true(t->squared_distance(far, origin, 0) == 0.0);
}

/* ------------------------------------------------------------------------------------------------ row norms */

static void check_norms(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 2;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            const int64_t rows = sizes[i], d = sizes[j];
            const size_t gap = (size_t)(i + j) % 3;
            float *x = PLACE(0, float, rows *d, gap), *norm = PLACE(1, float, rows, gap),
                  *want = PLACE(2, float, rows, 0);
            for (int64_t v = 0; v < rows * d; v++) x[v] = (float)wide();
            for (int64_t r = 0; r < rows; r++) norm[r] = -1.0f;
            t->row_norms(x, rows, d, norm);
            if (oracle != NULL) {
                oracle->row_norms(x, rows, d, want);
                same_bits("row_norms", norm, want, rows, sizeof *norm, rows, d);
                continue;
            }
            for (int64_t r = 0; r < rows; r++) {
                long double exact = 0.0L;
                for (int64_t f = 0; f < d; f++) exact += (long double)x[r * d + f] * x[r * d + f];
                exact = sqrtl(exact);
                assert_true(fabsl((long double)norm[r] - exact) <= exact * (long double)(d + 2) * 0x1p-24L);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------ smallest two */

static void check_smallest(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 3;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 1; j < SIZES; j++) {
            for (int kind = 0; kind < 3; kind++) {
                const int64_t rows = sizes[i], ldg = rows + kind;
                const int32_t k = (int32_t)sizes[j];
                const size_t gap = (size_t)(i + kind) % 4;
                const int64_t cells = (k - 1) * ldg + rows; /* the last row of g need not be padded */
                float *g = PLACE(0, float, cells, gap), *h = PLACE(1, float, k, gap);
                float *best = PLACE(2, float, rows, gap), *second = PLACE(3, float, rows, gap);
                int32_t *label = PLACE(4, int32_t, rows, gap);
                for (int64_t v = 0; v < cells; v++) {
                    g[v] = kind == 0 ? (float)below(4) : kind == 1 ? (float)wide() : -FLT_MAX; /* 0: many ties */
                }
                for (int32_t c = 0; c < k; c++)
                    h[c] = kind == 0 ? (float)below(2) : kind == 1 ? (float)wide() : FLT_MAX;
                memset(label, 0x55, (size_t)rows * sizeof *label);
                t->smallest_two(g, ldg, h, k, rows, best, second, label);
                if (oracle != NULL) {
                    float *best2 = PLACE(5, float, rows, 0), *second2 = PLACE(6, float, rows, 0);
                    int32_t *label2 = PLACE(7, int32_t, rows, 0);
                    oracle->smallest_two(g, ldg, h, k, rows, best2, second2, label2);
                    same_bits("smallest_two: best", best, best2, rows, sizeof *best, rows, k);
                    same_bits("smallest_two: second", second, second2, rows, sizeof *best, rows, k);
                    if (rows > 0) assert_memory_equal(label, label2, (size_t)rows * sizeof *label);
                    continue;
                }
                for (int64_t r = 0; r < rows; r++) {
                    int32_t first = 0;
                    for (int32_t c = 1; c < k; c++) {
                        if (h[c] - g[c * ldg + r] < h[first] - g[first * ldg + r]) first = c;
                    }
                    float next = INFINITY;
                    for (int32_t c = 0; c < k; c++) {
                        if (c != first) next = fminf(next, h[c] - g[c * ldg + r]);
                    }
                    assert_int_equal(label[r], first);
                    assert_true(best[r] == h[first] - g[first * ldg + r]);
                    assert_true(second[r] == next);
                }
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------ fused nearest */

#ifdef DMK_PACK
/* The dot product by fused multiply-adds in feature order, then as dmk_table.smallest_two; kind 0: whole numbers, ties. */
static void check_nearest_case(const dmk_nearest_kernel *t, int64_t rows, int64_t d, int32_t k, int kind, size_t gap)
{
    const int64_t padded = ((int64_t)k + DMK_PACK - 1) / DMK_PACK * DMK_PACK;
    float *x = PLACE(0, float, rows *d, gap), *packed = PLACE(1, float, padded *d, gap);
    float *h = PLACE(2, float, padded, gap), *scratch = PLACE(3, float, DMK_NEAREST_SCRATCH, gap);
    float *best = PLACE(4, float, rows, gap), *second = PLACE(5, float, rows, gap), *norm = PLACE(6, float, rows, gap);
    int32_t *label = PLACE(7, int32_t, rows, gap);
    for (int64_t i = 0; i < rows * d; i++) x[i] = kind == 0 ? (float)(below(5) - 2) : (float)wide();
    for (int64_t j = 0; j < padded; j++) {
        h[j] = j >= k ? INFINITY : kind == 0 ? (float)below(3) : (float)wide();
        for (int64_t f = 0; f < d; f++) {
            packed[(j / DMK_PACK * d + f) * DMK_PACK + j % DMK_PACK] = j >= k      ? 0.0f
                                                                       : kind == 0 ? (float)(below(5) - 2)
                                                                                   : (float)wide();
        }
    }
    memset(scratch, 0xff, DMK_NEAREST_SCRATCH * sizeof *scratch); /* NaN: nothing may come from there */
    memset(label, 0x55, (size_t)rows * sizeof *label);
    t->rows(x, rows, d, packed, h, k, scratch, best, second, label, norm);
    for (int64_t r = 0; r < rows; r++) {
        float b = INFINITY, s = INFINITY;
        int32_t first = 0;
        long double square = 0.0L;
        for (int64_t f = 0; f < d; f++) square += (long double)x[r * d + f] * x[r * d + f];
        for (int32_t j = 0; j < k; j++) {
            float dot = 0.0f;
            for (int64_t f = 0; f < d; f++) {
                dot = fmaf(x[r * d + f], packed[(j / DMK_PACK * d + f) * DMK_PACK + j % DMK_PACK], dot);
            }
            const float v = h[j] - dot;
            if (v < b) {
                s = b;
                b = v;
                first = j;
            } else if (v < s) {
                s = v;
            }
        }
        if (best[r] != b || second[r] != s || label[r] != first) {
            fail_msg("nearest, row %lld of %lld, d %lld, k %d: %a %a %d, expected %a %a %d", (long long)r,
                     (long long)rows, (long long)d, k, (double)best[r], (double)second[r], label[r], (double)b,
                     (double)s, first);
        }
        assert_true(fabsl((long double)norm[r] - sqrtl(square)) <= sqrtl(square) * (long double)(d + 2) * 0x1p-24L);
    }
}

static void check_nearest(const char *name)
{
    const dmk_nearest_kernel *t = variant_or_skip(name)->nearest;
    if (t == NULL) {
        print_message("skipped: %s has no fused search\n", name);
        skip();
    }
    random_state = 7;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            const int64_t d = sizes[j] < DMK_NEAREST_FEATURES ? sizes[j] : DMK_NEAREST_FEATURES;
            const int32_t k = (int32_t)sizes[1 + (i + j) % (SIZES - 2)];
            const size_t gap = (size_t)(i + j) % 4;
            check_nearest_case(t, sizes[i], d, k, 0, gap);
            check_nearest_case(t, sizes[i], d, k, 1, gap);
            if (sizes[i] <= 33) check_nearest_case(t, sizes[i], d, 1 + below(300), below(2), 3 - gap);
        }
    }
}

static void nearest_avx2(void **state)
{
    (void)state;
    check_nearest("avx2");
}
static void nearest_avx512(void **state)
{
    (void)state;
    check_nearest("avx512");
}
#endif

/* ------------------------------------------------------------------------------------------------ accumulate */

__extension__ typedef __int128 int128;

static void check_accumulate_case(const dmk_table *t, const dmk_table *oracle, int64_t rows, int64_t d, bool weighted,
                                  size_t gap)
{
    const int32_t k = 1 + below(9);
    float *x = PLACE(0, float, rows *d, gap), *w = PLACE(1, float, rows, gap);
    int32_t *label = PLACE(2, int32_t, rows, gap);
    double *scale = PLACE(3, double, d, gap), *sum = PLACE(4, double, k *d, gap), *count = PLACE(5, double, k, gap);
    double *sum2 = PLACE(6, double, k *d, 0), *count2 = PLACE(7, double, k, 0);
    for (int64_t f = 0; f < d; f++) scale[f] = ldexp(1.0, below(60) - 20);
    const double weight_scale = ldexp(1.0, 30 + below(9));
    for (int64_t r = 0; r < rows; r++) {
        w[r] = below(8) == 0 ? 0.0f : (float)fabs(uniform());
        label[r] = below(4) == 0 ? (below(2) == 0 ? 0 : k - 1) : below(k);
        for (int64_t f = 0; f < d; f++) {
            const double bound = 0x1p39 / scale[f]; /* ties of rint: odd multiples of half a grid step, too */
            const double v = below(3) == 0   ? bound
                             : below(3) == 0 ? ((double)below(2000) + 0.5) / scale[f]
                                             : bound * uniform();
            x[r * d + f] = (float)(below(2) == 0 ? v : -v);
        }
    }
    for (int64_t i = 0; i < k * d; i++) sum[i] = sum2[i] = (double)(below(2000) - 1000); /* adds to what is there */
    for (int32_t j = 0; j < k; j++) count[j] = count2[j] = (double)below(1000);
    if (oracle == NULL) {
        for (int64_t r = 0; r < rows; r++) {
            const long double wr = weighted ? (long double)w[r] : 1.0L; /* 24 + 24 bits: exact in a long double */
            for (int64_t f = 0; f < d; f++) {
                const int128 term = (int128)rintl(wr * (long double)x[r * d + f] * (long double)scale[f]);
                sum2[label[r] * d + f] = (double)((int128)sum2[label[r] * d + f] + term);
            }
            count2[label[r]] += weighted ? rint((double)w[r] * weight_scale) : 1.0;
        }
    } else {
        oracle->accumulate(x, weighted ? w : NULL, label, rows, d, scale, weight_scale, sum2, count2);
    }
    t->accumulate(x, weighted ? w : NULL, label, rows, d, scale, weight_scale, sum, count);
    same_bits("accumulate: sum", sum, sum2, k * d, sizeof *sum, rows, d);
    same_bits("accumulate: count", count, count2, k, sizeof *count, rows, d);
}

static void check_accumulate(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 4;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            check_accumulate_case(t, oracle, sizes[i], sizes[j], false, (size_t)(i + j) % 3);
            check_accumulate_case(t, oracle, sizes[i], sizes[j], true, (size_t)(i + j) % 2);
        }
    }
    check_accumulate_case(t, oracle, 4096, 5, false, 0); /* a whole block */
    check_accumulate_case(t, oracle, 4096, 5, true, 0);
}

/* label x d beyond 2^32: address space is reserved, only the pages of three segments are touched. */
static void check_far_labels(const dmk_table *t)
{
    const int32_t k = INT32_MAX;
    const int64_t d = 3;
    const size_t bytes = (size_t)k * (size_t)d * sizeof(double), count_bytes = (size_t)k * sizeof(double);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    double *sum = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    double *count = mmap(NULL, count_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (sum == MAP_FAILED || count == MAP_FAILED) {
        if (sum != MAP_FAILED) munmap(sum, bytes);
        if (count != MAP_FAILED) munmap(count, count_bytes);
        print_message("skipped: no 68 GB of address space here\n");
        skip();
    }
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, w[] = {1, 2, 3, 4};
    const int32_t label[] = {k - 1, 0, 1500000000, k - 1};
    const double scale[] = {1, 1, 1};
    t->accumulate(x, w, label, 4, d, scale, 1.0, sum, count);
    const double last[] = {1 + 40, 2 + 44, 3 + 48}, middle[] = {21, 24, 27}, zero[] = {8, 10, 12};
    assert_memory_equal(sum + (int64_t)(k - 1) * d, last, sizeof last);
    assert_memory_equal(sum + (int64_t)1500000000 * d, middle, sizeof middle);
    assert_memory_equal(sum, zero, sizeof zero);
    assert_true(count[k - 1] == 5.0 && count[0] == 2.0 && count[1500000000] == 3.0);
    munmap(sum, bytes);
    munmap(count, count_bytes);
}

/* ------------------------------------------------------------------------------------------------ scale rows */

static double odd_value(void)
{
    switch (below(12)) {
    case 0:
        return NAN;
    case 1:
        return -NAN;
    case 2:
        return INFINITY;
    case 3:
        return -INFINITY;
    case 4:
        return below(2) == 0 ? 0.0 : -0.0;
    case 5:
        return 1e300 * uniform();
    case 6:
        return 1e-310 * uniform();
    default:
        return wide();
    }
}

/* A half by its definition: sign, five bits of exponent, ten of fraction. */
static double half_value(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double size = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                        : exponent == 0 ? ldexp(fraction, -24)
                                        : ldexp(1024 + fraction, exponent - 25);
    return h >> 15 ? -size : size;
}

/* Any half, more often than by chance a zero, a subnormal, an infinity or NaN, of either sign. */
static uint16_t odd_half(void)
{
    static const uint16_t odd[] = {0, 1, 0x3ff, 0x400, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x7fff};
    const uint16_t any = (uint16_t)random64();
    return below(4) == 0 ? (uint16_t)(odd[below(9)] | (any & 0x8000)) : any;
}

/* All 65,536 of them, then every odd length. */
static void check_widen(const dmk_table *t, const dmk_table *oracle)
{
    uint16_t *all = PLACE(0, uint16_t, 65536, 0);
    double *out = PLACE(1, double, 65536, 0);
    for (int i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    t->widen_f16(all, 65536, out);
    for (int i = 0; i < 65536; i++) {
        const double want = half_value((uint16_t)i);
        if (isnan(want)) {
            assert_true(isnan(out[i]));
        } else {
            assert_memory_equal(&out[i], &want, sizeof want);
        }
    }
    for (int i = 0; i < SIZES; i++) {
        const int64_t n = sizes[i];
        uint16_t *h = PLACE(2, uint16_t, n, (size_t)i % 3);
        double *got = PLACE(3, double, n, (size_t)i % 3), *want = PLACE(4, double, n, 0);
        for (int64_t c = 0; c < n; c++) {
            h[c] = odd_half() & 0xfbff; /* no NaN: its bits are free */
            want[c] = half_value(h[c]);
        }
        if (oracle != NULL) oracle->widen_f16(h, n, want);
        t->widen_f16(h, n, got);
        same_bits("widen_f16", got, want, n, sizeof *got, n, 1);
    }
}

static float narrow(double v) { return fabs(v) < (double)FLT_MAX || !isfinite(v) ? (float)v : 0.0f; }

static void check_scale(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 5;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            const int64_t rows = sizes[i], d = sizes[j];
            const size_t gap = (size_t)(i + j) % 3;
            double *v = PLACE(0, double, rows *d, gap), *origin = PLACE(1, double, d, gap);
            double *factor = PLACE(2, double, d, gap);
            float *out = PLACE(3, float, rows *d, gap), *want = PLACE(4, float, rows *d, 0);
            for (int64_t f = 0; f < d; f++) {
                origin[f] = wide();
                factor[f] = below(6) == 0 ? 0.0 : fabs(wide());
            }
            for (int64_t c = 0; c < rows * d; c++) v[c] = odd_value();
            for (int64_t c = 0; c < rows * d; c++) {
                const double s = (v[c] - origin[c % d]) * factor[c % d];
                want[c] = isnan(s) ? 0.0f : (float)s;
            }
            if (oracle != NULL) oracle->scale_rows(v, rows, d, origin, factor, want);
            memset(out, 0x77, (size_t)(rows * d) * sizeof *out);
            t->scale_rows(v, rows, d, origin, factor, out);
            same_bits("scale_rows", out, want, rows * d, sizeof *out, rows, d);
            for (int64_t c = 0; c < rows * d; c++) assert_true(!isnan(out[c]));
            float *x = PLACE(5, float, rows *d, gap);
            for (int64_t c = 0; c < rows * d; c++) {
                x[c] = narrow(v[c]);
                v[c] = (double)x[c];
            }
            (oracle != NULL ? oracle : t)->scale_rows(v, rows, d, origin, factor, want);
            t->scale_rows_f32(x, rows, d, origin, factor, out);
            same_bits("scale_rows_f32", out, want, rows * d, sizeof *out, rows, d);
            t->scale_rows_f32(x, rows, d, origin, factor, x);
            same_bits("scale_rows_f32 in place", x, want, rows * d, sizeof *out, rows, d);
            uint16_t *h = PLACE(6, uint16_t, rows * d, gap);
            for (int64_t c = 0; c < rows * d; c++) {
                h[c] = odd_half();
                v[c] = half_value(h[c]);
            }
            (oracle != NULL ? oracle : t)->scale_rows(v, rows, d, origin, factor, want);
            t->scale_rows_f16(h, rows, d, origin, factor, out);
            same_bits("scale_rows_f16", out, want, rows * d, sizeof *out, rows, d);
        }
    }
    /* A missing value becomes the origin: +0, nothing else. */
    const double missing[2] = {NAN, 1.7e9 + 1.0}, origin[2] = {5.0, 1.7e9}, factor[2] = {3.0, 1.0};
    float out[2] = {9.0f, 9.0f};
    t->scale_rows(missing, 1, 2, origin, factor, out);
    assert_true(out[0] == 0.0f && !signbit(out[0]));
    assert_true(out[1] == 1.0f); /* a Unix time keeps its last second */
}

/* ------------------------------------------------------------------------------------------------ moments */

typedef struct moments {
    double *item[6];
} moments;

static dmk_moments as_moments(const moments *m)
{
    return (dmk_moments){m->item[0], m->item[1], m->item[2], m->item[3], m->item[4], m->item[5]};
}

static moments fresh_moments(int slot, int64_t d, size_t gap)
{
    moments m;
    for (int i = 0; i < 6; i++) {
        m.item[i] = PLACE(slot + i, double, d, gap);
        for (int64_t f = 0; f < d; f++) m.item[i][f] = i == 3 ? INFINITY : i == 4 ? -INFINITY : 0.0;
    }
    return m;
}

static void naive_moments(const double *v, const float *w, int64_t rows, int64_t d, const double *shift,
                          const moments *m)
{
    for (int64_t f = 0; f < d; f++) { /* column by column: the order that counts is that of the rows */
        for (int64_t r = 0; r < rows; r++) {
            const double value = v[r * d + f];
            if (!isfinite(value)) {
                m->item[5][f] += 1.0;
                continue;
            }
            const double wr = w == NULL ? 1.0 : (double)w[r], u = value - shift[f], wu = wr * u, wuu = wu * u;
            m->item[0][f] += wr;
            m->item[1][f] += wu;
            m->item[2][f] += wuu;
            if (value < m->item[3][f]) m->item[3][f] = value;
            if (value > m->item[4][f]) m->item[4][f] = value;
        }
    }
}

static void check_moments(const dmk_table *t, const dmk_table *oracle)
{
    static const char *const what[6] = {"add_moments: weight", "add_moments: first", "add_moments: second",
                                        "add_moments: low",    "add_moments: high",  "add_moments: bad"};
    random_state = 6;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            for (int weighted = 0; weighted < 2; weighted++) {
                const int64_t rows = sizes[i], d = sizes[j];
                const size_t gap = (size_t)(i + j + weighted) % 3;
                double *v = PLACE(0, double, rows *d, gap), *shift = PLACE(1, double, d, gap);
                float *w = PLACE(2, float, rows, gap);
                for (int64_t c = 0; c < rows * d; c++) v[c] = odd_value();
                for (int64_t f = 0; f < d; f++) shift[f] = wide();
                for (int64_t r = 0; r < rows; r++) w[r] = below(5) == 0 ? 0.0f : (float)fabs(wide());
                const moments got = fresh_moments(3, d, gap), want = fresh_moments(9, d, 0);
                dmk_moments m = as_moments(&got), m2 = as_moments(&want);
                const int64_t half = rows / 2; /* in two calls: they go on where they were */
                t->add_moments(v, weighted ? w : NULL, half, d, shift, &m);
                t->add_moments(v + half * d, weighted ? w + half : NULL, rows - half, d, shift, &m);
                if (oracle == NULL) {
                    naive_moments(v, weighted ? w : NULL, rows, d, shift, &want);
                } else {
                    oracle->add_moments(v, weighted ? w : NULL, rows, d, shift, &m2);
                }
                for (int a = 0; a < 6; a++) same_bits(what[a], got.item[a], want.item[a], d, sizeof(double), rows, d);
                float *x = PLACE(15, float, rows *d, gap);
                for (int64_t c = 0; c < rows * d; c++) {
                    x[c] = narrow(v[c]);
                    v[c] = (double)x[c];
                }
                const moments got32 = fresh_moments(3, d, gap), want32 = fresh_moments(9, d, 0);
                m = as_moments(&got32);
                m2 = as_moments(&want32);
                t->add_moments_f32(x, weighted ? w : NULL, half, d, shift, &m);
                t->add_moments_f32(x + half * d, weighted ? w + half : NULL, rows - half, d, shift, &m);
                (oracle != NULL ? oracle : t)->add_moments(v, weighted ? w : NULL, rows, d, shift, &m2);
                for (int a = 0; a < 6; a++) {
                    same_bits(what[a], got32.item[a], want32.item[a], d, sizeof(double), rows, d);
                }
                uint16_t *h = PLACE(15, uint16_t, rows * d, gap);
                for (int64_t c = 0; c < rows * d; c++) {
                    h[c] = odd_half();
                    v[c] = half_value(h[c]);
                }
                const moments got16 = fresh_moments(3, d, gap), want16 = fresh_moments(9, d, 0);
                m = as_moments(&got16);
                m2 = as_moments(&want16);
                t->add_moments_f16(h, weighted ? w : NULL, half, d, shift, &m);
                t->add_moments_f16(h + half * d, weighted ? w + half : NULL, rows - half, d, shift, &m);
                (oracle != NULL ? oracle : t)->add_moments(v, weighted ? w : NULL, rows, d, shift, &m2);
                for (int a = 0; a < 6; a++) {
                    same_bits(what[a], got16.item[a], want16.item[a], d, sizeof(double), rows, d);
                }
            }
        }
    }
    /* A column of nothing but bad values leaves no trace but its count; the largest double is not bad. */
    const double v[8] = {NAN, DBL_MAX, INFINITY, -DBL_MAX, -INFINITY, 1.0, -NAN, 2.0}, shift[2] = {1.0, 0.0};
    const moments got = fresh_moments(3, 2, 1);
    dmk_moments m = as_moments(&got);
    t->add_moments(v, NULL, 4, 2, shift, &m);
    assert_true(m.weight[0] == 0.0 && m.first[0] == 0.0 && m.second[0] == 0.0 && m.bad[0] == 4.0);
    assert_true(isinf(m.low[0]) && isinf(m.high[0]));
    assert_true(m.weight[1] == 4.0 && m.bad[1] == 0.0 && m.low[1] == -DBL_MAX && m.high[1] == DBL_MAX);
}

/* ------------------------------------------------------------------------------------------------ tests */

#define TEST_PAIR(op)                                                                                                  \
    static void op##_ref(void **state)                                                                                 \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op(ref(), NULL);                                                                                       \
    }                                                                                                                  \
    static void op##_avx2(void **state)                                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op(variant_or_skip("avx2"), ref());                                                                    \
    }                                                                                                                  \
    static void op##_avx512(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_##op(variant_or_skip("avx512"), ref());                                                                  \
    }

TEST_PAIR(squared)
TEST_PAIR(norms)
TEST_PAIR(smallest)
TEST_PAIR(accumulate)
TEST_PAIR(widen)
TEST_PAIR(scale)
TEST_PAIR(moments)

static void far_labels_ref(void **state)
{
    (void)state;
    check_far_labels(ref());
}
static void far_labels_avx2(void **state)
{
    (void)state;
    check_far_labels(variant_or_skip("avx2"));
}
static void far_labels_avx512(void **state)
{
    (void)state;
    check_far_labels(variant_or_skip("avx512"));
}

#define RUN(op) cmocka_unit_test(op##_ref), cmocka_unit_test(op##_avx2), cmocka_unit_test(op##_avx512)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry),
        RUN(squared),
        RUN(norms),
        RUN(smallest),
        RUN(accumulate),
        RUN(far_labels),
        RUN(widen),
        RUN(scale),
        RUN(moments),
#ifdef DMK_PACK
        cmocka_unit_test(nearest_avx2),
        cmocka_unit_test(nearest_avx512),
#endif
    };
    return cmocka_run_group_tests(tests, reserve, release);
}
