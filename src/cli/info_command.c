/* demarc info FILE */
#include <stdlib.h>

#include "cli/common.h"
#include "cli/info_text.h"

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = NULL;
    cli_common common;
    cli_line line;
    demarc_info_options o;
    char *json = NULL;
    demarc_info_options_default(&o);
    cli_common_begin(&common);
    cli_line_begin(&line, command);
    cli_paths_add(&line, &o.paths);
    cli_common_add(&common, &line);
    DM_TRY(cli_common_start(&common, &line, argc, argv, &ctx));
    if (line.help) goto cleanup;
    o.path = line.argument[0];
    DM_TRY(demarc_info(ctx, &o, &json));
    if (!cli_prints(ctx)) goto cleanup;
    if (common.json) {
        fputs(json, stdout);
    } else {
        st = cli_info_print(json);
    }
cleanup:
    free(json);
    demarc_context_destroy(&ctx);
    cli_line_clear(&line);
    return st;
}

static const char *const argument_names[] = {"FILE", NULL};

const cli_command cli_info = {
    .name = "info",
    .summary = "describe and audit a customer file, a model, an experiment, or results",
    .arguments = "FILE",
    .argument = argument_names,
    .notes = "Of a customer file: per column the count, missing and non-finite values, min, max, mean, sd; whether\n"
             "ids are unique. FILE may also be model.h5, assignments.h5 or the directory of a fit, experiment.h5\n"
             "or the directory of a plan, or the critical offsets of a sweep.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --missing-share 0.01\n"
               "  demarc info customers.h5\n",
    .run = run,
};
