/*
 * Assignments as CSV (RFC 4180): id,segment,segment_name,distance,runner_up,margin, a line a customer in row order, lines
 * end in CRLF. Local: rank 0, with threads.
 *
 *   - Text is the input's bytes. A field is quoted where it must be (comma, quote, line break) or begins or ends with a
 *     blank; quotes in it are doubled.
 *   - Distances and margins are the shortest decimals that read back as the same float32. With one segment there is no
 *     runner-up: that field and the margin are empty.
 *   - Nothing is changed to protect spreadsheets from themselves: an id "=1+1" is written as it is, because a changed id
 *     no longer joins. Such fields are counted, and the caller warns.
 *
 * Threads format blocks of rows beside each other; they are written in order, so the bytes do not depend on them.
 */
#ifndef DM_EXCHANGE_CSV_EXPORT_H
#define DM_EXCHANGE_CSV_EXPORT_H

#include "exchange/export_rows.h"

/**
 * @param[in]  path      file to write, replaced; removed by the caller after an error
 * @param[out] formulas  fields that a spreadsheet might take for formulas
 */
demarc_status dm_csv_export(const dm_export_source *from, const char *path, int64_t *formulas);

#endif
