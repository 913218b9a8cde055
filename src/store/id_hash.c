#include "store/id_hash.h"

#include <string.h>

#include "stats/digest.h"

const void *dm_id_bytes(const dm_ids *ids, int64_t i, size_t *bytes)
{
    if (ids->kind == DM_ID_FIXED) {
        const char *text = ids->fixed + i * ids->size;
        *bytes = strnlen(text, (size_t)ids->size);
        return text;
    }
    if (ids->kind == DM_ID_VARIABLE) {
        const char *text = ids->variable[i] != NULL ? ids->variable[i] : "";
        *bytes = strlen(text);
        return text;
    }
    *bytes = sizeof *ids->integer;
    return &ids->integer[i];
}

uint64_t dm_id_hash(const dm_ids *ids, int64_t i, uint64_t key)
{
    size_t bytes = 0;
    const void *id = dm_id_bytes(ids, i, &bytes);
    return dm_hash64(id, bytes, key);
}
