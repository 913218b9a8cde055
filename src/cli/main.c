/*
 * The demarc program: find the command, run it, report its error, leave with its exit code.
 *
 * Under a launcher (mpirun, srun) MPI starts first and every rank parses the same command line; only rank 0 prints.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/status.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/fatal_signal.h"
#include "cli/stop_signals.h"
#include "cli/usage.h"
#include "cli/values.h"

static const cli_command *const commands[] = {&cli_generate, &cli_import, &cli_info,     &cli_select,    &cli_fit,
                                              &cli_assign,   &cli_export, &cli_boundary, &cli_stability, &cli_compare,
                                              &cli_report,   &cli_verify, NULL};
enum { COMMANDS = sizeof commands / sizeof *commands - 1 };

/*
 * OpenBLAS picks its kernels when it is loaded, by a list of CPUs that is older than many CPUs: on one it does not know
 * it may fall back to code several times slower. OPENBLAS_CORETYPE overrides the choice but is read only at load time,
 * so the program starts itself again with it; a variable the user has set is respected. The results do not depend on
 * it. If the system refuses, the program goes on with OpenBLAS's own choice, which --version and the manifest name.
 */
static void prefer_blas_core(char **argv)
{
    if (getenv("OPENBLAS_CORETYPE") != NULL || getenv("DEMARC_REEXEC") != NULL) return;
    const char *core = demarc_blas_core_advice();
    if (core == NULL) return;
    /* DEMARC_REEXEC: once only, whatever the second process would advise. */
    if (setenv("OPENBLAS_CORETYPE", core, 1) != 0 || setenv("DEMARC_REEXEC", "1", 1) != 0) return;
    execv("/proc/self/exe", argv);
}

/*
 * Occupy standard descriptors that were closed, each in the direction in which it cannot be used: otherwise a data file
 * would get number 1 and be overwritten by what is printed. Printing then fails and is reported.
 */
static void keep_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) _exit(demarc_status_exit_code(DEMARC_ERR_SYSTEM));
    }
}

static demarc_status unknown_command(const char *name)
{
    const char *word[COMMANDS + 2] = {NULL};
    for (size_t i = 0; i < COMMANDS; i++) word[i] = commands[i]->name;
    word[COMMANDS] = "help";
    if (name[0] == '-') {
        return dm_fail(DEMARC_ERR_USAGE, "unknown option: '%.80s' before a command: write demarc COMMAND [OPTION...]",
                       name);
    }
    const char *near = cli_nearest(name, word);
    if (near != NULL) return dm_fail(DEMARC_ERR_USAGE, "unknown command: '%.80s': did you mean demarc %s?", name, near);
    return dm_fail(DEMARC_ERR_USAGE, "unknown command: '%.80s': see demarc --help", name);
}

static const cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

static bool is_word(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* demarc help COMMAND is demarc COMMAND --help. */
static demarc_status run_help(int argc, char **argv)
{
    const bool print = demarc_mpi_rank() == 0;
    if (argc < 3) {
        if (print) cli_usage_program(commands);
        return DEMARC_OK;
    }
    const cli_command *c = find_command(argv[2]);
    if (c == NULL) return demarc_mpi_agree(unknown_command(argv[2]));
    char option[] = "--help";
    char *help[] = {argv[2], argc > 3 ? argv[3] : option, option, NULL};
    return c->run(c, argc > 3 ? 3 : 2, help);
}

static demarc_status run(int argc, char **argv)
{
    if (argc < 2) {
        return demarc_mpi_agree(
            dm_fail(DEMARC_ERR_USAGE, "missing command: demarc: give one of those that demarc --help lists"));
    }
    if (is_word(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0) return run_help(argc, argv);
    if (strcmp(argv[1], "--version") == 0) {
        if (demarc_mpi_rank() == 0) fputs(demarc_version_text(), stdout);
        return DEMARC_OK;
    }
    const cli_command *c = find_command(argv[1]);
    if (c == NULL) return demarc_mpi_agree(unknown_command(argv[1]));
    return c->run(c, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    cli_stop_signals_hold(); /* the mask survives the second start */
    prefer_blas_core(argv);
    (void)prctl(PR_SET_NAME, program_invocation_short_name); /* that start was by a link of another name */
    keep_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to report, not a silent death that leaves peers waiting */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit shows as a failed write, with its error line */
    cli_fatal_signal_install(demarc_mpi_rank());
    demarc_status st = demarc_mpi_init();
    bool report = demarc_mpi_rank() == 0;
    if (st == DEMARC_OK) {
        st = cli_flush(run(argc, argv));
        cli_stop_signals_release();
        st = demarc_mpi_agree(st);
    } else {
        report = true; /* no peer speaks for a rank that did not get as far as MPI */
    }
    if (st != DEMARC_OK && report) fprintf(stderr, "demarc: %s\n", demarc_error());
    demarc_mpi_finalize();
    return demarc_status_exit_code(st);
}
