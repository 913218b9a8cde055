/*
 * `import`: a CSV with a header row becomes a customer file.
 *
 * Rank 0 reads the CSV once, front to back (so a pipe will do), and keeps the rows, packed, in a nameless temporary
 * file beside the output; when the number of rows and all levels are known it lays the customer file out and copies
 * them. So memory holds levels and one block of rows only, and the disk of the output must have room for about twice
 * the output.
 */
#ifndef DM_EXCHANGE_CSV_IMPORT_H
#define DM_EXCHANGE_CSV_IMPORT_H

#include "base/log.h"
#include "comm/comm.h"

/**
 * See demarc_import(). Collective; the other ranks only take part in the agreements and the output.
 *
 * - Fields: a number, yes/no/true/false (1/0), or nothing, NA, N/A, NaN, nan, NULL, null (missing: NaN).
 * - Features: --features and --categorical in file order, or every column without another role.
 * - A categorical column becomes one feature "column=level" per level, by byte order, where the column stands.
 * - Arms: integers >= 0 as they are, else levels 0, 1, ... by byte order; --control comes first, as 0. With named arms the
 *   attribute `control` of /arm is that name, or empty when none was given.
 * - Ids: int64 when all are in canonical spelling, else fixed-length strings. Uniqueness is checked by info and fit.
 *
 * @param[out] r  the same on all ranks; zero after an error
 */
demarc_status dm_csv_import(dm_comm *comm, dm_log *log, const demarc_import_options *o, demarc_io io,
                            demarc_import_result *r);

#endif
