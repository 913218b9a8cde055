#include "rows/scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char *feature_name(const dm_rows *rows, int32_t f)
{
    const dm_rows_options *o = dm_rows_opened_with(rows);
    return dm_customers_schema(o->file)->feature.item[o->column == NULL ? f : o->column[f]];
}

static int32_t find_feature(const dm_rows *rows, const char *name)
{
    for (int32_t f = 0; f < dm_rows_features(rows); f++) {
        if (strcmp(feature_name(rows, f), name) == 0) return f;
    }
    return -1;
}

static demarc_status unknown_feature(const dm_rows *rows, const char *option, const char *name)
{
    return dm_fail(DEMARC_ERR_USAGE, "unknown feature '%s': %s, %s: see `demarc info` for the names", name, option,
                   dm_customers_path(dm_rows_opened_with(rows)->file));
}

static demarc_status set_log1p(const dm_rows *rows, const char *list, uint8_t *flag)
{
    dm_strings names;
    demarc_status st = dm_strings_split(&names, list, "--log1p");
    if (st != DEMARC_OK) return st;
    for (int32_t i = 0; i < names.count; i++) {
        int32_t f = find_feature(rows, names.item[i]);
        if (f < 0) {
            st = unknown_feature(rows, "--log1p", names.item[i]);
            break;
        }
        flag[f] = 1;
    }
    dm_strings_clear(&names);
    return st;
}

static demarc_status set_weights(const dm_rows *rows, const char *list, double *weight)
{
    dm_strings items;
    demarc_status st = dm_strings_split(&items, list, "--feature-weights");
    if (st != DEMARC_OK) return st;
    for (int32_t i = 0; i < items.count && st == DEMARC_OK; i++) {
        char *equals = strrchr(items.item[i], '='), *end = NULL;
        if (equals == NULL) {
            st = dm_fail(DEMARC_ERR_USAGE, "no weight: --feature-weights '%s': write NAME=WEIGHT", items.item[i]);
            break;
        }
        *equals = 0;
        double w = strtod(equals + 1, &end);
        int32_t f = find_feature(rows, items.item[i]);
        if (f < 0) {
            st = unknown_feature(rows, "--feature-weights", items.item[i]);
        } else if (dm_strings_find(&items, items.item[i]) < i) {
            st = dm_fail(DEMARC_ERR_USAGE, "name given twice: --feature-weights '%s': give each feature one weight",
                         items.item[i]);
        } else if (end == equals + 1 || *end != 0 || !isfinite(w) || w < 0.0) {
            st = dm_fail(DEMARC_ERR_USAGE, "bad weight '%s': --feature-weights %s: give a number >= 0", equals + 1,
                         items.item[i]);
        } else {
            weight[f] = w;
        }
    }
    dm_strings_clear(&items);
    return st;
}

demarc_status dm_scaling_check_values(const dm_rows *rows, const dm_scan *scan, bool impute)
{
    const dm_customers *file = dm_rows_opened_with(rows)->file;
    const char *path = dm_customers_path(file), *dataset = dm_customers_features_path(file);
    int64_t missing = 0, infinite = 0;
    int32_t columns = 0;
    for (int32_t f = 0; f < scan->d; f++) {
        missing += scan->missing[f];
        infinite += scan->infinite[f];
        columns += scan->missing[f] > 0;
    }
    if (infinite > 0) {
        const int32_t f = scan->first_infinite_column;
        return dm_fail(
            DEMARC_ERR_DATA, "infinite values: %s %s, first at row %lld column %d (%s), %lld in all: replace them",
            path, dataset, (long long)scan->first_infinite_row, (int)f, feature_name(rows, f), (long long)infinite);
    }
    if (missing > 0 && !impute) {
        const int32_t f = scan->first_missing_column;
        return dm_fail(
            DEMARC_ERR_DATA,
            "missing values (NaN): %s %s, first at row %lld column %d (%s), %lld in all, in %d of %d columns: fill "
            "them in or use --missing mean",
            path, dataset, (long long)scan->first_missing_row, (int)f, feature_name(rows, f), (long long)missing,
            (int)columns, (int)scan->d);
    }
    for (int32_t f = 0; f < scan->d; f++) {
        if (scan->outside[f] > 0) {
            return dm_fail(
                DEMARC_ERR_DATA,
                "log1p of a value <= -1: %s %s column %s, %lld values, first bad row %lld: drop it from --log1p", path,
                dataset, feature_name(rows, f), (long long)scan->outside[f], (long long)scan->first_outside_row);
        }
    }
    return DEMARC_OK;
}

