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
#include <stdio.h>
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
        assert_non_null(t->squared_distances);
        assert_non_null(t->distances_to);
        assert_non_null(t->row_norms);
        assert_non_null(t->smallest_two);
        assert_non_null(t->uncertain);
        assert_non_null(t->gap);
        assert_non_null(t->expired);
        assert_non_null(t->move);
        assert_non_null(t->add_deviations);
        assert_non_null(t->scale_rows);
        assert_non_null(t->add_moments);
        assert_non_null(t->scale_rows_f32);
        assert_non_null(t->add_moments_f32);
        assert_non_null(t->widen_f16);
        assert_non_null(t->scale_rows_f16);
        assert_non_null(t->add_moments_f16);
        assert_non_null(t->row_counts);
        assert_non_null(t->add_pieces);
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
    for (int i = 0; i < SIZES; i++) {
        const int64_t d = sizes[i];
        double got[11], want[11];
        for (int64_t k = 0; k <= 11; k++) {
            float *x = PLACE(0, float, d, (size_t)k % 6);
            double *c = PLACE(1, double, k *d, (size_t)k % 3);
            for (int64_t f = 0; f < d; f++) x[f] = (float)wide();
            for (int64_t f = 0; f < k * d; f++) c[f] = wide();
            for (int64_t j = 0; j < k; j++) want[j] = t->squared_distance(x, c + j * d, d);
            t->squared_distances(x, c, k, d, got);
            same_bits("squared_distances", got, want, k, sizeof *got, k, d);
        }
    }
    /* the ends of the range: float's largest and smallest, no overflow on the way */
    const float far[3] = {FLT_MAX, -FLT_MAX, FLT_TRUE_MIN};
    const double origin[3] = {-(double)FLT_MAX, (double)FLT_MAX, 0.0};
    assert_true(t->squared_distance(far, origin, 3) == 8.0 * (double)FLT_MAX * (double)FLT_MAX);
    assert_true(t->squared_distance(far + 2, origin + 2, 1) == 0x1p-298);
    assert_true(t->squared_distance(far, origin, 0) == 0.0);
}

/* ------------------------------------------------------------------------------------------------ distances to */

