/* demarc boundary replay DATA.h5 --model MODEL.h5 */
#include <stdlib.h>

#include "cli/common.h"
#include "cli/replay_text.h"
#include "cli/shared_options.h"
#include "cli/stop_signals.h"

#define CAMPAIGN "Campaign"
#define MOVES "Moves"
#define TESTS "Tests"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_replay_options *o = options;
    const cli_option table[] = {
        CLI_MODEL(CAMPAIGN, &o->model),
        CLI_OPTION(CAMPAIGN, "outcome", "NAMES", CLI_TEXT, &o->outcome, "outcomes to look at (default: all)"),
        CLI_OPTION(CAMPAIGN, "arms", "NAMES", CLI_TEXT, &o->arms,
                   "arms that the policy may give, by name or number (default: all)"),
        CLI_OPTION(CAMPAIGN, "policy", "S=ARM,...", CLI_TEXT, &o->policy,
                   "the arm that each segment gets, every segment once (default: learnt for each outcome)"),
        CLI_OPTION(CAMPAIGN, "arm-costs", "ARM=C,...", CLI_TEXT, &o->arm_costs,
                   "what giving an arm to a customer costs, in units of the one outcome looked at (default: nothing)"),
        CLI_OPTION(CAMPAIGN, "control", "NAME", CLI_TEXT, &o->control,
                   "arm that the others are held against, or none (default: as the file says, else one called control, "
                   "else arm 0)"),
        CLI_OPTION(CAMPAIGN, "arm-shares", "P,...", CLI_TEXT, &o->arm_shares,
                   "shares of the arms by the campaign's design (default: /propensity, else equal)"),
        CLI_OPTION(CAMPAIGN, "seed", "N", CLI_UINT64, &o->seed, "another seed gives other halves",
                   .show_default = true),
        CLI_SHIFTS(MOVES, &o->shifts),
        CLI_ALPHA(TESTS, &o->alpha),
        CLI_ADJUST(TESTS, &o->adjust),
        CLI_SRM_ALPHA(TESTS, &o->srm_alpha),
        CLI_MIN_CELL(TESTS, &o->min_cell, "customers per cell needed to choose an arm or to judge", 0),
        CLI_MIN_EVENTS(TESTS, &o->min_events, "of a 0/1 outcome, how many of each value are needed to judge"),
        CLI_OPTION(OUTPUT, "apply", "MODEL.h5", CLI_OUTPUT, &o->apply,
                   "model to write with the one boundary moved that gains most in the first outcome"),
        CLI_OPTION(OUTPUT, "checkpoint", "NAME", CLI_TEXT, &o->checkpoint,
                   "keep checkpoints in .NAME.checkpoint (default: beside --apply, else none)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_checkpoint_add(line, OUTPUT, &o->checkpoint_every, &o->resume);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_paths_add(line, &o->paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_replay_options *o = options;
    o->data = line->argument[0];
    const bool keeps = !o->dry_run && (o->checkpoint != NULL || o->apply != NULL);
    cli_stop_signals(keeps);
    const demarc_status st = demarc_boundary_replay(ctx, o, json);
    if (keeps) cli_stop_signals(false);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_replay_options o;
    demarc_replay_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_replay_print, NULL});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_replay = {
    .name = "boundary replay",
    .summary = "value of arms per segment, and of moving boundaries, from a past randomised campaign",
    .arguments = "DATA.h5 --model MODEL.h5",
    .argument = argument_names,
    .notes =
        "The file needs /arm and /outcomes. Which arm a segment should get is learnt on one half of the customers\n"
        "and valued on the other, and the reverse, so no test sees the data that chose it. A segment is to be\n"
        "widened or narrowed when that makes the policy worth more; it keeps its boundary when moving it either\n"
        "way costs value or changes nobody's arm. First the sizes of the arms are held against the design: where\n"
        "they do not fit, estimates are shown and nothing is judged.\n"
        "With --policy the arms are yours, and the question is whether the lines between them should move. With\n"
        "--arm-costs policies are learnt, and values and moves told, net of what the arms cost; effects stay gross.\n"
        "An outcome that the segments are drawn by is labelled exploratory.\n"
        "With a place for checkpoints SIGTERM, SIGINT and SIGUSR1 save and exit with 75; --resume goes on.\n",
    .example = "  demarc generate customers.h5 --customers 50000 --arms 2 --outcomes\n"
               "  demarc fit customers.h5 --segments 3 --out run1\n"
               "  demarc boundary replay customers.h5 --model run1/model.h5 --outcome visit,spend\n"
               "  demarc boundary replay customers.h5 --model run1/model.h5 --outcome visit --policy 0=1,1=0,2=1\n",
    .run = run,
    .stops = true,
};
