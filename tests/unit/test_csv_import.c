/* The parser level of `import`: records and their lines, numbers, ids, UTF-8, levels, roles of columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "exchange/csv_number.h"
#include "exchange/csv_reader.h"
#include "exchange/import_columns.h"
#include "exchange/import_levels.h"

/* ------------------------------------------------------------------------------------------------ reader */

/* All records as text: "LINE:[field][field]\n"... */
typedef struct seen {
    char text[4096];
    size_t used;
    int64_t records, last_line;
    int32_t stop_after; /* records; 0 = never */
} seen;

static demarc_status note(void *user, const dm_csv_record *record)
{
    seen *s = user;
    s->records++;
    s->last_line = record->line;
    if (s->used + 512 < sizeof s->text) {
        s->used += (size_t)snprintf(s->text + s->used, 64, "%lld:", (long long)record->line);
        for (int32_t i = 0; i < record->count && s->used + 256 < sizeof s->text; i++) {
            assert_int_equal(strlen(dm_csv_field(record, i)), dm_csv_field_length(record, i));
            s->used += (size_t)snprintf(s->text + s->used, 256, "[%.200s]", dm_csv_field(record, i));
        }
        s->used += (size_t)snprintf(s->text + s->used, 2, ";");
    }
    return s->records == s->stop_after ? dm_fail(DEMARC_ERR_IMPOSSIBLE, "stop") : DEMARC_OK;
}

