#include "linalg/small_solve.h"

#include <math.h>
#include <string.h>

#include "base/exact_sum.h"
#include "base/memory.h"

#define REFINEMENTS 4 /* each gains the digits that the factor is good for; two suffice unless A is nearly singular */

/* Fortran's; OpenBLAS brings them, its headers only cblas. */
void dposv_(const char *uplo, const int *n, const int *nrhs, double *a, const int *lda, double *b, const int *ldb,
            int *info);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda, double *b,
             const int *ldb, int *info);

/* s -= a x, exactly: the product and what rounding it lost. */
static void subtract_product(dm_exact_sum *s, double a, double x)
{
    const double product = a * x;
    dm_exact_sum_add(s, -product);
    dm_exact_sum_add(s, -fma(a, x, -product));
}

/* b - A (x + low), rounded once. */
static void residual(int32_t n, const double *a, const double *b, const double *x, const double *low, double *out)
{
    for (int32_t i = 0; i < n; i++) {
        dm_exact_sum s = {0};
        dm_exact_sum_add(&s, b[i]);
        for (int32_t j = 0; j < n; j++) {
            subtract_product(&s, a[(int64_t)i * n + j], x[j]);
            subtract_product(&s, a[(int64_t)i * n + j], low[j]);
        }
        out[i] = dm_exact_sum_value(&s);
    }
}

/* x + low += step, with x the nearest double to the sum. */
static void correct(int32_t n, double *x, double *low, const double *step)
{
    for (int32_t i = 0; i < n; i++) {
        dm_exact_sum s = {0};
        dm_exact_sum_add(&s, x[i]);
        dm_exact_sum_add(&s, low[i]);
        dm_exact_sum_add(&s, step[i]);
        x[i] = dm_exact_sum_value(&s);
        dm_exact_sum_add(&s, -x[i]);
        low[i] = dm_exact_sum_value(&s);
    }
}

demarc_status dm_solve_spd(int32_t n, const double *a, const double *b, double *x)
{
    demarc_status st = DEMARC_OK;
    double *factor = NULL, *low = NULL, *step = NULL;
    const int size = n, one = 1;
    int info = 0;
    if (n == 0) return DEMARC_OK;
    DM_TRY(dm_alloc(factor, (int64_t)n * n, "linear system"));
    DM_TRY(dm_alloc_zero(low, n, "linear system"));
    DM_TRY(dm_alloc(step, n, "linear system"));
    memcpy(factor, a, (size_t)n * (size_t)n * sizeof *a);
    memcpy(x, b, (size_t)n * sizeof *b);
    dposv_("L", &size, &one, factor, &size, x, &size, &info);
    for (int i = 0; i < REFINEMENTS && info == 0; i++) {
        residual(n, a, b, x, low, step);
        dpotrs_("L", &size, &one, factor, &size, step, &size, &info);
        correct(n, x, low, step);
    }
    if (info != 0) {
        st = dm_fail(DEMARC_ERR_IMPOSSIBLE,
                     "no unique solution: a linear system of %d unknowns: its matrix is not "
                     "positive definite",
                     (int)n);
    }
cleanup:
    dm_free(factor);
    dm_free(low);
    dm_free(step);
    return st;
}
