#include "stats/power.h"

#include <math.h>

#include "stats/distributions.h"

double dm_power_se(const dm_power_design *d, int64_t customers, double sd)
{
    const double n = (double)customers, p = d->switch_share;
    if (customers < 1) return isnan(sd) ? sd : (double)INFINITY;
    return sd * sqrt(1.0 / (n * p) + 1.0 / (n * (1.0 - p)));
}

static double freedom_of(const dm_power_design *d, int64_t customers)
{
    return fmax(1.0, (double)customers - 2.0 * (double)d->strata);
}

static double threshold(const dm_power_design *d, double freedom)
{
    return dm_student_quantile(1.0 - d->alpha / (2.0 * (double)d->tests), freedom);
}

double dm_power_of(const dm_power_design *d, int64_t customers, double se, double effect)
{
    if (!(se > 0.0)) return (double)NAN;
    const double freedom = freedom_of(d, customers), c = threshold(d, freedom), shift = fabs(effect) / se;
    return dm_student_cdf(shift - c, freedom) + dm_student_cdf(-shift - c, freedom);
}

double dm_power_mde(const dm_power_design *d, int64_t customers, double se, double power)
{
    if (!(se > 0.0)) return (double)NAN;
    const double freedom = freedom_of(d, customers);
    return (threshold(d, freedom) + dm_student_quantile(power, freedom)) * se;
}
