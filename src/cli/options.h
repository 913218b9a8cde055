/*
 * The command line of one command: option tables, --config, checked values.
 *
 * A command lists its options (name, kind, bounds, where the value goes); popt splits the command line by that list,
 * the config file fills what the command line left open, and every value is checked before it is stored. Local: no
 * function here is collective.
 */
#ifndef DM_CLI_OPTIONS_H
#define DM_CLI_OPTIONS_H

#include "base/status.h"
#include "cli/command.h"

#define CLI_MAX_OPTIONS 48
#define CLI_MAX_ARGUMENTS 2

typedef enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_HELP,   /* no target */
    CLI_TEXT,   /* const char *, borrowed from the cli_line; never empty */
    CLI_OUTPUT, /* the same, a file or directory to write: never the config file */
    CLI_LIST,   /* the same, "A,B,..."; given again it goes on: "A" and "B" are "A,B" */
    CLI_WORD,   /* const char *, one of `word` */
    CLI_CHOICE, /* enum counted from 0 in the order of `word` */
    CLI_CHAR,   /* char */
    CLI_INT32,  /* int32_t in [min, max] */
    CLI_INT64,  /* int64_t in [min, max], at most 2^53 */
    CLI_UINT64, /* uint64_t, any */
    CLI_REAL,   /* double in [min, max], or [min, max) with `below_max` */
    CLI_SIZE,   /* int64_t bytes: 0 or in [min, max] */
    CLI_RANGE   /* int32_t LO and (target_high) HI, min <= LO <= HI <= max */
} cli_kind;

typedef struct cli_option {
    const char *group; /* title in --help; options of one group stand together in the table */
    const char *name;  /* without dashes */
    const char *value; /* placeholder in --help; NULL for flags */
    const char *help;
    cli_kind kind;
    void *target; /* holds the default until a value is given */
    void *target_high;
    const char *const *word; /* NULL-terminated */
    double min, max;
    bool below_max;
    bool required;
    bool show_default; /* --help adds the target's present value */
} cli_option;

/** An entry of an option table; further fields may follow by name: `.min = 1, .max = 10`. */
#define CLI_OPTION(group_, name_, value_, kind_, target_, help_, ...)                                                  \
    {                                                                                                                  \
        .group = (group_), .name = (name_), .value = (value_), .help = (help_), .kind = (kind_), .target = (target_),  \
        __VA_ARGS__                                                                                                    \
    }

/** What was said about one option, and where. */
typedef struct cli_given {
    char *text;   /* NULL = not given; "true" or "false" for a flag */
    int64_t line; /* of the config file; 0 = command line */
} cli_given;

typedef struct cli_line {
    const cli_command *command;
    int count;
    cli_option option[CLI_MAX_OPTIONS];
    cli_given given[CLI_MAX_OPTIONS];
    int arguments;
    char *argument[CLI_MAX_ARGUMENTS]; /* what is not an option, in order */
    const char *config;                /* path, NULL without --config */
    bool help;                         /* --help was given: nothing else was checked */
} cli_line;

/** Start with no options. Free with cli_line_clear(). */
void cli_line_begin(cli_line *line, const cli_command *command);
/** Append options; the targets must outlive the line. More than CLI_MAX_OPTIONS is a programming error (assert). */
void cli_line_add(cli_line *line, const cli_option *option, size_t count);
/**
 * Parse argv (argv[0] is ignored), then --config, then store all values. Targets of options not given keep their
 * defaults.
 * @retval DEMARC_ERR_USAGE  unknown or bad option, missing argument; the line names option, or file and line; an output
 *                           is the config file
 * @retval DEMARC_ERR_DATA   the config file does not exist or is no regular text
 * @retval DEMARC_ERR_IO     the config file cannot be read
 */
demarc_status cli_line_parse(cli_line *line, int argc, char *const *argv);
void cli_line_clear(cli_line *line);

/** Index of the option called `name`, -1 if there is none. */
int cli_line_find(const cli_line *line, const char *name);
/** True when the command line or the config file gave the option. */
bool cli_line_has(const cli_line *line, const char *name);
/** Nearest option name, NULL if none is near. */
const char *cli_line_nearest(const cli_line *line, const char *name);
/** argv as one line for the manifest, quoted for a shell; malloc'd, NULL when memory is short. */
char *cli_command_line(int argc, char *const *argv);

/** Fill what the command line left open from a config file (config.c). */
demarc_status cli_config_read(cli_line *line, const char *path);

#endif
