/* Are ids unique: sets of keys on their edges, and files whose ids take several sweeps within a small budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/customer_file.h"
#include "store/key_set.h"
#include "store/writer.h"

enum { ROWS = 300000, ONE_PARTITION = 15000 };

/* One to one on 64 bits and evenly spread. */
static uint64_t mixed(uint64_t k)
{
    k = (k ^ (k >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    k = (k ^ (k >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return k ^ (k >> 32);
}

static uint64_t *mixed_keys(int64_t count)
{
    uint64_t *key = NULL;
    assert_int_equal(dm_alloc(key, count, "keys"), DEMARC_OK);
    for (int64_t i = 0; i < count; i++) key[i] = mixed((uint64_t)i); /* mixed(0) == 0 is among them */
    return key;
}

/* Added in pieces; -1 when the set refuses a piece. */
static int distinct(const uint64_t *key, int64_t count, int64_t expected, int64_t piece, int threads)
{
    dm_key_set *set = NULL;
    int answer = 1;
    assert_int_equal(dm_key_set_create(&set, expected, threads), DEMARC_OK);
    for (int64_t at = 0; at < count && answer == 1; at += piece) {
        if (!dm_key_set_add(set, key + at, count - at < piece ? count - at : piece)) answer = -1;
    }
    if (answer == 1) answer = dm_key_set_distinct(set);
    dm_key_set_destroy(&set);
    return answer;
}

static void equal_keys_are_found(void **state)
{
    (void)state;
    uint64_t *key = mixed_keys(ROWS);
    for (int threads = 1; threads <= 3; threads += 2) {
        assert_int_equal(distinct(key, 0, 0, 1, threads), 1);
        assert_int_equal(distinct(key, 1, 1, 1, threads), 1);
        assert_int_equal(distinct(key, ROWS, ROWS, 1 << 16, threads), 1);
        assert_int_equal(distinct(key, ROWS, ROWS, 9999, threads), 1);
        static const int pair[][2] = {{0, 1}, {0, ROWS - 1}, {ROWS - 2, ROWS - 1}, {77777, 222222}};
        for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
            const uint64_t old = key[pair[i][1]];
            key[pair[i][1]] = key[pair[i][0]];
            assert_int_equal(distinct(key, ROWS, ROWS, 1 << 16, threads), 0);
            key[pair[i][1]] = old;
        }
    }
    dm_free(key);
}

static void an_emptied_set_starts_again(void **state)
{
    (void)state;
    dm_key_set *set = NULL;
    uint64_t *key = mixed_keys(ONE_PARTITION);
    assert_int_equal(dm_key_set_create(&set, ONE_PARTITION, 2), DEMARC_OK);
    for (int sweep = 0; sweep < 3; sweep++) {
        assert_true(dm_key_set_add(set, key, ONE_PARTITION));
        assert_true(dm_key_set_distinct(set));
        dm_key_set_empty(set);
    }
    dm_key_set_destroy(&set);
    dm_free(key);
}

/* Keys that are not even: the set must neither overflow nor crawl, and must not call them different. */
static void uneven_keys_are_refused(void **state)
{
    (void)state;
    uint64_t *key = mixed_keys(ROWS);
    for (int64_t i = 0; i < ROWS; i++) key[i] = 5;
    assert_int_equal(distinct(key, ROWS, ROWS, 1 << 16, 2), -1);
    for (int64_t i = 0; i < ROWS; i++) key[i] = (uint64_t)i; /* all in the first partition */
    assert_int_equal(distinct(key, ROWS, ROWS, 1 << 16, 2), -1);
    assert_int_equal(distinct(key, ONE_PARTITION, ONE_PARTITION, ONE_PARTITION, 2), 0); /* all in one slot */
    dm_free(key);
}

static void room_is_what_a_set_takes(void **state)
{
    (void)state;
    assert_true(dm_key_set_room(0, 4) >= 1);
    for (int64_t bytes = 1 << 20; bytes < INT64_C(1) << 40; bytes *= 3) {
        const int64_t room = dm_key_set_room(bytes, 2);
        assert_true(room < bytes / 8 && (bytes < 4 << 20 || room > bytes / 10));
    }
}

/* A customer file of ROWS rows with these ids. */
static void write_file(dm_comm *comm, dm_type type, int64_t size, const void *ids)
{
    dm_writer *w = NULL;
    int x = 0, id = 0;
    float *zeros = NULL;
    assert_int_equal(dm_alloc_zero(zeros, ROWS, "x"), DEMARC_OK);
    assert_int_equal(dm_writer_create(&w, comm, DEMARC_IO_MPIO, "ids.h5"), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/features", DM_TYPE_F32, ROWS, 1, 0, &x), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/id", type, ROWS, 0, size, &id), DEMARC_OK);
    assert_int_equal(dm_writer_rows(w, x, 0, ROWS, zeros), DEMARC_OK);
    assert_int_equal(dm_writer_rows(w, id, 0, ROWS, ids), DEMARC_OK);
    assert_int_equal(dm_writer_close(&w), DEMARC_OK);
    dm_free(zeros);
}

/* The same answer for every budget (1 MiB: eight sweeps) and any threads. `line` NULL = unique. */
static void check_file(dm_comm *comm, const char *line)
{
    static const int64_t budget[] = {0, INT64_C(3) << 20, INT64_C(64) << 20};
    const demarc_paths paths = {0};
    for (size_t i = 0; i < sizeof budget / sizeof *budget; i++) {
        for (int threads = 1; threads <= 3; threads += 2) {
            dm_customers *c = NULL;
            assert_int_equal(dm_customers_open(&c, comm, "ids.h5", &paths), DEMARC_OK);
            const demarc_status st = dm_customers_check_ids(c, comm, threads, budget[i]);
            assert_int_equal(st, line == NULL ? DEMARC_OK : DEMARC_ERR_DATA);
            if (line != NULL) assert_string_equal(dm_error_line(), line);
            dm_customers_close(&c);
        }
    }
}

static void files_are_judged(void **state)
{
    (void)state;
    dm_comm *comm = NULL;
    char folder[] = "/tmp/demarc-test-ids-XXXXXX", *home = getcwd(NULL, 0);
    assert_true(home != NULL && mkdtemp(folder) != NULL && chdir(folder) == 0);
    assert_int_equal(dm_comm_create(&comm), DEMARC_OK);
    uint64_t *id = mixed_keys(ROWS);
    write_file(comm, DM_TYPE_I64, 0, id);
    check_file(comm, NULL);
    id[ROWS - 1] = id[250000]; /* two pairs: the one whose second row comes first is named */
    id[200000] = id[70000] = id[1];
    write_file(comm, DM_TYPE_U64, 0, id);
    char line[256];
    snprintf(line, sizeof line,
             "duplicate id '%llu': ids.h5, /id, rows 1 and 70000: give every customer an id of its own",
             (unsigned long long)id[1]);
    check_file(comm, line);
    for (int i = 0; i < ROWS; i++) id[i] = 7;
    write_file(comm, DM_TYPE_I64, 0, id);
    check_file(comm, "duplicate id '7': ids.h5, /id, rows 0 and 1: give every customer an id of its own");
    dm_free(id);
    char(*text)[8] = calloc(ROWS, sizeof *text);
    assert_non_null(text);
    for (int i = 0; i < ROWS; i++) {
        for (int at = 0, v = i; at < 6; at++, v /= 10) text[i][at] = (char)('0' + v % 10);
    }
    write_file(comm, DM_TYPE_STRING, 8, text);
    check_file(comm, NULL);
    memcpy(text[ROWS - 1], text[12345], sizeof *text);
    write_file(comm, DM_TYPE_STRING, 8, text);
    check_file(comm, "duplicate id '543210': ids.h5, /id, rows 12345 and 299999: give every customer an id of its own");
    free(text);
    dm_comm_destroy(&comm);
    assert_true(unlink("ids.h5") == 0 && chdir(home) == 0 && rmdir(folder) == 0);
    free(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_are_found),    cmocka_unit_test(an_emptied_set_starts_again),
        cmocka_unit_test(uneven_keys_are_refused), cmocka_unit_test(room_is_what_a_set_takes),
        cmocka_unit_test(files_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
