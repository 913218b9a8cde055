/* Foreign strings made safe to print, sizes in words, lists of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *escaped(const char *src)
{
    static char buf[256];
    dm_text_escape(buf, sizeof buf, src);
    return buf;
}

/* UTF-8 of a code point by the table of RFC 3629, also for those that it forbids; length 1 to 4. */
static int encode(uint32_t c, int length, unsigned char out[5])
{
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (unsigned char)(lead[length] | c);
    out[length] = 0;
    return length;
}

/* What dm_text_escape must give for bytes none of which can be kept. */
static void spelled(const unsigned char *s, char *out)
{
    for (; *s != 0; s++) out += sprintf(out, "\\x%02x", *s);
}

static void plain_text_is_kept(void **state)
{
    (void)state;
    assert_string_equal(escaped(""), "");
    assert_string_equal(escaped("a b~!\"\\%s"), "a b~!\"\\%s");
    assert_string_equal(escaped("d\xc3\xa9penses \xe2\x82\xac \xf0\x9f\x98\x80"),
                        "d\xc3\xa9penses \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void control_characters_are_spelled(void **state)
{
    (void)state;
    assert_string_equal(escaped("a\nb\r\tc\x1b[31m"), "a\\x0ab\\x0d\\x09c\\x1b[31m");
    assert_string_equal(escaped("\x7f"), "\\x7f");
    assert_string_equal(escaped("\xc2\x80\xc2\x9f\xc2\xa0"), "\\xc2\\x80\\xc2\\x9f\xc2\xa0"); /* C1; then a space */
    for (int c = 1; c < 0x20; c++) {
        const char s[2] = {(char)c, 0};
        char want[8];
        snprintf(want, sizeof want, "\\x%02x", (unsigned)c);
        assert_string_equal(escaped(s), want);
    }
}

/* Controls of bidirectional text: a name that holds one would turn round what is printed after it. */
static bool turns_text(uint32_t c)
{
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void direction_is_spelled(void **state)
{
    (void)state;
    assert_string_equal(escaped("gpj\xe2\x80\xaetxt.exe"), "gpj\\xe2\\x80\\xaetxt.exe");
    assert_string_equal(escaped("\xd8\x9c\xd8\x9d"), "\\xd8\\x9c\xd8\x9d");
    assert_string_equal(escaped("a\xe2\x80\x8d\xe2\x80\x8e"), "a\xe2\x80\x8d\\xe2\\x80\\x8e"); /* a joiner is kept */
    assert_string_equal(escaped("\xe2\x81"), "\\xe2\\x81");
}

/* Each code point in its shortest form is kept but for the controls above; surrogates are not characters. */
static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0xa0; c <= 0x10ffff; c++) {
        unsigned char s[5];
        char want[32];
        encode(c, c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, s);
        if ((c >= 0xd800 && c <= 0xdfff) || turns_text(c)) {
            spelled(s, want);
        } else {
            memcpy(want, s, sizeof s);
        }
        if (strcmp(escaped((const char *)s), want) != 0) {
            fail_msg("U+%04X becomes '%s', expected '%s'", c, escaped((const char *)s), want);
        }
    }
}

/* Forms longer than needed (RFC 3629, section 3: they must be refused, they hide control characters and slashes). */
static void overlong_forms_are_spelled(void **state)
{
    (void)state;
    for (int length = 2; length <= 4; length++) {
        const uint32_t end = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
        for (uint32_t c = 0; c < end; c++) {
            unsigned char s[5];
            char want[32];
            encode(c, length, s);
            spelled(s, want);
            if (strcmp(escaped((const char *)s), want) != 0) {
                fail_msg("U+%04X in %d bytes becomes '%s', expected '%s'", c, length, escaped((const char *)s), want);
            }
        }
    }
}

static void beyond_the_last_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0x110000; c < 0x200000; c += 0x3f) {
        unsigned char s[5];
        char want[32];
        encode(c, 4, s);
        spelled(s, want);
        assert_string_equal(escaped((const char *)s), want);
    }
    assert_string_equal(escaped("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");              /* U+10FFFF */
    assert_string_equal(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");          /* U+110000 */
    assert_string_equal(escaped("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80"); /* five bytes */
    assert_string_equal(escaped("\xfe\xff"), "\\xfe\\xff");
}

static void broken_sequences_are_spelled(void **state)
{
    (void)state;
    assert_string_equal(escaped("\x80"), "\\x80");
    assert_string_equal(escaped("caf\xe9"), "caf\\xe9"); /* Latin-1 */
    assert_string_equal(escaped("\xc3"), "\\xc3");
    assert_string_equal(escaped("\xe2\x82"), "\\xe2\\x82");
    assert_string_equal(escaped("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");
    assert_string_equal(escaped("\xe2\x82z"), "\\xe2\\x82z"); /* what follows is not swallowed */
    assert_string_equal(escaped("\xf0\x9f\xc3\xa9"), "\\xf0\\x9f\xc3\xa9");
    assert_string_equal(escaped("\xc3\xa9\xa9"), "\xc3\xa9\\xa9");
    assert_string_equal(escaped("\xe2\n\x82"), "\\xe2\\x0a\\x82");
}

/* Random bytes: the result is printable and valid, and escaping it again changes nothing. */
static void escaping_twice_changes_nothing(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int t = 0; t < 20000; t++) {
        char src[12], once[64], twice[64];
        for (int i = 0; i < 11; i++) {
            random = random * 1664525 + 1013904223;
            const unsigned v = random >> 24;
            src[i] = (char)(v == 0 ? 0xe0 : v);
        }
        src[11] = 0;
        dm_text_escape(once, sizeof once, src);
        dm_text_escape(twice, sizeof twice, once);
        assert_string_equal(twice, once);
        for (const char *p = once; *p != 0; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

/* Cut to fit: always terminated, never within a character or an escape, nothing written behind the end. */
static void cut_to_fit(void **state)
{
    (void)state;
    const char *const src = "ab\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    const char *const whole = "ab\\x0a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    const size_t stop[] = {0, 1, 2, 6, 8, 11, 15, 16}; /* where `whole` may be cut */
    for (size_t size = 1; size <= 20; size++) {
        char buf[24];
        memset(buf, '#', sizeof buf);
        dm_text_escape(buf, size, src);
        size_t want = 0;
        for (size_t i = 0; i < sizeof stop / sizeof *stop; i++) {
            if (stop[i] < size) want = stop[i];
        }
        assert_int_equal(strlen(buf), want);
        assert_memory_equal(buf, whole, want);
        for (size_t i = size; i < sizeof buf; i++) assert_true(buf[i] == '#');
    }
}

/* As much of both ends as fits, whole characters and escapes only. */
static void cut_in_the_middle(void **state)
{
    (void)state;
    char buf[64];
    dm_text_abbreviate(buf, 13, "abcdef\nz901"); /* 13 bytes with its end */
    assert_string_equal(buf, "abcde...z901");
    dm_text_abbreviate(buf, 14, "abcdef\n901");
    assert_string_equal(buf, "abcdef\\x0a901");
    const char *const piece[] = {"z", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\n"};
    for (size_t p = 0; p < sizeof piece / sizeof *piece; p++) {
        char src[400] = "", whole[1700];
        for (int i = 0; i < 60; i++) strcat(src, piece[p]);
        dm_text_escape(whole, sizeof whole, src);
        const size_t unit = strlen(whole) / 60;
        for (size_t size = 8; size < sizeof buf; size++) {
            memset(buf, '#', sizeof buf);
            dm_text_abbreviate(buf, size, src);
            const size_t length = strlen(buf);
            assert_true(length < size);
            for (size_t i = size; i < sizeof buf; i++) assert_true(buf[i] == '#');
            if (length == strlen(whole)) continue; /* it fits */
            assert_true(length + 2 * unit + 1 >= size);
            const char *dots = strstr(buf, "...");
            assert_non_null(dots);
            assert_int_equal((size_t)(dots - buf) % unit, 0);
            assert_int_equal((length - 3) % unit, 0);
        }
    }
}

static void long_error_lines_keep_what_to_do(void **state)
{
    (void)state;
    static char path[200001];
    for (int fill = 0; fill < 2; fill++) {
        memset(path, fill == 0 ? 'x' : '\n', sizeof path - 1);
        (void)dm_fail(DEMARC_ERR_DATA, "no such file: %s: check the path", path);
        assert_true(strlen(dm_error_line()) > 900 && strlen(dm_error_line()) < 1024);
        assert_int_equal(strncmp(dm_error_line(), "no such file: ", 14), 0);
        assert_non_null(strstr(dm_error_line(), fill == 0 ? "x...x" : "\\x0a...\\x0a"));
        const char *const end = ": check the path";
        assert_string_equal(dm_error_line() + strlen(dm_error_line()) - strlen(end), end);
        (void)dm_fail_errno(2, "cannot open: %s: check the path", path);
        const char *const reason = ": check the path: No such file or directory";
        assert_true(strlen(dm_error_line()) < 1024);
        assert_string_equal(dm_error_line() + strlen(dm_error_line()) - strlen(reason), reason);
    }
}

static void error_lines_are_safe(void **state)
{
    (void)state;
    assert_int_equal(dm_fail(DEMARC_ERR_DATA, "bad %s: row %d", "na\nme \xc0\xaf \xed\xa0\x80", 7), DEMARC_ERR_DATA);
    assert_string_equal(dm_error_line(), "bad na\\x0ame \\xc0\\xaf \\xed\\xa0\\x80: row 7");
    assert_string_equal(demarc_error(), dm_error_line());
    dm_error_set("from a peer\x1b");
    assert_string_equal(dm_error_line(), "from a peer\\x1b");
    char big[5000];
    memset(big, '\n', sizeof big - 1);
    big[sizeof big - 1] = 0;
    assert_int_equal(dm_fail(DEMARC_ERR_USAGE, "%s", big), DEMARC_ERR_USAGE);
    assert_int_equal((strlen(dm_error_line()) - 3) % 4, 0); /* whole escapes and the dots */
    assert_true(strlen(dm_error_line()) > 500);
}

/* ------------------------------------------------------------------------------------------------ sizes */

static void sizes_in_words(void **state)
{
    (void)state;
    static const struct {
        double bytes;
        const char *text;
    } known[] = {{0, "0 B"},         {1, "1 B"},         {999, "999 B"},     {1000, "1.0 kB"},   {1049, "1.0 kB"},
                 {1051, "1.1 kB"},   {99940, "99.9 kB"}, {99951, "100 kB"},  {100000, "100 kB"}, {999499, "999 kB"},
                 {999500, "1.0 MB"}, {1280e6, "1.3 GB"}, {262144, "262 kB"}, {1.5e12, "1.5 TB"}, {2e15, "2.0 PB"},
                 {9.2e18, "9.2 EB"}, {5e21, "5000 EB"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char buf[32];
        assert_ptr_equal(dm_text_bytes(buf, known[i].bytes), buf);
        assert_string_equal(buf, known[i].text);
    }
}

/* ------------------------------------------------------------------------------------------------ lists */

static void check_split(const char *list, int count, const char *const *want)
{
    dm_strings s;
    assert_int_equal(dm_strings_split(&s, list, "--names"), DEMARC_OK);
    assert_int_equal(s.count, count);
    for (int i = 0; i < count; i++) assert_string_equal(s.item[i], want[i]);
    dm_strings_clear(&s);
    assert_int_equal(s.count, 0);
    assert_null(s.item);
}

#define assert_split(list, count, ...) check_split((list), (count), (const char *const[]){__VA_ARGS__})

static void split(void **state)
{
    (void)state;
    check_split(NULL, 0, NULL);
    check_split("", 0, NULL);
    assert_split("a", 1, "a");
    assert_split("a,b,c", 3, "a", "b", "c");
    assert_split(" a , b", 2, " a ", " b");
    assert_split("caf\xc3\xa9,caf\xe9,x=1", 3, "caf\xc3\xa9", "caf\xe9", "x=1");
}

static void doubled_commas(void **state)
{
    (void)state;
    assert_split("a,,b", 1, "a,b");
    assert_split(",,", 1, ",");
    assert_split(",,a", 1, ",a");
    assert_split("a,,", 1, "a,");
    assert_split("a,,b,c,,,d", 3, "a,b", "c,", "d"); /* read from the left: the first pair is the name's */
    assert_split(",,,,", 1, ",,");
    assert_split("income,, net,x", 2, "income, net", "x");
}

static void refused_lists(void **state)
{
    (void)state;
    static const char *const bad[] = {",", "a,", ",a", "a,b,a", "a,,,", "a,,b,a,,b", "x,y,y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_strings s;
        dm_error_set("");
        assert_int_equal(dm_strings_split(&s, bad[i], "--names"), DEMARC_ERR_USAGE);
        assert_non_null(strstr(dm_error_line(), "--names"));
        assert_int_equal(s.count, 0);
        assert_null(s.item);
    }
}

static void lists_grow_and_find(void **state)
{
    (void)state;
    dm_strings s = {0};
    assert_int_equal(dm_strings_find(&s, "a"), -1);
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(dm_strings_add(&s, name), DEMARC_OK);
    }
    name[0] = 0; /* the list has copies */
    assert_int_equal(s.count, 1000);
    assert_int_equal(dm_strings_find(&s, "f0"), 0);
    assert_int_equal(dm_strings_find(&s, "f999"), 999);
    assert_int_equal(dm_strings_find(&s, "f1000"), -1);
    assert_int_equal(dm_strings_find(&s, "F1"), -1);
    assert_int_equal(dm_strings_find(&s, ""), -1);
    dm_strings_clear(&s);
    dm_strings_clear(&s);
}

static void utf8_by_length(void **state)
{
    (void)state;
    unsigned char c[5];
    assert_true(dm_text_utf8("", 0));
    assert_true(dm_text_utf8("a\n\x7f", 3));
    assert_false(dm_text_utf8("a\0b", 3));
    for (int length = 1; length <= 4; length++) {
        const uint32_t low[] = {0, 1, 0x80, 0x800, 0x10000}, high[] = {0, 0x7f, 0x7ff, 0xffff, 0x10ffff};
        for (int end = 0; end < 2; end++) {
            const int bytes = encode(end == 0 ? low[length] : high[length], length, c);
            assert_true(dm_text_utf8((char *)c, (size_t)bytes));
            /* cut short, although what follows would complete it */
            if (bytes > 1) assert_false(dm_text_utf8((char *)c, (size_t)bytes - 1));
        }
        if (length > 1)
            assert_false(dm_text_utf8((char *)c, (size_t)encode(low[length] - 1, length, c))); /* overlong */
    }
    assert_false(dm_text_utf8((char *)c, (size_t)encode(0xd800, 3, c)));
    assert_false(dm_text_utf8((char *)c, (size_t)encode(0x110000, 4, c)));
    assert_true(dm_text_plain("caf\xc3\xa9"));
    assert_false(dm_text_plain("a\nb"));
    assert_false(dm_text_plain("a\xc2\x9f"));
    assert_true(dm_text_plain("a\xc2\xa0"));
    assert_false(dm_text_plain("a\xe2\x81\xa9"));
    assert_false(dm_text_plain("caf\xc3"));
}

static void lists_in_order(void **state)
{
    (void)state;
    dm_strings s = {(char *[]){"b", "a", "b", "", "\xff", "a"}, 6};
    const int32_t want[6] = {3, 1, 5, 0, 2, 4};
    int32_t order[6];
    dm_strings_order(&s, order);
    assert_memory_equal(order, want, sizeof want);
    dm_strings_order(&(dm_strings){0}, order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_kept),
        cmocka_unit_test(control_characters_are_spelled),
        cmocka_unit_test(direction_is_spelled),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(overlong_forms_are_spelled),
        cmocka_unit_test(beyond_the_last_code_point),
        cmocka_unit_test(broken_sequences_are_spelled),
        cmocka_unit_test(escaping_twice_changes_nothing),
        cmocka_unit_test(cut_to_fit),
        cmocka_unit_test(cut_in_the_middle),
        cmocka_unit_test(long_error_lines_keep_what_to_do),
        cmocka_unit_test(error_lines_are_safe),
        cmocka_unit_test(sizes_in_words),
        cmocka_unit_test(split),
        cmocka_unit_test(doubled_commas),
        cmocka_unit_test(refused_lists),
        cmocka_unit_test(lists_grow_and_find),
        cmocka_unit_test(utf8_by_length),
        cmocka_unit_test(lists_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