/* Points in tiles, centers in groups: the same bits as one point, one center and one feature after the other. */
static void check_distances_to(const dmk_table *t, const dmk_table *oracle)
{
    (void)oracle; /* the definition itself is at hand */
    static const int64_t features[] = {0, 1, 2, 7, 33};
    random_state = 3;
    for (int i = 0; i < SIZES; i++) {
        const int64_t count = sizes[i], ld = (count + DMK_TILE_POINTS - 1) / DMK_TILE_POINTS * DMK_TILE_POINTS;
        for (size_t j = 0; j < sizeof features / sizeof *features; j++) {
            for (int64_t p = 0; p <= 9; p++) {
                const int64_t d = features[j];
                float *tiles = PLACE(0, float, ld *d, (size_t)p % 3), *c = PLACE(1, float, p *d, (size_t)i % 5),
                      *out = PLACE(2, float, p *ld, 0), *want = PLACE(3, float, count, 0);
                for (int64_t v = 0; v < ld * d; v++) tiles[v] = (float)uniform();
                for (int64_t v = 0; v < p * d; v++) c[v] = (float)uniform();
                for (int64_t v = 0; v < p * ld; v++) out[v] = -1.0f;
                t->distances_to(tiles, count, d, c, p, out, ld);
                for (int64_t a = 0; a < p; a++) {
                    for (int64_t q = 0; q < count; q++) {
                        const float *x = tiles + q / DMK_TILE_POINTS * DMK_TILE_POINTS * d + q % DMK_TILE_POINTS;
                        volatile float sum = 0.0f; /* rounded after every step */
                        for (int64_t f = 0; f < d; f++) {
                            volatile float away = x[f * DMK_TILE_POINTS] - c[a * d + f], square = away * away;
                            sum = sum + square;
                        }
                        want[q] = sum;
                    }
                    same_bits("distances_to", out + a * ld, want, count, sizeof *out, count, d);
                }
            }
        }
    }
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

/* ------------------------------------------------------------------------------------------------ uncertain */

static void check_uncertain(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 8;
    for (int i = 0; i < SIZES; i++) {
        for (size_t gap = 0; gap < 3; gap++) {
            const int64_t rows = sizes[i];
            float *best = PLACE(0, float, rows, gap), *second = PLACE(1, float, rows, gap);
            float *norm = PLACE(2, float, rows, gap);
            uint8_t *flag = PLACE(3, uint8_t, rows, gap), *want = PLACE(4, uint8_t, rows, 0);
            const float linear = 0.25f, constant = 0.5f, square = 0.125f, reach = 2.0f, limit = 8.0f;
            int64_t expected = 0;
            for (int64_t r = 0; r < rows; r++) { /* whole numbers and eighths: the bound is exact, and often just met */
                norm[r] = (float)below(11);
                best[r] = (float)(below(9) - 4);
                const float bound = linear * norm[r] + constant + square * (norm[r] + reach) * (norm[r] + reach);
                second[r] = below(9) == 0 ? INFINITY : best[r] + bound + 0.125f * (float)(below(3) - 1);
                want[r] = !(second[r] - best[r] > bound && norm[r] < limit);
                expected += want[r];
            }
            if (oracle != NULL) {
                expected = oracle->uncertain(best, second, norm, rows, linear, constant, square, reach, limit, want);
            }
            for (int64_t r = 0; r < rows; r++) flag[r] = 0x55;
            assert_int_equal(t->uncertain(best, second, norm, rows, linear, constant, square, reach, limit, flag),
                             expected);
            for (int64_t r = 0; r < rows; r++) assert_int_equal(flag[r], want[r]);
        }
    }
    const float nan = NAN, zero = 0.0f, one = 1.0f; /* what is not known is not certain */
    uint8_t flag = 0;
    assert_int_equal(t->uncertain(&zero, &one, &nan, 1, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f, &flag), 1);
    assert_int_equal(t->uncertain(&nan, &nan, &zero, 1, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f, &flag), 1);
    assert_int_equal(t->uncertain(&zero, &one, &zero, 1, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, &flag), 1);
}

/* ------------------------------------------------------------------------------------------------ targets */

/* Centroids [k, d] as they are, beside the layout that the search wants. */
typedef struct aims {
    dmk_targets t;
    const float *c; /* [k, d] */
} aims;

static long double bound_at(const dmk_targets *t, long double norm)
{
    const long double all = norm + (long double)t->reach;
    return (long double)t->linear * norm + (long double)t->constant + (long double)t->square * all * all;
}

/*
 * The coefficients that make the error of a score (Higham 2002, section 3.1: d products and h) at most half the bound.
 * Slots 1 and 2 hold the packed arrays, 15 the centroids.
 */
static aims make_aims(int32_t k, int64_t d, const float *c, const float *h, float norm_limit, size_t gap)
{
    const int64_t padded = dmk_packed_centroids(k), floats = dmk_packed_floats(k, d);
    float *packed = PLACE(1, float, floats, gap), *packed_h = PLACE(2, float, padded, gap);
    for (int64_t i = 0; i < floats; i++) packed[i] = 0.0f;
    long double norm_max = 0.0L, h_max = 0.0L;
    for (int64_t j = 0; j < padded; j++) packed_h[j] = j < k ? h[j] : INFINITY;
    for (int64_t j = 0; j < k; j++) {
        long double square = 0.0L;
        for (int64_t f = 0; f < d; f++) {
            const float v = c[j * d + f];
            square += (long double)v * (long double)v;
            packed[k <= 8 ? (f / 2 * 8 + j) * 2 + f % 2 : (j / 16 * d + f) * 16 + j % 16] = v;
        }
        norm_max = fmaxl(norm_max, sqrtl(square));
        h_max = fmaxl(h_max, fabsl((long double)h[j]));
    }
    const long double u = 1.02L * 0x1p-24L * (long double)(d + 3);
    const dmk_targets t = {.k = k,
                           .d = d,
                           .packed = packed,
                           .h = packed_h,
                           .linear = (float)(2.02L * u * norm_max),
                           .constant = (float)(2.02L * (u * h_max + (long double)(d + 3) * (long double)FLT_MIN)),
                           .square = (float)(2.02L * (long double)(d + 16) * 0x1p-52L),
                           .reach = (float)(1.000001L * norm_max),
                           .norm_limit = norm_limit};
    return (aims){t, c};
}

/* The two smallest true scores of a row, and the first centroid that has the smallest. */
static int32_t true_scores(const aims *a, const float *x, long double two[2])
{
    int32_t label = 0;
    two[0] = two[1] = INFINITY;
    for (int32_t j = 0; j < a->t.k; j++) {
        long double v = (long double)a->t.h[j];
        for (int64_t f = 0; f < a->t.d; f++) v -= (long double)x[f] * (long double)a->c[j * a->t.d + f];
        if (v < two[0]) {
            two[1] = two[0];
            two[0] = v;
            label = j;
        } else if (v < two[1]) {
            two[1] = v;
        }
    }
    return label;
}

static long double norm_of(const float *x, int64_t count)
{
    long double square = 0.0L;
    for (int64_t i = 0; i < count; i++) square += (long double)x[i] * (long double)x[i];
    return sqrtl(square);
}

/* ------------------------------------------------------------------------------------------------ fused nearest */

enum { TIES, RANDOM, NEAR_TIES, APART, ALL_SIZES, KINDS };
static const char *const kind_name[KINDS] = {"ties", "random", "near ties", "apart", "all sizes"};

static float half_square(const float *c, int64_t d)
{
    const long double norm = norm_of(c, d);
    return (float)(0.5L * norm * norm);
}

static void fill_centroids(int kind, int32_t k, int64_t d, float *c, float *h)
{
    for (int64_t i = 0; i < k * d; i++) {
        c[i] = kind == TIES ? (float)(below(5) - 2) : kind == APART ? 0.0f : (float)uniform();
    }
    for (int32_t j = 0; j < k; j++) {
        if (kind == APART && d > 0) c[j * d + j % d] = (float)(j / d + 1) * (j % 2 == 0 ? 16.0f : -16.0f);
        h[j] = kind == TIES ? (float)below(3) : half_square(c + j * d, d);
    }
}

static void fill_row(int kind, const aims *a, float *x)
{
    const int64_t d = a->t.d;
    const float *p = a->c + below(a->t.k) * d, *q = a->c + below(a->t.k) * d;
    const double size = kind == ALL_SIZES ? ldexp(1.0, below(40) - 20) : 1.0, near = ldexp(1.0, -4 - below(26));
    const bool huge = kind == ALL_SIZES && below(25) == 0;
    for (int64_t f = 0; f < d; f++) {
        switch (kind) {
        case TIES:
            x[f] = (float)(below(5) - 2);
            break;
        case NEAR_TIES:
            x[f] = (float)(0.5 * ((double)p[f] + (double)q[f]) + near * uniform());
            break;
        case APART:
            x[f] = p[f] + 0.25f * (float)uniform();
            break;
        default:
            x[f] = huge ? (below(2) == 0 ? 0.9f : -0.9f) * FLT_MAX : (float)(size * uniform());
        }
    }
}

typedef struct found {
    int64_t count;
    int32_t *label;
    uint16_t *open;
    float *best, *second;
} found;

static found search(const dmk_table *t, const aims *a, const float *x, int64_t rows, int slot, bool scores, size_t gap)
{
    const int64_t floats = DMK_NEAREST_SCRATCH(a->t.k, a->t.d), words = (rows + 15) / 16;
    const int64_t ahead = below(3) == 0 ? 0 : below((int)(3 * a->t.d + 40)); /* the memory there is forbidden */
    float *scratch = PLACE(3, float, floats, gap);
    found v = {0, PLACE(slot, int32_t, rows, gap), PLACE(slot + 1, uint16_t, words, gap),
               PLACE(slot + 2, float, rows, gap), PLACE(slot + 3, float, rows, gap)};
    memset(scratch, 0xff, (size_t)floats * sizeof *scratch); /* NaN: nothing may come from there */
    memset(v.label, 0x55, (size_t)rows * sizeof *v.label);
    memset(v.open, 0x55, (size_t)words * sizeof *v.open);
    v.count =
        t->nearest(&a->t, x, rows, ahead, scratch, v.label, v.open, scores ? v.best : NULL, scores ? v.second : NULL);
    return v;
}

/* Returns the number of rows that are certain. */
static int64_t check_nearest_case(const dmk_table *t, int64_t rows, int64_t d, int32_t k, int kind, size_t gap)
{
    float *c = PLACE(15, float, k *d, 0), *h = PLACE(14, float, k, 0), *x = PLACE(0, float, rows *d, gap);
    fill_centroids(kind, k, d, c, h);
    const float limit = kind == ALL_SIZES ? (below(2) == 0 ? 32.0f : 0x1p50f) : kind == TIES ? 0x1p50f : 1e9f;
    const aims a = make_aims(k, d, c, h, limit, gap);
    for (int64_t r = 0; r < rows; r++) fill_row(kind, &a, x + r * d);
    const found v = search(t, &a, x, rows, 4, true, gap), only = search(t, &a, x, rows, 8, false, gap);
    int64_t open_rows = 0;
    assert_true(v.count == only.count);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t strip = r / 16 * 16, in_strip = rows - strip < 16 ? rows - strip : 16;
        const bool open = v.open[r / 16] >> r % 16 & 1;
        const long double norm = norm_of(x + r * d, d), strip_norm = norm_of(x + strip * d, in_strip * d);
        long double two[2];
        const int32_t label = true_scores(&a, x + r * d, two);
        char where[160];
        snprintf(where, sizeof where, "nearest %s, %s, row %lld of %lld, d %lld, k %d", t->name, kind_name[kind],
                 (long long)r, (long long)rows, (long long)d, k);
        open_rows += open;
        if (open != (only.open[r / 16] >> r % 16 & 1) || (!open && v.label[r] != only.label[r])) {
            fail_msg("%s: %d open %d with scores, %d without", where, v.label[r], open, only.label[r]);
        }
        if (!(norm < (long double)limit)) {
            if (!open) fail_msg("%s: norm %Lg is certain", where, norm);
            continue; /* its scores may have overflowed: not even the label is worth anything */
        }
        if (v.label[r] < 0 || v.label[r] >= k || only.label[r] < 0 || only.label[r] >= k) {
            fail_msg("%s: labels %d, %d", where, v.label[r], only.label[r]);
        }
        if (!open && (v.label[r] != label || !(two[1] > two[0]))) {
            fail_msg("%s: label %d is called certain, %d is %Lg nearer", where, v.label[r], label, two[1] - two[0]);
        }
        if (!open && !((long double)v.second[r] - (long double)v.best[r] >= 0.999L * bound_at(&a.t, norm))) {
            fail_msg("%s: called certain though the scores are within the bound", where);
        }
        /* What is open is near a tie: the bound may be that of a strip of 16 rows, no wider. */
        const long double wide = 1.02L * strip_norm;
        if (open && wide < (long double)limit && two[1] - two[0] > 2.0L * bound_at(&a.t, wide)) {
            fail_msg("%s: open though the runner-up is %Lg away", where, two[1] - two[0]);
        }
        const long double error = 0.5L * bound_at(&a.t, norm);
        if (!(fabsl((long double)v.best[r] - two[0]) <= error)) {
            fail_msg("%s: best %a, true %La, bound %Lg", where, (double)v.best[r], two[0], error);
        }
        if (k == 1 ? !isinf(v.second[r]) : !(fabsl((long double)v.second[r] - two[1]) <= error)) {
            fail_msg("%s: second %a, true %La, bound %Lg", where, (double)v.second[r], two[1], error);
        }
    }
    assert_true(v.count == open_rows);
    if (rows % 16 != 0) { /* bits behind the last row */
        assert_int_equal(v.open[rows / 16] >> rows % 16, 0);
        assert_int_equal(only.open[rows / 16] >> rows % 16, 0);
    }
    return rows - open_rows;
}

