/* demarc assign DATA.h5 --model MODEL.h5 --out FILE.h5 */
#include "cli/common.h"
#include "cli/shared_options.h"
#include "cli/table.h"
#include "cli/values.h"

#define GROUP "Assignment"

static demarc_status print_json(const demarc_assign_options *o, const demarc_assign_result *r)
{
    dm_small_json *j = NULL;
    demarc_status st = dm_small_json_begin(&j);
    if (st != DEMARC_OK) return st;
    dm_small_json_text(j, "command", "assign");
    dm_small_json_path(j, "file", o->out);
    dm_small_json_bool(j, "dry_run", o->dry_run);
    if (!o->dry_run) {
        dm_small_json_i64(j, "n", r->n);
        dm_small_json_i64(j, "d", r->d);
        dm_small_json_i64(j, "k", r->k);
        dm_small_json_f64(j, "objective", r->objective);
        dm_small_json_text(j, "digest", r->digest);
        dm_small_json_i64_list(j, "size", r->size, r->k);
        dm_small_json_text_list(j, "name", r->name, r->k);
    }
    return cli_json_print(&j);
}

static demarc_status print_sizes(const demarc_assign_result *r)
{
    demarc_status st = DEMARC_OK;
    static const char *const heading[] = {"segment", "name", "customers", "share"};
    cli_table t;
    cli_table_begin(&t, "rlrr");
    for (int c = 0; c < 4; c++) DM_TRY(cli_table_heading(&t, heading[c]));
    for (int32_t s = 0; s < r->k; s++) {
        char count[32];
        DM_TRY(cli_table_cellf(&t, "%d", s));
        DM_TRY(cli_table_cell(&t, r->name[s]));
        DM_TRY(cli_table_cell(&t, cli_grouped(count, r->size[s])));
        DM_TRY(cli_table_cellf(&t, "%.1f%%", r->n > 0 ? 100.0 * (double)r->size[s] / (double)r->n : 0.0));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static demarc_status print_result(const demarc_assign_options *o, const demarc_assign_result *r, bool json)
{
    if (json) return print_json(o, r);
    if (o->dry_run) {
        puts("dry run, nothing written");
        return DEMARC_OK;
    }
    demarc_status st = print_sizes(r);
    if (st != DEMARC_OK) return st;
    char count[32], path[1024];
    dm_text_escape(path, sizeof path, o->out);
    printf("\n%s customers in %d segments, objective %.10g, digest %s: %s\n", cli_grouped(count, r->n), r->k,
           r->objective, r->digest, path);
    return DEMARC_OK;
}

static void add_options(cli_line *line, void *state)
{
    demarc_assign_options *o = state;
    const cli_option table[] = {
        CLI_MODEL(GROUP, &o->model),
        CLI_OPTION(GROUP, "out", "FILE.h5", CLI_OUTPUT, &o->out,
                   "file to write: id, segment, distance, runner_up, margin of every row", .required = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_output_add(line, GROUP, &o->force, &o->dry_run);
    cli_paths_add(line, &o->paths);
}

static demarc_status act(demarc_context *ctx, const cli_line *line, bool json, void *state)
{
    demarc_status st = DEMARC_OK;
    demarc_assign_options *o = state;
    demarc_assign_result r = {0};
    o->data = line->argument[0];
    DM_TRY(demarc_assign(ctx, o, &r));
    if (cli_prints(ctx)) st = print_result(o, &r, json);
cleanup:
    demarc_assign_result_clear(&r);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_assign_options o;
    demarc_assign_options_default(&o);
    return cli_run(command, argc, argv, &(cli_body){&o, add_options, act});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_assign = {
    .name = "assign",
    .summary = "assign any customers to the segments of a saved model, exactly",
    .arguments = "DATA.h5 --model MODEL.h5 --out FILE.h5",
    .argument = argument_names,
    .notes = "Features are matched by name in any order when both sides have names, else by position.\n",
    .example = "  demarc generate customers.h5 --customers 50000\n"
               "  demarc fit customers.h5 --segments 6 --out run1\n"
               "  demarc generate new.h5 --customers 20000 --seed 2\n"
               "  demarc assign new.h5 --model run1/model.h5 --out new_segments.h5\n",
    .run = run,
};
