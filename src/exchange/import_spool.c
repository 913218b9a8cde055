#include "exchange/import_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

#define BUFFER_BYTES (1 << 20)

static demarc_status cannot_write(const dm_spool *s)
{
    return dm_fail_errno(errno, "cannot write temporary rows beside %s: free disk space for twice the output",
                         s->beside);
}

demarc_status dm_spool_open(dm_spool *s, const char *beside, int64_t row_bytes, bool id)
{
    demarc_status st = DEMARC_OK;
    char *name = NULL;
    int fd = -1;
    *s = (dm_spool){.beside = beside, .row_bytes = row_bytes, .id = id};
    if (asprintf(&name, "%s.spool", beside) < 0) {
        name = NULL;
        DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: name of a temporary file: free some memory"));
    }
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        st = cannot_write(s);
        goto cleanup;
    }
    unlink(name);
    s->file = fdopen(fd, "w+");
    if (s->file == NULL) {
        st = cannot_write(s);
        goto cleanup;
    }
    fd = -1; /* the stream's now */
    DM_TRY(dm_alloc(s->buffer, BUFFER_BYTES, "temporary rows"));
    setvbuf(s->file, s->buffer, _IOFBF, BUFFER_BYTES);
cleanup:
    if (fd >= 0) close(fd);
    free(name);
    if (st != DEMARC_OK) dm_spool_close(s);
    return st;
}

demarc_status dm_spool_put(dm_spool *s, const char *row, const char *id, int64_t id_length)
{
    uint32_t length = (uint32_t)id_length;
    bool ok = s->row_bytes == 0 || fwrite(row, (size_t)s->row_bytes, 1, s->file) == 1;
    if (ok && s->id) {
        ok = fwrite(&length, sizeof length, 1, s->file) == 1 && fwrite(id, length, 1, s->file) == 1;
    }
    return ok ? DEMARC_OK : cannot_write(s);
}

demarc_status dm_spool_rewind(dm_spool *s)
{
    return fflush(s->file) == 0 && fseeko(s->file, 0, SEEK_SET) == 0 ? DEMARC_OK : cannot_write(s);
}

demarc_status dm_spool_get(dm_spool *s, char *row, char *id)
{
    uint32_t length = 0;
    errno = EIO; /* a short file sets none */
    bool ok = s->row_bytes == 0 || fread(row, (size_t)s->row_bytes, 1, s->file) == 1;
    if (ok && s->id) {
        ok = fread(&length, sizeof length, 1, s->file) == 1 && fread(id, length, 1, s->file) == 1;
        id[ok ? length : 0] = 0;
    }
    return ok ? DEMARC_OK
              : dm_fail_errno(errno, "cannot read temporary rows back beside %s: check the disk", s->beside);
}

void dm_spool_close(dm_spool *s)
{
    if (s->file != NULL) fclose(s->file);
    dm_free(s->buffer);
    *s = (dm_spool){0};
}
