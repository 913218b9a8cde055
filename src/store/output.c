#include "store/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/text.h"
#include "comm/meanwhile.h"
#include "store/path_tools.h"
#include "store/temporary.h"

/* All that a directory of each kind may hold when --force replaces it. */
static const char *const result_file[] = {"model.h5", "assignments.h5", "diagnostics.json", "manifest.json", NULL};
static const char *const plan_file[] = {"experiment.h5", "plan.json", NULL};

static const char *const *files_of(dm_output_kind kind) { return kind == DM_OUTPUT_PLAN ? plan_file : result_file; }

/* A file of ours, or the temporary of one that was to replace it (engine/fit_rename.c) when its run died. */
static bool is_ours(dm_output_kind kind, const char *name)
{
    for (const char *const *file = files_of(kind); *file != NULL; file++) {
        if (strcmp(name, *file) == 0 || dm_temporary_of(*file, name)) return true;
    }
    return false;
}

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: name of the output: free some memory");
}

static demarc_status exists(const char *path)
{
    return dm_fail(DEMARC_ERR_EXISTS, "output exists: %s: choose another name or add --force", path);
}

/* ------------------------------------------------------------------------------------------------ may it go? */

static demarc_status check_replaced_file(const char *path, const struct stat *old)
{
    if (S_ISREG(old->st_mode)) return DEMARC_OK;
    const char *what = S_ISDIR(old->st_mode)   ? "a directory"
                       : S_ISLNK(old->st_mode) ? "a symbolic link"
                                               : "a device, pipe or socket";
    return dm_fail(DEMARC_ERR_EXISTS,
                   "output exists and is %s: %s: --force replaces regular files only, choose another name", what, path);
}