static demarc_status read_bytes(seen *s, const char *bytes, size_t length, char delimiter)
{
    int fd = memfd_create("csv", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    dm_csv_sink sink = {.record = note, .user = s};
    demarc_status st = dm_csv_read(fd, "in.csv", delimiter, &sink);
    close(fd);
    return st;
}

static void expect(const char *csv, char delimiter, const char *records)
{
    seen s = {0};
    demarc_status st = read_bytes(&s, csv, strlen(csv), delimiter);
    if (st != DEMARC_OK) print_message("%s\n", dm_error_line());
    assert_int_equal(st, DEMARC_OK);
    assert_string_equal(s.text, records);
}

/* `length` 0 = up to the NUL. The whole error line must be `line`. */
static void expect_error(const char *csv, size_t length, demarc_status st, const char *line)
{
    seen s = {0};
    assert_int_equal(read_bytes(&s, csv, length != 0 ? length : strlen(csv), ','), st);
    assert_string_equal(dm_error_line(), line);
}

static void reads_plain_records(void **state)
{
    (void)state;
    expect("a,b\n1,2\n3,4\n", ',', "1:[a][b];2:[1][2];3:[3][4];");
    expect("a,b\n1,2", ',', "1:[a][b];2:[1][2];");
    expect("a,b\n,\n", ',', "1:[a][b];2:[][];");
    expect("a\n1\n", ',', "1:[a];2:[1];");
    expect("a,b\n 1 ,\t2\n", ',', "1:[a][b];2:[ 1 ][\t2];");
}

static void knows_line_ends(void **state)
{
    (void)state;
    expect("a,b\r\n1,2\r\n3,4\r\n", ',', "1:[a][b];2:[1][2];3:[3][4];");
    expect("a,b\r1,2\r3,4\r", ',', "1:[a][b];2:[1][2];3:[3][4];");
    expect("a,b\n1,2\r\n3,4\r5,6\n7,8", ',', "1:[a][b];2:[1][2];3:[3][4];4:[5][6];5:[7][8];");
}

static void skips_blank_lines(void **state)
{
    (void)state;
    expect("\n\na,b\n\n1,2\n  \t\n\n3,4\n\n", ',', "3:[a][b];5:[1][2];8:[3][4];");
    expect("\r\na,b\r\n\r\n1,2\r\n\r\n\r\n3,4\r\n", ',', "2:[a][b];4:[1][2];7:[3][4];");
    /* In a file of one column a quoted nothing is a value. */
    expect("a\n\"\"\n\n1\n", ',', "1:[a];2:[];4:[1];");
}

static void reads_quoted_fields(void **state)
{
    (void)state;
    expect("a,b\n\"1,5\",\"x\"\"y\"\n", ',', "1:[a][b];2:[1,5][x\"y];");
    expect("a,b\n\"one\ntwo\r\nthree\",\"\"\nlast,1\n", ',', "1:[a][b];2:[one\ntwo\r\nthree][];5:[last][1];");
    expect("\"a\n\n1\",b\n1,2\n", ',', "1:[a\n\n1][b];4:[1][2];");
    expect("a,b\n\" 1 \",\"\"\"\"\n", ',', "1:[a][b];2:[ 1 ][\"];");
}

static void knows_delimiters(void **state)
{
    (void)state;
    expect("a;b\n1,5;2\n", ';', "1:[a][b];2:[1,5][2];");
    expect("a\tb\n1\t\"x\ty\"\n\t\n", '\t', "1:[a][b];2:[1][x\ty];3:[][];");
    seen s = {0};
    static const char bad[] = {'"', '\n', '\r', 0, (char)0xe4};
    for (size_t i = 0; i < sizeof bad; i++) {
        assert_int_equal(read_bytes(&s, "a,b\n", 4, bad[i]), DEMARC_ERR_USAGE);
        assert_non_null(strstr(dm_error_line(), "--delimiter"));
    }
}

static void skips_the_byte_order_mark(void **state)
{
    (void)state;
    expect("\xef\xbb\xbf"
           "a,b\n1,2\n",
           ',', "1:[a][b];2:[1][2];");
    expect("\xef\xbb\xbf\"a\",b\n1,2\n", ',', "1:[a][b];2:[1][2];");
}

static void refuses_what_is_no_csv(void **state)
{
    (void)state;
    static const char utf16[] = "\xff\xfe"
                                "a\0,\0";
    expect_error("", 0, DEMARC_ERR_DATA, "empty file: in.csv: a CSV file starts with a header");
    expect_error("\n\r\n\n", 0, DEMARC_ERR_DATA, "empty file: in.csv: a CSV file starts with a header");
    expect_error(utf16, sizeof utf16 - 1, DEMARC_ERR_DATA,
                 "UTF-16 text, not CSV text: in.csv: convert it with iconv -f UTF-16 -t UTF-8");
    expect_error("a,b\n1,2\n1,\0\n", 12, DEMARC_ERR_DATA,
                 "NUL byte: in.csv line 3: not a text file, or UTF-16: convert it with iconv -t UTF-8");
    expect_error("\x1f\x8b\x08", 0, DEMARC_ERR_DATA,
                 "gzip data, not CSV text: in.csv: pipe it: zcat FILE | demarc import - OUT.h5");
}

static void names_the_line_of_a_broken_record(void **state)
{
    (void)state;
    const char *ragged =
        "where the header has 2: in.csv line 4: quote fields that hold the delimiter, or check --delimiter";
    char line[256];
    snprintf(line, sizeof line, "3 fields %s", ragged);
    expect_error("a,b\n\"x\ny\",2\n1,2,3\n", 0, DEMARC_ERR_DATA, line);
    snprintf(line, sizeof line, "1 field %s", ragged);
    expect_error("a,b\r\n1,2\r\n\r\n1\r\n3,4\r\n", 0, DEMARC_ERR_DATA, line);
    const char *stray = "stray quote: in.csv line 3: put quotes around the whole field and double those inside it";
    expect_error("a,b\n1,2\n1,x\"y\n", 0, DEMARC_ERR_DATA, stray);
    expect_error("a,b\n1,2\n\"x\"y,1\n", 0, DEMARC_ERR_DATA, stray);
    expect_error("a,b\n1,\"2\n\"x,\n", 0, DEMARC_ERR_DATA, stray);
    expect_error("a,b\n1,2\n\n3,\"4\n5,6\n7,8\n", 0, DEMARC_ERR_DATA,
                 "quote not closed: in.csv, record that starts at line 4: close the quote");
}

/* Fields far larger than the blocks that are read. */
static void bounds_fields(void **state)
{
    (void)state;
    seen s = {0};
    size_t size = (3u << 20) + 64;
    char *csv = malloc(size);
    assert_non_null(csv);
    memset(csv, 'x', size);
    memcpy(csv, "a,b\n\"", 5);
    memcpy(csv + 5 + (1u << 20), "\",1\n1,2\n", 8); /* a field of 1 MiB exactly */
    assert_int_equal(read_bytes(&s, csv, 5 + (1u << 20) + 8, ','), DEMARC_OK);
    assert_int_equal(s.records, 3);
    memset(csv + 5, 'x', size - 5);
    memcpy(csv + 6 + (1u << 20), "\",1\n1,2\n", 8);
    expect_error(csv, 6 + (1u << 20) + 8, DEMARC_ERR_DATA,
                 "field longer than 1 MiB: in.csv, record that starts at line 2: look for a quote that is not closed");
    memset(csv + 5, '\n', size - 5); /* a quote that is never closed, in a file larger than what is held */
    expect_error(csv, size, DEMARC_ERR_DATA,
                 "field longer than 1 MiB: in.csv, record that starts at line 2: look for a quote that is not closed");
    free(csv);
}

static void counts_lines_across_blocks(void **state)
{
    (void)state;
    enum { ROWS = 100000 };
    static const char row[] = "1,\"two\r\nlines\",3\r\n"; /* 18 bytes: ends of blocks fall on every byte of it */
    size_t used = 7;
    char *csv = malloc(7 + ROWS * sizeof row + 16);
    assert_non_null(csv);
    memcpy(csv, "a,b,c\r\n", 7);
    for (int i = 0; i < ROWS; i++, used += sizeof row - 1) memcpy(csv + used, row, sizeof row);
    seen s = {0};
    assert_int_equal(read_bytes(&s, csv, used, ','), DEMARC_OK);
    assert_int_equal(s.records, ROWS + 1);
    assert_int_equal(s.last_line, 2 * ROWS);
    memcpy(csv + used, "1,2\n", 5);
    s = (seen){0};
    assert_int_equal(read_bytes(&s, csv, used + 4, ','), DEMARC_ERR_DATA);
    assert_non_null(strstr(dm_error_line(), "2 fields where the header has 3: in.csv line 200002:"));
    free(csv);
}

static void stops_when_told(void **state)
{
    (void)state;
    seen s = {.stop_after = 2};
    assert_int_equal(read_bytes(&s, "a\n1\n2\n3\n", 8, ','), DEMARC_ERR_IMPOSSIBLE);
    assert_int_equal(s.records, 2);
    assert_string_equal(dm_error_line(), "stop");
}

/* ------------------------------------------------------------------------------------------------ values */

static void expect_number(const char *text, double value)
{
    double v = -7.0;
    if (dm_csv_number(text, &v) != DM_CSV_NUMBER || memcmp(&v, &value, sizeof v) != 0)
        fail_msg("'%s' gave %.17g", text, v);
}

static void reads_numbers(void **state)
{
    (void)state;
    static const char *const text[] = {"0",
                                       "-0",
                                       "1",
                                       "+1",
                                       "007",
                                       "1.",
                                       ".5",
                                       "-.5e1",
                                       "1e3",
                                       "1E-3",
                                       "123456789012345678",
                                       "9007199254740993",
                                       "0.1",
                                       "142.44",
                                       "1e22",
                                       "1e23",
                                       "1e-22",
                                       "1e-23",
                                       "8.5e307",
                                       "1.7976931348623157e308",
                                       "4.9e-324",
                                       "2.5e-324",
                                       "1e-400",
                                       "0e999999999999",
                                       "0.000000000000000000000000000001",
                                       "3.14159265358979323846264338327950288",
                                       "18446744073709551616",
                                       "99999999999999999999",
                                       "2.2250738585072011e-308",
                                       "179769313486231580000000000e282"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) expect_number(text[i], strtod(text[i], NULL));
    expect_number("  12\t ", 12.0);
    expect_number(" 1e30 ", 1e30);
    static const char *const yes[] = {"yes", "YES", "Yes", "true", "TRUE", " True "};
    static const char *const no[] = {"no", "No", "NO", "false", "FALSE", "False\t"};
    for (size_t i = 0; i < 6; i++) {
        expect_number(yes[i], 1.0);
        expect_number(no[i], 0.0);
    }
}

/* The short way and the C library's must agree bit for bit. */
static void rounds_as_strtod(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    char text[64];
    for (int i = 0; i < 300000; i++) {
        x ^= x << 13; /* xorshift64 (Marsaglia 2003) */
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t whole = x >> (x % 40 + 8);
        snprintf(text, sizeof text, "%s%llu.%0*llue%d", (x & 1) != 0 ? "-" : "", (unsigned long long)whole,
                 (int)(x % 9) + 1, (unsigned long long)(x % 1000), (int)(x % 61) - 30);
        expect_number(text, strtod(text, NULL));
    }
}

static void refuses_other_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"abc",
                                      "1x",
                                      "1 2",
                                      "1,5",
                                      "0x10",
                                      "inf",
                                      "Infinity",
                                      "-inf",
                                      "nano",
                                      "1e",
                                      "1e+",
                                      ".",
                                      "-",
                                      "+",
                                      "--1",
                                      "1.2.3",
                                      "e5",
                                      "yess",
                                      "n",
                                      "1_000",
                                      "$5",
                                      "5%",
                                      "NAN",
                                      "None",
                                      "-NA",
                                      "+yes",
                                      "1\n",
                                      "\xc2\xa0"
                                      "1"};
    double v = 3.0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (dm_csv_number(bad[i], &v) != DM_CSV_NOT_A_NUMBER) fail_msg("'%s' is no number", bad[i]);
    }
    assert_int_equal(dm_csv_number("1e309", &v), DM_CSV_TOO_LARGE);
    assert_int_equal(dm_csv_number("-1e999999999999999999", &v), DM_CSV_TOO_LARGE);
    assert_true(v == 3.0);
}

