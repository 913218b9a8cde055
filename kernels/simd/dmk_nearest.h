/*
 * Nearest two centroids of a strip of rows, fused: no [k, rows] intermediate ever leaves the registers.
 *
 * Lanes run over rows. A strip of 2 vectors of rows is transposed once into scratch (feature-major), then every group
 * of DMK_GROUP centroids keeps 2 x DMK_GROUP accumulators in registers while the features stream by: per feature and
 * centroid one broadcast load and two fused multiply-adds. Best, second best and label are kept in registers too, so
 * what is left is arithmetic (k d / lanes / 2 cycles a row) or the reading of x, whichever is slower.
 *
 * Included by one file per instruction set that defines: V (vector of DMK_LANES floats), V_MASK, I (vector of int32),
 * and the operations used below.
 */
#include <math.h>
#include <stdint.h>

#include "dmk.h"

#define DMK_STRIP (2 * DMK_LANES)

/* x: strip of rows; t: scratch [d, DMK_STRIP]. */
static inline void transpose_strip(const float *x, int64_t d, float *t)
{
    int64_t f = 0;
    for (; f + DMK_LANES <= d; f += DMK_LANES) {
        transpose_square(x + f, d, t + f * DMK_STRIP);
        transpose_square(x + DMK_LANES * d + f, d, t + f * DMK_STRIP + DMK_LANES);
    }
    for (; f < d; f++) {
        for (int r = 0; r < DMK_STRIP; r++) t[f * DMK_STRIP + r] = x[r * d + f];
    }
}

/* Outputs hold DMK_STRIP values. DMK_GROUP divides DMK_PACK. */
static inline void nearest_strip(const float *t, int64_t d, const float *packed, const float *h, int32_t k, float *best,
                                 float *second, int32_t *label, float *norm)
{
    V b0 = V_SET1(INFINITY), b1 = b0, s0 = b0, s1 = b0, n0 = V_ZERO(), n1 = n0;
    I l0 = I_ZERO(), l1 = l0;
    for (int32_t j0 = 0; j0 < k; j0 += DMK_GROUP) {
        const float *c = packed + j0 / DMK_PACK * DMK_PACK * d + j0 % DMK_PACK;
        V a0[DMK_GROUP], a1[DMK_GROUP];
        for (int j = 0; j < DMK_GROUP; j++) a0[j] = a1[j] = V_ZERO();
        for (int64_t f = 0; f < d; f++) {
            const V x0 = V_LOAD(t + f * DMK_STRIP), x1 = V_LOAD(t + f * DMK_STRIP + DMK_LANES);
#pragma GCC unroll 16
            for (int j = 0; j < DMK_GROUP; j++) {
                const V cj = V_SET1(c[f * DMK_PACK + j]);
                a0[j] = V_FMA(x0, cj, a0[j]);
                a1[j] = V_FMA(x1, cj, a1[j]);
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < DMK_GROUP; j++) {
            const V hj = V_SET1(h[j0 + j]), v0 = V_SUB(hj, a0[j]), v1 = V_SUB(hj, a1[j]);
            l0 = I_SET_WHERE(l0, V_LESS(v0, b0), j0 + j);
            l1 = I_SET_WHERE(l1, V_LESS(v1, b1), j0 + j);
            s0 = V_MIN(s0, V_MAX(v0, b0));
            s1 = V_MIN(s1, V_MAX(v1, b1));
            b0 = V_MIN(b0, v0);
            b1 = V_MIN(b1, v1);
        }
    }
    for (int64_t f = 0; f < d; f++) {
        const V x0 = V_LOAD(t + f * DMK_STRIP), x1 = V_LOAD(t + f * DMK_STRIP + DMK_LANES);
        n0 = V_FMA(x0, x0, n0);
        n1 = V_FMA(x1, x1, n1);
    }
    V_STORE(best, b0);
    V_STORE(best + DMK_LANES, b1);
    V_STORE(second, s0);
    V_STORE(second + DMK_LANES, s1);
    I_STORE(label, l0);
    I_STORE(label + DMK_LANES, l1);
    V_STORE(norm, V_SQRT(n0));
    V_STORE(norm + DMK_LANES, V_SQRT(n1));
}

/* The hardware prefetcher loses rows that are read strip by strip: ask for the strip after the next. */
static inline void prefetch_strip(const float *x, int64_t floats)
{
    for (int64_t i = 0; i < floats; i += 16) __builtin_prefetch(x + i, 0, 3);
}

static void nearest_rows(const float *x, int64_t rows, int64_t d, const float *packed, const float *h, int32_t k,
                         float *scratch, float *best, float *second, int32_t *label, float *norm)
{
    int64_t r = 0;
    for (; r + DMK_STRIP <= rows; r += DMK_STRIP) {
        if (r + 3 * DMK_STRIP <= rows) prefetch_strip(x + (r + 2 * DMK_STRIP) * d, DMK_STRIP * d);
        transpose_strip(x + r * d, d, scratch);
        nearest_strip(scratch, d, packed, h, k, best + r, second + r, label + r, norm + r);
    }
    if (r == rows) return;
    /* The last rows, as a strip padded with zeros. */
    float b[DMK_STRIP], s[DMK_STRIP], n[DMK_STRIP];
    int32_t l[DMK_STRIP];
    for (int64_t f = 0; f < d; f++) {
        for (int64_t i = 0; i < DMK_STRIP; i++) scratch[f * DMK_STRIP + i] = r + i < rows ? x[(r + i) * d + f] : 0.0f;
    }
    nearest_strip(scratch, d, packed, h, k, b, s, l, n);
    for (int64_t i = 0; r + i < rows; i++) {
        best[r + i] = b[i];
        second[r + i] = s[i];
        label[r + i] = l[i];
        norm[r + i] = n[i];
    }
}
