#include "stats/confidence_sequence.h"

#include <math.h>

dm_anytime dm_confidence_sequence(double effect, double variance, int64_t n, int64_t n_star, double alpha)
{
    const double level = -2.0 * log(alpha), rho2 = (level + log(level + 1.0)) / (double)n_star;
    dm_anytime a = {(double)NAN, (double)NAN, (double)NAN, sqrt(rho2)};
    if (isnan(effect) || !(variance > 0.0)) return a;
    const double rows = (double)n, sigma2 = rows * variance, grown = rows * rho2 + 1.0;
    const double half = sqrt(sigma2 * 2.0 * grown / (rows * rows * rho2) * (0.5 * log(grown) - log(alpha)));
    a.low = effect - half;
    a.high = effect + half;
    a.p = fmin(1.0, exp(0.5 * log(grown) - rows * rows * rho2 * effect * effect / sigma2 / (2.0 * grown)));
    return a;
}
