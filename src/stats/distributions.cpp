#include "stats/distributions.h"

#include <boost/math/constants/constants.hpp>
#include <boost/math/distributions.hpp>
#include <math.h>

namespace {

using namespace boost::math::policies;
using quiet = policy<domain_error<ignore_error>, pole_error<ignore_error>, overflow_error<ignore_error>,
                     underflow_error<ignore_error>, denorm_error<ignore_error>, rounding_error<ignore_error>,
                     evaluation_error<ignore_error>, indeterminate_result_error<ignore_error>, promote_double<false>>;
using normal = boost::math::normal_distribution<double, quiet>;
using student = boost::math::students_t_distribution<double, quiet>;
using chi_squared = boost::math::chi_squared_distribution<double, quiet>;

double magnitude(double v) { return v < 0.0 ? -v : v; }

} // namespace

extern "C" {

double dm_normal_quantile(double p) { return quantile(normal(), p); }
double dm_normal_two_sided(double z) { return 2.0 * cdf(complement(normal(), magnitude(z))); }

double dm_student_cdf(double t, double freedom) { return cdf(student(freedom), t); }
double dm_student_quantile(double p, double freedom) { return quantile(student(freedom), p); }
double dm_student_two_sided(double t, double freedom) { return 2.0 * cdf(complement(student(freedom), magnitude(t))); }

double dm_chi_squared_sf(double x, double freedom) { return cdf(complement(chi_squared(freedom), x)); }

double dm_kolmogorov_sf(double x)
{
    using namespace boost::math::double_constants;
    if (isnan(x)) return x;
    if (x <= 0.0) return 1.0;
    double sum = 0.0;
    if (x < 1.0) {
        for (int j = 5; j >= 1; j--) sum += exp(-(2 * j - 1) * (2 * j - 1) * pi * pi / (8.0 * x * x));
        return 1.0 - root_two_pi / x * sum;
    }
    for (int j = 5; j >= 1; j--) sum += (j % 2 == 1 ? 2.0 : -2.0) * exp(-2.0 * j * j * x * x);
    return sum;
}
}
