/*
 * Assignments as an SQLite 3 database. Local: rank 0.
 *
 *   run          one row: digest, objective, customers, features, segments, seed, fitted_by, exported_by
 *   segments     number (primary key), name, size, share
 *   assignments  id, segment, segment_name, distance, runner_up, margin; rowid = row number + 1; unique index on id,
 *                index on segment
 *
 * A number that is a float32 here is the same REAL there. An id is an INTEGER, or TEXT; a text that is not UTF-8 is a BLOB
 * of its bytes, and an unsigned id above 2^63 - 1, which SQLite's integers cannot hold, the TEXT of its digits. With one
 * segment runner_up and margin are NULL.
 *
 * The same results give the same bytes with the same version of SQLite: one writer, one transaction, rows in order.
 */
#ifndef DM_EXCHANGE_SQLITE_EXPORT_H
#define DM_EXCHANGE_SQLITE_EXPORT_H

#include "exchange/export_rows.h"

/**
 * @param[in] path  an empty file, or none; removed by the caller after an error
 * @retval DEMARC_ERR_DATA  two customers of one id
 */
demarc_status dm_sqlite_export(const dm_export_source *from, const char *path);

#endif
