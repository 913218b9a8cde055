/* Ids of customers: reading a range, giving it back, words for messages. */
#include <string.h>

#include "base/memory.h"
#include "store/customer_internal.h"
#include "store/id_column.h"

demarc_status dm_customers_ids(dm_customers *c, int64_t begin, int64_t end, dm_ids *out)
{
    *out = (dm_ids){0};
    if (begin < 0 || end < begin || end > c->schema.n) {
        return dm_fail(DEMARC_ERR_ARG, "ids of rows %lld to %lld: %s, %s: ask for rows it has", (long long)begin,
                       (long long)end - 1, c->path, c->name[DM_PART_ID]);
    }
    return dm_id_column_read(&c->part[DM_PART_ID], c->schema.id, c->schema.id_size, begin, end, out);
}

void dm_ids_clear(dm_ids *ids)
{
    dm_column_text_free(ids->variable, ids->count);
    dm_free(ids->integer);
    dm_free(ids->fixed);
    dm_free(ids->variable);
    *ids = (dm_ids){0};
}

void dm_ids_text(const dm_ids *ids, int64_t i, char *buf, size_t buf_size)
{
    switch (ids->kind) {
    case DM_ID_U64:
        snprintf(buf, buf_size, "%llu", (unsigned long long)ids->integer[i]);
        break;
    case DM_ID_FIXED:
        snprintf(buf, buf_size, "%.*s", (int)(ids->size < 4096 ? ids->size : 4096), ids->fixed + i * ids->size);
        break;
    case DM_ID_VARIABLE:
        snprintf(buf, buf_size, "%s", ids->variable[i] != NULL ? ids->variable[i] : "");
        break;
    default:
        snprintf(buf, buf_size, "%lld", (long long)ids->integer[i]);
    }
}
