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
 * Fused search for the two nearest centroids of each row, in single precision.
 *
 * Per row r: best and second smallest of h[j] - x[r] . c[j] over j in [0, k), the first j that has the smallest, and
 * ||x[r]||. The dot product is summed with fused multiply-adds in feature order; its error is within the bound of
 * src/linalg/distance.h.
 *
 * @param packed   centroids [ceil(k / DMK_PACK)][d][DMK_PACK], padded with zeros
 * @param h        [ceil(k / DMK_PACK) * DMK_PACK], padded with infinity
 * @param d        at most DMK_NEAREST_FEATURES
 * @param scratch  [DMK_NEAREST_SCRATCH] floats
 */
#define DMK_PACK 8
#define DMK_NEAREST_FEATURES 512
#define DMK_NEAREST_SCRATCH (32 * DMK_NEAREST_FEATURES)
typedef struct dmk_nearest_kernel {
    void (*rows)(const float *x, int64_t rows, int64_t d, const float *packed, const float *h, int32_t k,
                 float *scratch, float *best, float *second, int32_t *label, float *norm);
} dmk_nearest_kernel;

typedef struct dmk_table {
    const char *name;

    /** Fused search, NULL where this variant has none (then BLAS tiles serve). */
    const dmk_nearest_kernel *nearest;

    /**
     * Squared Euclidean distance of one row to one centroid, in double.
     * Feature f goes to partial sum f mod 8, each in index order; the eight are added in a fixed tree. This is the
     * reference that labels, distances and the objective are defined by.
     */
    double (*squared_distance)(const float *x, const double *c, int64_t d);

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
     * Segment sums on a grid: sum[label[r] * d + f] += rint(x[r, f] * scale[f]) and count[label[r]] += 1, or with
     * weights (w != NULL) rint(w[r] * x[r, f] * scale[f]) and count += rint(w[r] * weight_scale).
     * scale[f] and weight_scale are powers of two that bound the terms by 2^40 (base/fixed_sum.h), so with at most
     * 4096 rows between flushes every sum is an exact integer.
     */
    void (*accumulate)(const float *x, const float *w, const int32_t *label, int64_t rows, int64_t d,
                       const double *scale, double weight_scale, double *sum, double *count);

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
} dmk_table;

/** Number of variants built into this library and the i-th of them, best first. */
int dmk_variant_count(void);
const dmk_table *dmk_variant(int i);
/** True if this CPU can run variant i. */
bool dmk_variant_supported(int i);
/** Index of the variant called `name`, -1 if unknown; "auto" or NULL gives the best one supported. */
int dmk_variant_find(const char *name);

#endif
