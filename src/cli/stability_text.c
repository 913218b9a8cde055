#include "cli/stability_text.h"

#include <math.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

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

static demarc_status add_share(cli_table *t, double v)
{
    return isnan(v) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.1f%%", 100.0 * v);
}

static demarc_status add_figure(cli_table *t, const dm_json_node *f)
{
    const double mean = real_of(f, "mean"), low = real_of(f, "low"), high = real_of(f, "high");
    if (isnan(mean)) return cli_table_cell(t, "-");
    if (isnan(low)) return cli_table_cellf(t, "%.3f", mean);
    return cli_table_cellf(t, "%.3f [%.3f, %.3f]", mean, low, high);
}

static void title(const char *text)
{
    const bool colour = cli_colour();
    printf("\n%s%s%s\n", colour ? "\033[1m" : "", text, colour ? "\033[0m" : "");
}

static demarc_status print_segments(const dm_json_node *root)
{
    static const char *const heading[] = {"segment",   "name",      "customers", "share",  "Jaccard",
                                          "recovered", "dissolved", "within",    "verdict"};
    demarc_status st = DEMARC_OK;
    char digits[32];
    dm_json_cursor c = {0};
    cli_table t;
    title("segments");
    cli_table_begin(&t, "rlrrrrrrl");
    t.indent = "  ";
    for (size_t i = 0; i < sizeof heading / sizeof *heading; i++) DM_TRY(cli_table_heading(&t, heading[i]));
    while (dm_json_next(dm_json_member(root, "segments"), &c)) {
        DM_TRY(cli_table_cellf(&t, "%lld", (long long)integer_of(c.value, "segment")));
        DM_TRY(cli_table_cell(&t, text_of(c.value, "name")));
        DM_TRY(cli_table_cell(&t, cli_grouped(digits, integer_of(c.value, "size"))));
        DM_TRY(add_share(&t, real_of(c.value, "share")));
        DM_TRY(add_figure(&t, dm_json_member(c.value, "jaccard")));
        DM_TRY(add_share(&t, real_of(c.value, "recovered_share")));
        DM_TRY(add_share(&t, real_of(c.value, "dissolved_share")));
        DM_TRY(add_figure(&t, dm_json_member(c.value, "within")));
        DM_TRY(cli_table_cell(&t, text_of(c.value, "word")));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

/* A row a segment, a column a solution. */
static demarc_status print_across(const dm_json_node *root)
{
    demarc_status st = DEMARC_OK;
    char align[72] = "r";
    const int64_t solutions = dm_json_count(dm_json_member(dm_json_member(root, "across"), "solutions"));
    const int64_t shown = solutions < (int64_t)sizeof align - 2 ? solutions : (int64_t)sizeof align - 2;
    dm_json_cursor c = {0}, s = {0};
    cli_table t;
    title("across solutions: 1 = all of the segment's customers are together in one of the k segments, 0 = spread "
          "evenly");
    for (int64_t i = 0; i < shown; i++) align[1 + i] = 'r';
    align[1 + shown] = 0;
    cli_table_begin(&t, align);
    t.indent = "  ";
    DM_TRY(cli_table_heading(&t, "segment"));
    while (dm_json_next(dm_json_member(dm_json_member(root, "across"), "solutions"), &s) && (int64_t)s.index <= shown) {
        char text[32];
        snprintf(text, sizeof text, "k = %lld", (long long)integer_of(s.value, "k"));
        DM_TRY(cli_table_heading(&t, text));
    }
    while (dm_json_next(dm_json_member(root, "segments"), &c)) {
        dm_json_cursor a = {0};
        DM_TRY(cli_table_cellf(&t, "%lld", (long long)integer_of(c.value, "segment")));
        while (dm_json_next(dm_json_member(c.value, "across"), &a) && (int64_t)a.index <= shown) {
            const double v = real_of(a.value, "value");
            DM_TRY(isnan(v) ? cli_table_cell(&t, "-") : cli_table_cellf(&t, "%.3f", v));
        }
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_stability(const dm_json_node *root)
{
    demarc_status st = DEMARC_OK;
    char all[32], some[32];
    const dm_json_node *sample = dm_json_member(root, "sample"), *rand = dm_json_member(root, "adjusted_rand");
    const int64_t n = integer_of(sample, "of"), m = integer_of(sample, "customers");
    const double level = 100.0 * real_of(root, "level");
    printf("%s customers, %lld segments, %lld replicates", cli_grouped(all, n), (long long)integer_of(root, "k"),
           (long long)integer_of(root, "replicates"));
    if (m < n) {
        printf(" fitted to a sample of %s, then %lld passes over all", cli_grouped(some, m),
               (long long)integer_of(root, "polish"));
    }
    printf(", model %s\n", text_of(root, "model_digest"));
    DM_TRY(print_segments(root));
    printf("  adjusted Rand index of model and replicate: %.3f [%.3f, %.3f]\n", real_of(rand, "mean"),
           real_of(rand, "low"), real_of(rand, "high"));
    if (dm_json_count(dm_json_member(root, "across")) > 0) DM_TRY(print_across(root));
    printf(
        "\n[] are %.4g%% percentile intervals of the replicates (within: of pairs of them): where single ones lie. "
        "Jaccard\n"
        "similarities of 0 to 1 over the customers drawn, within: over all; recovered: above 0.75, dissolved: 0.5 or\n"
        "less, shares of the replicates. Exploratory: no tests are made; a stable segment need not be a useful one.\n",
        level);
cleanup:
    return st;
}

demarc_status cli_stability_print(const char *json)
{
    dm_json_node *root = NULL;
    demarc_status st = dm_json_parse(json, "result of stability", &root);
    if (st == DEMARC_OK) st = print_stability(root);
    dm_json_release(&root);
    return st;
}
