/*
 * What an id is as bytes, and its hash: who is treated, and who falls in which half, depends on ids alone.
 *
 * An integer id counts as its 8 bytes (int64 and uint64 alike), a text as its characters without padding, so a fixed-length
 * and a variable-length string of the same text are one id; a file without /id has its row numbers as int64. Local.
 */
#ifndef DM_STORE_ID_HASH_H
#define DM_STORE_ID_HASH_H

#include "store/customer_file.h"

/** The bytes of id i, borrowed from `ids`. */
const void *dm_id_bytes(const dm_ids *ids, int64_t i, size_t *bytes);

/** dm_hash64 of these bytes. The key of an experiment's salt is dm_hash64(salt, its length, 0). */
uint64_t dm_id_hash(const dm_ids *ids, int64_t i, uint64_t key);

#endif
