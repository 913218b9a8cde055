/*
 * The text of the kernels, included once per variant with DMK_VARIANT defined (ref, avx2, avx512).
 *
 * Lanes run over features or over rows, never across the terms of one sum, so that vector width cannot change a bit.
 * A variant may define DMK_WIDEN_F16(v, x), which turns 16 halves into floats by an instruction of its own.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "dmk.h"
#include "generic/dmk_philox.h"

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

#define TOGETHER 4 /* centroids whose partial sums stay in registers: their chains of additions wait side by side */

static void squared_distances(const float *restrict x, const double *restrict c, int64_t k, int64_t d,
                              double *restrict out)
{
    int64_t j = 0;
    for (; j + TOGETHER <= k; j += TOGETHER) {
        const double *restrict at = c + j * d;
        double s[TOGETHER][8] = {{0.0}};
        int64_t f = 0;
        for (; f + 8 <= d; f += 8) {
            for (int i = 0; i < TOGETHER; i++) {
                for (int l = 0; l < 8; l++) {
                    const double t = (double)x[f + l] - at[i * d + f + l];
                    s[i][l] += t * t;
                }
            }
        }
        for (int l = 0; f < d; f++, l++) {
            for (int i = 0; i < TOGETHER; i++) {
                const double t = (double)x[f] - at[i * d + f];
                s[i][l] += t * t;
            }
        }
        for (int i = 0; i < TOGETHER; i++)
            out[j + i] = ((s[i][0] + s[i][4]) + (s[i][2] + s[i][6])) + ((s[i][1] + s[i][5]) + (s[i][3] + s[i][7]));
    }
    for (; j < k; j++) out[j] = squared_distance(x, c + j * d, d);
}

/* Points and centers whose sums stay in registers together. */
#ifdef __AVX512F__
#define LANES_TOGETHER 64
#else
#define LANES_TOGETHER 16
#endif
#define CENTERS_TOGETHER 4

static void distances_to(const float *restrict tiles, int64_t count, int64_t d, const float *restrict c, int64_t p,
                         float *restrict out, int64_t ld)
{
    for (int64_t i = 0; i < count; i += DMK_TILE_POINTS) {
        const float *tile = tiles + i * d;
        int64_t j = 0;
        for (; j + CENTERS_TOGETHER <= p; j += CENTERS_TOGETHER) {
            for (int64_t part = 0; part < DMK_TILE_POINTS; part += LANES_TOGETHER) {
                float s[CENTERS_TOGETHER][LANES_TOGETHER] = {{0.0f}};
                for (int64_t f = 0; f < d; f++) {
                    const float *x = tile + f * DMK_TILE_POINTS + part;
                    for (int a = 0; a < CENTERS_TOGETHER; a++) {
                        const float at = c[(j + a) * d + f];
                        for (int l = 0; l < LANES_TOGETHER; l++) {
                            const float t = x[l] - at;
                            s[a][l] += t * t;
                        }
                    }
                }
                for (int a = 0; a < CENTERS_TOGETHER; a++) memcpy(out + (j + a) * ld + i + part, s[a], sizeof s[a]);
            }
        }
        for (; j < p; j++) {
            float s[DMK_TILE_POINTS] = {0.0f};
            for (int64_t f = 0; f < d; f++) {
                const float *x = tile + f * DMK_TILE_POINTS;
                const float at = c[j * d + f];
                for (int l = 0; l < DMK_TILE_POINTS; l++) {
                    const float t = x[l] - at;
                    s[l] += t * t;
                }
            }
            memcpy(out + j * ld + i, s, sizeof s);
        }
    }
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
        for (int l = 0; l < 8; l++) s[l] += s[l + 8];
        for (int l = 0; l < 4; l++) s[l] += s[l + 4];
        norm[r] = sqrtf((s[0] + s[2]) + (s[1] + s[3]));
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

static void gap(const float *restrict best, const float *restrict second, const float *restrict norm, int64_t rows,
                const dmk_targets *t, float *restrict out)
{
    const float linear = t->linear, constant = t->constant, square = t->square, reach = t->reach;
    const float relative = 4.0f * (float)(t->d + 8) * 0x1p-24f; /* of ||x||^2 as computed from the norm */
    for (int64_t r = 0; r < rows; r++) {
        const float n = 1.001f * norm[r], all = n + reach, n2 = norm[r] * norm[r];
        const float e = 4.0f * (linear * n + constant + square * (all * all)) + relative * n2;
        const float q1 = n2 + 2.0f * best[r] + e, q2 = n2 + 2.0f * second[r] - e;
        const float near = sqrtf(q1 > 0.0f ? q1 : 0.0f) * 1.000001f, far = sqrtf(q2 > 0.0f ? q2 : 0.0f) * 0.999999f;
        const float g = (far - near) * 0.999999f;
        out[r] = g > 0.0f && n < t->norm_limit && far < INFINITY ? g : 0.0f;
    }
}

static int64_t expired(const float *restrict until, const int32_t *restrict label, const float *restrict limit,
                       int64_t rows, int32_t *restrict index)
{
    int64_t count = 0;
    uint8_t flag[64];
    for (int64_t at = 0; at < rows; at += 64) { /* most of the time nothing is found: whole words are skipped */
        const int64_t n = rows - at < 64 ? rows - at : 64;
        for (int64_t r = 0; r < n; r++) {
            const int32_t j = label[at + r] < 0 ? 0 : label[at + r];
            flag[r] = (uint8_t)(1 - (until[at + r] > limit[j]));
        }
        for (int64_t r = 0; r < n; r += 8) {
            uint64_t word = 0;
            memcpy(&word, flag + r, n - r < 8 ? (size_t)(n - r) : 8);
            for (; word != 0; word &= word - 1) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                index[count++] = (int32_t)(at + r + __builtin_ctzll(word) / 8);
#else
                index[count++] = (int32_t)(at + r + 7 - __builtin_ctzll(word) / 8);
#endif
            }
        }
    }
    return count;
}

