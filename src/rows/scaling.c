#include "rows/scaling.h"

#include <float.h>
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
    for (int32_t f = 0; f < scan->d; f++) {
        if (scan->count[f] == 0) continue;
        const double factor = t->factor[f] / t->unit;
        const double low = (scan->low[f] - t->origin[f]) * factor, high = (scan->high[f] - t->origin[f]) * factor;
        if (fabs(low) < (double)FLT_MAX && fabs(high) < (double)FLT_MAX) continue;
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
        if (scan->low[f] == scan->high[f] || !(scale[f] > 0.0)) {
            return dm_fail(
                DEMARC_ERR_DATA,
                "constant feature: %s %s column %d (%s) is always %.9g and cannot be scaled: leave it out, or give it "
                "no weight by --feature-weights %s=0",
                path, dataset, (int)f, feature_name(rows, f), scan->low[f], feature_name(rows, f));
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
    double largest = 0.0;
    for (int32_t f = 0; f < d; f++) {
        t->factor[f] = weight[f] == 0.0 ? 0.0 : weight[f] / scale[f];
        t->origin[f] = scan->mean[f];
        const double reach = fmax(fabs((scan->low[f] - t->origin[f]) * t->factor[f]),
                                  fabs((scan->high[f] - t->origin[f]) * t->factor[f]));
        if (!isfinite(reach) || !isfinite(t->factor[f])) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA,
                           "values too far apart to be scaled: %s column %d (%s): use --log1p or other units",
                           dm_customers_path(dm_rows_opened_with(rows)->file), (int)f, feature_name(rows, f)));
        }
        largest = fmax(largest, reach);
    }
    t->unit = unit_for(largest);
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
