/* demarc verify DIR */
#include "cli/common.h"
#include "cli/values.h"

static demarc_status print_result(const demarc_verify_options *o, const demarc_verify_result *r, bool json)
{
    if (json) {
        dm_small_json *j = NULL;
        demarc_status st = dm_small_json_begin(&j);
        if (st != DEMARC_OK) return st;
        dm_small_json_text(j, "command", "verify");
        dm_small_json_path(j, "run", o->run);
        dm_small_json_bool(j, "verified", true);
        dm_small_json_i64(j, "n", r->n);
        dm_small_json_i64(j, "k", r->k);
        dm_small_json_f64(j, "objective", r->objective);
        dm_small_json_text(j, "digest", r->digest);
        return cli_json_print(&j);
    }
    char count[32], path[1024];
    dm_text_escape(path, sizeof path, o->run);
    printf("verified: %s: %s customers in %d segments, objective %.10g, digest %s\n", path, cli_grouped(count, r->n),
           r->k, r->objective, r->digest);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *state)
{
    demarc_verify_options *o = state;
    const cli_option table[] = {
        CLI_OPTION("Input", "data", "FILE.h5", CLI_TEXT, &o->data,
                   "customer file (default: the path that DIR's manifest names)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    demarc_verify_options *o = state;
    demarc_verify_result r = {0};
    o->run = line->argument[0];
    DM_TRY(demarc_verify(ctx, o, &r));
    if (cli_prints(ctx)) st = print_result(o, &r, json);
cleanup:
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_verify_options o;
    demarc_verify_options_default(&o);
    return cli_run(command, argc, argv, &(cli_body){&o, add_options, act});
}

static const char *const argument_names[] = {"DIR", NULL};

const cli_command cli_verify = {
    .name = "verify",
    .summary = "recompute a fit's results from its input and compare",
    .arguments = "DIR",
    .argument = argument_names,
    .notes = "Labels, runner-ups, distances, margins, sizes, objective and digest are recomputed by brute force\n"
             "in double precision. A difference ends with exit code 6 and names the first row or figure.\n",
    .example = "  demarc generate customers.h5 --customers 50000\n"
               "  demarc fit customers.h5 --segments 6 --out run1\n"
               "  demarc verify run1\n",
    .run = run,
};
