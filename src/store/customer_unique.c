/*
 * Uniqueness of ids: exact, on any number of ranks, within a budget of memory.
 *
 * 1. Integers that increase over all rows are unique: one sweep, no memory. Databases export so more often than not.
 * 2. Otherwise every id becomes a key: the integer scrambled one to one, or the hash of the string. As a fraction of 2^64
 *    the key tells which sweep and which rank looks after it, so equal ids meet on one rank in one sweep. Sweeps read all
 *    ids again and keep only their share; as many as the budget demands. When all keys differ (key_set.h), all ids do.
 * 3. If they may not, a careful search says who: every row becomes a record (key, row), the owner sorts its records, and
 *    neighbours with equal keys are candidates. Equal integers are duplicates; equal hashes are compared as strings, read
 *    again from the file, so a collision of hashes is no duplicate.
 *
 * What is reported is the pair whose second row is smallest, which also gives the id's first row: the same pair for
 * every layout and budget. As soon as a pair is known nobody looks at rows from its second on.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/stop.h"
#include "base/row_blocks.h"
#include "stats/digest.h"
#include "store/customer_internal.h"
#include "store/key_set.h"

#define MIN_BUDGET (INT64_C(1) << 20)
#define MIN_BATCH_ROWS 1024
#define MAX_BATCH_ROWS (INT64_C(1) << 20)
#define VARIABLE_BYTES 64 /* guess of a variable-length id's memory, with malloc's own */
#define GROUP_LIMIT 4096  /* different strings of one hash that are compared in memory; more is an attack */

typedef struct record {
    uint64_t key;
    int64_t row;
} record;

/* Two rows with one id, first < second; second == INT64_MAX: none known. */
typedef struct row_pair {
    int64_t first, second;
} row_pair;

typedef struct search {
    dm_customers *c;
    dm_comm *comm;
    int threads;
    dm_row_range mine;
    row_pair best;
    int64_t batch_rows, sweeps, sweep;
    record *kept;
    int64_t kept_count, kept_room;
    record *outgoing;
    int64_t *offset;  /* [ranks + 1] records, then bytes */
    uint64_t *key;    /* [batch_rows] */
    int32_t *owner;   /* [batch_rows] */
    uint64_t *parcel; /* [batch_rows] keys on their way to their owners */
    int64_t *cursor;  /* [threads, ranks] */
    dm_key_set *keys;
} search;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static bool is_integer(dm_id_kind kind) { return kind == DM_ID_I64 || kind == DM_ID_U64; }

/* ------------------------------------------------------------------------------------------------ increasing integers */

static bool increases(dm_id_kind kind, int64_t a, int64_t b)
{
    return kind == DM_ID_U64 ? (uint64_t)a < (uint64_t)b : a < b;
}

/* Scan this rank's rows; stops early when the order breaks. edge = {has rows, first id, last id, increasing}. */
static demarc_status scan_order(search *s, int64_t edge[4])
{
    demarc_status st = DEMARC_OK;
    dm_ids ids = {0};
    dm_id_kind kind = s->c->schema.id;
    edge[0] = s->mine.end > s->mine.begin;
    edge[3] = 1;
    for (int64_t row = s->mine.begin; row < s->mine.end && edge[3] != 0;) {
        int64_t next = s->mine.end - row < s->batch_rows ? s->mine.end : row + s->batch_rows;
        DM_TRY(dm_stop_look());
        DM_TRY(dm_customers_ids(s->c, row, next, &ids));
        if (row == s->mine.begin) {
            edge[1] = ids.integer[0];
        } else if (!increases(kind, edge[2], ids.integer[0])) {
            edge[3] = 0;
        }
        for (int64_t i = 1; i < ids.count && edge[3] != 0; i++) {
            if (!increases(kind, ids.integer[i - 1], ids.integer[i])) edge[3] = 0;
        }
        edge[2] = ids.integer[ids.count - 1];
        dm_ids_clear(&ids);
        row = next;
    }
cleanup:
    dm_ids_clear(&ids);
    return st;
}

