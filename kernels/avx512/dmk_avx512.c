/* The kernels of ../generic compiled for: avx512 (flags in ../CMakeLists.txt). */
#include <immintrin.h>
#include <stdint.h>

static inline __attribute__((always_inline)) void widen_avx512(const uint16_t *v, double *t)
{
    const __m512 x = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)v));
    _mm512_storeu_pd(t, _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
    _mm512_storeu_pd(t + 8, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
}

#define DMK_WIDEN_F16 widen_avx512
#define DMK_VARIANT avx512
#define DMK_NEAREST dmk_nearest_avx512
#define DMK_NEAREST_TWO dmk_nearest_two_avx512
#define DMK_MOVE dmk_move_avx512
#define DMK_ROW_COUNTS dmk_row_counts_avx512
#include "generic/dmk_generic.h"
