/*
 * Small symmetric positive definite systems, solved to the last bit. Local.
 *
 * LAPACK's Cholesky (dposv) is only the first step: its bits depend on the CPU that OpenBLAS sees. Residuals of the solution,
 * kept as a pair of doubles, are then taken exactly and solved for again (iterative refinement: J. Wilkinson 1963; N. Higham,
 * "Accuracy and Stability of Numerical Algorithms", 2nd ed. 2002, chapter 12), which converges to the exact solution however
 * the factor was rounded. What is returned is that, rounded: the same on every machine.
 */
#ifndef DM_LINALG_SMALL_SOLVE_H
#define DM_LINALG_SMALL_SOLVE_H

#include <stdint.h>

#include "base/status.h"

/**
 * Solve A x = b.
 * @param[in] a  [n, n] symmetric positive definite
 * @param[in] b  [n]; `x` must not be `b`
 * @retval DEMARC_ERR_IMPOSSIBLE  A is not positive definite to working precision
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_solve_spd(int32_t n, const double *a, const double *b, double *x);

#endif
