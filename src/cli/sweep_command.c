/* demarc boundary sweep DATA.h5 --model MODEL.h5 */

#include "cli/common.h"
#include "cli/shared_options.h"
#include "cli/stop_signals.h"
#include "cli/sweep_text.h"

#define MOVES "Moves"
#define TESTS "Tests"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_sweep_options *o = options;
    const cli_option table[] = {
        CLI_MODEL(MOVES, &o->model),
        CLI_SHIFTS(MOVES, &o->shifts),
        CLI_OPTION(TESTS, "replicates", "N", CLI_INT32, &o->replicates,
                   "Poisson-bootstrap replicates; 0 = no intervals and no verdicts", .min = 0, .max = 1000000,
                   .show_default = true),
        CLI_ALPHA(TESTS, &o->alpha),
        CLI_ADJUST(TESTS, &o->adjust),
        CLI_MIN_CELL(TESTS, &o->min_cell, "movers, and customers they are held against, needed for a verdict", 0),
        CLI_MIN_EVENTS(TESTS, &o->min_events, "of a 0/1 outcome, movers with each value needed for a verdict"),
        CLI_OPTION(TESTS, "seed", "N", CLI_UINT64, &o->seed, "another seed gives other replicates",
                   .show_default = true),
        CLI_OPTION(OUTPUT, "out", "FILE.h5", CLI_OUTPUT, &o->out,
                   "file to write: id, segment, critical_offset [n, k] of every row"),
        CLI_OPTION(OUTPUT, "apply", "MODEL.h5", CLI_OUTPUT, &o->apply, "model to write with one boundary moved"),
        CLI_OPTION(OUTPUT, "apply-segment", "J", CLI_INT32, &o->apply_segment, "the segment that --apply moves",
                   .min = 0, .max = INT32_MAX),
        CLI_OPTION(OUTPUT, "apply-shift", "S", CLI_REAL, &o->apply_shift,
                   "the share that --apply moves it by; need not be one of --shifts", .min = -1, .max = 1e9),
        CLI_OPTION(OUTPUT, "checkpoint", "NAME", CLI_TEXT, &o->checkpoint,
                   "keep checkpoints in .NAME.checkpoint (default: beside --out or --apply, else none)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_checkpoint_add(line, OUTPUT, &o->checkpoint_every, &o->resume);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_paths_add(line, &o->paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_sweep_options *o = options;
    o->data = line->argument[0];
    const bool keeps = !o->dry_run && (o->checkpoint != NULL || o->out != NULL || o->apply != NULL);
    cli_stop_signals(keeps);
    const demarc_status st = demarc_boundary_sweep(ctx, o, json);
    if (keeps) cli_stop_signals(false);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_sweep_options o;
    demarc_sweep_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_sweep_print, NULL});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_sweep = {
    .name = "boundary sweep",
    .summary = "what would change if each segment held more or fewer customers (observational)",
    .arguments = "DATA.h5 --model MODEL.h5",
    .argument = argument_names,
    .notes = "For each segment and share the boundary is moved to exactly where the segment holds so many customers.\n"
             "Told are who moves, how the objective changes, and for each outcome the means of the movers, of the\n"
             "segment they leave and of the one they join: movers resemble the one or the other, or it is undecided.\n"
             "A file without outcomes gives members and objective only. Customers equally near to the new line go\n"
             "in the order of their ids. An outcome that the segments are drawn by is labelled exploratory.\n"
             "\n"
             "SIGTERM, SIGINT and SIGUSR1 stop a run that has a place for checkpoints: it saves and exits with 75.\n"
             "The same command with --resume goes on, on any ranks and threads, to the same bytes. Without such\n"
             "a place nothing is kept, and a signal ends the run.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --outcomes\n"
               "  demarc fit customers.h5 --segments 4 --out run1\n"
               "  demarc boundary sweep customers.h5 --model run1/model.h5\n"
               "  demarc boundary sweep customers.h5 --model run1/model.h5 --replicates 0 \\\n"
               "    --apply moved.h5 --apply-segment 0 --apply-shift 0.1\n"
               "  demarc assign customers.h5 --model moved.h5 --out moved_segments.h5\n",
    .run = run,
    .stops = true,
};
