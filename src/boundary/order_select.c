/*
 * Two selections by digits (radix_select.h). The first, over keys, finds for each query the key of its last row and of the
 * row after it. Where rows of that last key lie on both sides a second one, over (late, id) of the rows of that key, finds
 * how far into them the query reaches. dm_order_among() then compares keys; among rows of the last key it compares row
 * numbers, or looks into what one more pass over the ids has noted: a list or a bitmap of this rank's rows, whichever is
 * smaller, so at most n_local / 8 bytes for each query with ties.
 */
#include "boundary/order_select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/ordered_bits.h"
#include "boundary/radix_select.h"
#include "boundary/saved_pass.h"
#include "store/id_hash.h"
#include "store/id_layout.h"

#define COUNT_BYTES (INT64_C(128) << 20) /* counters of all threads of a rank without a memory limit */
#define ITEM_BYTES (INT64_C(16) << 20)   /* rows kept, and 8 bytes more for each row of the rank */

/* Rows of a query's last key that are inside, of this rank. */
typedef struct inside_rows {
    int64_t *list; /* ascending */
    int64_t count, room;
    uint8_t *bit; /* [n_local / 8], where a list would be larger */
} inside_rows;

struct dm_order {
    int32_t queries;
    dm_order_query *query;
    uint64_t *last; /* [queries] image of query.last */
    bool by_row;    /* ids are row numbers */
    int32_t words;
    uint64_t *bound;     /* [queries, words] (late, id) of the last row inside, where tied > 0 */
    inside_rows *inside; /* [queries] where tied > 0 and not by_row */
    dm_row_range range;
};

/* What the passes share. */
typedef struct finder {
    const dm_frozen *f;
    const char *name;
    dm_order *order;
    dm_order_fn fn;
    void *context;
    int32_t groups, per_row;
    dm_order_key *key; /* [threads, per_row] */
    uint64_t *word;    /* [threads, words] */
    /* Pairs of a group and a last key with ties, by group and key. */
    int32_t ties;
    int32_t *tie_begin; /* [groups + 1] */
    uint64_t *tie_key;  /* [ties] */
    int64_t *tie_local; /* [ties] rows of this rank, where known */
    bool local_known;
    int32_t *tie_query;   /* queries of the ties, tie by tie */
    int32_t *query_begin; /* [ties + 1] */
    dm_radix *radix;
} finder;

/* Both zeros are one. */
static uint64_t image_of(double key) { return dm_ordered_bits(key + 0.0); }

/* Eight bytes of a text from `at` on as a number that orders as they do; nothing counts as zeros. */
static uint64_t text_word(const uint8_t *text, size_t length, size_t at)
{
    uint64_t word = 0;
    for (size_t i = at; i < at + 8; i++) word = word << 8 | (i < length ? text[i] : 0);
    return word;
}

/* (late, id) of row r as words that order as they do; only the first `needed`. */
static void words_of(const dm_frozen_block *b, int64_t r, bool late, int32_t needed, uint64_t *word)
{
    const dm_ids *ids = b->ids;
    const int64_t i = b->ids_at + r;
    word[0] = late ? UINT64_C(1) << 63 : 0;
    if (needed < 2) return;
    if (ids == NULL || ids->kind == DM_ID_NONE) {
        word[1] = (uint64_t)(b->begin + r);
    } else if (ids->kind == DM_ID_I64) {
        word[1] = (uint64_t)ids->integer[i] ^ (UINT64_C(1) << 63);
    } else if (ids->kind == DM_ID_U64) {
        word[1] = (uint64_t)ids->integer[i];
    } else {
        size_t length = 0;
        const uint8_t *text = dm_id_bytes(ids, i, &length);
        for (int32_t w = 1; w < needed; w++) word[w] = text_word(text, length, 8 * ((size_t)w - 1));
    }
}

