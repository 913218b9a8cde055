/* The moves first, then a table for each outcome, then what the numbers may be used for. */
#include "cli/sweep_text.h"

#include <math.h>
#include <string.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

#define CELL 64

/* ------------------------------------------------------------------------------------------------ values */

static double real_of(const dm_json_node *object, const char *key)
{
    return dm_json_number(dm_json_member(object, key));
}

static int64_t integer_of(const dm_json_node *object, const char *key)
{
    int64_t v = 0;
    (void)dm_json_integer(dm_json_member(object, key), &v);
    return v;
}

static const char *text_of(const dm_json_node *object, const char *key)
{
    const char *text = dm_json_string(dm_json_member(object, key));
    return text != NULL ? text : "-";
}

static bool is_possible(const dm_json_node *shift) { return strcmp(text_of(shift, "status"), "ok") == 0; }

static demarc_status add_count(cli_table *t, const dm_json_node *object, const char *key)
{
    char digits[32];
    return cli_table_cell(t, cli_grouped(digits, integer_of(object, key)));
}

/* "0.0742 [0.0644, 0.0835]", times `unit`, with as many decimals as two digits of the interval's half-width have. */
static demarc_status add_interval(cli_table *t, const dm_json_node *object, const char *key, double unit)
{
    const dm_json_node *v = dm_json_member(object, key);
    const double value = unit * real_of(v, "value"), low = unit * real_of(v, "low"), high = unit * real_of(v, "high");
    const double half = (high - low) / 2.0;
    if (isnan(value)) return cli_table_cell(t, "-");
    if (isnan(half)) return cli_table_cellf(t, "%.5g", value);
    if (!(half > 0.0)) return cli_table_cellf(t, "%.5g [%.5g, %.5g]", value, low, high);
    const int decimals = 1 - (int)floor(log10(half));
    if (decimals > 9 || fabs(value) >= 1e9) return cli_table_cellf(t, "%.5g [%.5g, %.5g]", value, low, high);
    const int shown = decimals > 0 ? decimals : 0;
    return cli_table_cellf(t, "%.*f [%.*f, %.*f]", shown, value, shown, low, shown, high);
}

static demarc_status add_p(cli_table *t, double p)
{
    if (isnan(p)) return cli_table_cell(t, "-");
    return p < 0.0001 ? cli_table_cell(t, "<0.0001") : cli_table_cellf(t, "%.4f", p);
}

static demarc_status begin_table(cli_table *t, const char *title, const char *align, const char *const *heading)
{
    demarc_status st = DEMARC_OK;
    const bool colour = cli_colour();
    printf("\n%s%s%s\n", colour ? "\033[1m" : "", title, colour ? "\033[0m" : "");
    cli_table_begin(t, align);
    t->indent = "  ";
    for (; *heading != NULL && st == DEMARC_OK; heading++) st = cli_table_heading(t, *heading);
    return st;
}

/* What both tables begin a row with. */
static demarc_status add_move(cli_table *t, const dm_json_node *shift)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(cli_table_cellf(t, "%lld", (long long)integer_of(shift, "segment")));
    DM_TRY(cli_table_cellf(t, "%+.4g%%", 100.0 * real_of(shift, "shift")));
cleanup:
    return st;
}

/* What stands under every table of tests. */
static void print_tests(const dm_json_node *root, bool exploratory)
{
    const bool holm = strcmp(text_of(root, "adjust"), "holm") == 0;
    if (integer_of(root, "replicates") == 0) {
        printf("  0 tests: no replicates, no intervals, no verdicts; observational");
    } else {
        printf("  %lld tests in all, p adjusted by %s, %s at most %.4g; [] %.4g%% each; observational",
               (long long)integer_of(root, "tests"), holm ? "Holm" : "Benjamini-Hochberg",
               holm ? "family-wise error" : "false discovery rate", real_of(root, "alpha"),
               100.0 * (1.0 - real_of(root, "alpha")));
    }
    puts(exploratory ? ", exploratory" : "");
}

/* ------------------------------------------------------------------------------------------------ moves */

/* "1: 1,024, 3: 12" */
static demarc_status add_others(cli_table *t, const dm_json_node *shift)
{
    char text[512] = "-";
    size_t used = 0;
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(shift, "with"), &c) && used < sizeof text) {
        char digits[32];
        const int n =
            snprintf(text + used, sizeof text - used, "%s%lld: %s", used > 0 ? "; " : "",
                     (long long)integer_of(c.value, "segment"), cli_grouped(digits, integer_of(c.value, "count")));
        if (n < 0) break;
        used += (size_t)n;
    }
    return cli_table_cell(t, text);
}

static demarc_status add_shift(cli_table *t, const dm_json_node *shift, double objective)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(add_move(t, shift));
    DM_TRY(add_count(t, shift, "target"));
    if (!is_possible(shift)) {
        for (int i = 0; i < 3; i++) DM_TRY(cli_table_cell(t, "-"));
        DM_TRY(cli_table_cell(t, "impossible: more than there are"));
        goto cleanup;
    }
    DM_TRY(cli_table_cellf(t, "%.6g%s", real_of(shift, "offset"), integer_of(shift, "tied") > 0 ? "*" : ""));
    DM_TRY(add_count(t, shift, "movers"));
    DM_TRY(add_interval(t, shift, "objective_change", 100.0 / objective));
    DM_TRY(add_others(t, shift));
