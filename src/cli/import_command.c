/* demarc import IN.csv OUT.h5 */
#include "cli/common.h"
#include "cli/values.h"

#define GROUP "Columns (by the names in the header row; lists are separated by commas)"

static demarc_status print_result(const demarc_import_options *o, const demarc_import_result *r, bool json)
{
    if (json) {
        dm_small_json *j = NULL;
        demarc_status st = dm_small_json_begin(&j);
        if (st != DEMARC_OK) return st;
        dm_small_json_text(j, "command", "import");
        dm_small_json_path(j, "file", o->out);
        dm_small_json_bool(j, "dry_run", o->dry_run);
        dm_small_json_i64(j, "customers", r->rows);
        dm_small_json_i64(j, "features", r->features);
        dm_small_json_i64(j, "missing", r->missing);
        return cli_json_print(&j);
    }
    char rows[32], missing[32], path[1024];
    dm_text_escape(path, sizeof path, o->out);
    printf("%s%s customers, %d features, %s missing values: %s\n", o->dry_run ? "dry run, nothing written: " : "",
           cli_grouped(rows, r->rows), r->features, cli_grouped(missing, r->missing), path);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *state)
{
    demarc_import_options *o = state;
    const cli_option table[] = {
        CLI_OPTION(GROUP, "id", "NAME", CLI_TEXT, &o->id, "customer id: whole numbers or text"),
        CLI_OPTION(GROUP, "features", "NAMES", CLI_TEXT, &o->features,
                   "features (default: every column not used otherwise)"),
        CLI_OPTION(GROUP, "exclude", "NAMES", CLI_TEXT, &o->exclude, "columns to leave out"),
        CLI_OPTION(GROUP, "categorical", "NAMES", CLI_TEXT, &o->categorical,
                   "text columns that become one 0/1 feature a level"),
        CLI_OPTION(GROUP, "weight", "NAME", CLI_TEXT, &o->weight, "weight of a customer"),
        CLI_OPTION(GROUP, "outcomes", "NAMES", CLI_TEXT, &o->outcomes, "outcomes: spend, visit, churn, ..."),
        CLI_OPTION(GROUP, "arm", "NAME", CLI_TEXT, &o->arm, "arm of a past randomised campaign, number or text"),
        CLI_OPTION(GROUP, "control", "VALUE", CLI_TEXT, &o->control, "value of the arm column that is the control"),
        CLI_OPTION(GROUP, "reachable", "NAMES", CLI_TEXT, &o->reachable, "yes/no: may be contacted on that channel"),
        CLI_OPTION("Text", "delimiter", "CHAR", CLI_CHAR, &o->delimiter, "between fields; tab for a tab (default ,)"),
        CLI_OPTION("Output", "float32", NULL, CLI_FLAG, &o->float32, "store features as float32 instead of float64"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, "Output", &o->force, &o->dry_run);
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    demarc_import_options *o = state;
    demarc_import_result r = {0};
    o->in = line->argument[0];
    o->out = line->argument[1];
    DM_TRY(demarc_import(ctx, o, &r));
    if (cli_prints(ctx)) st = print_result(o, &r, json);
cleanup:
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_import_options o;
    demarc_import_options_default(&o);
    return cli_run(command, argc, argv, &(cli_body){&o, add_options, act});
}

static const char *const argument_names[] = {"IN.csv", "OUT.h5", NULL};

const cli_command cli_import = {
    .name = "import",
    .summary = "turn a CSV file into a customer file",
    .arguments = "IN.csv OUT.h5",
    .argument = argument_names,
    .writes_last = true,
    .notes = "IN.csv has a header row (RFC 4180; CRLF and a byte order mark are fine); - reads standard input.\n"
             "Empty fields are missing values; yes/no and true/false are 1/0. A comma in a name is doubled.\n",
    .example = "  printf 'who,visits,spend,shop\\n1,4,80.5,web\\n2,1,12,town\\n3,9,,web\\n' > customers.csv\n"
               "  demarc import customers.csv customers.h5 --id who --categorical shop\n"
               "  demarc info customers.h5\n",
    .run = run,
};
