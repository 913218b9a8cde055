#include "store/id_column.h"

#include "base/memory.h"

dm_id_kind dm_id_kind_of(const dm_column *column, int64_t *size)
{
    *size = column->kind == DM_VALUE_FIXED ? column->bytes : 0;
    switch (column->kind) {
    case DM_VALUE_INTEGER:
        return column->is_signed ? DM_ID_I64 : DM_ID_U64;
    case DM_VALUE_FIXED:
        return DM_ID_FIXED;
    case DM_VALUE_VARIABLE:
        return DM_ID_VARIABLE;
    default:
        return DM_ID_NONE;
    }
}

static demarc_status read_ids(dm_column *column, int64_t begin, int64_t end, dm_ids *ids)
{
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

demarc_status dm_id_column_read(dm_column *column, dm_id_kind kind, int64_t size, int64_t begin, int64_t end,
                                dm_ids *out)
{
    *out = (dm_ids){.kind = kind, .size = size, .count = end - begin};
    const demarc_status st = read_ids(column, begin, end, out);
    if (st != DEMARC_OK) dm_ids_clear(out);
    return st;
}
