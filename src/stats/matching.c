#include "stats/matching.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

/* Rows are the smaller side; row and column 0 stand for "none", so both count from 1. */
typedef struct assignment {
    const double *gain;
    int32_t rows, columns;
    int64_t row_step, column_step; /* of `gain`: the table as it is, or transposed */
    double *row_price;             /* [rows + 1] */
    double *column_price;          /* [columns + 1] */
    double *distance;              /* [columns + 1] reduced cost of the shortest path to a column */
    int32_t *owner;                /* [columns + 1] row that has it, 0 = free */
    int32_t *before;               /* [columns + 1] column before it on that path */
    uint8_t *settled;              /* [columns + 1] its path is final */
} assignment;

static double cost(const assignment *s, int32_t row, int32_t column)
{
    return -s->gain[(row - 1) * s->row_step + (column - 1) * s->column_step];
}

/* Settle column `at`: offer paths through its owner, and go to the nearest column that is not settled. */
static int32_t next_column(assignment *s, int32_t at)
{
    const int32_t row = s->owner[at];
    double least = (double)INFINITY;
    int32_t next = 0;
    s->settled[at] = 1;
    for (int32_t c = 1; c <= s->columns; c++) {
        if (s->settled[c]) continue;
        const double reduced = cost(s, row, c) - s->row_price[row] - s->column_price[c];
        if (reduced < s->distance[c]) {
            s->distance[c] = reduced;
            s->before[c] = at;
        }
        if (s->distance[c] < least) {
            least = s->distance[c];
            next = c;
        }
    }
    for (int32_t c = 0; c <= s->columns; c++) {
        if (s->settled[c]) {
            s->row_price[s->owner[c]] += least;
            s->column_price[c] -= least;
        } else {
            s->distance[c] -= least;
        }
    }
    return next;
}

static void add_row(assignment *s, int32_t row)
{
    int32_t at = 0;
    for (int32_t c = 0; c <= s->columns; c++) s->distance[c] = (double)INFINITY;
    memset(s->settled, 0, (size_t)s->columns + 1);
    s->owner[0] = row;
    do at = next_column(s, at);
    while (s->owner[at] != 0);
    /* Everybody on the path moves on by one column. */
    for (; at != 0; at = s->before[at]) s->owner[at] = s->owner[s->before[at]];
}

demarc_status dm_match(const double *gain, int32_t a, int32_t b, int32_t *match)
{
    demarc_status st = DEMARC_OK;
    const bool wide = a <= b;
    assignment s = {.gain = gain,
                    .rows = wide ? a : b,
                    .columns = wide ? b : a,
                    .row_step = wide ? b : 1,
                    .column_step = wide ? 1 : b};
    DM_TRY(dm_alloc_zero(s.row_price, (int64_t)s.rows + 1, "matching"));
    DM_TRY(dm_alloc_zero(s.column_price, (int64_t)s.columns + 1, "matching"));
    DM_TRY(dm_alloc(s.distance, (int64_t)s.columns + 1, "matching"));
    DM_TRY(dm_alloc_zero(s.owner, (int64_t)s.columns + 1, "matching"));
    DM_TRY(dm_alloc_zero(s.before, (int64_t)s.columns + 1, "matching"));
    DM_TRY(dm_alloc(s.settled, (int64_t)s.columns + 1, "matching"));
    for (int32_t row = 1; row <= s.rows; row++) add_row(&s, row);
    for (int32_t i = 0; i < a; i++) match[i] = -1;
    for (int32_t c = 1; c <= s.columns; c++) {
        if (s.owner[c] == 0) continue;
        if (wide) {
            match[s.owner[c] - 1] = c - 1;
        } else {
            match[c - 1] = s.owner[c] - 1;
        }
    }
cleanup:
    dm_free(s.row_price);
    dm_free(s.column_price);
    dm_free(s.distance);
    dm_free(s.owner);
    dm_free(s.before);
    dm_free(s.settled);
    return st;
}
