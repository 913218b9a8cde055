#include "boundary/join.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/row_blocks.h"
#include "stats/digest.h"
#include "store/id_hash.h"

#define BATCH_ROWS 65536
#define BATCH_VALUES (INT64_C(1) << 22) /* outcomes of one batch */

/* What travels to an owner; the id follows, in `slot` bytes padded by zeros. */
typedef struct parcel {
    uint64_t hash;
    int64_t at;        /* row of the file it comes from */
    dm_joined_row row; /* from the results only y and x */
} parcel;

/* A customer of the experiment at his owner. */
typedef struct member {
    int64_t at;     /* row in the experiment */
    int64_t result; /* lowest row of the results with this id, -1 = none yet */
    dm_joined_row row;
} member;

typedef enum fault_kind { FAULT_UNKNOWN, FAULT_REPEATED, FAULT_KINDS } fault_kind;

/* The lowest row at fault. */
typedef struct fault {
    int64_t code;   /* row x FAULT_KINDS + kind; INT64_MAX = none */
    int64_t member; /* REPEATED: whose id it is, on the rank that found it; else -1 */
} fault;

typedef struct join {
    dm_comm *comm;
    dm_experiment *experiment;
    dm_customers *results;
    int32_t outcome, pre;
    dm_id_kind kind; /* of the experiment's ids */
    int64_t slot;    /* bytes of an id as it travels, a multiple of 8 */
    int64_t batch;   /* rows */
    char *outgoing, *packed;
    int64_t *offset; /* [ranks + 1] */
    double *outcomes;
    int64_t members, room;
    member *member;
    char *id;       /* [room, slot] */
    int64_t *table; /* [mask + 1] member or -1 */
    uint64_t mask;
    fault worst;
} join;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

static bool is_integer(dm_id_kind kind) { return kind == DM_ID_NONE || kind == DM_ID_I64 || kind == DM_ID_U64; }

static void note_fault(join *j, int64_t row, fault_kind kind, int64_t who)
{
    const int64_t code = row * FAULT_KINDS + kind;
    if (code < j->worst.code) j->worst = (fault){code, who};
}

/* ------------------------------------------------------------------------------------------------ travelling */

static int64_t parcel_bytes(const join *j) { return (int64_t)sizeof(parcel) + j->slot; }

/* Ranks own equal parts of the hashes' upper half; the lower half is the table's. */
static int owner_of(const join *j, const char *p)
{
    uint64_t hash;
    memcpy(&hash, p, sizeof hash);
    return (int)(((hash >> 32) * (uint64_t)dm_comm_size(j->comm)) >> 32);
}

/**
 * Parcel number `to` of this batch. @return false, and no parcel, when no id of the experiment can be equal to this one
 */
static bool put_parcel(join *j, int64_t to, parcel p, const dm_ids *ids, int64_t i)
{
    char *bytes = j->outgoing + to * parcel_bytes(j), *slot = bytes + sizeof p;
    size_t length = 0;
    const void *id = dm_id_bytes(ids, i, &length);
    if ((int64_t)length > j->slot) return false;
    /* int64 and uint64 agree on a value only below 2^63. */
    if (is_integer(j->kind) && (ids->kind == DM_ID_U64) != (j->kind == DM_ID_U64) && ids->integer[i] < 0) return false;
    memset(slot, 0, (size_t)j->slot);
    memcpy(slot, id, length);
    p.hash = dm_hash64(slot, (size_t)j->slot, 0);
    memcpy(bytes, &p, sizeof p);
    return true;
}

/* Send the first `count` parcels to their owners. Collective. @param[out] received  dm_alloc'd */
static demarc_status send_parcels(join *j, int64_t count, char **received, int64_t *received_count)
{
    const int64_t bytes = parcel_bytes(j);
    const int ranks = dm_comm_size(j->comm);
    int64_t got = 0;
    memset(j->offset, 0, ((size_t)ranks + 1) * sizeof *j->offset);
    for (int64_t i = 0; i < count; i++) j->offset[owner_of(j, j->outgoing + i * bytes) + 1] += bytes;
    for (int r = 0; r < ranks; r++) j->offset[r + 1] += j->offset[r];
    /* Filling every part moves its begin to its end; one shift then makes begins and ends of it again. */
    for (int64_t i = 0; i < count; i++) {
        const char *from = j->outgoing + i * bytes;
        int64_t *to = &j->offset[owner_of(j, from)];
        memcpy(j->packed + *to, from, (size_t)bytes);
        *to += bytes;
    }
    memmove(j->offset + 1, j->offset, (size_t)ranks * sizeof *j->offset);
    j->offset[0] = 0;
    const demarc_status st = dm_comm_exchange(j->comm, j->packed, j->offset, (void **)received, &got);
    *received_count = got / bytes;
    return st;
}

