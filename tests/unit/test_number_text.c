/* exchange/number_text: what is written reads back as the same bits, and no shorter text would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/number_text.h"

static void known(void **state)
{
    (void)state;
    char buf[DM_NUMBER_TEXT];
    assert_int_equal(dm_number_text_f32(buf, 0.1f), 3);
    assert_string_equal(buf, "0.1");
    (void)dm_number_text_f64(buf, 0.1);
    assert_string_equal(buf, "0.1");
    (void)dm_number_text_f64(buf, (double)0.1f);
    assert_string_equal(buf, "0.10000000149011612");
    (void)dm_number_text_f32(buf, -0.0f);
    assert_string_equal(buf, "-0");
    (void)dm_number_text_f64(buf, -INFINITY);
    assert_string_equal(buf, "-inf");
    const size_t length = dm_number_text_f64(buf, -DBL_MAX);
    assert_int_equal(length, strlen(buf));
    assert_true(strlen(buf) < DM_NUMBER_TEXT - 1);
    (void)dm_number_text_f64(buf, -5e-324);
    assert_string_equal(buf, "-5e-324");
}

/* Fewest digits, by trying: "%.{d}g" for d = 1, 2, ... */
static int digits_needed(float v)
{
    char buf[64];
    for (int d = 1; d < 9; d++) {
        snprintf(buf, sizeof buf, "%.*g", d, (double)v);
        if (strtof(buf, NULL) == v) return d;
    }
    return 9;
}

static int digits_of(const char *s)
{
    int digits = 0, zeros = 0;
    bool begun = false;
    for (; *s != 0 && *s != 'e'; s++) {
        if (*s < '0' || *s > '9' || (*s == '0' && !begun)) continue;
        begun = true;
        digits += *s == '0' ? 0 : zeros + 1;
        zeros = *s == '0' ? zeros + 1 : 0;
    }
    return digits;
}

static void any(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        char buf[DM_NUMBER_TEXT];
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
        double d;
        float f;
        const uint32_t half = (uint32_t)(bits >> 32);
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &half, sizeof f);
        if (isfinite(d)) {
            const size_t length = dm_number_text_f64(buf, d);
            assert_int_equal(length, strlen(buf));
            const double back = strtod(buf, NULL);
            assert_memory_equal(&back, &d, sizeof d);
        }
        if (isfinite(f)) {
            (void)dm_number_text_f32(buf, f);
            const float back = strtof(buf, NULL);
            assert_memory_equal(&back, &f, sizeof f);
            /* a whole number without exponent has its own digits */
            if (strpbrk(buf, ".e") != NULL) assert_true(digits_of(buf) <= digits_needed(f));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(any)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
