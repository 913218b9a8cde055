#include "diagnosis/met_ids.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "stats/digest.h"
#include "store/id_hash.h"
#include "store/id_layout.h"

#define BATCH_ROWS 65536

/* What travels; the id follows, in `slot` bytes padded by zeros. */
typedef struct parcel {
    uint64_t hash;
    int32_t source; /* rank that sent it */
    int32_t value;  /* from `there`; of a question: unused */
} parcel;

typedef struct meeting {
    dm_comm *comm;
    int ranks, rank;
    int64_t slot, bytes; /* of an id, and of a parcel with it */
    int64_t sweeps, sweep;
    bool mixed;              /* one side signed, the other unsigned: they agree on values below 2^63 only */
    char *outgoing, *packed; /* [BATCH_ROWS] parcels */
    int64_t *where;          /* [BATCH_ROWS] row of the parcel, then of the packed one */
    int64_t *sorted;         /* [BATCH_ROWS] */
    int64_t *offset;         /* [ranks + 1] bytes */
    /* The table: open addressing over the lower half of the hash. */
    int64_t members;
    uint64_t mask;
    char *id;       /* [mask + 1, slot] */
    int32_t *value; /* [mask + 1] -1 = free */
} meeting;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

static bool is_integer(dm_id_kind kind) { return kind == DM_ID_NONE || kind == DM_ID_I64 || kind == DM_ID_U64; }

/* Parts of the hashes go to ranks and sweeps in turn. */
static int64_t part_of(const meeting *m, uint64_t hash)
{
    return (int64_t)(((hash >> 32) * (uint64_t)(m->ranks * m->sweeps)) >> 32);
}

/* Parcel number `to` of this batch; false, and none, when it does not belong to this sweep or can meet nobody. */
static bool put_parcel(const meeting *m, int64_t to, const dm_ids *ids, int64_t i, int32_t value)
{
    char *at = m->outgoing + to * m->bytes, *slot = at + sizeof(parcel);
    size_t length = 0;
    const void *id = dm_id_bytes(ids, i, &length);
    if (m->mixed && ids->integer[i] < 0) return false;
    memset(slot, 0, (size_t)m->slot);
    memcpy(slot, id, length);
    const parcel p = {.hash = dm_hash64(slot, (size_t)m->slot, 0), .source = m->rank, .value = value};
    if (part_of(m, p.hash) / m->ranks != m->sweep) return false;
    memcpy(at, &p, sizeof p);
    return true;
}

static int owner_of(const meeting *m, const char *at)
{
    parcel p;
    memcpy(&p, at, sizeof p);
    return (int)(part_of(m, p.hash) % m->ranks);
}

/* Parcels in the order of their owners; `sorted` follows them. Collective. @param[out] received  dm_alloc'd */
static demarc_status send_parcels(meeting *m, int64_t count, char **received, int64_t *received_count)
{
    int64_t got = 0;
    memset(m->offset, 0, ((size_t)m->ranks + 1) * sizeof *m->offset);
    for (int64_t i = 0; i < count; i++) m->offset[owner_of(m, m->outgoing + i * m->bytes) + 1] += m->bytes;
    for (int r = 0; r < m->ranks; r++) m->offset[r + 1] += m->offset[r];
    for (int64_t i = 0; i < count; i++) {
        const char *from = m->outgoing + i * m->bytes;
        int64_t *to = &m->offset[owner_of(m, from)];
        memcpy(m->packed + *to, from, (size_t)m->bytes);
        m->sorted[*to / m->bytes] = m->where[i];
        *to += m->bytes;
    }
    /* Filling every part moved its begin to its end; one shift makes begins and ends of it again. */
    memmove(m->offset + 1, m->offset, (size_t)m->ranks * sizeof *m->offset);
    m->offset[0] = 0;
    const demarc_status st = dm_comm_exchange(m->comm, m->packed, m->offset, (void **)received, &got);
    *received_count = got / m->bytes;
    return st;
}

/* ------------------------------------------------------------------------------------------------ the table */

static uint64_t place_of(const meeting *m, uint64_t hash, const char *id)
{
    uint64_t at = hash & m->mask;
    while (m->value[at] >= 0 && memcmp(m->id + (int64_t)at * m->slot, id, (size_t)m->slot) != 0)
        at = (at + 1) & m->mask;
    return at;
}

static void put_member(meeting *m, uint64_t hash, const char *id, int32_t value)
{
    const uint64_t at = place_of(m, hash, id);
    memcpy(m->id + (int64_t)at * m->slot, id, (size_t)m->slot);
    m->value[at] = value;
    m->members++;
}