cleanup:
    return st;
}

static demarc_status print_moves(const dm_json_node *root)
{
    static const char *const heading[] = {
        "segment", "shift", "customers", "offset", "movers", "objective change %", "from or to segment: movers", NULL};
    demarc_status st = DEMARC_OK;
    const double objective = real_of(root, "objective");
    bool tied = false;
    dm_json_cursor c = {0};
    cli_table t = {0};
    DM_TRY(begin_table(&t, "moves", "rrrrrrl", heading));
    while (dm_json_next(dm_json_member(root, "shifts"), &c)) {
        tied = tied || integer_of(c.value, "tied") > 0;
        DM_TRY(add_shift(&t, c.value, objective));
    }
    DM_TRY(cli_table_print(&t));
    if (tied) puts("  * customers are equally near to the new line: ids decide who is inside, an offset alone cannot");
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ outcomes */

static dm_json_node *item(dm_json_node *list, int64_t index)
{
    dm_json_cursor c = {.index = (size_t)index};
    return dm_json_next(list, &c) ? c.value : NULL;
}

static demarc_status add_effect(cli_table *t, const dm_json_node *shift, int64_t o)
{
    demarc_status st = DEMARC_OK;
    const dm_json_node *e = item(dm_json_member(shift, "outcomes"), o);
    if (e == NULL) return DEMARC_OK; /* an impossible shift */
    DM_TRY(add_move(t, shift));
    DM_TRY(add_count(t, e, "n"));
    DM_TRY(add_interval(t, e, "movers", 1.0));
    DM_TRY(add_interval(t, e, "left", 1.0));
    DM_TRY(add_interval(t, e, "joined", 1.0));
    DM_TRY(add_interval(t, e, "eta_squared_change", 100.0));
    DM_TRY(add_p(t, real_of(e, "p_adjusted")));
    DM_TRY(cli_table_cell(t, text_of(e, "verdict")));
cleanup:
    return st;
}

static demarc_status print_outcome(const dm_json_node *root, const dm_json_node *outcome, int64_t o)
{
    static const char *const heading[] = {"segment", "shift",         "n",      "movers",          "left",
                                          "joined",  "eta2 change %", "p adj.", "movers resemble", NULL};
    demarc_status st = DEMARC_OK;
    char title[512];
    dm_json_cursor c = {0};
    cli_table t = {0};
    const char *feature = dm_json_string(dm_json_member(outcome, "exploratory_feature"));
    snprintf(title, sizeof title, "outcome %.100s: means%s%.100s%s", text_of(outcome, "name"),
             feature != NULL ? " (exploratory: the segments were drawn by " : "", feature != NULL ? feature : "",
             feature != NULL ? ")" : "");
    DM_TRY(begin_table(&t, title, "rrrrrrrrl", heading));
    while (dm_json_next(dm_json_member(root, "shifts"), &c)) DM_TRY(add_effect(&t, c.value, o));
    DM_TRY(cli_table_print(&t));
    print_tests(root, feature != NULL);
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void print_notes(const dm_json_node *root, bool exploratory)
{
    const int64_t replicates = integer_of(root, "replicates");
    putchar('\n');
    if (replicates > 0)
        printf("[] are percentile intervals of %lld Poisson-bootstrap replicates. ", (long long)replicates);
    puts("Offsets are in scaled units squared, means in\n"
         "units of the outcome. Observational: customers were not assigned to segments at random, so the tables say\n"
         "whom the movers are like, not what moving them would do.");
    if (exploratory)
        puts("Exploratory: an outcome that the segments were drawn by differs between them by construction.");
}

static demarc_status print_sweep(const dm_json_node *root)
{
    demarc_status st = DEMARC_OK;
    char digits[32];
    bool exploratory = false;
    dm_json_cursor c = {0};
    printf("%s customers, %lld segments, objective %.10g, model %s\n", cli_grouped(digits, integer_of(root, "n")),
           (long long)integer_of(root, "k"), real_of(root, "objective"), text_of(root, "model_digest"));
    DM_TRY(print_moves(root));
    while (dm_json_next(dm_json_member(root, "outcomes"), &c)) {
        exploratory = exploratory || dm_json_flag(dm_json_member(c.value, "exploratory"));
        DM_TRY(print_outcome(root, c.value, (int64_t)c.index - 1));
    }
    print_notes(root, exploratory);
cleanup:
    return st;
}

demarc_status cli_sweep_print(const char *json)
{
    dm_json_node *root = NULL;
    demarc_status st = dm_json_parse(json, "result of boundary sweep", &root);
    if (st == DEMARC_OK) st = print_sweep(root);
    dm_json_release(&root);
    return st;
}
