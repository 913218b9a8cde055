#include "stats/power.h"

#include <math.h>

#include "stats/distributions.h"

double dm_power_se(const dm_power_design *d, int64_t customers, double sd)
{
    const double n = (double)customers, p = d->switch_share;
    if (customers < 1) return isnan(sd) ? sd : (double)INFINITY;
    return sd * sqrt(1.0 / (n * p) + 1.0 / (n * (1.0 - p)));
}

static double threshold(const dm_power_design *d)
{
    return dm_normal_quantile(1.0 - d->alpha / (2.0 * (double)d->tests));
}

double dm_power_of(const dm_power_design *d, double se, double effect)
{
    if (!(se > 0.0)) return (double)NAN;
    const double z = threshold(d), shift = fabs(effect) / se;
    return dm_normal_cdf(shift - z) + dm_normal_cdf(-shift - z);
}

double dm_power_mde(const dm_power_design *d, double se, double power)
{
    if (!(se > 0.0)) return (double)NAN;
    return (threshold(d) + dm_normal_quantile(power)) * se;
}
