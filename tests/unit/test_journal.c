/* Steps that were saved are found by their names, in their order, and saved again until they are come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "boundary/journal.h"

static dm_comm *comm;

static int start(void **state)
{
    (void)state;
    return dm_comm_create(&comm) != DEMARC_OK;
}

static int stop(void **state)
{
    (void)state;
    dm_comm_destroy(&comm);
    return 0;
}

static demarc_status pack_number(void *context, dm_packer *p)
{
    dm_pack_i64(p, *(const int64_t *)context);
    return DEMARC_OK;
}

static void note(dm_journal *j, const char *name, int64_t value)
{
    dm_packer p = {0};
    dm_pack_i64(&p, value);
    assert_int_equal(dm_journal_note(j, name, &p), DEMARC_OK);
    dm_packer_clear(&p);
}

/* A journal of what `from` has saved; the bytes stay with p. */
static dm_journal *again(dm_journal *from, dm_packer *p)
{
    dm_journal *j = NULL;
    assert_int_equal(dm_journal_pack(from, p), DEMARC_OK);
    dm_unpacker u = {.bytes = p->bytes, .left = p->count};
    assert_int_equal(dm_journal_create(&j, comm, NULL, NULL, 0), DEMARC_OK);
    assert_int_equal(dm_journal_unpack(j, &u), DEMARC_OK);
    return j;
}

static void finds(dm_journal *j, const char *name, int64_t value)
{
    dm_unpacker u;
    assert_true(dm_journal_find(j, name, &u));
    assert_int_equal(dm_unpack_i64(&u), value);
    assert_int_equal(dm_journal_read(&u), DEMARC_OK);
}

static void in_order(void **state)
{
    (void)state;
    dm_journal *j = NULL;
    dm_packer first = {0}, second = {0};
    dm_unpacker u;
    int64_t live = 5;
    assert_int_equal(dm_journal_create(&j, comm, NULL, NULL, 0), DEMARC_OK);
    note(j, "one", 1);
    assert_int_equal(dm_journal_open(j, "frame", pack_number, &live), DEMARC_OK);
    const int32_t mark = dm_journal_mark(j);
    note(j, "dropped", 2);
    dm_journal_drop(j, mark);
    note(j, "three", 3);
    live = 6; /* asked for when it is saved */
    dm_journal *k = again(j, &first);
    assert_false(dm_journal_find(k, "never", &u));
    finds(k, "one", 1);
    assert_false(dm_journal_find(k, "one", &u)); /* found once */
    assert_false(dm_journal_find(k, "dropped", &u));
    note(k, "one", 1);
    dm_journal *l = again(k, &second); /* stopped again before it came to the frame */
    finds(l, "one", 1);
    finds(l, "three", 3);
    assert_false(dm_journal_find(l, "frame", &u)); /* what stood before is forgotten */
    finds(k, "frame", 6);
    finds(k, "three", 3);
    dm_journal_destroy(&j);
    dm_journal_destroy(&k);
    dm_journal_destroy(&l);
    dm_packer_clear(&first);
    dm_packer_clear(&second);
}

static void damaged(void **state)
{
    (void)state;
    dm_journal *j = NULL;
    dm_packer p = {0};
    dm_unpacker u;
    assert_int_equal(dm_journal_create(&j, comm, NULL, NULL, 0), DEMARC_OK);
    note(j, "one", 1);
    note(j, "two", 2);
    assert_int_equal(dm_journal_pack(j, &p), DEMARC_OK);
    int64_t whole = 0; /* cut between two items it is whole, if shorter */
    for (int64_t length = 0; length <= p.count; length++) {
        u = (dm_unpacker){.bytes = p.bytes, .left = length};
        whole += dm_journal_unpack(j, &u) == DEMARC_OK;
    }
    assert_int_equal(whole, 3);
    assert_false(dm_journal_find(NULL, "one", &u));
    dm_journal_destroy(&j);
    dm_packer_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, start, stop);
}
