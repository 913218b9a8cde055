/* simd/dmk_nearest.h for AVX-512: 32 rows x 8 centroids in 16 of 32 registers. */
#include <immintrin.h>

#define DMK_LANES 16
#define DMK_GROUP 8
#define V __m512
#define I __m512i
#define V_ZERO _mm512_setzero_ps
#define V_SET1 _mm512_set1_ps
#define V_LOAD _mm512_loadu_ps
#define V_STORE _mm512_storeu_ps
#define V_FMA _mm512_fmadd_ps
#define V_SUB _mm512_sub_ps
#define V_MIN _mm512_min_ps
#define V_MAX _mm512_max_ps
#define V_SQRT _mm512_sqrt_ps
#define V_LESS(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_LT_OQ)
#define I_ZERO _mm512_setzero_si512
#define I_STORE _mm512_storeu_si512
#define I_SET_WHERE(l, mask, j) _mm512_mask_set1_epi32((l), (mask), (j))

/* 16 x 16 floats at x (row stride d) to t (row stride 32): three rounds of shuffles, 64 in all. */
static inline void transpose_square(const float *x, long d, float *t)
{
    __m512 a[16], b[16];
    for (int r = 0; r < 16; r++) a[r] = _mm512_loadu_ps(x + r * d);
    for (int r = 0; r < 16; r += 2) { /* pairs of rows */
        b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 16; r += 4) { /* fours: a[r + c], quarter q = feature 4 q + c of rows r .. r + 3 */
        for (int h = 0; h < 2; h++) {
            a[r + 2 * h] = (__m512)_mm512_unpacklo_pd((__m512d)b[r + h], (__m512d)b[r + 2 + h]);
            a[r + 2 * h + 1] = (__m512)_mm512_unpackhi_pd((__m512d)b[r + h], (__m512d)b[r + 2 + h]);
        }
    }
    for (int c = 0; c < 4; c++) { /* quarters together */
        const __m512 p = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), q = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
        const __m512 u = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88),
                     v = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        _mm512_storeu_ps(t + (0 + c) * 32, _mm512_shuffle_f32x4(p, u, 0x88));
        _mm512_storeu_ps(t + (8 + c) * 32, _mm512_shuffle_f32x4(p, u, 0xdd));
        _mm512_storeu_ps(t + (4 + c) * 32, _mm512_shuffle_f32x4(q, v, 0x88));
        _mm512_storeu_ps(t + (12 + c) * 32, _mm512_shuffle_f32x4(q, v, 0xdd));
    }
}

#include "simd/dmk_nearest.h"

extern const dmk_nearest_kernel dmk_nearest_avx512;
const dmk_nearest_kernel dmk_nearest_avx512 = {nearest_rows};
