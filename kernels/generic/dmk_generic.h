/*
 * The text of the kernels, included once per variant with DMK_VARIANT defined (ref, avx2, avx512).
 *
 * Lanes run over features or over rows, never across the terms of one sum, so that vector width cannot change a bit.
 */
#include <math.h>
#include <stddef.h>

#include "dmk.h"

#define DMK_JOIN2(a, b) a##b
#define DMK_JOIN(a, b) DMK_JOIN2(a, b)
#define DMK_TEXT2(a) #a
#define DMK_TEXT(a) DMK_TEXT2(a)

static double squared_distance(const float *x, const double *c, int64_t d)
{
    double s[8] = {0.0};
    int64_t f = 0;
    for (; f + 8 <= d; f += 8) {
        for (int l = 0; l < 8; l++) {
            double t = (double)x[f + l] - c[f + l];
            s[l] += t * t;
        }
    }
    for (int l = 0; f < d; f++, l++) {
        double t = (double)x[f] - c[f];
        s[l] += t * t;
    }
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void row_norms(const float *x, int64_t rows, int64_t d, float *norm)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        float s[16] = {0.0f};
        int64_t f = 0;
        for (; f + 16 <= d; f += 16) {
            for (int l = 0; l < 16; l++) s[l] += v[f + l] * v[f + l];
        }
        for (int l = 0; f < d; f++, l++) s[l] += v[f] * v[f];
        float sum = 0.0f;
        for (int l = 0; l < 16; l++) sum += s[l];
        norm[r] = sqrtf(sum);
    }
}

static void smallest_two(const float *restrict g, int64_t ldg, const float *restrict h, int32_t k, int64_t rows,
                         float *restrict best, float *restrict second, int32_t *restrict label)
{
    for (int64_t r = 0; r < rows; r++) {
        best[r] = INFINITY;
        second[r] = INFINITY;
        label[r] = 0;
    }
    for (int32_t j = 0; j < k; j++) {
        const float *gj = g + j * ldg;
        const float hj = h[j];
        for (int64_t r = 0; r < rows; r++) {
            float s = hj - gj[r], b = best[r], t = second[r];
            bool less = s < b;
            float other = less ? b : s;
            second[r] = other < t ? other : t;
            label[r] = less ? j : label[r];
            best[r] = less ? s : b;
        }
    }
}

static int64_t uncertain(const float *restrict best, const float *restrict second, const float *restrict norm,
                         int64_t rows, float linear, float constant, float square, float reach, float norm_limit,
                         uint8_t *restrict flag)
{
    int32_t count = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float all = norm[r] + reach, bound = linear * norm[r] + constant + square * (all * all);
        const int32_t sure = (second[r] - best[r] > bound) & (norm[r] < norm_limit);
        flag[r] = (uint8_t)(1 - sure);
        count += 1 - sure;
    }
    return count;
}

/* Adding and subtracting 1.5 x 2^52 rounds a double below 2^51 to an integer, to nearest even, in any SIMD set. */
#define ROUNDER 0x1.8p52

static void accumulate(const float *restrict x, const float *restrict w, const int32_t *restrict label, int64_t rows,
                       int64_t d, const double *restrict scale, double weight_scale, double *restrict sum,
                       double *restrict count)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        double *s = sum + label[r] * d;
        if (w == NULL) {
            for (int64_t f = 0; f < d; f++) s[f] += ((double)v[f] * scale[f] + ROUNDER) - ROUNDER;
            count[label[r]] += 1.0;
        } else {
            const double wr = (double)w[r];
            for (int64_t f = 0; f < d; f++) s[f] += (wr * (double)v[f] * scale[f] + ROUNDER) - ROUNDER;
            count[label[r]] += (wr * weight_scale + ROUNDER) - ROUNDER;
        }
    }
}

static void add_deviations(const float *restrict x, const float *restrict w, const int32_t *restrict label,
                           int64_t rows, int64_t d, const double *restrict center, double *restrict first,
                           double *restrict second)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *v = x + r * d;
        const double *c = center + label[r] * d;
        double *s = first + label[r] * d, *t = second + label[r] * d;
        const double wr = w == NULL ? 1.0 : (double)w[r];
        for (int64_t f = 0; f < d; f++) {
            const double u = (double)v[f] - c[f], wu = wr * u;
            s[f] += wu;
            t[f] += wu * u;
        }
    }
}

static void scale_rows(const double *restrict v, int64_t rows, int64_t d, const double *restrict origin,
                       const double *restrict factor, float *restrict out)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t f = 0; f < d; f++) {
            double t = (v[r * d + f] - origin[f]) * factor[f];
            out[r * d + f] = t == t ? (float)t : 0.0f;
        }
    }
}

static void add_moments(const double *restrict v, const float *restrict w, int64_t rows, int64_t d,
                        const double *restrict shift, dmk_moments *m)
{
    double *restrict weight = m->weight, *restrict first = m->first, *restrict second = m->second;
    double *restrict low = m->low, *restrict high = m->high, *restrict bad = m->bad;
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        for (int64_t f = 0; f < d; f++) {
            double t = v[r * d + f];
            bool ok = fabs(t) <= 0x1.fffffffffffffp1023;
            double u = ok ? t - shift[f] : 0.0;
            double wu = wr * u;
            weight[f] += ok ? wr : 0.0;
            first[f] += wu;
            second[f] += wu * u;
            low[f] = ok && t < low[f] ? t : low[f];
            high[f] = ok && t > high[f] ? t : high[f];
            bad[f] += ok ? 0.0 : 1.0;
        }
    }
}

#ifdef DMK_NEAREST
extern const dmk_nearest_kernel DMK_NEAREST;
#endif

extern const dmk_table DMK_JOIN(dmk_table_, DMK_VARIANT);
const dmk_table DMK_JOIN(dmk_table_, DMK_VARIANT) = {
    .name = DMK_TEXT(DMK_VARIANT),
#ifdef DMK_NEAREST
    .nearest = &DMK_NEAREST,
#endif
    .squared_distance = squared_distance,
    .row_norms = row_norms,
    .smallest_two = smallest_two,
    .uncertain = uncertain,
    .accumulate = accumulate,
    .add_deviations = add_deviations,
    .scale_rows = scale_rows,
    .add_moments = add_moments,
};
