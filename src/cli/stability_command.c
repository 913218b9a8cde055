/* demarc stability DATA.h5 --model MODEL.h5 */

#include "cli/common.h"
#include "cli/stop_signals.h"
#include "cli/stability_text.h"

#define REPLICATES "Replicates"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_stability_options *o = options;
    const cli_option table[] = {
        CLI_OPTION(REPLICATES, "model", "MODEL.h5", CLI_TEXT, &o->model, "model of a fit (model.h5 in its results)",
                   .required = true),
        CLI_OPTION(REPLICATES, "replicates", "N", CLI_INT32, &o->replicates,
                   "Poisson-bootstrap replicates, each fitted anew", .min = 2, .max = 1000000, .show_default = true),
        CLI_OPTION(
            REPLICATES, "polish", "N", CLI_INT32, &o->polish,
            "passes over all customers after the fit of a sample (default: 0 where the sample is everybody, else 2)",
            .min = 0, .max = 1e6),
        CLI_OPTION(REPLICATES, "across", "LO:HI", CLI_RANGE, &o->across_lo,
                   "numbers of segments whose solutions the segments are looked for in", .target_high = &o->across_hi,
                   .min = 1, .max = 1e6),
        CLI_OPTION(REPLICATES, "level", "P", CLI_REAL, &o->level, "of the percentile intervals", .min = 0, .max = 1,
                   .below_max = true, .show_default = true),
        CLI_OPTION(REPLICATES, "seed", "N", CLI_UINT64, &o->seed, "another seed gives other replicates",
                   .show_default = true),
        CLI_OPTION(OUTPUT, "out", "FILE.json", CLI_OUTPUT, &o->out, "file to write what --json prints"),
        CLI_OPTION(OUTPUT, "probabilities", "FILE.h5", CLI_OUTPUT, &o->probabilities,
                   "file to write: id, segment, probability [n, k], share of replicates a customer is in each segment"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_paths_add(line, &o->paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_stability_options *o = options;
    o->data = line->argument[0];
    cli_stop_signals(!o->dry_run);
    const demarc_status st = demarc_stability(ctx, o, json);
    if (!o->dry_run) cli_stop_signals(false);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_stability_options o;
    demarc_stability_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_stability_print, NULL});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_stability = {
    .name = "stability",
    .summary = "how stable the segments of a model are when customers are drawn anew",
    .arguments = "DATA.h5 --model MODEL.h5",
    .argument = argument_names,
    .notes = "Each replicate draws the customers anew (by id: neither ranks nor the order of rows matter), is\n"
             "seeded and searched on a sample of at most 65,536, refined on all, and held against the model:\n"
             "Jaccard similarity of each segment with the one most like it, over the customers drawn (Hennig\n"
             "2007). Words go by the mean: highly stable from .85 on, stable .75, pattern .6, unstable .5, else\n"
             "dissolved. Within: the same over all customers; across: is the segment one piece in solutions of\n"
             "other sizes (Dolnicar & Leisch 2017)? Exploratory: the replicates say whether segments come back,\n"
             "not whether they are of use. A signal ends a run with 75 and nothing is kept of it.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --segments 5\n"
               "  demarc fit customers.h5 --segments 5 --out run1\n"
               "  demarc stability customers.h5 --model run1/model.h5 --replicates 20\n"
               "  demarc stability customers.h5 --model run1/model.h5 --replicates 20 --across 3:6 \\\n"
               "    --out stability.json --probabilities probabilities.h5\n",
    .run = run,
    .stops = true,
};
