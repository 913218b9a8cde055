/*
 * Writing behind the caller's back: one thread that puts pieces of memory at their places in an open file, in the order
 * they were given, while the caller computes. It calls nothing but the system: no HDF5 and no MPI, which may be called
 * by one thread only. Local.
 */
#ifndef DM_STORE_WRITE_THREAD_H
#define DM_STORE_WRITE_THREAD_H

#include "base/status.h"

typedef struct dm_write_thread dm_write_thread;

/**
 * For the open descriptor `fd`, borrowed. Where the system grants no thread, pieces are written as they are given.
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_write_thread_create(dm_write_thread **out, int fd);

/** Stop without writing what has not begun; after this no memory given is touched any more. Safe on NULL. */
void dm_write_thread_destroy(dm_write_thread **t);

/**
 * Write `bytes` from `data` at `offset`. `data` is borrowed until the next dm_write_thread_wait().
 * @param[in] tag  given back when this piece fails
 */
void dm_write_thread_put(dm_write_thread *t, const void *data, int64_t bytes, int64_t offset, int tag);

/**
 * Wait until all is written. @return 0, or the errno of the first piece that failed, ever, and its tag; pieces after it
 * are not written.
 */
int dm_write_thread_wait(dm_write_thread *t, int *tag);

#endif
