/*
 * Ids as results hold them: int64 and uint64 as they are, texts as fixed-length strings (variable-length ones get the length
 * of the longest, because HDF5 cannot write variable-length data in parallel), row numbers as int64 where the input has
 * no /id.
 */
#ifndef DM_STORE_ID_LAYOUT_H
#define DM_STORE_ID_LAYOUT_H

#include "store/customer_file.h"
#include "store/writer.h"

typedef struct dm_id_layout {
    dm_type type;  /* I64, U64 or STRING */
    int64_t bytes; /* per id */
} dm_id_layout;

/** Collective: variable-length ids are read to find the longest. */
demarc_status dm_id_layout_of(dm_comm *comm, dm_customers *customers, dm_id_layout *out);
/** dm_writer_rows_dataset() for the ids of n rows. Collective. */
demarc_status dm_id_layout_dataset(const dm_id_layout *layout, dm_writer *w, const char *name, int64_t n, int *handle);
/** Put id i into the layout's `bytes` bytes at `to`. Local. */
void dm_id_layout_pack(const dm_id_layout *layout, const dm_ids *ids, int64_t i, void *to);

#endif
