#include "stats/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

uint64_t dm_hash64(const void *data, size_t bytes, uint64_t seed) { return XXH3_64bits_withSeed(data, bytes, seed); }

/* int64 + uint64 modulo 2^64; the sum itself is unsigned, where wrapping is defined. */
static int64_t wrap_add(int64_t a, uint64_t b) { return (int64_t)((uint64_t)a + b); }

void dm_digest_add(dm_digest *d, uint64_t block_index, const void *bytes, size_t n)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes, n, block_index);
    d->low = wrap_add(d->low, h.low64);
    d->high = wrap_add(d->high, h.high64);
}

void dm_digest_merge(dm_digest *d, const dm_digest *e)
{
    d->low = wrap_add(d->low, (uint64_t)e->low);
    d->high = wrap_add(d->high, (uint64_t)e->high);
}

static void hex(uint64_t high, uint64_t low, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, high, low);
}

void dm_digest_hex(const dm_digest *d, char out[33]) { hex((uint64_t)d->high, (uint64_t)d->low, out); }

void dm_hash128_hex(const void *data, size_t bytes, char out[33])
{
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    hex(h.high64, h.low64, out);
}
