/*
 * Principal components: sums of products of rows, and the eigenvectors of their covariance matrix. Local.
 *
 * Products come from dsyrk, eigenvectors from LAPACK's dsyevd (J. Cuppen 1981, divide and conquer), both of OpenBLAS on one
 * thread: the same input gives the same bits on one machine. Their last bits may differ between CPUs: the report's map is
 * only looked at, and the gap statistic rounds them away. An eigenvector is determined up to its sign: the entry of
 * largest magnitude, the lowest one among equals, is made positive.
 */
#ifndef DM_LINALG_PRINCIPAL_H
#define DM_LINALG_PRINCIPAL_H

#include <stdint.h>

#include "base/status.h"

/** c += y^T y, lower triangle. @param[in] y  [rows, n] @param[in,out] c  [n, n], row-major */
void dm_add_products(int64_t rows, int32_t n, const double *y, double *c);

/**
 * All eigenvalues, largest first, and their vectors.
 * @param[in,out] a   [n, n] symmetric, lower triangle read; destroyed: row i becomes the vector of value[i], of length 1
 * @param[out] value  [n]
 * @retval DEMARC_ERR_MEMORY
 * @retval DEMARC_ERR_SYSTEM  LAPACK did not converge
 */
demarc_status dm_symmetric_eigen(int32_t n, double *a, double *value);

#endif
