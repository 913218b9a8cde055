/* Tables of `demarc boundary analyze`: checks first, then effects, the curve, decisions. */
#include "cli/analyze_text.h"

#include <math.h>
#include <string.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

typedef dm_json_node node;

static node *at(const node *object, const char *key) { return dm_json_member(object, key); }
static double number(const node *object, const char *key) { return dm_json_number(at(object, key)); }

static int64_t whole(const node *object, const char *key)
{
    int64_t v = 0;
    (void)dm_json_integer(at(object, key), &v);
    return v;
}

static const char *word(const node *object, const char *key)
{
    const char *text = dm_json_string(at(object, key));
    return text != NULL ? text : "-";
}

static demarc_status real_cell(cli_table *t, double v)
{
    return isnan(v) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.4g", v);
}

static demarc_status p_cell(cli_table *t, double p)
{
    if (isnan(p)) return cli_table_cell(t, "-");
    return p < 0.0001 ? cli_table_cell(t, "<0.0001") : cli_table_cellf(t, "%.4f", p);
}

static demarc_status count_cell(cli_table *t, int64_t v)
{
    char digits[32];
    return cli_table_cell(t, cli_grouped(digits, v));
}

static demarc_status interval_cell(cli_table *t, const node *o)
{
    const double low = number(o, "low"), high = number(o, "high");
    return isnan(low) || isnan(high) ? cli_table_cell(t, "-") : cli_table_cellf(t, "[%.4g, %.4g]", low, high);
}

/* "0.12 [0.05, 0.19]" */
static demarc_status estimate_cell(cli_table *t, const node *o)
{
    const double value = number(o, "value"), low = number(o, "low"), high = number(o, "high");
    if (isnan(value)) return cli_table_cell(t, "-");
    if (isnan(low) || isnan(high)) return cli_table_cellf(t, "%.4g", value);
    return cli_table_cellf(t, "%.4g [%.4g, %.4g]", value, low, high);
}

/* "0-3" */
static demarc_status pair_cell(cli_table *t, const node *boundary)
{
    int64_t pair[2] = {0, 0};
    dm_json_cursor c = {0};
    for (int i = 0; i < 2 && dm_json_next(at(boundary, "segments"), &c); i++) (void)dm_json_integer(c.value, &pair[i]);
    return cli_table_cellf(t, "%lld-%lld", (long long)pair[0], (long long)pair[1]);
}

static demarc_status headings(cli_table *t, const char *const *text)
{
    demarc_status st = DEMARC_OK;
    for (; *text != NULL && st == DEMARC_OK; text++) st = cli_table_heading(t, *text);
    return st;
}

static void title(const char *text)
{
    const bool colour = cli_colour();
    printf("\n%s%s%s\n", colour ? "\033[1m" : "", text, colour ? "\033[0m" : "");
}

/* ------------------------------------------------------------------------------------------------ checks */

static demarc_status check_row(cli_table *t, const char *name, const char *figure, double p, bool passed)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(cli_table_cell(t, name));
    DM_TRY(cli_table_cell(t, figure));
    DM_TRY(p_cell(t, p));
    DM_TRY(cli_table_cell(t, passed ? "passed" : "FAILED"));
cleanup:
    return st;
}

static demarc_status ratio_row(cli_table *t, const node *root, const char *which, const char *name)
{
    const node *test = at(at(root, "sample_ratio"), which);
    char figure[64];
    const double p = number(test, "p");
    snprintf(figure, sizeof figure, "chi-squared %.4g", number(test, "chi_squared"));
    return check_row(t, name, figure, p, !(p < number(root, "srm_alpha")));
}

