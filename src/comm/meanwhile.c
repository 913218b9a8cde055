#include "comm/meanwhile.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK 100000000 /* nanoseconds between two meetings of all ranks */

typedef struct job {
    demarc_status (*work)(void *context);
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
    demarc_status st;
    char *line; /* of its error */
} job;

static void *do_job(void *argument)
{
    job *j = argument;
    const demarc_status st = j->work(j->context);
    char *line = st == DEMARC_OK ? NULL : strdup(dm_error_line());
    pthread_mutex_lock(&j->lock);
    j->st = st;
    j->line = line;
    j->done = true;
    pthread_cond_signal(&j->over);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* Signals are the main thread's. */
static bool start(job *j, pthread_t *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(thread, NULL, do_job, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static bool done_soon(job *j)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&j->lock);
    while (!j->done && pthread_cond_timedwait(&j->over, &j->lock, &until) == 0) continue;
    const bool done = j->done;
    pthread_mutex_unlock(&j->lock);
    return done;
}

demarc_status dm_comm_meanwhile(dm_comm *comm, demarc_status (*work)(void *context), void *context)
{
    if (dm_comm_size(comm) == 1) return work == NULL ? DEMARC_OK : work(context);
    job j = {.work = work, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER, .done = work == NULL};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&j.over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_t thread;
    const bool apart = work != NULL && start(&j, &thread);
    if (work != NULL && !apart) (void)do_job(&j); /* no thread to be had: the others wait in one call */
    int64_t open;
    do {
        open = !done_soon(&j);
        dm_comm_max_i64(comm, &open, 1);
    } while (open != 0);
    if (apart) pthread_join(thread, NULL);
    pthread_cond_destroy(&j.over);
    pthread_mutex_destroy(&j.lock);
    if (j.st != DEMARC_OK)
        dm_error_set(j.line != NULL ? j.line : "out of memory: the line of an error: free some memory");
    free(j.line);
    return j.st;
}
