/* Digests: known values of XXH3, any order of blocks and any split over ranks gives one digest, every change shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stats/digest.h"

#define BLOCKS 37
#define BLOCK_BYTES 100

static unsigned char block[BLOCKS][BLOCK_BYTES];

static int fill(void **state)
{
    (void)state;
    for (int b = 0; b < BLOCKS; b++) {
        for (int i = 0; i < BLOCK_BYTES; i++) block[b][i] = (unsigned char)(17 * b + 3 * i);
    }
    return 0;
}

static void hex_of_all(char out[33])
{
    dm_digest d = {0};
    for (int b = 0; b < BLOCKS; b++) dm_digest_add(&d, (uint64_t)b, block[b], BLOCK_BYTES);
    dm_digest_hex(&d, out);
}

/* From xxHash's specification and `xxhsum -H2`: the hash of nothing, with seed 0. */
static void known_values(void **state)
{
    (void)state;
    char hex[33];
    assert_true(dm_hash64("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    dm_hash128_hex("", 0, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    dm_digest d = {0};
    dm_digest_hex(&d, hex);
    assert_string_equal(hex, "00000000000000000000000000000000");
    dm_digest_add(&d, 0, "", 0);
    dm_digest_hex(&d, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void seed_and_bytes_count(void **state)
{
    (void)state;
    assert_true(dm_hash64("abc", 3, 0) != dm_hash64("abc", 3, 1));
    assert_true(dm_hash64("abc", 3, 0) != dm_hash64("abd", 3, 0));
    assert_true(dm_hash64("abc", 3, 0) != dm_hash64("abc", 2, 0));
    assert_true(dm_hash64("abc", 3, 7) == dm_hash64("abcX", 3, 7));
}

static void order_does_not_count(void **state)
{
    (void)state;
    char forward[33], backward[33];
    hex_of_all(forward);
    dm_digest d = {0};
    for (int b = BLOCKS - 1; b >= 0; b--) dm_digest_add(&d, (uint64_t)b, block[b], BLOCK_BYTES);
    dm_digest_hex(&d, backward);
    assert_string_equal(forward, backward);
}

static void ranks_do_not_count(void **state)
{
    (void)state;
    char whole[33], split[33];
    hex_of_all(whole);
    dm_digest part[3] = {{0}}, sum = {0};
    for (int b = 0; b < BLOCKS; b++) dm_digest_add(&part[b % 3], (uint64_t)b, block[b], BLOCK_BYTES);
    for (int r = 0; r < 3; r++) dm_digest_merge(&sum, &part[r]);
    dm_digest_hex(&sum, split);
    assert_string_equal(whole, split);
}

static void every_change_shows(void **state)
{
    (void)state;
    char before[33], after[33];
    hex_of_all(before);
    block[11][50] ^= 1;
    hex_of_all(after);
    block[11][50] ^= 1;
    assert_string_not_equal(before, after);
    /* Exchanged blocks: the same multiset of bytes, so only the key of a block tells. */
    dm_digest d = {0};
    for (int b = 0; b < BLOCKS; b++) {
        int source = b == 3 ? 4 : b == 4 ? 3 : b;
        dm_digest_add(&d, (uint64_t)b, block[source], BLOCK_BYTES);
    }
    dm_digest_hex(&d, after);
    assert_string_not_equal(before, after);
    /* A block of no bytes is not the same as no block. */
    d = (dm_digest){0};
    for (int b = 0; b < BLOCKS; b++) dm_digest_add(&d, (uint64_t)b, block[b], BLOCK_BYTES);
    dm_digest_add(&d, BLOCKS, block, 0);
    dm_digest_hex(&d, after);
    assert_string_not_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),         cmocka_unit_test(seed_and_bytes_count),
        cmocka_unit_test(order_does_not_count), cmocka_unit_test(ranks_do_not_count),
        cmocka_unit_test(every_change_shows),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
