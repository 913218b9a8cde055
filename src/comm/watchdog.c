#include "comm/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK 0.25 /* seconds between two looks */
/* mpirun needs a second or two to end the others, who catch SIGTERM: only then does one line tell of it. */
#define RANK_DELAY 3.0
#define MOST_DELAY 6.0

/* What the waiting thread is in: NULL outside; the turn tells one call from the next. */
static _Atomic(const char *) watched;
static atomic_uint_fast64_t turn;
static atomic_bool paused;

static struct {
    pthread_t thread;
    bool running;
    double limit, delay; /* seconds */
    int rank;
    pthread_mutex_t lock; /* of `ended` */
    pthread_cond_t wake;
    bool ended;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Not through stdio: the waiting thread may hold its lock. */
static _Noreturn void bite(const char *what, double waited)
{
    char host[65] = "", line[512];
    (void)gethostname(host, sizeof host - 1);
    int length = snprintf(line, sizeof line,
                          "demarc: stalled: rank %d on %s has waited %.0f s in %s: a peer hangs or is cut off: see the "
                          "other hosts and the network, or raise --stall-timeout\n",
                          dog.rank, host, waited, what);
    if (length > 0 && length < (int)sizeof line && write(STDERR_FILENO, line, (size_t)length) < 0) {
        /* nobody to tell */
    }
    _exit(demarc_status_exit_code(DEMARC_ERR_SYSTEM));
}

/* Sleeps one interval. @return false when the watch is over */
static bool sleep_a_look(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(LOOK * 1e9);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&dog.lock);
    int rc = 0;
    while (!dog.ended && rc == 0) rc = pthread_cond_timedwait(&dog.wake, &dog.lock, &until);
    const bool go_on = !dog.ended;
    pthread_mutex_unlock(&dog.lock);
    return go_on;
}

static void *watch(void *unused)
{
    (void)unused;
    uint_fast64_t seen = 0;
    double waited = 0.0, last = dm_clock();
    while (sleep_a_look()) {
        const double now = dm_clock(), step = now - last;
        last = now;
        const uint_fast64_t current = atomic_load(&turn);
        const char *what = atomic_load(&watched);
        if (what == NULL || current != seen || atomic_load(&paused)) {
            seen = current;
            waited = 0.0;
            continue;
        }
        waited += step < 2.0 * LOOK ? step : 2.0 * LOOK;
        if (waited >= dog.limit + dog.delay && atomic_load(&turn) == current) bite(what, waited);
    }
    return NULL;
}

demarc_status dm_watchdog_start(double seconds, int rank)
{
    dm_watchdog_stop();
    if (seconds <= 0.0) return DEMARC_OK;
    dog.limit = seconds;
    dog.delay = RANK_DELAY * rank < MOST_DELAY ? RANK_DELAY * rank : MOST_DELAY;
    dog.rank = rank;
    dog.ended = false;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Signals are the main thread's: the watchdog must not be the one that a SIGTERM interrupts. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&dog.thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dog.running = rc == 0;
    if (rc == 0) return DEMARC_OK;
    pthread_cond_destroy(&dog.wake);
    return dm_fail(DEMARC_ERR_SYSTEM, "no thread: --stall-timeout: raise the limit of processes (ulimit -u): %s",
                   strerror(rc));
}

void dm_watchdog_stop(void)
{
    if (!dog.running) return;
    pthread_mutex_lock(&dog.lock);
    dog.ended = true;
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    pthread_cond_destroy(&dog.wake);
    dog.running = false;
}

void dm_watchdog_enter(const char *what)
{
    atomic_fetch_add(&turn, 1);
    atomic_store(&watched, what);
}

void dm_watchdog_leave(void) { atomic_store(&watched, NULL); }
void dm_watchdog_pause(void) { atomic_store(&paused, true); }
void dm_watchdog_resume(void) { atomic_store(&paused, false); }