static void check_nearest(const char *name)
{
    static const int32_t ks[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  15,  16,  17, 18,
                                 31, 32, 33, 47, 48, 49, 63, 64, 65, 255, 256, 257};
    static const int64_t ds[] = {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 100};
    static const int64_t rows[] = {0, 1, 15, 16, 17, 31, 32, 33, 100};
    const dmk_table *t = variant_or_skip(name);
    if (t->nearest == NULL) {
        print_message("skipped: %s has no fused search\n", name);
        skip();
    }
    random_state = 7;
    int64_t certain[KINDS] = {0}, all[KINDS] = {0};
    int turn = 0;
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        for (size_t j = 0; j < sizeof ds / sizeof *ds; j++) {
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                const int turns = ks[i] < 250 && rows[r] < 100 ? 2 : 1; /* the oracle takes its time */
                for (int n = 0; n < turns; n++) {
                    const int kind = turn++ % KINDS;
                    certain[kind] += check_nearest_case(t, rows[r], ds[j], ks[i], kind, (size_t)below(4));
                    all[kind] += rows[r];
                }
            }
        }
    }
    for (int kind = 0; kind < KINDS; kind++) { /* the largest of both, far apart */
        check_nearest_case(t, 37, 5, DMK_NEAREST_CENTROIDS, kind, 1);
        check_nearest_case(t, 37, DMK_NEAREST_FEATURES, 5, kind, 0);
        check_nearest_case(t, 21, DMK_NEAREST_FEATURES, 33, kind, 3);
    }
    assert_true(certain[TIES] > 0 && certain[TIES] < all[TIES]); /* both ways were gone */
    assert_true(certain[RANDOM] > all[RANDOM] / 2);
    assert_true(certain[NEAR_TIES] > 0 && certain[NEAR_TIES] < all[NEAR_TIES]);
    assert_true(certain[APART] > all[APART] * 3 / 4);
    assert_true(certain[ALL_SIZES] > 0 && certain[ALL_SIZES] < all[ALL_SIZES]);
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

