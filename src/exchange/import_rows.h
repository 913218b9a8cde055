/* CSV records to packed rows in one pass: values are checked, levels collected, rows spooled. Local, rank 0. */
#ifndef DM_EXCHANGE_IMPORT_ROWS_H
#define DM_EXCHANGE_IMPORT_ROWS_H

#include "base/log.h"
#include "exchange/import_columns.h"
#include "exchange/import_spool.h"

/** Bytes of an id's text. */
#define DM_IMPORT_ID_MAX 1024

/** What one pass over the CSV found. Zero it first; cleared by dm_import_rows_clear, also after an error. */
typedef struct dm_import_rows {
    dm_import_columns columns;
    dm_spool spool; /* rewound; closed on a dry run */
    int64_t rows;
    int64_t missing;    /* feature cells without a value */
    int64_t id_longest; /* bytes */
    bool id_integer;    /* every id is an int64 in canonical spelling */
} dm_import_rows;

/**
 * Read the CSV to its end.
 *
 * @param[in] beside  path near which temporary rows are kept; NULL = keep none, only check (dry run)
 * @retval DEMARC_ERR_USAGE  an option names no column, ...
 * @retval DEMARC_ERR_DATA   no such file, broken CSV, a bad value: line and column are named
 */
demarc_status dm_import_rows_read(dm_import_rows *r, const demarc_import_options *o, const char *beside, dm_log *log);
void dm_import_rows_clear(dm_import_rows *r);

/** "stdin" for "-". */
const char *dm_import_name(const demarc_import_options *o);

#endif
