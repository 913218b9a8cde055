/*
 * Fused search for AVX-512: lanes run over centroids, 16 (k <= 8: 8 centroids x 2 features) to a register.
 *
 * Eight or sixteen rows at a time keep their accumulators in registers while the features stream by: per feature one
 * load of each panel of centroids, one broadcast per row, and the multiply-adds, which alone set the pace: k d / 32
 * cycles a row. The largest score of each row is found for all rows together by a tree of shuffles; the centroids within
 * the error bound of it are a mask, and the label is certain when the mask has one bit. No [k, rows] intermediate, and
 * nothing is transposed.
 *
 * The inner loop also asks for the rows to come: hardware prefetchers lose short runs of rows, and requests in a bunch
 * would block the loads behind them, so they are spread over the multiply-adds.
 *
 * Scores are negated here (largest is best): v = x . c - h, and accumulators start at -h.
 */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "dmk.h"

#define INLINE static inline __attribute__((always_inline))
enum { LABEL, SCORES, RUNNER }; /* what is wanted: `want` is a constant in every function below */
#define STRIP 16                /* rows whose labels are found together */

typedef struct search {
    const dmk_targets *t;
    const float *next; /* what to ask for next from memory */
    int64_t pace;      /* floats of it per row */
} search;

typedef struct two {
    __m512 best, second;
} two;

/*
 * Element f of row i, in registers: one pointer for four rows, which an addressing mode reaches by 0, 1, 2 strides and a
 * register of 3. Sixteen pointers would be spilled, and reloading them costs as many loads as the rows themselves.
 */
typedef struct rows_at {
    const float *p[STRIP / 4];
    int64_t d, d3;
} rows_at;

INLINE rows_at rows_from(const float *x, int64_t d)
{
    rows_at a = {.d = d, .d3 = 3 * d};
    for (int i = 0; i < STRIP / 4; i++) a.p[i] = x + 4 * i * d;
    return a;
}
#define AT(a, i, f) ((a).p[(i) / 4] + ((i) % 4 == 3 ? (a).d3 : (i) % 4 * (a).d) + (f))
#define STEP(a, n, floats)                                                                                             \
    for (int step_ = 0; step_ < (n) / 4; step_++) (a).p[step_] += (floats)

INLINE two join(__m512 b0, __m512 b1, __m512 s0, __m512 s1)
{
    return (two){_mm512_max_ps(b0, b1), _mm512_max_ps(_mm512_min_ps(b0, b1), _mm512_max_ps(s0, s1))};
}

/* Halves of two registers beside each other: four shuffles of one kind for a (best, second) pair, or two. */
#define JOIN_PS(p, q, want)                                                                                            \
    ((want) != LABEL                                                                                                   \
         ? join(_mm512_shuffle_ps((p).best, (q).best, 0x88), _mm512_shuffle_ps((p).best, (q).best, 0xdd),              \
                _mm512_shuffle_ps((p).second, (q).second, 0x88), _mm512_shuffle_ps((p).second, (q).second, 0xdd))      \
         : (two){_mm512_max_ps(_mm512_shuffle_ps((p).best, (q).best, 0x88),                                            \
                               _mm512_shuffle_ps((p).best, (q).best, 0xdd)),                                           \
                 (p).second})
#define JOIN_LANES(p, q, want)                                                                                         \
    ((want) != LABEL                                                                                                   \
         ? join(_mm512_shuffle_f32x4((p).best, (q).best, 0x88), _mm512_shuffle_f32x4((p).best, (q).best, 0xdd),        \
                _mm512_shuffle_f32x4((p).second, (q).second, 0x88),                                                    \
                _mm512_shuffle_f32x4((p).second, (q).second, 0xdd))                                                    \
         : (two){_mm512_max_ps(_mm512_shuffle_f32x4((p).best, (q).best, 0x88),                                         \
                               _mm512_shuffle_f32x4((p).best, (q).best, 0xdd)),                                        \
                 (p).second})

/*
 * 16 registers of 16 scores each, or pairs of them, to the largest (two) of each row, rows in order. Three rounds bring
 * four rows into every quarter, two more bring the quarters together.
 */
