/* One row per number of segments, what was recommended and why. */
#include "cli/select_text.h"

#include <math.h>
#include <stdio.h>

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

static demarc_status add_real(cli_table *t, const dm_json_node *row, const char *key, int decimals)
{
    const double v = real_of(row, key);
    return isnan(v) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.*f", decimals, v);
}

/* "0.824 (0.017)": a figure and its standard error. */
static demarc_status add_with_error(cli_table *t, const dm_json_node *row, const char *key, const char *error)
{
    const double v = real_of(row, key), se = real_of(row, error);
    if (isnan(v)) return cli_table_cell(t, "-");
    return isnan(se) ? cli_table_cellf(t, "%.3f", v) : cli_table_cellf(t, "%.3f (%.3f)", v, se);
}

static demarc_status add_row(cli_table *t, const dm_json_node *row)
{
    demarc_status st = DEMARC_OK;
    const double explained = fabs(real_of(row, "explained_share")), smallest = real_of(row, "smallest_share");
    DM_TRY(cli_table_cellf(t, "%lld%s", (long long)integer_of(row, "k"),
                           dm_json_flag(dm_json_member(row, "chosen")) ? "*" : ""));
    DM_TRY(isnan(explained) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.1f%%", 100.0 * explained));
    DM_TRY(add_real(t, row, "calinski_harabasz", 1));
    DM_TRY(add_real(t, row, "davies_bouldin", 3));
    DM_TRY(add_real(t, row, "simplified_silhouette", 3));
    DM_TRY(isnan(smallest) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.1f%%", 100.0 * smallest));
    DM_TRY(add_with_error(t, row, "gap", "gap_se"));
    DM_TRY(add_with_error(t, row, "prediction_strength", "prediction_strength_se"));
    DM_TRY(add_real(t, row, "stability", 2));
    DM_TRY(add_real(t, row, "stability_lowest", 2));
    DM_TRY(cli_table_cell(t, dm_json_flag(dm_json_member(row, "eligible")) ? "yes" : "no"));
cleanup:
    return st;
}

static demarc_status print_rows(dm_json_node *root)
{
    static const char *const heading[] = {"segments",   "explained", "CH",        "DB",     "silhouette", "smallest",
                                          "gap (s.e.)", "PS (s.e.)", "stability", "lowest", "eligible"};
    demarc_status st = DEMARC_OK;
    dm_json_cursor c = {0};
    cli_table t;
    cli_table_begin(&t, "rrrrrrrrrrl");
    for (size_t i = 0; i < sizeof heading / sizeof *heading; i++) DM_TRY(cli_table_heading(&t, heading[i]));
    while (dm_json_next(dm_json_member(root, "per_k"), &c)) DM_TRY(add_row(&t, c.value));
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

/* Why each k that is not chosen is not. */
static void print_concerns(dm_json_node *root)
{
    dm_json_cursor c = {0};
    puts("\nwhat speaks against the others");
    while (dm_json_next(dm_json_member(root, "per_k"), &c)) {
        dm_json_cursor r = {0};
        if (dm_json_flag(dm_json_member(c.value, "chosen"))) continue;
        while (dm_json_next(dm_json_member(c.value, "reasons"), &r))
            printf("  %3lld: %s\n", (long long)integer_of(c.value, "k"), dm_json_string(r.value));
    }
}

static void print_notes(dm_json_node *root)
{
    const dm_json_node *sample = dm_json_member(root, "sample"), *replicates = dm_json_member(root, "replicates");
    char drawn[32], all[32];
    printf(
        "\nCH: Calinski-Harabasz; DB: Davies-Bouldin; silhouette: simplified; PS: prediction strength; stability: "
        "mean\n"
        "Jaccard with bootstrap replicates. Gap by %lld draws, PS by %lld halvings, stability by %lld replicates of\n"
        "%s of %s customers; all else of all. Exploratory: %lld numbers of segments were compared, no tests made.\n",
        (long long)integer_of(replicates, "gap"), (long long)integer_of(replicates, "halvings"),
        (long long)integer_of(replicates, "bootstrap"), cli_grouped(drawn, integer_of(sample, "customers")),
        cli_grouped(all, integer_of(sample, "of")), (long long)dm_json_count(dm_json_member(root, "per_k")));
}

demarc_status cli_select_print(const char *json)
{
    dm_json_node *root = NULL;
    dm_json_cursor c = {0};
    demarc_status st = dm_json_parse(json, "result of select", &root);
    if (st != DEMARC_OK) return st;
    const dm_json_node *recommendation = dm_json_member(root, "recommendation");
    const bool colour = cli_colour();
    printf("%s%s%s\n", colour ? "\033[1m" : "", text_of(recommendation, "sentence"), colour ? "\033[0m" : "");
    while (dm_json_next(dm_json_member(recommendation, "reasons"), &c)) printf("  - %s\n", dm_json_string(c.value));
    putchar('\n');
    st = print_rows(root);
    if (st == DEMARC_OK) {
        print_concerns(root);
        print_notes(root);
    }
    dm_json_release(&root);
    return st;
}
