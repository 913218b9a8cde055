/*
 * Temporary names beside an output, FOLDER/.NAME.xxxxxx.tmp with six random letters or digits, and which of them are dead.
 *
 * A run locks the temporary directory (flock) or file (fcntl) it works in. The kernel lets go of the lock when the process is
 * gone, however it ended, so a temporary of such a name that can be locked is what a dead run left. Where the file system has no
 * locks none can be told dead, and all stay; where they hold on one host only (a mount option of Lustre), a run into the
 * same output on another host looks dead, and fails for want of its files. Local: rank 0's.
 */
#ifndef DM_STORE_TEMPORARY_H
#define DM_STORE_TEMPORARY_H

#include "base/status.h"

/** A new name for `path`; freed by free(), NULL without memory. Nothing is created. */
char *dm_temporary_name(const char *path);
/**
 * An empty file or directory, created exclusively with the ordinary mode, so that the kernel applies umask (or the parent's
 * default ACL) as for any other new one and nothing needs to be corrected when the name becomes final.
 * @return 0, or -1 and errno
 */
int dm_temporary_make_empty(const char *name, bool directory);
/**
 * Create a temporary for `path`.
 * @param[out] name  freed by free(); NULL after an error
 * @param[out] lock  let go by dm_temporary_unlock()
 * @return 0 or an errno; ENOMEM, EEXIST: every name that was tried is taken
 */
int dm_temporary_make(const char *path, bool directory, char **name, int *lock);
/** @param[out] lock  0 where there is none to be had. @return false when another process holds it */
bool dm_temporary_lock(const char *name, bool directory, int *lock);
/** 0 is a no-op. */
void dm_temporary_unlock(int *lock);
/** Remove a temporary of ours, a file or a folder with all that is in it. */
void dm_temporary_remove(const char *name);
/**
 * @param[out] dead  path of the temporary `name` (last part) for `path` if it is there and this user's, else NULL; freed by
 *                   free()
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_temporary_dead(const char *path, const char *name, char **dead);

/** Has `name` the form of a temporary for `file`, a name without a folder? */
bool dm_temporary_of(const char *file, const char *name);

typedef struct dm_temporary_walk dm_temporary_walk;
/** The directories, or else the regular files, that dead runs of this user left for `path`; NULL is none. */
dm_temporary_walk *dm_temporary_walk_begin(const char *path, bool directories);
/** The next one, locked until the call after this; freed by free(). NULL is the end. */
char *dm_temporary_walk_next(dm_temporary_walk *w);
void dm_temporary_walk_end(dm_temporary_walk **w);

#endif