demarc_status dm_scaling_check_range(const dm_rows *rows, const dm_scan *scan, const dm_transform *t)
{
    const double most = DM_SCALED_MOST * fmin(t->unit, 1.0); /* in scaled and in working space */
    for (int32_t f = 0; f < scan->d; f++) {
        if (scan->count[f] == 0) continue;
        const double low = (scan->low[f] - t->origin[f]) * t->factor[f];
        const double high = (scan->high[f] - t->origin[f]) * t->factor[f];
        if (fabs(low) <= most && fabs(high) <= most) continue;
        return dm_fail(
            DEMARC_ERR_DATA, "values too far from the model's: %s column %s holds %.9g to %.9g: check its units",
            dm_customers_path(dm_rows_opened_with(rows)->file), feature_name(rows, f), scan->low[f], scan->high[f]);
    }
    return DEMARC_OK;
}

/* Center and scale of every feature; quantiles are collective, so all ranks come here. */
static demarc_status set_scales(dm_rows *rows, const dm_scaling_options *o, const uint8_t *log1p_of,
                                const dm_scan *scan, double *center, double *scale)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = dm_rows_features(rows);
    double *q = NULL;
    if (o->scale == DEMARC_SCALE_ROBUST) {
        static const double quartiles[3] = {0.25, 0.5, 0.75};
        dm_comm *comm = dm_rows_opened_with(rows)->comm;
        DM_TRY_ALL(comm, dm_alloc(q, 3 * (int64_t)d, "quantiles"));
        DM_TRY(dm_rows_quantiles(rows, log1p_of, scan, 3, quartiles, q));
    }
    for (int32_t f = 0; f < d; f++) {
        switch (o->scale) {
        case DEMARC_SCALE_ZSCORE:
            center[f] = scan->mean[f];
            scale[f] = sqrt(scan->variance[f]);
            break;
        case DEMARC_SCALE_ROBUST:
            center[f] = q[3 * f + 1];
            scale[f] = q[3 * f + 2] - q[3 * f];
            if (scale[f] == 0.0 && scan->low[f] < scan->high[f]) {
                scale[f] = 1.0;
                dm_log_warn(dm_rows_opened_with(rows)->log,
                            "feature %s: half of its values are equal, so --scale robust leaves its unit as it is",
                            feature_name(rows, f));
            }
            break;
        case DEMARC_SCALE_MINMAX:
            center[f] = scan->low[f];
            scale[f] = scan->high[f] - scan->low[f];
            break;
        case DEMARC_SCALE_NONE:
            center[f] = 0.0;
            scale[f] = 1.0;
            break;
        }
    }
cleanup:
    dm_free(q);
    return st;
}

static demarc_status check_columns(const dm_rows *rows, const dm_scaling_options *o, const dm_scan *scan,
                                   const double *weight, const double *scale)
{
    const dm_customers *file = dm_rows_opened_with(rows)->file;
    const char *path = dm_customers_path(file), *dataset = dm_customers_features_path(file);
    if (!(scan->total_weight > 0.0)) {
        return dm_fail(DEMARC_ERR_DATA, "all weights are zero: %s /weight: give at least one customer a weight", path);
    }
    for (int32_t f = 0; f < scan->d; f++) {
        if (scan->count[f] == 0 || !(scan->weight[f] > 0.0)) {
            return dm_fail(DEMARC_ERR_DATA, "no value at all: %s %s column %d (%s): leave the feature out", path,
                           dataset, (int)f, feature_name(rows, f));
        }
        if (weight[f] == 0.0 || o->scale == DEMARC_SCALE_NONE) continue;
        if (scan->low[f] == scan->high[f] || scale[f] == 0.0) {
            char all[64] = "equal where customers have weight";
            if (scan->low[f] == scan->high[f]) snprintf(all, sizeof all, "always %.9g", scan->low[f]);
            return dm_fail(
                DEMARC_ERR_DATA,
                "constant feature: %s %s column %d (%s) is %s and cannot be scaled: leave it out, or give it "
                "no weight by --feature-weights %s=0",
                path, dataset, (int)f, feature_name(rows, f), all, feature_name(rows, f));
        }
    }
    return DEMARC_OK;
}