static void knows_missing_values(void **state)
{
    (void)state;
    static const char *const missing[] = {"", " ", "\t", "NA", "N/A", "NaN", "nan", "NULL", "null", " NA "};
    static const char *const present[] = {"0", "na", "Nan", "NAN", "none", "N", "NA1", "NULLS", "n/a", "-"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        double v = 1.0;
        assert_true(dm_csv_missing(missing[i]));
        assert_int_equal(dm_csv_number(missing[i], &v), DM_CSV_MISSING);
        assert_true(isnan(v));
    }
    for (size_t i = 0; i < sizeof present / sizeof present[0]; i++) assert_false(dm_csv_missing(present[i]));
}

static void does_not_follow_the_locale(void **state)
{
    (void)state;
    static const char *const comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "da_DK.UTF-8"};
    bool found = false;
    for (size_t i = 0; i < 4 && !found; i++) found = setlocale(LC_NUMERIC, comma[i]) != NULL;
    if (!found) skip();
    expect_number("3.25", 3.25);
    expect_number("3.25000000000000000000000001", 3.25); /* too long for the short way */
    setlocale(LC_NUMERIC, "C");
}

static void knows_canonical_integers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "007",
                                      "00",
                                      "-0",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "x"};
    int64_t v = 5;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(dm_csv_integer(bad[i], &v));
    assert_int_equal(v, 5);
    assert_true(dm_csv_integer("0", &v) && v == 0);
    assert_true(dm_csv_integer("-12", &v) && v == -12);
    assert_true(dm_csv_integer("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(dm_csv_integer("-9223372036854775808", &v) && v == INT64_MIN);
}

static void knows_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x9b\x92", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\xe4",         "\xc0\xaf",         "\xc3", "a\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80",
        "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(dm_text_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(dm_text_utf8(bad[i], strlen(bad[i])));
}

