/* Values in a row of bytes: they come back to the bit, and a reader never goes past the end or believes a length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/packing.h"

static void come_back(void **state)
{
    (void)state;
    dm_packer p = {0};
    const double reals[3] = {-0.0, NAN, 5e-324};
    const dm_int128 wide[2] = {-((dm_int128)1 << 100) - 7, ((dm_int128)1 << 90) + 5};
    dm_exact_sum sum[4] = {0}, back[4];
    dm_exact_sum_add(&sum[0], 1e300);
    dm_exact_sum_add(&sum[0], -1e-300);
    dm_exact_sum_add(&sum[1], -0.1);
    for (int i = 0; i < 5000; i++) dm_exact_sum_add(&sum[2], 1.0 / (i + 1));
    dm_pack_i64(&p, INT64_MIN);
    dm_pack(&p, reals, sizeof reals);
    dm_pack_text(&p, "h\xc3\xa9llo");
    dm_pack_text(&p, NULL);
    dm_pack_int128(&p, wide, 2);
    dm_pack_exact(&p, sum, 4);
    dm_pack_f64(&p, 2.5);
    assert_false(p.failed);
    assert_true(p.count < 4 * (int64_t)sizeof *sum); /* zeros are left out */
    dm_unpacker u = {.bytes = p.bytes, .left = p.count};
    assert_true(dm_unpack_i64(&u) == INT64_MIN);
    double *v = dm_unpack_f64s(&u, 3);
    assert_memory_equal(v, reals, sizeof reals);
    dm_free(v);
    char *text = dm_unpack_text(&u);
    assert_string_equal(text, "h\xc3\xa9llo");
    free(text);
    text = dm_unpack_text(&u);
    assert_string_equal(text, "");
    free(text);
    dm_int128 w[2];
    dm_unpack_int128(&u, w, 2);
    assert_memory_equal(w, wide, sizeof w);
    dm_unpack_exact(&u, back, 4);
    for (int i = 0; i < 4; i++) assert_memory_equal(back[i].chunk, sum[i].chunk, sizeof sum[i].chunk);
    assert_true(dm_exact_sum_value(&back[3]) == 0.0);
    assert_true(dm_exact_sum_value(&back[1]) == -0.1);
    assert_true(dm_unpack_f64(&u) == 2.5);
    assert_int_equal(u.left, 0);
    assert_false(u.bad);
    dm_packer_clear(&p);
}

static void bounds(void **state)
{
    (void)state;
    const int64_t lengths[] = {-1, 9, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[16] = {0};
        memcpy(bytes, &lengths[i], 8);
        dm_unpacker u = {.bytes = bytes, .left = 16};
        assert_null(dm_unpack_text(&u));
        assert_true(u.bad);
        u = (dm_unpacker){.bytes = bytes, .left = 16};
        assert_null(dm_unpack_f64s(&u, lengths[i]));
        assert_true(u.bad);
        assert_true(dm_unpack_i64(&u) == 0); /* bad once, bad for good */
    }
    char nul[12] = {0};
    const int64_t four = 4;
    memcpy(nul, &four, 8);
    memcpy(nul + 8, "a\0bc", 4);
    dm_unpacker u = {.bytes = nul, .left = 12};
    assert_null(dm_unpack_text(&u)); /* a NUL inside */
    const int64_t sums[][3] = {{-1, 1, 0}, {68, 1, 0}, {0, 69, 0}, {3, -1, 0}, {0, 1, INT64_C(1) << 40}, {67, 2, 0}};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        dm_exact_sum s;
        u = (dm_unpacker){.bytes = (const char *)sums[i], .left = 24};
        dm_unpack_exact(&u, &s, 1);
        assert_true(u.bad);
    }
    const int64_t seven = 7;
    u = (dm_unpacker){.bytes = (const char *)&seven, .left = 8};
    assert_int_equal(dm_unpack_within(&u, 1, 6), 1);
    assert_true(u.bad);
    u = (dm_unpacker){.bytes = (const char *)&seven, .left = 7};
    assert_true(dm_unpack_i64(&u) == 0);
    assert_true(u.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
