/* row_counts for AVX2: as in ../avx512/dmk_counts_avx512.c, lanes of 64 bits over 4 steps, two vectors a row. */
#include <immintrin.h>
#include <stdint.h>

#include "dmk.h"
#include "generic/dmk_philox.h"

#define INLINE static inline __attribute__((always_inline))
#define SIGN ((short)0x8000) /* there is no comparison of unsigned integers: both sides are moved by it */

INLINE __m256i pair(__m256i even, __m256i odd)
{
    return _mm256_blend_epi32(even, _mm256_shuffle_epi32(odd, 0xa0), 0xaa);
}

INLINE __m256i high(__m256i v) { return _mm256_shuffle_epi32(v, 0xf5); }

/* 16 counts: 8 of low halves, and 16 numbers on 8 of high halves. */
INLINE void put_counts(const __m256i below[8], __m256i u, float *out)
{
    const __m256i v = _mm256_xor_si256(u, _mm256_set1_epi16(SIGN));
    __m256i n = _mm256_setzero_si256();
    for (int k = 0; k < 8; k++) n = _mm256_sub_epi16(n, _mm256_cmpgt_epi16(v, below[k]));
    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(_mm256_and_si256(n, _mm256_set1_epi32(0xffff))));
    _mm256_storeu_ps(out + 16, _mm256_cvtepi32_ps(_mm256_srli_epi32(n, 16)));
}

/* 64 counts of one row; s = M1 * step, steps 0 to 3 and 4 to 7. */
INLINE void one_row(const dmk_counts *c, const __m256i below[8], const __m256i s[2], const dmk_philox_row *row,
                    float *out)
{
    const __m256i m0 = _mm256_set1_epi64x(DMK_PHILOX_M0), m1 = _mm256_set1_epi64x(DMK_PHILOX_M1);
    __m256i w0[2], w1[2], w2[2], w3[2];
    for (int j = 0; j < 2; j++) {
        const __m256i t = _mm256_mul_epu32(m0, _mm256_xor_si256(high(s[j]), _mm256_set1_epi32((int)row->first)));
        w0[j] = _mm256_xor_si256(s[j], _mm256_set1_epi32((int)row->second[0]));
        w1[j] = _mm256_set1_epi32((int)row->second[1]);
        w2[j] = _mm256_xor_si256(high(t), _mm256_set1_epi32((int)row->second[2]));
        w3[j] = t;
    }
    uint32_t key0 = c->key[0] + 2 * DMK_PHILOX_W0, key1 = c->key[1] + 2 * DMK_PHILOX_W1;
#pragma GCC unroll 8
    for (int round = 2; round < 10; round++) {
        const __m256i k0 = _mm256_set1_epi32((int)key0), k1 = _mm256_set1_epi32((int)key1);
        for (int j = 0; j < 2; j++) {
            const __m256i p = _mm256_mul_epu32(m0, w0[j]), q = _mm256_mul_epu32(m1, w2[j]);
            w0[j] = _mm256_xor_si256(_mm256_xor_si256(high(q), w1[j]), k0);
            w2[j] = _mm256_xor_si256(_mm256_xor_si256(high(p), w3[j]), k1);
            w1[j] = q;
            w3[j] = p;
        }
        key0 += DMK_PHILOX_W0;
        key1 += DMK_PHILOX_W1;
    }
    for (int j = 0; j < 2; j++) {
        put_counts(below, pair(w0[j], w1[j]), out + 8 * j);
        put_counts(below, pair(w2[j], w3[j]), out + 8 * j + 32);
    }
}

void dmk_row_counts_avx2(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out, int64_t ld);

void dmk_row_counts_avx2(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out, int64_t ld)
{
    __m256i below[8];
    for (int k = 0; k < 8; k++) below[k] = _mm256_set1_epi16((short)((c->limit[k] - 1) ^ 0x8000));
    const __m256i m1 = _mm256_set1_epi64x(DMK_PHILOX_M1);
    for (int64_t r = 0; r < rows; r++) {
        const dmk_philox_row begun = dmk_philox_begin(c, row[r]);
        for (int64_t g = 0; g < groups; g++) {
            const __m256i step = _mm256_set1_epi64x(c->step + (uint32_t)g * 8);
            const __m256i s[2] = {_mm256_mul_epu32(m1, _mm256_add_epi64(step, _mm256_set_epi64x(3, 2, 1, 0))),
                                  _mm256_mul_epu32(m1, _mm256_add_epi64(step, _mm256_set_epi64x(7, 6, 5, 4)))};
            one_row(c, below, s, &begun, out + r * ld + g * DMK_COUNTS);
        }
    }
}