/* ------------------------------------------------------------------------------------------------ gap */

static int by_value(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* Distances to the nearest two centroids. */
static void true_distances(const aims *a, const float *x, long double two[2])
{
    two[0] = two[1] = INFINITY;
    for (int32_t j = 0; j < a->t.k; j++) {
        long double square = 0.0L;
        for (int64_t f = 0; f < a->t.d; f++) {
            const long double v = (long double)x[f] - (long double)a->c[j * a->t.d + f];
            square += v * v;
        }
        const long double v = sqrtl(square);
        if (v < two[0]) {
            two[1] = two[0];
            two[0] = v;
        } else if (v < two[1]) {
            two[1] = v;
        }
    }
}

/* A score off by up to `error`, as a float that is not further off. */
static float score_near(long double v, long double error)
{
    const long double wanted = v + error * (below(4) == 0 ? (below(2) == 0 ? 1.0L : -1.0L) : (long double)uniform());
    float s = (float)wanted;
    if ((long double)s > v + error) s = nextafterf(s, -INFINITY);
    if ((long double)s < v - error) s = nextafterf(s, INFINITY);
    return s;
}

/*
 * Rows between two centroids at random places, scores as wrong as the bound lets them be. kind 0: ties; 2: far from all
 * centroids, where the row's own norm drowns the distances.
 */
static void check_gap_case(const dmk_table *t, const dmk_table *oracle, int64_t rows, int64_t d, int32_t k, double size,
                           int kind, size_t shift)
{
    float *c = PLACE(15, float, k *d, 0), *h = PLACE(14, float, k, 0), *x = PLACE(0, float, rows *d, 0);
    float *best = PLACE(3, float, rows, shift), *second = PLACE(4, float, rows, shift);
    float *norm = PLACE(5, float, rows, shift), *got = PLACE(6, float, rows, shift), *want = PLACE(7, float, rows, 0);
    for (int64_t i = 0; i < k * d; i++) c[i] = kind == 0 ? (float)(below(3) - 1) : (float)(size * uniform());
    for (int32_t j = 0; j < k; j++) h[j] = half_square(c + j * d, d);
    const float limit = 0x1p50f;
    const aims a = make_aims(k, d, c, h, limit, 0);
    for (int64_t r = 0; r < rows; r++) {
        const float *p = c + below(k) * d, *q = c + below(k) * d;
        const double at = 0.5 + 0.5 * uniform(), aside = kind == 0 ? 0.0 : size * 0.5 * uniform();
        for (int64_t f = 0; f < d; f++) {
            x[r * d + f] = kind == 0 ? 0.5f * (p[f] + q[f])
                                     : (float)(at * (double)p[f] + (1.0 - at) * (double)q[f] + aside * uniform());
            if (kind == 2) x[r * d + f] *= 300.0f * (float)(1 + r % 40);
        }
    }
    ref()->row_norms(x, rows, d, norm);
    for (int64_t r = 0; r < rows; r++) {
        long double two[2];
        true_scores(&a, x + r * d, two);
        /* Half the bound is there for all errors; h as a float has taken up to a quarter of that half. */
        const long double error = 0.37L * bound_at(&a.t, norm_of(x + r * d, d));
        best[r] = score_near(two[0], error);
        second[r] = k == 1 ? INFINITY : score_near(two[1], error);
        if (best[r] > second[r]) best[r] = second[r];
        got[r] = -1.0f;
    }
    t->gap(best, second, norm, rows, &a.t, got);
    if (oracle != NULL) {
        oracle->gap(best, second, norm, rows, &a.t, want);
        same_bits("gap", got, want, rows, sizeof *got, rows, d);
    }
    for (int64_t r = 0; r < rows; r++) {
        long double two[2];
        true_distances(&a, x + r * d, two);
        if (!(got[r] >= 0.0f) || (got[r] > 0.0f && !((long double)got[r] <= two[1] - two[0])) ||
            (k == 1 && got[r] != 0.0f) || (norm[r] >= limit && got[r] != 0.0f)) {
            fail_msg("gap, row %lld of %lld, d %lld, k %d, size %g: %a, true %La", (long long)r, (long long)rows,
                     (long long)d, k, size, (double)got[r], two[1] - two[0]);
        }
    }
}

static void check_gap(const dmk_table *t, const dmk_table *oracle)
{
    static const double size[] = {1.0, 1e3, 1e-3, 1e8, 1e-8, 1e14, 1e-14, 1e17, 1e-19, 1e-23, 1e-38};
    static const int64_t ds[] = {1, 2, 3, 7, 16, 33, 100};
    random_state = 9;
    for (int i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < sizeof ds / sizeof *ds; j++) {
            const int32_t k = 1 + below(12);
            const size_t shift = (size_t)below(4);
            check_gap_case(t, oracle, sizes[i] % 100, ds[j], k, 1.0, 0, shift);
            for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
                check_gap_case(t, oracle, sizes[i] % 100, ds[j], 1 + below(12), size[s], 1 + (int)s % 2, shift);
                check_gap_case(t, oracle, sizes[i] % 100, ds[j], 1 + below(12), size[s], 2 - (int)s % 2, shift);
            }
        }
    }
}

