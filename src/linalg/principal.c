#include "linalg/principal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Fortran's; OpenBLAS brings it, its headers only cblas. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info);

void dm_add_products(int64_t rows, int32_t n, const double *y, double *c)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, n, (blasint)rows, 1.0, y, n, 1.0, c, n);
}

static void fix_sign(int32_t n, double *v)
{
    int32_t at = 0;
    for (int32_t i = 1; i < n; i++) {
        if (fabs(v[i]) > fabs(v[at])) at = i;
    }
    if (v[at] >= 0.0) return;
    for (int32_t i = 0; i < n; i++) v[i] = -v[i];
}

static void swap(double *a, double *b)
{
    const double t = *a;
    *a = *b;
    *b = t;
}

demarc_status dm_symmetric_eigen(int32_t n, double *a, double *value)
{
    demarc_status st = DEMARC_OK;
    double *work = NULL;
    int *iwork = NULL;
    const int size = n;
    int info = 0;
    if (n > 32700) return dm_fail(DEMARC_ERR_IMPOSSIBLE, "%d features: eigenvectors: use at most 32700", (int)n);
    /* What dsyevd asks for at most with jobz = 'V'. */
    const int lwork = 1 + 6 * size + 2 * size * size, liwork = 3 + 5 * size;
    DM_TRY(dm_alloc(work, lwork, "eigenvectors"));
    DM_TRY(dm_alloc(iwork, liwork, "eigenvectors"));
    /* Fortran's upper triangle is the lower one of rows; its columns are our rows. */
    dsyevd_("V", "U", &size, a, &size, value, work, &lwork, iwork, &liwork, &info);
    if (info != 0) DM_TRY(dm_fail(DEMARC_ERR_SYSTEM, "no eigenvectors: dsyevd of %d features: info %d", size, info));
    for (int32_t i = 0; i < n / 2; i++) { /* ascending to descending */
        swap(&value[i], &value[n - 1 - i]);
        for (int32_t f = 0; f < n; f++) swap(&a[(int64_t)i * n + f], &a[(int64_t)(n - 1 - i) * n + f]);
    }
    for (int32_t i = 0; i < n; i++) fix_sign(n, a + (int64_t)i * n);
cleanup:
    dm_free(work);
    dm_free(iwork);
    return st;
}
