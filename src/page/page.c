#include "page/page.h"

#include <errno.h>
#include <string.h>

#ifdef DEMARC_PAGE
/* page_assets.S: everything before and after the document. */
extern const char dm_page_head[], dm_page_head_end[], dm_page_tail[], dm_page_tail_end[];

demarc_status dm_page_available(void) { return DEMARC_OK; }

static bool put(FILE *f, const char *text, size_t length, int64_t *bytes)
{
    *bytes += (int64_t)length;
    return fwrite(text, 1, length, f) == length;
}

/* JSON has "<" inside strings only, where the escape means the same. */
static bool put_json(FILE *f, const char *json, int64_t *bytes)
{
    for (;;) {
        const size_t plain = strcspn(json, "<");
        if (!put(f, json, plain, bytes)) return false;
        json += plain;
        if (*json == 0) return true;
        if (!put(f, "\\u003c", 6, bytes)) return false;
        json++;
    }
}

demarc_status dm_page_write(const char *path, const char *json, int64_t *bytes)
{
    *bytes = 0;
    FILE *f = fopen(path, "w");
    if (f == NULL) return dm_fail_errno(errno, "cannot create %s: check space and permissions of its directory", path);
    const bool wrote = put(f, dm_page_head, (size_t)(dm_page_head_end - dm_page_head), bytes) &&
                       put_json(f, json, bytes) &&
                       put(f, dm_page_tail, (size_t)(dm_page_tail_end - dm_page_tail), bytes);
    const int why = errno;
    if (fclose(f) != 0 || !wrote)
        return dm_fail_errno(wrote ? errno : why, "cannot write %s: check the space of its disk", path);
    return DEMARC_OK;
}

#else

demarc_status dm_page_available(void)
{
    return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                   "no page: report: this demarc was built with -DDEMARC_REPORT=OFF, build it with ON");
}

demarc_status dm_page_write(const char *path, const char *json, int64_t *bytes)
{
    (void)path, (void)json, (void)bytes;
    return dm_page_available();
}

#endif