/* On ordinary data a bound hardly costs anything: the median is within a tenth of the truth. */
static void gap_is_useful(void **state)
{
    (void)state;
    enum { ROWS = 1001 };
    static const int64_t ds[] = {2, 8, 32, 100};
    random_state = 10;
    for (int i = 0; i < 4; i++) {
        const int64_t d = ds[i];
        const int32_t k = 8;
        float *c = PLACE(15, float, k *d, 0), *h = PLACE(14, float, k, 0), *x = PLACE(0, float, ROWS *d, 0);
        float best[ROWS], second[ROWS], norm[ROWS], gap[ROWS];
        double share[ROWS];
        fill_centroids(RANDOM, k, d, c, h);
        for (int64_t v = 0; v < ROWS * d; v++) x[v] = (float)uniform();
        const aims a = make_aims(k, d, c, h, 0x1p50f, 0);
        ref()->row_norms(x, ROWS, d, norm);
        for (int64_t r = 0; r < ROWS; r++) {
            long double two[2];
            true_scores(&a, x + r * d, two);
            best[r] = (float)two[0];
            second[r] = (float)two[1];
        }
        ref()->gap(best, second, norm, ROWS, &a.t, gap);
        for (int64_t r = 0; r < ROWS; r++) {
            long double two[2];
            true_distances(&a, x + r * d, two);
            share[r] = (double)((long double)gap[r] / (two[1] - two[0]));
        }
        qsort(share, ROWS, sizeof *share, by_value);
        assert_true(share[ROWS / 2] >= 0.9 && share[ROWS - 1] <= 1.0);
    }
}

