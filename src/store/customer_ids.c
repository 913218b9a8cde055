/* Ids of customers: reading a range, giving it back, words for messages. */
#include <string.h>

#include "base/memory.h"
#include "base/row_blocks.h"
#include "store/customer_internal.h"

#define ID_ROWS 65536 /* ids looked at together */

static demarc_status read_ids(dm_customers *c, int64_t begin, int64_t end, dm_ids *ids)
{
    dm_column *column = &c->part[DM_PART_ID];
    demarc_status st = DEMARC_OK;
    switch (ids->kind) {
    case DM_ID_NONE:
        DM_TRY(dm_alloc(ids->integer, ids->count, "row numbers"));
        for (int64_t i = 0; i < ids->count; i++) ids->integer[i] = begin + i;
        break;
    case DM_ID_I64:
    case DM_ID_U64:
        DM_TRY(dm_alloc(ids->integer, ids->count, "ids"));
        DM_TRY(dm_column_read(column, begin, end, DM_TARGET_BITS64, ids->integer));
        break;
    case DM_ID_FIXED:
        DM_TRY(dm_alloc_bytes((void **)&ids->fixed, ids->count, (size_t)ids->size, false, "ids"));
        DM_TRY(dm_column_read(column, begin, end, DM_TARGET_FIXED, ids->fixed));
        break;
    case DM_ID_VARIABLE:
        DM_TRY(dm_alloc_zero(ids->variable, ids->count, "ids"));
        DM_TRY(dm_column_read_text(column, begin, end, ids->variable));
        break;
    }
cleanup:
    return st;
}

demarc_status dm_customers_ids(dm_customers *c, int64_t begin, int64_t end, dm_ids *out)
{
    *out = (dm_ids){.kind = c->schema.id, .size = c->schema.id_size};
    if (begin < 0 || end < begin || end > c->schema.n) {
        return dm_fail(DEMARC_ERR_ARG, "ids of rows %lld to %lld: %s, %s: ask for rows it has", (long long)begin,
                       (long long)end - 1, c->path, c->name[DM_PART_ID]);
    }
    out->count = end - begin;
    demarc_status st = read_ids(c, begin, end, out);
    if (st != DEMARC_OK) dm_ids_clear(out);
    return st;
}

demarc_status dm_customers_id_bytes(dm_customers *c, dm_comm *comm, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range = dm_row_range_of(c->schema.n, dm_comm_rank(comm), dm_comm_size(comm));
    *bytes = c->schema.id == DM_ID_FIXED ? c->schema.id_size : 8;
    if (c->schema.id != DM_ID_VARIABLE) return DEMARC_OK;
    *bytes = 1;
    for (int64_t at = range.begin; at < range.end && st == DEMARC_OK; at += ID_ROWS) {
        dm_ids ids = {0};
        st = dm_customers_ids(c, at, at + ID_ROWS < range.end ? at + ID_ROWS : range.end, &ids);
        for (int64_t i = 0; i < ids.count && st == DEMARC_OK; i++) {
            const int64_t length = ids.variable[i] == NULL ? 0 : (int64_t)strlen(ids.variable[i]);
            if (length > *bytes) *bytes = length;
        }
        dm_ids_clear(&ids);
    }
    DM_TRY_ALL(comm, st);
    dm_comm_max_i64(comm, bytes, 1);
cleanup:
    return st;
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
