/*
 * Nearest two centroids of a strip of rows, fused: no [k, rows] intermediate ever leaves the registers.
 *
 * Lanes run over rows. A strip of 2 vectors of rows is transposed once into scratch (feature-major), then every group
 * of DMK_GROUP centroids keeps 2 x DMK_GROUP accumulators in registers while the features stream by: per feature and
 * centroid one broadcast load and two fused multiply-adds. Best, second best and label are kept in registers too, so
 * what is left is arithmetic (k d / lanes / 2 cycles a row) or the reading of x, whichever is slower.
 *
 * Included by one file per instruction set that defines: V (vector of DMK_LANES floats), I (vector of int32),
 * and the operations used below.
 */
#include <math.h>
#include <stdbool.h>
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

/* Bits of the rows whose two smallest scores are within their error bound of each other. */
static inline uint32_t open_lanes(const dmk_targets *g, V best, V second, V norm)
{
    const V all = V_ADD(norm, V_SET1(g->reach));
    const V bound = V_FMA(V_SET1(g->square), V_MUL(all, all), V_FMA(V_SET1(g->linear), norm, V_SET1(g->constant)));
    return ~(V_BITS(V_LESS(bound, V_SUB(second, best))) & V_BITS(V_LESS(norm, V_SET1(g->norm_limit)))) &
           ((1u << DMK_LANES) - 1u);
}

/* Outputs hold DMK_STRIP values. DMK_GROUP divides 8. `pairs`: the layout of dmk_targets.packed for k <= 8. */
static inline __attribute__((always_inline)) uint32_t nearest_strip(const dmk_targets *g, const float *t, bool pairs,
                                                                    float *best, float *second, int32_t *label)
{
    const int64_t d = g->d;
    V b0 = V_SET1(INFINITY), b1 = b0, s0 = b0, s1 = b0, n0 = V_ZERO(), n1 = n0;
    I l0 = I_ZERO(), l1 = l0;
    for (int32_t j0 = 0; j0 < g->k; j0 += DMK_GROUP) {
        const float *c = pairs ? g->packed + 2 * j0 : g->packed + j0 / 16 * 16 * d + j0 % 16;
        V a0[DMK_GROUP], a1[DMK_GROUP];
        for (int j = 0; j < DMK_GROUP; j++) a0[j] = a1[j] = V_ZERO();
        for (int64_t f = 0; f < d; f++) {
            const V x0 = V_LOAD(t + f * DMK_STRIP), x1 = V_LOAD(t + f * DMK_STRIP + DMK_LANES);
            const float *cf = pairs ? c + f / 2 * 16 + f % 2 : c + f * 16;
#pragma GCC unroll 16
            for (int j = 0; j < DMK_GROUP; j++) {
                const V cj = V_SET1(cf[pairs ? 2 * j : j]);
                a0[j] = V_FMA(x0, cj, a0[j]);
                a1[j] = V_FMA(x1, cj, a1[j]);
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < DMK_GROUP; j++) {
            const V hj = V_SET1(g->h[j0 + j]), v0 = V_SUB(hj, a0[j]), v1 = V_SUB(hj, a1[j]);
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
    if (best != NULL) {
        V_STORE(best, b0);
        V_STORE(best + DMK_LANES, b1);
        V_STORE(second, s0);
        V_STORE(second + DMK_LANES, s1);
    }
    I_STORE(label, l0);
    I_STORE(label + DMK_LANES, l1);
    const V inflate = V_SET1(1.01f);
    return open_lanes(g, b0, s0, V_MUL(inflate, V_SQRT(n0))) | open_lanes(g, b1, s1, V_MUL(inflate, V_SQRT(n1)))
                                                                   << DMK_LANES;
}

static inline __attribute__((always_inline)) int64_t all_rows(const dmk_targets *g, const float *x, int64_t rows,
                                                              int64_t ahead, float *scratch, int32_t *label,
                                                              uint16_t *open, float *best, float *second, bool pairs)
{
    const int64_t d = g->d;
    const float *next = x + rows * d;
    int64_t r = 0, count = 0;
    for (; r + DMK_STRIP <= rows; r += DMK_STRIP) {
        for (int64_t i = 0; i < DMK_STRIP * ahead; i += 16) __builtin_prefetch(next + i, 0, 3);
        next += DMK_STRIP * ahead;
        transpose_strip(x + r * d, d, scratch);
        open[r / DMK_STRIP] = (uint16_t)nearest_strip(g, scratch, pairs, best == NULL ? NULL : best + r,
                                                      second == NULL ? NULL : second + r, label + r);
        count += __builtin_popcount(open[r / DMK_STRIP]);
    }
    if (r == rows) return count;
    /* The last rows, as a strip padded with zeros. */
    float b[DMK_STRIP], s[DMK_STRIP];
    int32_t l[DMK_STRIP];
    const int64_t left = rows - r;
    for (int64_t f = 0; f < d; f++) {
        for (int64_t i = 0; i < DMK_STRIP; i++) scratch[f * DMK_STRIP + i] = i < left ? x[(r + i) * d + f] : 0.0f;
    }
    open[r / DMK_STRIP] = (uint16_t)(nearest_strip(g, scratch, pairs, b, s, l) & ((1u << left) - 1u));
    for (int64_t i = 0; i < left; i++) {
        label[r + i] = l[i];
        if (best != NULL) best[r + i] = b[i];
        if (second != NULL) second[r + i] = s[i];
    }
    return count + __builtin_popcount(open[r / DMK_STRIP]);
}

static int64_t nearest_rows(const dmk_targets *g, const float *x, int64_t rows, int64_t ahead, float *scratch,
                            int32_t *label, uint16_t *open, float *best, float *second)
{
    if (g->k <= 8) return all_rows(g, x, rows, ahead, scratch, label, open, best, second, true);
    return all_rows(g, x, rows, ahead, scratch, label, open, best, second, false);
}
