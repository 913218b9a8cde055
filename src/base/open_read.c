#include "base/open_read.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITER_MS 3000 /* how long a pipe may stand without one */

/*
 * Linux reports data, or the end that a writer has left, but nothing as long as none has come. To tell that from a
 * silent writer without taking a byte away, ask for a copy: none to come is 0, not yet is EAGAIN.
 */
static bool somebody_writes(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int copy[2];
    if (poll(&p, 1, WRITER_MS) != 0 || pipe2(copy, O_CLOEXEC | O_NONBLOCK) != 0) return true;
    const bool some = tee(fd, copy[1], 1, SPLICE_F_NONBLOCK) != 0;
    (void)close(copy[0]);
    (void)close(copy[1]);
    return some;
}

int dm_open_read(const char *path)
{
    struct stat s;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    int reason = fstat(fd, &s) != 0 || fcntl(fd, F_SETFL, 0) != 0 ? errno : 0;
    if (reason == 0 && S_ISFIFO(s.st_mode) && !somebody_writes(fd)) reason = ENXIO;
    if (reason == 0) return fd;
    (void)close(fd);
    errno = reason;
    return -1;
}
