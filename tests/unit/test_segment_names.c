/* report/segment_names: what --names takes and refuses, and that automatic names are plain, short and all different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/segment_names.h"

/* ------------------------------------------------------------------------------------------------ given */

static void parsed(const char *list, int32_t k, int32_t count, const char *const *want)
{
    dm_strings s = {0};
    assert_int_equal(dm_segment_names_parse(list, k, &s), DEMARC_OK);
    assert_int_equal(s.count, count);
    for (int32_t i = 0; i < count; i++) assert_string_equal(s.item[i], want[i]);
    dm_strings_clear(&s);
}

static void refused(const char *list, int32_t k, const char *part)
{
    dm_strings s = {0};
    assert_int_equal(dm_segment_names_parse(list, k, &s), DEMARC_ERR_USAGE);
    assert_non_null(strstr(dm_error_line(), part));
    for (const char *p = dm_error_line(); *p != 0; p++) assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
    dm_strings_clear(&s);
}

static void test_given(void **state)
{
    (void)state;
    parsed(NULL, 3, 0, NULL);
    parsed("", 3, 0, NULL);
    parsed("0=Loyal,1=Bargain", 2, 2, (const char *[]){"Loyal", "Bargain"});
    parsed("2=Loyal", 3, 3, (const char *[]){"", "", "Loyal"});
    parsed(" 1 = Big spenders , 0=a=b", 2, 2, (const char *[]){"a=b", "Big spenders"});
    parsed("0=Young,, rich,1=\"quoted\"", 2, 2, (const char *[]){"Young, rich", "\"quoted\""});
    parsed("0=Na\xc3\xafve,1=,,", 2, 2, (const char *[]){"Na\xc3\xafve", ","});
    parsed("00=x", 1, 1, (const char *[]){"x"});
    char most[2 + DM_SEGMENT_NAME_BYTES + 1] = "0=";
    memset(most + 2, 'x', DM_SEGMENT_NAME_BYTES);
    parsed(most, 1, 1, (const char *[]){most + 2});
}

static void test_refused(void **state)
{
    (void)state;
    refused("Loyal", 2, "no name");
    refused("0=Loyal,", 2, "no name");
    refused("0=Loyal,,1=Bargain", 0, "no such segment");
    refused("2=Loyal", 2, "from 0 to 1");
    refused("-1=Loyal", 2, "no such segment");
    refused("1.0=Loyal", 2, "no such segment");
    refused("99999999999999999999=Loyal", 2, "no such segment");
    refused("=Loyal", 2, "no such segment");
    refused("0=", 2, "empty name");
    refused("0=  ", 2, "empty name");
    refused("0=a,0=b", 2, "named twice");
    refused("0=a,1=a", 2, "two segments of one name");
    refused("0=a\nb", 2, "control characters");
    refused("0=a\x7f", 2, "control characters");
    refused("0=\xc2\x85", 2, "control characters");
    refused("0=\xff", 2, "control characters");
    char *long_one = malloc(1u << 20);
    assert_non_null(long_one);
    memset(long_one, 'x', 1u << 20);
    memcpy(long_one, "0=", 2);
    long_one[(1u << 20) - 1] = 0;
    refused(long_one, 2, "at most 80 bytes");
    long_one[2 + DM_SEGMENT_NAME_BYTES + 1] = 0;
    refused(long_one, 2, "at most 80 bytes");
    free(long_one);
}

static void test_replaced(void **state)
{
    (void)state;
    dm_strings name = {0}, given = {0};
    for (int j = 0; j < 3; j++) assert_int_equal(dm_strings_add(&name, (const char *[]){"A", "B", "C"}[j]), DEMARC_OK);
    assert_int_equal(dm_segment_names_parse("0=B,1=A", 3, &given), DEMARC_OK);
    assert_int_equal(dm_segment_names_replace(&name, &given), DEMARC_OK);
    assert_string_equal(name.item[0], "B");
    assert_string_equal(name.item[1], "A");
    assert_string_equal(name.item[2], "C");
    dm_strings_clear(&given);
    assert_int_equal(dm_segment_names_parse("0=C", 3, &given), DEMARC_OK);
    assert_int_equal(dm_segment_names_replace(&name, &given), DEMARC_ERR_USAGE);
    dm_strings_clear(&given);
    dm_strings_clear(&name);
}

