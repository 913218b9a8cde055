/* demarc compare OLD NEW */

#include "cli/common.h"
#include "cli/compare_text.h"

#define DATA "Data"
#define TESTS "Tests"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_compare_options *o = options;
    const cli_option table[] = {
        CLI_OPTION(DATA, "old-data", "FILE.h5", CLI_TEXT, &o->old_data,
                   "customer file of the old run (default: as its manifest says)"),
        CLI_OPTION(DATA, "new-data", "FILE.h5", CLI_TEXT, &o->new_data,
                   "customer file of the new run (default: as its manifest says)"),
        CLI_OPTION(TESTS, "alpha", "P", CLI_REAL, &o->alpha,
                   "level of the tests of a table together; intervals have 1 - P each", .min = 0, .max = 1,
                   .below_max = true, .show_default = true),
        CLI_OPTION(TESTS, "bins", "N", CLI_INT32, &o->bins,
                   "bins of the population stability index, at the quantiles of the old values", .min = 2, .max = 1000,
                   .show_default = true),
        CLI_OPTION(TESTS, "equivalence", "X", CLI_REAL, &o->equivalence,
                   "a mean within X standard deviations is as expected", .min = 0, .max = 1e6, .show_default = true),
        CLI_OPTION(OUTPUT, "out", "FILE.json", CLI_OUTPUT, &o->out, "write the result as JSON (for demarc report)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_compare_options *o = options;
    o->old_run = line->argument[0];
    o->new_run = line->argument[1];
    return demarc_compare(ctx, o, json);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_compare_options o;
    demarc_compare_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_compare_print, NULL});
}

static const char *const argument_names[] = {"OLD", "NEW", NULL};

const cli_command cli_compare = {
    .name = "compare",
    .summary = "two runs: which segment is which, who moved and why, what drifted",
    .arguments = "OLD NEW",
    .argument = argument_names,
    .notes = "OLD and NEW are results directories of fits with the same features; customers are joined by id.\n"
             "Segments are matched on the customers in both runs, so names and colours stay; one without a\n"
             "partner was born or died. A customer who moved is counted at the first of three steps that takes\n"
             "him out of his segment: his new values, then the new scaling, then the new centroids; so the three\n"
             "sum to all moves. Drift compares all customers of each run, and those of each matched segment,\n"
             "feature by feature: \"none shown\" where the change may be chance, else small, moderate or large\n"
             "(psi below .1, below .25, above).\n"
             "Outcomes in both files are held against what the segment brought before: as expected (equivalent),\n"
             "shifted (different) or undecided; segments equal in every outcome are to be merged, shifted ones\n"
             "to be redefined. That is observational: nobody was randomised to a segment.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --segments 4 --outcomes\n"
               "  demarc fit customers.h5 --segments 4 --out run1\n"
               "  demarc fit customers.h5 --segments 5 --scale robust --out run2\n"
               "  demarc compare run1 run2 --out comparison.json\n",
    .run = run,
};
