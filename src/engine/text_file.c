#include "engine/text_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

demarc_status dm_text_file_write(const dm_output *o, const char *name, const char *text)
{
    char *path = NULL;
    demarc_status st = dm_output_path(o, name, &path);
    if (st != DEMARC_OK) return st;
    FILE *f = fopen(path, "w");
    const size_t length = strlen(text);
    if (f == NULL) {
        st = dm_fail_errno(errno, "cannot create %s: check space and permissions of its directory", path);
    } else {
        const bool wrote = fwrite(text, 1, length, f) == length;
        const int why = errno;
        if (fclose(f) != 0 || !wrote)
            st = dm_fail_errno(wrote ? errno : why, "cannot write %s: check the space of its disk", path);
    }
    free(path);
    return st;
}

demarc_status dm_text_file_read(const char *path, char **text, int64_t *length)
{
    demarc_status st = DEMARC_OK;
    struct stat s;
    FILE *f = fopen(path, "r");
    errno = f == NULL ? errno : EIO; /* what a short read is */
    if (f == NULL || fstat(fileno(f), &s) != 0 || (*text = malloc((size_t)s.st_size + 1)) == NULL ||
        fread(*text, 1, (size_t)s.st_size, f) != (size_t)s.st_size) {
        st = dm_fail_errno(errno, "cannot read back the finished results: %s: add --force to make them again", path);
    } else {
        (*text)[s.st_size] = 0;
        *length = s.st_size;
    }
    if (f != NULL) fclose(f);
    return st;
}
