#include "cli/compare_text.h"

#include <math.h>
#include <string.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

#define WIDE 12 /* most new segments whose migration is shown as a table */

typedef struct compare_doc {
    dm_json_node *root, *segments;
    char level[16]; /* "95%" */
} compare_doc;

static dm_json_node *at(const dm_json_node *object, const char *key) { return dm_json_member(object, key); }
static double number(const dm_json_node *object, const char *key) { return dm_json_number(at(object, key)); }
static const char *string(const dm_json_node *object, const char *key)
{
    const char *text = dm_json_string(at(object, key));
    return text != NULL ? text : "-";
}

static dm_json_node *item(dm_json_node *list, int64_t index)
{
    dm_json_cursor c = {0};
    while (dm_json_next(list, &c)) {
        if ((int64_t)c.index - 1 == index) return c.value;
    }
    return NULL;
}

/* -1 for null. */
static int64_t integer(const dm_json_node *object, const char *key)
{
    int64_t v = -1;
    return dm_json_integer(at(object, key), &v) ? v : -1;
}

/* Name of a segment of one side ("old", "new"). */
static const char *name_of(const compare_doc *d, const char *side, int64_t segment)
{
    dm_json_cursor c = {0};
    while (dm_json_next(d->segments, &c)) {
        if (integer(c.value, side) == segment) return string(c.value, "name");
    }
    return "-";
}

/* ------------------------------------------------------------------------------------------------ cells */

static demarc_status begin(cli_table *t, const char *align, const char *const *heading)
{
    demarc_status st = DEMARC_OK;
    cli_table_begin(t, align);
    t->indent = "  ";
    for (; *heading != NULL && st == DEMARC_OK; heading++) st = cli_table_heading(t, *heading);
    return st;
}

static demarc_status add_count(cli_table *t, const dm_json_node *v)
{
    char buf[32];
    int64_t n = 0;
    return cli_table_cell(t, dm_json_integer(v, &n) ? cli_grouped(buf, n) : "-");
}

static demarc_status add_real(cli_table *t, double v, const char *format)
{
    char buf[64];
    if (isnan(v)) return cli_table_cell(t, "-");
    snprintf(buf, sizeof buf, format, v);
    return cli_table_cell(t, buf);
}

static demarc_status add_share(cli_table *t, double part, double whole)
{
    return whole > 0.0 ? cli_table_cellf(t, "%.1f%%", 100.0 * part / whole) : cli_table_cell(t, "-");
}

/* ------------------------------------------------------------------------------------------------ segments */

static void print_head(const compare_doc *d)
{
    const dm_json_node *customers = at(d->root, "customers"), *agreement = at(d->root, "agreement");
    char a[32], b[32], c[32];
    printf("old  %s\nnew  %s\n", string(at(d->root, "old"), "run"), string(at(d->root, "new"), "run"));
    printf("\n%s customers in both runs, %s entered, %s left\n", cli_grouped(a, integer(customers, "common")),
           cli_grouped(b, integer(customers, "entered")), cli_grouped(c, integer(customers, "left")));
    printf(
        "agreement on the common customers: adjusted Rand index %.4f, variation of information %.4f nats (of at most "
        "%.4f)\n",
        number(agreement, "adjusted_rand"), number(agreement, "variation_of_information"),
        number(agreement, "variation_of_information_max"));
}

