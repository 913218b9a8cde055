#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define RANK_ROOM 96 /* bytes kept free for what comm adds: " (rank 3 on HOST)" */

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

/* fmt, and `reason` after it. What is too long loses its middle, a name as a rule: what to do stands at the end. */
__attribute__((format(printf, 1, 0))) static void record(const char *fmt, va_list ap, const char *reason)
{
    char line[sizeof error_line], end[128] = "", *longer = NULL;
    va_list again;
    va_copy(again, ap);
    const int length = vsnprintf(line, sizeof line, fmt, ap);
    if (length >= (int)sizeof line && vasprintf(&longer, fmt, again) < 0) longer = NULL;
    va_end(again);
    if (reason[0] != 0) snprintf(end, sizeof end, ": %s", reason);
    dm_text_abbreviate(error_line, sizeof error_line - RANK_ROOM - strlen(end), longer != NULL ? longer : line);
    strcat(error_line, end);
    free(longer);
}

demarc_status dm_fail(demarc_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    record(fmt, ap, "");
    va_end(ap);
    return st;
}

demarc_status dm_fail_errno(int errnum, const char *fmt, ...)
{
    char text[100];
    va_list ap;
    va_start(ap, fmt);
    record(fmt, ap, strerror_r(errnum, text, sizeof text)); /* GNU's, which returns the text */
    va_end(ap);
    return DEMARC_ERR_IO;
}

demarc_status dm_open_status(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR ? DEMARC_ERR_DATA : DEMARC_ERR_IO;
}
