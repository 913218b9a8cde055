#include "store/key_set.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define PARTITION_MEAN 15500 /* keys; the room is seven standard deviations of a binomial part above it */
#define PARTITION_ROOM 16384
#define SLOT_BITS 15 /* of the hash table: at most half full, 256 KiB */
#define SLOTS (1 << SLOT_BITS)
#define PROBE_LIMIT 512 /* steps from a key's slot; with even keys about 100 in 10^8 keys */

struct dm_key_set {
    int threads;
    int64_t partitions;
    uint64_t *key;   /* [partitions, PARTITION_ROOM] */
    int64_t *filled; /* [partitions] */
    int64_t *cursor; /* [threads, partitions] first counts, then where a thread's next key goes */
    uint64_t *table; /* [threads, SLOTS] */
};

int64_t dm_key_set_room(int64_t bytes, int threads)
{
    const int64_t fixed = threads * (int64_t)SLOTS * 8;
    const int64_t each = PARTITION_ROOM * 8 + 8 + threads * (int64_t)sizeof(int64_t);
    const int64_t partitions = (bytes - fixed) / each;
    return (partitions < 1 ? 1 : partitions) * PARTITION_MEAN;
}

demarc_status dm_key_set_create(dm_key_set **out, int64_t expected, int threads)
{
    demarc_status st = DEMARC_OK;
    dm_key_set *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: the check of ids: free some memory");
    s->threads = threads;
    s->partitions = expected / PARTITION_MEAN + 1;
    DM_TRY(dm_alloc(s->key, s->partitions * PARTITION_ROOM, "the check of ids"));
    DM_TRY(dm_alloc_zero(s->filled, s->partitions, "the check of ids"));
    DM_TRY(dm_alloc(s->cursor, s->partitions * threads, "the check of ids"));
    DM_TRY(dm_alloc(s->table, (int64_t)SLOTS * threads, "the check of ids"));
    *out = s;
    s = NULL;
cleanup:
    dm_key_set_destroy(&s);
    return st;
}

void dm_key_set_destroy(dm_key_set **set)
{
    if (*set == NULL) return;
    dm_free((*set)->key);
    dm_free((*set)->filled);
    dm_free((*set)->cursor);
    dm_free((*set)->table);
    free(*set);
    *set = NULL;
}

void dm_key_set_empty(dm_key_set *set) { memset(set->filled, 0, (size_t)set->partitions * sizeof *set->filled); }

__extension__ typedef unsigned __int128 wide;

/* A key as a fraction of 2^64, times the partitions: the whole part is the partition, the rest is again evenly spread. */
static wide place_of(uint64_t key, int64_t partitions) { return (wide)key * (uint64_t)partitions; }

/* Slice t of `threads` equal ones. */
static int64_t slice_begin(int64_t count, int t, int threads)
{
    return (int64_t)((wide)count * (wide)t / (wide)threads);
}

bool dm_key_set_add(dm_key_set *set, const uint64_t *key, int64_t count)
{
    const int threads = set->threads;
    const int64_t partitions = set->partitions;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        int64_t *counted = set->cursor + t * partitions;
        const int64_t end = slice_begin(count, t + 1, threads);
        memset(counted, 0, (size_t)partitions * sizeof *counted);
        for (int64_t i = slice_begin(count, t, threads); i < end; i++) counted[place_of(key[i], partitions) >> 64]++;
    }
    for (int64_t p = 0; p < partitions; p++) {
        int64_t at = set->filled[p];
        for (int t = 0; t < threads; t++) {
            const int64_t more = set->cursor[t * partitions + p];
            set->cursor[t * partitions + p] = p * PARTITION_ROOM + at;
            at += more;
        }
        if (at > PARTITION_ROOM) return false;
        set->filled[p] = at;
    }
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        int64_t *cursor = set->cursor + t * partitions;
        const int64_t end = slice_begin(count, t + 1, threads);
        for (int64_t i = slice_begin(count, t, threads); i < end; i++) {
            set->key[cursor[place_of(key[i], partitions) >> 64]++] = key[i];
        }
    }
    return true;
}

/* One partition through a table of linear probing; 0 marks a free slot, so the key 0 is counted apart. */
static bool partition_distinct(const uint64_t *key, int64_t count, int64_t partitions, uint64_t *table)
{
    int64_t zeros = 0;
    memset(table, 0, SLOTS * sizeof *table);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t k = key[i];
        if (k == 0) {
            if (++zeros > 1) return false;
            continue;
        }
        uint64_t slot = (uint64_t)place_of(k, partitions) >> (64 - SLOT_BITS);
        for (int step = 0; table[slot] != 0; step++, slot = (slot + 1) % SLOTS) {
            if (table[slot] == k || step == PROBE_LIMIT) return false;
        }
        table[slot] = k;
    }
    return true;
}

bool dm_key_set_distinct(dm_key_set *set)
{
    atomic_llong next = 0;
    atomic_bool distinct = true;
#pragma omp parallel for schedule(static, 1) num_threads(set->threads)
    for (int t = 0; t < set->threads; t++) {
        int64_t p;
        while (atomic_load(&distinct) && (p = atomic_fetch_add(&next, 1)) < set->partitions) {
            if (!partition_distinct(set->key + p * PARTITION_ROOM, set->filled[p], set->partitions,
                                    set->table + (int64_t)t * SLOTS)) {
                atomic_store(&distinct, false);
            }
        }
    }
    return distinct;
}
