#include "stats/percentile.h"

#include <math.h>
#include <stdlib.h>

/* 0 where too few are defined. */
static int64_t defined(const double *v, int64_t count)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) n += !isnan(v[i]);
    return 20 * (count - n) > count ? 0 : n;
}

/* NaN last. */
static int by_value(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    if (isnan(p) || isnan(q)) return isnan(p) - isnan(q);
    return p < q ? -1 : p > q;
}

static double quantile(const double *sorted, int64_t n, double p)
{
    const double at = p * (double)(n - 1);
    const int64_t i = (int64_t)floor(at);
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (sorted[i + 1] - sorted[i]) * (at - (double)i);
}

void dm_percentile_interval(double *v, int64_t count, double alpha, double *low, double *high)
{
    const int64_t n = defined(v, count);
    *low = *high = (double)NAN;
    if (n == 0) return;
    qsort(v, (size_t)count, sizeof *v, by_value);
    *low = quantile(v, n, alpha / 2.0);
    *high = quantile(v, n, 1.0 - alpha / 2.0);
}

double dm_replicate_sd(const double *v, int64_t count)
{
    const int64_t n = defined(v, count);
    if (n < 2) return (double)NAN;
    int64_t first = 0;
    while (isnan(v[first])) first++;
    double sum = 0.0, squares = 0.0;
    for (int64_t i = first; i < count; i++) {
        if (!isnan(v[i])) sum += v[i] - v[first];
    }
    const double mean = sum / (double)n;
    for (int64_t i = first; i < count; i++) {
        if (isnan(v[i])) continue;
        const double t = v[i] - v[first] - mean;
        squares += t * t;
    }
    return sqrt(squares / (double)(n - 1));
}