#ifndef DMK_MOVE
/* Adding 1.5 x 2^52 to a double below 2^51 leaves it rounded to nearest even as an integer in the low bits. */
#define ROUNDER 0x1.8p52
#define ROUNDER_BITS INT64_C(0x4338000000000000)

static inline int64_t rounded(double v)
{
    const double t = v + ROUNDER;
    int64_t bits;
    memcpy(&bits, &t, sizeof bits);
    return bits - ROUNDER_BITS;
}

/* One row into (or out of: the compiler sees which of the two pointers is NULL) the sums of a segment. */
static inline void move_row(const float *restrict v, double w, int64_t d, const double *restrict scale,
                            int64_t *restrict plus, int64_t *restrict minus)
{
    if (minus == NULL) {
        for (int64_t f = 0; f < d; f++) plus[f] += rounded(w * (double)v[f] * scale[f]);
    } else if (plus == NULL) {
        for (int64_t f = 0; f < d; f++) minus[f] -= rounded(w * (double)v[f] * scale[f]);
    } else {
        for (int64_t f = 0; f < d; f++) {
            const int64_t t = rounded(w * (double)v[f] * scale[f]);
            plus[f] += t;
            minus[f] -= t;
        }
    }
}

static void move(const float *restrict x, const float *restrict w, const int32_t *restrict from,
                 const int32_t *restrict to, int64_t rows, int64_t d, const dmk_sums *s)
{
    for (int64_t r = 0; r < rows; r++) {
        const int64_t a = from[r], b = to[r];
        if (a == b) continue;
        const double wr = w == NULL ? 1.0 : (double)w[r];
        const int64_t weight = rounded(wr * s->weight_scale);
        move_row(x + r * d, wr, d, s->scale, b < 0 ? NULL : s->sum + b * d, a < 0 ? NULL : s->sum + a * d);
        if (b >= 0) {
            s->weight[b] += weight;
            s->count[b] += wr > 0.0;
        }
        if (a >= 0) {
            s->weight[a] -= weight;
            s->count[a] -= wr > 0.0;
        }
    }
}
#endif

