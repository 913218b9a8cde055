/* demarc boundary analyze EXPERIMENT.h5 RESULTS.h5 */

#include "cli/analyze_text.h"
#include "cli/common.h"
#include "cli/shared_options.h"

#define DATA "Data"
#define TESTS "Tests"
#define OUTPUT "Moved model"

/* What became of --apply, for people. */
static demarc_status print_applied(const void *options, const char *json)
{
    const demarc_analyze_options *o = options;
    dm_json_node *root = NULL;
    char path[1024];
    if (o->apply == NULL) return DEMARC_OK;
    demarc_status st = dm_json_parse(json, "result of demarc boundary analyze", &root);
    if (st != DEMARC_OK) return st;
    dm_text_escape(path, sizeof path, o->apply);
    const bool moves = dm_json_count(dm_json_member(root, "offsets")) > 0;
    printf("\n%s: %s\n", path,
           !moves       ? "not written, because no boundary moves"
           : o->dry_run ? "not written (dry run)"
                        : "model with the new offsets, for demarc assign");
    dm_json_release(&root);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *options)
{
    demarc_analyze_options *o = options;
    const cli_option table[] = {
        CLI_OPTION(DATA, "model", "MODEL.h5", CLI_TEXT, &o->model,
                   "the frozen model of the experiment; needed for new offsets"),
        CLI_OPTION(DATA, "outcome", "NAME", CLI_TEXT, &o->outcome,
                   "outcome to analyse (default: the plan's, else the first)"),
        CLI_OPTION(DATA, "pre", "NAME", CLI_TEXT, &o->pre,
                   "column from before the experiment that foretells the outcome: takes out its noise (CUPED)"),
        CLI_OPTION(TESTS, "alpha", "A", CLI_REAL, &o->alpha,
                   "level of the verdicts together; intervals have 1 - A each (default: the plan's)", .min = 0x1p-1022,
                   .max = 1.0, .below_max = true),
        CLI_ADJUST(TESTS, &o->adjust),
        CLI_SRM_ALPHA(TESTS, &o->srm_alpha),
        CLI_OPTION(TESTS, "max-attrition", "SHARE", CLI_REAL, &o->max_attrition,
                   "so many customers may lack an outcome; more stop the verdicts", .min = 0, .max = 1,
                   .show_default = true),
        CLI_MIN_CELL(TESTS, &o->min_cell, "fewer customers in an arm are not enough data", 2),
        CLI_MIN_EVENTS(TESTS, &o->min_events, "a 0/1 outcome needs so many of both in each arm"),
        CLI_OPTION(OUTPUT, "apply", "NEW.h5", CLI_OUTPUT, &o->apply,
                   "write the model with the boundaries moved as decided; nothing is written when none moves"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_paths_add(line, &o->paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_analyze_options *o = options;
    o->experiment = line->argument[0];
    o->results = line->argument[1];
    return demarc_boundary_analyze(ctx, o, json);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_analyze_options o;
    demarc_analyze_options_default(&o);
    return cli_document_run(command, argc, argv,
                            &(cli_document){&o, add_options, make, cli_analyze_print, print_applied});
}

static const char *const argument_names[] = {"EXPERIMENT.h5", "RESULTS.h5", NULL};

const cli_command cli_analyze = {
    .name = "boundary analyze",
    .summary = "from an experiment's outcomes: effect of switching per boundary, where it crosses zero, what to do",
    .arguments = "EXPERIMENT.h5 RESULTS.h5",
    .argument = argument_names,
    .notes =
        "RESULTS.h5 is a customer file with /id and /outcomes; it need not have features, and its rows may come in\n"
        "any order. A customer without a row, or whose outcome is NaN, is missing. Effects are randomised and\n"
        "post-stratified. When the arms do not hold the customers that were planned, or outcomes are missing for\n"
        "too many or more often in one arm, the verdicts are stopped. In the example nobody was treated (an A/A\n"
        "test): there is nothing to find.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --outcomes\n"
               "  demarc fit customers.h5 --segments 2 --out run1\n"
               "  demarc boundary plan customers.h5 --model run1/model.h5 --outcome spend --band-share 1 --out trial\n"
               "  demarc boundary analyze trial/experiment.h5 customers.h5 --pre pre_spend\n",
    .run = run,
};
