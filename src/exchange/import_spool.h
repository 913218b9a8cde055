/*
 * Rows between the one pass over the CSV and the customer file, whose layout needs the number of rows and all levels.
 *
 * A file beside the output that has no name: the system drops it with the process. Local, rank 0.
 */
#ifndef DM_EXCHANGE_IMPORT_SPOOL_H
#define DM_EXCHANGE_IMPORT_SPOOL_H

#include "base/status.h"

typedef struct dm_spool {
    FILE *file;         /* NULL = not open */
    const char *beside; /* for error lines, borrowed */
    int64_t row_bytes;
    bool id;
    char *buffer;
} dm_spool;

/**
 * @param[in] beside     path of the output; borrowed until the close
 * @param[in] row_bytes  of a packed row
 * @param[in] id         every row is followed by the text of an id
 */
demarc_status dm_spool_open(dm_spool *s, const char *beside, int64_t row_bytes, bool id);
demarc_status dm_spool_put(dm_spool *s, const char *row, const char *id, int64_t id_length);
/** All rows are put; the next dm_spool_get gives the first. */
demarc_status dm_spool_rewind(dm_spool *s);
/** @param[out] id  at least as large as the longest id put, plus one; NUL-terminated; untouched without ids */
demarc_status dm_spool_get(dm_spool *s, char *row, char *id);
/** Safe on a zeroed struct. */
void dm_spool_close(dm_spool *s);

#endif