/* ------------------------------------------------------------------------------------------------ expired */

static void check_expired(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 11;
    for (int64_t rows = 0; rows <= 200; rows++) {
        for (int kind = 0; kind < 6; kind++) {
            const int32_t k = 1 + below(20);
            const size_t shift = (size_t)below(4);
            float *until = PLACE(0, float, rows, shift), *limit = PLACE(1, float, k, shift);
            int32_t *label = PLACE(2, int32_t, rows, shift), *index = PLACE(3, int32_t, rows, shift);
            int32_t *want = PLACE(4, int32_t, rows, 0);
            int64_t expected = 0;
            for (int32_t j = 0; j < k; j++) limit[j] = kind == 0 ? 0.0f : (float)below(8);
            for (int64_t r = 0; r < rows; r++) {
                label[r] = below(6) == 0 ? -1 : below(k);
                /* kind 1: none, 2: all, 3: few; else ties with the limit, both sides of it, and what is not known */
                until[r] = kind == 1                     ? 9.0f
                           : kind == 2                   ? 0.0f
                           : kind == 3 && below(40) != 0 ? INFINITY
                           : below(50) == 0              ? NAN
                                                         : (float)below(9);
                if (!(until[r] > limit[label[r] < 0 ? 0 : label[r]])) want[expected++] = (int32_t)r;
            }
            if (oracle != NULL) assert_true(oracle->expired(until, label, limit, rows, want) == expected);
            assert_true(t->expired(until, label, limit, rows, index) == expected);
            if (expected > 0) assert_memory_equal(index, want, (size_t)expected * sizeof *index);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ move */

__extension__ typedef __int128 int128;

/* Sums of one run: [k, d], [k], [k], ending where the forbidden page begins. */
static dmk_sums place_sums(int slot, int32_t k, int64_t d, const double *scale, double weight_scale, size_t gap)
{
    return (dmk_sums){.sum = PLACE(slot, int64_t, k * d, gap),
                      .weight = PLACE(slot + 1, int64_t, k, gap),
                      .count = PLACE(slot + 2, int64_t, k, gap),
                      .scale = scale,
                      .weight_scale = weight_scale};
}

static void copy_sums(const dmk_sums *to, const dmk_sums *from, int32_t k, int64_t d)
{
    memcpy(to->sum, from->sum, (size_t)(k * d) * sizeof *to->sum);
    memcpy(to->weight, from->weight, (size_t)k * sizeof *to->weight);
    memcpy(to->count, from->count, (size_t)k * sizeof *to->count);
}

static void same_integers(const char *what, const int64_t *got, const int64_t *want, int64_t count, int64_t rows,
                          int64_t d)
{
    for (int64_t i = 0; i < count; i++) {
        if (got[i] != want[i]) {
            fail_msg("move: %s, %lld rows x %lld: item %lld is %lld, expected %lld", what, (long long)rows,
                     (long long)d, (long long)i, (long long)got[i], (long long)want[i]);
        }
    }
}

static void same_sums(const dmk_sums *got, const dmk_sums *want, int32_t k, int64_t rows, int64_t d)
{
    same_integers("sum", got->sum, want->sum, k * d, rows, d);
    same_integers("weight", got->weight, want->weight, k, rows, d);
    same_integers("count", got->count, want->count, k, rows, d);
}

static void naive_put(const dmk_sums *s, int32_t j, int sign, const float *x, long double w, int64_t d)
{
    if (j < 0) return;
    for (int64_t f = 0; f < d; f++) { /* 24 + 24 bits: exact in a long double, whose rint is that of the integer */
        const int128 term = (int128)rintl(w * (long double)x[f] * (long double)s->scale[f]);
        s->sum[j * d + f] = (int64_t)((int128)s->sum[j * d + f] + sign * term);
    }
    s->weight[j] += sign * (int64_t)rintl(w * (long double)s->weight_scale);
    s->count[j] += w > 0.0L ? sign : 0;
}

/* Rows go there, on, and out again: afterwards the sums are what they were. */
static void check_move_case(const dmk_table *t, const dmk_table *oracle, int64_t rows, int64_t d, bool weighted,
                            size_t gap)
{
    const int32_t k = 1 + below(9);
    float *x = PLACE(0, float, rows *d, gap), *w = PLACE(1, float, rows, gap);
    int32_t *from = PLACE(2, int32_t, rows, gap), *to = PLACE(3, int32_t, rows, gap);
    double *scale = PLACE(4, double, d, gap);
    const double weight_scale = weighted ? ldexp(1.0, 30 + below(9)) : 1.0;
    const dmk_sums got = place_sums(5, k, d, scale, weight_scale, gap), start = place_sums(8, k, d, scale, 1.0, 0),
                   want = place_sums(11, k, d, scale, weight_scale, 0);
    for (int64_t f = 0; f < d; f++) scale[f] = ldexp(1.0, below(60) - 20);
    for (int64_t r = 0; r < rows; r++) {
        w[r] = below(8) == 0 ? 0.0f : (float)fabs(uniform());
        from[r] = below(3) == 0 ? -1 : below(k);
        to[r] = below(4) == 0 ? from[r] : below(8) == 0 ? -1 : below(k);
        for (int64_t f = 0; f < d; f++) {
            const double bound = 0x1p40 / scale[f]; /* ties of rint: odd multiples of half a grid step, too */
            const double v = below(3) == 0   ? bound
                             : below(3) == 0 ? ((double)below(2000) + 0.5) / scale[f]
                                             : bound * uniform();
            x[r * d + f] = (float)(below(2) == 0 ? v : -v);
        }
    }
    for (int64_t i = 0; i < k * d; i++) start.sum[i] = (int64_t)(random64() >> 2) - (INT64_C(1) << 61);
    for (int32_t j = 0; j < k; j++) {
        start.weight[j] = (int64_t)(random64() >> 4);
        start.count[j] = below(1000) - 500;
    }
    copy_sums(&got, &start, k, d);
    copy_sums(&want, &start, k, d);
    if (oracle == NULL) {
        for (int64_t r = 0; r < rows; r++) {
            const long double wr = weighted ? (long double)w[r] : 1.0L;
            if (from[r] == to[r]) continue;
            naive_put(&want, to[r], 1, x + r * d, wr, d);
            naive_put(&want, from[r], -1, x + r * d, wr, d);
        }
    } else {
        oracle->move(x, weighted ? w : NULL, from, to, rows, d, &want);
    }
    t->move(x, weighted ? w : NULL, from, to, rows, d, &got);
    same_sums(&got, &want, k, rows, d);
    t->move(x, weighted ? w : NULL, to, from, rows, d, &got);
    same_sums(&got, &start, k, rows, d);
}

static void check_move(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 4;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            check_move_case(t, oracle, sizes[i], sizes[j], false, (size_t)(i + j) % 3);
            check_move_case(t, oracle, sizes[i], sizes[j], true, (size_t)(i + j) % 2);
        }
    }
    check_move_case(t, oracle, 4096, 5, false, 0); /* a whole block */
    check_move_case(t, oracle, 4096, 5, true, 0);
    /* 2^22 rows of the largest terms: 2^62, and not one is lost. */
    enum { ROWS = 4096 };
    static float x[ROWS * 2], w[ROWS];
    static int32_t none[ROWS], zero[ROWS];
    const double scale[2] = {0x1p30, 0x1p-5};
    int64_t sum[2] = {0}, weight = 0, count = 0;
    for (int r = 0; r < ROWS; r++) {
        w[r] = 0.5f;
        none[r] = -1;
        x[2 * r] = 0x1p11f; /* 2^11 x 2^-1 x 2^30 = 2^40 */
        x[2 * r + 1] = -0x1.fffffep45f;
    }
    const dmk_sums s = {.sum = sum, .weight = &weight, .count = &count, .scale = scale, .weight_scale = 0x1p41};
    for (int i = 0; i < (1 << 22) / ROWS; i++) t->move(x, w, none, zero, ROWS, 2, &s);
    assert_true(sum[0] == INT64_C(1) << 62 && sum[1] == -(INT64_C(0xffffff) << 38));
    assert_true(weight == INT64_C(1) << 62 && count == 1 << 22);
}

/* ------------------------------------------------------------------------------------------------ deviations */

static void check_deviations_case(const dmk_table *t, const dmk_table *oracle, int64_t rows, int64_t d, bool weighted,
                                  size_t gap)
{
    const int32_t k = 1 + below(9);
    float *x = PLACE(0, float, rows *d, gap), *w = PLACE(1, float, rows, gap);
    int32_t *label = PLACE(2, int32_t, rows, gap);
    double *center = PLACE(3, double, k *d, gap), *first = PLACE(4, double, k *d, gap);
    double *second = PLACE(5, double, k *d, gap), *first2 = PLACE(6, double, k *d, 0);
    double *second2 = PLACE(7, double, k *d, 0);
    for (int64_t i = 0; i < rows * d; i++) x[i] = (float)wide();
    for (int64_t r = 0; r < rows; r++) {
        w[r] = below(8) == 0 ? 0.0f : (float)fabs(uniform());
        label[r] = below(k);
    }
    for (int64_t i = 0; i < k * d; i++) {
        center[i] = wide();
        first[i] = first2[i] = wide(); /* adds to what is there */
        second[i] = second2[i] = fabs(wide());
    }
    if (oracle == NULL) {
        for (int64_t f = 0; f < d; f++) { /* feature by feature: only the order of rows counts */
            for (int64_t r = 0; r < rows; r++) {
                const int64_t i = label[r] * d + f;
                volatile double u = (double)x[r * d + f] - center[i], wu = u;
                if (weighted) wu = (double)w[r] * u;
                volatile double square = wu * u;
                first2[i] += wu;
                second2[i] += square;
            }
        }
    } else {
        oracle->add_deviations(x, weighted ? w : NULL, label, rows, d, center, first2, second2);
    }
    t->add_deviations(x, weighted ? w : NULL, label, rows, d, center, first, second);
    same_bits("add_deviations: first", first, first2, k * d, sizeof *first, rows, d);
    same_bits("add_deviations: second", second, second2, k * d, sizeof *second, rows, d);
}

static void check_deviations(const dmk_table *t, const dmk_table *oracle)
{
    random_state = 14;
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            check_deviations_case(t, oracle, sizes[i], sizes[j], false, (size_t)(i + j) % 3);
            check_deviations_case(t, oracle, sizes[i], sizes[j], true, (size_t)(i + j) % 2);
        }
    }
}

