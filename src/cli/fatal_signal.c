/*
 * The line is made beforehand, all but the signal's name: in the handler only write, signal and raise are called, which
 * POSIX lists as async-signal-safe. On the main thread the handler runs on a stack of its own, so that its overflowing
 * stack is told too; other threads have none (a stack belongs to the thread that sets it), and theirs ends without a line.
 * MPI_Init finds the signals taken and does not put its own stack dump there.
 */
#include "cli/fatal_signal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    int number;
    const char *text;
} fatal[] = {
    {SIGSEGV, "SIGSEGV (bad memory access): this is a bug, please report it with the command line"},
    {SIGBUS, "SIGBUS (memory or a mapped file went away): see the host's memory and disk"},
    {SIGFPE, "SIGFPE (arithmetic): this is a bug, please report it with the command line"},
    {SIGILL, "SIGILL (the CPU lacks an instruction): build on the oldest host, or give --kernel ref"},
    {SIGABRT, "SIGABRT (a library gave up): see the lines above this one"},
};
enum { FATAL = sizeof fatal / sizeof *fatal };

static char line[FATAL][256];
static char stack[16384];

static void die(int number)
{
    for (int i = 0; i < FATAL; i++) {
        if (fatal[i].number == number && write(STDERR_FILENO, line[i], strlen(line[i])) < 0) break;
    }
    signal(number, SIG_DFL); /* so that the launcher sees the signal, and a core is dumped where that is wanted */
    raise(number);
}

void cli_fatal_signal_install(int rank)
{
    char host[65] = "";
    (void)gethostname(host, sizeof host - 1);
    const stack_t mine = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction handler = {.sa_handler = die, .sa_flags = SA_ONSTACK | SA_NODEFER}, old;
    if (sigaltstack(&mine, NULL) != 0) handler.sa_flags = SA_NODEFER;
    sigemptyset(&handler.sa_mask);
    for (int i = 0; i < FATAL; i++) {
        (void)snprintf(line[i], sizeof line[i], "demarc: ended by a signal: rank %d on %s: %s\n", rank, host,
                       fatal[i].text);
        if (sigaction(fatal[i].number, NULL, &old) != 0 || old.sa_handler != SIG_DFL) continue;
        (void)sigaction(fatal[i].number, &handler, NULL);
    }
}
