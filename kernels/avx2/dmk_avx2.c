/* The kernels of ../generic compiled for: avx2 (flags in ../CMakeLists.txt). */
#include <immintrin.h>
#include <stdint.h>

static inline __attribute__((always_inline)) void widen_f16c(const uint16_t *v, double *t)
{
    for (int l = 0; l < 16; l += 8) {
        const __m256 x = _mm256_cvtph_ps(_mm_loadu_si128((const void *)(v + l)));
        _mm256_storeu_pd(t + l, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
        _mm256_storeu_pd(t + l + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
    }
}

#define DMK_WIDEN_F16 widen_f16c
#define DMK_VARIANT avx2
#define DMK_NEAREST dmk_nearest_avx2
#define DMK_ROW_COUNTS dmk_row_counts_avx2
#include "generic/dmk_generic.h"
