#include "store/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/path_tools.h"

#define TAG 6     /* random letters or digits in a temporary name */
#define TRIES 100 /* random names to try; each collides with probability 36^-6 per temporary that lies about */

static const char digit[] = "0123456789abcdefghijklmnopqrstuvwxyz", ending[] = ".tmp";

char *dm_temporary_name(const char *path)
{
    unsigned char r[TAG];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) return NULL;
    char suffix[TAG + sizeof ending] = {0};
    for (int i = 0; i < TAG; i++) suffix[i] = digit[r[i] % 36];
    memcpy(suffix + TAG, ending, sizeof ending);
    return dm_path_hidden(path, suffix, NULL);
}

int dm_temporary_make_empty(const char *name, bool directory)
{
    if (directory) return mkdir(name, 0777);
    const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    if (close(fd) == 0) return 0;
    const int reason = errno;
    (void)unlink(name);
    errno = reason;
    return -1;
}

/* Of a file its first byte, by the open file (OFD): HDF5, which may want flock, and SQLite, which locks bytes, do not mind. */
static int lock_open(int fd, bool directory)
{
    struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return directory ? flock(fd, LOCK_EX | LOCK_NB) : fcntl(fd, F_OFD_SETLK, &first);
}

bool dm_temporary_lock(const char *name, bool directory, int *lock)
{
    *lock = 0;
    const int mode = directory ? O_RDONLY | O_DIRECTORY : O_RDWR | O_NONBLOCK;
    struct stat s;
    const int fd = open(name, mode | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return true;
    if (fstat(fd, &s) == 0 && (directory || S_ISREG(s.st_mode)) && lock_open(fd, directory) == 0) {
        *lock = fd + 1;
        return true;
    }
    const bool taken = errno == EWOULDBLOCK || errno == EACCES;
    (void)close(fd);
    return !taken;
}

void dm_temporary_unlock(int *lock)
{
    if (*lock > 0) (void)close(*lock - 1);
    *lock = 0;
}

/* Between its making and its locking a temporary looks dead: is it still there? */
static bool is_there(const char *name, int lock)
{
    struct stat ours, there;
    if (lock == 0) return true;
    return fstat(lock - 1, &ours) == 0 && stat(name, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

int dm_temporary_make(const char *path, bool directory, char **name, int *lock)
{
    *name = NULL;
    *lock = 0;
    for (int i = 0; i < TRIES; i++) {
        char *candidate = dm_temporary_name(path);
        if (candidate == NULL) return ENOMEM;
        const int reason = dm_temporary_make_empty(candidate, directory) == 0 ? 0 : errno;
        if (reason == 0 && dm_temporary_lock(candidate, directory, lock) && is_there(candidate, *lock)) {
            *name = candidate;
            return 0;
        }
        dm_temporary_unlock(lock);
        free(candidate);
        if (reason != 0 && reason != EEXIST) return reason;
    }
    return EEXIST;
}

void dm_temporary_remove(const char *name)
{
    char *const roots[] = {(char *)name, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (walk == NULL) return;
    FTSENT *e;
    while ((e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_DP) {
            (void)rmdir(e->fts_accpath);
        } else if (e->fts_info != FTS_D) {
            (void)unlink(e->fts_accpath);
        }
    }
    fts_close(walk);
}

/* `name` = PREFIX, TAG random characters and the ending? */
static bool has_form(const char *prefix, const char *name)
{
    const size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && strspn(name + length, digit) == TAG &&
           strcmp(name + length + TAG, ending) == 0;
}

bool dm_temporary_of(const char *file, const char *name)
{
    const size_t length = strlen(file);
    return name[0] == '.' && strncmp(name + 1, file, length) == 0 && has_form(".", name + 1 + length);
}

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: name of a temporary: free some memory");
}

demarc_status dm_temporary_dead(const char *path, const char *name, char **dead)
{
    struct stat s;
    char *mould = dm_path_hidden(path, "", NULL);
    *dead = NULL;
    if (mould == NULL) return no_memory();
    const bool named = has_form(dm_path_base(mould), name);
    free(mould);
    if (!named) return DEMARC_OK;
    if (asprintf(dead, "%.*s%s", (int)(dm_path_base(path) - path), path, name) < 0) {
        *dead = NULL;
        return no_memory();
    }
    if (lstat(*dead, &s) == 0 && s.st_uid == geteuid()) return DEMARC_OK;
    free(*dead);
    *dead = NULL;
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ all dead ones */

struct dm_temporary_walk {
    const char *path;
    DIR *folder;
    bool directories; /* wanted, or files */
    int lock;         /* of the one given last */
};

/* Of a name too long for a hidden one the temporaries look like those of other such names: none is ours for certain. */
dm_temporary_walk *dm_temporary_walk_begin(const char *path, bool directories)
{
    bool cut = false;
    char *mould = dm_path_hidden(path, "", &cut), *parent = dm_path_parent(path);
    dm_temporary_walk *w = NULL;
    DIR *folder = mould == NULL || cut || parent == NULL ? NULL : opendir(parent);
    if (folder != NULL && (w = calloc(1, sizeof *w)) != NULL) {
        w->path = path;
        w->directories = directories;
        w->folder = folder;
    } else if (folder != NULL) {
        closedir(folder);
    }
    free(mould);
    free(parent);
    return w;
}

char *dm_temporary_walk_next(dm_temporary_walk *w)
{
    const struct dirent *e;
    if (w == NULL) return NULL;
    dm_temporary_unlock(&w->lock);
    while ((e = readdir(w->folder)) != NULL) {
        char *dead = NULL;
        (void)dm_temporary_dead(w->path, e->d_name, &dead); /* what stays for want of memory goes another time */
        if (dead != NULL && dm_temporary_lock(dead, w->directories, &w->lock) && w->lock != 0) return dead;
        free(dead);
    }
    return NULL;
}

void dm_temporary_walk_end(dm_temporary_walk **w)
{
    if (*w == NULL) return;
    dm_temporary_unlock(&(*w)->lock);
    closedir((*w)->folder);
    free(*w);
    *w = NULL;
}
