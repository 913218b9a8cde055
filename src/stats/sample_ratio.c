#include "stats/sample_ratio.h"

#include <math.h>
#include <stdbool.h>

#include "stats/distributions.h"

static double term(double observed, double expected)
{
    return (observed - expected) * (observed - expected) / expected;
}

dm_chi_squared dm_sample_ratio_test(int32_t arms, const int64_t *observed, const double *expected)
{
    dm_chi_squared t = {.freedom = -1, .p = 1.0};
    double n = 0.0, total = 0.0;
    bool stray = false;
    for (int32_t a = 0; a < arms; a++) {
        n += (double)observed[a];
        total += expected[a];
    }
    for (int32_t a = 0; a < arms; a++) {
        if (expected[a] > 0.0) {
            t.value += term((double)observed[a], expected[a] * (n / total));
            t.freedom++;
        } else if (observed[a] > 0) {
            stray = true;
        }
    }
    if (stray) {
        t.value = (double)INFINITY;
        t.p = 0.0;
    } else if (t.freedom < 1 || n == 0.0) {
        t.value = 0.0;
    } else {
        t.p = dm_chi_squared_sf(t.value, t.freedom);
    }
    if (t.freedom < 0) t.freedom = 0;
    return t;
}

dm_chi_squared dm_two_by_two_test(const int64_t count[2][2])
{
    dm_chi_squared t = {.freedom = 1, .p = 1.0};
    const double row[2] = {(double)(count[0][0] + count[0][1]), (double)(count[1][0] + count[1][1])};
    const double column[2] = {(double)(count[0][0] + count[1][0]), (double)(count[0][1] + count[1][1])};
    if (row[0] == 0.0 || row[1] == 0.0 || column[0] == 0.0 || column[1] == 0.0) return t;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) t.value += term((double)count[i][j], row[i] * column[j] / (row[0] + row[1]));
    }
    t.p = dm_chi_squared_sf(t.value, 1.0);
    return t;
}
