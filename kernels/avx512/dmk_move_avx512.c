/*
 * Sums of rows that change segment, for AVX-512: one instruction (DQ) rounds a value times its power of two to the integer
 * that dmk.h asks for. What is left is a load, an add and a store of the sums, which stay in the first or second cache.
 */
#include <immintrin.h>

#include "dmk.h"

#define INLINE static inline __attribute__((always_inline))

/* Eight values (fewer by mask) on the grid. */
INLINE __m512i on_grid(const float *v, const double *scale, __mmask8 m, __m512d w)
{
    const __m512d x = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(m, v));
    return _mm512_cvtpd_epi64(_mm512_mul_pd(_mm512_mul_pd(w, x), _mm512_maskz_loadu_pd(m, scale)));
}

INLINE void add_to(int64_t *sum, __mmask8 m, __m512i v)
{
    _mm512_mask_storeu_epi64(sum, m, _mm512_add_epi64(_mm512_maskz_loadu_epi64(m, sum), v));
}

INLINE void take_from(int64_t *sum, __mmask8 m, __m512i v)
{
    _mm512_mask_storeu_epi64(sum, m, _mm512_sub_epi64(_mm512_maskz_loadu_epi64(m, sum), v));
}

INLINE void move_row(const float *v, double weight, int64_t d, const double *scale, int64_t *plus, int64_t *minus)
{
    const __m512d w = _mm512_set1_pd(weight);
    for (int64_t f = 0; f < d; f += 8) {
        const __mmask8 m = (__mmask8)(d - f >= 8 ? 0xff : (1 << (d - f)) - 1);
        const __m512i t = on_grid(v + f, scale + f, m, w);
        if (plus != NULL) add_to(plus + f, m, t);
        if (minus != NULL) take_from(minus + f, m, t);
    }
}

/* Is every row new to the sums? The bulk of a first pass. */
INLINE int all_new(const int32_t *from, int64_t rows)
{
    __m512i any = _mm512_set1_epi32(-1);
    int64_t r = 0;
    for (; r + 16 <= rows; r += 16) any = _mm512_and_si512(any, _mm512_loadu_si512(from + r));
    for (; r < rows; r++) any = _mm512_and_si512(any, _mm512_set1_epi32(from[r]));
    return _mm512_cmplt_epi32_mask(any, _mm512_setzero_si512()) == 0xffff;
}

/*
 * Rows of weight 1 into sums they were not in. A value times its power of two is exact in single precision: where that
 * underflows the integer is 0 either way.
 */
static void add_rows(const float *x, const int32_t *to, int64_t rows, int64_t d, const dmk_sums *s)
{
    const float *scale = s->single;
    const __mmask16 rest = (__mmask16)((1u << (d % 16)) - 1u);
    for (int64_t r = 0; r < rows; r++, x += d) {
        const int64_t b = to[r];
        if (b < 0) continue;
        int64_t *sum = s->sum + b * d;
        int64_t f = 0;
        for (; f + 16 <= d; f += 16) {
            const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + f), _mm512_loadu_ps(scale + f));
            const __m512i low = _mm512_cvtps_epi64(_mm512_castps512_ps256(v)),
                          high = _mm512_cvtps_epi64(_mm512_extractf32x8_ps(v, 1));
            _mm512_storeu_si512(sum + f, _mm512_add_epi64(_mm512_loadu_si512(sum + f), low));
            _mm512_storeu_si512(sum + f + 8, _mm512_add_epi64(_mm512_loadu_si512(sum + f + 8), high));
        }
        if (f < d) {
            const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(rest, x + f), _mm512_maskz_loadu_ps(rest, scale + f));
            add_to(sum + f, (__mmask8)rest, _mm512_cvtps_epi64(_mm512_castps512_ps256(v)));
            if (d - f > 8) add_to(sum + f + 8, (__mmask8)(rest >> 8), _mm512_cvtps_epi64(_mm512_extractf32x8_ps(v, 1)));
        }
        s->weight[b]++;
        s->count[b]++;
    }
}

INLINE int64_t rounded(double v) { return _mm_cvtsd_si64(_mm_set_sd(v)); }

void dmk_move_avx512(const float *x, const float *w, const int32_t *from, const int32_t *to, int64_t rows, int64_t d,
                     const dmk_sums *s);
void dmk_move_avx512(const float *x, const float *w, const int32_t *from, const int32_t *to, int64_t rows, int64_t d,
                     const dmk_sums *s)
{
    if (w == NULL && s->single != NULL && s->weight_scale == 1.0 && all_new(from, rows)) {
        add_rows(x, to, rows, d, s);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t a = from[r], b = to[r];
        if (a == b) continue;
        const double wr = w == NULL ? 1.0 : (double)w[r];
        const int64_t weight = w == NULL && s->weight_scale == 1.0 ? 1 : rounded(wr * s->weight_scale);
        move_row(x + r * d, wr, d, s->scale, b < 0 ? NULL : s->sum + b * d, a < 0 ? NULL : s->sum + a * d);
        if (b >= 0) {
            s->weight[b] += weight;
            s->count[b] += wr > 0.0;
        }
        if (a >= 0) {
            s->weight[a] -= weight;
            s->count[a] -= wr > 0.0;
        }
    }
}
