#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"

static _Thread_local char error_line[1024];

const char *demarc_status_text(demarc_status st)
{
    switch (st) {
#define DEMARC_STATUS_TEXT(name, exit_code, text)                                                                      \
    case name:                                                                                                         \
        return text;
        DEMARC_STATUS_LIST(DEMARC_STATUS_TEXT)
#undef DEMARC_STATUS_TEXT
    }
    return "unknown status";
}

int demarc_status_exit_code(demarc_status st)
{
    switch (st) {
#define DEMARC_STATUS_CODE(name, exit_code, text)                                                                      \
    case name:                                                                                                         \
        return exit_code;
        DEMARC_STATUS_LIST(DEMARC_STATUS_CODE)
#undef DEMARC_STATUS_CODE
    }
    return 5;
}

const char *dm_error_line(void) { return error_line; }
const char *demarc_error(void) { return error_line; }

void dm_error_set(const char *line)
{
    char raw[sizeof error_line];
    snprintf(raw, sizeof raw, "%s", line);
    dm_text_escape(error_line, sizeof error_line, raw);
}

demarc_status dm_fail(demarc_status st, const char *fmt, ...)
{
    char raw[sizeof error_line];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    dm_text_escape(error_line, sizeof error_line, raw);
    return st;
}

demarc_status dm_fail_errno(int errnum, const char *fmt, ...)
{
    char raw[sizeof error_line], text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    const char *reason = strerror_r(errnum, text, sizeof text); /* GNU's, which returns the text */
    size_t used = strlen(raw);
    snprintf(raw + used, sizeof raw - used, ": %s", reason);
    dm_text_escape(error_line, sizeof error_line, raw);
    return DEMARC_ERR_IO;
}

demarc_status dm_open_status(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR ? DEMARC_ERR_DATA : DEMARC_ERR_IO;
}
