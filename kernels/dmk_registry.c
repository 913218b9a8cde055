#include "dmk.h"

#include <string.h>

extern const dmk_table dmk_table_ref;
#if defined(__x86_64__)
extern const dmk_table dmk_table_avx2, dmk_table_avx512;
static const dmk_table *const variant[] = {&dmk_table_avx512, &dmk_table_avx2, &dmk_table_ref};
#else
static const dmk_table *const variant[] = {&dmk_table_ref};
#endif

int dmk_variant_count(void) { return (int)(sizeof variant / sizeof *variant); }
const dmk_table *dmk_variant(int i) { return variant[i]; }

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
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
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
