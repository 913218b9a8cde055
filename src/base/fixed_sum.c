#include "base/fixed_sum.h"

#include <math.h>

double dm_fixed_scale(double bound)
{
    if (!(bound > 0.0)) return 1.0;
    int e = 0;
    (void)frexp(bound, &e); /* bound = m 2^e, m in [1/2, 1): bound <= 2^e */
    int power = DM_FIXED_BITS - 1 - e;
    if (power > 1000) power = 1000; /* bounds below 2^-961: the grid need not be finer */
    return ldexp(1.0, power);
}

void dm_fixed_flush(dm_int128 *total, int64_t *part, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        total[i] += part[i];
        part[i] = 0;
    }
}