static void codes_levels(void **state)
{
    (void)state;
    dm_levels l = {0};
    int32_t code = -1, *sorted = NULL;
    static const char *const text[] = {"b", "a", "\xc3\xa4", "B", "b", "a b", "a"};
    static const int32_t expected[] = {0, 1, 2, 3, 0, 4, 1}, order[] = {3, 1, 4, 0, 2};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(dm_levels_code(&l, text[i], &code), DEMARC_OK);
        assert_int_equal(code, expected[i]);
    }
    assert_int_equal(dm_levels_find(&l, "B"), 3);
    assert_int_equal(dm_levels_find(&l, "c"), -1);
    assert_int_equal(dm_levels_sort(&l, &sorted), DEMARC_OK);
    assert_memory_equal(sorted, order, sizeof order);
    dm_free(sorted);
    for (int i = 5; i < DM_LEVELS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(dm_levels_code(&l, name, &code), DEMARC_OK);
        assert_int_equal(code, i);
    }
    assert_int_equal(dm_levels_code(&l, "one too many", &code), DEMARC_OK);
    assert_int_equal(code, -1);
    assert_int_equal(dm_levels_code(&l, "a b", &code), DEMARC_OK);
    assert_int_equal(code, 4);
    dm_levels_clear(&l);
}

/* ------------------------------------------------------------------------------------------------ roles */

