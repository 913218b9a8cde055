#include "cli/common.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/shared_options.h"
#include "cli/stop_signals.h"

#define COMMON "Common options"
#define PATHS "Where things are in the customer file (HDF5 paths)"

/* In the order of demarc_progress and demarc_io. */
static const char *const progress_words[] = {"auto", "always", "never", NULL};
static const char *const io_words[] = {"mpio", "funnel", NULL};
const char *const cli_adjust_words[] = {"holm", "bh", NULL};
static const char *const kernel_words[] = {"auto", "ref", "avx2", "avx512", "blas", NULL};

void cli_common_begin(cli_common *c)
{
    *c = (cli_common){0};
    demarc_runtime_default(&c->runtime);
}

void cli_common_add(cli_common *c, cli_line *line)
{
    demarc_runtime *rt = &c->runtime;
    const cli_option table[] = {
        CLI_OPTION(COMMON, "help", NULL, CLI_HELP, NULL, "show this text"),
        CLI_OPTION(COMMON, "config", "FILE", CLI_TEXT, &c->config, "read options (name = value) from FILE"),
        CLI_OPTION(COMMON, "threads", "N", CLI_INT32, &rt->threads,
                   "threads per rank (default: a fair share of the cores)", .min = 1, .max = 4096),
        CLI_OPTION(COMMON, "memory-limit", "SIZE", CLI_SIZE, &rt->memory_limit,
                   "memory per rank, such as 512M; rows beyond are streamed (default: no limit)", .min = 0x1p20,
                   .max = 0x1p50),
        CLI_OPTION(COMMON, "io", "HOW", CLI_CHOICE, &rt->io, "who writes: mpio = all ranks, funnel = rank 0",
                   .word = io_words, .show_default = true),
        CLI_OPTION(COMMON, "kernel", "NAME", CLI_WORD, &rt->kernel,
                   "code for the inner loops: auto, ref, avx2, avx512, or blas to search by OpenBLAS (default auto); "
                   "only speed "
                   "depends on it",
                   .word = kernel_words),
        CLI_OPTION(COMMON, "stall-timeout", "SECONDS", CLI_REAL, &rt->stall_timeout,
                   "end all ranks when one waits this long for the others (default 0: never)", .max = 1e7),
        CLI_OPTION(COMMON, "allow-external", NULL, CLI_FLAG, &rt->allow_external,
                   "follow an input's links to other files and filter plugins"),
        CLI_OPTION(COMMON, "json", NULL, CLI_FLAG, &c->json, "results as JSON"),
        CLI_OPTION(COMMON, "quiet", NULL, CLI_FLAG, &c->quiet, "no log, only results and errors"),
        CLI_OPTION(COMMON, "verbose", NULL, CLI_FLAG, &c->verbose, "a detailed log"),
        CLI_OPTION(COMMON, "progress", "WHEN", CLI_CHOICE, &rt->progress, "show progress: auto, always or never",
                   .word = progress_words, .show_default = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

void cli_output_add(cli_line *line, const char *group, bool *force, bool *dry_run)
{
    const cli_option table[] = {
        CLI_OPTION(group, "force", NULL, CLI_FLAG, force, "replace the output if it exists"),
        CLI_OPTION(group, "dry-run", NULL, CLI_FLAG, dry_run, "check, show the plan, write nothing"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

void cli_checkpoint_add(cli_line *line, const char *group, double *every, bool *resume)
{
    const cli_option table[] = {
        CLI_OPTION(group, "checkpoint-every", "SECONDS", CLI_REAL, every, "how often to save; 0 = on a signal only",
                   .min = 0, .max = (double)INFINITY, .show_default = true),
        CLI_OPTION(group, "resume", NULL, CLI_FLAG, resume, "go on from a checkpoint, if there is one"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

void cli_paths_add(cli_line *line, demarc_paths *paths)
{
    const cli_option table[] = {
        CLI_OPTION(PATHS, "features", "PATH", CLI_TEXT, &paths->features, "features [n, d] (default /features)"),
        CLI_OPTION(PATHS, "id", "PATH", CLI_TEXT, &paths->id, "ids [n] (default /id)"),
        CLI_OPTION(PATHS, "weight", "PATH", CLI_TEXT, &paths->weight, "weights [n] (default /weight)"),
        CLI_OPTION(PATHS, "outcomes", "PATH", CLI_TEXT, &paths->outcomes, "outcomes [n, m] (default /outcomes)"),
        CLI_OPTION(PATHS, "arm", "PATH", CLI_TEXT, &paths->arm, "campaign arm [n] (default /arm)"),
        CLI_OPTION(PATHS, "propensity", "PATH", CLI_TEXT, &paths->propensity,
                   "probability of each arm [n, arms] (default /propensity)"),
        CLI_OPTION(PATHS, "reachable", "PATH", CLI_TEXT, &paths->reachable, "channels [n, c] (default /reachable)"),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

demarc_status cli_common_start(cli_common *c, cli_line *line, int argc, char *const *argv, demarc_context **ctx)
{
    *ctx = NULL;
    demarc_status st = cli_line_parse(line, argc, argv);
    if (st == DEMARC_OK && c->quiet && c->verbose) {
        st = dm_fail(DEMARC_ERR_USAGE, "contradiction: --quiet and --verbose: give one of them");
    }
    /* A rank alone may fail (a config file that only some hosts see), so all ranks agree before anything collective. */
    st = demarc_mpi_agree(st);
    if (st != DEMARC_OK || line->help) return st;
    if (c->quiet) c->runtime.verbosity = DEMARC_QUIET;
    if (c->verbose) c->runtime.verbosity = DEMARC_VERBOSE;
    c->runtime.await_report = true;
    return demarc_context_create(ctx, &c->runtime);
}

bool cli_prints(const demarc_context *ctx) { return demarc_context_rank(ctx) == 0; }

demarc_status cli_json_print(dm_small_json **j)
{
    char *text = NULL;
    demarc_status st = dm_small_json_finish(j, &text);
    if (st == DEMARC_OK) fputs(text, stdout);
    free(text);
    return st;
}

void cli_path_join(char *dst, size_t size, const char *folder, const char *name)
{
    char raw[4096];
    size_t length = strlen(folder);
    bool slash = length > 0 && folder[length - 1] == '/';
    snprintf(raw, sizeof raw, "%s%s%s", folder, slash ? "" : "/", name);
    dm_text_escape(dst, size, raw);
}

static demarc_status print_dry_run(const char *command, bool json)
{
    dm_small_json *j = NULL;
    if (!json) {
        puts("dry run, nothing computed");
        return DEMARC_OK;
    }
    demarc_status st = dm_small_json_begin(&j);
    if (st != DEMARC_OK) return st;
    dm_small_json_text(j, "command", command);
    dm_small_json_bool(j, "dry_run", true);
    return cli_json_print(&j);
}

demarc_status cli_run(const cli_command *command, int argc, char *const *argv, const cli_body *b)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = NULL;
    cli_common common;
    cli_line line;
    cli_common_begin(&common);
    cli_line_begin(&line, command);
    b->add(&line, b->state);
    cli_common_add(&common, &line);
    DM_TRY(cli_common_start(&common, &line, argc, argv, &ctx));
    if (!command->stops) cli_stop_signals_release();
    if (!line.help) st = b->act(ctx, &line, common.json, b->state);
cleanup:
    demarc_context_destroy(&ctx);
    cli_line_clear(&line);
    return st;
}

static void add_document(cli_line *line, void *state)
{
    const cli_document *d = state;
    d->add(line, d->options);
}

demarc_status cli_flush(demarc_status st)
{
    errno = 0;
    const bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (!failed || st != DEMARC_OK) return st;
    return dm_fail_errno(errno != 0 ? errno : EIO,
                         "cannot write: standard output: free the disk or keep the reader open");
}

static demarc_status act_document(demarc_context *ctx, const cli_line *line, bool as_json, void *state)
{
    demarc_status st = DEMARC_OK;
    const cli_document *d = state;
    char *json = NULL;
    DM_TRY(d->make(ctx, line, d->options, &json));
    if (!cli_prints(ctx)) goto cleanup;
    if (json == NULL) {
        st = print_dry_run(line->command->name, as_json);
    } else if (as_json) {
        fputs(json, stdout);
    } else {
        if (d->print != NULL) DM_TRY(d->print(json));
        if (d->also != NULL) st = d->also(d->options, json);
    }
    st = cli_flush(st);
    if (st == DEMARC_OK) demarc_report_arrived(ctx);
cleanup:
    free(json);
    return st;
}

demarc_status cli_document_run(const cli_command *command, int argc, char *const *argv, const cli_document *d)
{
    cli_document document = *d;
    return cli_run(command, argc, argv, &(cli_body){&document, add_document, act_document});
}
