/* Linear systems whose solution is known exactly, one that no double precision factorisation alone gets right to the last bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "linalg/small_solve.h"

/* Hilbert's matrix times 27720 is whole for n = 6 (1 / 12 ... 1 / 1): condition 1.5e7. The solution is whole by choice. */
static void hilbert(void **state)
{
    (void)state;
    enum { N = 6 };
    double a[N * N], b[N] = {0}, x[N];
    const double wanted[N] = {3.0, -1.0, 4.0, 1.0, -5.0, 9.0};
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i * N + j] = 27720.0 / (i + j + 1);
            b[i] += a[i * N + j] * wanted[j];
        }
    }
    assert_int_equal(dm_solve_spd(N, a, b, x), DEMARC_OK);
    for (int i = 0; i < N; i++) assert_true(x[i] == wanted[i]);
}

/* A chain that ends in a fixed point: x_i = (i + 1) (n - i) / 2 for a right side of ones. */
static void chain(void **state)
{
    (void)state;
    enum { N = 120 };
    static double a[N * N], b[N], x[N];
    for (int i = 0; i < N; i++) {
        a[i * N + i] = 2.0;
        if (i > 0) a[i * N + i - 1] = a[(i - 1) * N + i] = -1.0;
        b[i] = 1.0;
    }
    assert_int_equal(dm_solve_spd(N, a, b, x), DEMARC_OK);
    for (int i = 0; i < N; i++) assert_true(x[i] == 0.5 * (i + 1) * (N - i));
}

/* Thirds and sevenths: the nearest double of the exact solution. */
static void rounded_once(void **state)
{
    (void)state;
    const double a[4] = {3.0, 0.0, 0.0, 7.0}, b[2] = {1.0, 1.0}, one[1] = {49.0}, unit[1] = {1.0};
    double x[2];
    assert_int_equal(dm_solve_spd(2, a, b, x), DEMARC_OK);
    assert_true(x[0] == 1.0 / 3.0 && x[1] == 1.0 / 7.0);
    assert_int_equal(dm_solve_spd(1, one, unit, x), DEMARC_OK);
    assert_true(x[0] == 1.0 / 49.0);
    assert_int_equal(dm_solve_spd(0, NULL, NULL, NULL), DEMARC_OK);
}

static void not_definite(void **state)
{
    (void)state;
    const double a[4] = {1.0, 2.0, 2.0, 1.0}, b[2] = {1.0, 1.0};
    double x[2];
    assert_int_equal(dm_solve_spd(2, a, b, x), DEMARC_ERR_IMPOSSIBLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hilbert),
        cmocka_unit_test(chain),
        cmocka_unit_test(rounded_once),
        cmocka_unit_test(not_definite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