static demarc_status all_increasing(search *s, bool *yes)
{
    demarc_status st = DEMARC_OK;
    int64_t mine[4] = {0}, *all = NULL, bytes = 0;
    *yes = true;
    DM_TRY_ALL(s->comm, scan_order(s, mine));
    DM_TRY(dm_comm_all_gather(s->comm, mine, (int64_t)sizeof mine, (void **)&all, &bytes));
    const int64_t *before = NULL;
    for (int r = 0; r < dm_comm_size(s->comm); r++) {
        const int64_t *edge = all + 4 * (int64_t)r;
        if (edge[0] == 0) continue;
        if (edge[3] == 0 || (before != NULL && !increases(s->c->schema.id, before[2], edge[1]))) *yes = false;
        before = edge;
    }
cleanup:
    dm_free(all);
    return st;
}

/* ------------------------------------------------------------------------------------------------ keys */

/* Keys of ids [begin, end) of the batch. */
static void make_keys(const dm_ids *ids, int64_t begin, int64_t end, uint64_t *key)
{
    for (int64_t i = begin; i < end; i++) {
        if (is_integer(ids->kind)) {
            key[i] = (uint64_t)ids->integer[i];
        } else if (ids->kind == DM_ID_FIXED) {
            key[i] = dm_hash64(ids->fixed + i * ids->size, (size_t)ids->size, 0);
        } else {
            const char *text = ids->variable[i] != NULL ? ids->variable[i] : "";
            key[i] = dm_hash64(text, strlen(text), 0);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ are all keys different? */

__extension__ typedef unsigned __int128 wide;

/* One to one on 64 bits, and even ids that are no more than a counter come out evenly spread (David Stafford's mix 13). */
static uint64_t scramble(uint64_t k)
{
    k = (k ^ (k >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    k = (k ^ (k >> 27)) * UINT64_C(0x94d049bb133111eb);
    return k ^ (k >> 31);
}

/*
 * Keys of the batch to (owner, rest): times sweeps, then times ranks, the whole part of the fraction is the sweep, then
 * the owner, and what is left is evenly spread again; keys with one sweep and owner stay different.
 */
static void divide_keys(search *s, int64_t begin, int64_t end, int64_t *count)
{
    const bool integers = is_integer(s->c->schema.id);
    const uint64_t sweeps = (uint64_t)s->sweeps, ranks = (uint64_t)dm_comm_size(s->comm);
    memset(count, 0, (size_t)ranks * sizeof *count);
    for (int64_t i = begin; i < end; i++) {
        const wide by_sweep = (wide)(integers ? scramble(s->key[i]) : s->key[i]) * sweeps;
        const wide by_rank = (wide)(uint64_t)by_sweep * ranks;
        const bool ours = (int64_t)(by_sweep >> 64) == s->sweep;
        s->key[i] = (uint64_t)by_rank;
        s->owner[i] = ours ? (int32_t)(by_rank >> 64) : -1;
        if (ours) count[by_rank >> 64]++;
    }
}

/* The keys of rows [begin, end) that belong to this sweep, grouped by owner; offset[r] is where rank r's begin. */
static demarc_status pack_keys(search *s, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    const int ranks = dm_comm_size(s->comm), threads = s->threads;
    dm_ids ids = {0};
    memset(s->offset, 0, ((size_t)ranks + 1) * sizeof *s->offset);
    if (begin >= end) return DEMARC_OK;
    DM_TRY(dm_stop_look());
    DM_TRY(dm_customers_ids(s->c, begin, end, &ids));
    const int64_t share = (ids.count + threads - 1) / threads;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        const int64_t from = smaller(t * share, ids.count), to = smaller(from + share, ids.count);
        make_keys(&ids, from, to, s->key);
        divide_keys(s, from, to, s->cursor + (int64_t)t * ranks);
    }
    int64_t at = 0;
    for (int r = 0; r < ranks; r++) {
        for (int t = 0; t < threads; t++) {
            const int64_t more = s->cursor[(int64_t)t * ranks + r];
            s->cursor[(int64_t)t * ranks + r] = at;
            at += more;
        }
        s->offset[r + 1] = at;
    }
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int t = 0; t < threads; t++) {
        int64_t *cursor = s->cursor + (int64_t)t * ranks;
        const int64_t from = smaller(t * share, ids.count), to = smaller(from + share, ids.count);
        for (int64_t i = from; i < to; i++) {
            if (s->owner[i] >= 0) s->parcel[cursor[s->owner[i]]++] = s->key[i];
        }
    }
cleanup:
    dm_ids_clear(&ids);
    return st;
}

/* The same number on all ranks: enough for the rank with most rows that still matter. */
static int64_t count_rounds(const search *s)
{
    int64_t most = 0;
    for (int r = 0; r < dm_comm_size(s->comm); r++) {
        dm_row_range range = dm_row_range_of(s->c->schema.n, r, dm_comm_size(s->comm));
        int64_t end = range.end < s->best.second ? range.end : s->best.second;
        if (end - range.begin > most) most = end - range.begin;
    }
    return (most + s->batch_rows - 1) / s->batch_rows;
}

/* One batch of every rank. @param[in,out] distinct  the same on all ranks; false: somebody's keys may not differ */
static demarc_status add_batch(search *s, int64_t round, bool *distinct)
{
    demarc_status st = DEMARC_OK;
    uint64_t *received = NULL;
    const int ranks = dm_comm_size(s->comm);
    const int64_t begin = smaller(s->mine.begin + round * s->batch_rows, s->mine.end);
    int64_t bytes = 0;
    DM_TRY_ALL(s->comm, pack_keys(s, begin, smaller(begin + s->batch_rows, s->mine.end)));
    if (ranks == 1) {
        *distinct = dm_key_set_add(s->keys, s->parcel, s->offset[1]);
        return DEMARC_OK;
    }
    for (int r = 0; r <= ranks; r++) s->offset[r] *= (int64_t)sizeof *s->parcel;
    DM_TRY(dm_comm_exchange(s->comm, s->parcel, s->offset, (void **)&received, &bytes));
    int64_t crowded = !dm_key_set_add(s->keys, received, bytes / (int64_t)sizeof *received);
    dm_comm_max_i64(s->comm, &crowded, 1);
    *distinct = crowded == 0;
cleanup:
    dm_free(received);
    return st;
}

/* Collective; sweeps divide the keys, so their number is the same on all ranks, whatever their threads. */
static void count_sweeps(search *s, int64_t budget)
{
    const int64_t share = s->c->schema.n / dm_comm_size(s->comm) + 1;
    int64_t most = s->threads;
    dm_comm_max_i64(s->comm, &most, 1);
    s->sweeps = (share - 1) / dm_key_set_room(budget / 8 * 5, (int)most) + 1;
}

static demarc_status prepare_keys(search *s)
{
    demarc_status st = DEMARC_OK;
    const int ranks = dm_comm_size(s->comm);
    const int64_t share = s->c->schema.n / ranks + 1;
    DM_TRY(dm_key_set_create(&s->keys, share / s->sweeps + 1, s->threads));
    DM_TRY(dm_alloc(s->key, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->owner, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->parcel, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->cursor, (int64_t)s->threads * ranks, "the check of ids"));
    DM_TRY(dm_alloc(s->offset, (int64_t)ranks + 1, "the check of ids"));
cleanup:
    return st;
}

static void release(search *s)
{
    dm_key_set_destroy(&s->keys);
    dm_free(s->kept);
    dm_free(s->outgoing);
    dm_free(s->parcel);
    dm_free(s->cursor);
    dm_free(s->key);
    dm_free(s->owner);
    dm_free(s->offset);
    s->kept = s->outgoing = NULL;
    s->parcel = s->key = NULL;
    s->cursor = s->offset = NULL;
    s->owner = NULL;
}

/* @param[out] distinct  true: all ids differ; false: a careful search has to tell. The same on all ranks. */
static demarc_status all_distinct(search *s, int64_t budget, bool *distinct)
{
    demarc_status st = DEMARC_OK;
    *distinct = true;
    count_sweeps(s, budget);
    DM_TRY_ALL(s->comm, prepare_keys(s));
    const int64_t rounds = count_rounds(s);
    for (s->sweep = 0; s->sweep < s->sweeps && *distinct; s->sweep++) {
        for (int64_t round = 0; round < rounds && *distinct; round++) DM_TRY(add_batch(s, round, distinct));
        if (!*distinct) break;
        int64_t equal = !dm_key_set_distinct(s->keys);
        dm_comm_max_i64(s->comm, &equal, 1);
        *distinct = equal == 0;
        dm_key_set_empty(s->keys);
    }
cleanup:
    release(s);
    return st;
}

/* ------------------------------------------------------------------------------------------------ duplicates among records */

static int by_key_and_row(const void *a, const void *b)
{
    const record *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void note_pair(search *s, int64_t first, int64_t second)
{
    if (second < s->best.second) s->best = (row_pair){first, second};
}

static bool same_text(const dm_ids *a, const dm_ids *b)
{
    if (a->kind == DM_ID_FIXED) return memcmp(a->fixed, b->fixed, (size_t)a->size) == 0;
    const char *x = a->variable[0] != NULL ? a->variable[0] : "", *y = b->variable[0] != NULL ? b->variable[0] : "";
    return strcmp(x, y) == 0;
}

/*
 * Rows whose strings have one hash, ascending. The first row that repeats an earlier string ends the search; until
 * then all strings differ though their 64-bit hashes are equal, so the list stays tiny.
 */
static demarc_status compare_strings(search *s, const record *group, int64_t count)
{
    demarc_status st = DEMARC_OK;
    dm_ids *text = NULL;
    int64_t seen = 0, most = count < GROUP_LIMIT ? count : GROUP_LIMIT;
    DM_TRY(dm_alloc_zero(text, most, "ids of one hash"));
    for (int64_t i = 0; i < count && group[i].row < s->best.second; i++) {
        if (i >= most) {
            st = dm_fail(DEMARC_ERR_DATA,
                         "more than %d different ids have one hash: %s, %s: these ids were made to do harm",
                         GROUP_LIMIT, s->c->path, dm_customers_id_path(s->c));
            goto cleanup;
        }
        DM_TRY(dm_customers_ids(s->c, group[i].row, group[i].row + 1, &text[seen]));
        seen++;
        for (int64_t j = 0; j < i; j++) {
            if (!same_text(&text[j], &text[i])) continue;
            note_pair(s, group[j].row, group[i].row);
            break;
        }
    }
cleanup:
    for (int64_t i = 0; i < seen; i++) dm_ids_clear(&text[i]);
    dm_free(text);
    return st;
}

/*
 * Sort what was kept, find the best pair in it, and drop what cannot matter any more. Groups come in the order of their
 * hashes, so a better pair is met only about ln(groups) times, and only then strings are read.
 */
static demarc_status settle(search *s)
{
    demarc_status st = DEMARC_OK;
    bool integers = is_integer(s->c->schema.id);
    if (s->kept_count > 1) qsort(s->kept, (size_t)s->kept_count, sizeof *s->kept, by_key_and_row);
    for (int64_t i = 0; i < s->kept_count;) {
        int64_t end = i + 1;
        while (end < s->kept_count && s->kept[end].key == s->kept[i].key) end++;
        if (end - i > 1 && s->kept[i + 1].row < s->best.second) {
            if (integers) {
                note_pair(s, s->kept[i].row, s->kept[i + 1].row);
            } else {
                DM_TRY(compare_strings(s, s->kept + i, end - i));
            }
        }
        i = end;
    }
    int64_t left = 0;
    for (int64_t i = 0; i < s->kept_count; i++) {
        if (s->kept[i].row < s->best.second) s->kept[left++] = s->kept[i];
    }
    s->kept_count = left;
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ sweeps */

/* Owner of a key in this sweep, -1 if another sweep has it. High and low half of one hash: sweep and owner are independent. */
static int owner_of(const search *s, uint64_t key)
{
    uint64_t h = dm_hash64(&key, sizeof key, 1), sweeps = (uint64_t)s->sweeps, ranks = (uint64_t)dm_comm_size(s->comm);
    if ((int64_t)(((h >> 32) * sweeps) >> 32) != s->sweep) return -1;
    return (int)(((h & 0xffffffff) * ranks) >> 32);
}

/* Records of rows [begin, end) that belong to this sweep, grouped by owner; offset[r] is where rank r's begin. */
static demarc_status pack_batch(search *s, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    int ranks = dm_comm_size(s->comm);
    dm_ids ids = {0};
    memset(s->offset, 0, ((size_t)ranks + 1) * sizeof *s->offset);
    if (end > s->best.second) end = s->best.second;
    if (begin >= end) return DEMARC_OK;
    DM_TRY(dm_stop_look());
    DM_TRY(dm_customers_ids(s->c, begin, end, &ids));
    make_keys(&ids, 0, ids.count, s->key);
    for (int64_t i = 0; i < ids.count; i++) {
        s->owner[i] = owner_of(s, s->key[i]);
        if (s->owner[i] >= 0) s->offset[s->owner[i] + 1]++;
    }
    for (int r = 0; r < ranks; r++) s->offset[r + 1] += s->offset[r];
    int64_t total = s->offset[ranks];
    /* Filling every part from behind moves its end to its begin; one shift then makes begins and ends of it again. */
    for (int64_t i = ids.count - 1; i >= 0; i--) {
        if (s->owner[i] >= 0) s->outgoing[--s->offset[s->owner[i] + 1]] = (record){s->key[i], begin + i};
    }
    for (int r = 0; r < ranks; r++) s->offset[r] = s->offset[r + 1];
    s->offset[ranks] = total;
cleanup:
    dm_ids_clear(&ids);
    return st;
}

/* Room for `more` records: settle first, since that may drop many; then grow where hashes are uneven after all. */
static demarc_status make_room(search *s, int64_t more)
{
    if (s->kept_count + more <= s->kept_room) return DEMARC_OK;
    demarc_status st = settle(s);
    if (st != DEMARC_OK || s->kept_count + more <= s->kept_room - s->kept_room / 4) return st;
    int64_t room = s->kept_room + s->kept_room / 2;
    if (room < s->kept_count + more) room = s->kept_count + more;
    record *grown = NULL;
    st = dm_alloc(grown, room, "the check of ids");
    if (st != DEMARC_OK) return st;
    memcpy(grown, s->kept, (size_t)s->kept_count * sizeof *grown);
    dm_free(s->kept);
    s->kept = grown;
    s->kept_room = room;
    return DEMARC_OK;
}

static demarc_status keep(search *s, const record *received, int64_t count)
{
    demarc_status st = make_room(s, count);
    if (st != DEMARC_OK) return st;
    if (count > 0) memcpy(s->kept + s->kept_count, received, (size_t)count * sizeof *received);
    s->kept_count += count;
    return DEMARC_OK;
}

/* Everyone learns the smallest second row; only its finder keeps the first. */
static void share_best(search *s)
{
    int64_t second = s->best.second;
    dm_comm_min_i64(s->comm, &second, 1);
    if (second < s->best.second) s->best = (row_pair){-1, second};
}

static demarc_status do_round(search *s, int64_t round)
{
    demarc_status st = DEMARC_OK;
    record *received = NULL;
    int64_t bytes = 0, begin = s->mine.begin + round * s->batch_rows, end = begin + s->batch_rows;
    if (end > s->mine.end) end = s->mine.end;
    DM_TRY_ALL(s->comm, pack_batch(s, begin, end));
    for (int r = 0; r <= dm_comm_size(s->comm); r++) s->offset[r] *= (int64_t)sizeof(record);
    DM_TRY(dm_comm_exchange(s->comm, s->outgoing, s->offset, (void **)&received, &bytes));
    DM_TRY_ALL(s->comm, keep(s, received, bytes / (int64_t)sizeof(record)));
    share_best(s);
cleanup:
    dm_free(received);
    return st;
}

static demarc_status do_sweep(search *s)
{
    demarc_status st = DEMARC_OK;
    int64_t rounds = count_rounds(s);
    s->kept_count = 0;
    for (int64_t round = 0; round < rounds; round++) DM_TRY(do_round(s, round));
    DM_TRY_ALL(s->comm, settle(s));
    share_best(s);
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ plan */

/*
 * A quarter of the budget for batches, half for records: a record costs twice its size while qsort() merges. The rest
 * is slack for parts that are larger than the average.
 */
static void plan_batches(search *s, int64_t budget)
{
    dm_id_kind kind = s->c->schema.id;
    int64_t id_bytes = kind == DM_ID_FIXED ? s->c->schema.id_size : kind == DM_ID_VARIABLE ? VARIABLE_BYTES : 8;
    int64_t row_bytes = id_bytes + (int64_t)(sizeof *s->key + sizeof *s->owner + 2 * sizeof(record));
    /* Should all ids be equal, one rank gets the records of all. */
    int64_t rows = budget / 4 / row_bytes, worst = budget / 4 / (int64_t)sizeof(record) / dm_comm_size(s->comm);
    if (rows > worst) rows = worst;
    if (rows > MAX_BATCH_ROWS) rows = MAX_BATCH_ROWS;
    if (rows < MIN_BATCH_ROWS) rows = MIN_BATCH_ROWS;
    s->batch_rows = rows;
}

static demarc_status prepare_sweeps(search *s, int64_t budget)
{
    demarc_status st = DEMARC_OK;
    int64_t share = s->c->schema.n / dm_comm_size(s->comm) + 1, room = budget / 2 / (2 * (int64_t)sizeof(record));
    s->sweeps = share / room + 1;
    double each = (double)share / (double)s->sweeps;
    s->kept_room = (int64_t)(each + 5.0 * sqrt(each)) + 64; /* five standard deviations of a binomial part */
    DM_TRY(dm_alloc(s->kept, s->kept_room, "the check of ids"));
    DM_TRY(dm_alloc(s->outgoing, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->key, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->owner, s->batch_rows, "the check of ids"));
    DM_TRY(dm_alloc(s->offset, dm_comm_size(s->comm) + 1, "the check of ids"));
cleanup:
    return st;
}

static demarc_status fail_duplicate(search *s)
{
    dm_ids ids = {0};
    char text[256];
    demarc_status st = dm_customers_ids(s->c, s->best.second, s->best.second + 1, &ids);
    if (st != DEMARC_OK) return st;
    dm_ids_text(&ids, 0, text, sizeof text);
    dm_ids_clear(&ids);
    return dm_fail(DEMARC_ERR_DATA,
                   "duplicate id '%s': %s, %s, rows %lld and %lld: give every customer an id of its own", text,
                   s->c->path, dm_customers_id_path(s->c), (long long)s->best.first, (long long)s->best.second);
}

static demarc_status report(search *s)
{
    if (s->best.second == INT64_MAX) return DEMARC_OK;
    dm_comm_max_i64(s->comm, &s->best.first, 1);
    return dm_comm_agree(s->comm, dm_comm_rank(s->comm) == 0 ? fail_duplicate(s) : DEMARC_OK);
}

demarc_status dm_customers_check_ids(dm_customers *c, dm_comm *comm, int threads, int64_t budget)
{
    demarc_status st = DEMARC_OK;
    search s = {.c = c, .comm = comm, .threads = threads, .best = {-1, INT64_MAX}};
    bool unique = false;
    if (c->schema.id == DM_ID_NONE) return DEMARC_OK;
    if (budget < MIN_BUDGET) budget = MIN_BUDGET;
    s.mine = dm_row_range_of(c->schema.n, dm_comm_rank(comm), dm_comm_size(comm));
    plan_batches(&s, budget);
    if (is_integer(c->schema.id)) DM_TRY(all_increasing(&s, &unique));
    if (!unique) DM_TRY(all_distinct(&s, budget, &unique));
    if (unique) return DEMARC_OK;
    DM_TRY_ALL(comm, prepare_sweeps(&s, budget));
    for (s.sweep = 0; s.sweep < s.sweeps; s.sweep++) DM_TRY(do_sweep(&s));
    DM_TRY(report(&s));
cleanup:
    release(&s);
    return st;
}