static demarc_status print_segments(const compare_doc *d)
{
    static const char *const heading[] = {"old",    "new",     "status", "old size", "new size",
                                          "common", "jaccard", "name",   NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    puts("\nsegments, matched on the common customers");
    DM_TRY(begin(&t, "rrlrrrrl", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(d->segments, &c)) {
        DM_TRY(add_count(&t, at(c.value, "old")));
        DM_TRY(add_count(&t, at(c.value, "new")));
        DM_TRY(cli_table_cell(&t, string(c.value, "status")));
        DM_TRY(add_count(&t, at(c.value, "old_size")));
        DM_TRY(add_count(&t, at(c.value, "new_size")));
        DM_TRY(add_count(&t, at(c.value, "common")));
        DM_TRY(add_real(&t, number(c.value, "jaccard"), "%.3f"));
        DM_TRY(cli_table_cell(&t, string(c.value, "name")));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_migration(const compare_doc *d)
{
    demarc_status st = DEMARC_OK;
    const dm_json_node *m = at(d->root, "migration");
    dm_json_node *counts = at(m, "counts"), *entered = at(m, "entered");
    const int64_t k = dm_json_count(entered);
    char align[WIDE + 4];
    cli_table t = {0};
    if (k > WIDE) return DEMARC_OK;
    memset(align, 'r', sizeof align);
    align[k + 2] = 0;
    puts("\nmigration: customers by old (rows) and new segment (columns)");
    cli_table_begin(&t, align);
    t.indent = "  ";
    DM_TRY(cli_table_heading(&t, "old"));
    for (int64_t j = 0; j < k; j++) {
        char text[32];
        snprintf(text, sizeof text, "%lld", (long long)j);
        DM_TRY(cli_table_heading(&t, text));
    }
    DM_TRY(cli_table_heading(&t, "left"));
    dm_json_cursor row = {0};
    while (dm_json_next(counts, &row)) {
        DM_TRY(cli_table_cellf(&t, "%zu", row.index - 1));
        dm_json_cursor cell = {0};
        while (dm_json_next(row.value, &cell)) DM_TRY(add_count(&t, cell.value));
        DM_TRY(add_count(&t, item(at(m, "left"), (int64_t)row.index - 1)));
    }
    DM_TRY(cli_table_cell(&t, "entered"));
    dm_json_cursor cell = {0};
    while (dm_json_next(entered, &cell)) DM_TRY(add_count(&t, cell.value));
    DM_TRY(cli_table_cell(&t, ""));
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status add_moves(cli_table *t, const dm_json_node *m)
{
    static const char *const part[] = {"customer_changed", "scaling_changed", "model_changed"};
    demarc_status st = DEMARC_OK;
    DM_TRY(add_count(t, at(m, "moved")));
    for (int i = 0; i < 3; i++) {
        DM_TRY(add_count(t, at(m, part[i])));
        DM_TRY(add_share(t, number(m, part[i]), number(m, "moved")));
    }
cleanup:
    return st;
}

static demarc_status print_moves(const compare_doc *d)
{
    static const char *const heading[] = {"old", "moved", "customer", "", "scaling", "", "model", "", "name", NULL};
    demarc_status st = DEMARC_OK;
    const dm_json_node *m = at(d->root, "decomposition");
    cli_table t;
    printf("\nwhy customers moved (%.1f%% of the common ones): the customer, the scaling or the model changed\n",
           100.0 * number(at(d->root, "migration"), "moved_share"));
    DM_TRY(begin(&t, "rrrrrrrrl", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(at(m, "segments"), &c)) {
        DM_TRY(add_count(&t, at(c.value, "old")));
        DM_TRY(add_moves(&t, c.value));
        DM_TRY(cli_table_cell(&t, name_of(d, "old", integer(c.value, "old"))));
    }
    DM_TRY(cli_table_cell(&t, "all"));
    DM_TRY(add_moves(&t, m));
    DM_TRY(cli_table_cell(&t, ""));
    DM_TRY(cli_table_print(&t));
    puts("  a move counts at the first step that makes it: new values, then the new scaling, then the new centroids");
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ drift */

/* Is there more than chance in it? */
static bool shown(const dm_json_node *feature, double alpha)
{
    return number(feature, "psi_p_adjusted") <= alpha || number(feature, "ks_p_adjusted") <= alpha;
}

/* All features, or those alone that drifted. */
static demarc_status print_features(dm_json_node *features, double alpha, bool all)
{
    static const char *const heading[] = {"feature",    "old mean", "new mean",    "psi",   "p adjusted", "ks",
                                          "p adjusted", "distance", "distance/sd", "drift", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    DM_TRY(begin(&t, "lrrrrrrrrl", heading));
    dm_json_cursor c = {0};
    int64_t left = 0;
    while (dm_json_next(features, &c)) {
        if (!all && !shown(c.value, alpha)) {
            left++;
            continue;
        }
        DM_TRY(cli_table_cell(&t, string(c.value, "feature")));
        DM_TRY(add_real(&t, number(c.value, "old_mean"), "%.6g"));
        DM_TRY(add_real(&t, number(c.value, "new_mean"), "%.6g"));
        DM_TRY(add_real(&t, number(c.value, "psi"), "%.4f"));
        DM_TRY(add_real(&t, number(c.value, "psi_p_adjusted"), "%.2g"));
        DM_TRY(add_real(&t, number(c.value, "ks"), "%.4f"));
        DM_TRY(add_real(&t, number(c.value, "ks_p_adjusted"), "%.2g"));
        DM_TRY(add_real(&t, number(c.value, "wasserstein"), "%.4g"));
        DM_TRY(add_real(&t, number(c.value, "wasserstein_sd"), "%.3f"));
        DM_TRY(cli_table_cell(&t, string(c.value, "word")));
    }
    if (left < dm_json_count(features)) DM_TRY(cli_table_print(&t));
    if (left > 0) printf("  none shown: %lld of %lld features\n", (long long)left, (long long)dm_json_count(features));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_drift(const compare_doc *d)
{
    demarc_status st = DEMARC_OK;
    const dm_json_node *drift = at(d->root, "drift");
    const double alpha = number(drift, "alpha");
    puts("\ndrift of the features, all customers of each run");
    DM_TRY(print_features(at(drift, "features"), alpha, true));
    dm_json_cursor c = {0};
    while (dm_json_next(at(drift, "segments"), &c)) {
        printf("\ndrift within segment %lld, %s\n", (long long)integer(c.value, "segment"), string(c.value, "name"));
        DM_TRY(print_features(at(c.value, "features"), alpha, false));
    }
    printf(
        "  psi: population stability index, %lld quantile bins of the old values; ks: Kolmogorov-Smirnov; distance:\n"
        "  Wasserstein, units of the feature; %lld tests in all, adjusted by holm, level %g\n",
        (long long)integer(drift, "bins"), (long long)integer(drift, "tests"), number(drift, "alpha"));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ calibration */

static demarc_status print_expectations(const compare_doc *d, const dm_json_node *calibration)
{
    static const char *const heading[] = {"segment",   "outcome", "expected", "actual", "difference", "interval",
                                          "customers", "stayers", "verdict",  "name",   NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    puts("\nwhat segments were expected to bring, and brought; observational");
    DM_TRY(begin(&t, "rlrrrlrrll", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(at(calibration, "segments"), &c)) {
        const double low = number(c.value, "low"), high = number(c.value, "high");
        DM_TRY(add_count(&t, at(c.value, "segment")));
        DM_TRY(cli_table_cell(&t, string(c.value, "outcome")));
        DM_TRY(add_real(&t, number(c.value, "expected"), "%.6g"));
        DM_TRY(add_real(&t, number(c.value, "actual"), "%.6g"));
        DM_TRY(add_real(&t, number(c.value, "difference"), "%+.4g"));
        if (isnan(low) || isnan(high)) {
            DM_TRY(cli_table_cell(&t, "-"));
        } else {
            DM_TRY(cli_table_cellf(&t, "[%.4g, %.4g]", low, high));
        }
        DM_TRY(add_count(&t, at(c.value, "customers")));
        DM_TRY(add_real(&t, number(at(c.value, "stayers"), "actual"), "%.6g"));
        DM_TRY(cli_table_cell(&t, string(c.value, "word")));
        DM_TRY(cli_table_cell(&t, string(c.value, "name")));
    }
    DM_TRY(cli_table_print(&t));
    printf("  means in units of the outcome, %s intervals; as expected: within %g standard deviations;\n"
           "  %lld tests, adjusted by holm, level %g; stayers: mean of those who were in the segment before\n",
           d->level, number(calibration, "margin"), (long long)integer(calibration, "tests"),
           number(calibration, "alpha"));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_advice(const compare_doc *d, const dm_json_node *calibration)
{
    static const char *const heading[] = {"segments", "advice", "name", "why", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    puts("\nadvice");
    DM_TRY(begin(&t, "rlll", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(at(calibration, "advice"), &c)) {
        dm_json_node *both = at(c.value, "segments");
        int64_t a = 0, b = 0;
        (void)dm_json_integer(item(both, 0), &a);
        if (dm_json_count(both) > 1) {
            (void)dm_json_integer(item(both, 1), &b);
            DM_TRY(cli_table_cellf(&t, "%lld, %lld", (long long)a, (long long)b));
        } else {
            DM_TRY(cli_table_cellf(&t, "%lld", (long long)a));
        }
        DM_TRY(cli_table_cell(&t, string(c.value, "advice")));
        DM_TRY(cli_table_cell(&t, dm_json_count(both) > 1 ? "-" : name_of(d, "new", a)));
        DM_TRY(cli_table_cell(&t, string(c.value, "why")));
    }
    DM_TRY(cli_table_print(&t));
    printf("  merge: %lld pairs of segments tested for equality, adjusted by holm, level %g\n",
           (long long)integer(calibration, "merge_tests"), number(calibration, "alpha"));
cleanup:
    cli_table_clear(&t);
    return st;
}

demarc_status cli_compare_print(const char *json)
{
    demarc_status st = DEMARC_OK;
    compare_doc d = {0};
    DM_TRY(dm_json_parse(json, "comparison", &d.root));
    d.segments = at(d.root, "segments");
    snprintf(d.level, sizeof d.level, "%g%%", 100.0 * (1.0 - number(at(d.root, "drift"), "alpha")));
    print_head(&d);
    DM_TRY(print_segments(&d));
    DM_TRY(print_migration(&d));
    DM_TRY(print_moves(&d));
    DM_TRY(print_drift(&d));
    const dm_json_node *calibration = at(d.root, "calibration");
    if (dm_json_shape_of(calibration) != DM_JSON_OBJECT) {
        puts("\nno outcomes in both files: what segments bring cannot be compared");
        goto cleanup;
    }
    DM_TRY(print_expectations(&d, calibration));
    DM_TRY(print_advice(&d, calibration));
cleanup:
    dm_json_release(&d.root);
    return st;
}
