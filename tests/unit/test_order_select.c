/*
 * Order statistics and cuts against qsort: ties, late rows, both zeros, all keys equal, the counts 0 and n, every kind of id,
 * several threads, with rows kept in memory and with passes only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "boundary/cuts.h"
#include "boundary/order_select.h"
#include "rows/rows_private.h"
#include "store/writer.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }

/* ------------------------------------------------------------------------------------------------ customers */

enum { D = 2, MOST_ROWS = 30000, MOST_K = 5, GROUPS = 3, TEXT = 21 };

static dm_comm *comm;
static dm_log quiet = {.verbosity = DEMARC_QUIET};
static char path[64];

static float shard[MOST_ROWS * D];
static int64_t number_id[MOST_ROWS];
static char text_id[MOST_ROWS][TEXT];
static struct dm_rows rows;
static dm_customers *customers;
static dm_model model;
static double centroid[MOST_K * D], offset[MOST_K];

static int create(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "test_order_select_%d.h5", (int)getpid());
    return dm_comm_create(&comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    unlink(path);
    dm_comm_destroy(&comm);
    return 0;
}

/* Distinct ids in no order: a permutation of the rows, spread over the range of the kind. Texts of many lengths. */
static void draw_ids(int64_t n, dm_id_kind kind)
{
    static int64_t place[MOST_ROWS];
    for (int64_t i = 0; i < n; i++) place[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)(random64() % (uint64_t)(i + 1)), t = place[i];
        place[i] = place[j];
        place[j] = t;
    }
    for (int64_t i = 0; i < n; i++) {
        number_id[i] = (int64_t)((uint64_t)place[i] * (UINT64_MAX / (uint64_t)n)) - (kind == DM_ID_I64 ? 77 : 0);
        memset(text_id[i], 0, TEXT);
        snprintf(text_id[i], TEXT, place[i] % 3 == 0 ? "c%lld" : "customer-%08lld", (long long)place[i]);
        if (place[i] % 7 == 0) text_id[i][0] = (char)0xc3; /* bytes above 127 come last */
    }
}

