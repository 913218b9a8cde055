/*
 * Writing HDF5 files by all ranks: rank 0 lays the file out, then rows are written in parallel.
 *
 * Order of calls: create, then any number of dataset / attribute calls, then rows, then close. Everything but the rows
 * is written by rank 0 alone with the plain POSIX driver, so no parallel metadata is involved; all functions are
 * collective and agree on errors. --io mpio: after the layout every rank writes its own rows at their places; small files,
 * whose rows share pages, rank 0 writes for all. --io funnel: rows travel to rank 0, which writes them.
 */
#ifndef DM_STORE_WRITER_H
#define DM_STORE_WRITER_H

#include "comm/comm.h"

typedef struct dm_writer dm_writer;

typedef enum dm_type {
    DM_TYPE_F32,
    DM_TYPE_F64,
    DM_TYPE_U8,
    DM_TYPE_I32,
    DM_TYPE_I64,
    DM_TYPE_U64,
    DM_TYPE_STRING /* fixed length, NUL-padded, UTF-8 */
} dm_type;

/** Create (truncate) the HDF5 file at `path`. @param[in] comm  borrowed until close. */
demarc_status dm_writer_create(dm_writer **out, dm_comm *comm, demarc_io io, const char *path);

/**
 * The same for a file at `path` that a dead run laid out just so and has written some rows of: its layout and its rows
 * stay, and those that are written now join them. The layout must be told again, call by call.
 * @retval DEMARC_ERR_DATA  with the first rows, or at close: the file has another layout
 */
demarc_status dm_writer_reopen(dm_writer **out, dm_comm *comm, demarc_io io, const char *path);

/** Make a group; parents of datasets are made on demand, so this is only for empty groups and group attributes. */
demarc_status dm_writer_group(dm_writer *w, const char *name);

/**
 * Lay out a contiguous dataset of n rows, [n] when columns == 0, else [n, columns]; to be filled by dm_writer_rows().
 * @param[in]  string_size  bytes per string for DM_TYPE_STRING, >= 1
 * @param[out] handle       for dm_writer_rows
 */
demarc_status dm_writer_rows_dataset(dm_writer *w, const char *name, dm_type type, int64_t n, int32_t columns,
                                     int64_t string_size, int *handle);

/** A small dataset of numbers written at once from rank 0's `data` (may be NULL elsewhere); shape as above. */
demarc_status dm_writer_small(dm_writer *w, const char *name, dm_type type, int64_t n, int32_t columns,
                              const void *data);
/** A 1-D dataset of variable-length UTF-8 strings from rank 0's `item`. */
demarc_status dm_writer_strings(dm_writer *w, const char *name, int64_t n, const char *const *item);

/** Attributes of the object at `on` ("/" or a dataset's name); values are rank 0's. One number is a scalar, several are
 *  an array; texts are always an array. */
demarc_status dm_writer_attribute_f64(dm_writer *w, const char *on, const char *name, int64_t count, const double *v);
demarc_status dm_writer_attribute_i64(dm_writer *w, const char *on, const char *name, int64_t count, const int64_t *v);
demarc_status dm_writer_attribute_u64(dm_writer *w, const char *on, const char *name, uint64_t v);
demarc_status dm_writer_attribute_text(dm_writer *w, const char *on, const char *name, const char *v);
demarc_status dm_writer_attribute_texts(dm_writer *w, const char *on, const char *name, int64_t count,
                                        const char *const *v);

/**
 * Write rows [begin, begin + count) of a dataset from this rank's memory (dtype and columns as declared). Collective:
 * every rank calls it equally often, with count 0 where it has nothing left. Ranges of different ranks do not overlap.
 */
demarc_status dm_writer_rows(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data);

/**
 * As dm_writer_rows, but the rows may be written by a thread of this rank after the call has returned: `data` stays as it
 * is until dm_writer_wait(), dm_writer_close() or dm_writer_discard(). A failure that comes late is told by these. Each
 * rank writes whole row blocks (base/row_blocks.h). Where a thread cannot do it (writer.c) they are written at once.
 */
demarc_status dm_writer_rows_later(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data);
/** Wait for this rank's rows given so far. Local: the caller agrees on the status and discards the file on failure. */
demarc_status dm_writer_wait(dm_writer *w);

/** All rows given so far are safe on the disk, so that dm_writer_reopen() finds them after a crash. Collective. */
demarc_status dm_writer_flush(dm_writer *w);

/** Flush and close. After an error on any rank, now or in an earlier call, all ranks get one: throw the file away. */
demarc_status dm_writer_close(dm_writer **w);
/** Close without caring for the contents (error paths); safe on NULL. */
void dm_writer_discard(dm_writer **w);

#endif
