#include "stats/weighted_mean.h"

#include <math.h>

#include "stats/distributions.h"

dm_mean dm_mean_of(int64_t n, const dm_moments *m, double centre)
{
    dm_mean r = {.n = n, .mean = (double)NAN, .variance = (double)NAN};
    if (n < 1 || !(m->w > 0.0)) return r;
    const double shift = m->wy / m->w;
    r.mean = centre + shift;
    if (n < 2) return r;
    /* Not below 0 by rounding where all rows are equal. */
    const double squares = fmax(0.0, m->w2y2 - 2.0 * shift * m->w2y + shift * shift * m->w2);
    r.variance = squares / (m->w * m->w) * ((double)n / (double)(n - 1));
    return r;
}

dm_estimate dm_estimate_of(double value, double variance, double alpha)
{
    const double se = sqrt(variance), half = dm_normal_quantile(1.0 - alpha / 2.0) * se;
    return (dm_estimate){.value = value, .se = se, .low = value - half, .high = value + half};
}

dm_estimate dm_estimate_of_student(double value, double variance, double freedom, double alpha)
{
    const double se = sqrt(variance), half = se > 0.0 ? dm_student_quantile(1.0 - alpha / 2.0, freedom) * se : se;
    return (dm_estimate){.value = value, .se = se, .low = value - half, .high = value + half};
}

double dm_estimate_p_student(const dm_estimate *e, double freedom)
{
    return e->se > 0.0 ? dm_student_two_sided(e->value / e->se, freedom) : (double)NAN;
}

double dm_estimate_p(const dm_estimate *e) { return e->se > 0.0 ? dm_normal_two_sided(e->value / e->se) : (double)NAN; }