INLINE two best_of_16(const two *row, int want)
{
    two a[8], b[4], c[2];
    for (int i = 0; i < 8; i++)
        a[i] = JOIN_PS(row[2 * i], row[2 * i + 1], want);                     /* quarters: row 2i twice, 2i+1 twice */
    for (int i = 0; i < 4; i++) b[i] = JOIN_PS(a[2 * i], a[2 * i + 1], want); /* rows 4i .. 4i + 3 */
    for (int i = 0; i < 2; i++) c[i] = JOIN_LANES(b[2 * i], b[2 * i + 1], want);
    return JOIN_LANES(c[0], c[1], want);
}

/* Bounds within which scores of 16 rows cannot be told apart, by sums of squares; +infinity: the row is never certain. */
INLINE __m512 bounds_by(const dmk_targets *t, __m512 squares)
{
    const __m512 norm = _mm512_mul_ps(_mm512_set1_ps(1.01f), _mm512_sqrt_ps(squares));
    const __m512 all = _mm512_add_ps(norm, _mm512_set1_ps(t->reach));
    __m512 bound = _mm512_fmadd_ps(_mm512_set1_ps(t->linear), norm, _mm512_set1_ps(t->constant));
    bound = _mm512_fmadd_ps(_mm512_set1_ps(t->square), _mm512_mul_ps(all, all), bound);
    const __mmask16 sound = _mm512_cmp_ps_mask(norm, _mm512_set1_ps(t->norm_limit), _CMP_LT_OQ);
    return _mm512_mask_mov_ps(_mm512_set1_ps(INFINITY), sound, bound);
}

/*
 * For few centroids (k <= 32): the norm of all 16 rows together is at least that of each, and costs one reduction; a tenth
 * of the pass less than the norm of each at k = 32. It leaves more rows open, which then cost little.
 */
INLINE __m512 shared_bound(const dmk_targets *t, const float *x)
{
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    int64_t i = 0;
    for (; i + 64 <= STRIP * t->d; i += 64) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16), c = _mm512_loadu_ps(x + i + 32),
                     e = _mm512_loadu_ps(x + i + 48);
        s0 = _mm512_fmadd_ps(a, a, s0);
        s1 = _mm512_fmadd_ps(b, b, s1);
        s2 = _mm512_fmadd_ps(c, c, s2);
        s3 = _mm512_fmadd_ps(e, e, s3);
    }
    for (; i < STRIP * t->d; i += 16) {
        const __m512 a = _mm512_loadu_ps(x + i);
        s0 = _mm512_fmadd_ps(a, a, s0);
    }
    s0 = _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3));
    return bounds_by(t, _mm512_set1_ps(_mm512_reduce_add_ps(s0)));
}

/* For more: the norm of each row. */
INLINE __m512 own_bounds(const dmk_targets *t, const float *x)
{
    const int64_t d = t->d;
    const __mmask16 rest = (__mmask16)((1u << (d % 16)) - 1u);
    __m512 v[STRIP];
    for (int i = 0; i < STRIP; i++) {
        const float *row = x + i * d;
        __m512 sum = _mm512_setzero_ps();
        int64_t f = 0;
        for (; f + 16 <= d; f += 16) sum = _mm512_fmadd_ps(_mm512_loadu_ps(row + f), _mm512_loadu_ps(row + f), sum);
        const __m512 last = _mm512_maskz_loadu_ps(rest, row + f);
        v[i] = _mm512_fmadd_ps(last, last, sum);
    }
#define PAIR_SUM(p, q) _mm512_add_ps(_mm512_shuffle_ps((p), (q), 0x88), _mm512_shuffle_ps((p), (q), 0xdd))
#define LANE_SUM(p, q) _mm512_add_ps(_mm512_shuffle_f32x4((p), (q), 0x88), _mm512_shuffle_f32x4((p), (q), 0xdd))
    for (int i = 0; i < 8; i++) v[i] = PAIR_SUM(v[2 * i], v[2 * i + 1]);
    for (int i = 0; i < 4; i++) v[i] = PAIR_SUM(v[2 * i], v[2 * i + 1]);
    for (int i = 0; i < 2; i++) v[i] = LANE_SUM(v[2 * i], v[2 * i + 1]);
    return bounds_by(t, LANE_SUM(v[0], v[1]));
}

/* Rows that may overflow, whose scores may be NaN. */
INLINE __mmask16 beyond(__m512 bounds) { return _mm512_cmp_ps_mask(bounds, _mm512_set1_ps(INFINITY), _CMP_EQ_OQ); }