static bool not_after(const uint64_t *a, const uint64_t *b, int32_t words)
{
    for (int32_t w = 0; w < words; w++) {
        if (a[w] != b[w]) return a[w] < b[w];
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------ keys */

static void offer_keys(void *context, int thread, const dm_frozen_block *b)
{
    const finder *s = context;
    dm_order_key *key = s->key + (int64_t)thread * s->per_row;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t count = s->fn(s->context, b, r, key);
        for (int32_t i = 0; i < count; i++) {
            const uint64_t image = image_of(key[i].key);
            dm_radix_offer(s->radix, thread, key[i].group, &image);
        }
    }
}

static demarc_status offer_pass(finder *s, unsigned want, dm_frozen_fn fn, const char *name)
{
    const dm_pass_state state = {
        .name = name, .gather = dm_radix_gather, .restore = dm_radix_restore, .context = s->radix};
    return dm_saved_pass(s->f, want, fn, s, name != NULL ? &state : NULL);
}

static demarc_status key_pass(void *context, dm_radix *r, const char *name)
{
    (void)r;
    return offer_pass(context, 0, offer_keys, name);
}

static dm_radix_options radix_options(const dm_frozen *f, const char *name)
{
    const dm_row_range range = dm_rows_range(f->rows);
    const bool limited = f->memory_limit > 0;
    return (dm_radix_options){.comm = f->comm,
                              .threads = f->threads,
                              .journal = f->journal,
                              .name = name,
                              .first_bits = 64,
                              .count_bytes = limited ? f->memory_limit / 8 : COUNT_BYTES,
                              .item_bytes = limited ? f->memory_limit / 8 : ITEM_BYTES + 8 * (range.end - range.begin)};
}

/* The answers but for ties: targets 2q and 2q + 1 are the last row inside and the first outside. */
static demarc_status take_keys(dm_order *o, const dm_radix_target *target)
{
    for (int32_t q = 0; q < o->queries; q++) {
        dm_order_query *query = &o->query[q];
        const dm_radix_target *last = &target[2 * q], *next = &target[2 * q + 1];
        if (query->count > 0 && last->beyond) {
            return dm_fail(DEMARC_ERR_ARG,
                           "order: query %d asks for %lld rows of group %d: ask for no more than it has", (int)q,
                           (long long)query->count, (int)query->group);
        }
        query->last = query->count > 0 ? dm_ordered_value(last->word[0]) : -(double)INFINITY;
        query->next = next->beyond ? (double)INFINITY : dm_ordered_value(next->word[0]);
        query->tied = query->count > 0 ? last->equal - (last->rank + 1) : 0;
        o->last[q] = query->count > 0 ? last->word[0] : 0;
    }
    return DEMARC_OK;
}

static demarc_status find_keys(finder *s, dm_radix_target *target)
{
    demarc_status st = DEMARC_OK;
    dm_order *o = s->order;
    dm_radix_options options = radix_options(s->f, s->name);
    options.words = 1;
    options.sets = s->groups;
    options.targets = 2 * o->queries;
    options.target = target;
    for (int32_t q = 0; q < o->queries; q++) {
        const int64_t count = o->query[q].count;
        target[2 * q] = (dm_radix_target){.set = o->query[q].group, .rank = count > 0 ? count - 1 : 0};
        target[2 * q + 1] = (dm_radix_target){.set = o->query[q].group, .rank = count};
    }
    DM_TRY(dm_radix_create(&s->radix, &options));
    DM_TRY(dm_radix_run(s->radix, key_pass, s));
    DM_TRY(take_keys(o, target)); /* the same on all ranks */
    s->local_known = !dm_radix_resumed(s->radix);
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ ties */

/* The tie of a row's key, -1 if there is none. */
static int32_t tie_of(const finder *s, const dm_order_key *key)
{
    const uint64_t image = image_of(key->key);
    for (int32_t i = s->tie_begin[key->group]; i < s->tie_begin[key->group + 1]; i++) {
        if (s->tie_key[i] == image) return i;
    }
    return -1;
}

static void offer_ties(void *context, int thread, const dm_frozen_block *b)
{
    const finder *s = context;
    const int32_t needed = dm_radix_words_needed(s->radix);
    dm_order_key *key = s->key + (int64_t)thread * s->per_row;
    uint64_t *word = s->word + (int64_t)thread * s->order->words;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t count = s->fn(s->context, b, r, key);
        for (int32_t i = 0; i < count; i++) {
            const int32_t tie = tie_of(s, &key[i]);
            if (tie < 0) continue;
            words_of(b, r, key[i].late, needed, word);
            dm_radix_offer(s->radix, thread, tie, word);
        }
    }
}

static demarc_status tie_pass(void *context, dm_radix *r, const char *name)
{
    finder *s = context;
    const bool ids = !s->order->by_row && dm_radix_words_needed(r) > 1;
    return offer_pass(s, ids ? DM_WANT_IDS : 0, offer_ties, name);
}

static void note(const dm_order *o, inside_rows *inside, int64_t row)
{
    if (inside->bit != NULL) {
        const int64_t at = row - o->range.begin; /* a byte belongs to one block, a block to one thread */
        inside->bit[at / 8] = (uint8_t)(inside->bit[at / 8] | 1u << at % 8);
        return;
    }
    const int64_t at = __atomic_fetch_add(&inside->count, 1, __ATOMIC_RELAXED);
    if (at < inside->room) inside->list[at] = row;
}

static void note_inside(void *context, int thread, const dm_frozen_block *b)
{
    const finder *s = context;
    const dm_order *o = s->order;
    dm_order_key *key = s->key + (int64_t)thread * s->per_row;
    uint64_t *word = s->word + (int64_t)thread * o->words;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t count = s->fn(s->context, b, r, key);
        for (int32_t i = 0; i < count; i++) {
            const int32_t tie = tie_of(s, &key[i]);
            if (tie < 0) continue;
            words_of(b, r, key[i].late, o->words, word);
            for (int32_t j = s->query_begin[tie]; j < s->query_begin[tie + 1]; j++) {
                const int32_t q = s->tie_query[j];
                if (not_after(word, o->bound + (int64_t)q * o->words, o->words)) note(o, &o->inside[q], b->begin + r);
            }
        }
    }
}