static demarc_status plan(dm_import_columns *c, const demarc_import_options *o, int32_t count, const char *const *name)
{
    char text[256];
    int64_t offset[16] = {0};
    for (int32_t i = 0; i < count; i++) {
        strcpy(text + offset[i], name[i]);
        offset[i + 1] = offset[i] + (int64_t)strlen(name[i]) + 1;
    }
    dm_csv_record header = {.line = 1, .count = count, .text = text, .offset = offset};
    return dm_import_columns_plan(c, &header, o, "in.csv");
}

static void plans_columns(void **state)
{
    (void)state;
    static const char *const name[] = {"id", "age", "city", "visit", "arm", "mail", "spend", "note"};
    demarc_import_options o = {.delimiter = ',',
                               .id = "id",
                               .categorical = "city",
                               .outcomes = "spend,visit",
                               .arm = "arm",
                               .reachable = "mail",
                               .exclude = "note",
                               .features = "age,visit"};
    dm_import_columns c;
    assert_int_equal(plan(&c, &o, 8, name), DEMARC_OK);
    static const struct {
        dm_slot_kind kind;
        int32_t column, first;
        int64_t at;
    } expected[] = {{DM_SLOT_ID, 0, 0, 0},         {DM_SLOT_NUMBER, 1, 0, 0},   {DM_SLOT_CATEGORY, 2, 0, 32},
                    {DM_SLOT_NUMBER, 3, 0, 8},     {DM_SLOT_OUTCOME, 3, 1, 16}, {DM_SLOT_ARM, 4, 0, 36},
                    {DM_SLOT_REACHABLE, 5, 0, 40}, {DM_SLOT_OUTCOME, 6, 0, 24}};
    assert_int_equal(c.slots, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(c.slot[i].kind, expected[i].kind);
        assert_int_equal(c.slot[i].column, expected[i].column);
        assert_int_equal(c.slot[i].first, expected[i].first);
        if (c.slot[i].kind != DM_SLOT_ID) assert_int_equal(c.slot[i].at, expected[i].at);
    }
    assert_int_equal(c.row_bytes, 41);
    assert_int_equal(c.outcomes, 2);
    assert_int_equal(c.level_sets, 2);
    dm_import_columns_clear(&c);
}

