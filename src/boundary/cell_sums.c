#include "boundary/cell_sums.h"

#include <string.h>

#include "base/memory.h"

#define CELLS_AT_ONCE 2048 /* an exact sum takes half a kilobyte */

static int32_t cell_of(const dm_joined_row *r) { return 2 * r->stratum + r->arm; }

demarc_status dm_cells_create(dm_cells *c, dm_comm *comm, int threads, int32_t strata, dm_joined_row *row,
                              int64_t count)
{
    demarc_status st = DEMARC_OK;
    dm_joined_row *sorted = NULL;
    *c = (dm_cells){.comm = comm, .threads = threads, .cells = 2 * strata, .row = row};
    DM_TRY(dm_alloc_zero(c->begin, (int64_t)c->cells + 2, "cells"));
    DM_TRY(dm_alloc(sorted, count, "joined customers"));
    /* Counted two places up, so that filling one place up turns the begins into what they should be. */
    for (int64_t i = 0; i < count; i++) c->begin[cell_of(&row[i]) + 2]++;
    for (int32_t k = 0; k < c->cells; k++) c->begin[k + 2] += c->begin[k + 1];
    for (int64_t i = 0; i < count; i++) sorted[c->begin[cell_of(&row[i]) + 1]++] = row[i];
    if (count > 0) memcpy(row, sorted, (size_t)count * sizeof *row);
cleanup:
    dm_free(sorted);
    return st;
}

void dm_cells_destroy(dm_cells *c)
{
    dm_free(c->begin);
    *c = (dm_cells){0};
}

/* Cells [first, first + count) of this rank's rows. */
static void add_rows(const dm_cells *c, int32_t first, int32_t count, int quantities, dm_cell_fn fn,
                     const void *context, dm_exact_sum *exact)
{
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
    for (int32_t k = 0; k < count; k++) {
        dm_exact_sum *s = exact + (int64_t)k * quantities;
        for (int64_t i = c->begin[first + k]; i < c->begin[first + k + 1]; i++) {
            double value[DM_CELL_QUANTITIES] = {0.0};
            fn(context, first + k, &c->row[i], value);
            for (int q = 0; q < quantities; q++) dm_exact_sum_add(&s[q], value[q]);
        }
    }
}

demarc_status dm_cells_sum(const dm_cells *c, int quantities, dm_cell_fn fn, const void *context, double *sum)
{
    demarc_status st = DEMARC_OK;
    dm_exact_sum *exact = NULL;
    const int32_t most = c->cells < CELLS_AT_ONCE ? c->cells : CELLS_AT_ONCE;
    DM_TRY_ALL(c->comm, dm_alloc(exact, (int64_t)most * quantities, "sums of cells"));
    for (int32_t first = 0; first < c->cells; first += most) {
        const int32_t count = c->cells - first < most ? c->cells - first : most;
        const int64_t sums = (int64_t)count * quantities;
        memset(exact, 0, (size_t)sums * sizeof *exact);
        add_rows(c, first, count, quantities, fn, context, exact);
        dm_comm_sum_exact(c->comm, exact, sums);
        for (int64_t i = 0; i < sums; i++) sum[(int64_t)first * quantities + i] = dm_exact_sum_value(&exact[i]);
    }
cleanup:
    dm_free(exact);
    return st;
}
