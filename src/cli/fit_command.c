/* demarc fit DATA.h5 --segments K or LO:HI --out DIR */
#include <math.h>
#include <stdlib.h>

#include "cli/common.h"
#include "cli/fit_options.h"
#include "cli/stop_signals.h"
#include "cli/table.h"
#include "cli/values.h"

#define SEGMENTS "Segments"
#define OUTPUT "Output"

typedef struct fit_command {
    demarc_fit_options o;
    int argc;
    char *const *argv;
} fit_command;

static void add_options(cli_line *line, void *state)
{
    demarc_fit_options *o = &((fit_command *)state)->o;
    const cli_option table[] = {
        CLI_OPTION(SEGMENTS, "segments", "K|LO:HI", CLI_RANGE, &o->k_lo, "how many, or a range to choose from",
                   .target_high = &o->k_hi, .min = 1, .max = 1e6, .required = true),
        CLI_OPTION(SEGMENTS, "min-segment-share", "P", CLI_REAL, &o->min_segment_share,
                   "smallest share of the customers in a segment; 0 = any", .min = 0, .max = 1, .below_max = true,
                   .show_default = true),
        CLI_OPTION(SEGMENTS, "names", "LIST", CLI_TEXT, &o->names,
                   "SEGMENT=NAME,...: names of segments (default: by what sets them apart)"),
    };
    const cli_option output[] = {
        CLI_OPTION(OUTPUT, "out", "DIR", CLI_OUTPUT, &o->out, "results directory to create", .required = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_fit_features_add(line, o);
    cli_fit_search_add(line, o);
    cli_line_add(line, output, sizeof output / sizeof *output);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
    cli_checkpoint_add(line, OUTPUT, &o->checkpoint_every, &o->resume);
    cli_paths_add(line, &o->paths);
}

static demarc_status add_segment(cli_table *t, const demarc_fit_result *r, int32_t s)
{
    demarc_status st = DEMARC_OK;
    const demarc_segment_row *row = &r->segment[s];
    char count[32];
    DM_TRY(cli_table_cellf(t, "%d", s));
    DM_TRY(cli_table_cell(t, row->name));
    DM_TRY(cli_table_cell(t, cli_grouped(count, row->size)));
    DM_TRY(cli_table_cellf(t, "%.1f%%", 100.0 * row->share));
    DM_TRY(cli_table_cellf(t, "%.1f%%", r->objective > 0.0 ? 100.0 * row->objective / r->objective : 0.0));
    DM_TRY(isnan(row->mean_margin) ? cli_table_cell(t, "-") : cli_table_cellf(t, "%.4g", row->mean_margin));
    DM_TRY(isnan(row->near_boundary) ? cli_table_cell(t, "-")
                                     : cli_table_cellf(t, "%.1f%%", 100.0 * row->near_boundary));
    if (row->nearest < 0) {
        DM_TRY(cli_table_cell(t, "-"));
    } else {
        DM_TRY(cli_table_cellf(t, "%d", row->nearest));
    }
    DM_TRY(cli_table_cell(t, row->top));
cleanup:
    return st;
}

static demarc_status print_segments(const demarc_fit_result *r)
{
    demarc_status st = DEMARC_OK;
    static const char *const heading[] = {"segment",       "name",      "customers",
                                          "share",         "objective", "mean margin",
                                          "near boundary", "nearest",   "what sets it apart"};
    cli_table t;
    cli_table_begin(&t, "rlrrrrrrl");
    for (size_t c = 0; c < sizeof heading / sizeof *heading; c++) DM_TRY(cli_table_heading(&t, heading[c]));
    for (int32_t s = 0; s < r->k; s++) DM_TRY(add_segment(&t, r, s));
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_summary(const demarc_fit_options *o, const demarc_fit_result *r)
{
    demarc_status st = DEMARC_OK;
    char count[32], path[1024];
    cli_table t;
    cli_table_begin(&t, "ll");
    DM_TRY(cli_table_cell(&t, "customers"));
    DM_TRY(cli_table_cell(&t, cli_grouped(count, r->n)));
    DM_TRY(cli_table_cell(&t, "features"));
    DM_TRY(cli_table_cellf(&t, "%d", r->d));
    DM_TRY(cli_table_cell(&t, "segments"));
    if (o->k_lo == o->k_hi) {
        DM_TRY(cli_table_cellf(&t, "%d", r->k));
    } else {
        DM_TRY(cli_table_cellf(&t, "%d, the best of %d to %d", r->k, o->k_lo, o->k_hi));
    }
    DM_TRY(cli_table_cell(&t, "objective"));
    DM_TRY(cli_table_cellf(&t, "%.10g", r->objective));
    DM_TRY(cli_table_cell(&t, "explained"));
    DM_TRY(isnan(r->explained) ? cli_table_cell(&t, "-") : cli_table_cellf(&t, "%.2f%%", 100.0 * r->explained));
    DM_TRY(cli_table_cell(&t, "iterations"));
    DM_TRY(cli_table_cellf(&t, "%d", r->iterations));
    DM_TRY(cli_table_cell(&t, "digest"));
    DM_TRY(cli_table_cell(&t, r->digest));
    DM_TRY(cli_table_cell(&t, "model"));
    cli_path_join(path, sizeof path, o->out, "model.h5");
    DM_TRY(cli_table_cell(&t, path));
    DM_TRY(cli_table_cell(&t, "assignments"));
    cli_path_join(path, sizeof path, o->out, "assignments.h5");
    DM_TRY(cli_table_cell(&t, path));
    DM_TRY(cli_table_cell(&t, "diagnostics"));
    cli_path_join(path, sizeof path, o->out, "diagnostics.json");
    DM_TRY(cli_table_cell(&t, path));
    DM_TRY(cli_table_cell(&t, "manifest"));
    cli_path_join(path, sizeof path, o->out, "manifest.json");
    DM_TRY(cli_table_cell(&t, path));
    putchar('\n');
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_dry_run(const demarc_fit_options *o, bool json)
{
    if (!json) {
        puts("dry run, nothing written");
        return DEMARC_OK;
    }
    dm_small_json *j = NULL;
    demarc_status st = dm_small_json_begin(&j);
    if (st != DEMARC_OK) return st;
    dm_small_json_text(j, "command", "fit");
    dm_small_json_path(j, "out", o->out);
    dm_small_json_bool(j, "dry_run", true);
    return cli_json_print(&j);
}

static demarc_status print_result(const demarc_fit_options *o, const demarc_fit_result *r, bool json)
{
    if (o->dry_run) return print_dry_run(o, json);
    if (json) {
        fputs(r->diagnostics_json, stdout);
        return DEMARC_OK;
    }
    if (r->k == 0) return DEMARC_OK; /* finished before, too large to be read back */
    demarc_status st = print_segments(r);
    return st == DEMARC_OK ? print_summary(o, r) : st;
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    fit_command *c = state;
    demarc_fit_options *o = &c->o;
    demarc_fit_result r = {0};
    o->data = line->argument[0];
    char *text = cli_command_line(c->argc, c->argv);
    if (text == NULL) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: command line: free some memory");
    DM_TRY(demarc_mpi_agree(st));
    o->command_line = text;
    cli_stop_signals(!o->dry_run);
    st = demarc_fit(ctx, o, &r);
    if (!o->dry_run) cli_stop_signals(false);
    DM_TRY(st);
    if (cli_prints(ctx)) st = print_result(o, &r, json);
cleanup:
    demarc_fit_result_clear(&r);
    free(text);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    fit_command c = {.argc = argc, .argv = argv};
    demarc_fit_options_default(&c.o);
    return cli_run(command, argc, argv, &(cli_body){&c, add_options, act});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_fit = {
    .name = "fit",
    .summary = "divide customers into segments",
    .arguments = "DATA.h5 --segments K --out DIR",
    .argument = argument_names,
    .notes = "With LO:HI each number of segments is fitted and the recommended one kept, by demarc select's rule (a\n"
             "quicker look); with none recommended that of the highest simplified silhouette, and a warning.\n"
             "\n"
             "SIGTERM, SIGINT and SIGUSR1 stop a run: it saves a checkpoint to .NAME.checkpoint beside DIR and\n"
             "exits with 75 (under mpirun: kill -USR1). The same command with --resume goes on to the same bytes.\n"
             "With --resume and --names a fit that is done gets names, and nothing is fitted again.\n",
    .example = "  demarc generate customers.h5 --customers 50000 --segments 5\n"
               "  demarc fit customers.h5 --segments 3:7 --out run1\n"
               "  demarc info run1\n",
    .run = run,
    .stops = true,
};
