/* demarc boundary plan DATA.h5 --model MODEL.h5 --out DIR */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"
#include "cli/shared_options.h"
#include "cli/stop_signals.h"
#include "cli/table.h"
#include "cli/values.h"

#define BOUNDARIES "Boundaries"
#define ASSIGNMENT "Assignment"
#define SIZE "Size"
#define OUTPUT "Output"

static void add_options(cli_line *line, void *options)
{
    demarc_plan_options *o = options;
    const cli_option table[] = {
        CLI_MODEL(BOUNDARIES, &o->model),
        CLI_OPTION(BOUNDARIES, "boundaries", "A-B,...", CLI_TEXT, &o->boundaries,
                   "pairs of segments whose boundary is tested (default: all with customers in the band)"),
        CLI_OPTION(BOUNDARIES, "band-share", "P", CLI_REAL, &o->band_share,
                   "share of the customers between two segments who take part, nearest first", .min = 0, .max = 1,
                   .show_default = true),
        CLI_OPTION(BOUNDARIES, "band", "X", CLI_REAL, &o->band,
                   "instead: those within this distance of the boundary, in scaled units", .min = 0, .max = INFINITY),
        CLI_OPTION(BOUNDARIES, "distance-strata", "N", CLI_INT32, &o->distance_strata,
                   "groups of equal size by distance on each side of a boundary", .min = 1, .max = 1e6,
                   .show_default = true),
        CLI_OPTION(ASSIGNMENT, "switch-share", "P", CLI_REAL, &o->switch_share,
                   "probability to be treated as the segment on the other side", .min = 0, .max = 1, .below_max = true,
                   .show_default = true),
        CLI_OPTION(ASSIGNMENT, "salt", "TEXT", CLI_TEXT, &o->salt,
                   "key of the hash of ids that assigns (default: digest of the model, / and the seed)"),
        CLI_OPTION(ASSIGNMENT, "seed", "N", CLI_UINT64, &o->seed, "another seed gives another assignment",
                   .show_default = true),
        CLI_OPTION(SIZE, "outcome", "NAME", CLI_TEXT, &o->outcome,
                   "outcome that will be measured; its spread in the file sizes the experiment (default: the first)"),
        CLI_OPTION(SIZE, "outcome-sd", "X", CLI_REAL, &o->outcome_sd,
                   "its standard deviation, where the file does not have it", .min = 0, .max = INFINITY),
        CLI_OPTION(SIZE, "effect", "X", CLI_REAL, &o->effect,
                   "smallest difference of means worth finding, in units of the outcome (default: 0.1 standard "
                   "deviations)",
                   .min = 0, .max = INFINITY),
        CLI_OPTION(SIZE, "alpha", "P", CLI_REAL, &o->alpha, "family-wise level of all tests together", .min = 0,
                   .max = 1, .below_max = true, .show_default = true),
        CLI_OPTION(SIZE, "power", "P", CLI_REAL, &o->power, "probability to find that effect, in every test", .min = 0,
                   .max = 1, .below_max = true, .show_default = true),
        CLI_MIN_CELL(SIZE, &o->min_cell, "customers expected in each arm of each test, at least", 0),
        CLI_OPTION(OUTPUT, "out", "DIR", CLI_OUTPUT, &o->out, "directory to create: experiment.h5 and plan.json",
                   .required = true),
        CLI_OPTION(OUTPUT, "force", NULL, CLI_FLAG, &o->force,
                   "replace a plan that exists, and take a design that is too small"),
        CLI_OPTION(OUTPUT, "dry-run", NULL, CLI_FLAG, &o->dry_run, "show the design, write nothing"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
    cli_checkpoint_add(line, OUTPUT, &o->checkpoint_every, &o->resume);
    cli_paths_add(line, &o->paths);
}

static demarc_status add_number(cli_table *t, const dm_json_node *object, const char *key)
{
    char text[64];
    int64_t v = 0;
    const dm_json_node *node = dm_json_member(object, key);
    if (dm_json_integer(node, &v)) return cli_table_cell(t, cli_grouped(text, v));
    dm_json_scalar_text(node, text, sizeof text);
    return cli_table_cell(t, text);
}

/* "0-3" */
static void boundary_name(char *buf, size_t size, const dm_json_node *boundary)
{
    int64_t segment[2] = {0};
    dm_json_cursor c = {0};
    for (int s = 0; s < 2 && dm_json_next(dm_json_member(boundary, "segments"), &c); s++) {
        (void)dm_json_integer(c.value, &segment[s]);
    }
    snprintf(buf, size, "%lld-%lld", (long long)segment[0], (long long)segment[1]);
}

static demarc_status add_side(cli_table *t, const dm_json_node *boundary, const dm_json_node *side)
{
    static const char *const of_boundary[] = {"facet_customers", "band", "outcome_mean", "outcome_sd"};
    static const char *const of_side[] = {"segment", "customers", "keep", "switch", "mde"};
    demarc_status st = DEMARC_OK;
    char name[64], power[64];
    boundary_name(name, sizeof name, boundary);
    DM_TRY(cli_table_cell(t, name));
    for (size_t i = 0; i < sizeof of_boundary / sizeof *of_boundary; i++) {
        DM_TRY(add_number(t, boundary, of_boundary[i]));
    }
    for (size_t i = 0; i < sizeof of_side / sizeof *of_side; i++) DM_TRY(add_number(t, side, of_side[i]));
    dm_json_scalar_text(dm_json_member(side, "power"), power, sizeof power);
    DM_TRY(power[0] == '-' ? cli_table_cell(t, power) : cli_table_cellf(t, "%.3f", strtod(power, NULL)));
cleanup:
    return st;
}

static demarc_status print_tests(const dm_json_node *plan)
{
    static const char *const heading[] = {"boundary",  "at facet", "band",   "mean",         "sd",   "side",
                                          "customers", "keep",     "switch", "least effect", "power"};
    demarc_status st = DEMARC_OK;
    cli_table t;
    cli_table_begin(&t, "lrrrrrrrrrr");
    for (size_t i = 0; i < sizeof heading / sizeof *heading; i++) DM_TRY(cli_table_heading(&t, heading[i]));
    dm_json_cursor boundary = {0};
    while (dm_json_next(dm_json_member(plan, "boundaries"), &boundary)) {
        dm_json_cursor side = {0};
        while (dm_json_next(dm_json_member(boundary.value, "sides"), &side)) {
            DM_TRY(add_side(&t, boundary.value, side.value));
        }
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

/* Keep or switch of all sides together. */
static int64_t total(const dm_json_node *plan, const char *key)
{
    int64_t sum = 0;
    dm_json_cursor boundary = {0};
    while (dm_json_next(dm_json_member(plan, "boundaries"), &boundary)) {
        dm_json_cursor side = {0};
        while (dm_json_next(dm_json_member(boundary.value, "sides"), &side)) {
            int64_t v = 0;
            (void)dm_json_integer(dm_json_member(side.value, key), &v);
            sum += v;
        }
    }
    return sum;
}

static const char *word(const dm_json_node *plan, const char *key, char *buf, size_t size)
{
    dm_json_scalar_text(dm_json_member(plan, key), buf, size);
    return buf;
}

static void print_notes(const dm_json_node *plan)
{
    char a[256], b[64], c[64], d[64];
    char customers[32], keep[32], switched[32];
    const int64_t kept = total(plan, "keep"), moved = total(plan, "switch");
    printf("\n%s customers take part: %s keep their segment, %s are treated as the other one (probability %s)\n",
           cli_grouped(customers, kept + moved), cli_grouped(keep, kept), cli_grouped(switched, moved),
           word(plan, "switch_share", b, sizeof b));
    printf("randomised by the hash of salt %s and id\n", word(plan, "salt", a, sizeof a));
    if (strcmp(word(plan, "band_share", b, sizeof b), "-") == 0) {
        printf("band: all within the margin given (scaled units)");
    } else {
        printf("band: the nearest %s of the customers at each facet; margins in scaled units", b);
    }
    printf("; %s strata by distance on each side\n", word(plan, "distance_strata", c, sizeof c));
    printf("outcome %s: standard deviation %s, an effect of %s is worth finding (units of the outcome)\n",
           word(plan, "outcome", a, sizeof a), word(plan, "outcome_sd", b, sizeof b),
           word(plan, "effect", c, sizeof c));
    printf("%s tests, one for each side, two-sided; family-wise level %s by Bonferroni, the first step of Holm; ",
           word(plan, "tests", a, sizeof a), word(plan, "alpha", b, sizeof b));
    printf("least effect at power %s\n", word(plan, "power", d, sizeof d));
    if (strcmp(word(plan, "underpowered", a, sizeof a), "yes") == 0) {
        puts("UNDERPOWERED: not every test has the power asked for");
    }
}

static demarc_status print_result(const void *options, const char *json)
{
    const demarc_plan_options *o = options;
    dm_json_node *plan = NULL;
    char path[1024];
    demarc_status st = dm_json_parse(json, "result of demarc boundary plan", &plan);
    if (st == DEMARC_OK) st = print_tests(plan);
    if (st == DEMARC_OK) {
        print_notes(plan);
        if (o->dry_run) {
            puts("dry run, nothing written");
        } else {
            cli_path_join(path, sizeof path, o->out, "experiment.h5");
            printf("experiment  %s\n", path);
            cli_path_join(path, sizeof path, o->out, "plan.json");
            printf("plan        %s\n", path);
        }
    }
    dm_json_release(&plan);
    return st;
}

static demarc_status make(demarc_context *ctx, const cli_line *line, void *options, char **json)
{
    demarc_plan_options *o = options;
    o->data = line->argument[0];
    if (cli_line_has(line, "band") && cli_line_has(line, "band-share")) {
        return dm_fail(DEMARC_ERR_USAGE, "contradiction: --band and --band-share: give one of them");
    }
    cli_stop_signals(!o->dry_run);
    const demarc_status st = demarc_boundary_plan(ctx, o, json);
    if (!o->dry_run) cli_stop_signals(false);
    return st;
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    demarc_plan_options o;
    demarc_plan_options_default(&o);
    return cli_document_run(command, argc, argv, &(cli_document){&o, add_options, make, NULL, print_result});
}

static const char *const argument_names[] = {"DATA.h5", NULL};

const cli_command cli_plan = {
    .name = "boundary plan",
    .summary = "design a randomised experiment around boundaries",
    .arguments = "DATA.h5 --model MODEL.h5 --out DIR",
    .argument = argument_names,
    .notes = "Customers near a boundary keep their segment or are treated as the one on the other side, by a\n"
             "hash of salt and id: the assignment depends on nothing else and can be recomputed. A design in\n"
             "which a test has less power than asked for is refused (exit code 4) unless --force; --dry-run\n"
             "--force shows any design. Treat by experiment.h5 (/id, /arm: 0 keep, 1 switch), then run demarc\n"
             "boundary analyze.\n"
             "\n"
             "SIGTERM, SIGINT and SIGUSR1 stop a run: it saves a checkpoint to .NAME.checkpoint beside DIR and\n"
             "exits with 75. The same command with --resume goes on, on any ranks and threads, to the same bytes.\n",
    .example = "  demarc generate customers.h5 --customers 50000 --segments 4 --outcomes\n"
               "  demarc fit customers.h5 --segments 4 --out run1\n"
               "  demarc boundary plan customers.h5 --model run1/model.h5 --out plan1 --boundaries 1-3 --effect 15\n"
               "  demarc info plan1\n",
    .run = run,
    .stops = true,
};
