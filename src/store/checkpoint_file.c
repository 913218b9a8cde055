#include "store/checkpoint_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stats/digest.h"
#include "store/path_tools.h"

#define MAGIC "DEMARCCK"
#define ORDER 0x01020304u
#define VERSION 1u
#define MAX_WRITE ((size_t)64 << 20)
#define TRIES 100 /* to lock a folder that others remove at the same time */

static const char *const slot_name[2] = {"a", "b"};
static const char new_name[] = "new";

/* As on disk; no padding. */
typedef struct head {
    char magic[8];
    uint32_t order, version;
    int64_t generation, length;
    char payload_digest[32], head_digest[32]; /* hexadecimal, without NUL */
} head;

struct dm_checkpoint_folder {
    char *path;
    int fd;             /* the folder, locked; -1 = there is none */
    bool empty;         /* no generation is in it */
    bool safe;          /* its name is safe on disk */
    int slot;           /* of the newest whole generation; -1 = none */
    int64_t generation; /* its number */
};

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory");
}

static demarc_status cannot_save(const dm_checkpoint_folder *c, int reason)
{
    return dm_fail_errno(reason, "cannot save a checkpoint: %s: check space and permissions", c->path);
}

static char *folder_of(const char *path)
{
    char *folder = NULL, suffix[48];
    bool cut = false;
    char *trimmed = dm_path_trimmed(path);
    if (trimmed == NULL) return NULL;
    folder = dm_path_hidden(trimmed, "checkpoint", &cut);
    if (cut) { /* two long names may differ only behind the cut */
        const char *base = dm_path_base(trimmed);
        snprintf(suffix, sizeof suffix, "%016llx.checkpoint", (unsigned long long)dm_hash64(base, strlen(base), 0));
        free(folder);
        folder = dm_path_hidden(trimmed, suffix, NULL);
    }
    free(trimmed);
    return folder;
}