/* Labels from masks of 16 or 32 bits, 16 rows: the lowest bit; rows whose mask has not exactly one bit. */
INLINE uint16_t finish(__m512i mask, __mmask16 never, int32_t *label)
{
    const __m512i one = _mm512_and_si512(mask, _mm512_sub_epi32(_mm512_setzero_si512(), mask));
    const __m512i bit = _mm512_sub_epi32(_mm512_set1_epi32(31), _mm512_lzcnt_epi32(one));
    _mm512_storeu_si512(label, _mm512_maskz_max_epi32((__mmask16)~never, bit, _mm512_setzero_si512()));
    return (uint16_t)(_mm512_cmpneq_epi32_mask(mask, one) | _mm512_testn_epi32_mask(mask, mask) | never);
}

/*
 * Labels and runners-up: `near` are the centroids within the bound of the best, `both` those within the bound of the
 * second best. Certain when they are one and two.
 */
INLINE uint16_t finish_two(__m512i near, __m512i both, __mmask16 never, int32_t *label, int32_t *runner)
{
    const uint16_t open = finish(near, never, label);
    const __m512i other = _mm512_andnot_si512(near, both);
    return (uint16_t)(open | finish(other, never, runner));
}

INLINE void keep(two v, float *best, float *second)
{
    const __m512 zero = _mm512_setzero_ps();
    _mm512_storeu_ps(best, _mm512_sub_ps(zero, v.best));
    _mm512_storeu_ps(second, _mm512_sub_ps(zero, v.second));
}

/* ---- k <= 8: 16 rows, 8 centroids x 2 features a register ---- */

/* For each of 16 rows a mask of the 8 centroids whose score reaches the row's limit; sums as in strip_8. */
INLINE __m512i masks_8(const __m512 *sum, __m512 limit)
{
    const __m512i spread = _mm512_setr_epi32(0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1);
    uint16_t mask[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const __m512 l = _mm512_permutexvar_ps(_mm512_add_epi32(spread, _mm512_set1_epi32(2 * i)), limit);
        mask[i] = _mm512_cmp_ps_mask(sum[i], l, _CMP_GE_OQ);
    }
    /* Bits 4q, 4q + 1 of mask i belong to row 2i, bits 4q + 2, 4q + 3 to row 2i + 1: close the gaps. */
    __m128i packed_mask;
    memcpy(&packed_mask, mask, sizeof packed_mask);
    const __m256i twice =
        _mm256_set_m128i(_mm_unpackhi_epi16(packed_mask, packed_mask), _mm_unpacklo_epi16(packed_mask, packed_mask));
    __m512i m = _mm512_cvtepu16_epi32(twice);
    m = _mm512_srlv_epi32(m, _mm512_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2));
    m = _mm512_and_si512(m, _mm512_set1_epi32(0x3333));
    const __m512i high = _mm512_and_si512(m, _mm512_set1_epi32(0x3030));
    m = _mm512_or_si512(_mm512_sub_epi32(m, high), _mm512_srli_epi32(high, 2)); /* 4 bits in each byte */
    m = _mm512_or_si512(_mm512_and_si512(m, _mm512_set1_epi32(0x0f)), _mm512_srli_epi32(m, 4));
    return _mm512_and_si512(m, _mm512_set1_epi32(0xff));
}