static int by_value(const void *a, const void *b)
{
    const int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return p < q ? -1 : p > q;
}

static void count_ties(void *context, int thread, const dm_frozen_block *b)
{
    const finder *s = context;
    dm_order_key *key = s->key + (int64_t)thread * s->per_row;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t count = s->fn(s->context, b, r, key);
        for (int32_t i = 0; i < count; i++) {
            const int32_t tie = tie_of(s, &key[i]);
            if (tie >= 0) (void)__atomic_fetch_add(&s->tie_local[tie], 1, __ATOMIC_RELAXED);
        }
    }
}

static demarc_status make_lists(finder *s)
{
    demarc_status st = DEMARC_OK;
    dm_order *o = s->order;
    const int64_t bytes = (o->range.end - o->range.begin + 7) / 8;
    DM_TRY(dm_alloc_zero(o->inside, o->queries, "ties"));
    for (int32_t tie = 0; tie < s->ties; tie++) {
        for (int32_t j = s->query_begin[tie]; j < s->query_begin[tie + 1]; j++) {
            inside_rows *inside = &o->inside[s->tie_query[j]];
            inside->room = s->tie_local[tie];
            if (8 * inside->room > bytes) {
                DM_TRY(dm_alloc_zero(inside->bit, bytes, "ties"));
            } else {
                DM_TRY(dm_alloc(inside->list, inside->room, "ties"));
            }
        }
    }
cleanup:
    return st;
}

static demarc_status sort_lists(const finder *s)
{
    const dm_order *o = s->order;
    for (int32_t q = 0; q < o->queries; q++) {
        inside_rows *inside = &o->inside[q];
        if (inside->count > inside->room)
            return dm_fail(DEMARC_ERR_DATA, "changed while it was read: %s: run again when nobody writes to it",
                           dm_customers_path(s->f->customers));
        if (inside->list != NULL) qsort(inside->list, (size_t)inside->count, sizeof *inside->list, by_value);
    }
    return DEMARC_OK;
}

/* List or bitmap of each query with ties; they are this rank's, so a run that was gone on with makes them anew. Collective. */
static demarc_status note_all(finder *s)
{
    demarc_status st = DEMARC_OK;
    if (!s->local_known) {
        memset(s->tie_local, 0, (size_t)s->ties * sizeof *s->tie_local);
        DM_TRY(dm_saved_pass(s->f, 0, count_ties, s, NULL));
    }
    DM_TRY_ALL(s->f->comm, make_lists(s));
    DM_TRY(dm_saved_pass(s->f, DM_WANT_IDS, note_inside, s, NULL));
    DM_TRY_ALL(s->f->comm, sort_lists(s));
cleanup:
    return st;
}

