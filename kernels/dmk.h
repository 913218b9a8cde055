/*
 * Compute kernels: pure functions on the caller's buffers. No allocation, I/O, MPI or OpenMP.
 *
 * A table holds one variant of every kernel. All variants give the same bits: kernels/generic is written so that each
 * result is one fixed sequence of IEEE operations (no contraction, no reassociation), and a variant is that text
 * compiled for a wider instruction set. `ref` is built for the base instruction set and is the oracle of the tests.
 *
 * Unless said otherwise: x is float32 [rows, d] row-major, rows and d may be 0, buffers do not overlap, no alignment
 * is needed, and inputs are finite.
 */
#ifndef DMK_H
#define DMK_H

#include <stdbool.h>
#include <stdint.h>

/** Running moments of the columns of a table, over the finite values; arrays [d], caller's. */
typedef struct dmk_moments {
    double *weight; /* sum of w over finite values */
    double *first;  /* sum of w (v - shift) */
    double *second; /* sum of w (v - shift)^2 */
    double *low, *high;
    double *bad; /* count of NaN and infinite values */
} dmk_moments;

/**
 * Centroids as the fused search wants them, and what makes a label certain.
 *
 * score(j) = h[j] - x . c[j], in single precision, summed in any order; the bound on its error is the caller's (src/linalg/
 * distance.h): two scores of a row further apart than linear ||x|| + constant + square (||x|| + reach)^2 are in the
 * right order.
 */
typedef struct dmk_targets {
    int32_t k;           /* >= 1 */
    int64_t d;           /* >= 0 */
    const float *packed; /* k <= 8: [ceil(d / 2)][8][2]: centroid, then which of two features; else panels [p][d][16] */
    const float *h;      /* [dmk_packed_centroids(k)], padded with +infinity; packed is padded with zeros */
    float linear, constant, square, reach;
    float norm_limit; /* rows whose norm is not below it are never certain */
} dmk_targets;

/** Centroids after padding: 8, 16, or an even number of panels of 16. */
static inline int64_t dmk_packed_centroids(int64_t k) { return k <= 8 ? 8 : k <= 16 ? 16 : (k + 31) / 32 * 32; }
/** Floats of dmk_targets.packed. */
static inline int64_t dmk_packed_floats(int64_t k, int64_t d)
{
    return dmk_packed_centroids(k) * (k <= 8 ? (d + 1) / 2 * 2 : d);
}

/** Largest problem of the fused search, and the scratch it takes (floats). */
#define DMK_TILE_POINTS 64 /* of distances_to */
#define DMK_NEAREST_CENTROIDS 2048
#define DMK_NEAREST_FEATURES 2048
#define DMK_NEAREST_SCRATCH(k, d) (32 * ((d) > dmk_packed_centroids(k) ? (d) : dmk_packed_centroids(k)))

/**
 * Fused search for the nearest centroid of each row: no [k, rows] intermediate in memory.
 *
 * @param rows     any number; open has (rows + 15) / 16 entries
 * @param ahead    floats per row to ask for from memory while at work, starting at the row after the last: the memory
 *                 there need not exist. 0 = none
 * @param scratch  [DMK_NEAREST_SCRATCH(k, d)]
 * @param label    [rows] the centroid of the smallest score where that is certain, else any in [0, k)
 * @param open     bit r % 16 of open[r / 16] is set where the label of row r is not certain; other bits are 0
 * @param best, second  [rows] the smallest two scores, or both NULL (faster)
 * @return number of rows that are not certain
 */
typedef int64_t (*dmk_nearest_fn)(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                                  int32_t *label, uint16_t *open, float *best, float *second);

/**
 * As dmk_nearest_fn, and runner[r] = the centroid of the second smallest score: a row is open unless both are certain.
 * k >= 2.
 */
typedef int64_t (*dmk_nearest_two_fn)(const dmk_targets *t, const float *x, int64_t rows, int64_t ahead, float *scratch,
                                      int32_t *label, int32_t *runner, uint16_t *open);

