/*
 * Are a great many 64-bit keys all different? At about the speed of memory: keys are spread over partitions as they come,
 * and each partition is then put through a hash table that stays in a core's cache. Local; no I/O.
 *
 * Keys must be evenly spread over all 64 bits (scrambled numbers, hashes). Where they are not, because many are equal or
 * because somebody chose them with care, the answer is "cannot tell", and the caller has to look in another way.
 */
#ifndef DM_STORE_KEY_SET_H
#define DM_STORE_KEY_SET_H

#include "base/status.h"

typedef struct dm_key_set dm_key_set;

/** Keys that `bytes` of memory have room for with `threads` threads; at least one partition's. */
int64_t dm_key_set_room(int64_t bytes, int threads);

/**
 * An empty set for about `expected` keys: a binomial part of more, give its mean. `threads` >= 1 work in each call.
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_key_set_create(dm_key_set **out, int64_t expected, int threads);
void dm_key_set_destroy(dm_key_set **set);

/** Add `count` keys. @return false when they are too uneven to be told apart: the set must then be emptied. */
bool dm_key_set_add(dm_key_set *set, const uint64_t *key, int64_t count);
/** True when all keys added so far differ; false when two are equal or it cannot be told. */
bool dm_key_set_distinct(dm_key_set *set);
void dm_key_set_empty(dm_key_set *set);

#endif