/* label x d beyond 2^32: address space is reserved, only the pages of three segments are touched. */
static void check_far_labels(const dmk_table *t)
{
    const int32_t k = INT32_MAX, middle = 1500000000;
    const int64_t d = 3;
    const size_t bytes = (size_t)k * (size_t)(d + 2) * sizeof(int64_t);
    int64_t *sum = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sum == MAP_FAILED) {
        print_message("skipped: no 86 GB of address space here\n");
        skip();
    }
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, w[] = {1, 2, 3, 4};
    const int32_t from[] = {-1, -1, k - 1, -1}, to[] = {k - 1, 0, middle, k - 1};
    const double scale[] = {1, 1, 1};
    const dmk_sums s = {
        .sum = sum, .weight = sum + k * d, .count = sum + k * (d + 1), .scale = scale, .weight_scale = 1.0};
    t->move(x, w, from, to, 4, d, &s);
    for (int64_t f = 0; f < d; f++) {
        assert_true(sum[f] == 2 * (4 + f) && sum[middle * d + f] == 3 * (7 + f));
        assert_true(sum[(k - 1) * d + f] == (1 + f) + 4 * (10 + f) - 3 * (7 + f));
    }
    assert_true(s.weight[0] == 2 && s.weight[middle] == 3 && s.weight[k - 1] == 2);
    assert_true(s.count[0] == 1 && s.count[middle] == 1 && s.count[k - 1] == 1);
    munmap(sum, bytes);
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
TEST_PAIR(distances_to)
TEST_PAIR(norms)
TEST_PAIR(smallest)
TEST_PAIR(uncertain)
TEST_PAIR(gap)
TEST_PAIR(expired)
TEST_PAIR(move)
TEST_PAIR(deviations)
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
        RUN(distances_to),
        RUN(norms),
        RUN(smallest),
        RUN(uncertain),
        cmocka_unit_test(nearest_avx2),
        cmocka_unit_test(nearest_avx512),
        RUN(gap),
        cmocka_unit_test(gap_is_useful),
        RUN(expired),
        RUN(move),
        RUN(deviations),
        RUN(far_labels),
        RUN(widen),
        RUN(scale),
        RUN(moments),
    };
    return cmocka_run_group_tests(tests, reserve, release);
}
