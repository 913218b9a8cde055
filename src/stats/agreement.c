#include "stats/agreement.h"

#include <math.h>

#include "base/fixed_sum.h"

static int64_t sum_of(const int64_t *count, int32_t length, int64_t step)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < length; i++) sum += count[i * step];
    return sum;
}

static int64_t row_sum(const int64_t *count, int32_t i, int32_t b) { return sum_of(count + (int64_t)i * b, b, 1); }
static int64_t column_sum(const int64_t *count, int32_t a, int32_t j, int32_t b) { return sum_of(count + j, a, b); }

/* Of two customers each. 128 bits: more customers than 2^32 have more pairs than 2^63. */
static dm_int128 pairs(int64_t n) { return (dm_int128)n * (n - 1) / 2; }

double dm_adjusted_rand(const int64_t *count, int32_t a, int32_t b)
{
    dm_int128 both = 0, one = 0, other = 0;
    int64_t n = 0;
    for (int32_t i = 0; i < a; i++) {
        const int64_t size = row_sum(count, i, b);
        one += pairs(size);
        n += size;
        for (int32_t j = 0; j < b; j++) both += pairs(count[(int64_t)i * b + j]);
    }
    for (int32_t j = 0; j < b; j++) other += pairs(column_sum(count, a, j, b));
    if (n == 0) return (double)NAN;
    /* The same in pairs together in both, in one alone, in neither; then nothing but the numerator cancels. */
    const double tp = (double)both, fn = (double)(one - both), fp = (double)(other - both),
                 tn = (double)(pairs(n) - one - other + both);
    if (fn == 0.0 && fp == 0.0) return 1.0;
    return 2.0 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn));
}

double dm_variation_of_information(const int64_t *count, int32_t a, int32_t b)
{
    double sum = 0.0;
    int64_t n = 0;
    for (int32_t i = 0; i < a; i++) {
        const int64_t row = row_sum(count, i, b);
        n += row;
        for (int32_t j = 0; j < b; j++) {
            const double both = (double)count[(int64_t)i * b + j];
            if (both == 0.0) continue;
            sum += both * (log((double)row / both) + log((double)column_sum(count, a, j, b) / both));
        }
    }
    return n == 0 ? (double)NAN : sum / (double)n;
}

void dm_jaccard(const int64_t *count, int32_t a, int32_t b, double *jaccard)
{
    for (int32_t i = 0; i < a; i++) {
        const double row = (double)row_sum(count, i, b); /* counts are below 2^53 */
        for (int32_t j = 0; j < b; j++) jaccard[(int64_t)i * b + j] = row;
    }
    for (int32_t j = 0; j < b; j++) {
        const double column = (double)column_sum(count, a, j, b);
        for (int32_t i = 0; i < a; i++) {
            double *v = &jaccard[(int64_t)i * b + j];
            const double both = (double)count[(int64_t)i * b + j], either = *v + column - both;
            *v = either == 0.0 ? 0.0 : both / either;
        }
    }
}
