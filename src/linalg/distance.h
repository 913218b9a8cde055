/*
 * Nearest centroids of tiles of rows: OpenBLAS does the work, double precision has the last word.
 *
 * Quantity: q_j = ||x - c_j||^2 - b_j, evaluated in double by dmk_table.squared_distance; the label is the lowest j with
 * the smallest q_j (a power diagram, Aurenhammer 1987). That definition does not mention the layout, the BLAS or the
 * kernel, and the functions here return exactly it:
 *
 *   s_j = (||c_j||^2 - b_j) / 2 - x . c_j   (so q_j = ||x||^2 + 2 s_j)
 *
 * is computed in single precision by the fused kernel of this CPU (kernels/) where it has one and the centroids fit its
 * second-level cache, else by sgemm on tiles. Whatever the order of summation, with or without fused operations,
 *
 *   |computed s_j - s_j| <= e_j = 1.02 u (d + 3) (||x|| ||c_j|| + |h_j|) + slack,   u = 2^-24, h_j = (||c_j||^2 - b_j) / 2
 *
 * (Higham 2002, section 3.1: gamma_{d+1} for the sum of d products and h_j; 1 u each for rounding c_j and h_j), with slack
 * for underflow and for the rounding of the double-precision reference itself. A row whose two smallest s_j are further
 * apart than twice the largest bound is certain; any other row is settled by evaluating in double every j that the
 * bounds do not exclude. Rows too large for the bound to hold are evaluated in double throughout.
 *
 * Everything here is local and thread-safe with one dm_tile per thread. Called inside a parallel region each thread
 * runs its own single-threaded sgemm.
 */
#ifndef DM_LINALG_DISTANCE_H
#define DM_LINALG_DISTANCE_H

#include "base/status.h"
#include "dmk.h"

/** Centroids frozen for one pass; shared read-only by threads. */
typedef struct dm_centers {
    int32_t k, capacity;
    int32_t d;
    double *c;     /* [k, d] */
    double *b;     /* [k] offsets */
    float *single; /* [k, d] rounded */
    float *h;      /* [k] */
    float *norm;   /* [k] upper bounds of ||c_j|| */
    float *packed; /* single and h once more, as the fused search wants them */
    float *packed_h;
    dmk_targets targets; /* for the fused search, and the bound for both ways */
    double norm_max, h_max, b_max;
} dm_centers;

demarc_status dm_centers_create(dm_centers *c, int32_t capacity, int32_t d);
/** Copy k <= capacity centroids [k, d] and offsets [k] (NULL = 0). */
void dm_centers_set(dm_centers *c, int32_t k, const double *centroids, const double *offsets);
void dm_centers_destroy(dm_centers *c);

/** Scratch of one thread for up to `rows` rows against up to `k` centroids. */
typedef struct dm_tile {
    int64_t rows;
    float *g; /* [k, rows] */
    float *best, *second, *norm;
    uint8_t *flag;   /* rows that are not certain: of sgemm */
    uint16_t *open;  /* the same as bits: of the fused search */
    float *scratch;  /* of the fused search */
    int64_t ahead;   /* floats per row that the search asks memory for while at work; the caller may lower it */
    int64_t settled; /* rows that needed double precision, for the log */
} dm_tile;

demarc_status dm_tile_create(dm_tile *t, int32_t k);
void dm_tile_destroy(dm_tile *t);

/** Rows worth searching at a time, a multiple of 16, so that they are still in the first cache when they are used again. */
int64_t dm_tile_rows(int32_t k, int32_t d);

/** label[rows] = nearest centroid. Any number of rows. */
void dm_nearest(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows, int32_t *label);

/**
 * As dm_nearest, and gap[r] <= (distance to the nearest other centroid) - (distance to the own one), with room to spare
 * for the rounding of the double-precision definition (kmeans/row_state.h); 0 where nothing is known. Offsets must be 0.
 */
void dm_nearest_gap(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                    int32_t *label, float *gap);

/** As dm_nearest, and squared[r] = squared distance (double) to centroid label[r]. */
void dm_nearest_distance(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                         int32_t *label, double *squared);

/**
 * The two smallest: label and runner (lowest j among equals; runner -1 when k == 1), squared distance to the own
 * centroid, q of the own and of the runner-up (infinity when k == 1).
 */
void dm_nearest_two(const dmk_table *kernel, const dm_centers *c, dm_tile *t, const float *x, int64_t rows,
                    int32_t *label, int32_t *runner, double *squared, double *q_own, double *q_runner);

/** The same by brute force in double, without BLAS: for verification. */
void dm_nearest_two_exhaustive(const dmk_table *kernel, const dm_centers *c, const float *x, int64_t rows,
                               int32_t *label, int32_t *runner, double *squared, double *q_own, double *q_runner);

/** BLAS: single-threaded calls from our threads; its version and core type ("SkylakeX"). */
void dm_blas_init(void);
const char *dm_blas_version(void);
const char *dm_blas_core(void);
/** Core type that suits this CPU better than the one OpenBLAS chose, or NULL. */
const char *dm_blas_core_advice(void);

#endif