/* Batches that the rank with the most rows needs. Collective. */
static int64_t rounds_of(const join *j, int64_t rows)
{
    int64_t rounds = (rows + j->batch - 1) / j->batch;
    dm_comm_max_i64(j->comm, &rounds, 1);
    return rounds;
}

/* ------------------------------------------------------------------------------------------------ members */

static demarc_status make_room(join *j, int64_t more)
{
    demarc_status st = DEMARC_OK;
    member *grown = NULL;
    char *ids = NULL;
    if (j->members + more <= j->room) return DEMARC_OK;
    const int64_t room = larger(j->room + j->room / 2, j->members + more);
    DM_TRY(dm_alloc(grown, room, "joined customers"));
    DM_TRY(dm_alloc(ids, room * j->slot, "joined customers"));
    if (j->members > 0) {
        memcpy(grown, j->member, (size_t)j->members * sizeof *grown);
        memcpy(ids, j->id, (size_t)(j->members * j->slot));
    }
    dm_free(j->member);
    dm_free(j->id);
    j->member = grown;
    j->id = ids;
    j->room = room;
    grown = NULL;
    ids = NULL;
cleanup:
    dm_free(grown);
    dm_free(ids);
    return st;
}

static demarc_status add_members(join *j, const char *received, int64_t count)
{
    demarc_status st = make_room(j, count);
    if (st != DEMARC_OK) return st;
    for (int64_t i = 0; i < count; i++) {
        const char *from = received + i * parcel_bytes(j);
        parcel p;
        memcpy(&p, from, sizeof p);
        memcpy(j->id + j->members * j->slot, from + sizeof p, (size_t)j->slot);
        j->member[j->members++] = (member){.at = p.at, .result = -1, .row = p.row};
    }
    return DEMARC_OK;
}

/* The member with this id, else -1 and the free place for one. */
static int64_t find_member(const join *j, uint64_t hash, const char *id, uint64_t *place)
{
    uint64_t at = hash & j->mask;
    for (; j->table[at] >= 0; at = (at + 1) & j->mask) {
        if (memcmp(j->id + j->table[at] * j->slot, id, (size_t)j->slot) == 0) return j->table[at];
    }
    *place = at;
    return -1;
}

/* All members have come: make them findable. Of ids that come twice the lowest second row is noted. */
static demarc_status build_table(join *j)
{
    int64_t size = 16;
    while (size < 2 * j->members) size *= 2;
    demarc_status st = dm_alloc(j->table, size, "joined customers");
    if (st != DEMARC_OK) return st;
    memset(j->table, 0xff, (size_t)size * sizeof *j->table); /* -1 */
    j->mask = (uint64_t)size - 1;
    for (int64_t m = 0; m < j->members; m++) {
        const char *id = j->id + m * j->slot;
        uint64_t place = 0;
        const int64_t known = find_member(j, dm_hash64(id, (size_t)j->slot, 0), id, &place);
        if (known < 0) {
            j->table[place] = m;
            continue;
        }
        note_fault(j, larger(j->member[known].at, j->member[m].at), FAULT_REPEATED, known);
        j->member[known].at = lesser(j->member[known].at, j->member[m].at);
    }
    return DEMARC_OK;
}

