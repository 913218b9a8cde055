/*
 * The customers of a results directory, window by window in row order, with the names of their segments; and what every
 * format checks: that the assignments are of the model beside them. Local: rank 0 reads alone.
 */
#ifndef DM_EXCHANGE_EXPORT_ROWS_H
#define DM_EXCHANGE_EXPORT_ROWS_H

#include "base/log.h"
#include "store/assignments_file.h"
#include "store/model_file.h"

#define DM_EXPORT_WINDOW 65536 /* rows */

/** What there is to export; all borrowed. */
typedef struct dm_export_source {
    const char *run;             /* the directory, for error lines */
    const dm_model *model;       /* sizes, digest, transform */
    const dm_strings *name;      /* [k] of the segments, as they are to be called */
    dm_assignments *assignments; /* NULL where the format needs none */
    int64_t n;                   /* rows in them */
    const char *fitted_by;       /* version of the program that fitted, "" = not known */
    int threads;
    dm_log *log; /* progress */
} dm_export_source;

/** A walk over the rows. */
typedef struct dm_export_rows {
    const dm_export_source *from;
    int64_t begin, count; /* of the window */
    dm_ids ids;
    dm_assignment_rows rows;
    int64_t *seen; /* [k] customers so far */
    double start;
} dm_export_rows;

/** @param[out] r  cleared by the caller also after an error */
demarc_status dm_export_rows_begin(dm_export_rows *r, const dm_export_source *from);
/**
 * The next window.
 * @param[out] more  false: there was none, and the segments' sizes were as the model says
 * @retval DEMARC_ERR_DATA  a segment that the model has not got, other sizes: the files are not of one run
 */
demarc_status dm_export_rows_next(dm_export_rows *r, bool *more);
void dm_export_rows_clear(dm_export_rows *r);

/** Might a spreadsheet take this text for a formula? It begins with = + - @, a tab or a carriage return. */
bool dm_export_like_formula(const char *text, size_t length);

#endif
