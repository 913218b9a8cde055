#include "cli/replay_text.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

#define WORD 256

/* The document, and what all tables of it need. */
typedef struct replay_doc {
    dm_json_node *root, *arms; /* arms of the campaign */
    dm_json_node *cost;        /* by arm; without items = none was told */
    bool given;                /* the policy, by the user */
    int64_t control;           /* -1 = none */
    char note[WORD];           /* under each table of tests */
    char level[16];            /* "95%": of the intervals */
} replay_doc;

/* ------------------------------------------------------------------------------------------------ values */

/* "-" for null and for what is not there. */
static const char *text_of(const dm_json_node *object, const char *key, char buf[WORD])
{
    const dm_json_node *v = dm_json_member(object, key);
    snprintf(buf, WORD, "-");
    if (v != NULL) dm_json_scalar_text(v, buf, WORD);
    return buf;
}

static int64_t integer_of(const dm_json_node *object, const char *key)
{
    int64_t v = -1;
    const dm_json_node *node = dm_json_member(object, key);
    return node != NULL && dm_json_integer(node, &v) ? v : -1;
}

/* False for null. */
static bool real_of(const dm_json_node *object, const char *key, double *v)
{
    char buf[WORD], *end = NULL;
    *v = strtod(text_of(object, key, buf), &end);
    return end > buf && *end == 0;
}

static bool is_null(const dm_json_node *object, const char *key)
{
    char buf[WORD];
    return strcmp(text_of(object, key, buf), "-") == 0;
}

static dm_json_node *item(dm_json_node *list, int64_t index)
{
    dm_json_cursor c = {0};
    while (dm_json_next(list, &c)) {
        if ((int64_t)c.index - 1 == index) return c.value;
    }
    return NULL;
}

/* Name of an arm, its number where it has none. */
static void arm_name(const replay_doc *d, int64_t arm, char buf[WORD])
{
    const dm_json_node *a = item(d->arms, arm);
    snprintf(buf, WORD, "%lld", (long long)arm);
    if (a != NULL && !is_null(a, "name")) text_of(a, "name", buf);
}

/* ------------------------------------------------------------------------------------------------ cells */

static demarc_status add_text(cli_table *t, const dm_json_node *object, const char *key)
{
    char buf[WORD];
    return cli_table_cell(t, text_of(object, key, buf));
}

static demarc_status add_count(cli_table *t, const dm_json_node *object, const char *key)
{
    char buf[32];
    const int64_t v = integer_of(object, key);
    return cli_table_cell(t, v < 0 ? "-" : cli_grouped(buf, v));
}

static demarc_status add_real(cli_table *t, const dm_json_node *object, const char *key, const char *format)
{
    double v = 0.0;
    char buf[64];
    if (!real_of(object, key, &v)) return cli_table_cell(t, "-");
    snprintf(buf, sizeof buf, format, v);
    return cli_table_cell(t, buf);
}

/* "+0.0740" and "[0.0644, 0.0835]" */
static demarc_status add_estimate(cli_table *t, const dm_json_node *e, const char *format)
{
    demarc_status st = DEMARC_OK;
    double low = 0.0, high = 0.0;
    DM_TRY(add_real(t, e, "value", format));
    if (real_of(e, "low", &low) && real_of(e, "high", &high)) {
        DM_TRY(cli_table_cellf(t, "[%.4g, %.4g]", low, high));
    } else {
        DM_TRY(cli_table_cell(t, "-"));
    }
cleanup:
    return st;
}

static demarc_status begin_table(cli_table *t, const char *align, const char *const *heading)
{
    demarc_status st = DEMARC_OK;
    cli_table_begin(t, align);
    t->indent = "  ";
    for (; *heading != NULL && st == DEMARC_OK; heading++) st = cli_table_heading(t, *heading);
    return st;
}

/* Under a table whose figures costs concern. */
static void print_costs(const replay_doc *d, const char *words)
{
    if (dm_json_count(d->cost) > 0) printf("  %s\n", words);
}

#define GROSS "gross: the costs of arms are not taken off"
#define NET "net of the costs of arms"

/* ------------------------------------------------------------------------------------------------ campaign */

