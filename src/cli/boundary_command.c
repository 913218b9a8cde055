/* demarc boundary TEST ...: find the test and run it. */
#include <string.h>

#include "cli/common.h"
#include "cli/values.h"

enum { TESTS_MAX = 8 };

const cli_command *const cli_boundary_tests[] = {&cli_sweep, &cli_replay, &cli_plan, &cli_analyze, NULL};

static void list_tests(void)
{
    fputs("demarc boundary: prove by experiment where the lines between segments belong.\n"
          "\n"
          "Usage: demarc boundary TEST [OPTION...]\n"
          "\n"
          "Tests:\n",
          stdout);
    for (const cli_command *const *t = cli_boundary_tests; *t != NULL; t++)
        printf("  %-8s %s\n", (*t)->name + strlen("boundary "), (*t)->summary);
    fputs("\n  demarc boundary TEST --help   options of a test and an example\n", stdout);
}

static demarc_status unknown_test(const char *name)
{
    const char *word[TESTS_MAX + 1] = {NULL};
    for (int i = 0; i < TESTS_MAX && cli_boundary_tests[i] != NULL; i++)
        word[i] = cli_boundary_tests[i]->name + strlen("boundary ");
    const char *near = cli_nearest(name, word);
    if (near != NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "unknown test: boundary '%.80s': did you mean demarc boundary %s?", name,
                       near);
    }
    return dm_fail(DEMARC_ERR_USAGE, "unknown test: boundary '%.80s': see demarc boundary --help", name);
}

static demarc_status run(const cli_command *command, int argc, char *const *argv)
{
    (void)command;
    if (argc < 2) {
        return demarc_mpi_agree(dm_fail(DEMARC_ERR_USAGE,
                                        "missing test: demarc boundary: give sweep, replay, plan or analyze "
                                        "(see demarc boundary --help)"));
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        if (demarc_mpi_rank() == 0) list_tests();
        return DEMARC_OK;
    }
    for (const cli_command *const *t = cli_boundary_tests; *t != NULL; t++) {
        if (strcmp((*t)->name + strlen("boundary "), argv[1]) == 0) return (*t)->run(*t, argc - 1, argv + 1);
    }
    return demarc_mpi_agree(unknown_test(argv[1]));
}

const cli_command cli_boundary = {
    .name = "boundary",
    .summary = "test where the lines between segments belong: sweep, replay, plan, analyze",
    .run = run,
};
