/*
 * CSV records from a file descriptor, as a stream. Sole user of libcsv in the room.
 *
 * RFC 4180 in libcsv's strict mode: quoted fields with delimiters, doubled quotes and line breaks; CRLF, LF and lone CR
 * end a record; a quote anywhere else is an error. Fields are not trimmed. A UTF-8 byte order mark and blank lines are
 * skipped; every record must have as many fields as the first one (the header).
 */
#ifndef DM_EXCHANGE_CSV_READER_H
#define DM_EXCHANGE_CSV_READER_H

#include "base/status.h"

/** A longer field is an error: most often the text after a quote that is never closed. */
#define DM_CSV_FIELD_MAX (INT64_C(1) << 20)
/** A longer record is an error; bounds the reader's memory. */
#define DM_CSV_RECORD_MAX (INT64_C(1) << 26)

/** One record; field i is NUL-terminated at text + offset[i]. Valid during the callback. */
typedef struct dm_csv_record {
    int64_t line;  /* physical line (1-based) on which the record starts */
    int32_t count; /* fields */
    const char *text;
    const int64_t *offset; /* [count + 1]; field i has offset[i + 1] - offset[i] - 1 bytes, none of them NUL */
} dm_csv_record;

static inline const char *dm_csv_field(const dm_csv_record *r, int32_t i) { return r->text + r->offset[i]; }
static inline int64_t dm_csv_field_length(const dm_csv_record *r, int32_t i)
{
    return r->offset[i + 1] - r->offset[i] - 1;
}

/** What to do with a stream; the first record is the header. A status other than DEMARC_OK ends the reading. */
typedef struct dm_csv_sink {
    demarc_status (*record)(void *user, const dm_csv_record *record);
    void (*progress)(void *user, int64_t bytes_read); /* now and then; may be NULL */
    void *user;
} dm_csv_sink;

/**
 * Read `fd` to its end and hand every record to the sink, in order. Local; closes nothing.
 *
 * @param[in] name       of the input, for error lines
 * @param[in] delimiter  ASCII, not a quote or a line break
 * @retval DEMARC_ERR_USAGE  the delimiter cannot be one
 * @retval DEMARC_ERR_DATA   empty, not UTF-8 text, or broken CSV; the line is named
 * @retval DEMARC_ERR_IO     reading failed
 */
demarc_status dm_csv_read(int fd, const char *name, char delimiter, const dm_csv_sink *sink);

#endif
