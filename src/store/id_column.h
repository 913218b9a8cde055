/* A dataset of ids, in a customer's file or in one of ours: what kind they are, and ranges of them. For this room. Local. */
#ifndef DM_STORE_ID_COLUMN_H
#define DM_STORE_ID_COLUMN_H

#include "store/customer_file.h"
#include "store/hdf5_column.h"

/** DM_ID_NONE for a type that no id has. @param[out] size  bytes per string of DM_ID_FIXED, else 0 */
dm_id_kind dm_id_kind_of(const dm_column *column, int64_t *size);

/**
 * Ids of rows [begin, end), which the dataset has; given back by dm_ids_clear().
 * @param[in] kind, size  of dm_id_kind_of(); DM_ID_NONE: row numbers, and `column` is not looked at
 */
demarc_status dm_id_column_read(dm_column *column, dm_id_kind kind, int64_t size, int64_t begin, int64_t end,
                                dm_ids *out);

#endif
