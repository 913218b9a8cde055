/* Doubles as unsigned integers in the same order, for selection and sorting by digits. Local. */
#ifndef DM_BASE_ORDERED_BITS_H
#define DM_BASE_ORDERED_BITS_H

#include <stdint.h>
#include <string.h>

/** Not NaN. The two zeros differ. */
static inline uint64_t dm_ordered_bits(double v)
{
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | (UINT64_C(1) << 63);
}

static inline double dm_ordered_value(uint64_t key)
{
    const uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double v = 0.0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

#endif