INLINE uint16_t strip_8(search *s, const float *x, int32_t *label, int32_t *runner, float *best, float *second,
                        int want)
{
    const dmk_targets *t = s->t;
    const int64_t d = t->d;
    const __m512 start = _mm512_sub_ps(
        _mm512_setzero_ps(),
        _mm512_maskz_permutexvar_ps(0x5555, _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                    _mm512_castps256_ps512(_mm256_loadu_ps(t->h))));
    __m512 acc[STRIP];
    for (int i = 0; i < STRIP; i++) acc[i] = start;
    const float *c = t->packed, *next = s->next;
    const int64_t step = 2 * STRIP * s->pace / (d > 0 ? d : 1);
    rows_at at = rows_from(x, d);
    int64_t f = 0;
    for (; f + 2 <= d; f += 2, c += 16) {
        const __m512 v = _mm512_loadu_ps(c);
        __builtin_prefetch(next, 0, 3); /* two features of 16 rows are two lines of the cache */
        __builtin_prefetch(next + 16, 0, 3);
        next += step;
#pragma GCC unroll 16
        for (int i = 0; i < STRIP; i++) {
            double pair;
            memcpy(&pair, AT(at, i, 0), sizeof pair);
            acc[i] = _mm512_fmadd_ps(_mm512_castpd_ps(_mm512_set1_pd(pair)), v, acc[i]);
        }
        STEP(at, STRIP, 2);
    }
    if (f < d) {
        const __m512 v = _mm512_loadu_ps(c); /* the second of each pair is 0 */
#pragma GCC unroll 16
        for (int i = 0; i < STRIP; i++) acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(x[i * d + f]), v, acc[i]);
    }
    __m512 sum[8]; /* quarter q: centroids 2q, 2q + 1 of row 2i, then of row 2i + 1 */
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        sum[i] = _mm512_add_ps(_mm512_shuffle_ps(acc[2 * i], acc[2 * i + 1], 0x88),
                               _mm512_shuffle_ps(acc[2 * i], acc[2 * i + 1], 0xdd));
    }
    two b[4], e[2];
    for (int i = 0; i < 4; i++) {
        const __m512 p = _mm512_shuffle_ps(sum[2 * i], sum[2 * i + 1], 0x88),
                     q = _mm512_shuffle_ps(sum[2 * i], sum[2 * i + 1], 0xdd);
        b[i] = (two){_mm512_max_ps(p, q), want != LABEL ? _mm512_min_ps(p, q) : p};
    }
    for (int i = 0; i < 2; i++) e[i] = JOIN_LANES(b[2 * i], b[2 * i + 1], want);
    const two found = JOIN_LANES(e[0], e[1], want);
    const __m512 bound = shared_bound(t, x);
    const __m512i m = masks_8(sum, _mm512_sub_ps(found.best, bound));
    s->next += STRIP * s->pace;
    if (want == SCORES) keep(found, best, second);
    if (want != RUNNER) return finish(m, beyond(bound), label);
    return finish_two(m, masks_8(sum, _mm512_sub_ps(found.second, bound)), beyond(bound), label, runner);
}

/* ---- k <= 16: 16 rows, one panel ---- */

INLINE __m512i masks_16(const __m512 *score, __m512 limits)
{
    float limit[STRIP];
    uint16_t mask[STRIP];
    _mm512_storeu_ps(limit, limits);
#pragma GCC unroll 16
    for (int i = 0; i < STRIP; i++) mask[i] = _mm512_cmp_ps_mask(score[i], _mm512_set1_ps(limit[i]), _CMP_GE_OQ);
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)mask));
}

INLINE uint16_t strip_16(search *s, const float *x, int32_t *label, int32_t *runner, float *best, float *second,
                         int want)
{
    const dmk_targets *t = s->t;
    const int64_t d = t->d;
    const __m512 start = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_loadu_ps(t->h));
    __m512 acc[STRIP];
    for (int i = 0; i < STRIP; i++) acc[i] = start;
    const float *next = s->next;
    const int64_t step = STRIP * s->pace / (d > 0 ? d : 1);
    rows_at at = rows_from(x, d);
    for (int64_t f = 0; f < d; f++) {
        const __m512 v = _mm512_loadu_ps(t->packed + f * 16);
        __builtin_prefetch(next, 0, 3);
        next += step;
#pragma GCC unroll 16
        for (int i = 0; i < STRIP; i++) acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(*AT(at, i, 0)), v, acc[i]);
        STEP(at, STRIP, 1);
    }
    two row[STRIP];
    for (int i = 0; i < STRIP; i++) row[i] = (two){acc[i], _mm512_set1_ps(-INFINITY)};
    const two found = best_of_16(row, want);
    const __m512 bound = shared_bound(t, x);
    s->next += STRIP * s->pace;
    if (want == SCORES) keep(found, best, second);
    const __m512i m = masks_16(acc, _mm512_sub_ps(found.best, bound));
    if (want != RUNNER) return finish(m, beyond(bound), label);
    return finish_two(m, masks_16(acc, _mm512_sub_ps(found.second, bound)), beyond(bound), label, runner);
}

/* ---- two panels: 8 rows at a time ---- */

