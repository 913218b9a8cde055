#include "fuzz_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[4096]; /* a real one: HDF5 asks for it, which rules out memfd_create() */

static void forget(void) { (void)unlink(path); }

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        const char *folder = getenv("TMPDIR");
        snprintf(path, sizeof path, "%s/demarc-fuzz-XXXXXX", folder != NULL ? folder : "/tmp");
        fd = mkstemp(path);
        if (fd >= 0) (void)atexit(forget);
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
    if (getenv("FUZZ_TRACE") != NULL) fprintf(stderr, "%s %s\n", demarc_status_text(st), st != DEMARC_OK ? line : "");
    if (st != DEMARC_OK && (line[0] == 0 || strpbrk(line, "\n\r\033") != NULL)) abort();
    return st;
}
