#include "diagnosis/windows.h"

#include <omp.h>

#include "base/memory.h"

#define WINDOW_BLOCKS 64
#define WINDOW_BYTES (INT64_C(16) << 20) /* of features and outcomes, where a block is not more; less under a limit */

demarc_status dm_windows(const dm_compared *c, int side, unsigned want, dm_window_fn fn, void *context)
{
    demarc_status st = DEMARC_OK;
    dm_customers *file = c->run[side].customers;
    const dm_schema *schema = dm_customers_schema(file);
    const dm_row_range range = dm_rows_range(c->run[side].rows);
    dm_window v = {.features = (want & DM_WINDOW_FEATURES) != 0 ? schema->d : 0,
                   .outcomes = (want & DM_WINDOW_OUTCOMES) != 0 ? schema->outcome.count : 0};
    double *x = NULL, *y = NULL;
    float *w = NULL;
    const int64_t part = c->memory_limit / 8, bytes = c->memory_limit > 0 && part < WINDOW_BYTES ? part : WINDOW_BYTES;
    const int64_t fit = bytes / (8 * DM_BLOCK_ROWS * (int64_t)(v.features + v.outcomes + 1));
    const int64_t step = DM_BLOCK_ROWS * (fit < 1 ? 1 : fit < WINDOW_BLOCKS ? fit : WINDOW_BLOCKS);
    if (v.features > 0) DM_TRY(dm_alloc(x, step * v.features, "features"));
    if (v.outcomes > 0) DM_TRY(dm_alloc(y, step * v.outcomes, "outcomes"));
    if (schema->weight) DM_TRY(dm_alloc(w, step, "weights"));
    v.x = x;
    v.y = y;
    v.w = w;
    for (int64_t begin = range.begin; begin < range.end; begin += step) {
        const int64_t end = range.end - begin < step ? range.end : begin + step;
        v.at = begin - range.begin;
        v.rows = end - begin;
        if (x != NULL) DM_TRY(dm_customers_features_f64(file, begin, end, x));
        if (y != NULL) DM_TRY(dm_customers_outcomes(file, begin, end, y));
        if (w != NULL) DM_TRY(dm_customers_weight(file, begin, end, w));
        DM_TRY(fn(context, &v));
    }
cleanup:
    dm_free(x);
    dm_free(y);
    dm_free(w);
    return st;
}

void dm_window_blocks(const dm_compared *c, const dm_window *window, dm_window_block_fn fn, void *context)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(c->threads)
    for (int64_t begin = 0; begin < window->rows; begin += DM_BLOCK_ROWS) {
        const int64_t end = window->rows - begin < DM_BLOCK_ROWS ? window->rows : begin + DM_BLOCK_ROWS;
        fn(context, omp_get_thread_num(), window, begin, end);
    }
}
