/* The distinct values of a text column of a CSV, coded 0, 1, ... as they appear. Local. */
#ifndef DM_EXCHANGE_IMPORT_LEVELS_H
#define DM_EXCHANGE_IMPORT_LEVELS_H

#include "base/status.h"

/** More distinct values than this are no category. */
#define DM_LEVELS_MAX 10000
/** Bytes of a level's text. */
#define DM_LEVEL_BYTES_MAX 1024

typedef struct dm_level {
    char *text;
    int32_t code; /* order of first appearance */
} dm_level;

/** All zero is a valid empty set; dm_levels_clear frees. */
typedef struct dm_levels {
    void *tree;       /* POSIX tsearch tree of dm_level by text */
    dm_level **level; /* [count], by code */
    int32_t count, capacity;
} dm_levels;

/**
 * Code of `text`, which is added when it is new.
 * @param[out] code  -1 when there would be more than DM_LEVELS_MAX levels
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_levels_code(dm_levels *l, const char *text, int32_t *code);

/** Code of `text`, -1 if it never came. */
int32_t dm_levels_find(const dm_levels *l, const char *text);

/**
 * Order the levels by the bytes of their text.
 * @param[out] sorted  codes in that order, [count]; the caller frees with dm_free
 */
demarc_status dm_levels_sort(const dm_levels *l, int32_t **sorted);

void dm_levels_clear(dm_levels *l);

#endif