static void print_head(const replay_doc *d)
{
    const dm_json_node *campaign = dm_json_member(d->root, "campaign"), *r = dm_json_member(campaign, "sample_ratio");
    char a[WORD], b[WORD], c[WORD];
    const bool passed = strcmp(text_of(r, "passed", a), "yes") == 0;
    text_of(r, "chi_squared", a);
    text_of(r, "freedom", b);
    text_of(r, "p", c);
    printf("sample ratio  chi-squared %s, %s degree%s of freedom, p %s: %s\n", a, b, strcmp(b, "1") == 0 ? "" : "s", c,
           passed ? "passed" : "FAILED");
    if (!is_null(d->root, "stopped")) printf("\nSTOPPED: no verdict is given. %s\n", text_of(d->root, "stopped", a));
}

static bool listed(dm_json_node *list, int64_t v)
{
    dm_json_cursor c = {0};
    int64_t each = 0;
    while (dm_json_next(list, &c)) {
        if (dm_json_integer(c.value, &each) && each == v) return true;
    }
    return false;
}

static demarc_status print_campaign(const replay_doc *d)
{
    static const char *const heading[] = {"arm", "name", "customers", "expected", "share", "part", NULL};
    demarc_status st = DEMARC_OK;
    const dm_json_node *campaign = dm_json_member(d->root, "campaign");
    const bool costs = dm_json_count(d->cost) > 0;
    char name[WORD];
    cli_table t;
    puts("\ncampaign");
    DM_TRY(begin_table(&t, costs ? "rlrrrlr" : "rlrrrl", heading));
    if (costs) DM_TRY(cli_table_heading(&t, "cost"));
    dm_json_cursor c = {0};
    while (dm_json_next(d->arms, &c)) {
        const int64_t arm = integer_of(c.value, "arm");
        double share = 0.0;
        (void)real_of(c.value, "share", &share);
        DM_TRY(add_count(&t, c.value, "arm"));
        arm_name(d, arm, name);
        DM_TRY(cli_table_cell(&t, name));
        DM_TRY(add_count(&t, c.value, "n"));
        DM_TRY(add_real(&t, c.value, "expected", "%.1f"));
        DM_TRY(cli_table_cellf(&t, "%.1f%%", 100.0 * share));
        DM_TRY(cli_table_cellf(&t, "%s%s", arm == d->control ? "control" : "",
                               listed(dm_json_member(campaign, "candidates"), arm) ? ""
                               : arm == d->control                                 ? ", not in the policy"
                                                                                   : "not in the policy"));
        if (costs) DM_TRY(cli_table_cellf(&t, "%g", dm_json_number(item(d->cost, arm))));
    }
    DM_TRY(cli_table_print(&t));
    if (d->control < 0) puts("  no control is named (--control NAME)");
    printf("  probability of an arm: %s\n", text_of(campaign, "propensity", name));
    if (d->given) puts("  the policy is given (--policy), not learnt");
    print_costs(d, "costs per customer, in units of the outcome");
cleanup:
    cli_table_clear(&t);
    return st;
}

/* ------------------------------------------------------------------------------------------------ an outcome */

/* The effect of `arm` in a list of them, NULL for the arm that the others are held against. */
static dm_json_node *effect_of(dm_json_node *effects, int64_t arm)
{
    dm_json_cursor c = {0};
    while (dm_json_next(effects, &c)) {
        if (integer_of(c.value, "arm") == arm) return c.value;
    }
    return NULL;
}

static demarc_status add_arm(const replay_doc *d, cli_table *t, const dm_json_node *arm, const dm_json_node *effect)
{
    demarc_status st = DEMARC_OK;
    char name[WORD];
    arm_name(d, integer_of(arm, "arm"), name);
    DM_TRY(cli_table_cell(t, name));
    DM_TRY(add_count(t, arm, "n"));
    DM_TRY(add_real(t, arm, "mean", "%.6g"));
    DM_TRY(add_real(t, arm, "se", "%.3g"));
    DM_TRY(add_estimate(t, dm_json_member(effect, "difference"), "%+.5g"));
cleanup:
    return st;
}