typedef struct tied_query {
    int32_t query, group;
    uint64_t key;
    int64_t local;
} tied_query;

static int by_group_and_key(const void *a, const void *b)
{
    const tied_query *p = a, *q = b;
    if (p->group != q->group) return p->group < q->group ? -1 : 1;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    return p->query < q->query ? -1 : p->query > q->query;
}

/* Fill the tables of ties. @param[out] tied  number of queries that have one. Local. */
static demarc_status list_ties(finder *s, const dm_radix_target *key_target, int32_t *tied)
{
    demarc_status st = DEMARC_OK;
    const dm_order *o = s->order;
    tied_query *list = NULL;
    int32_t count = 0, group = 0;
    DM_TRY(dm_alloc(list, o->queries, "ties"));
    DM_TRY(dm_alloc(s->tie_begin, (int64_t)s->groups + 1, "ties"));
    DM_TRY(dm_alloc(s->tie_key, o->queries, "ties"));
    DM_TRY(dm_alloc(s->tie_local, o->queries, "ties"));
    DM_TRY(dm_alloc(s->tie_query, o->queries, "ties"));
    DM_TRY(dm_alloc(s->query_begin, (int64_t)o->queries + 1, "ties"));
    for (int32_t q = 0; q < o->queries; q++) {
        if (o->query[q].tied == 0) continue;
        list[count++] = (tied_query){q, o->query[q].group, o->last[q], key_target[2 * q].local};
    }
    qsort(list, (size_t)count, sizeof *list, by_group_and_key);
    s->tie_begin[0] = 0;
    for (int32_t i = 0; i < count; i++) {
        while (group < list[i].group) s->tie_begin[++group] = s->ties;
        if (i == 0 || list[i].group != list[i - 1].group || list[i].key != list[i - 1].key) {
            s->query_begin[s->ties] = i;
            s->tie_key[s->ties] = list[i].key;
            s->tie_local[s->ties++] = list[i].local;
        }
        s->tie_query[i] = list[i].query;
    }
    while (group < s->groups) s->tie_begin[++group] = s->ties;
    s->query_begin[s->ties] = count;
    *tied = count;
cleanup:
    dm_free(list);
    return st;
}

