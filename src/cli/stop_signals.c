/*
 * The first SIGTERM, SIGINT or SIGUSR1 asks the command to save and stop; the same signal again does what it always did. One
 * that was ignored when the program started (a job in the background) stays so.
 */
#include "cli/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "demarc/demarc.h"

static const int wanted[] = {SIGTERM, SIGINT, SIGUSR1};

static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) (void)sigaddset(&set, wanted[i]);
    (void)pthread_sigmask(how, &set, NULL);
}

void cli_stop_signals_hold(void) { mask(SIG_BLOCK); }
void cli_stop_signals_release(void) { mask(SIG_UNBLOCK); }

void cli_stop_signals(bool on)
{
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct sigaction now, set = {.sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
        if (sigaction(wanted[i], NULL, &now) != 0 || now.sa_handler == SIG_IGN) continue;
        sigemptyset(&set.sa_mask);
        if (on) {
            set.sa_handler = demarc_stop_request;
        } else {
            set.sa_handler = SIG_DFL;
        }
        (void)sigaction(wanted[i], &set, NULL);
    }
    cli_stop_signals_release();
}
