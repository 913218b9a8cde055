/* Eigenvectors of matrices whose own are known, their order and sign; sums of products against plain loops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linalg/principal.h"

/* A chain of springs: values 2 - 2 cos(i pi / (n + 1)), vectors of sines. */
static void chain(void **state)
{
    (void)state;
    enum { N = 40 };
    const double pi = acos(-1.0);
    static double a[N * N], value[N];
    memset(a, 0, sizeof a);
    for (int i = 0; i < N; i++) {
        a[i * N + i] = 2.0;
        if (i > 0) a[i * N + i - 1] = -1.0; /* the lower triangle is enough */
    }
    assert_int_equal(dm_symmetric_eigen(N, a, value), DEMARC_OK);
    for (int i = 0; i < N; i++) {
        const double angle = pi * (N - i) / (N + 1);
        double length = 0.0, most = 0.0;
        assert_true(fabs(value[i] - (2.0 - 2.0 * cos(angle))) < 1e-13);
        for (int f = 0; f < N; f++) {
            const double wanted = sqrt(2.0 / (N + 1)) * fabs(sin(angle * (f + 1)));
            assert_true(fabs(fabs(a[i * N + f]) - wanted) < 1e-12);
            length += a[i * N + f] * a[i * N + f];
            if (fabs(a[i * N + f]) > fabs(most)) most = a[i * N + f];
        }
        assert_true(fabs(length - 1.0) < 1e-13);
        assert_true(most > 0.0);
    }
}

static void diagonal(void **state)
{
    (void)state;
    double a[9] = {1.0, 9.0, 9.0, 0.0, 5.0, 9.0, 0.0, 0.0, 3.0}, value[3];
    const double vector[9] = {0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0};
    assert_int_equal(dm_symmetric_eigen(3, a, value), DEMARC_OK);
    assert_true(value[0] == 5.0 && value[1] == 3.0 && value[2] == 1.0);
    for (int i = 0; i < 9; i++) assert_true(a[i] == vector[i]);
    double one[1] = {4.0};
    assert_int_equal(dm_symmetric_eigen(1, one, value), DEMARC_OK);
    assert_true(value[0] == 4.0 && one[0] == 1.0);
}

/* Whole numbers, so that every order of summation is exact. */
static void products(void **state)
{
    (void)state;
    enum { ROWS = 37, N = 5 };
    double y[ROWS * N], c[N * N];
    for (int i = 0; i < ROWS * N; i++) y[i] = (double)((i * 7919) % 23) - 11.0;
    for (int i = 0; i < N * N; i++) c[i] = 100.0;
    dm_add_products(ROWS, N, y, c);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double s = 100.0;
            for (int r = 0; r < ROWS && j <= i; r++) s += y[r * N + i] * y[r * N + j];
            assert_true(c[i * N + j] == s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chain), cmocka_unit_test(diagonal), cmocka_unit_test(products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
