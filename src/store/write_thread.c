#include "store/write_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECES 64                    /* in the queue; a giver waits for room */
#define MAX_WRITE ((size_t)64 << 20) /* bytes per call of the system, so that stopping is not far */

typedef struct piece {
    const char *data;
    int64_t bytes, offset;
    int tag;
} piece;

struct dm_write_thread {
    int fd;
    bool running; /* there is a thread */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t given, taken;
    piece queue[PIECES];
    int first, count; /* the first stays in the queue while it is written */
    bool stop;
    int error, tag; /* of the first piece that failed */
};

/* errno, 0 = written. */
static int write_piece(int fd, const piece *p)
{
    for (int64_t done = 0; done < p->bytes;) {
        const size_t left = (size_t)(p->bytes - done);
        const ssize_t n = pwrite(fd, p->data + done, left < MAX_WRITE ? left : MAX_WRITE, p->offset + done);
        if (n < 0 && errno != EINTR) return errno;
        if (n == 0) return EIO;
        if (n > 0) done += n;
    }
    /* On its way to the disk now, not all together when the file is synced; only advice, so a refusal is no failure. */
    (void)sync_file_range(fd, p->offset, p->bytes, SYNC_FILE_RANGE_WRITE);
    return 0;
}

static void *work(void *argument)
{
    dm_write_thread *t = argument;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (t->count == 0 && !t->stop) pthread_cond_wait(&t->given, &t->lock);
        if (t->stop) break;
        const piece p = t->queue[t->first];
        int error = t->error;
        if (error == 0) {
            pthread_mutex_unlock(&t->lock);
            error = write_piece(t->fd, &p);
            pthread_mutex_lock(&t->lock);
            if (error != 0) t->tag = p.tag;
            t->error = error;
        }
        t->first = (t->first + 1) % PIECES;
        t->count--;
        pthread_cond_signal(&t->taken);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

demarc_status dm_write_thread_create(dm_write_thread **out, int fd)
{
    sigset_t all, old;
    dm_write_thread *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: writer of rows: free some memory");
    t->fd = fd;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->given, NULL);
    pthread_cond_init(&t->taken, NULL);
    /* Signals are the other threads'; a file size limit then shows as EFBIG here. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    t->running = pthread_create(&t->thread, NULL, work, t) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return DEMARC_OK;
}

void dm_write_thread_destroy(dm_write_thread **out)
{
    dm_write_thread *t = *out;
    if (t == NULL) return;
    if (t->running) {
        pthread_mutex_lock(&t->lock);
        t->stop = true;
        pthread_cond_signal(&t->given);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
    }
    pthread_cond_destroy(&t->taken);
    pthread_cond_destroy(&t->given);
    pthread_mutex_destroy(&t->lock);
    free(t);
    *out = NULL;
}

void dm_write_thread_put(dm_write_thread *t, const void *data, int64_t bytes, int64_t offset, int tag)
{
    const piece p = {data, bytes, offset, tag};
    if (bytes == 0) return;
    if (!t->running) {
        if (t->error == 0 && (t->error = write_piece(t->fd, &p)) != 0) t->tag = tag;
        return;
    }
    pthread_mutex_lock(&t->lock);
    while (t->count == PIECES) pthread_cond_wait(&t->taken, &t->lock);
    t->queue[(t->first + t->count++) % PIECES] = p;
    pthread_cond_signal(&t->given);
    pthread_mutex_unlock(&t->lock);
}

int dm_write_thread_wait(dm_write_thread *t, int *tag)
{
    pthread_mutex_lock(&t->lock);
    while (t->count > 0) pthread_cond_wait(&t->taken, &t->lock);
    const int error = t->error;
    *tag = t->tag;
    pthread_mutex_unlock(&t->lock);
    return error;
}
