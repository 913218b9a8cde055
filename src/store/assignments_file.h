/*
 * assignments.h5: /id, /segment, /distance, /runner_up, /margin, in input order.
 *
 * Written window by window through dm_writer by all ranks; read back by verify and info. Ids keep their kind (id_layout.h).
 */
#ifndef DM_STORE_ASSIGNMENTS_FILE_H
#define DM_STORE_ASSIGNMENTS_FILE_H

#include "store/customer_file.h"
#include "store/id_layout.h"

/** Results of a range of rows; arrays [rows]. */
typedef struct dm_assignment_rows {
    int32_t *segment, *runner_up;
    float *distance, *margin;
} dm_assignment_rows;

typedef struct dm_assignments_writer {
    dm_comm *comm;
    dm_customers *customers; /* where ids come from */
    dm_writer *file;
    int id, segment, distance, runner_up, margin;
    dm_id_kind kind;
    dm_id_layout layout;
    dm_ids ids;  /* of the window that is being written */
    char *fixed; /* the same as fixed-length strings, where they are not */
} dm_assignments_writer;

/**
 * Lay out `path` for n rows. Collective.
 * @param[in] keep  it is there, laid out for the same customers, with some of its rows (dm_writer_reopen)
 */
demarc_status dm_assignments_create(dm_assignments_writer *a, dm_comm *comm, demarc_io io, dm_customers *customers,
                                    const char *path, bool keep);
/**
 * Write rows [begin, begin + count). Collective: equally often on every rank, count may be 0. The writing may go on after
 * the return: `rows` stay as they are until the next call has returned, or dm_assignments_wait(). An error of an earlier
 * call may come here.
 */
demarc_status dm_assignments_write(dm_assignments_writer *a, int64_t begin, int64_t count,
                                   const dm_assignment_rows *rows);
/** Wait for all rows of this rank. Local: the caller agrees. */
demarc_status dm_assignments_wait(dm_assignments_writer *a);
/** All rows of all ranks are safe on the disk. Collective. */
demarc_status dm_assignments_flush(dm_assignments_writer *a);
demarc_status dm_assignments_close(dm_assignments_writer *a);
void dm_assignments_discard(dm_assignments_writer *a);
/** Size of the file for these customers as far as it is known before ids of any length are read, which count 8 bytes. */
int64_t dm_assignments_foreseen(const dm_schema *s);
/** Bytes per row in the file. */
int64_t dm_assignments_row_bytes(const dm_assignments_writer *a);

typedef struct dm_assignments dm_assignments;
/** Open for reading on every rank. Collective. @param[out] n rows. @retval DEMARC_ERR_DATA */
demarc_status dm_assignments_open(dm_assignments **out, dm_comm *comm, const char *path, int64_t *n);
void dm_assignments_shut(dm_assignments **a);
/** As opened. Local. */
const char *dm_assignments_path(const dm_assignments *a);
/** Local. */
demarc_status dm_assignments_read(dm_assignments *a, int64_t begin, int64_t count, const dm_assignment_rows *rows);
/** Ids of rows [begin, end), given back by dm_ids_clear(). Local. */
demarc_status dm_assignments_ids(dm_assignments *a, int64_t begin, int64_t end, dm_ids *out);
/** Compare /id with the input's ids. Local. @param[out] first  first row that differs, -1 = none */
demarc_status dm_assignments_compare_ids(dm_assignments *a, dm_customers *customers, int64_t begin, int64_t count,
                                         int64_t *first);

#endif