/* An empty table with room for `members`; what the old one held moves over. */
static demarc_status make_room(meeting *m, int64_t members)
{
    demarc_status st = DEMARC_OK;
    int64_t size = 1024;
    while (size < members + members / 2) size *= 2;
    if (m->value != NULL && size <= (int64_t)m->mask + 1) return DEMARC_OK;
    meeting grown = *m;
    grown.id = NULL;
    grown.value = NULL;
    grown.mask = (uint64_t)size - 1;
    grown.members = 0;
    DM_TRY(dm_alloc(grown.id, size * m->slot, "joining"));
    DM_TRY(dm_alloc(grown.value, size, "joining"));
    memset(grown.value, 0xff, (size_t)size * sizeof *grown.value); /* -1 */
    for (uint64_t at = 0; m->value != NULL && at <= m->mask; at++) {
        const char *id = m->id + (int64_t)at * m->slot;
        if (m->value[at] >= 0) put_member(&grown, dm_hash64(id, (size_t)m->slot, 0), id, m->value[at]);
    }
    dm_free(m->id);
    dm_free(m->value);
    *m = grown;
    return DEMARC_OK;
cleanup:
    dm_free(grown.id);
    dm_free(grown.value);
    return st;
}

static demarc_status add_members(meeting *m, const char *received, int64_t count)
{
    const demarc_status st = make_room(m, m->members + count);
    if (st != DEMARC_OK) return st;
    for (int64_t i = 0; i < count; i++) {
        parcel p;
        memcpy(&p, received + i * m->bytes, sizeof p);
        put_member(m, p.hash, received + i * m->bytes + sizeof p, p.value);
    }
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ the two files */

/* One batch of rows as parcels; `where` says which rows. Local. */
static demarc_status pack_rows(meeting *m, dm_customers *file, const int32_t *value, dm_row_range range, int64_t begin,
                               int64_t *count)
{
    dm_ids ids = {0};
    const int64_t end = lesser(range.end, begin + BATCH_ROWS);
    *count = 0;
    if (begin >= end) return DEMARC_OK;
    const demarc_status st = dm_customers_ids(file, begin, end, &ids);
    for (int64_t row = begin; row < end && st == DEMARC_OK; row++) {
        const int64_t local = row - range.begin;
        if (!put_parcel(m, *count, &ids, row - begin, value != NULL ? value[local] : 0)) continue;
        m->where[(*count)++] = local;
    }
    dm_ids_clear(&ids);
    return st;
}

/* Batches that the rank with the most rows needs. Collective. */
static int64_t rounds_of(dm_comm *comm, dm_row_range range)
{
    int64_t rounds = (range.end - range.begin + BATCH_ROWS - 1) / BATCH_ROWS;
    dm_comm_max_i64(comm, &rounds, 1);
    return rounds;
}

static demarc_status spread_members(meeting *m, dm_customers *there, const int32_t *value)
{
    demarc_status st = DEMARC_OK;
    char *received = NULL;
    int64_t outgoing = 0, count = 0;
    const dm_row_range range = dm_row_range_of(dm_customers_schema(there)->n, m->rank, m->ranks);
    const int64_t rounds = rounds_of(m->comm, range);
    for (int64_t round = 0; round < rounds; round++) {
        DM_TRY_ALL(m->comm, pack_rows(m, there, value, range, range.begin + round * BATCH_ROWS, &outgoing));
        DM_TRY(send_parcels(m, outgoing, &received, &count));
        DM_TRY_ALL(m->comm, add_members(m, received, count));
        dm_free(received);
        received = NULL;
    }
cleanup:
    dm_free(received);
    return st;
}

/* Answers of the owner, in the order in which the questions came, so for one source after the other. Collective. */
static demarc_status answer(meeting *m, const char *question, int64_t count, int32_t **answers, int64_t *answered)
{
    demarc_status st = DEMARC_OK;
    int32_t *found = NULL;
    int64_t bytes = 0;
    DM_TRY_ALL(m->comm, dm_alloc(found, count, "joining"));
    memset(m->offset, 0, ((size_t)m->ranks + 1) * sizeof *m->offset);
    for (int64_t i = 0; i < count; i++) {
        parcel p;
        memcpy(&p, question + i * m->bytes, sizeof p);
        found[i] = m->value[place_of(m, p.hash, question + i * m->bytes + sizeof p)];
        m->offset[p.source + 1] += (int64_t)sizeof *found;
    }
    for (int r = 0; r < m->ranks; r++) m->offset[r + 1] += m->offset[r];
    DM_TRY(dm_comm_exchange(m->comm, found, m->offset, (void **)answers, &bytes));
    *answered = bytes / (int64_t)sizeof *found;
cleanup:
    dm_free(found);
    return st;
}

static demarc_status ask_members(meeting *m, dm_customers *here, int32_t *met)
{
    demarc_status st = DEMARC_OK;
    char *received = NULL;
    int32_t *answers = NULL;
    int64_t outgoing = 0, count = 0, answered = 0;
    const dm_row_range range = dm_row_range_of(dm_customers_schema(here)->n, m->rank, m->ranks);
    const int64_t rounds = rounds_of(m->comm, range);
    for (int64_t round = 0; round < rounds; round++) {
        DM_TRY_ALL(m->comm, pack_rows(m, here, NULL, range, range.begin + round * BATCH_ROWS, &outgoing));
        DM_TRY(send_parcels(m, outgoing, &received, &count));
        DM_TRY(answer(m, received, count, &answers, &answered));
        for (int64_t i = 0; i < answered; i++) {
            if (answers[i] >= 0) met[m->sorted[i]] = answers[i];
        }
        dm_free(received);
        dm_free(answers);
        received = NULL;
        answers = NULL;
    }
cleanup:
    dm_free(received);
    dm_free(answers);
    return st;
}

static demarc_status start(meeting *m, dm_customers *there, dm_customers *here, int64_t budget)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *a = dm_customers_schema(there), *b = dm_customers_schema(here);
    dm_id_layout one = {0}, other = {0};
    if (is_integer(a->id) != is_integer(b->id)) {
        return dm_fail(
            DEMARC_ERR_DATA, "ids of different kinds: %s, %s holds %s, but %s, %s %s: write both files' ids alike",
            dm_customers_path(there), dm_customers_id_path(there), is_integer(a->id) ? "integers" : "strings",
            dm_customers_path(here), dm_customers_id_path(here), is_integer(b->id) ? "integers" : "strings");
    }
    m->mixed = is_integer(a->id) && (a->id == DM_ID_U64) != (b->id == DM_ID_U64);
    DM_TRY(dm_id_layout_of(m->comm, there, &one));
    DM_TRY(dm_id_layout_of(m->comm, here, &other));
    m->slot = larger(8, (larger(one.bytes, other.bytes) + 7) / 8 * 8);
    m->bytes = (int64_t)sizeof(parcel) + m->slot;
    /* A table is filled to a third at least. */
    const double table = 3.0 * (double)(m->slot + 4) * (double)a->n / (double)m->ranks;
    m->sweeps = (int64_t)fmin(1024.0, ceil(fmax(1.0, table / (double)budget)));
    st = dm_alloc(m->outgoing, BATCH_ROWS * m->bytes, "joining");
    if (st == DEMARC_OK) st = dm_alloc(m->packed, BATCH_ROWS * m->bytes, "joining");
    if (st == DEMARC_OK) st = dm_alloc(m->where, BATCH_ROWS, "joining");
    if (st == DEMARC_OK) st = dm_alloc(m->sorted, BATCH_ROWS, "joining");
    if (st == DEMARC_OK) st = dm_alloc(m->offset, (int64_t)m->ranks + 1, "joining");
    DM_TRY_ALL(m->comm, st);
cleanup:
    return st;
}

static void empty_table(meeting *m)
{
    dm_free(m->id);
    dm_free(m->value);
    m->id = NULL;
    m->value = NULL;
    m->members = 0;
}

demarc_status dm_met_values(dm_comm *comm, dm_customers *there, const int32_t *value, dm_customers *here,
                            int64_t budget, int32_t *met)
{
    demarc_status st = DEMARC_OK;
    meeting m = {.comm = comm, .ranks = dm_comm_size(comm), .rank = dm_comm_rank(comm)};
    const dm_row_range range = dm_row_range_of(dm_customers_schema(here)->n, m.rank, m.ranks);
    for (int64_t i = 0; i < range.end - range.begin; i++) met[i] = -1;
    DM_TRY(start(&m, there, here, budget));
    for (m.sweep = 0; m.sweep < m.sweeps; m.sweep++) {
        DM_TRY_ALL(comm, make_room(&m, 0));
        DM_TRY(spread_members(&m, there, value));
        DM_TRY(ask_members(&m, here, met));
        empty_table(&m);
    }
cleanup:
    empty_table(&m);
    dm_free(m.outgoing);
    dm_free(m.packed);
    dm_free(m.where);
    dm_free(m.sorted);
    dm_free(m.offset);
    return st;
}
