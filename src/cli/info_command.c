/* demarc info FILE */

#include "cli/common.h"
#include "cli/info_text.h"

static void add_options(cli_line *line, void *options)
{
    cli_paths_add(line, &((demarc_info_options *)options)->paths);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_info_options *o = options;
    o->path = line->argument[0];
    return demarc_info(ctx, o, json);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_info_options o;
    demarc_info_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, cli_info_print, NULL});
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
