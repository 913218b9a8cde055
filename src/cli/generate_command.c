/* demarc generate OUT.h5 */
#include "cli/common.h"
#include "cli/values.h"

#define GROUP "Customers"

static demarc_status print_result(const demarc_generate_options *o, bool json)
{
    if (json) {
        dm_small_json *j = NULL;
        demarc_status st = dm_small_json_begin(&j);
        if (st != DEMARC_OK) return st;
        dm_small_json_text(j, "command", "generate");
        dm_small_json_path(j, "file", o->out);
        dm_small_json_bool(j, "dry_run", o->dry_run);
        dm_small_json_i64(j, "customers", o->customers);
        dm_small_json_i64(j, "features", o->features);
        dm_small_json_i64(j, "segments", o->segments);
        dm_small_json_u64(j, "seed", o->seed);
        return cli_json_print(&j);
    }
    char count[32], path[1024];
    dm_text_escape(path, sizeof path, o->out);
    printf("%s%s customers, %d features, %d true segments: %s\n", o->dry_run ? "dry run, nothing written: " : "",
           cli_grouped(count, o->customers), o->features, o->segments, path);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *state)
{
    demarc_generate_options *o = state;
    const cli_option table[] = {
        CLI_OPTION(GROUP, "customers", "N", CLI_INT64, &o->customers, "rows; 1e6 and 10M are understood", .min = 1,
                   .max = 1e15, .show_default = true),
        CLI_OPTION(GROUP, "features", "D", CLI_INT32, &o->features, "columns", .min = 1, .max = 1e6,
                   .show_default = true),
        CLI_OPTION(GROUP, "segments", "K", CLI_INT32, &o->segments, "true segments", .min = 1, .max = 1e6,
                   .show_default = true),
        CLI_OPTION(GROUP, "separation", "X", CLI_REAL, &o->separation,
                   "distance between segments, in standard deviations within one", .min = 0, .max = 1e6,
                   .show_default = true),
        CLI_OPTION(GROUP, "arms", "A", CLI_INT32, &o->arms,
                   "arms of a randomised campaign (2 to 64), the control included; 0 = no campaign", .min = 0,
                   .max = 64, .show_default = true),
        CLI_OPTION(GROUP, "outcomes", NULL, CLI_FLAG, &o->outcomes, "also write outcomes (spend, visit, ...)"),
        CLI_OPTION(GROUP, "missing-share", "P", CLI_REAL, &o->missing_share, "share of feature values that are missing",
                   .min = 0, .max = 1, .below_max = true, .show_default = true),
        CLI_OPTION(GROUP, "seed", "N", CLI_UINT64, &o->seed, "a row depends only on the seed and its number",
                   .show_default = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, "Output", &o->force, &o->dry_run);
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    demarc_generate_options *o = state;
    o->out = line->argument[0];
    DM_TRY(demarc_generate(ctx, o));
    if (cli_prints(ctx)) st = print_result(o, json);
cleanup:
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_generate_options o;
    demarc_generate_options_default(&o);
    return cli_run(command, argc, argv, &(cli_body){&o, add_options, act});
}

static const char *const argument_names[] = {"OUT.h5", NULL};

const cli_command cli_generate = {
    .name = "generate",
    .summary = "write synthetic retail customers whose true segments are known",
    .arguments = "OUT.h5",
    .argument = argument_names,
    .writes_last = true,
    .notes = "The truth is in /truth/segment and in the file's attributes.\n",
    .example = "  demarc generate customers.h5 --customers 1e5 --features 16 --segments 6 --outcomes\n"
               "  demarc info customers.h5\n",
    .run = run,
};
