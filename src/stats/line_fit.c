#include "stats/line_fit.h"

#include <math.h>

#include "stats/distributions.h"

dm_line dm_line_of(int64_t n, double xbar, double gbar, double sxx, double sxg)
{
    const double none = (double)NAN;
    dm_line l = {.n = n, .center = xbar, .intercept = none, .slope = none, .vaa = none, .vab = none, .vbb = none};
    if (n < 3 || !(sxx > 0.0)) return l;
    l.slope = sxg / sxx;
    l.intercept = gbar - l.slope * xbar;
    return l;
}

void dm_line_spread(dm_line *l, double sxx, const double meat[3])
{
    /* About the mean of x the bread is diagonal: 1 / n and 1 / Sxx. Then back to the origin: a = mean height - slope xbar. */
    const double n = (double)l->n, scale = n / (n - 2.0);
    const double height = scale * meat[0] / (n * n), both = scale * meat[1] / (n * sxx);
    l->vbb = scale * meat[2] / (sxx * sxx);
    l->vab = both - l->center * l->vbb;
    l->vaa = height - 2.0 * l->center * both + l->center * l->center * l->vbb;
}

bool dm_line_crossing(const dm_line *l, double alpha, dm_crossing *out)
{
    const double z = dm_normal_quantile(1.0 - alpha / 2.0), z2 = z * z;
    const double a = l->intercept, b = l->slope;
    /* (a + b x)^2 - z^2 (...) = square x^2 + 2 linear x + constant, at most 0 between its roots when square > 0. */
    const double square = b * b - z2 * l->vbb, linear = a * b - z2 * l->vab, constant = a * a - z2 * l->vaa;
    if (!(square > 0.0)) return false;
    const double root = sqrt(fmax(0.0, linear * linear - square * constant));
    out->value = -a / b;
    out->low = fmin(out->value, (-linear - root) / square);
    out->high = fmax(out->value, (-linear + root) / square);
    return true;
}
