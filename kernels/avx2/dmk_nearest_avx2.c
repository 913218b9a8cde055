/* simd/dmk_nearest.h for AVX2 with FMA: 16 rows x 4 centroids in 8 of 16 registers. */
#include <immintrin.h>

#define DMK_LANES 8
#define DMK_GROUP 4
#define V __m256
#define I __m256i
#define V_ZERO _mm256_setzero_ps
#define V_SET1 _mm256_set1_ps
#define V_LOAD _mm256_loadu_ps
#define V_STORE _mm256_storeu_ps
#define V_FMA _mm256_fmadd_ps
#define V_ADD _mm256_add_ps
#define V_SUB _mm256_sub_ps
#define V_MUL _mm256_mul_ps
#define V_BITS(m) ((uint32_t)_mm256_movemask_ps(m))
#define V_MIN _mm256_min_ps
#define V_MAX _mm256_max_ps
#define V_SQRT _mm256_sqrt_ps
#define V_LESS(a, b) _mm256_cmp_ps((a), (b), _CMP_LT_OQ)
#define I_ZERO _mm256_setzero_si256
#define I_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), (v))
#define I_SET_WHERE(l, mask, j) _mm256_blendv_epi8((l), _mm256_set1_epi32(j), _mm256_castps_si256(mask))

/* 8 x 8 floats at x (row stride d) to t (row stride 16). */
static inline void transpose_square(const float *x, long d, float *t)
{
    __m256 a[8], b[8];
    for (int r = 0; r < 8; r++) a[r] = _mm256_loadu_ps(x + r * d);
    for (int r = 0; r < 8; r += 2) {
        b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 8; r += 4) {
        for (int h = 0; h < 2; h++) {
            a[r + 2 * h] = (__m256)_mm256_unpacklo_pd((__m256d)b[r + h], (__m256d)b[r + 2 + h]);
            a[r + 2 * h + 1] = (__m256)_mm256_unpackhi_pd((__m256d)b[r + h], (__m256d)b[r + 2 + h]);
        }
    }
    for (int c = 0; c < 4; c++) {
        _mm256_storeu_ps(t + c * 16, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
        _mm256_storeu_ps(t + (4 + c) * 16, _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
    }
}

#include "simd/dmk_nearest.h"

int64_t dmk_nearest_avx2(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                         int32_t *label, uint16_t *open, float *best, float *second);
int64_t dmk_nearest_avx2(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                         int32_t *label, uint16_t *open, float *best, float *second)
{
    return nearest_rows(t, x, rows, ahead, scratch, label, open, best, second);
}
