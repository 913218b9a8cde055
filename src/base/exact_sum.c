#include "base/exact_sum.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define MASK32 INT64_C(0xffffffff)
#define MAX_PENDING 1000 /* each addition puts less than 2^53 into a chunk: 2^53 x 1000 < 2^63 */

void dm_exact_sum_normalize(dm_exact_sum *s)
{
    int64_t carry = 0;
    for (int i = 0; i < DM_EXACT_CHUNKS - 1; i++) {
        int64_t v = s->chunk[i] + carry;
        carry = v >> 32; /* arithmetic shift: floor division, remainder in [0, 2^32) */
        s->chunk[i] = v & MASK32;
    }
    s->chunk[DM_EXACT_CHUNKS - 1] += carry;
    s->pending = 0;
}

void dm_exact_sum_add(dm_exact_sum *s, double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    unsigned exponent = (unsigned)(bits >> 52) & 0x7ff;
    int64_t mantissa = (int64_t)(bits & ((UINT64_C(1) << 52) - 1));
    if (exponent == 0x7ff) return;
    if (exponent == 0) {
        if (mantissa == 0) return;
        exponent = 1;
    } else {
        mantissa |= INT64_C(1) << 52;
    }
    unsigned index = exponent >> 5, shift = exponent & 31;
    int64_t low = (int64_t)(((uint64_t)mantissa << shift) & (uint64_t)MASK32);
    int64_t high = mantissa >> (32 - shift);
    if (bits >> 63) {
        s->chunk[index] -= low;
        s->chunk[index + 1] -= high;
    } else {
        s->chunk[index] += low;
        s->chunk[index + 1] += high;
    }
    if (++s->pending >= MAX_PENDING) dm_exact_sum_normalize(s);
}

void dm_exact_sum_merge(dm_exact_sum *s, const dm_exact_sum *t)
{
    dm_exact_sum copy = *t;
    dm_exact_sum_normalize(&copy);
    dm_exact_sum_normalize(s);
    for (int i = 0; i < DM_EXACT_CHUNKS; i++) s->chunk[i] += copy.chunk[i];
    s->pending = 1;
}

double dm_exact_sum_value(const dm_exact_sum *sum)
{
    dm_exact_sum s = *sum;
    dm_exact_sum_normalize(&s);
    bool negative = s.chunk[DM_EXACT_CHUNKS - 1] < 0;
    if (negative) {
        for (int i = 0; i < DM_EXACT_CHUNKS; i++) s.chunk[i] = -s.chunk[i];
        dm_exact_sum_normalize(&s);
    }
    int top = DM_EXACT_CHUNKS - 1;
    while (top >= 0 && s.chunk[top] == 0) top--;
    if (top < 0) return 0.0;
    /* The leading 64 bits as an integer, everything below as a sticky bit: the conversion then rounds once. */
    uint64_t lead = (uint64_t)s.chunk[top];
    int width = 64 - __builtin_clzll(lead), position = top;
    int exponent = 32 * top - 1075;
    bool sticky = false;
    while (width < 64 && position > 0) {
        position--;
        uint64_t next = (uint64_t)s.chunk[position];
        int take = 64 - width < 32 ? 64 - width : 32;
        lead = (lead << take) | (next >> (32 - take));
        if (take < 32 && (next & ((UINT64_C(1) << (32 - take)) - 1)) != 0) sticky = true;
        width += take;
        exponent -= take;
    }
    for (int i = position - 1; i >= 0 && !sticky; i--) sticky = s.chunk[i] != 0;
    if (sticky) lead |= 1;
    double value = ldexp((double)lead, exponent);
    return negative ? -value : value;
}
