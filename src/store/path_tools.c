#include "store/path_tools.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAME_KEPT 200 /* bytes of the name repeated in a hidden one; NAME_MAX is 255 nearly everywhere */

char *dm_path_trimmed(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    return strndup(path, len);
}

const char *dm_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *dm_path_parent(const char *path)
{
    const char *base = dm_path_base(path);
    if (base == path) return strdup(".");
    size_t len = (size_t)(base - path);
    while (len > 1 && path[len - 1] == '/') len--;
    return strndup(path, len);
}

char *dm_path_hidden(const char *path, const char *suffix, bool *cut)
{
    char *name = NULL;
    const char *base = dm_path_base(path);
    size_t kept = strnlen(base, NAME_KEPT + 1);
    if (cut != NULL) *cut = kept > NAME_KEPT;
    if (kept > NAME_KEPT) {
        kept = NAME_KEPT;
        while (kept > 1 && ((unsigned char)base[kept] & 0xc0) == 0x80) kept--; /* not inside a UTF-8 character */
    }
    return asprintf(&name, "%.*s.%.*s.%s", (int)(base - path), path, (int)kept, base, suffix) < 0 ? NULL : name;
}

demarc_status dm_path_sync(const char *path, int flags)
{
    demarc_status st = DEMARC_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    /* EINVAL: some file systems do not let a folder be synced and keep its entries safe by other means. */
    if (fd < 0 || (fsync(fd) != 0 && !(errno == EINVAL && (flags & O_DIRECTORY) != 0))) {
        st = dm_fail_errno(errno, "cannot write the output to disk: %s: check the disk's space and health", path);
    }
    if (fd >= 0) close(fd);
    return st;
}