INLINE void eight_rows(search *s, const float *x, const float *c, const float *h, __m512 *a, __m512 *b, int64_t pace)
{
    const int64_t d = s->t->d;
    const __m512 start0 = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_loadu_ps(h)),
                 start1 = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_loadu_ps(h + 16));
    for (int i = 0; i < 8; i++) {
        a[i] = start0;
        b[i] = start1;
    }
    const float *c0 = c, *c1 = c + d * 16, *next = s->next;
    rows_at at = rows_from(x, d);
    int64_t f = 0;
    for (; f + 2 <= d; f += 2) {
        __builtin_prefetch(next, 0, 3); /* two features of 8 rows are a line */
        next += pace;
#pragma GCC unroll 2
        for (int g = 0; g < 2; g++) {
            const __m512 v0 = _mm512_loadu_ps(c0 + g * 16), v1 = _mm512_loadu_ps(c1 + g * 16);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                const __m512 v = _mm512_set1_ps(*AT(at, i, g));
                a[i] = _mm512_fmadd_ps(v, v0, a[i]);
                b[i] = _mm512_fmadd_ps(v, v1, b[i]);
            }
        }
        c0 += 32;
        c1 += 32;
        STEP(at, 8, 2);
    }
    if (f < d) {
        const __m512 v0 = _mm512_loadu_ps(c0), v1 = _mm512_loadu_ps(c1);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            const __m512 v = _mm512_set1_ps(*AT(at, i, 0));
            a[i] = _mm512_fmadd_ps(v, v0, a[i]);
            b[i] = _mm512_fmadd_ps(v, v1, b[i]);
        }
    }
    s->next += d * pace / 2;
}

/* Eight rows to the largest (two) of each: quarters hold rows 0-3, 0-3, 4-7, 4-7. */
INLINE two best_of_8(const two *row, int want)
{
    two a[4], b[2];
    for (int i = 0; i < 4; i++) a[i] = JOIN_PS(row[2 * i], row[2 * i + 1], want);
    for (int i = 0; i < 2; i++) b[i] = JOIN_PS(a[2 * i], a[2 * i + 1], want);
    const two c = JOIN_LANES(b[0], b[1], want);
    const __m512 other = _mm512_shuffle_f32x4(c.best, c.best, 0xb1);
    if (want == LABEL) return (two){_mm512_max_ps(c.best, other), c.best};
    return join(c.best, other, c.second, _mm512_shuffle_f32x4(c.second, c.second, 0xb1));
}

#define PLACE_OF(i) ((i) / 4 * 8 + (i) % 4) /* of row i in the result of best_of_8 */

/* Scores of 8 rows as best_of_8 has them to 8 places in memory. */
INLINE void keep_8(two v, float *best, float *second)
{
    const __m512i order = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11);
    const __m512 zero = _mm512_setzero_ps();
    _mm256_storeu_ps(best, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, _mm512_sub_ps(zero, v.best))));
    _mm256_storeu_ps(second, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, _mm512_sub_ps(zero, v.second))));
}

/* Masks of the 32 centroids whose score reaches the limit of its row; limits as best_of_8 has them. */
INLINE void masks_32(const __m512 *a, const __m512 *b, __m512 limits, uint32_t *mask)
{
    float limit[16];
    _mm512_storeu_ps(limit, limits);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const __m512 l = _mm512_set1_ps(limit[PLACE_OF(i)]);
        mask[i] = _mm512_cmp_ps_mask(a[i], l, _CMP_GE_OQ) | (uint32_t)_mm512_cmp_ps_mask(b[i], l, _CMP_GE_OQ) << 16;
    }
}

INLINE uint16_t strip_32(search *s, const float *x, int32_t *label, int32_t *runner, float *best, float *second,
                         int want)
{
    const dmk_targets *t = s->t;
    const __m512 bound = shared_bound(t, x);
    uint32_t mask[STRIP], both[STRIP];
    for (int half = 0; half < 2; half++) {
        __m512 a[8], b[8];
        two row[8];
        eight_rows(s, x + half * 8 * t->d, t->packed, t->h, a, b, s->pace * 16 / (t->d > 0 ? t->d : 1));
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            row[i] = (two){_mm512_max_ps(a[i], b[i]), want != LABEL ? _mm512_min_ps(a[i], b[i]) : a[i]};
        const two found = best_of_8(row, want);
        masks_32(a, b, _mm512_sub_ps(found.best, bound), mask + half * 8);
        if (want == RUNNER) masks_32(a, b, _mm512_sub_ps(found.second, bound), both + half * 8);
        if (want == SCORES) keep_8(found, best + half * 8, second + half * 8);
    }
    if (want != RUNNER) return finish(_mm512_loadu_si512(mask), beyond(bound), label);
    return finish_two(_mm512_loadu_si512(mask), _mm512_loadu_si512(both), beyond(bound), label, runner);
}

