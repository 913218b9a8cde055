/*
 * Aligned tables on stdout: a heading, a row a line; numbers to the right, words to the left.
 *
 * The last column is wrapped at blanks when the output is a terminal too narrow for it. Cells are copied, their control
 * characters escaped. Local; the caller is rank 0.
 */
#ifndef DM_CLI_TABLE_H
#define DM_CLI_TABLE_H

#include "base/text.h"

typedef struct cli_table {
    int32_t columns;
    dm_strings heading; /* empty: no heading line */
    dm_strings cell;    /* row by row */
    const char *align;  /* 'l' or 'r' a column; borrowed */
    const char *indent; /* before every line; NULL = none; borrowed */
} cli_table;

/** @param[in] align  one of 'l', 'r' a column; its length is the number of columns */
void cli_table_begin(cli_table *t, const char *align);
demarc_status cli_table_heading(cli_table *t, const char *text);
demarc_status cli_table_cell(cli_table *t, const char *text);
__attribute__((format(printf, 2, 3))) demarc_status cli_table_cellf(cli_table *t, const char *fmt, ...);
/** Print and clear. */
demarc_status cli_table_print(cli_table *t);
void cli_table_clear(cli_table *t);

/** True when `NO_COLOR` is unset and stdout is a terminal that knows bold. */
bool cli_colour(void);

#endif
