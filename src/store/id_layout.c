#include "store/id_layout.h"

#include <string.h>

#include "base/row_blocks.h"
#include "store/id_hash.h"

#define ID_ROWS 65536 /* ids looked at together */

/* Longest variable-length id of the file. Collective. */
static demarc_status longest_id(dm_comm *comm, dm_customers *customers, int64_t *longest)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range =
        dm_row_range_of(dm_customers_schema(customers)->n, dm_comm_rank(comm), dm_comm_size(comm));
    *longest = 1;
    for (int64_t at = range.begin; at < range.end && st == DEMARC_OK; at += ID_ROWS) {
        dm_ids ids = {0};
        st = dm_customers_ids(customers, at, at + ID_ROWS < range.end ? at + ID_ROWS : range.end, &ids);
        for (int64_t i = 0; i < ids.count && st == DEMARC_OK; i++) {
            size_t bytes = 0;
            (void)dm_id_bytes(&ids, i, &bytes);
            if ((int64_t)bytes > *longest) *longest = (int64_t)bytes;
        }
        dm_ids_clear(&ids);
    }
    DM_TRY_ALL(comm, st);
    dm_comm_max_i64(comm, longest, 1);
cleanup:
    return st;
}

demarc_status dm_id_layout_of(dm_comm *comm, dm_customers *customers, dm_id_layout *out)
{
    const dm_schema *schema = dm_customers_schema(customers);
    *out = (dm_id_layout){.type = DM_TYPE_STRING, .bytes = schema->id_size};
    if (schema->id == DM_ID_FIXED) return DEMARC_OK;
    if (schema->id == DM_ID_VARIABLE) return longest_id(comm, customers, &out->bytes);
    *out = (dm_id_layout){.type = schema->id == DM_ID_U64 ? DM_TYPE_U64 : DM_TYPE_I64, .bytes = 8};
    return DEMARC_OK;
}

demarc_status dm_id_layout_dataset(const dm_id_layout *layout, dm_writer *w, const char *name, int64_t n, int *handle)
{
    return dm_writer_rows_dataset(w, name, layout->type, n, 0, layout->type == DM_TYPE_STRING ? layout->bytes : 0,
                                  handle);
}

void dm_id_layout_pack(const dm_id_layout *layout, const dm_ids *ids, int64_t i, void *to)
{
    size_t bytes = 0;
    const void *id = dm_id_bytes(ids, i, &bytes);
    memcpy(to, id, bytes);
    memset((char *)to + bytes, 0, (size_t)layout->bytes - bytes);
}
