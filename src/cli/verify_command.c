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

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = NULL;
    cli_common common;
    cli_line line;
    demarc_verify_options o;
    demarc_verify_result r = {0};
    demarc_verify_options_default(&o);
    cli_common_begin(&common);
    const cli_option table[] = {
        CLI_OPTION("Input", "data", "FILE.h5", CLI_TEXT, &o.data,
                   "customer file (default: the path that DIR's manifest names)"),
    };
    cli_line_begin(&line, command);
    cli_line_add(&line, table, sizeof table / sizeof *table);
    cli_common_add(&common, &line);
    DM_TRY(cli_common_start(&common, &line, argc, argv, &ctx));
    if (line.help) goto cleanup;
    o.run = line.argument[0];
    DM_TRY(demarc_verify(ctx, &o, &r));
    if (cli_prints(ctx)) st = print_result(&o, &r, common.json);
cleanup:
    demarc_context_destroy(&ctx);
    cli_line_clear(&line);
    return st;
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
