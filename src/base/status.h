/* Errors: one status, one line of detail, one cleanup label per function. See include/demarc/demarc.h for the list. */
#ifndef DM_BASE_STATUS_H
#define DM_BASE_STATUS_H

#include "demarc/demarc.h"

/**
 * Record the detail of a failure for this thread and return `st`. Local.
 *
 * The line reads "WHAT: WHERE (file, dataset, row, option): what to do", without prefix or newline; control characters
 * that came from files or users are escaped, and a line of more than about 900 bytes loses its middle ("...") but not
 * what to do. A later call replaces an earlier one.
 */
__attribute__((format(printf, 2, 3))) demarc_status dm_fail(demarc_status st, const char *fmt, ...);

/** As dm_fail(DEMARC_ERR_IO, ...) with ": " and strerror(errnum) put in after the formatted text. */
__attribute__((format(printf, 2, 3))) demarc_status dm_fail_errno(int errnum, const char *fmt, ...);
/** What becomes of an input that could not be opened: DEMARC_ERR_DATA where it is not there, else DEMARC_ERR_IO. */
demarc_status dm_open_status(int errnum);

/** The last line recorded on this thread; "" if none. */
const char *dm_error_line(void);
/** Replace the line (used when a peer's error is adopted). */
void dm_error_set(const char *line);

#define DM_TRY(call)                                                                                                   \
    do {                                                                                                               \
        if ((st = (call)) != DEMARC_OK) goto cleanup;                                                                  \
    } while (0)

#endif