/* ---- more panels: the scores of a strip wait in scratch until its best is known ---- */

/* Number of scores that reach the limit; *first = the lowest of them but `except`. */
INLINE int reaching(const float *score, int64_t panels, float limit, int64_t except, int64_t *first)
{
    const __m512 l = _mm512_set1_ps(limit);
    int bits = 0;
    for (int64_t p = panels - 2; p >= 0; p -= 2) {
        uint32_t mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(score + p * 16), l, _CMP_GE_OQ) |
                        (uint32_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(score + p * 16 + 16), l, _CMP_GE_OQ) << 16;
        if (mask == 0) continue;
        bits += __builtin_popcount(mask);
        if (except >= p * 16 && except < p * 16 + 32) mask &= ~(1u << (except - p * 16));
        if (mask != 0) *first = p * 16 + __builtin_ctz(mask);
    }
    return bits;
}

INLINE uint16_t strip_many(search *s, const float *x, float *scratch, int32_t *label, int32_t *runner, float *best,
                           float *second, int want)
{
    const dmk_targets *t = s->t;
    const int64_t panels = dmk_packed_centroids(t->k) / 16;
    const __m512 bound = own_bounds(t, x);
    two row[STRIP];
    for (int i = 0; i < STRIP; i++) row[i] = (two){_mm512_set1_ps(-INFINITY), _mm512_set1_ps(-INFINITY)};
    /* The rows to come are asked for evenly over all panels; with very many of them over the first. */
    const int64_t pace = s->pace * 32 / (panels * (t->d > 0 ? t->d : 1));
    const float *stop = s->next + STRIP * s->pace;
    for (int64_t p = 0; p < panels; p += 2) {
        for (int half = 0; half < 2; half++) {
            __m512 a[8], b[8];
            eight_rows(s, x + half * 8 * t->d, t->packed + p * 16 * t->d, t->h + p * 16, a, b,
                       s->next >= stop ? 0
                       : pace > 0      ? pace
                                       : 1);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                float *score = scratch + (half * 8 + i) * panels * 16 + p * 16;
                two *r = &row[half * 8 + i];
                _mm512_storeu_ps(score, a[i]);
                _mm512_storeu_ps(score + 16, b[i]);
                const __m512 high = _mm512_max_ps(a[i], b[i]);
                if (want != LABEL) *r = join(r->best, high, r->second, _mm512_min_ps(a[i], b[i]));
                if (want == LABEL) r->best = _mm512_max_ps(r->best, high);
            }
        }
    }
    const two found = best_of_16(row, want);
    float limit[STRIP], limit_two[STRIP];
    _mm512_storeu_ps(limit, _mm512_sub_ps(found.best, bound));
    _mm512_storeu_ps(limit_two, _mm512_sub_ps(found.second, bound));
    const uint32_t never = beyond(bound);
    uint32_t open = never;
    for (int i = 0; i < STRIP; i++) {
        const float *score = scratch + i * panels * 16;
        int64_t other = 0;
        const int bits = reaching(score, panels, limit[i], -1, &other);
        label[i] = (never >> i & 1) == 0 ? (int32_t)other : 0;
        if (bits != 1) open |= 1u << i;
        if (want != RUNNER) continue;
        if (reaching(score, panels, limit_two[i], label[i], &other) != 2) open |= 1u << i;
        runner[i] = (never >> i & 1) == 0 ? (int32_t)other : 0;
    }
    if (want == SCORES) keep(found, best, second);
    return (uint16_t)open;
}

/* ---- all rows ---- */

INLINE uint16_t strip_of(search *s, const float *x, float *scratch, int32_t *label, int32_t *runner, float *best,
                         float *second, int kind, int want)
{
    return kind == 0   ? strip_8(s, x, label, runner, best, second, want)
           : kind == 1 ? strip_16(s, x, label, runner, best, second, want)
           : kind == 2 ? strip_32(s, x, label, runner, best, second, want)
                       : strip_many(s, x, scratch, label, runner, best, second, want);
}