/** Integer sums of the rows of each segment; arrays are the caller's. */
typedef struct dmk_sums {
    int64_t *sum;        /* [k, d] of w x on the grid */
    int64_t *weight;     /* [k] of w on the grid */
    int64_t *count;      /* [k] rows of positive weight */
    const double *scale; /* [d] powers of two */
    const float *single; /* [d] the same, or NULL where single precision cannot hold one of them */
    double weight_scale; /* a power of two; 1 without weights */
} dmk_sums;

/**
 * Random numbers of rows, as counts: eight 16-bit integers a counter of Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011),
 * each turned into the number of limits that it reaches.
 *
 * The counter of a row at a step is (row, low word first; step; fourth). 64 counts come from 8 steps: number i of them from
 * word 2 ((i / 32) % 2) + i % 2 of step (i % 16) / 2, its low half if (i / 16) % 2 is 0, else its high half. That order is
 * what lanes of 64 bits, which the multiplications need, leave behind without any shuffle.
 */
typedef struct dmk_counts {
    uint32_t key[2], fourth, step; /* step of the first 64 counts; the next 64 are 8 steps on */
    uint16_t limit[8];             /* ascending, the first >= 1 */
} dmk_counts;

#define DMK_COUNTS 64

typedef struct dmk_table {
    const char *name;

    /** Fused search, NULL where this variant has none (then BLAS tiles serve). */
    dmk_nearest_fn nearest;
    dmk_nearest_two_fn nearest_two; /* NULL where this variant has none */

    /**
     * Squared Euclidean distance of one row to one centroid, in double.
     * Feature f goes to partial sum f mod 8, each in index order; the eight are added in a fixed tree. This is the
     * reference that labels, distances and the objective are defined by.
     */
    double (*squared_distance)(const float *x, const double *c, int64_t d);
    /** out[j] = squared_distance(x, c + j d, d) for j in [0, k), the same bits, several centroids at a time. c is [k, d]. */
    void (*squared_distances)(const float *x, const double *c, int64_t k, int64_t d, double *out);

    /**
     * out[j * ld + i] = squared distance of point i to center j in single precision, features summed in index order: for
     * searches that may be off by rounding but must be off by the same bits everywhere. Points lie in tiles of
     * DMK_TILE_POINTS, each [d, DMK_TILE_POINTS] with one point a column, the last filled up with anything finite.
     * @param[in]  c   [p, d]
     * @param[out] out [p, ld], ld >= count rounded up to whole tiles, all of which are written
     */
    void (*distances_to)(const float *tiles, int64_t count, int64_t d, const float *c, int64_t p, float *out,
                         int64_t ld);

    /** Euclidean norm of each row in single precision: an estimate good to a relative (d + 2) 2^-24. */
    void (*row_norms)(const float *x, int64_t rows, int64_t d, float *norm);

    /**
     * Per row r the smallest and second smallest of h[j] - g[j * ldg + r] over j in [0, k), and the first j that has
     * the smallest. k >= 1; second = +infinity when k == 1.
     */
    void (*smallest_two)(const float *g, int64_t ldg, const float *h, int32_t k, int64_t rows, float *best,
                         float *second, int32_t *label);

    /**
     * flag[r] = 1 where the smallest of row r is not certain: unless norm[r] < norm_limit and
     * second[r] - best[r] > linear norm[r] + constant + square (norm[r] + reach)^2. Returns the number of flags set.
     */
    int64_t (*uncertain)(const float *best, const float *second, const float *norm, int64_t rows, float linear,
                         float constant, float square, float reach, float norm_limit, uint8_t *flag);

    /**
     * gap[r] <= (distance to the second nearest) - (distance to the nearest), from the two smallest scores of a row (error
     * at most half the bound of dmk_targets each) and its norm as row_norms gives it: with q = ||x||^2 + 2 score and e
     * four times the bound, sqrt(q2 - e) - sqrt(q1 + e), less its own rounding; 0 where the scores are not that far apart.
     */
    void (*gap)(const float *best, const float *second, const float *norm, int64_t rows, const dmk_targets *t,
                float *gap);

    /**
     * Lists the rows whose bound does not hold any more, those with !(until[r] > limit[label[r]]) (label -1 counts as 0),
     * in order; returns how many. index: [rows].
     */
    int64_t (*expired)(const float *until, const int32_t *label, const float *limit, int64_t rows, int32_t *index);

    /**
     * Rows change segment: for every row with from[r] != to[r], rint(w[r] * x[r, f] * scale[f]) is added to the sums of
     * segment to[r] and taken off those of from[r] (either may be -1: none), likewise rint(w[r] * weight_scale) and the
     * count. w == NULL means 1. The scales bound every term by 2^40 (base/fixed_sum.h), so the integers are exact for
     * 2^22 rows after they were 0.
     */
    void (*move)(const float *x, const float *w, const int32_t *from, const int32_t *to, int64_t rows, int64_t d,
                 const dmk_sums *s);

    /**
     * Sums of rows on a grid, each counted count[r] times: sum[label[r] * ld + f] += count[r] grid[r * ld + f] for f < ld,
     * weight[label[r]] += count[r] (times unit[r], unless unit is NULL). ld is a multiple of 16; no sum leaves int32.
     */
    void (*add_counts)(const int32_t *grid, const int32_t *unit, const uint8_t *count, const int32_t *label,
                       int64_t rows, int64_t ld, int32_t *sum, int32_t *weight);

    /**
     * Sums of deviations and of their squares, rows in order: with u = x[r, f] - center[label[r] * d + f],
     * first[label[r] * d + f] += w[r] u and second[label[r] * d + f] += (w[r] u) u. w == NULL means 1.
     */
    void (*add_deviations)(const float *x, const float *w, const int32_t *label, int64_t rows, int64_t d,
                           const double *center, double *first, double *second);

    /** out = (float)((v - origin[f]) * factor[f]); NaN becomes 0 (the origin). */
    void (*scale_rows)(const double *v, int64_t rows, int64_t d, const double *origin, const double *factor,
                       float *out);
    /** The same for float32 values, taken as doubles. out may be v. */
    void (*scale_rows_f32)(const float *v, int64_t rows, int64_t d, const double *origin, const double *factor,
                           float *out);

    /** Add the rows, in order, to the moments. w == NULL means 1. Not finite values are counted in bad and skipped. */
    void (*add_moments)(const double *v, const float *w, int64_t rows, int64_t d, const double *shift, dmk_moments *m);
    /** The same for float32 values, taken as doubles. */
    void (*add_moments_f32)(const float *v, const float *w, int64_t rows, int64_t d, const double *shift,
                            dmk_moments *m);

    /** IEEE half precision (its 16 bits in this machine's byte order) to double, exact; a NaN stays one. out [n]. */
    void (*widen_f16)(const uint16_t *v, int64_t n, double *out);
    /** scale_rows and add_moments of halves, taken as doubles. */
    void (*scale_rows_f16)(const uint16_t *v, int64_t rows, int64_t d, const double *origin, const double *factor,
                           float *out);
    void (*add_moments_f16)(const uint16_t *v, const float *w, int64_t rows, int64_t d, const double *shift,
                            dmk_moments *m);

    /** out[r * ld + i] = count i of row[r], for `groups` times DMK_COUNTS counts of `rows` rows. */
    void (*row_counts)(const dmk_counts *c, const int64_t *row, int64_t rows, int64_t groups, float *out, int64_t ld);
    /**
     * Integers in pieces: sum[i] += sum over l < pieces of part[l * ld + i] 2^(bits l). The parts are integers below 2^31;
     * bits * (pieces - 1) < 33.
     */
    void (*add_pieces)(const float *part, int64_t ld, int64_t n, int32_t pieces, int32_t bits, int64_t *sum);
} dmk_table;

/** Number of variants built into this library and the i-th of them, best first. */
int dmk_variant_count(void);
const dmk_table *dmk_variant(int i);
/** True if this CPU can run variant i. */
bool dmk_variant_supported(int i);
/** Index of the variant called `name`, -1 if unknown; "auto" or NULL gives the best one supported. */
int dmk_variant_find(const char *name);

#endif
