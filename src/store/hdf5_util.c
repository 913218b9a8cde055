#include "store/hdf5_util.h"

#include <stdarg.h>
#include <string.h>

demarc_status dm_hdf5_start(void)
{
    /* Refused once HDF5 runs, as in a host program that uses it too: then its exit handler is the host's. */
    (void)H5dont_atexit();
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0) {
        return dm_fail(DEMARC_ERR_SYSTEM, "HDF5 did not start: H5open: check that one HDF5 library is installed");
    }
    return DEMARC_OK;
}

demarc_status dm_hdf5_file_access(hid_t *fapl)
{
    *fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (*fapl < 0 || H5Pset_fclose_degree(*fapl, H5F_CLOSE_STRONG) < 0 || H5Pset_file_locking(*fapl, false, true) < 0) {
        demarc_status st =
            dm_hdf5_fail(DEMARC_ERR_SYSTEM, "HDF5 refuses file access properties: this system: check its version");
        dm_hdf5_close(fapl);
        return st;
    }
    return DEMARC_OK;
}

typedef struct stack_reason {
    char text[256];
    bool system; /* the system's own words were found */
} stack_reason;

/* Called innermost first. The system's words are inside descriptions: "..., errno = 28, error message = '...', ...". */
static herr_t note_reason(unsigned level, const H5E_error2_t *error, void *data)
{
    static const char mark[] = "error message = '";
    stack_reason *r = data;
    if (r->system || error->desc == NULL) return 0;
    const char *words = strstr(error->desc, mark);
    if (words != NULL) {
        words += sizeof mark - 1;
        snprintf(r->text, sizeof r->text, "%.*s", (int)strcspn(words, "'"), words);
        r->system = true;
    } else if (level == 0) {
        snprintf(r->text, sizeof r->text, "%s", error->desc);
    }
    return 0;
}

bool dm_hdf5_reason(char *buf, size_t buf_size)
{
    stack_reason r = {0};
    if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_reason, &r) < 0) r.text[0] = 0;
    snprintf(buf, buf_size, "%s", r.text);
    return buf[0] != 0;
}

demarc_status dm_hdf5_fail(demarc_status st, const char *fmt, ...)
{
    char line[1024], reason[256];
    bool known = dm_hdf5_reason(reason, sizeof reason);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    return known ? dm_fail(st, "%s: %s", line, reason) : dm_fail(st, "%s", line);
}

void dm_hdf5_close(hid_t *id)
{
    if (*id >= 0 && H5Iget_type(*id) != H5I_BADID) (void)H5Idec_ref(*id);
    *id = DM_HDF5_NONE;
}
