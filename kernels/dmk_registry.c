#include "dmk.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const dmk_table dmk_table_ref;
#if defined(__x86_64__)
extern const dmk_table dmk_table_avx2, dmk_table_avx512;
static const dmk_table *const variant[] = {&dmk_table_avx512, &dmk_table_avx2, &dmk_table_ref};
#else
static const dmk_table *const variant[] = {&dmk_table_ref};
#endif

int dmk_variant_count(void) { return (int)(sizeof variant / sizeof *variant); }
const dmk_table *dmk_variant(int i) { return variant[i]; }

#if defined(__x86_64__)
/* Conversion of halves; clang before 16 does not know its name in __builtin_cpu_supports(). */
static bool has_f16c(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

bool dmk_variant_supported(int i)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (variant[i] == &dmk_table_avx512) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd");
    }
    if (variant[i] == &dmk_table_avx2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    }
#endif
    return variant[i] == &dmk_table_ref;
}

int dmk_variant_find(const char *name)
{
    bool automatic = name == NULL || strcmp(name, "auto") == 0;
    for (int i = 0; i < dmk_variant_count(); i++) {
        if (automatic ? dmk_variant_supported(i) : strcmp(name, variant[i]->name) == 0) return i;
    }
    return -1;
}