/* Is the folder of c->fd still the one that has the name? Another run may have removed it before we locked it. */
static bool is_there(const dm_checkpoint_folder *c)
{
    struct stat ours, there;
    return fstat(c->fd, &ours) == 0 && lstat(c->path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static bool holds_generation(const dm_checkpoint_folder *c)
{
    struct stat s;
    for (int slot = 0; slot < 2; slot++) {
        if (fstatat(c->fd, slot_name[slot], &s, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) return true;
    }
    return false;
}

static void leave(dm_checkpoint_folder *c)
{
    (void)close(c->fd); /* and the lock */
    c->fd = -1;
}

/* Open and lock the folder if it is there. */
static demarc_status enter(dm_checkpoint_folder *c)
{
    struct stat s;
    c->fd = open(c->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->fd < 0 && errno == ENOENT) return DEMARC_OK;
    /* Nothing is there where what should be its parent is no folder: the output will say so. */
    if (c->fd < 0 && errno == ENOTDIR && lstat(c->path, &s) != 0) return DEMARC_OK;
    if (c->fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        return dm_fail(DEMARC_ERR_EXISTS,
                       "in the way of checkpoints: %s is no folder: remove it or choose another --out", c->path);
    }
    if (c->fd < 0 || fstat(c->fd, &s) != 0) {
        return dm_fail_errno(errno, "cannot open the checkpoints: %s: check permissions", c->path);
    }
    if (s.st_uid != geteuid()) {
        return dm_fail(DEMARC_ERR_EXISTS, "another user's checkpoints: %s: choose another --out", c->path);
    }
    if (flock(c->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return dm_fail(DEMARC_ERR_EXISTS, "another run is at work: %s is in use: wait for it or choose another --out",
                       c->path);
    }
    c->empty = !holds_generation(c);
    c->safe = false;
    return DEMARC_OK;
}

/* The same, made if it is not there; where that cannot be, c->fd stays -1 and errno tells why. */
static demarc_status make_and_enter(dm_checkpoint_folder *c)
{
    for (int i = 0; i < TRIES; i++) {
        const int reason = mkdir(c->path, 0700) == 0 || errno == EEXIST ? 0 : errno;
        const demarc_status st = enter(c);
        if (st != DEMARC_OK && c->fd >= 0) leave(c); /* another's */
        if (c->fd < 0) {
            errno = reason != 0 ? reason : ENOENT;
            return st;
        }
        if (is_there(c)) return DEMARC_OK;
        leave(c);
    }
    return DEMARC_OK;
}

demarc_status dm_checkpoint_open(dm_checkpoint_folder **out, const char *path)
{
    demarc_status st = DEMARC_OK;
    dm_checkpoint_folder *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) return no_memory();
    c->fd = c->slot = -1;
    c->path = folder_of(path);
    st = c->path == NULL ? no_memory() : make_and_enter(c);
    if (st == DEMARC_OK) {
        *out = c;
    } else {
        dm_checkpoint_close(&c);
    }
    return st;
}

/* A folder in which nothing was saved goes. It is locked, so it is nobody else's. */
static bool drop_empty(const dm_checkpoint_folder *c)
{
    if (!c->empty) return true;
    (void)unlinkat(c->fd, new_name, 0);
    return !is_there(c) || rmdir(c->path) == 0 || errno == ENOENT;
}

void dm_checkpoint_close(dm_checkpoint_folder **c)
{
    if (*c == NULL) return;
    if ((*c)->fd >= 0) {
        drop_empty(*c);
        leave(*c);
    }
    free((*c)->path);
    free(*c);
    *c = NULL;
}

const char *dm_checkpoint_path(const dm_checkpoint_folder *c) { return c->path; }
bool dm_checkpoint_present(const dm_checkpoint_folder *c) { return c->fd >= 0 && !c->empty; }

/* ------------------------------------------------------------------------------------------------ load */

/* @param[out] reason  errno where the system refuses; a file that ends early has none */
static bool read_all(int fd, void *to, int64_t count, int *reason)
{
    for (int64_t done = 0; done < count;) {
        const ssize_t n = read(fd, (char *)to + done, (size_t)(count - done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EISDIR) *reason = errno;
        if (n <= 0) return false;
        done += n;
    }
    return true;
}

static void digest_of(const void *bytes, size_t count, char digest[32])
{
    char hex[33];
    dm_hash128_hex(bytes, count, hex);
    memcpy(digest, hex, 32);
}

static bool is_head(const head *h, int64_t file_bytes)
{
    char digest[32];
    digest_of(h, offsetof(head, head_digest), digest);
    return memcmp(digest, h->head_digest, sizeof digest) == 0 && memcmp(h->magic, MAGIC, sizeof h->magic) == 0 &&
           h->order == ORDER && h->version == VERSION && h->generation >= 1 && h->length >= 0 &&
           h->length == file_bytes - (int64_t)sizeof *h;
}

/*
 * Payload of one generation, malloc'd; NULL if it is not there (*there false), not whole, or the system refuses it
 * (*reason is an errno; ENOMEM: there is no memory for it).
 */
static char *read_slot(const dm_checkpoint_folder *c, int slot, head *h, bool *there, int *reason)
{
    struct stat s;
    char *payload = NULL, digest[32];
    const int fd = openat(c->fd, slot_name[slot], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *there = fd >= 0 || errno != ENOENT;
    if (fd < 0 && *there && errno != ELOOP && errno != ENXIO) *reason = errno; /* a link or a socket is not ours */
    if (fd < 0) return NULL;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && read_all(fd, h, sizeof *h, reason) && is_head(h, s.st_size)) {
        payload = malloc((size_t)h->length + 1);
        if (payload == NULL) *reason = ENOMEM;
    }
    if (payload != NULL) {
        const bool read = read_all(fd, payload, h->length, reason);
        if (read) digest_of(payload, (size_t)h->length, digest);
        if (!read || memcmp(digest, h->payload_digest, sizeof digest) != 0) {
            free(payload);
            payload = NULL;
        }
    }
    close(fd);
    return payload;
}

demarc_status dm_checkpoint_load(dm_checkpoint_folder *c, char **payload, int64_t *bytes, bool *spared)
{
    char *best = NULL;
    int seen = 0, reason = 0;
    *payload = NULL;
    *bytes = 0;
    *spared = false;
    if (c->fd < 0) return DEMARC_OK;
    for (int slot = 0; slot < 2 && (reason == 0 || reason == EIO); slot++) {
        head h;
        bool there = false;
        char *found = read_slot(c, slot, &h, &there, &reason);
        seen += there;
        *spared = *spared || (there && found == NULL);
        if (found == NULL) continue;
        if (best == NULL || h.generation > c->generation) {
            free(best);
            best = found;
            c->slot = slot;
            c->generation = h.generation;
            *bytes = h.length;
        } else {
            free(found);
        }
    }
    /* A disk that has lost one generation may give the other. */
    if (reason != 0 && (reason != EIO || best == NULL)) {
        free(best);
        return reason == ENOMEM ? no_memory()
                                : dm_fail_errno(reason, "cannot read a checkpoint: %s: check its permissions", c->path);
    }
    if (best == NULL && seen > 0) {
        return dm_fail(DEMARC_ERR_DATA,
                       "damaged checkpoint: %s: no generation is whole: add --force to start from the beginning",
                       c->path);
    }
    *payload = best;
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ save */

static bool write_all(int fd, const char *bytes, int64_t count)
{
    while (count > 0) {
        const ssize_t n = write(fd, bytes, (size_t)count < MAX_WRITE ? (size_t)count : MAX_WRITE);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        count -= n;
    }
    return true;
}

/* A folder of ours, its name safe on disk; made again where somebody removed it. */
static demarc_status have_folder(dm_checkpoint_folder *c)
{
    demarc_status st = DEMARC_OK;
    char *parent = NULL;
    if (c->fd >= 0 && !is_there(c)) leave(c);
    if (c->fd < 0) {
        DM_TRY(make_and_enter(c));
        if (c->fd < 0) DM_TRY(cannot_save(c, errno));
        c->slot = -1;
        if (!c->empty) {
            st = dm_fail(DEMARC_ERR_EXISTS,
                         "another run's checkpoints came meanwhile: %s: remove them, or choose "
                         "another --out",
                         c->path);
            leave(c);
            goto cleanup;
        }
    }
    if (c->safe) goto cleanup;
    parent = dm_path_parent(c->path);
    st = parent == NULL ? no_memory() : dm_path_sync(parent, O_DIRECTORY);
    c->safe = st == DEMARC_OK;
cleanup:
    free(parent);
    return st;
}

static bool write_generation(const dm_checkpoint_folder *c, const head *h, const char *payload)
{
    const int fd = openat(c->fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    const bool wrote = write_all(fd, (const char *)h, sizeof *h) && write_all(fd, payload, h->length) && fsync(fd) == 0;
    const int reason = errno;
    const bool closed = close(fd) == 0; /* some network file systems tell of a failed write only here */
    if (!wrote) errno = reason;
    return wrote && closed;
}

demarc_status dm_checkpoint_save(dm_checkpoint_folder *c, const char *payload, int64_t bytes)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(have_folder(c));
    head h = {.magic = MAGIC, .order = ORDER, .version = VERSION, .generation = c->generation + 1, .length = bytes};
    const int slot = c->slot == 0 ? 1 : 0;
    digest_of(payload, (size_t)bytes, h.payload_digest);
    digest_of(&h, offsetof(head, head_digest), h.head_digest);
    if (!write_generation(c, &h, payload) || renameat(c->fd, new_name, c->fd, slot_name[slot]) != 0 ||
        (fsync(c->fd) != 0 && errno != EINVAL)) {
        st = cannot_save(c, errno);
        (void)unlinkat(c->fd, new_name, 0);
        goto cleanup;
    }
    c->slot = slot;
    c->generation++;
    c->empty = false;
cleanup:
    return st;
}

demarc_status dm_checkpoint_clear(dm_checkpoint_folder *c)
{
    if (c->fd < 0) return DEMARC_OK;
    for (int slot = 0; slot < 2; slot++) (void)unlinkat(c->fd, slot_name[slot], 0);
    c->slot = -1;
    c->generation = 0;
    if (holds_generation(c)) return dm_fail_errno(errno, "cannot remove old checkpoints: %s: remove them", c->path);
    c->empty = true;
    return DEMARC_OK;
}

demarc_status dm_checkpoint_remove(dm_checkpoint_folder *c)
{
    const demarc_status st = dm_checkpoint_clear(c);
    if (st != DEMARC_OK || c->fd < 0) return st;
    if (!drop_empty(c)) return dm_fail_errno(errno, "cannot remove old checkpoints: %s: remove them", c->path);
    leave(c);
    return DEMARC_OK;
}
