#include "boundary/facets.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/saved_pass.h"

#define FIRST_ROOM 256 /* slots of a table, a power of two */

/* Customers of one (own segment, runner-up), in a table with open addressing; own == runner_up marks an empty slot. */
typedef struct pair_count {
    int32_t own, runner_up;
    int64_t rows;
} pair_count;

typedef struct pair_table {
    pair_count *slot;
    int64_t room, used;
    demarc_status st; /* of the first failure */
} pair_table;

static demarc_status table_create(pair_table *t, int64_t room)
{
    *t = (pair_table){.room = room};
    return dm_alloc_zero(t->slot, room, "boundaries");
}

/* The pair's slot, or the empty one where it belongs. */
static pair_count *table_slot(const pair_table *t, int32_t own, int32_t runner_up)
{
    const uint64_t code = (uint64_t)(uint32_t)own << 32 | (uint32_t)runner_up;
    uint64_t at = (code * UINT64_C(0x9e3779b97f4a7c15)) >> 32; /* Fibonacci hashing (Knuth 1973, section 6.4) */
    for (;; at++) {
        pair_count *s = &t->slot[at & (uint64_t)(t->room - 1)];
        if (s->own == s->runner_up || (s->own == own && s->runner_up == runner_up)) return s;
    }
}

static demarc_status table_grow(pair_table *t)
{
    pair_table larger;
    const demarc_status st = table_create(&larger, 2 * t->room);
    if (st != DEMARC_OK) return st;
    for (int64_t i = 0; i < t->room; i++) {
        const pair_count *s = &t->slot[i];
        if (s->own != s->runner_up) *table_slot(&larger, s->own, s->runner_up) = *s;
    }
    larger.used = t->used;
    dm_free(t->slot);
    *t = larger;
    return DEMARC_OK;
}

static demarc_status table_add(pair_table *t, int32_t own, int32_t runner_up, int64_t rows)
{
    pair_count *s = table_slot(t, own, runner_up);
    if (s->own == s->runner_up) {
        if (2 * (t->used + 1) > t->room) {
            const demarc_status st = table_grow(t);
            if (st != DEMARC_OK) return st;
            s = table_slot(t, own, runner_up);
        }
        *s = (pair_count){.own = own, .runner_up = runner_up};
        t->used++;
    }
    s->rows += rows;
    return DEMARC_OK;
}

static void count_block(void *context, int thread, const dm_frozen_block *b)
{
    pair_table *t = (pair_table *)context + thread;
    for (int64_t r = 0; r < b->rows && t->st == DEMARC_OK; r++) t->st = table_add(t, b->segment[r], b->runner_up[r], 1);
}

/* Rows of the higher tables into the lowest, which is then packed: its first `used` slots are the pairs. */
static demarc_status merge_tables(pair_table *table, int count)
{
    pair_table *all = &table[0];
    for (int t = 0; t < count; t++) {
        if (table[t].st != DEMARC_OK) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: boundaries: free some memory");
    }
    for (int t = 1; t < count; t++) {
        for (int64_t i = 0; i < table[t].room; i++) {
            const pair_count *s = &table[t].slot[i];
            if (s->own == s->runner_up) continue;
            const demarc_status st = table_add(all, s->own, s->runner_up, s->rows);
            if (st != DEMARC_OK) return st;
        }
    }
    int64_t used = 0;
    for (int64_t i = 0; i < all->room; i++) {
        if (all->slot[i].own != all->slot[i].runner_up) all->slot[used++] = all->slot[i];
    }
    return DEMARC_OK;
}

static demarc_status make_tables(const dm_frozen *f, pair_table **table)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc_zero(*table, f->threads, "boundaries"));
    for (int t = 0; t < f->threads; t++) DM_TRY(table_create(&(*table)[t], FIRST_ROOM));
cleanup:
    return st;
}

/* All ranks' pairs, of one rank after another. Collective. @param[out] pair  dm_alloc'd */
static demarc_status count_pairs(const dm_frozen *f, pair_count **pair, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    pair_table *table = NULL;
    DM_TRY_ALL(f->comm, make_tables(f, &table));
    DM_TRY(dm_saved_pass(f, 0, count_block, table, NULL));
    DM_TRY_ALL(f->comm, merge_tables(table, f->threads));
    DM_TRY(dm_comm_all_gather(f->comm, table[0].slot, table[0].used * (int64_t)sizeof **pair, (void **)pair, bytes));
cleanup:
    for (int t = 0; t < f->threads && table != NULL; t++) dm_free(table[t].slot);
    dm_free(table);
    return st;
}