/* A power of two that brings extreme data near 1, so that squares stay well inside float32; 1 for ordinary data. */
static double unit_for(double largest)
{
    if (!(largest > 0.0) || (largest > 0x1p-30 && largest < 0x1p30)) return 1.0;
    int e = 0;
    (void)frexp(largest, &e);
    return ldexp(1.0, e);
}

/* What is wrong with the range of a feature once it is scaled. */
typedef enum range_fault { FITS, TOO_FAR, TOO_CLOSE } range_fault;

/* Scaled values of the data, as the user's weights have them or, to tell whose fault it is, without. */
typedef struct ranges {
    const dm_scan *scan;
    const double *center, *origin, *scale;
    const double *weight; /* NULL = 1 for every feature that counts */
    const double *asked;  /* the user's weights: 0 = the feature does not count */
    demarc_scale how;
    double largest; /* scaled value of any feature */
} ranges;

/* Largest |scaled value| of feature f: infinite where there is none. */
static double reach_of(const ranges *r, int32_t f)
{
    if (r->asked[f] == 0.0) return 0.0;
    const double factor = (r->weight == NULL ? 1.0 : r->weight[f]) / r->scale[f];
    const double low = fabs((r->scan->low[f] - r->origin[f]) * factor);
    const double high = fabs((r->scan->high[f] - r->origin[f]) * factor);
    return isnan(low) || isnan(high) ? (double)INFINITY : fmax(low, high);
}

static range_fault fault_of(const ranges *r, int32_t f)
{
    if (r->asked[f] == 0.0) return FITS;
    const double scale = r->scale[f], reach = reach_of(r, f);
    const double factor = (r->weight == NULL ? 1.0 : r->weight[f]) / scale;
    if (r->how == DEMARC_SCALE_ZSCORE && isnan(scale)) return TOO_CLOSE;
    if (!isfinite(scale) || !isfinite(r->origin[f]) || !isfinite(r->center[f])) return TOO_FAR;
    if (isinf(1.0 / scale)) return TOO_CLOSE;
    if (!(reach <= DM_SCALED_MOST) || !isfinite((r->origin[f] - r->center[f]) * factor)) return TOO_FAR;
    if (r->scan->low[f] == r->scan->high[f]) return FITS;
    if (reach < DM_SCALED_LEAST || reach / unit_for(r->largest) < DM_SCALED_LEAST) return TOO_CLOSE;
    return isfinite(unit_for(r->largest) / factor) ? FITS : TOO_FAR;
}

/*
 * The first feature too far apart, else the first too close together (it may be so only beside the former), or -1; `most`
 * is the one with the largest scaled values.
 */
static int32_t find_fault(ranges *r, range_fault *fault, int32_t *most)
{
    r->largest = 0.0;
    *most = 0;
    *fault = FITS;
    for (int32_t f = 0; f < r->scan->d; f++) {
        const double reach = reach_of(r, f);
        if (reach <= r->largest || !isfinite(reach)) continue;
        r->largest = reach;
        *most = f;
    }
    int32_t found = -1;
    for (int32_t f = 0; f < r->scan->d && *fault != TOO_FAR; f++) {
        const range_fault now = fault_of(r, f);
        if (now == FITS || now == *fault) continue;
        *fault = now;
        found = f;
    }
    return found;
}

/*
 * Scaled values within DM_SCALED_LEAST and DM_SCALED_MOST: then distances and margins are finite and told apart in single
 * precision, and sums of their squares in double. The user is told of the weights where these alone are to blame.
 */