static void write_file(int64_t n, dm_id_kind kind)
{
    dm_writer *w = NULL;
    int features = 0, id = 0;
    static const char *variable[MOST_ROWS];
    const dm_type type = kind == DM_ID_I64 ? DM_TYPE_I64 : kind == DM_ID_U64 ? DM_TYPE_U64 : DM_TYPE_STRING;
    assert_int_equal(dm_writer_create(&w, comm, DEMARC_IO_FUNNEL, path), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/features", DM_TYPE_F32, n, D, 0, &features), DEMARC_OK);
    if (kind == DM_ID_VARIABLE) {
        for (int64_t i = 0; i < n; i++) variable[i] = text_id[i];
        assert_int_equal(dm_writer_strings(w, "/id", n, variable), DEMARC_OK);
    } else if (kind != DM_ID_NONE) {
        assert_int_equal(dm_writer_rows_dataset(w, "/id", type, n, 0, kind == DM_ID_FIXED ? TEXT : 0, &id), DEMARC_OK);
    }
    assert_int_equal(dm_writer_rows(w, features, 0, n, shard), DEMARC_OK);
    if (kind != DM_ID_VARIABLE && kind != DM_ID_NONE) {
        const void *ids = kind == DM_ID_FIXED ? (const void *)text_id : (const void *)number_id;
        assert_int_equal(dm_writer_rows(w, id, 0, n, ids), DEMARC_OK);
    }
    assert_int_equal(dm_writer_close(&w), DEMARC_OK);
}

static dm_frozen open_customers(int64_t n, int32_t k, dm_id_kind kind, int threads, int64_t memory_limit)
{
    const demarc_paths paths = {0};
    draw_ids(n, kind);
    write_file(n, kind);
    assert_int_equal(dm_customers_open(&customers, comm, path, &paths), DEMARC_OK);
    assert_int_equal(dm_customers_schema(customers)->id, kind);
    rows = (struct dm_rows){.o = {.comm = comm, .log = &quiet, .threads = threads},
                            .n = n,
                            .range = {0, n},
                            .d = D,
                            .stored = D,
                            .have_scaled = true,
                            .shard = shard};
    model = (dm_model){.k = k, .d = D, .transform = {.d = D, .unit = 1.0}, .centroids = centroid, .offsets = offset};
    return (dm_frozen){.comm = comm,
                       .log = &quiet,
                       .kernel = dmk_variant(dmk_variant_find("auto")),
                       .threads = threads,
                       .memory_limit = memory_limit,
                       .rows = &rows,
                       .customers = customers,
                       .model = &model};
}

/* ------------------------------------------------------------------------------------------------ the oracle */

typedef struct entry {
    double key;
    bool late;
    int64_t row;
} entry;

static dm_id_kind sorted_kind;

static int by_id(int64_t p, int64_t q)
{
    switch (sorted_kind) {
    case DM_ID_NONE:
        return p < q ? -1 : p > q;
    case DM_ID_I64:
        return number_id[p] < number_id[q] ? -1 : number_id[p] > number_id[q];
    case DM_ID_U64:
        return (uint64_t)number_id[p] < (uint64_t)number_id[q] ? -1 : (uint64_t)number_id[p] > (uint64_t)number_id[q];
    default:
        return strcmp(text_id[p], text_id[q]);
    }
}

static int by_order(const void *a, const void *b)
{
    const entry *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    if (p->late != q->late) return p->late ? 1 : -1;
    return by_id(p->row, q->row);
}

static entry sorted[GROUPS][MOST_ROWS];
static int64_t members[GROUPS];
static double key_of[GROUPS][MOST_ROWS];
static bool late_of[GROUPS][MOST_ROWS], absent[GROUPS][MOST_ROWS];

static int32_t keys_of(void *context, const dm_frozen_block *b, int64_t r, dm_order_key *out)
{
    (void)context;
    int32_t count = 0;
    const int64_t row = b->begin + r;
    for (int32_t g = 0; g < GROUPS; g++) {
        if (!absent[g][row]) out[count++] = (dm_order_key){g, late_of[g][row], key_of[g][row]};
    }
    return count;
}

static void sort_groups(int64_t n, dm_id_kind kind)
{
    sorted_kind = kind;
    for (int32_t g = 0; g < GROUPS; g++) {
        members[g] = 0;
        for (int64_t i = 0; i < n; i++) {
            if (!absent[g][i]) sorted[g][members[g]++] = (entry){key_of[g][i], late_of[g][i], i};
        }
        qsort(sorted[g], (size_t)members[g], sizeof(entry), by_order);
    }
}

static void check_query(const dm_order *o, int32_t q, const dm_order_query *query)
{
    const entry *e = sorted[query->group];
    const int64_t n = members[query->group], c = query->count;
    assert_true(c > 0 ? query->last == e[c - 1].key : query->last == -(double)INFINITY);
    assert_true(c < n ? query->next == e[c].key : query->next == (double)INFINITY);
    int64_t tied = 0;
    while (c > 0 && c + tied < n && e[c + tied].key == e[c - 1].key) tied++;
    assert_int_equal(query->tied, tied);
    for (int64_t i = 0; i < n; i++) {
        const dm_order_key key = {query->group, e[i].late, e[i].key};
        assert_int_equal(dm_order_among(o, q, &key, e[i].row), i < c);
    }
}

/* Queries of all groups: none, one, all but one, all, and some between, the same ones twice. */
static void check_order(int64_t n, dm_id_kind kind, int threads, int64_t memory_limit)
{
    enum { PER_GROUP = 8, QUERIES = GROUPS * PER_GROUP };
    dm_order_query query[QUERIES];
    const dm_frozen f = open_customers(n, 2, kind, threads, memory_limit);
    dm_order *o = NULL;
    sort_groups(n, kind);
    for (int32_t g = 0; g < GROUPS; g++) {
        const int64_t m = members[g];
        const int64_t count[PER_GROUP] = {m, m / 2, m > 0, below((int)m + 1), 0, m > 0 ? m - 1 : 0, m / 2, m - m / 3};
        for (int i = 0; i < PER_GROUP; i++) query[i * GROUPS + g] = (dm_order_query){.group = g, .count = count[i]};
    }
    assert_int_equal(dm_order_find(&o, &f, GROUPS, GROUPS, keys_of, NULL, QUERIES, query), DEMARC_OK);
    for (int32_t q = 0; q < QUERIES; q++) check_query(o, q, &query[q]);
    dm_order_destroy(&o);
    dm_customers_close(&customers);
}

/* How keys are drawn: 0 real numbers, 1 few values with both zeros, 2 all equal, 3 neighbours, 4 wide, denormal and negative. */
static double draw_key(int how)
{
    switch (how) {
    case 0:
        return (double)random64() * 0x1p-60 - 8.0;
    case 1: {
        const double few[] = {-1.5, -0.0, 0.0, 2.0};
        return few[below(4)];
    }
    case 2:
        return 0.25;
    case 3:
        return 1.0 + below(5) * 0x1p-52;
    default:
        return (below(2) == 0 ? -1.0 : 1.0) * ldexp(1.0 + below(100), below(2000) - 1070);
    }
}

static void draw_keys(int64_t n, int how)
{
    for (int32_t g = 0; g < GROUPS; g++) {
        for (int64_t i = 0; i < n; i++) {
            key_of[g][i] = draw_key(how);
            late_of[g][i] = how > 0 && below(3) == 0;
            absent[g][i] = g == 2 && below(2) == 0;
        }
    }
}

/* Little memory: rows never fit, digits are short and every digit is a pass. */
static const int64_t memory[] = {0, 4096};

static void order_is_that_of_a_sort(void **state)
{
    (void)state;
    random_state = 1;
    const dm_id_kind kinds[] = {DM_ID_NONE, DM_ID_I64, DM_ID_U64, DM_ID_FIXED, DM_ID_VARIABLE};
    for (int how = 0; how < 5; how++) {
        for (int kind = 0; kind < 5; kind++) {
            for (int m = 0; m < 2; m++) {
                const int64_t n = m == 0 ? 1 + below(9000) : 1 + below(600);
                draw_keys(n, how);
                check_order(n, kinds[kind], 1 + below(3), memory[m]);
            }
        }
    }
}

static void few_rows(void **state)
{
    (void)state;
    random_state = 2;
    for (int t = 0; t < 40; t++) {
        const int64_t n = 1 + below(6);
        draw_keys(n, below(5));
        check_order(n, t % 2 == 0 ? DM_ID_NONE : DM_ID_FIXED, 2, memory[t / 2 % 2]);
    }
}

/* Few ties among many rows are kept as a list, many as a bitmap; rows of several blocks. */
static void few_ties_among_many_rows(void **state)
{
    (void)state;
    random_state = 3;
    const int64_t n = MOST_ROWS;
    draw_keys(n, 0);
    for (int64_t i = 0; i < n; i++) {
        if (i % 5000 == 17) key_of[0][i] = 0.0;
        if (i % 2 == 0) key_of[1][i] = 0.0;
    }
    for (int kind = DM_ID_NONE; kind <= DM_ID_VARIABLE; kind++) {
        const dm_frozen f = open_customers(n, 2, (dm_id_kind)kind, 3, 0);
        sort_groups(n, (dm_id_kind)kind);
        dm_order_query query[4];
        for (int q = 0; q < 4; q++) {
            const int32_t g = q / 2;
            int64_t first = 0;
            while (sorted[g][first].key < 0.0) first++;
            query[q] = (dm_order_query){.group = g, .count = first + (q % 2 == 0 ? 1 : 4)};
        }
        dm_order *o = NULL;
        assert_int_equal(dm_order_find(&o, &f, GROUPS, GROUPS, keys_of, NULL, 4, query), DEMARC_OK);
        for (int32_t q = 0; q < 4; q++) check_query(o, q, &query[q]);
        dm_order_destroy(&o);
        dm_customers_close(&customers);
    }
}

static void counts_out_of_range_are_refused(void **state)
{
    (void)state;
    random_state = 4;
    draw_keys(100, 0);
    const dm_frozen f = open_customers(100, 2, DM_ID_NONE, 1, 0);
    const dm_order_query bad[] = {{.group = 0, .count = 101}, {.group = 0, .count = -1}, {.group = GROUPS, .count = 1}};
    for (int i = 0; i < 3; i++) {
        dm_order_query query = bad[i];
        dm_order *o = NULL;
        assert_int_equal(dm_order_find(&o, &f, GROUPS, GROUPS, keys_of, NULL, 1, &query), DEMARC_ERR_ARG);
        assert_null(o);
    }
    dm_customers_close(&customers);
}

/* ------------------------------------------------------------------------------------------------ cuts */

static double squared_to(int64_t row, int32_t j)
{
    double sum = 0.0;
    for (int i = 0; i < D; i++) {
        const double t = (double)shard[row * D + i] - centroid[j * D + i];
        sum += t * t;
    }
    return sum;
}

static int32_t nearest(int64_t row, int32_t k, int32_t but)
{
    int32_t best = -1;
    for (int32_t j = 0; j < k; j++) {
        if (j != but && (best < 0 || squared_to(row, j) - offset[j] < squared_to(row, best) - offset[best])) best = j;
    }
    return best;
}

typedef struct cut_check {
    const dm_cuts *cuts;
    const dm_cut *cut;
    int32_t count;
    uint8_t *inside; /* [count, n] */
    int64_t n;
} cut_check;

static void note_members(void *context, int thread, const dm_frozen_block *b)
{
    (void)thread;
    const cut_check *c = context;
    for (int32_t i = 0; i < c->count; i++) {
        if (!c->cut[i].possible) continue;
        for (int64_t r = 0; r < b->rows; r++) c->inside[i * c->n + b->begin + r] = dm_cuts_inside(c->cuts, i, b, r);
    }
}

/* Small integers, so that distances are exact and many are equal. */
static void check_cuts(int64_t n, int32_t k, dm_id_kind kind, bool lattice)
{
    enum { CUTS = 7 };
    static uint8_t inside[CUTS * MOST_ROWS];
    for (int64_t i = 0; i < n * D; i++) shard[i] = lattice ? (float)below(4) : (float)below(1 << 20) * 0x1p-18f;
    for (int32_t i = 0; i < k * D; i++) centroid[i] = lattice ? below(4) : below(16) * 0.25;
    for (int32_t j = 0; j < k; j++) offset[j] = below(2) == 0 ? 0.0 : below(3) - 1;
    dm_cut cut[CUTS] = {{.segment = 0, .shift = -0.9999},    {.segment = 0, .shift = 0.2},
                        {.segment = k - 1, .shift = -0.3},   {.segment = 0, .shift = -0.1},
                        {.segment = 1, .shift = 0.5},        {.segment = k - 1, .shift = 0.05},
                        {.segment = k - 1, .shift = 1000000}};
    const dm_frozen f = open_customers(n, k, kind, 2, 0);
    sorted_kind = kind;
    dm_cuts *cuts = NULL;
    assert_int_equal(dm_cuts_find(&cuts, &f, CUTS, cut), DEMARC_OK);
    cut_check c = {cuts, cut, CUTS, inside, n};
    assert_int_equal(dm_frozen_pass(&f, 0, note_members, &c), DEMARC_OK);
    for (int i = 0; i < CUTS; i++) {
        const int32_t j = cut[i].segment;
        entry *e = sorted[0];
        int64_t present = 0;
        for (int64_t row = 0; row < n; row++) {
            const int32_t l = nearest(row, k, j);
            const bool member = nearest(row, k, -1) == j;
            present += member;
            e[row] = (entry){squared_to(row, j) - (squared_to(row, l) - offset[l]), !member, row};
        }
        qsort(e, (size_t)n, sizeof *e, by_order);
        assert_int_equal(cut[i].present, present);
        assert_int_equal(cut[i].count, llround((1.0 + cut[i].shift) * (double)present));
        assert_int_equal(cut[i].possible, cut[i].count <= n);
        if (!cut[i].possible) continue;
        const int64_t m = cut[i].count;
        assert_true(m == 0 ? isinf(cut[i].inside) : cut[i].inside == e[m - 1].key);
        assert_true(m == n ? isinf(cut[i].outside) : cut[i].outside == e[m].key);
        if (cut[i].tied > 0) {
            assert_true(cut[i].offset == cut[i].inside && cut[i].outside == cut[i].inside);
        } else {
            assert_true(cut[i].inside < cut[i].offset && cut[i].offset < cut[i].outside);
        }
        for (int64_t at = 0; at < n; at++) assert_int_equal(inside[i * n + e[at].row], at < m);
    }
    dm_cuts_destroy(&cuts);
    dm_customers_close(&customers);
}

static void cuts_are_those_of_a_sort(void **state)
{
    (void)state;
    random_state = 5;
    for (int t = 0; t < 12; t++)
        check_cuts(1 + below(5000), 2 + below(MOST_K - 1), t % 2 == 0 ? DM_ID_I64 : DM_ID_VARIABLE, t % 3 != 0);
}

static void one_segment_has_no_boundaries(void **state)
{
    (void)state;
    const dm_frozen f = open_customers(10, 1, DM_ID_NONE, 1, 0);
    dm_cut cut = {.segment = 0, .shift = 0.1};
    dm_cuts *cuts = NULL;
    assert_int_equal(dm_cuts_find(&cuts, &f, 1, &cut), DEMARC_ERR_IMPOSSIBLE);
    dm_customers_close(&customers);
}

static void shifts_are_parsed(void **state)
{
    (void)state;
    double *shift = NULL;
    int32_t count = 0;
    assert_int_equal(dm_shifts_parse(NULL, &shift, &count), DEMARC_OK);
    assert_int_equal(count, 6);
    assert_true(shift[0] == -0.2 && shift[5] == 0.2);
    dm_free(shift);
    assert_int_equal(dm_shifts_parse("0.5,-.25,1e-1", &shift, &count), DEMARC_OK);
    assert_int_equal(count, 3);
    assert_true(shift[0] == 0.5 && shift[1] == -0.25 && shift[2] == 0.1);
    dm_free(shift);
    const char *const bad[] = {"",       ",",    "0",    "0.1,",  "-1",       "-1.5", "nan",    "inf",
                               "0x1p-3", " 0.1", "0.1 ", "1e400", "0.1,0.10", "x",    "0.1;0.2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(dm_shifts_parse(bad[i], &shift, &count), DEMARC_ERR_USAGE);
        assert_null(shift);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_a_sort),  cmocka_unit_test(few_rows),
        cmocka_unit_test(few_ties_among_many_rows), cmocka_unit_test(counts_out_of_range_are_refused),
        cmocka_unit_test(cuts_are_those_of_a_sort), cmocka_unit_test(one_segment_has_no_boundaries),
        cmocka_unit_test(shifts_are_parsed),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
