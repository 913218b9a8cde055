/*
 * Exactly associative sums of many bounded quantities (segment sums: k x d of them, every row counted).
 *
 * A quantity bounded by |v| <= bound is rounded to the grid 2^(e - DM_FIXED_BITS), 2^e >= bound, in which it is an
 * integer below 2^40. Up to DM_FIXED_TERMS of them add up inside an int64 (kernels/), which is then flushed into 128-bit
 * integers. Integer addition is associative, so the result has the same bits for every layout, and adding and subtracting
 * single rows cannot drift.
 * (Demmel & Nguyen 2015 call the same idea pre-rounding.)
 */
#ifndef DM_BASE_FIXED_SUM_H
#define DM_BASE_FIXED_SUM_H

#include <stdint.h>

#define DM_FIXED_BITS 40
#define DM_FIXED_TERMS (INT64_C(1) << 22)

__extension__ typedef __int128 dm_int128;

/** Power of two by which a value bounded by `bound` is multiplied to become an integer below 2^40; 1 if bound is 0. */
double dm_fixed_scale(double bound);

/** total[i] += part[i], then part[i] = 0. */
void dm_fixed_flush(dm_int128 *total, int64_t *part, int64_t count);

/** Split into three int64 limbs that may be added up to 2^31 times: v = l[0] + l[1] 2^32 + l[2] 2^64. */
static inline void dm_fixed_split(int64_t limb[3], dm_int128 v)
{
    limb[0] = (int64_t)(v & 0xffffffff);
    limb[1] = (int64_t)((v >> 32) & 0xffffffff);
    limb[2] = (int64_t)(v >> 64);
}
static inline dm_int128 dm_fixed_join(const int64_t limb[3])
{
    return (dm_int128)limb[0] + ((dm_int128)limb[1] << 32) + (dm_int128)limb[2] * ((dm_int128)1 << 64);
}

#endif