INLINE int64_t all_rows(search *s, const float *x, int64_t rows, float *scratch, int32_t *label, int32_t *runner,
                        uint16_t *open, float *best, float *second, int kind, int want)
{
    const int64_t d = s->t->d;
    int64_t r = 0, count = 0;
    for (; r + STRIP <= rows; r += STRIP) {
        open[r / STRIP] = strip_of(s, x + r * d, scratch, label + r, want == RUNNER ? runner + r : NULL,
                                   want == SCORES ? best + r : NULL, want == SCORES ? second + r : NULL, kind, want);
        count += __builtin_popcount(open[r / STRIP]);
    }
    if (r == rows) return count;
    /* The last rows, as a strip padded with zeros; strip_many needs its scratch for scores. */
    const int64_t left = rows - r;
    float *padded = scratch + 16 * (kind == 3 ? dmk_packed_centroids(s->t->k) : 0), b[STRIP], e[STRIP];
    int32_t l[STRIP], u[STRIP];
    memcpy(padded, x + r * d, (size_t)(left * d) * sizeof *x);
    memset(padded + left * d, 0, (size_t)((STRIP - left) * d) * sizeof *x);
    s->pace = 0;
    open[r / STRIP] = (uint16_t)(strip_of(s, padded, scratch, l, u, b, e, kind, want) & ((1u << left) - 1u));
    memcpy(label + r, l, (size_t)left * sizeof *l);
    if (want == RUNNER) memcpy(runner + r, u, (size_t)left * sizeof *u);
    if (want == SCORES) memcpy(best + r, b, (size_t)left * sizeof *b);
    if (want == SCORES) memcpy(second + r, e, (size_t)left * sizeof *e);
    return count + __builtin_popcount(open[r / STRIP]);
}

typedef int64_t (*rows_fn)(search *s, const float *x, int64_t rows, float *scratch, int32_t *label, int32_t *runner,
                           uint16_t *open, float *best, float *second);

#define VARIANT(name, kind, want)                                                                                      \
    __attribute__((noinline)) static int64_t name(search *s, const float *x, int64_t rows, float *scratch,             \
                                                  int32_t *label, int32_t *runner, uint16_t *open, float *best,        \
                                                  float *second)                                                       \
    {                                                                                                                  \
        return all_rows(s, x, rows, scratch, label, runner, open, best, second, kind, want);                           \
    }
VARIANT(label_8, 0, LABEL)
VARIANT(label_16, 1, LABEL)
VARIANT(label_32, 2, LABEL)
VARIANT(label_many, 3, LABEL)
VARIANT(scores_8, 0, SCORES)
VARIANT(scores_16, 1, SCORES)
VARIANT(scores_32, 2, SCORES)
VARIANT(scores_many, 3, SCORES)
VARIANT(runner_8, 0, RUNNER)
VARIANT(runner_16, 1, RUNNER)
VARIANT(runner_32, 2, RUNNER)
VARIANT(runner_many, 3, RUNNER)

static int kind_of(int32_t k) { return k <= 8 ? 0 : k <= 16 ? 1 : k <= 32 ? 2 : 3; }

int64_t dmk_nearest_avx512(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                           int32_t *label, uint16_t *open, float *best, float *second);
int64_t dmk_nearest_avx512(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                           int32_t *label, uint16_t *open, float *best, float *second)
{
    static const rows_fn labels[4] = {label_8, label_16, label_32, label_many};
    static const rows_fn scores[4] = {scores_8, scores_16, scores_32, scores_many};
    search s = {t, x + rows * t->d, ahead};
    return (best == NULL ? labels : scores)[kind_of(t->k)](&s, x, rows, scratch, label, NULL, open, best, second);
}

int64_t dmk_nearest_two_avx512(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                               int32_t *label, int32_t *runner, uint16_t *open);
int64_t dmk_nearest_two_avx512(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                               int32_t *label, int32_t *runner, uint16_t *open)
{
    static const rows_fn runners[4] = {runner_8, runner_16, runner_32, runner_many};
    search s = {t, x + rows * t->d, ahead};
    return runners[kind_of(t->k)](&s, x, rows, scratch, label, runner, open, NULL, NULL);
}