static demarc_status print_arms(const replay_doc *d, const dm_json_node *y)
{
    static const char *const heading[] = {"arm",      "customers",  "mean",    "se", "difference",
                                          "interval", "p adjusted", "verdict", NULL};
    demarc_status st = DEMARC_OK;
    dm_json_node *effects = dm_json_member(y, "effects");
    cli_table t;
    char against[WORD];
    DM_TRY(begin_table(&t, "lrrrrlrl", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(y, "arms"), &c)) {
        const dm_json_node *effect = effect_of(effects, integer_of(c.value, "arm"));
        DM_TRY(add_arm(d, &t, c.value, effect));
        DM_TRY(add_real(&t, effect, "p_adjusted", "%.2g"));
        DM_TRY(add_text(&t, effect, "verdict"));
    }
    DM_TRY(cli_table_print(&t));
    arm_name(d, integer_of(item(effects, 0), "against"), against);
    printf("  difference from %s, in units of the outcome\n  %s\n", against, d->note);
    print_costs(d, GROSS);
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_segments(const replay_doc *d, const dm_json_node *y)
{
    static const char *const heading[] = {"segment", "size", "policy",     "arm",      "customers",
                                          "mean",    "se",   "difference", "interval", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    DM_TRY(begin_table(&t, "rrllrrrrl", heading));
    dm_json_cursor s = {0};
    while (dm_json_next(dm_json_member(y, "segments"), &s)) {
        int64_t choice[2] = {-1, -1};
        char policy[2][WORD];
        for (int half = 0; half < 2; half++) {
            (void)dm_json_integer(item(dm_json_member(s.value, "policy"), half), &choice[half]);
            arm_name(d, choice[half], policy[half]);
        }
        dm_json_cursor c = {0};
        while (dm_json_next(dm_json_member(s.value, "arms"), &c)) {
            if (c.index == 1) {
                DM_TRY(add_count(&t, s.value, "segment"));
                DM_TRY(add_count(&t, s.value, "size"));
                DM_TRY(choice[0] == choice[1] ? cli_table_cell(&t, policy[0])
                                              : cli_table_cellf(&t, "%.100s | %.100s", policy[0], policy[1]));
            } else {
                for (int i = 0; i < 3; i++) DM_TRY(cli_table_cell(&t, ""));
            }
            DM_TRY(add_arm(d, &t, c.value, effect_of(dm_json_member(s.value, "effects"), integer_of(c.value, "arm"))));
        }
    }
    DM_TRY(cli_table_print(&t));
    printf("  policy: the arm %s; %s intervals, not tested\n",
           d->given ? "that was given"
                    : "learnt on the other half of the customers (half 0 | half 1 where they differ)",
           d->level);
    print_costs(d, GROSS);
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status add_rule(cli_table *t, const char *name, const dm_json_node *rule)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(cli_table_cell(t, name));
    DM_TRY(add_estimate(t, dm_json_member(rule, "aipw"), "%.6g"));
    DM_TRY(add_estimate(t, dm_json_member(rule, "ipw"), "%.6g"));
cleanup:
    return st;
}

static demarc_status print_value(const replay_doc *d, const dm_json_node *y)
{
    static const char *const heading[] = {"rule", "AIPW", "interval", "IPW", "interval", NULL};
    demarc_status st = DEMARC_OK;
    const dm_json_node *value = dm_json_member(y, "value");
    char name[WORD], rule[WORD + 16];
    cli_table t;
    DM_TRY(begin_table(&t, "lrlrl", heading));
    DM_TRY(add_rule(&t, "policy", value));
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(value, "constant"), &c)) {
        arm_name(d, integer_of(c.value, "arm"), name);
        snprintf(rule, sizeof rule, "all get %s", name);
        DM_TRY(add_rule(&t, rule, c.value));
    }
    const dm_json_node *gain = dm_json_member(value, "gain_over_control");
    if (dm_json_shape_of(gain) == DM_JSON_OBJECT) {
        DM_TRY(cli_table_cell(&t, "policy - control"));
        DM_TRY(add_estimate(&t, gain, "%+.5g"));
        for (int i = 0; i < 2; i++) DM_TRY(cli_table_cell(&t, ""));
    }
    DM_TRY(cli_table_print(&t));
    printf("  units of the outcome per customer; %s; %s intervals\n",
           d->given ? "the policy is the one that was given" : "valued on the half that did not choose", d->level);
    print_costs(d, NET);
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_shifts(const replay_doc *d, const dm_json_node *y)
{
    static const char *const heading[] = {"segment",  "shift", "target",    "movers",     "changing", "change, AIPW",
                                          "interval", "IPW",   "per mover", "p adjusted", "verdict",  NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    DM_TRY(begin_table(&t, "rrrrrrlrrrl", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(y, "shifts"), &c)) {
        const dm_json_node *s = c.value;
        double shift = 0.0;
        char status[WORD];
        (void)real_of(s, "shift", &shift);
        text_of(s, "status", status);
        DM_TRY(add_count(&t, s, "segment"));
        DM_TRY(cli_table_cellf(&t, "%+g%%", 100.0 * shift));
        DM_TRY(add_count(&t, s, "target"));
        DM_TRY(add_count(&t, s, "movers"));
        DM_TRY(add_count(&t, s, "changing"));
        DM_TRY(add_estimate(&t, dm_json_member(s, "aipw"), "%+.4g"));
        DM_TRY(add_real(&t, dm_json_member(s, "ipw"), "value", "%+.4g"));
        DM_TRY(add_real(&t, s, "per_mover", "%+.4g"));
        DM_TRY(add_real(&t, s, "p_adjusted", "%.2g"));
        DM_TRY(strcmp(status, "ok") == 0 ? add_text(&t, s, "verdict") : cli_table_cell(&t, status));
    }
    DM_TRY(cli_table_print(&t));
    printf("  change of the policy's value per customer of the file; changing: movers who get another arm\n  %s\n",
           d->note);
    print_costs(d, NET);
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_verdicts(const dm_json_node *y)
{
    static const char *const heading[] = {"segment", "verdict", "by", "reason", NULL};
    demarc_status st = DEMARC_OK;
    cli_table t;
    DM_TRY(begin_table(&t, "rlrl", heading));
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(y, "verdicts"), &c)) {
        double shift = 0.0;
        DM_TRY(add_count(&t, c.value, "segment"));
        DM_TRY(add_text(&t, c.value, "verdict"));
        DM_TRY(real_of(c.value, "shift", &shift) ? cli_table_cellf(&t, "%+g%%", 100.0 * shift)
                                                 : cli_table_cell(&t, "-"));
        DM_TRY(add_text(&t, c.value, "reason"));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_outcome(const replay_doc *d, const dm_json_node *y)
{
    demarc_status st = DEMARC_OK;
    char name[WORD], feature[WORD], n[32];
    text_of(y, "name", name);
    printf("\noutcome %s: %s customers%s\n", name, cli_grouped(n, integer_of(y, "n")),
           strcmp(text_of(y, "binary", feature), "yes") == 0 ? ", 0 or 1" : "");
    if (!is_null(y, "exploratory_feature")) {
        printf("EXPLORATORY: feature %s, by which the segments are drawn, is this outcome or a transform of it\n",
               text_of(y, "exploratory_feature", feature));
    }
    printf("\n%s: effect of each arm\n", name);
    DM_TRY(print_arms(d, y));
    printf("\n%s: in each segment\n", name);
    DM_TRY(print_segments(d, y));
    printf("\n%s: value of the policy \"each segment gets its arm\"\n", name);
    DM_TRY(print_value(d, y));
    printf("\n%s: moves of boundaries\n", name);
    DM_TRY(print_shifts(d, y));
    printf("\n%s: verdicts\n", name);
    DM_TRY(print_verdicts(y));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ all of it */

static void make_note(replay_doc *d)
{
    char alpha[WORD], adjust[WORD], tests[32];
    double level = 0.0;
    (void)real_of(d->root, "alpha", &level);
    text_of(d->root, "alpha", alpha);
    snprintf(d->level, sizeof d->level, "%g%%", 100.0 * (1.0 - level));
    const bool holm = strcmp(text_of(d->root, "adjust", adjust), "holm") == 0;
    snprintf(d->note, sizeof d->note,
             "%s tests in all (effects and moves of every outcome), %s %.20s; %s intervals, each",
             cli_grouped(tests, integer_of(d->root, "tests")),
             holm ? "adjusted by Holm, family-wise level" : "adjusted by Benjamini and Hochberg, false discovery rate",
             alpha, d->level);
}

demarc_status cli_replay_print(const char *json)
{
    replay_doc d = {0};
    demarc_status st = dm_json_parse(json, "result of demarc boundary replay", &d.root);
    if (st != DEMARC_OK) return st;
    const dm_json_node *campaign = dm_json_member(d.root, "campaign");
    d.arms = dm_json_member(campaign, "arms");
    d.control = integer_of(campaign, "control");
    d.cost = dm_json_member(campaign, "arm_costs");
    char word[WORD];
    d.given = strcmp(text_of(campaign, "policy", word), "given") == 0;
    make_note(&d);
    print_head(&d);
    DM_TRY(print_campaign(&d));
    dm_json_cursor c = {0};
    while (dm_json_next(dm_json_member(d.root, "outcomes"), &c)) DM_TRY(print_outcome(&d, c.value));
cleanup:
    dm_json_release(&d.root);
    return st;
}
