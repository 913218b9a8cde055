#include "cli/usage.h"

#include <string.h>

#include "cli/popt_table.h"

#define COLUMNS 98

/* Paragraphs of running text, filled to COLUMNS; lines that begin with a blank stay as they are. */
static void print_filled(const char *text)
{
    size_t column = 0;
    while (*text != 0) {
        const size_t line = strcspn(text, "\n");
        if (line == 0 || *text == ' ') { /* ends a paragraph */
            printf("%s%.*s\n", column > 0 ? "\n" : "", (int)line, text);
            column = 0;
            text += line + (text[line] == '\n');
            continue;
        }
        const size_t word = strcspn(text, " \n");
        if (column > 0 && column + 1 + word > COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%.*s", column > 0 ? " " : "", (int)word, text);
        text += word;
        while (*text == ' ') text++;
        if (*text == '\n') {
            text++;
            if (*text == 0 || *text == '\n' || *text == ' ') {
                putchar('\n');
                column = 0;
            }
        }
    }
    if (column > 0) putchar('\n');
}

demarc_status cli_usage_command(const cli_line *line)
{
    demarc_status st = DEMARC_OK;
    const cli_command *c = line->command;
    char name[64], arguments[128];
    snprintf(name, sizeof name, "demarc %s", c->name);
    const char *argv[] = {name, NULL}; /* popt takes the usage line's name from argv[0] */
    cli_popt table = {0};
    poptContext con = NULL;
    DM_TRY(cli_popt_create(&table, line));
    con = poptGetContext(name, 1, argv, table.top, 0);
    if (con == NULL) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: help text: free some memory");
        goto cleanup;
    }
    snprintf(arguments, sizeof arguments, "%s [OPTION...]", c->arguments);
    poptSetOtherOptionHelp(con, arguments);
    char title[512];
    snprintf(title, sizeof title, "%s: %s.\n\n", name, c->summary);
    print_filled(title);
    poptPrintHelp(con, stdout, 0);
    if (c->notes != NULL) putchar('\n');
    if (c->notes != NULL) print_filled(c->notes);
    printf("\nExample:\n%s", c->example);
cleanup:
    poptFreeContext(con);
    cli_popt_clear(&table);
    return st;
}

void cli_usage_program(const cli_command *const *command)
{
    fputs("demarc divides a retailer's customers into segments.\n"
          "\n"
          "Usage: demarc COMMAND [OPTION...], alone or under mpirun -n R (or srun): the results are the same\n"
          "\n"
          "Commands:\n",
          stdout);
    for (; *command != NULL; command++) printf("  %-10s %s\n", (*command)->name, (*command)->summary);
    fputs("\n"
          "  demarc COMMAND --help   options of a command and an example (also: demarc help COMMAND)\n"
          "  demarc --version        version, commit, compiler, MPI, HDF5, BLAS and its core type, kernels\n"
          "\n"
          "Options are written --name VALUE or --name=VALUE, or stand in a file given by --config FILE,\n"
          "one a line; the command line wins:\n"
          "  segments = 6        # a comment; a value that holds # is put in double quotes\n"
          "  force = true        # a flag; --no-force on the command line undoes it\n"
          "Results go to stdout (--json: as JSON), log, progress and one-line errors to stderr.\n"
          "An existing output is replaced only with --force, and appears whole or not at all.\n"
          "\n"
          "Exit codes:\n"
          "  0 done   2 wrong usage   3 bad input data or file   4 cannot do what was asked\n"
          "  5 I/O or system error   6 verification failed   75 stopped: --resume if it was saved\n"
          "\n"
          "Environment:\n"
          "  NO_COLOR            no colour on a terminal\n"
          "  DEMARC_KERNEL       what --kernel is where it is not given\n"
          "  OPENBLAS_CORETYPE   core type that OpenBLAS uses (--version shows it); when unset, demarc sets\n"
          "                      it on CPUs that OpenBLAS does not know well. Only speed depends on it\n"
          "\n"
          "Example:\n"
          "  demarc generate customers.h5 --customers 100000\n"
          "  mpirun -n 2 demarc fit customers.h5 --segments 6 --out run1\n"
          "  demarc verify run1\n",
          stdout);
}
