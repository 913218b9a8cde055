#include "base/counter_rng.h"

#include <Random123/philox.h>

dm_random4 dm_random(uint64_t seed, dm_purpose purpose, uint64_t step, uint64_t index)
{
    philox4x32_ctr_t c = {{(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)step,
                           (uint32_t)((step >> 32) & 0xffff) | ((uint32_t)purpose << 16)}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t r = philox4x32(c, key);
    return (dm_random4){{r.v[0], r.v[1], r.v[2], r.v[3]}};
}