/* The same as a step of the journal, whose bytes they are. Collective. */
static demarc_status find_pairs(const dm_frozen *f, pair_count **pair, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    static const char name[] = "boundaries";
    int64_t bytes = 0;
    dm_unpacker u;
    dm_packer p = {0};
    if (dm_journal_find(f->journal, name, &u)) {
        bytes = u.left - u.left % (int64_t)sizeof **pair;
        DM_TRY_ALL(f->comm, dm_alloc(*pair, bytes / (int64_t)sizeof **pair, "boundaries"));
        (void)dm_unpack(&u, *pair, bytes);
        for (int64_t i = 0; i < bytes / (int64_t)sizeof **pair; i++) {
            const pair_count *c = *pair + i;
            if (c->own < 0 || c->own >= f->model->k || c->runner_up < 0 || c->runner_up >= f->model->k) u.bad = true;
        }
        DM_TRY_ALL(f->comm, dm_journal_read(&u));
    } else {
        DM_TRY(count_pairs(f, pair, &bytes));
    }
    *count = bytes / (int64_t)sizeof **pair;
    if (f->journal != NULL) dm_pack(&p, *pair, bytes);
    DM_TRY_ALL(f->comm, dm_journal_note(f->journal, name, &p));
cleanup:
    dm_packer_clear(&p);
    return st;
}

static int32_t lower(const pair_count *p) { return p->own < p->runner_up ? p->own : p->runner_up; }
static int32_t higher(const pair_count *p) { return p->own < p->runner_up ? p->runner_up : p->own; }

static int by_facet(const void *a, const void *b)
{
    const pair_count *x = a, *y = b;
    if (lower(x) != lower(y)) return lower(x) < lower(y) ? -1 : 1;
    return higher(x) < higher(y) ? -1 : higher(x) > higher(y);
}

static void index_lower(dm_facets *s)
{
    memset(s->first, 0, ((size_t)s->k + 1) * sizeof *s->first);
    for (int32_t i = 0; i < s->count; i++) s->first[s->segments[2 * (int64_t)i] + 1]++;
    for (int32_t a = 0; a < s->k; a++) s->first[a + 1] += s->first[a];
}

/* Facets of all ranks' pairs, `pair` sorted by facet. Local. */
static demarc_status fill_facets(dm_facets *s, const dm_frozen *f, const pair_count *pair, int64_t count)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(s->segments, 2 * count, "boundaries"));
    DM_TRY(dm_alloc_zero(s->size, 2 * count, "boundaries"));
    DM_TRY(dm_alloc(s->gap, count, "boundaries"));
    DM_TRY(dm_alloc(s->first, (int64_t)s->k + 1, "boundaries"));
    for (int64_t i = 0; i < count;) {
        const int32_t a = lower(&pair[i]), b = higher(&pair[i]);
        const double gap = dm_frozen_gap(f, a, b);
        const int64_t at = s->count;
        for (; i < count && lower(&pair[i]) == a && higher(&pair[i]) == b; i++) {
            s->size[2 * at + (pair[i].own == b)] += pair[i].rows;
        }
        if (!(gap > 0.0)) {
            s->size[2 * at] = s->size[2 * at + 1] = 0;
            continue;
        }
        s->segments[2 * at] = a;
        s->segments[2 * at + 1] = b;
        s->gap[at] = gap;
        s->count++;
    }
    index_lower(s);
cleanup:
    return st;
}

demarc_status dm_facets_find(dm_facets *out, const dm_frozen *f)
{
    demarc_status st = DEMARC_OK;
    pair_count *all = NULL;
    int64_t count = 0;
    *out = (dm_facets){.k = f->model->k};
    DM_TRY(find_pairs(f, &all, &count));
    if (count > 1) qsort(all, (size_t)count, sizeof *all, by_facet);
    DM_TRY_ALL(f->comm, fill_facets(out, f, all, count));
cleanup:
    dm_free(all);
    if (st != DEMARC_OK) dm_facets_clear(out);
    return st;
}

void dm_facets_clear(dm_facets *s)
{
    dm_free(s->segments);
    dm_free(s->size);
    dm_free(s->gap);
    dm_free(s->first);
    *s = (dm_facets){0};
}

void dm_facets_keep(dm_facets *s, const bool *keep)
{
    int32_t left = 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (!keep[i]) continue;
        memmove(s->segments + 2 * (int64_t)left, s->segments + 2 * i, 2 * sizeof *s->segments);
        memmove(s->size + 2 * (int64_t)left, s->size + 2 * i, 2 * sizeof *s->size);
        s->gap[left++] = s->gap[i];
    }
    s->count = left;
    index_lower(s);
}

int32_t dm_facets_index(const dm_facets *s, int32_t a, int32_t b)
{
    const int32_t low = a < b ? a : b, high = a < b ? b : a;
    if (low < 0 || high >= s->k) return -1;
    int32_t begin = s->first[low], end = s->first[low + 1];
    while (begin < end) {
        const int32_t middle = begin + (end - begin) / 2, found = s->segments[2 * (int64_t)middle + 1];
        if (found == high) return middle;
        if (found < high) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return -1;
}

int32_t dm_facets_of_row(const dm_facets *s, const dm_frozen_block *b, int64_t r, int32_t *side, double *margin)
{
    const int32_t own = b->segment[r], other = b->runner_up[r];
    const int32_t facet = dm_facets_index(s, own, other);
    if (facet < 0) return -1;
    const double *squared = b->squared + r * b->k;
    const double q_own = squared[own] - b->offset[own], q_other = squared[other] - b->offset[other];
    *side = own > other;
    *margin = fmin(fabs(q_other - q_own) / (2.0 * s->gap[facet]), DBL_MAX);
    return facet;
}