/* Pieces of 16, so that the compiler has no rest to think of. */
static void add_counts(const int32_t *restrict grid, const int32_t *restrict unit, const uint8_t *restrict count,
                       const int32_t *restrict label, int64_t rows, int64_t ld, int32_t *restrict sum,
                       int32_t *restrict weight)
{
    for (int64_t r = 0; r < rows; r++) {
        const int32_t c = count[r];
        const int32_t *restrict g = grid + r * ld;
        int32_t *restrict s = sum + label[r] * ld;
        for (int64_t f = 0; f < ld; f += 16) {
            for (int64_t i = 0; i < 16; i++) s[f + i] += c * g[f + i];
        }
        weight[label[r]] += unit == NULL ? c : c * unit[r];
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

/*
 * Columns are taken LANES at a time, their sums in local arrays: the compiler then keeps them in vector registers and
 * need not ask whether the caller's arrays overlap.
 */
#define LANES 16
#define INLINE static inline __attribute__((always_inline))

/* The first `n` of LANES values as doubles, zeros behind them. */
INLINE void take_f64(const double *v, int64_t n, double t[LANES])
{
    for (int l = 0; l < LANES; l++) t[l] = l < n ? v[l] : 0.0;
}

INLINE void take_f32(const float *v, int64_t n, double t[LANES])
{
    for (int l = 0; l < LANES; l++) t[l] = l < n ? (double)v[l] : 0.0;
}

#ifndef DMK_WIDEN_F16
/*
 * IEEE half to single, exact: the exponent is moved to its new place and rebased; infinities and NaN get the rest of the
 * way, subnormal halves become normal by a subtraction that is exact.
 */
INLINE float widen_one(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t exponent = bits & 0x0f800000;
    bits += (uint32_t)(127 - 15) << 23;
    bits += exponent == 0x0f800000 ? (uint32_t)(128 - 16) << 23 : 0;
    bits += exponent == 0 ? UINT32_C(1) << 23 : 0;
    float value = 0.0f;
    memcpy(&value, &bits, sizeof value);
    value -= exponent == 0 ? 0x1p-14f : 0.0f;
    return half & 0x8000 ? -value : value;
}

INLINE void widen_lanes(const uint16_t v[LANES], double t[LANES])
{
    for (int l = 0; l < LANES; l++) t[l] = (double)widen_one(v[l]);
}
#define DMK_WIDEN_F16 widen_lanes
#endif

INLINE void take_f16(const uint16_t *v, int64_t n, double t[LANES])
{
    uint16_t few[LANES] = {0};
    if (n < LANES) {
        for (int64_t l = 0; l < n; l++) few[l] = v[l];
        v = few;
    }
    DMK_WIDEN_F16(v, t);
}

static void widen_f16(const uint16_t *v, int64_t n, double *out)
{
    double t[LANES];
    for (int64_t i = 0; i < n; i += LANES) {
        const int64_t few = n - i < LANES ? n - i : LANES;
        take_f16(v + i, few, t);
        for (int64_t l = 0; l < few; l++) out[i + l] = t[l];
    }
}

INLINE void scale_lanes(const double t[LANES], int64_t n, const double *origin, const double *factor, float *out)
{
#pragma GCC unroll 1 /* unrolled it would not be vectorised any more */
    for (int l = 0; l < n; l++) {
        const double u = (t[l] - origin[l]) * factor[l];
        out[l] = u == u ? (float)u : 0.0f;
    }
}

/* Moments of up to LANES columns in local memory. */
typedef struct moment_lanes {
    double shift[LANES], weight[LANES], first[LANES], second[LANES], low[LANES], high[LANES], bad[LANES];
} moment_lanes;

INLINE void load_lanes(moment_lanes *a, const dmk_moments *m, const double *shift, int64_t f, int64_t n)
{
    take_f64(shift + f, n, a->shift);
    take_f64(m->weight + f, n, a->weight);
    take_f64(m->first + f, n, a->first);
    take_f64(m->second + f, n, a->second);
    take_f64(m->low + f, n, a->low);
    take_f64(m->high + f, n, a->high);
    take_f64(m->bad + f, n, a->bad);
}

INLINE void store_lanes(const moment_lanes *a, dmk_moments *m, int64_t f, int64_t n)
{
    for (int64_t l = 0; l < n; l++) {
        m->weight[f + l] = a->weight[l];
        m->first[f + l] = a->first[l];
        m->second[f + l] = a->second[l];
        m->low[f + l] = a->low[l];
        m->high[f + l] = a->high[l];
        m->bad[f + l] = a->bad[l];
    }
}

INLINE void add_lanes(moment_lanes *a, const double t[LANES], double w)
{
    for (int l = 0; l < LANES; l++) {
        const bool ok = fabs(t[l]) <= 0x1.fffffffffffffp1023;
        const double u = ok ? t[l] - a->shift[l] : 0.0, wu = w * u;
        a->weight[l] += ok ? w : 0.0;
        a->first[l] += wu;
        a->second[l] += wu * u;
        a->low[l] = ok && t[l] < a->low[l] ? t[l] : a->low[l];
        a->high[l] = ok && t[l] > a->high[l] ? t[l] : a->high[l];
        a->bad[l] += ok ? 0.0 : 1.0;
    }
}

/*
 * The kernels over rows of stored values, for each type they are stored in. Where fewer than LANES columns are left,
 * the lanes behind them take whatever follows in the table (the next row's columns) and are dropped at the end; only
 * the last rows, which have nothing behind them, are taken with care.
 */
#define DMK_FOR_TYPE(suffix, type, take)                                                                               \
    static void scale_rows##suffix(const type *v, int64_t rows, int64_t d, const double *origin, const double *factor, \
                                   float *out)                                                                         \
    {                                                                                                                  \
        double t[LANES];                                                                                               \
        for (int64_t r = 0; r < rows; r++) {                                                                           \
            int64_t f = 0;                                                                                             \
            for (; f + LANES <= d; f += LANES) {                                                                       \
                take(v + r * d + f, LANES, t);                                                                         \
                scale_lanes(t, LANES, origin + f, factor + f, out + r * d + f);                                        \
            }                                                                                                          \
            if (f < d) {                                                                                               \
                take(v + r * d + f, d - f, t);                                                                         \
                scale_lanes(t, d - f, origin + f, factor + f, out + r * d + f);                                        \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    INLINE void add_columns##suffix(const type *v, const float *w, bool weighted, int64_t rows, int64_t d,             \
                                    const double *shift, int64_t f, dmk_moments *m)                                    \
    {                                                                                                                  \
        const int64_t n = d - f < LANES ? d - f : LANES;                                                               \
        double t[LANES];                                                                                               \
        moment_lanes a;                                                                                                \
        load_lanes(&a, m, shift, f, n);                                                                                \
        int64_t r = 0;                                                                                                 \
        for (; r * d + f + LANES <= rows * d; r++) {                                                                   \
            take(v + r * d + f, LANES, t);                                                                             \
            add_lanes(&a, t, weighted ? (double)w[r] : 1.0);                                                           \
        }                                                                                                              \
        for (; r < rows; r++) {                                                                                        \
            take(v + r * d + f, n, t);                                                                                 \
            add_lanes(&a, t, weighted ? (double)w[r] : 1.0);                                                           \
        }                                                                                                              \
        store_lanes(&a, m, f, n);                                                                                      \
    }                                                                                                                  \
    static void add_moments##suffix(const type *v, const float *w, int64_t rows, int64_t d, const double *shift,       \
                                    dmk_moments *m)                                                                    \
    {                                                                                                                  \
        for (int64_t f = 0; f < d; f += LANES) {                                                                       \
            if (w == NULL) {                                                                                           \
                add_columns##suffix(v, NULL, false, rows, d, shift, f, m);                                             \
            } else {                                                                                                   \
                add_columns##suffix(v, w, true, rows, d, shift, f, m);                                                 \
            }                                                                                                          \
        }                                                                                                              \
    }

DMK_FOR_TYPE(, double, take_f64)
DMK_FOR_TYPE(_f32, float, take_f32)
DMK_FOR_TYPE(_f16, uint16_t, take_f16)

#ifndef DMK_ROW_COUNTS
/* One step of one row: Philox4x32-10 as the paper has it. */
INLINE void philox(const dmk_counts *c, uint64_t row, uint32_t step, uint32_t word[4])
{
    uint32_t key0 = c->key[0], key1 = c->key[1];
    word[0] = (uint32_t)row;
    word[1] = (uint32_t)(row >> 32);
    word[2] = step;
    word[3] = c->fourth;
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)DMK_PHILOX_M0 * word[0], q = (uint64_t)DMK_PHILOX_M1 * word[2];
        word[0] = (uint32_t)(q >> 32) ^ word[1] ^ key0;
        word[1] = (uint32_t)q;
        word[2] = (uint32_t)(p >> 32) ^ word[3] ^ key1;
        word[3] = (uint32_t)p;
        key0 += DMK_PHILOX_W0;
        key1 += DMK_PHILOX_W1;
    }
}

