/* The commands of the program. Each is one file; main.c picks one and reports its error. */
#ifndef DM_CLI_COMMAND_H
#define DM_CLI_COMMAND_H

#include "demarc/demarc.h"

typedef struct cli_command cli_command;
struct cli_command {
    const char *name;
    const char *summary;         /* one line, for the list of commands */
    const char *arguments;       /* for the usage line */
    const char *const *argument; /* names of what is not an option, NULL-terminated; all are required */
    bool writes_last;            /* the last of them is a file to write */
    const char *notes;           /* paragraphs after the options; NULL = none */
    const char *example;         /* lines that run as printed, in an empty folder */
    bool stops;                  /* `run` calls cli_stop_signals(); before all others signals are released */
    /* Collective. argv[0] is the command's name. The error line is in demarc_error(). */
    demarc_status (*run)(const cli_command *command, int argc, char *const *argv);
};

extern const cli_command cli_generate, cli_import, cli_info, cli_select, cli_fit, cli_assign, cli_export, cli_boundary;
extern const cli_command cli_stability, cli_compare, cli_report, cli_verify;
extern const cli_command cli_sweep, cli_replay, cli_plan, cli_analyze; /* boundary TEST */

/** The commands behind `demarc boundary`, NULL-terminated (boundary_command.c). */
extern const cli_command *const cli_boundary_tests[];

#endif
