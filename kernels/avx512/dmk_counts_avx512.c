/*
 * row_counts for AVX-512: lanes of 64 bits over 8 steps, so that the words of a counter stay where the multiplications
 * leave them (the high half of a lane is never looked at); four rows at a time hide the latency of the rounds.
 *
 * Counts are built as the high halves of single-precision numbers: those of 0 to 8 have nothing below. In a bootstrap one
 * integer in 1700 reaches the sixth limit: the last three are looked at only where one in a vector does.
 */
#include <immintrin.h>
#include <stdint.h>

#include "dmk.h"
#include "generic/dmk_philox.h"

#define INLINE static inline __attribute__((always_inline))
#define OFTEN 5
#define ROWS 4

static const uint16_t high_half[9] = {0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0x4100};

/* What all lanes share, built once a call and read from memory: broadcasts compete with the shuffles. */
typedef struct shared {
    __m512i limit[8], count[8]; /* count: high_half, 1 to 8 */
    __m512i key[8][2];          /* of rounds 2 to 9 */
} shared;

/* Word 2 i + 1 moved beside word 2 i: 8 steps of two words. */
INLINE __m512i pair(__m512i even, __m512i odd) { return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA); }

/* The high halves of the lanes, for a multiplication that reads low ones. */
INLINE __m512i high(__m512i v) { return _mm512_shuffle_epi32(v, _MM_PERM_DDBB); }

INLINE void put_counts(const shared *l, __m512i u, float *out)
{
    __m512i n = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int k = 0; k < OFTEN; k++) {
        n = _mm512_mask_mov_epi16(n, _mm512_cmpge_epu16_mask(u, l->limit[k]), l->count[k]);
    }
    if (__builtin_expect(_mm512_cmpge_epu16_mask(u, l->limit[OFTEN]) != 0, 0)) {
        for (int k = OFTEN; k < 8; k++) {
            n = _mm512_mask_mov_epi16(n, _mm512_cmpge_epu16_mask(u, l->limit[k]), l->count[k]);
        }
    }
    _mm512_storeu_ps(out, _mm512_castsi512_ps(_mm512_slli_epi32(n, 16)));
    _mm512_storeu_ps(out + 16, _mm512_castsi512_ps(_mm512_and_si512(n, _mm512_set1_epi32((int)0xffff0000))));
}

/* 64 counts of each of `rows` rows, a constant; s = M1 * step in 8 lanes. */
INLINE void some_rows(const shared *l, __m512i s, const dmk_philox_row *row, int rows, float *out, int64_t ld)
{
    const __m512i m0 = _mm512_set1_epi64(DMK_PHILOX_M0), m1 = _mm512_set1_epi64(DMK_PHILOX_M1);
    __m512i w0[ROWS], w1[ROWS], w2[ROWS], w3[ROWS];
    for (int j = 0; j < rows; j++) {
        const __m512i t = _mm512_mul_epu32(m0, _mm512_xor_si512(high(s), _mm512_set1_epi32((int)row[j].first)));
        w0[j] = _mm512_xor_si512(s, _mm512_set1_epi32((int)row[j].second[0]));
        w1[j] = _mm512_set1_epi32((int)row[j].second[1]);
        w2[j] = _mm512_xor_si512(high(t), _mm512_set1_epi32((int)row[j].second[2]));
        w3[j] = t;
    }
#pragma GCC unroll 8
    for (int round = 0; round < 8; round++) {
        for (int j = 0; j < rows; j++) {
            const __m512i p = _mm512_mul_epu32(m0, w0[j]), q = _mm512_mul_epu32(m1, w2[j]);
            w0[j] = _mm512_ternarylogic_epi32(high(q), w1[j], l->key[round][0], 0x96);
            w2[j] = _mm512_ternarylogic_epi32(high(p), w3[j], l->key[round][1], 0x96);
            w1[j] = q;
            w3[j] = p;
        }
    }
    for (int j = 0; j < rows; j++) {
        put_counts(l, pair(w0[j], w1[j]), out + j * ld);
        put_counts(l, pair(w2[j], w3[j]), out + j * ld + 32);
    }
}

void dmk_row_counts_avx512(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out,
                           int64_t ld);

void dmk_row_counts_avx512(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out,
                           int64_t ld)
{
    shared l;
    for (uint32_t k = 0; k < 8; k++) {
        l.limit[k] = _mm512_set1_epi16((short)c->limit[k]);
        l.count[k] = _mm512_set1_epi16((short)high_half[k + 1]);
        l.key[k][0] = _mm512_set1_epi32((int)(c->key[0] + (k + 2) * DMK_PHILOX_W0));
        l.key[k][1] = _mm512_set1_epi32((int)(c->key[1] + (k + 2) * DMK_PHILOX_W1));
    }
    __asm__ volatile("" : "+m"(l)); /* or the compiler broadcasts them again in the loop */
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    dmk_philox_row begun[ROWS];
    for (int64_t r = 0; r < rows;) {
        const int few = rows - r < ROWS ? 1 : ROWS;
        for (int j = 0; j < few; j++) begun[j] = dmk_philox_begin(c, row[r + j]);
        for (int64_t g = 0; g < groups; g++) {
            const __m512i step = _mm512_add_epi64(_mm512_set1_epi64(c->step + (uint32_t)g * 8), lane);
            const __m512i s = _mm512_mul_epu32(_mm512_set1_epi64(DMK_PHILOX_M1), step);
            float *to = out + r * ld + g * DMK_COUNTS;
            if (few == ROWS) {
                some_rows(&l, s, begun, ROWS, to, ld);
            } else {
                some_rows(&l, s, begun, 1, to, ld);
            }
        }
        r += few;
    }
}
