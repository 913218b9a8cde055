/* What all commands share: common options, the context made from them, customer file paths, stdout. */
#ifndef DM_CLI_COMMON_H
#define DM_CLI_COMMON_H

#include "base/text.h"
#include "cli/options.h"
#include "report/small_json.h"

typedef struct cli_common {
    demarc_runtime runtime;
    const char *config;
    bool json, quiet, verbose;
} cli_common;

void cli_common_begin(cli_common *c);
/** Append the common options to the line. */
void cli_common_add(cli_common *c, cli_line *line);
/** Append --force and --dry-run. */
void cli_output_add(cli_line *line, const char *group, bool *force, bool *dry_run);
/** Append --checkpoint-every and --resume. */
void cli_checkpoint_add(cli_line *line, const char *group, double *every, bool *resume);
/** Append --features, --id, ...: HDF5 paths in the customer file. */
void cli_paths_add(cli_line *line, demarc_paths *paths);

/**
 * Parse, agree with the other ranks, create the context. Collective.
 * @param[out] ctx  NULL after an error, and after --help (line->help).
 */
demarc_status cli_common_start(cli_common *c, cli_line *line, int argc, char *const *argv, demarc_context **ctx);

/** What a command does between its options and its end. */
typedef struct cli_body {
    void *state; /* options with their defaults */
    void (*add)(cli_line *line, void *state);
    /* Do it, and print where cli_prints(). Collective. */
    demarc_status (*act)(demarc_context *ctx, const cli_line *line, bool json, void *state);
} cli_body;

/** The whole command: options, context, body. Collective. */
demarc_status cli_run(const cli_command *command, int argc, char *const *argv, const cli_body *b);

/** A command whose result is one JSON document, printed as it is (--json) or as tables. */
typedef struct cli_document {
    void *options; /* of the command, with their defaults */
    void (*add)(cli_line *line, void *options);
    /* Collective. @param[out] json  rank 0: malloc'd; NULL there = a dry run */
    demarc_status (*make)(demarc_context *ctx, const cli_line *line, void *options, char **json);
    demarc_status (*print)(const char *json); /* local, rank 0; NULL = nothing */
    demarc_status (*also)(const void *options,
                          const char *json); /* after it, what depends on options; NULL = nothing */
} cli_document;

/**
 * The whole command: options, context, the document, which rank 0 prints as it is (--json) or by `print` and `also`; where
 * there is none, that this was a dry run. Collective.
 */
demarc_status cli_document_run(const cli_command *command, int argc, char *const *argv, const cli_document *d);

/** True on the rank that prints results. */
bool cli_prints(const demarc_context *ctx);
/** What was printed must have arrived; an error found before keeps its line. Local. */
demarc_status cli_flush(demarc_status st);
/** Print the JSON of a short command's result and free it. Local. */
demarc_status cli_json_print(dm_small_json **j);
/** dst = folder + "/" + name for messages; cut to fit. */
void cli_path_join(char *dst, size_t size, const char *folder, const char *name);

#endif