static void row_counts(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out, int64_t ld)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t step = 0; step < 8 * groups; step++) {
            float *to = out + r * ld + step / 8 * DMK_COUNTS + step % 8 * 2;
            uint32_t word[4];
            philox(c, (uint64_t)row[r], c->step + (uint32_t)step, word);
            for (int w = 0; w < 4; w++) {
                const uint32_t low = word[w] & 0xffff, high = word[w] >> 16;
                int reached[2] = {0, 0};
                for (int k = 0; k < 8; k++) {
                    reached[0] += low >= c->limit[k];
                    reached[1] += high >= c->limit[k];
                }
                to[w / 2 * 32 + w % 2] = (float)reached[0];
                to[w / 2 * 32 + w % 2 + 16] = (float)reached[1];
            }
        }
    }
}
#endif

static void add_pieces(const float *restrict part, int64_t ld, int64_t n, int32_t pieces, int32_t bits,
                       int64_t *restrict sum)
{
    for (int32_t l = 0; l < pieces; l++) {
        const int32_t by = bits * l;
        const float *from = part + l * ld;
        for (int64_t i = 0; i < n; i++) sum[i] += (int64_t)((uint64_t)(int64_t)(int32_t)from[i] << by);
    }
}

#ifdef DMK_ROW_COUNTS
void DMK_ROW_COUNTS(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out, int64_t ld);
#endif
#ifdef DMK_MOVE
void DMK_MOVE(const float *x, const float *w, const int32_t *from, const int32_t *to, int64_t rows, int64_t d,
              const dmk_sums *s);