static void expect_plan_error(const demarc_import_options *o, int32_t count, const char *const *name, demarc_status st,
                              const char *line)
{
    dm_import_columns c;
    assert_int_equal(plan(&c, o, count, name), st);
    assert_string_equal(dm_error_line(), line);
    dm_import_columns_clear(&c);
}

static void refuses_bad_roles(void **state)
{
    (void)state;
    static const char *const name[] = {"a", " b ", "", "d", "d"}, *const one[] = {"a;b;c"},
                             *const latin[] = {"a", "stra\xdf"
                                                    "e"};
    expect_plan_error(&(demarc_import_options){.id = "z"}, 2, name, DEMARC_ERR_USAGE,
                      "no such column: --id 'z': in.csv has a, b: check the name and --delimiter");
    expect_plan_error(&(demarc_import_options){.weight = "b", .outcomes = "a,b"}, 2, name, DEMARC_ERR_USAGE,
                      "column has two roles: 'b' is in --weight and --outcomes: name it in one of them");
    expect_plan_error(&(demarc_import_options){.features = "a", .exclude = "a"}, 2, name, DEMARC_ERR_USAGE,
                      "column has two roles: 'a' is in --features and --exclude: name it in one of them");
    expect_plan_error(
        &(demarc_import_options){.id = "a", .exclude = "b"}, 2, name, DEMARC_ERR_USAGE,
        "no feature left: in.csv: name some in --features, or use fewer of the 2 columns for other things");
    expect_plan_error(
        &(demarc_import_options){0}, 3, name, DEMARC_ERR_DATA,
        "column without a name: in.csv line 1, column 3: leave it out with --exclude column_3, or use it by "
        "that name");
    const char *twice =
        "two columns of the same name: in.csv line 1, columns 4 and 5, 'd': rename one, or leave them out "
        "with --exclude";
    expect_plan_error(&(demarc_import_options){.id = "column_3"}, 5, name, DEMARC_ERR_DATA, twice);
    expect_plan_error(&(demarc_import_options){.features = "a,d"}, 5, name, DEMARC_ERR_DATA, twice);
    expect_plan_error(&(demarc_import_options){.delimiter = ','}, 1, one, DEMARC_ERR_USAGE,
                      "only one column: in.csv line 1, 'a;b;c': try --delimiter ';'");
    expect_plan_error(&(demarc_import_options){0}, 2, latin, DEMARC_ERR_DATA,
                      "name not in UTF-8: in.csv line 1, column 2, 'stra\\xdfe': convert the file with iconv -t UTF-8");
    dm_import_columns c;
    assert_int_equal(plan(&c, &(demarc_import_options){.exclude = "d,column_3"}, 5, name), DEMARC_OK);
    assert_int_equal(c.slots, 2);
    dm_import_columns_clear(&c);
    assert_int_equal(plan(&c, &(demarc_import_options){.features = "b"}, 5, name), DEMARC_OK);
    assert_int_equal(c.slots, 1);
    dm_import_columns_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_plain_records),
        cmocka_unit_test(knows_line_ends),
        cmocka_unit_test(skips_blank_lines),
        cmocka_unit_test(reads_quoted_fields),
        cmocka_unit_test(knows_delimiters),
        cmocka_unit_test(skips_the_byte_order_mark),
        cmocka_unit_test(refuses_what_is_no_csv),
        cmocka_unit_test(names_the_line_of_a_broken_record),
        cmocka_unit_test(bounds_fields),
        cmocka_unit_test(counts_lines_across_blocks),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(rounds_as_strtod),
        cmocka_unit_test(refuses_other_numbers),
        cmocka_unit_test(knows_missing_values),
        cmocka_unit_test(does_not_follow_the_locale),
        cmocka_unit_test(knows_canonical_integers),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(codes_levels),
        cmocka_unit_test(plans_columns),
        cmocka_unit_test(refuses_bad_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
