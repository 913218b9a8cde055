/* demarc export RUN --format csv|sqlite|pmml --out FILE */
#include "cli/common.h"
#include "cli/values.h"

#define GROUP "Export"

/* In the order of demarc_export_format. */
static const char *const format_words[] = {"csv", "sqlite", "pmml", NULL};

static demarc_status print_json(const demarc_export_options *o, const demarc_export_result *r)
{
    dm_small_json *j = NULL;
    demarc_status st = dm_small_json_begin(&j);
    if (st != DEMARC_OK) return st;
    dm_small_json_text(j, "command", "export");
    dm_small_json_i64(j, "format_version", 1);
    dm_small_json_path(j, "run", o->run);
    dm_small_json_text(j, "format", format_words[o->format]);
    dm_small_json_path(j, "file", o->out);
    dm_small_json_bool(j, "dry_run", o->dry_run);
    dm_small_json_i64(j, "customers", r->rows);
    dm_small_json_i64(j, "d", r->d);
    dm_small_json_i64(j, "k", r->k);
    dm_small_json_i64(j, "bytes", r->bytes);
    dm_small_json_text(j, "digest", r->digest);
    return cli_json_print(&j);
}

static demarc_status print_result(const demarc_export_options *o, const demarc_export_result *r, bool json)
{
    char rows[32], bytes[32], path[1024];
    if (json) return print_json(o, r);
    dm_text_escape(path, sizeof path, o->out == NULL ? "" : o->out);
    if (o->dry_run) {
        puts("dry run, nothing written");
    } else if (o->format == DEMARC_EXPORT_PMML) {
        printf("model of %d segments and %d features, %s: %s\n", r->k, r->d, dm_text_bytes(bytes, (double)r->bytes),
               path);
    } else {
        printf("%s customers in %d segments, %s: %s\n", cli_grouped(rows, r->rows), r->k,
               dm_text_bytes(bytes, (double)r->bytes), path);
    }
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *state)
{
    demarc_export_options *o = state;
    const cli_option table[] = {
        CLI_OPTION(
            GROUP, "format", "NAME", CLI_CHOICE, &o->format,
            "csv or sqlite: every customer with id, segment and its name, distance, runner-up and margin; pmml: the "
            "model with its scaling",
            .word = format_words, .required = true),
        CLI_OPTION(GROUP, "out", "FILE", CLI_OUTPUT, &o->out, "file to write", .required = true),
        CLI_OPTION(GROUP, "names", "LIST", CLI_TEXT, &o->names,
                   "SEGMENT=NAME,...: names for this file (default: those of the run)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, GROUP, &o->force, &o->dry_run);
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    demarc_export_options *o = state;
    demarc_export_result r = {0};
    o->run = line->argument[0];
    DM_TRY(demarc_export(ctx, o, &r));
    if (cli_prints(ctx)) st = print_result(o, &r, json);
cleanup:
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_export_options o;
    demarc_export_options_default(&o);
    return cli_run(command, argc, argv, &(cli_body){&o, add_options, act});
}

static const char *const argument_names[] = {"RUN", NULL};

const cli_command cli_export = {
    .name = "export",
    .summary = "write the results of a fit as CSV, SQLite or PMML",
    .arguments = "RUN --format NAME --out FILE",
    .argument = argument_names,
    .notes = "RUN is a results directory of fit. CSV is RFC 4180: a header row, lines that end in CRLF; texts are\n"
             "as they were, also those that a spreadsheet takes for formulas (a warning counts them). SQLite has\n"
             "the tables assignments (indexed by id and by segment), segments and run. PMML 4.4 is a\n"
             "ClusteringModel; boundaries that were moved have no place in it and are refused.\n",
    .example = "  demarc generate customers.h5 --customers 20000\n"
               "  demarc fit customers.h5 --segments 3 --out run1 --names 0=Loyal,2=Bargain\n"
               "  demarc export run1 --format csv --out segments.csv\n"
               "  demarc export run1 --format sqlite --out segments.db\n"
               "  demarc export run1 --format pmml --out model.pmml\n",
    .run = run,
};
