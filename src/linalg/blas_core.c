/* Which OpenBLAS we run on, and whether it took kernels worthy of the CPU. */
#include <cblas.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "linalg/distance.h"

void dm_blas_init(void) { openblas_set_num_threads(1); }

const char *dm_blas_core(void) { return openblas_get_corename(); }

const char *dm_blas_version(void)
{
    static char text[64];
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_LAPACKE ..." */
    snprintf(text, sizeof text, "%s", config);
    char *end = strchr(text, ' ');
    if (end != NULL) end = strchr(end + 1, ' ');
    if (end != NULL) *end = 0;
    return text;
}

/* OpenBLAS's x86 core types without AVX2 / with AVX2 / with AVX-512 kernels. Newer CPUs than the library knows get
 * the oldest type ("Prescott"), which costs a factor of ten in sgemm. */
const char *dm_blas_core_advice(void)
{
#if defined(__x86_64__)
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "Sapphirerapids"};
    static const char *const middle[] = {"Haswell", "Zen", "Excavator"};
    const char *now = dm_blas_core();
    __builtin_cpu_init();
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        if (strcasecmp(now, wide[i]) == 0) return NULL;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw")) {
        return "SkylakeX";
    }
    for (size_t i = 0; i < sizeof middle / sizeof *middle; i++) {
        if (strcasecmp(now, middle[i]) == 0) return NULL;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
    return NULL;
}
