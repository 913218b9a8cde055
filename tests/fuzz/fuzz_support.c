#include "fuzz_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    return path;
}

dm_comm *fuzz_comm(void)
{
    static dm_comm *comm;
    if (comm == NULL && dm_comm_create(&comm) != DEMARC_OK) abort();
    return comm;
}

demarc_status fuzz_expect(demarc_status st)
{
    const char *line = dm_error_line();
    if (st != DEMARC_OK && (line[0] == 0 || strpbrk(line, "\n\r\033") != NULL)) abort();
    return st;
}