static demarc_status print_checks(const node *root)
{
    static const char *const heading[] = {"check", "figure", "p", "result", NULL};
    demarc_status st = DEMARC_OK;
    const node *attrition = at(root, "attrition");
    const double share = number(attrition, "share"), limit = number(attrition, "limit"), p = number(attrition, "p");
    char figure[128], missing[32];
    cli_table t;
    cli_table_begin(&t, "llrl");
    t.indent = "  ";
    title("checks");
    DM_TRY(headings(&t, heading));
    DM_TRY(ratio_row(&t, root, "assigned", "sample ratio, all customers"));
    DM_TRY(ratio_row(&t, root, "observed", "sample ratio, customers with an outcome"));
    snprintf(figure, sizeof figure, "%s customers, %.3g%% (limit %.3g%%)",
             cli_grouped(missing, whole(attrition, "missing")), 100.0 * share, 100.0 * limit);
    DM_TRY(check_row(&t, "missing outcomes", figure, (double)NAN, share <= limit));
    snprintf(figure, sizeof figure, "chi-squared %.4g", number(attrition, "chi_squared"));
    DM_TRY(check_row(&t, "missing as often in both arms", figure, p, !(p < number(root, "srm_alpha"))));
    DM_TRY(cli_table_print(&t));
    printf("  a check fails at p below %g\n", number(root, "srm_alpha"));
    const char *stopped = dm_json_string(at(root, "stopped"));
    if (stopped != NULL) {
        const bool colour = cli_colour();
        printf("\n%sSTOPPED: %s.%s\nThe estimates below stand as they came out; they are not evidence, so there are no "
               "p-values, verdicts and decisions.\n",
               colour ? "\033[1m" : "", stopped, colour ? "\033[0m" : "");
    }
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ effects */

static demarc_status effect_row(cli_table *t, const node *boundary, const node *side)
{
    demarc_status st = DEMARC_OK;
    const node *keep = at(side, "keep"), *switched = at(side, "switch");
    DM_TRY(pair_cell(t, boundary));
    DM_TRY(cli_table_cellf(t, "%lld to %lld", (long long)whole(side, "segment"), (long long)whole(side, "other")));
    DM_TRY(count_cell(t, whole(keep, "n")));
    DM_TRY(count_cell(t, whole(switched, "n")));
    DM_TRY(real_cell(t, number(keep, "mean")));
    DM_TRY(real_cell(t, number(switched, "mean")));
    DM_TRY(estimate_cell(t, at(side, "effect")));
    DM_TRY(interval_cell(t, at(side, "anytime")));
    DM_TRY(p_cell(t, number(side, "p_adjusted")));
    DM_TRY(cli_table_cell(t, word(side, "verdict")));
cleanup:
    return st;
}

static demarc_status print_effects(node *root)
{
    static const char *const heading[] = {"boundary", "switch",           "kept", "switched", "mean kept", "switched",
                                          "effect",   "any-day interval", "p",    "verdict",  NULL};
    demarc_status st = DEMARC_OK;
    const double level = 100.0 * (1.0 - number(root, "alpha"));
    cli_table t;
    cli_table_begin(&t, "llrrrrllrl");
    t.indent = "  ";
    title("effect of switching a customer to the segment across the boundary, in units of the outcome");
    DM_TRY(headings(&t, heading));
    dm_json_cursor b = {0};
    while (dm_json_next(at(root, "boundaries"), &b)) {
        dm_json_cursor s = {0};
        while (dm_json_next(at(b.value, "sides"), &s)) DM_TRY(effect_row(&t, b.value, s.value));
    }
    DM_TRY(cli_table_print(&t));
    printf("  %lld tests, p adjusted by %s, verdicts at %g; intervals %g%% each, for one look at the end\n"
           "  any-day interval: %g%%, holds however often it is looked at; one side at a time, not adjusted\n",
           (long long)whole(root, "tests"), strcmp(word(root, "adjust"), "bh") == 0 ? "Benjamini-Hochberg" : "Holm",
           number(root, "alpha"), level, level);
    if (dm_json_string(at(root, "pre")) != NULL) {
        char name[256];
        dm_text_escape(name, sizeof name, word(root, "pre"));
        printf("  effects are adjusted for '%s' (CUPED), means are not\n", name);
    }
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ the curve */

static demarc_status print_curves(node *root)
{
    static const char *const heading[] = {
        "boundary", "band", "customers", "effect at the line", "change per unit", "crosses zero at", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    cli_table_begin(&t, "lrrlll");
    t.indent = "  ";
    title("effect of being treated as the boundary's second segment, along the distance from the line");
    DM_TRY(headings(&t, heading));
    dm_json_cursor b = {0};
    while (dm_json_next(at(root, "boundaries"), &b)) {
        const node *curve = at(b.value, "curve");
        DM_TRY(pair_cell(&t, b.value));
        DM_TRY(real_cell(&t, number(b.value, "band")));
        DM_TRY(count_cell(&t, whole(b.value, "observed")));
        DM_TRY(estimate_cell(&t, at(curve, "intercept")));
        DM_TRY(estimate_cell(&t, at(curve, "slope")));
        DM_TRY(estimate_cell(&t, at(b.value, "crossing")));
    }
    DM_TRY(cli_table_print(&t));
    printf("  distances in scaled units, negative on the first segment's side; intervals %g%% each, not adjusted\n",
           100.0 * (1.0 - number(root, "alpha")));
cleanup:
    cli_table_clear(&t);
    return st;
}

/* Points of the boundaries where something was found: elsewhere they would be many and noise. */
static demarc_status print_points(node *root)
{
    static const char *const heading[] = {"boundary", "segment", "distance", "effect", "se", "customers", NULL};
    demarc_status st = DEMARC_OK;
    bool any = false;
    cli_table t;
    cli_table_begin(&t, "lrrrrr");
    t.indent = "  ";
    DM_TRY(headings(&t, heading));
    dm_json_cursor b = {0};
    while (dm_json_next(at(root, "boundaries"), &b)) {
        bool found = false;
        dm_json_cursor s = {0}, p = {0};
        while (dm_json_next(at(b.value, "sides"), &s)) {
            const char *verdict = word(s.value, "verdict");
            found = found || strcmp(verdict, "helps") == 0 || strcmp(verdict, "hurts") == 0;
        }
        while (found && dm_json_next(at(b.value, "points"), &p)) {
            any = true;
            DM_TRY(pair_cell(&t, b.value));
            DM_TRY(count_cell(&t, whole(p.value, "segment")));
            DM_TRY(real_cell(&t, number(p.value, "distance")));
            DM_TRY(real_cell(&t, number(p.value, "effect")));
            DM_TRY(real_cell(&t, number(p.value, "se")));
            DM_TRY(count_cell(&t, whole(p.value, "n")));
        }
    }
    if (!any) goto cleanup;
    title("the same stratum by stratum, where switching helps or hurts");
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ decisions */

static demarc_status print_decisions(node *root)
{
    static const char *const heading[] = {"boundary", "decision", "line wanted at", "comes to lie at", "reason", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    bool moves = false;
    cli_table_begin(&t, "llrrl");
    t.indent = "  ";
    title("decisions");
    DM_TRY(headings(&t, heading));
    dm_json_cursor b = {0};
    while (dm_json_next(at(root, "boundaries"), &b)) {
        const node *move = at(b.value, "move");
        DM_TRY(pair_cell(&t, b.value));
        DM_TRY(cli_table_cell(&t, word(b.value, "decision")));
        moves = moves || dm_json_count(move) > 0;
        DM_TRY(real_cell(&t, number(move, "distance")));
        DM_TRY(real_cell(&t, number(b.value, "shift")));
        DM_TRY(cli_table_cell(&t, word(b.value, "reason")));
    }
    DM_TRY(cli_table_print(&t));
    if (moves)
        puts("  lines that share a segment move together: what comes nearest to all wishes, weighted by customers");
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_offsets(node *root)
{
    demarc_status st = DEMARC_OK;
    cli_table t;
    cli_table_begin(&t, "rr");
    t.indent = "  ";
    if (dm_json_count(at(root, "offsets")) == 0) return DEMARC_OK;
    title("new offsets, scaled units squared");
    DM_TRY(cli_table_heading(&t, "segment"));
    DM_TRY(cli_table_heading(&t, "offset"));
    dm_json_cursor c = {0};
    while (dm_json_next(at(root, "offsets"), &c)) {
        DM_TRY(cli_table_cellf(&t, "%lld", (long long)c.index - 1));
        DM_TRY(cli_table_cellf(&t, "%.6g", dm_json_number(c.value)));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static void print_head(const node *root)
{
    char experiment[1024], outcome[256], n[32];
    dm_text_escape(experiment, sizeof experiment, word(root, "experiment"));
    dm_text_escape(outcome, sizeof outcome, word(root, "outcome"));
    const int64_t boundaries = dm_json_count(at(root, "boundaries"));
    printf("%s: %s customers at %lld %s, outcome '%s'\n", experiment, cli_grouped(n, whole(root, "n")),
           (long long)boundaries, boundaries == 1 ? "boundary" : "boundaries", outcome);
}

demarc_status cli_analyze_print(const char *json)
{
    node *root = NULL;
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_json_parse(json, "result of demarc boundary analyze", &root));
    print_head(root);
    DM_TRY(print_checks(root));
    DM_TRY(print_effects(root));
    DM_TRY(print_curves(root));
    DM_TRY(print_points(root));
    DM_TRY(print_decisions(root));
    DM_TRY(print_offsets(root));
cleanup:
    dm_json_release(&root);
    return st;
}