/* ------------------------------------------------------------------------------------------------ made */

static void made(int32_t k, int32_t d, char **feature, double *difference, const char *list, const char *const *want)
{
    dm_strings names = {feature, d}, given = {0};
    dm_diagnostics g = {.k = k, .d = d, .feature = &names, .difference = difference};
    assert_int_equal(dm_segment_names_parse(list, k, &given), DEMARC_OK);
    assert_int_equal(dm_segment_names_make(&g, &given), DEMARC_OK);
    assert_int_equal(g.name.count, k);
    for (int32_t j = 0; j < k; j++) {
        if (want != NULL) assert_string_equal(g.name.item[j], want[j]);
        assert_true(g.name.item[j][0] != 0 && strlen(g.name.item[j]) <= DM_SEGMENT_NAME_BYTES);
        assert_true(dm_text_plain(g.name.item[j]));
        assert_int_equal(g.name_given[j], j < given.count && given.item[j][0] != 0);
        for (int32_t i = 0; i < j; i++) assert_string_not_equal(g.name.item[i], g.name.item[j]);
    }
    g.difference = NULL; /* the caller's */
    dm_strings_clear(&given);
    dm_diagnostics_clear(&g);
}

static void test_made(void **state)
{
    (void)state;
    char *f[3] = {"spend", "visits", "age"}, *g[1] = {"days_between_orders"};
    made(2, 1, g, (double[]){1, -1}, NULL, (const char *[]){"High days between orders", "Low days between orders"});
    char *levels[2] = {"channel=Web", "pay_by=cash"};
    made(2, 2, levels, (double[]){2, -1, -2, 1}, NULL,
         (const char *[]){"Channel=Web, not pay by=cash", "Not channel=Web, pay by=cash"});
    made(1, 3, f, (double[]){NAN, NAN, NAN}, NULL, (const char *[]){"All customers"});
    made(2, 3, f, (double[]){2, -1, 0.1, -2, 0.1, 0.1}, NULL, (const char *[]){"High spend, low visits", "Low spend"});
    /* alike with two features: the third parts them */
    made(2, 3, f, (double[]){2, -1, 0.5, 2, -1, -0.5}, NULL,
         (const char *[]){"High spend, low visits, high age", "High spend, low visits, low age"});
    /* alike with all: numbers */
    made(4, 3, f, (double[]){0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0.1, NAN}, NULL,
         (const char *[]){"Average", "High spend", "Average 2", "Average 3"});
    /* the user's names stay, the others make room */
    made(3, 3, f, (double[]){2, 0, 0, 2, 0, 0, 2, 0, 0}, "1=High spend",
         (const char *[]){"High spend 2", "High spend", "High spend 3"});
    made(3, 3, f, (double[]){2, 0, 0, 2, 0, 0, 2, 0, 0}, "1=High spend 2", NULL);
}

static void test_made_of_hostile_features(void **state)
{
    (void)state;
    enum { K = 40 };
    char *name[3];
    double difference[K * 3];
    for (int f = 0; f < 3; f++) { /* three bytes a character, controls, no UTF-8; alike but for their ends */
        name[f] = malloc(3001);
        assert_non_null(name[f]);
        for (int i = 0; i < 1000; i++) memcpy(name[f] + 3 * i, f == 2 ? "\x01\xff," : "\xe2\x82\xac", 3);
        name[f][3000] = 0;
    }
    for (int i = 0; i < K * 3; i++) difference[i] = i % 2 == 0 ? 1e300 : -1e300;
    made(K, 3, name, difference, NULL, NULL);
    for (int f = 0; f < 3; f++) free(name[f]);
    char *series[3] = {"x", "x 2", "x 3"}; /* numbers that look like features */
    for (int i = 0; i < K * 3; i++) difference[i] = i % 3 == i / 3 % 3 ? 1.0 : 0.0;
    made(K, 3, series, difference, "7=High x 4,8=High x 2", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_given), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_replaced), cmocka_unit_test(test_made),
                                       cmocka_unit_test(test_made_of_hostile_features)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