/* How far each query reaches into the rows of its last key. Collective. */
static demarc_status break_ties(finder *s, const dm_radix_target *key_target)
{
    demarc_status st = DEMARC_OK;
    dm_order *o = s->order;
    dm_radix_target *target = NULL;
    int32_t tied = 0;
    dm_id_layout layout = {.bytes = 8};
    dm_radix_destroy(&s->radix);
    DM_TRY_ALL(s->f->comm, list_ties(s, key_target, &tied));
    if (tied == 0) goto cleanup;
    if (!o->by_row) DM_TRY(dm_id_layout_of(s->f->comm, s->f->customers, &layout));
    o->words = 1 + (int32_t)((layout.bytes + 7) / 8);
    st = dm_alloc_zero(target, tied, "ties");
    if (st == DEMARC_OK) st = dm_alloc(s->word, (int64_t)s->f->threads * o->words, "ties");
    if (st == DEMARC_OK) st = dm_alloc_zero(o->bound, (int64_t)o->queries * o->words, "ties");
    DM_TRY_ALL(s->f->comm, st);
    for (int32_t tie = 0; tie < s->ties; tie++) {
        for (int32_t j = s->query_begin[tie]; j < s->query_begin[tie + 1]; j++) {
            target[j] = (dm_radix_target){.set = tie, .rank = key_target[2 * s->tie_query[j]].rank};
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%.40s, ties", s->name);
    dm_radix_options options = radix_options(s->f, name);
    options.words = o->words;
    options.first_bits = 1;
    options.sets = s->ties;
    options.targets = tied;
    options.target = target;
    options.bound_only = true;
    options.local = s->local_known ? s->tie_local : NULL;
    DM_TRY(dm_radix_create(&s->radix, &options));
    DM_TRY(dm_radix_run(s->radix, tie_pass, s));
    for (int32_t j = 0; j < tied; j++)
        memcpy(o->bound + (int64_t)s->tie_query[j] * o->words, target[j].word, (size_t)o->words * 8);
    if (!o->by_row) DM_TRY(note_all(s));
cleanup:
    dm_free(target);
    return st;
}

/* ------------------------------------------------------------------------------------------------ public */

static demarc_status check_queries(int32_t groups, int32_t queries, const dm_order_query *query)
{
    for (int32_t q = 0; q < queries; q++) {
        if (query[q].group < 0 || query[q].group >= groups || query[q].count < 0)
            return dm_fail(DEMARC_ERR_ARG, "order: query %d: ask for a count >= 0 of a group below %d", (int)q,
                           (int)groups);
    }
    return DEMARC_OK;
}

demarc_status dm_order_find(dm_order **out, const dm_frozen *f, int32_t groups, int32_t per_row, dm_order_fn fn,
                            void *context, int32_t queries, dm_order_query *query)
{
    return dm_order_find_as(out, f, "order", groups, per_row, fn, context, queries, query);
}

demarc_status dm_order_find_as(dm_order **out, const dm_frozen *f, const char *name, int32_t groups, int32_t per_row,
                               dm_order_fn fn, void *context, int32_t queries, dm_order_query *query)
{
    demarc_status st = DEMARC_OK;
    dm_order *o = NULL;
    dm_radix_target *target = NULL;
    finder s = {.f = f, .name = name, .fn = fn, .context = context, .groups = groups, .per_row = per_row};
    *out = NULL;
    DM_TRY(check_queries(groups, queries, query));
    st = dm_alloc_zero(o, 1, "order statistics");
    if (st == DEMARC_OK) st = dm_alloc(o->query, queries, "order statistics");
    if (st == DEMARC_OK) st = dm_alloc(o->last, queries, "order statistics");
    if (st == DEMARC_OK) st = dm_alloc(target, 2 * (int64_t)queries, "order statistics");
    if (st == DEMARC_OK) st = dm_alloc(s.key, (int64_t)f->threads * per_row, "order statistics");
    DM_TRY_ALL(f->comm, st);
    o->queries = queries;
    o->range = dm_rows_range(f->rows);
    o->by_row = dm_customers_schema(f->customers)->id == DM_ID_NONE;
    o->words = 2;
    memcpy(o->query, query, (size_t)queries * sizeof *query);
    s.order = o;
    DM_TRY(find_keys(&s, target));
    DM_TRY(break_ties(&s, target));
    memcpy(query, o->query, (size_t)queries * sizeof *query);
    *out = o;
    o = NULL;
cleanup:
    dm_radix_destroy(&s.radix);
    dm_free(target);
    dm_free(s.key);
    dm_free(s.word);
    dm_free(s.tie_begin);
    dm_free(s.tie_key);
    dm_free(s.tie_local);
    dm_free(s.tie_query);
    dm_free(s.query_begin);
    dm_order_destroy(&o);
    return st;
}

void dm_order_destroy(dm_order **order)
{
    dm_order *o = *order;
    if (o == NULL) return;
    for (int32_t q = 0; q < o->queries && o->inside != NULL; q++) {
        dm_free(o->inside[q].list);
        dm_free(o->inside[q].bit);
    }
    dm_free(o->inside);
    dm_free(o->query);
    dm_free(o->last);
    dm_free(o->bound);
    dm_free(o);
    *order = NULL;
}

bool dm_order_among(const dm_order *o, int32_t q, const dm_order_key *key, int64_t row)
{
    const dm_order_query *query = &o->query[q];
    if (query->count == 0) return false;
    const uint64_t image = image_of(key->key);
    if (image != o->last[q]) return image < o->last[q];
    if (query->tied == 0) return true;
    if (o->by_row) {
        const uint64_t word[2] = {key->late ? UINT64_C(1) << 63 : 0, (uint64_t)row};
        return not_after(word, o->bound + (int64_t)q * o->words, 2);
    }
    const inside_rows *inside = &o->inside[q];
    if (inside->bit != NULL) {
        const int64_t at = row - o->range.begin;
        return (inside->bit[at / 8] >> at % 8 & 1) != 0;
    }
    return bsearch(&row, inside->list, (size_t)inside->count, sizeof row, by_value) != NULL;
}
