/* demarc select DATA.h5 --segments LO:HI */

#include "cli/common.h"
#include "cli/fit_options.h"
#include "cli/select_text.h"

#define SEGMENTS "Segments"
#define EVIDENCE "Evidence"
#define SEARCH "Search"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_select_options *o = options;
    const cli_option table[] = {
        CLI_OPTION(SEGMENTS, "segments", "LO:HI", CLI_RANGE, &o->fit.k_lo, "numbers of segments to compare",
                   .target_high = &o->fit.k_hi, .min = 1, .max = 1e6, .required = true),
        CLI_OPTION(SEGMENTS, "min-segment-share", "P", CLI_REAL, &o->fit.min_segment_share,
                   "smallest share of the customers in a segment that is worth having; 0 = 0.01", .min = 0, .max = 1,
                   .below_max = true, .show_default = true),
        CLI_OPTION(EVIDENCE, "replicates", "B", CLI_INT32, &o->replicates,
                   "Poisson-bootstrap replicates of each number of segments; 0 = no stability", .min = 0, .max = 100000,
                   .show_default = true),
        CLI_OPTION(EVIDENCE, "gap-draws", "B", CLI_INT32, &o->gap_draws,
                   "reference draws of the gap statistic; 0 = no gap", .min = 0, .max = 100000, .show_default = true),
        CLI_OPTION(EVIDENCE, "halvings", "M", CLI_INT32, &o->halvings,
                   "random halvings of the prediction strength; 0 = none", .min = 0, .max = 100000,
                   .show_default = true),
    };
    const cli_option output[] = {
        CLI_OPTION(OUTPUT, "out", "FILE.json", CLI_OUTPUT, &o->out, "file for the JSON document"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_fit_features_add(line, &o->fit);
    cli_fit_search_add(line, &o->fit);
    cli_line_add(line, output, sizeof output / sizeof *output);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_paths_add(line, &o->fit.paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_select_options *o = options;
    o->fit.data = line->argument[0];
    return demarc_select(ctx, o, json);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_select_options o;
    demarc_select_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_select_print, NULL});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_select = {
    .name = "select",
    .summary = "how many segments there are",
    .arguments = "DATA.h5 --segments LO:HI",
    .argument = argument_names,
    .notes = "Each number of segments is fitted and measured over all customers. Gap statistic, prediction\n"
             "strength and bootstrap stability are of a sample: all customers up to 65,536, else 32,768. One\n"
             "number of segments is recommended, with the rule and the reasons; or none, where nothing speaks for\n"
             "segments.\n",
    .example = "  demarc generate customers.h5 --customers 5000 --segments 5\n"
               "  demarc select customers.h5 --segments 2:7\n",
    .run = run,
};
