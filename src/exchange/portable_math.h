/*
 * exp, log and a point on the unit circle in float32, from additions, products, one division and square roots only.
 *
 * Why not libm: its float functions pick FMA or non-FMA code by processor and cannot be vectorised by the compiler
 * without fast-math. These are plain series around a reduced argument (truncation below 3e-8, less than half a float32
 * rounding), branch-free, so loops over them vectorise and every IEEE machine gets the same bits. They are for
 * synthetic data: no NaN, no infinity, bounded arguments.
 */
#ifndef DM_EXCHANGE_PORTABLE_MATH_H
#define DM_EXCHANGE_PORTABLE_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline int32_t dm_float_bits(float x)
{
    int32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static inline float dm_bits_float(int32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/** log x for normal x > 0: x = 2^e m, m in [sqrt 1/2, sqrt 2), log m = 2 artanh((m - 1) / (m + 1)). */
static inline float dm_portable_log(float x)
{
    const int32_t root_half = 0x3f3504f3; /* bits of sqrt(1/2) */
    int32_t bits = dm_float_bits(x), e = (bits - root_half) >> 23;
    float m = dm_bits_float(bits - e * (1 << 23)), s = (m - 1.0F) / (m + 1.0F), q = s * s;
    float series = 1.0F + q * (1.0F / 3 + q * (1.0F / 5 + q * (1.0F / 7 + q * (1.0F / 9))));
    return (float)e * 0.69314718F + 2.0F * s * series;
}

/** exp x for |x| < 40: x = n log 2 + r, |r| <= log(2) / 2, Taylor to r^7. */
static inline float dm_portable_exp(float x)
{
    int32_t n = (int32_t)(x * 1.44269504F + 64.5F) - 64; /* the sum is positive, so truncation rounds down */
    float r = (x - (float)n * 0.693359375F) - (float)n * -2.12194440e-4F; /* log 2 in two parts, the first of 10 bits */
    float p = 1.0F / 720 + r * (1.0F / 5040);
    p = 1.0F + r * (1.0F + r * (0.5F + r * (1.0F / 6 + r * (1.0F / 24 + r * (1.0F / 120 + r * p)))));
    return p * dm_bits_float((n + 127) * (1 << 23));
}

/**
 * A uniformly distributed point on the unit circle from one random word: an angle in [-pi/4, pi/4) from 30 bits, then
 * two bits mirror it to the other three quarters.
 */
static inline void dm_portable_circle(uint32_t word, float *x, float *y)
{
    float t = ((float)((int32_t)(word & 0x3fffffff) - 0x20000000) + 0.5F) * 1.46291808e-9F; /* pi / 2^31 */
    float q = t * t;
    float s = t * (1.0F - q * (1.0F / 6 - q * (1.0F / 120 - q * (1.0F / 5040))));
    float c = 1.0F - q * (0.5F - q * (1.0F / 24 - q * (1.0F / 720 - q * (1.0F / 40320))));
    float mirrored = (word >> 31) != 0 ? -c : c;
    int turned = ((word >> 30) & 1) != 0;
    *x = turned ? s : mirrored;
    *y = turned ? mirrored : s;
}

/** Two independent standard normals from two words (Box & Muller 1958); |value| < 6.7. */
static inline void dm_portable_normal2(uint32_t w0, uint32_t w1, float *a, float *b)
{
    float u = ((float)(int32_t)(w0 >> 1) + 0.5F) * 0x1p-31F; /* in (0, 1] */
    float radius = sqrtf(-2.0F * dm_portable_log(u)), x, y;
    dm_portable_circle(w1, &x, &y);
    *a = radius * x;
    *b = radius * y;
}

#endif
