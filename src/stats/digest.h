/*
 * Hashes for partitioning and digests for proof (XXH3, by the xxHash library). Sole owner of xxhash.h. Local.
 *
 * A digest of a large table is the sum, modulo 2^64 in each of two words, of one 128-bit hash per block, each keyed by
 * the block's global index. Addition commutes, so ranks and threads may add their blocks in any order and the words
 * are then summed over ranks by dm_comm_sum_i64(); keying makes two exchanged blocks change the digest. It guards
 * against accidents and drift, not against an adversary.
 */
#ifndef DM_STATS_DIGEST_H
#define DM_STATS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/** 64-bit hash of `bytes` bytes; the same on every machine of one byte order. */
uint64_t dm_hash64(const void *data, size_t bytes, uint64_t seed);

/** Zero is the digest of nothing. Two int64 (sums modulo 2^64), so that it can be summed over ranks. */
typedef struct dm_digest {
    int64_t low, high;
} dm_digest;

/** Add block `block_index` (each index once) holding `n` bytes; n == 0 counts too. */
void dm_digest_add(dm_digest *d, uint64_t block_index, const void *bytes, size_t n);
/** d += e, for digests of disjoint sets of blocks. */
void dm_digest_merge(dm_digest *d, const dm_digest *e);
/** 32 lower-case hexadecimal digits, high word first. */
void dm_digest_hex(const dm_digest *d, char out[33]);

/** XXH3-128 of one piece of memory as 32 hexadecimal digits (the text that `xxh128sum` prints). */
void dm_hash128_hex(const void *data, size_t bytes, char out[33]);

#endif
