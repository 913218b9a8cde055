#include "fuzz_command_line.h"

#include <stdlib.h>

typedef struct targets {
    bool flag, force, dry_run;
    const char *text, *word;
    int choice;
    char letter;
    int32_t small, low, high;
    int64_t large, bytes;
    uint64_t seed;
    double real;
    demarc_paths paths;
} targets;

static const char *const words[] = {"alpha", "beta", "gamma", NULL};

demarc_status fuzz_command_line(int argc, char *const *argv)
{
    static const char *const argument[] = {"DATA.h5", NULL};
    const cli_command command = {.name = "fuzz", .arguments = "DATA.h5", .argument = argument};
    targets t = {0};
    const cli_option table[] = {
        CLI_OPTION("Fuzz", "flag", NULL, CLI_FLAG, &t.flag, "a flag"),
        CLI_OPTION("Fuzz", "text", "TEXT", CLI_TEXT, &t.text, "a text"),
        CLI_OPTION("Fuzz", "word", "WORD", CLI_WORD, &t.word, "a word", .word = words),
        CLI_OPTION("Fuzz", "choice", "WORD", CLI_CHOICE, &t.choice, "a choice", .word = words),
        CLI_OPTION("Fuzz", "delimiter", "C", CLI_CHAR, &t.letter, "a character"),
        CLI_OPTION("Fuzz", "restarts", "N", CLI_INT32, &t.small, "a number", .min = -5, .max = 1000),
        CLI_OPTION("Fuzz", "customers", "N", CLI_INT64, &t.large, "a large number", .min = 1, .max = 0x1p53),
        CLI_OPTION("Fuzz", "seed", "N", CLI_UINT64, &t.seed, "a seed"),
        CLI_OPTION("Fuzz", "share", "S", CLI_REAL, &t.real, "a share", .min = 0, .max = 1, .below_max = true),
        CLI_OPTION("Fuzz", "room", "SIZE", CLI_SIZE, &t.bytes, "a size", .min = 1, .max = 0x1p50),
        CLI_OPTION("Fuzz", "segments", "LO:HI", CLI_RANGE, &t.low, "a range", .target_high = &t.high, .min = 1,
                   .max = 0x1p30),
    };
    cli_common common;
    cli_line line;
    cli_common_begin(&common);
    cli_line_begin(&line, &command);
    cli_line_add(&line, table, sizeof table / sizeof *table);
    cli_output_add(&line, "Output", &t.force, &t.dry_run);
    cli_paths_add(&line, &t.paths);
    cli_common_add(&common, &line);
    const demarc_status st = cli_line_parse(&line, argc, argv);
    free(cli_command_line(argc, argv));
    cli_line_clear(&line);
    return st;
}
