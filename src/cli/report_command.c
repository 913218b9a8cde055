/* demarc report RUN --out FILE.html */

#include "cli/common.h"
#include "cli/values.h"

#define PARTS "Parts"
#define OUTPUT "Output"

static demarc_status print_answer(const char *json)
{
    dm_json_node *root = NULL;
    demarc_status st = dm_json_parse(json, "answer of report", &root);
    if (st != DEMARC_OK) return st;
    dm_json_node *parts = dm_json_member(root, "parts");
    char count[32], size[32], path[1024];
    int64_t n = 0, tests = 0;
    dm_json_integer(dm_json_member(root, "n"), &n);
    dm_json_integer(dm_json_member(parts, "boundary"), &tests);
    dm_text_escape(path, sizeof path, dm_json_string(dm_json_member(root, "out")));
    printf("%s customers in %.0f segments: %s (%s)\n", cli_grouped(count, n), dm_json_number(dm_json_member(root, "k")),
           path, dm_text_bytes(size, dm_json_number(dm_json_member(root, "bytes"))));
    printf("parts: segments%s%s%s%s", dm_json_flag(dm_json_member(parts, "map")) ? ", map" : "",
           dm_json_flag(dm_json_member(parts, "select")) ? ", number of segments" : "",
           dm_json_flag(dm_json_member(parts, "stability")) ? ", stability" : "",
           dm_json_flag(dm_json_member(parts, "compare")) ? ", comparison with an earlier run" : "");
    if (tests > 0) printf(", %lld boundary test%s", (long long)tests, tests == 1 ? "" : "s");
    puts("");
    dm_json_release(&root);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *options)
{
    demarc_report_options *o = options;
    const cli_option table[] = {
        CLI_OPTION(PARTS, "boundary", "FILE,...", CLI_LIST, &o->boundary,
                   "what boundary sweep, replay, plan or analyze printed with --json; may be given again"),
        CLI_OPTION(PARTS, "select", "FILE", CLI_TEXT, &o->select, "what select printed with --json"),
        CLI_OPTION(PARTS, "stability", "FILE", CLI_TEXT, &o->stability, "what stability printed with --json"),
        CLI_OPTION(PARTS, "compare", "FILE", CLI_TEXT, &o->compare,
                   "what compare printed with --json; its second run is RUN"),
        CLI_OPTION(PARTS, "names", "J=NAME,...", CLI_TEXT, &o->names, "names of segments, instead of the run's"),
        CLI_OPTION(PARTS, "data", "DATA.h5", CLI_TEXT, &o->data,
                   "customer file of the run (default: where the manifest says it was)"),
        CLI_OPTION(PARTS, "no-map", NULL, CLI_FLAG, &o->no_map,
                   "leave out what needs the customer file: the map, values of example customers"),
        CLI_OPTION(OUTPUT, "out", "FILE.html", CLI_OUTPUT, &o->out, "page to write", .required = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, OUTPUT, &o->force, &o->dry_run);
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_report_options *o = options;
    o->run = line->argument[0];
    return demarc_report(ctx, o, json);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_report_options o;
    demarc_report_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, print_answer, NULL});
}

static const char *const argument_names[] = {"RUN", NULL};

const cli_command cli_report = {
    .name = "report",
    .summary = "one self-contained HTML page about a run, for everyone who decides",
    .arguments = "RUN --out FILE.html",
    .argument = argument_names,
    .notes = "RUN is the directory of a fit. The page needs no network: it opens from disk and prints. It shows\n"
             "the segments, what sets them apart, a map of customers, the tests that were made, and where it all\n"
             "comes from; a table stands behind each chart. The three customers nearest to each centroid are shown\n"
             "by id. The map's axes are the first two principal components; it shows at most 3,000 customers.\n",
    .example = "  demarc generate customers.h5 --customers 20000 --outcomes\n"
               "  demarc fit customers.h5 --segments 4 --out run1\n"
               "  demarc boundary sweep customers.h5 --model run1/model.h5 --json > sweep.json\n"
               "  demarc report run1 --boundary sweep.json --out report.html\n",
    .run = run,
};