/* Only our own result files, as regular files: nobody else's work is lost. */
static demarc_status check_replaced_contents(const char *path, dm_output_kind kind)
{
    demarc_status st = DEMARC_OK;
    const char *what = kind == DM_OUTPUT_PLAN ? "plans" : "results";
    DIR *dir = opendir(path);
    if (dir == NULL)
        return dm_fail_errno(errno, "cannot read the directory to replace: %s: check its permissions", path);
    const struct dirent *e;
    while (st == DEMARC_OK && (errno = 0, e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        struct stat s;
        if (is_ours(kind, e->d_name) && fstatat(dirfd(dir), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(s.st_mode)) {
            continue;
        }
        st = dm_fail(DEMARC_ERR_EXISTS,
                     "output holds more than demarc's %s: %s (%s): --force replaces %s only, choose another name", what,
                     path, e->d_name, what);
    }
    if (st == DEMARC_OK && errno != 0) {
        st = dm_fail_errno(errno, "cannot read the directory to replace: %s: check the file system", path);
    }
    closedir(dir);
    return st;
}

static demarc_status check_replaced_directory(const char *path, dm_output_kind kind, const struct stat *old,
                                              const struct stat *parent)
{
    if (!S_ISDIR(old->st_mode)) {
        return dm_fail(DEMARC_ERR_EXISTS, "output exists and is not a directory: %s: choose another name", path);
    }
    if (old->st_dev != parent->st_dev) {
        return dm_fail(DEMARC_ERR_EXISTS, "output is a mount point: %s: choose a name inside it", path);
    }
    if (access(path, R_OK | W_OK | X_OK) != 0) {
        return dm_fail_errno(errno, "cannot replace the output: %s: check its permissions", path);
    }
    return check_replaced_contents(path, kind);
}

/* Everything that can be refused before the work starts. */
static demarc_status check_target(const dm_output *o, const char *parent)
{
    struct stat p, old;
    const char *path = o->final_path, *base = dm_path_base(path);
    if (stat(parent, &p) != 0) {
        return dm_fail_errno(errno, "no place for the output: %s: create the directory first (mkdir -p)", parent);
    }
    if (!S_ISDIR(p.st_mode)) {
        return dm_fail(DEMARC_ERR_IO, "no place for the output: %s is not a directory: choose another name", parent);
    }
    if (lstat(path, &old) != 0) {
        if (errno == ENOENT) return DEMARC_OK;
        return dm_fail_errno(errno, "cannot look at the output: %s: choose another name", path);
    }
    if (!o->force) return exists(path);
    if (base[0] == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
        return dm_fail(DEMARC_ERR_EXISTS, "output cannot be replaced: %s: give it a name of its own", path);
    }
    return o->kind == DM_OUTPUT_FILE ? check_replaced_file(path, &old)
                                     : check_replaced_directory(path, o->kind, &old, &p);
}

/* ------------------------------------------------------------------------------------------------ the temporary */

static demarc_status cannot_protect(const char *path)
{
    return dm_fail_errno(errno, "cannot set permissions: %s: check the file system", path);
}

/* What is to be replaced may be private: until the new one gets its mode nobody else looks in. */
static demarc_status keep_private(dm_output *o)
{
    struct stat made, old;
    if (stat(o->temp_path, &made) != 0) return cannot_protect(o->temp_path);
    o->mode = made.st_mode & 07777;
    if (lstat(o->final_path, &old) != 0) return DEMARC_OK;
    return chmod(o->temp_path, o->kind == DM_OUTPUT_FILE ? 0600 : 0700) == 0 ? DEMARC_OK : cannot_protect(o->temp_path);
}

static demarc_status make_temporary(dm_output *o, const char *parent)
{
    const int reason = dm_temporary_make(o->final_path, o->kind != DM_OUTPUT_FILE, &o->temp_path, &o->lock);
    o->active = reason == 0;
    if (reason == ENOMEM) return no_memory();
    if (reason == EEXIST) {
        return dm_fail(DEMARC_ERR_IO, "cannot create the output: %s: remove old temporary files from %s", o->final_path,
                       parent);
    }
    if (reason != 0) {
        return dm_fail_errno(reason, "cannot create the output: %s: check permissions and space of the directory %s",
                             o->final_path, parent);
    }
    if (o->kind == DM_OUTPUT_FILE) dm_output_sweep(o->final_path, o->kind);
    return keep_private(o);
}

/* All ranks get rank 0's temporary path. */
static demarc_status share_temporary(dm_output *o, dm_comm *comm)
{
    demarc_status st = DEMARC_OK;
    int64_t bytes = o->temp_path == NULL ? 0 : (int64_t)strlen(o->temp_path) + 1;
    dm_comm_bcast(comm, &bytes, sizeof bytes, 0);
    if (dm_comm_rank(comm) != 0) {
        o->temp_path = malloc((size_t)bytes);
        if (o->temp_path == NULL) st = no_memory();
    }
    DM_TRY_ALL(comm, st);
    dm_comm_bcast(comm, o->temp_path, bytes, 0);
    o->active = true;
cleanup:
    return st;
}

static demarc_status copy_final_path(dm_output *o, const char *path)
{
    if (path == NULL || path[0] == 0) return dm_fail(DEMARC_ERR_USAGE, "empty name: output: give the output a name");
    o->final_path = dm_path_trimmed(path);
    return o->final_path == NULL ? no_memory() : DEMARC_OK;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

demarc_status demarc_output_spare(const char *out, const char *input)
{
    struct stat o, i, folder;
    if (out == NULL || input == NULL || stat(out, &o) != 0 || stat(input, &i) != 0) return DEMARC_OK;
    if (same_file(&o, &i)) {
        return dm_fail(DEMARC_ERR_USAGE, "output is the input: %s: inputs are never changed, choose another name", out);
    }
    char *real = realpath(input, NULL), *parent = real == NULL ? NULL : dm_path_parent(real);
    if (real == NULL ? errno == ENOMEM : parent == NULL) {
        free(real);
        return no_memory();
    }
    const bool inside = parent != NULL && S_ISDIR(o.st_mode) && stat(parent, &folder) == 0 && same_file(&o, &folder);
    free(parent);
    free(real);
    if (!inside) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE, "output holds the input: %s (%s): inputs are never changed, choose another name",
                   out, input);
}

demarc_status dm_output_spare_input(dm_comm *comm, const char *out, const char *input)
{
    return dm_comm_agree(comm, dm_comm_rank(comm) == 0 ? demarc_output_spare(out, input) : DEMARC_OK);
}

demarc_status dm_output_begin(dm_output *o, dm_comm *comm, const char *path, dm_output_kind kind, bool force)
{
    demarc_status st = DEMARC_OK, local = DEMARC_OK;
    char *parent = NULL;
    *o = (dm_output){.kind = kind, .force = force};
    DM_TRY_ALL(comm, copy_final_path(o, path));
    if (dm_comm_rank(comm) == 0) {
        parent = dm_path_parent(o->final_path);
        local = parent == NULL ? no_memory() : check_target(o, parent);
        if (local == DEMARC_OK) local = make_temporary(o, parent);
    }
    DM_TRY_ALL(comm, local);
    DM_TRY(share_temporary(o, comm));
cleanup:
    free(parent);
    if (st != DEMARC_OK) dm_output_abandon(o, comm);
    return st;
}

demarc_status dm_output_path(const dm_output *o, const char *name, char **dst)
{
    *dst = NULL;
    if (o->kind == DM_OUTPUT_FILE) {
        *dst = strdup(o->temp_path);
    } else if (asprintf(dst, "%s/%s", o->temp_path, name) < 0) {
        *dst = NULL;
    }
    return *dst == NULL ? no_memory() : DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ commit */

static demarc_status sync_temporary(const char *path)
{
    demarc_status st = DEMARC_OK;
    char *const roots[] = {(char *)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL) return no_memory();
    FTSENT *e;
    while (st == DEMARC_OK && (errno = 0, e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_F) st = dm_path_sync(e->fts_accpath, 0);
        if (e->fts_info == FTS_DP) st = dm_path_sync(e->fts_accpath, O_DIRECTORY);
        if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS) {
            st = dm_fail_errno(e->fts_errno, "cannot read back the output: %s: check the file system", e->fts_path);
        }
    }
    if (st == DEMARC_OK && errno != 0) {
        st = dm_fail_errno(errno, "cannot read back the output: %s: check the file system", path);
    }
    fts_close(walk);
    return st;
}

static demarc_status cannot_name(int reason, const dm_output *o)
{
    if (reason == EEXIST || reason == ENOTEMPTY) return exists(o->final_path);
    return dm_fail_errno(reason, "cannot give the output its name: %s: check permissions of its directory",
                         o->final_path);
}

static bool flag_unsupported(int reason) { return reason == EINVAL || reason == ENOSYS || reason == EOPNOTSUPP; }

/*
 * Where renameat2 has no RENAME_NOREPLACE (NFS, old kernels): claim the name exclusively with an empty file or folder,
 * which rename may replace. Still nobody's output is overwritten; only a crash between the two calls leaves the empty
 * claim behind.
 */
static demarc_status claim_and_rename(const dm_output *o)
{
    if (dm_temporary_make_empty(o->final_path, o->kind != DM_OUTPUT_FILE) != 0) return cannot_name(errno, o);
    if (rename(o->temp_path, o->final_path) == 0) return DEMARC_OK;
    int reason = errno;
    (void)(o->kind != DM_OUTPUT_FILE ? rmdir(o->final_path) : unlink(o->final_path));
    return cannot_name(reason, o);
}

static demarc_status name_new(const dm_output *o)
{
    if (renameat2(AT_FDCWD, o->temp_path, AT_FDCWD, o->final_path, RENAME_NOREPLACE) == 0) return DEMARC_OK;
    return flag_unsupported(errno) ? claim_and_rename(o) : cannot_name(errno, o);
}

/* The old results lie at `path`, a temporary name, now. Only known names go: a stranger's late file survives. */
static demarc_status remove_old_results(const dm_output *o, const char *path)
{
    DIR *dir = opendir(path);
    if (dir != NULL) {
        const struct dirent *e;
        while ((e = readdir(dir)) != NULL) {
            if (is_ours(o->kind, e->d_name)) (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
        closedir(dir);
    }
    if (rmdir(path) == 0) return DEMARC_OK;
    return dm_fail_errno(errno, "new results are in %s but the old ones stay: %s: remove them", o->final_path, path);
}

/* How the output got its name, so that the name can be given back. */
typedef struct naming {
    enum { NAMED_NEW, NAMED_BY_EXCHANGE, NAMED_BY_MOVE, NAMED_OVER } how;
    char *old; /* where the replaced output lies; NULL = there was none, or it is gone */
} naming;

/* Where renameat2 has no RENAME_EXCHANGE: two renames; a crash between leaves old and new under temporary names. */
static demarc_status move_aside_and_rename(const dm_output *o, naming *n)
{
    char *aside = dm_temporary_name(o->final_path);
    if (aside == NULL) return no_memory();
    demarc_status st = DEMARC_OK;
    if (rename(o->final_path, aside) != 0) {
        st = cannot_name(errno, o);
    } else if (rename(o->temp_path, o->final_path) != 0) {
        st = cannot_name(errno, o);
        (void)rename(aside, o->final_path);
    } else {
        *n = (naming){NAMED_BY_MOVE, aside};
        aside = NULL;
    }
    free(aside);
    return st;
}

static demarc_status replace(const dm_output *o, naming *n)
{
    char *old = strdup(o->temp_path);
    if (old == NULL) return no_memory();
    if (renameat2(AT_FDCWD, o->temp_path, AT_FDCWD, o->final_path, RENAME_EXCHANGE) == 0) {
        *n = (naming){NAMED_BY_EXCHANGE, old};
        return DEMARC_OK;
    }
    const int reason = errno;
    free(old);
    if (!flag_unsupported(reason)) return cannot_name(reason, o);
    if (o->kind != DM_OUTPUT_FILE) return move_aside_and_rename(o, n);
    *n = (naming){NAMED_OVER, NULL};
    return rename(o->temp_path, o->final_path) == 0 ? DEMARC_OK : cannot_name(errno, o);
}

/* Of files in a directory that is replaced. */
static demarc_status copy_modes(const dm_output *o)
{
    demarc_status st = DEMARC_OK;
    struct stat old;
    if (o->kind == DM_OUTPUT_FILE) return DEMARC_OK;
    const int from = open(o->final_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int to = open(o->temp_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || to < 0) st = cannot_protect(o->final_path);
    for (const char *const *file = files_of(o->kind); st == DEMARC_OK && *file != NULL; file++) {
        if (fstatat(from, *file, &old, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(old.st_mode)) continue;
        if (fchmodat(to, *file, old.st_mode & 0777, 0) != 0 && errno != ENOENT) st = cannot_protect(o->temp_path);
    }
    if (to >= 0) (void)close(to);
    if (from >= 0) (void)close(from);
    return st;
}

/* Under the final name, which may have come or changed while we worked: look again. */
static demarc_status publish(const dm_output *o, naming *n)
{
    demarc_status st = DEMARC_OK;
    struct stat old;
    char *parent = NULL;
    *n = (naming){NAMED_NEW, NULL};
    if (!o->force) return name_new(o);
    parent = dm_path_parent(o->final_path);
    if (parent == NULL) return no_memory();
    DM_TRY(check_target(o, parent));
    const bool there = lstat(o->final_path, &old) == 0;
    /* Customers' data that were private stay private. */
    if (there) DM_TRY(copy_modes(o));
    if (chmod(o->temp_path, there ? old.st_mode & 07777 : o->mode) != 0) DM_TRY(cannot_protect(o->temp_path));
    st = there ? replace(o, n) : name_new(o);
cleanup:
    free(parent);
    return st;
}

/* Undo publish(), as far as that can be done. @return true when the output has its temporary name again */
static bool take_back(const dm_output *o, const naming *n)
{
    switch (n->how) {
    case NAMED_NEW:
        return rename(o->final_path, o->temp_path) == 0;
    case NAMED_BY_EXCHANGE:
        return renameat2(AT_FDCWD, o->temp_path, AT_FDCWD, o->final_path, RENAME_EXCHANGE) == 0;
    case NAMED_BY_MOVE:
        return rename(o->final_path, o->temp_path) == 0 && rename(n->old, o->final_path) == 0;
    case NAMED_OVER:
        break;
    }
    return false;
}

static demarc_status remove_old(const dm_output *o, const char *old)
{
    if (o->kind != DM_OUTPUT_FILE) return remove_old_results(o, old);
    if (unlink(old) == 0) return DEMARC_OK;
    return dm_fail_errno(errno, "the new output is %s but the old one stays: %s: remove it", o->final_path, old);
}

/* The replaced output goes only when the new name is safe on disk; if that fails it gets its name back. */
static demarc_status commit_on_root(void *output)
{
    demarc_status st = DEMARC_OK;
    dm_output *o = output;
    naming n = {NAMED_NEW, NULL};
    char *parent = dm_path_parent(o->final_path);
    if (parent == NULL) return no_memory();
    DM_TRY(sync_temporary(o->temp_path));
    DM_TRY(publish(o, &n));
    o->active = false; /* what may have the temporary name now is not ours to remove wholesale */
    st = dm_path_sync(parent, O_DIRECTORY);
    if (st != DEMARC_OK && take_back(o, &n)) {
        o->active = true;
    } else if (n.old != NULL) {
        const demarc_status removed = remove_old(o, n.old);
        if (st == DEMARC_OK) st = removed;
    }
cleanup:
    free(n.old);
    free(parent);
    return st;
}

demarc_status dm_output_commit(dm_output *o, dm_comm *comm)
{
    demarc_status st = DEMARC_OK;
    if (!o->active) return dm_fail(DEMARC_ERR_ARG, "no output to commit: dm_output_commit: begin it first");
    dm_comm_barrier(comm); /* every rank has closed its files */
    const bool root = dm_comm_rank(comm) == 0;
    st = dm_comm_meanwhile(comm, root ? commit_on_root : NULL, o);
    if (root && o->active) dm_temporary_remove(o->temp_path);
    o->active = false;
    dm_temporary_unlock(&o->lock);
    return dm_comm_agree(comm, st);
}

void dm_output_abandon(dm_output *o, dm_comm *comm)
{
    if (o->active && dm_comm_rank(comm) == 0) dm_temporary_remove(o->temp_path);
    dm_temporary_unlock(&o->lock);
    free(o->final_path);
    free(o->temp_path);
    *o = (dm_output){0};
}

demarc_status dm_output_remove_dead(const char *path, const char *name)
{
    char *final = dm_path_trimmed(path), *dead = NULL;
    const demarc_status st = final == NULL ? no_memory() : dm_temporary_dead(final, name, &dead);
    if (dead != NULL) dm_temporary_remove(dead);
    free(dead);
    free(final);
    return st;
}

demarc_status dm_output_adopt(dm_output *o, dm_comm *comm, const char *name, bool *adopted)
{
    struct stat s;
    int64_t there = 0;
    char *dead = NULL;
    const demarc_status st =
        dm_comm_agree(comm, dm_comm_rank(comm) == 0 ? dm_temporary_dead(o->final_path, name, &dead) : DEMARC_OK);
    if (st != DEMARC_OK) return st;
    there = dead != NULL && lstat(dead, &s) == 0 && S_ISDIR(s.st_mode);
    dm_comm_bcast(comm, &there, sizeof there, 0);
    *adopted = there != 0;
    if (there == 0) {
        free(dead);
        return DEMARC_OK;
    }
    if (dm_comm_rank(comm) == 0) {
        dm_temporary_remove(o->temp_path);
        dm_temporary_unlock(&o->lock);
        (void)dm_temporary_lock(dead, true, &o->lock);
        (void)chmod(dead, lstat(o->final_path, &s) == 0 ? 0700 : o->mode); /* as keep_private() */
    }
    free(o->temp_path);
    o->temp_path = dead;
    return share_temporary(o, comm);
}

/* Of directories only what results are made of goes: one renamed before its end may hold a stranger's late file. */
void dm_output_sweep(const char *path, dm_output_kind kind)
{
    dm_output o = {.kind = kind, .final_path = dm_path_trimmed(path)};
    char *dead = NULL;
    if (o.final_path == NULL) return;
    dm_temporary_walk *walk = dm_temporary_walk_begin(o.final_path, kind != DM_OUTPUT_FILE);
    while ((dead = dm_temporary_walk_next(walk)) != NULL) {
        (void)remove_old(&o, dead);
        free(dead);
    }
    dm_temporary_walk_end(&walk);
    free(o.final_path);
}

void dm_output_leave(dm_output *o) { o->active = false; }

demarc_status dm_output_room(const char *path, int64_t bytes)
{
    struct statvfs v;
    char need[32], have[32];
    int rc = statvfs(path, &v);
    if (rc != 0 && errno == ENOENT) { /* not created yet: the folder it will be in */
        char *parent = dm_path_parent(path);
        if (parent == NULL) return no_memory();
        rc = statvfs(parent, &v);
        int reason = errno;
        free(parent);
        errno = reason;
    }
    if (rc != 0) return dm_fail_errno(errno, "cannot ask for free space: %s: check the file system", path);
    /* In double: blocks x size may pass 2^64. A file system without a block count (some FUSE) knows no room. */
    double room = (double)v.f_bavail * (double)v.f_frsize;
    if (v.f_blocks == 0 || (double)bytes <= room) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_IO,
                   "not enough disk space: %s (needs %s, %s free): free some space or choose another disk", path,
                   dm_text_bytes(need, (double)bytes), dm_text_bytes(have, room));
}
