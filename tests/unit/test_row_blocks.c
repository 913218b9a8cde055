/* Which rank holds which rows: whole blocks, all of them, none twice, evenly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>

#include "base/row_blocks.h"

static const int64_t rows[] = {0,
                               1,
                               2,
                               DM_BLOCK_ROWS - 1,
                               DM_BLOCK_ROWS,
                               DM_BLOCK_ROWS + 1,
                               7 * DM_BLOCK_ROWS - 1,
                               7 * DM_BLOCK_ROWS,
                               7 * DM_BLOCK_ROWS + 1,
                               100000,
                               10000000,
                               INT64_C(2147483647),
                               INT64_C(2147483648),
                               INT64_C(4294967297),
                               INT64_C(1000000000000),
                               INT64_C(1000000000000) + 1,
                               INT64_C(1) << 60};
static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 64, 1000, 4097, 100003};
enum { ROWS = sizeof rows / sizeof *rows, SIZES = sizeof sizes / sizeof *sizes };

static void ranges_cover_all_rows_once(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        for (int s = 0; s < SIZES; s++) {
            int64_t at = 0;
            for (int rank = 0; rank < sizes[s]; rank++) {
                const dm_row_range r = dm_row_range_of(rows[i], rank, sizes[s]);
                assert_true(r.begin == at); /* disjoint, in order, without gaps */
                assert_true(r.end >= r.begin);
                assert_true(r.begin % DM_BLOCK_ROWS == 0 || r.begin == rows[i]);
                assert_true(r.end % DM_BLOCK_ROWS == 0 || r.end == rows[i]);
                at = r.end;
            }
            assert_true(at == rows[i]);
        }
    }
}

/* No rank holds more than one block more than another: 1 block for at most `blocks` ranks, the rest empty. */
static void ranges_are_even(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        for (int s = 0; s < SIZES; s++) {
            const int64_t least = dm_block_count(rows[i]) / sizes[s];
            int64_t full = 0;
            for (int rank = 0; rank < sizes[s]; rank++) {
                const dm_row_range r = dm_row_range_of(rows[i], rank, sizes[s]);
                const int64_t blocks = dm_block_count(r.end) - dm_block_count(r.begin);
                assert_true(blocks == least || blocks == least + 1);
                full += blocks;
            }
            assert_true(full == dm_block_count(rows[i]));
        }
    }
}

static void block_counts(void **state)
{
    (void)state;
    assert_true(dm_block_count(0) == 0);
    assert_true(dm_block_count(1) == 1);
    assert_true(dm_block_count(DM_BLOCK_ROWS) == 1);
    assert_true(dm_block_count(DM_BLOCK_ROWS + 1) == 2);
    assert_true(dm_block_count(INT64_C(1000000000000)) == INT64_C(244140625));
    assert_true(dm_block_count(INT64_C(1000000000001)) == INT64_C(244140626));
}

/* The largest number of ranks MPI can have, at its ends. */
static void more_ranks_than_blocks(void **state)
{
    (void)state;
    const int64_t n = 3 * DM_BLOCK_ROWS + 5;
    assert_true(dm_row_range_of(n, 0, INT_MAX).begin == 0);
    assert_true(dm_row_range_of(n, INT_MAX - 1, INT_MAX).end == n);
    assert_true(dm_row_range_of(INT64_C(1) << 61, INT_MAX - 1, INT_MAX).end == INT64_C(1) << 61);
    for (int rank = 0; rank < INT_MAX - 1000003; rank += 1000003) {
        const dm_row_range a = dm_row_range_of(n, rank, INT_MAX), b = dm_row_range_of(n, rank + 1, INT_MAX);
        assert_true(a.end == b.begin && a.end - a.begin <= DM_BLOCK_ROWS && a.end >= a.begin);
    }
    int holders = 0;
    for (int rank = 0; rank < 1000; rank++) {
        const dm_row_range r = dm_row_range_of(n, rank, 1000);
        holders += r.end > r.begin;
    }
    assert_int_equal(holders, 4);
}

/* Results are defined over these blocks, so their size is part of the format of the results. */
static void block_size_is_fixed(void **state)
{
    (void)state;
    assert_int_equal(DM_BLOCK_ROWS, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_cover_all_rows_once),
        cmocka_unit_test(ranges_are_even),
        cmocka_unit_test(block_counts),
        cmocka_unit_test(more_ranks_than_blocks),
        cmocka_unit_test(block_size_is_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