static demarc_status check_ranges(const dm_rows *rows, ranges *r)
{
    const dm_customers *file = dm_rows_opened_with(rows)->file;
    const char *path = dm_customers_path(file), *dataset = dm_customers_features_path(file);
    range_fault fault = FITS, plain = FITS;
    int32_t most = 0, other = 0;
    const int32_t f = find_fault(r, &fault, &most);
    if (f < 0) return DEMARC_OK;
    const double *weight = r->weight;
    r->weight = NULL;
    const int32_t without = find_fault(r, &plain, &other);
    r->weight = weight;
    const char *name = feature_name(rows, f);
    if (without < 0 && weight[f] < 1.0 && weight[f] * weight[most] < 1.0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "weight too small: --feature-weights %s=%.9g: the feature would count for nothing in single "
                       "precision: give a larger one, or 0",
                       name, weight[f]);
    }
    if (without < 0) {
        const int32_t heavy = fault == TOO_FAR && weight[f] > 1.0 ? f : most;
        return dm_fail(DEMARC_ERR_USAGE,
                       "weight too large: --feature-weights %s=%.9g: scaled values would leave single precision: give "
                       "a smaller one",
                       feature_name(rows, heavy), weight[heavy]);
    }
    if (fault == TOO_FAR) {
        return dm_fail(DEMARC_ERR_DATA,
                       "values too far apart: %s %s column %d (%s) holds %.9g to %.9g, which leaves single precision "
                       "once scaled: correct wrong values, or use --log1p, another --scale or other units",
                       path, dataset, (int)f, name, r->scan->low[f], r->scan->high[f]);
    }
    return dm_fail(DEMARC_ERR_DATA,
                   "values too close together: %s %s column %d (%s) holds %.9g to %.9g, which counts for nothing once "
                   "scaled: use another --scale or other units, or give it no weight by --feature-weights %s=0",
                   path, dataset, (int)f, name, r->scan->low[f], r->scan->high[f], name);
}

/* A feature that does not count may hold anything finite, but its values less the origin must be numbers. */
static void place_uncounted(const dm_scan *scan, int32_t f, dm_transform *t)
{
    const bool mean = isfinite(scan->low[f] - t->origin[f]) && isfinite(scan->high[f] - t->origin[f]);
    if (!mean) t->origin[f] = 0.5 * scan->low[f] + 0.5 * scan->high[f];
    if (!isfinite(t->center[f])) t->center[f] = t->origin[f];
}

demarc_status dm_scaling_build(dm_rows *rows, const dm_scaling_options *o, dm_transform *t, dm_scan *scan,
                               double **bound)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(rows)->comm;
    const int32_t d = dm_rows_features(rows);
    double *weight = NULL, *scale = NULL;
    *t = (dm_transform){0};
    *scan = (dm_scan){0};
    *bound = NULL;
    st = dm_transform_create(t, d);
    if (st == DEMARC_OK) st = dm_alloc(weight, d, "scaling");
    if (st == DEMARC_OK) st = dm_alloc(scale, d, "scaling");
    if (st == DEMARC_OK) st = dm_alloc(*bound, d, "scaling");
    for (int32_t f = 0; f < d && st == DEMARC_OK; f++) weight[f] = 1.0;
    if (st == DEMARC_OK) st = set_log1p(rows, o->log1p, t->log1p);
    if (st == DEMARC_OK) st = set_weights(rows, o->feature_weights, weight);
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_rows_scan(rows, t->log1p, scan));
    t->scale = o->scale;
    t->impute = o->missing == DEMARC_MISSING_MEAN;
    DM_TRY(dm_scaling_check_values(rows, scan, t->impute));
    DM_TRY(set_scales(rows, o, t->log1p, scan, t->center, scale));
    DM_TRY(check_columns(rows, o, scan, weight, scale));
    memcpy(t->origin, scan->mean, (size_t)d * sizeof *t->origin);
    ranges r = {.scan = scan,
                .center = t->center,
                .origin = t->origin,
                .scale = scale,
                .weight = weight,
                .asked = weight,
                .how = o->scale};
    DM_TRY(check_ranges(rows, &r));
    for (int32_t f = 0; f < d; f++) {
        t->factor[f] = weight[f] == 0.0 ? 0.0 : weight[f] / scale[f];
        if (weight[f] == 0.0) place_uncounted(scan, f, t);
    }
    t->unit = unit_for(r.largest);
    for (int32_t f = 0; f < d; f++) {
        const double factor = t->factor[f] / t->unit;
        const double low = (scan->low[f] - t->origin[f]) * factor, high = (scan->high[f] - t->origin[f]) * factor;
        (*bound)[f] = fmax(fabs((double)(float)low), fabs((double)(float)high));
    }
cleanup:
    dm_free(weight);
    dm_free(scale);
    return st;
}
