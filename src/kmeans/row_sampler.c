#include "kmeans/row_sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

demarc_status dm_sampler_create(dm_sampler *s, int32_t capacity, int32_t d)
{
    demarc_status st = DEMARC_OK;
    *s = (dm_sampler){.capacity = capacity, .d = d};
    DM_TRY(dm_alloc(s->key, capacity, "row sample"));
    DM_TRY(dm_alloc(s->row, capacity, "row sample"));
    DM_TRY(dm_alloc(s->slot, capacity, "row sample"));
    DM_TRY(dm_alloc(s->x, (int64_t)capacity * d, "row sample"));
cleanup:
    if (st != DEMARC_OK) dm_sampler_destroy(s);
    return st;
}

void dm_sampler_destroy(dm_sampler *s)
{
    dm_free(s->key);
    dm_free(s->row);
    dm_free(s->slot);
    dm_free(s->x);
    *s = (dm_sampler){0};
}

static bool above(const dm_sampler *s, int32_t a, int32_t b)
{
    return s->key[a] > s->key[b] || (s->key[a] == s->key[b] && s->row[a] > s->row[b]);
}

static void swap(dm_sampler *s, int32_t a, int32_t b)
{
    double key = s->key[a];
    int64_t row = s->row[a];
    int32_t slot = s->slot[a];
    s->key[a] = s->key[b];
    s->row[a] = s->row[b];
    s->slot[a] = s->slot[b];
    s->key[b] = key;
    s->row[b] = row;
    s->slot[b] = slot;
}

void dm_sampler_offer(dm_sampler *s, double key, int64_t row, const float *x)
{
    if (!dm_sampler_wants(s, key, row)) return;
    int32_t at = s->count < s->capacity ? s->count : 0;
    const int32_t slot = s->count < s->capacity ? s->count++ : s->slot[0];
    s->key[at] = key;
    s->row[at] = row;
    s->slot[at] = slot;
    memcpy(s->x + (int64_t)slot * s->d, x, (size_t)s->d * sizeof *x);
    while (at > 0 && above(s, at, (at - 1) / 2)) { /* a new leaf rises */
        swap(s, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (;;) { /* a replaced root sinks */
        int32_t child = 2 * at + 1;
        if (child >= s->count) break;
        if (child + 1 < s->count && above(s, child + 1, child)) child++;
        if (!above(s, child, at)) break;
        swap(s, at, child);
        at = child;
    }
}

typedef struct entry {
    double key;
    int64_t row;
    int64_t place; /* in the gathered features */
} entry;

static int by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

demarc_status dm_sampler_collect(dm_comm *comm, dm_sampler *part, int threads, dm_drawn **drawn, float **x,
                                 int32_t *count)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = part[0].d, capacity = part[0].capacity;
    void *all = NULL, *all_x = NULL;
    int64_t bytes = 0;
    entry *mine = NULL;
    float *mine_x = NULL;
    *drawn = NULL;
    *x = NULL;
    *count = 0;
    for (int t = 1; t < threads; t++) {
        for (int32_t i = 0; i < part[t].count; i++) {
            dm_sampler_offer(&part[0], part[t].key[i], part[t].row[i], part[t].x + (int64_t)part[t].slot[i] * d);
        }
    }
    const int32_t n = part[0].count;
    st = dm_alloc(mine, n, "row sample");
    if (st == DEMARC_OK) st = dm_alloc(mine_x, (int64_t)n * d, "row sample");
    DM_TRY_ALL(comm, st);
    for (int32_t i = 0; i < n; i++) {
        mine[i] = (entry){part[0].key[i], part[0].row[i], 0};
        memcpy(mine_x + (int64_t)i * d, part[0].x + (int64_t)part[0].slot[i] * d, (size_t)d * sizeof *mine_x);
    }
    DM_TRY(dm_comm_all_gather(comm, mine, n * (int64_t)sizeof *mine, &all, &bytes));
    const int64_t total = bytes / (int64_t)sizeof(entry);
    DM_TRY(dm_comm_all_gather(comm, mine_x, (int64_t)n * d * (int64_t)sizeof *mine_x, &all_x, &bytes));
    entry *list = all;
    for (int64_t i = 0; i < total; i++) list[i].place = i;
    qsort(list, (size_t)total, sizeof *list, by_key);
    const int32_t kept = total < capacity ? (int32_t)total : capacity;
    st = dm_alloc(*drawn, kept, "row sample");
    if (st == DEMARC_OK) st = dm_alloc(*x, (int64_t)kept * d, "row sample");
    DM_TRY_ALL(comm, st);
    for (int32_t i = 0; i < kept; i++) {
        (*drawn)[i] = (dm_drawn){list[i].key, list[i].row};
        memcpy(*x + (int64_t)i * d, (float *)all_x + list[i].place * d, (size_t)d * sizeof **x);
    }
    *count = kept;
cleanup:
    if (st != DEMARC_OK) {
        dm_free(*drawn);
        dm_free(*x);
        *drawn = NULL;
        *x = NULL;
    }
    dm_free(all);
    dm_free(all_x);
    dm_free(mine);
    dm_free(mine_x);
    return st;
}
