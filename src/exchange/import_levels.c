#include "exchange/import_levels.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(((const dm_level *)a)->text, ((const dm_level *)b)->text);
}

static int by_text_indirect(const void *a, const void *b)
{
    return by_text(*(const dm_level *const *)a, *(const dm_level *const *)b);
}

static void free_level(void *node)
{
    dm_level *level = node;
    free(level->text);
    free(level);
}

static demarc_status add_level(dm_levels *l, const char *text)
{
    dm_level *fresh = NULL;
    if (l->count == l->capacity) {
        int32_t larger = l->capacity == 0 ? 16 : 2 * l->capacity;
        dm_level **grown = realloc(l->level, (size_t)larger * sizeof(dm_level *));
        if (grown == NULL) goto no_memory;
        l->level = grown;
        l->capacity = larger;
    }
    fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL || (fresh->text = strdup(text)) == NULL) goto no_memory;
    fresh->code = l->count;
    if (tsearch(fresh, &l->tree, by_text) == NULL) goto no_memory;
    l->level[l->count++] = fresh;
    return DEMARC_OK;
no_memory:
    if (fresh != NULL) free_level(fresh);
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: levels of a text column: free some memory");
}

int32_t dm_levels_find(const dm_levels *l, const char *text)
{
    dm_level key = {.text = (char *)(uintptr_t)text};
    void *node = tfind(&key, &l->tree, by_text);
    return node != NULL ? (*(dm_level **)node)->code : -1;
}

demarc_status dm_levels_code(dm_levels *l, const char *text, int32_t *code)
{
    *code = dm_levels_find(l, text);
    if (*code >= 0 || l->count == DM_LEVELS_MAX) return DEMARC_OK;
    demarc_status st = add_level(l, text);
    if (st == DEMARC_OK) *code = l->count - 1;
    return st;
}

demarc_status dm_levels_sort(const dm_levels *l, int32_t **sorted)
{
    demarc_status st = DEMARC_OK;
    dm_level **order = NULL;
    *sorted = NULL;
    DM_TRY(dm_alloc(order, l->count, "sorting the levels of a text column"));
    DM_TRY(dm_alloc(*sorted, l->count, "sorting the levels of a text column"));
    if (l->count > 0) memcpy(order, l->level, (size_t)l->count * sizeof(dm_level *));
    qsort(order, (size_t)l->count, sizeof(dm_level *), by_text_indirect);
    for (int32_t i = 0; i < l->count; i++) (*sorted)[i] = order[i]->code;
cleanup:
    dm_free(order);
    return st;
}

void dm_levels_clear(dm_levels *l)
{
    tdestroy(l->tree, free_level);
    free(l->level);
    *l = (dm_levels){0};
}