static void meet_results(join *j, const char *received, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const char *from = received + i * parcel_bytes(j);
        parcel p;
        uint64_t place = 0;
        memcpy(&p, from, sizeof p);
        const int64_t m = find_member(j, p.hash, from + sizeof p, &place);
        if (m < 0) {
            note_fault(j, p.at, FAULT_UNKNOWN, -1);
        } else if (j->member[m].result >= 0) {
            note_fault(j, larger(j->member[m].result, p.at), FAULT_REPEATED, m);
            j->member[m].result = lesser(j->member[m].result, p.at);
        } else {
            j->member[m].result = p.at;
            j->member[m].row.y = p.row.y;
            j->member[m].row.x = p.row.x;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ faults */

static demarc_status fail_experiment(const join *j, int64_t first)
{
    const int64_t row = j->worst.code / FAULT_KINDS;
    dm_ids ids = {0};
    char text[256];
    demarc_status st = dm_experiment_ids(j->experiment, row, row + 1, &ids);
    if (st != DEMARC_OK) return st;
    dm_ids_text(&ids, 0, text, sizeof text);
    dm_ids_clear(&ids);
    return dm_fail(DEMARC_ERR_DATA, "duplicate id '%s': %s, /id, rows %lld and %lld: plan again", text,
                   dm_experiment_path(j->experiment), (long long)first, (long long)row);
}

static demarc_status fail_results(const join *j, int64_t first)
{
    const int64_t row = j->worst.code / FAULT_KINDS;
    const fault_kind kind = (fault_kind)(j->worst.code % FAULT_KINDS);
    const char *path = dm_customers_path(j->results), *where = dm_customers_id_path(j->results);
    dm_ids ids = {0};
    char text[256];
    demarc_status st = dm_customers_ids(j->results, row, row + 1, &ids);
    if (st != DEMARC_OK) return st;
    dm_ids_text(&ids, 0, text, sizeof text);
    dm_ids_clear(&ids);
    if (kind == FAULT_UNKNOWN) {
        return dm_fail(DEMARC_ERR_DATA,
                       "unknown id '%s': %s, %s, row %lld: %s has no such customer: give the results of its customers "
                       "alone",
                       text, path, where, (long long)row, dm_experiment_path(j->experiment));
    }
    return dm_fail(DEMARC_ERR_DATA, "duplicate id '%s': %s, %s, rows %lld and %lld: give every customer one row", text,
                   path, where, (long long)first, (long long)row);
}

/* All ranks learn of the lowest row at fault and say the same. Collective. */
static demarc_status check_faults(join *j, bool in_experiment)
{
    demarc_status st = DEMARC_OK;
    int64_t code = j->worst.code, first = -1;
    dm_comm_min_i64(j->comm, &code, 1);
    if (code == INT64_MAX) return DEMARC_OK;
    if (code == j->worst.code && j->worst.member >= 0) {
        const member *m = &j->member[j->worst.member];
        first = in_experiment ? m->at : m->result;
    }
    j->worst.code = code;
    dm_comm_max_i64(j->comm, &first, 1);
    if (dm_comm_rank(j->comm) == 0) st = in_experiment ? fail_experiment(j, first) : fail_results(j, first);
    return dm_comm_agree(j->comm, st);
}

/* ------------------------------------------------------------------------------------------------ the two files */

/* This rank's rows of the experiment. */
typedef struct own_rows {
    dm_row_range range;
    dm_ids ids;
    dm_experiment_rows rows;
    int64_t longest; /* id, bytes */
} own_rows;

static void own_clear(own_rows *o)
{
    dm_ids_clear(&o->ids);
    dm_free(o->rows.boundary);
    dm_free(o->rows.segment);
    dm_free(o->rows.other);
    dm_free(o->rows.stratum);
    dm_free(o->rows.arm);
    dm_free(o->rows.margin);
    dm_free(o->rows.propensity);
    o->rows = (dm_experiment_rows){0};
}

static demarc_status own_read(const join *j, own_rows *o)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = o->range.end - o->range.begin;
    DM_TRY(dm_experiment_ids(j->experiment, o->range.begin, o->range.end, &o->ids));
    DM_TRY(dm_alloc(o->rows.boundary, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.segment, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.other, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.stratum, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.arm, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.margin, n, "experiment"));
    DM_TRY(dm_alloc(o->rows.propensity, n, "experiment"));
    DM_TRY(dm_experiment_read(j->experiment, o->range.begin, n, &o->rows));
    for (int64_t i = 0; i < n; i++) {
        size_t bytes = 0;
        (void)dm_id_bytes(&o->ids, i, &bytes);
        o->longest = larger(o->longest, (int64_t)bytes);
    }
cleanup:
    return st;
}

static demarc_status start(join *j)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *s = dm_customers_schema(j->results);
    const int64_t ranks = dm_comm_size(j->comm);
    if (is_integer(j->kind) != is_integer(s->id)) {
        return dm_fail(DEMARC_ERR_DATA,
                       "ids of different kinds: %s, %s holds %s, but %s, /id %s: write the ids as the experiment has "
                       "them",
                       dm_customers_path(j->results), dm_customers_id_path(j->results),
                       is_integer(s->id) ? "integers" : "strings", dm_experiment_path(j->experiment),
                       is_integer(j->kind) ? "integers" : "strings");
    }
    j->batch = larger(1, lesser(BATCH_ROWS, BATCH_VALUES / larger(1, s->outcome.count)));
    DM_TRY(dm_alloc(j->outgoing, j->batch * parcel_bytes(j), "joining"));
    DM_TRY(dm_alloc(j->packed, j->batch * parcel_bytes(j), "joining"));
    DM_TRY(dm_alloc(j->offset, ranks + 1, "joining"));
    DM_TRY(dm_alloc(j->outcomes, j->batch * s->outcome.count, "outcomes"));
    /* Ids are hashed, so owners have nearly equal shares: ten standard deviations are room enough. */
    const double share = (double)dm_experiment_facts_of(j->experiment)->customers / (double)ranks;
    DM_TRY(make_room(j, (int64_t)(share + 10.0 * sqrt(share)) + 16));
cleanup:
    return st;
}

