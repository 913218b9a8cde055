/*
 * The customers of one side, window by window, as the file has them: features in original units, weights, outcomes. Local.
 *
 * A window begins and ends with row blocks, so a function that treats its blocks one by one computes the same on every layout.
 */
#ifndef DM_DIAGNOSIS_WINDOWS_H
#define DM_DIAGNOSIS_WINDOWS_H

#include "diagnosis/compared.h"

typedef struct dm_window {
    int64_t at, rows; /* first of them among this rank's rows */
    int32_t features, outcomes;
    const double *x; /* [rows, features] the file's columns, NaN = missing; NULL unless asked for */
    const double *y; /* [rows, outcomes] likewise */
    const float *w;  /* [rows] or NULL = all 1 */
} dm_window;

typedef enum dm_window_want { DM_WINDOW_FEATURES = 1, DM_WINDOW_OUTCOMES = 2 } dm_window_want;

/** Called by one thread; it may start others. */
typedef demarc_status (*dm_window_fn)(void *context, const dm_window *window);

/** Give every window of this rank to fn, in order. The caller agrees on the status. */
demarc_status dm_windows(const dm_compared *c, int side, unsigned want, dm_window_fn fn, void *context);

/** What fn does with each block of a window: rows [begin, end) of it. Several threads at a time, `thread` in [0, threads). */
typedef void (*dm_window_block_fn)(void *context, int thread, const dm_window *window, int64_t begin, int64_t end);
void dm_window_blocks(const dm_compared *c, const dm_window *window, dm_window_block_fn fn, void *context);

#endif