#endif
#ifdef DMK_NEAREST_TWO
int64_t DMK_NEAREST_TWO(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                        int32_t *label, int32_t *runner, uint16_t *open);
#endif
#ifdef DMK_NEAREST
int64_t DMK_NEAREST(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch, int32_t *label,
                    uint16_t *open, float *best, float *second);
#endif

extern const dmk_table DMK_JOIN(dmk_table_, DMK_VARIANT);
const dmk_table DMK_JOIN(dmk_table_, DMK_VARIANT) = {
    .name = DMK_TEXT(DMK_VARIANT),
#ifdef DMK_NEAREST
    .nearest = DMK_NEAREST,
#endif
#ifdef DMK_NEAREST_TWO
    .nearest_two = DMK_NEAREST_TWO,
#endif
    .squared_distance = squared_distance,
    .squared_distances = squared_distances,
    .distances_to = distances_to,
    .row_norms = row_norms,
    .smallest_two = smallest_two,
    .uncertain = uncertain,
    .gap = gap,
    .expired = expired,
#ifdef DMK_MOVE
    .move = DMK_MOVE,
#else
    .move = move,
#endif
    .add_counts = add_counts,
    .add_deviations = add_deviations,
    .scale_rows = scale_rows,
    .scale_rows_f32 = scale_rows_f32,
    .add_moments = add_moments,
    .add_moments_f32 = add_moments_f32,
    .widen_f16 = widen_f16,
    .scale_rows_f16 = scale_rows_f16,
    .add_moments_f16 = add_moments_f16,
#ifdef DMK_ROW_COUNTS
    .row_counts = DMK_ROW_COUNTS,
#else
    .row_counts = row_counts,
#endif
    .add_pieces = add_pieces,
};