static demarc_status spread_experiment(join *j, const own_rows *o)
{
    demarc_status st = DEMARC_OK;
    char *received = NULL;
    int64_t count = 0;
    const int64_t n = o->range.end - o->range.begin, rounds = rounds_of(j, n);
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t begin = lesser(n, round * j->batch), end = lesser(n, begin + j->batch);
        for (int64_t i = begin; i < end; i++) {
            const parcel p = {.at = o->range.begin + i,
                              .row = {.margin = o->rows.margin[i],
                                      .propensity = o->rows.propensity[i],
                                      .y = (double)NAN,
                                      .x = (double)NAN,
                                      .stratum = o->rows.stratum[i],
                                      .arm = o->rows.arm[i]}};
            (void)put_parcel(j, i - begin, p, &o->ids, i);
        }
        DM_TRY(send_parcels(j, end - begin, &received, &count));
        DM_TRY_ALL(j->comm, add_members(j, received, count));
        dm_free(received);
        received = NULL;
    }
    DM_TRY_ALL(j->comm, build_table(j));
    DM_TRY(check_faults(j, true));
cleanup:
    dm_free(received);
    return st;
}

/* One batch of the results as parcels. Local. */
static demarc_status pack_results(join *j, int64_t begin, int64_t end, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    const int64_t columns = dm_customers_schema(j->results)->outcome.count;
    dm_ids ids = {0};
    *count = 0;
    if (begin >= end) return DEMARC_OK;
    DM_TRY(dm_customers_ids(j->results, begin, end, &ids));
    DM_TRY(dm_customers_outcomes(j->results, begin, end, j->outcomes));
    for (int64_t i = 0; i < end - begin; i++) {
        const double *values = j->outcomes + i * columns;
        const parcel p = {.at = begin + i,
                          .row = {.y = values[j->outcome], .x = j->pre >= 0 ? values[j->pre] : (double)NAN}};
        if (put_parcel(j, *count, p, &ids, i)) {
            ++*count;
        } else {
            note_fault(j, p.at, FAULT_UNKNOWN, -1);
        }
    }
cleanup:
    dm_ids_clear(&ids);
    return st;
}

static demarc_status spread_results(join *j)
{
    demarc_status st = DEMARC_OK, packed = DEMARC_OK;
    char *received = NULL;
    int64_t outgoing = 0, count = 0;
    const dm_row_range range =
        dm_row_range_of(dm_customers_schema(j->results)->n, dm_comm_rank(j->comm), dm_comm_size(j->comm));
    const int64_t rounds = rounds_of(j, range.end - range.begin);
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t begin = lesser(range.end, range.begin + round * j->batch);
        /* Who cannot go on goes along empty-handed, so that in the end the lowest row at fault is told. */
        outgoing = 0;
        if (packed == DEMARC_OK) packed = pack_results(j, begin, lesser(range.end, begin + j->batch), &outgoing);
        DM_TRY(send_parcels(j, packed == DEMARC_OK ? outgoing : 0, &received, &count));
        meet_results(j, received, count);
        dm_free(received);
        received = NULL;
    }
    DM_TRY_ALL(j->comm, packed);
    DM_TRY(check_faults(j, false));
cleanup:
    dm_free(received);
    return st;
}

demarc_status dm_join_results(dm_comm *comm, dm_experiment *experiment, dm_customers *results, int32_t outcome,
                              int32_t pre, dm_joined_row **row, int64_t *count)
{
    demarc_status st = DEMARC_OK;
    own_rows own = {.longest = 1};
    join j = {.comm = comm,
              .experiment = experiment,
              .results = results,
              .outcome = outcome,
              .pre = pre,
              .worst = {INT64_MAX, -1}};
    *row = NULL;
    own.range = dm_row_range_of(dm_experiment_facts_of(experiment)->customers, dm_comm_rank(comm), dm_comm_size(comm));
    DM_TRY_ALL(comm, own_read(&j, &own));
    dm_comm_max_i64(comm, &own.longest, 1);
    j.kind = own.ids.kind;
    j.slot = (own.longest + 7) / 8 * 8;
    DM_TRY_ALL(comm, start(&j));
    const int32_t used[] = {outcome, pre};
    DM_TRY_ALL(comm, dm_customers_use_outcomes(results, pre >= 0 ? 2 : 1, used));
    DM_TRY(spread_experiment(&j, &own));
    own_clear(&own);
    DM_TRY(spread_results(&j));
    DM_TRY_ALL(comm, dm_alloc(*row, j.members, "joined customers"));
    for (int64_t m = 0; m < j.members; m++) (*row)[m] = j.member[m].row;
    *count = j.members;
cleanup:
    own_clear(&own);
    dm_free(j.outgoing);
    dm_free(j.packed);
    dm_free(j.offset);
    dm_free(j.outcomes);
    dm_free(j.member);
    dm_free(j.id);
    dm_free(j.table);
    return st;
}
