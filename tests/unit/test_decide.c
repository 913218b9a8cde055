/* Decisions from verdicts, and the offsets that follow: by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "boundary/decide.h"

static dm_analyze_boundary between(int32_t a, int32_t b, dm_verdict first, dm_verdict second)
{
    return (dm_analyze_boundary){.segments = {a, b},
                                 .gap = 2.0,
                                 .band = 1.5,
                                 .customers = 100,
                                 .side = {{.verdict = first}, {.verdict = second}}};
}

static dm_analyze_boundary decided(dm_verdict first, dm_verdict second, double crossing, double slope)
{
    dm_analyze_boundary b = between(0, 1, first, second);
    b.crosses = !isnan(crossing);
    b.crossing = crossing;
    b.slope.value = slope;
    dm_analyze_report r = {.boundaries = 1, .boundary = &b};
    dm_decide(&r);
    assert_true(b.reason[0] != 0);
    return b;
}

static void verdicts(void **state)
{
    (void)state;
    const double none = (double)NAN;
    assert_int_equal(decided(DM_HELPS, DM_HURTS, none, 1.0).decision, DM_WIDEN_SECOND);
    assert_int_equal(decided(DM_HELPS, DM_NOT_ENOUGH, none, 1.0).decision, DM_WIDEN_SECOND);
    assert_int_equal(decided(DM_UNDECIDED, DM_HELPS, none, 1.0).decision, DM_WIDEN_FIRST);
    assert_int_equal(decided(DM_HURTS, DM_HURTS, none, 1.0).decision, DM_KEEP);
    assert_int_equal(decided(DM_HELPS, DM_HELPS, none, 1.0).decision, DM_LEAVE_OPEN);
    assert_int_equal(decided(DM_HURTS, DM_UNDECIDED, none, 1.0).decision, DM_LEAVE_OPEN);
    assert_false(decided(DM_HURTS, DM_HURTS, -0.5, 1.0).moves);
}

static void place_of_the_line(void **state)
{
    (void)state;
    dm_analyze_boundary b = decided(DM_HELPS, DM_HURTS, -0.5, 1.0);
    assert_true(b.moves && b.distance == -0.5 && b.offset_difference == 2.0);
    b = decided(DM_HURTS, DM_HELPS, 0.25, 1.0);
    assert_true(b.moves && b.distance == 0.25 && b.offset_difference == -1.0);
    assert_true(decided(DM_HELPS, DM_HURTS, (double)NAN, 1.0).distance == -1.5);
    assert_true(decided(DM_HURTS, DM_HELPS, (double)NAN, 1.0).distance == 1.5);
    assert_true(decided(DM_HELPS, DM_HURTS, -1.6, 1.0).distance == -1.5); /* beyond the band */
    assert_true(decided(DM_HELPS, DM_HURTS, 0.5, 1.0).distance == -1.5);  /* on the other side */
    /* The effect falls towards the second segment: between -0.5 and the old line are those who would be worse off. */
    assert_true(decided(DM_HELPS, DM_UNDECIDED, -0.5, -1.0).distance == -1.5);
}

static void stopped_decides_nothing(void **state)
{
    (void)state;
    dm_analyze_boundary b = between(0, 1, DM_VERDICT_NONE, DM_VERDICT_NONE);
    dm_analyze_report r = {.stopped = "attrition", .boundaries = 1, .boundary = &b};
    dm_decide(&r);
    assert_int_equal(b.decision, DM_DECISION_NONE);
    assert_false(b.moves);
    assert_non_null(strstr(b.reason, "stopped"));
}

/* A line that is kept although the curve crosses zero elsewhere: the reason says where. */
static void keep_tells_the_crossing(void **state)
{
    (void)state;
    dm_analyze_boundary b = between(0, 1, DM_HURTS, DM_HURTS);
    dm_analyze_report r = {.boundaries = 1, .boundary = &b};
    const double interval[][3] = {{0.25, 0.125, 0.5}, {-0.25, -0.5, -0.125}, {0.25, -0.125, 0.5}};
    for (int i = 0; i < 3; i++) {
        b.crosses = true;
        b.crossing = interval[i][0];
        b.crossing_low = interval[i][1];
        b.crossing_high = interval[i][2];
        dm_decide(&r);
        assert_int_equal(b.decision, DM_KEEP);
        const char *told = i == 0 ? "0.25 [0.125, 0.5]" : "-0.25 [-0.5, -0.125]";
        assert_true((strstr(b.reason, i < 2 ? told : "where it should be") != NULL));
    }
    b.crosses = false; /* no bounded interval: the numbers mean nothing */
    b.crossing_low = 0.125;
    dm_decide(&r);
    assert_non_null(strstr(b.reason, "where it should be"));
}

/* One boundary: its smaller segment takes the whole change, and the line goes where it was wished. */
static void one_boundary(void **state)
{
    (void)state;
    const int64_t size[] = {10, 30, 20};
    double change[3];
    dm_analyze_boundary b = between(0, 1, DM_HELPS, DM_HURTS);
    dm_analyze_report r = {.boundaries = 1, .boundary = &b};
    dm_decide(&r);
    assert_int_equal(dm_decide_offsets(&r, 3, size, change), DEMARC_OK);
    assert_true(change[0] == -6.0 && change[1] == 0.0 && change[2] == 0.0);
    assert_true(b.shift == -1.5);
    assert_int_equal(dm_decide_offsets(&r, 3, NULL, change), DEMARC_OK);
    assert_true(change[0] == 0.0 && change[1] == 6.0);
    assert_true(b.shift == -1.5);
}

/*
 * A triangle in which 0-1 wishes 6 and the others 0, weights 100, 100 and 200 (1-2): minimise
 * (u - 6)^2 + v^2 + 2 (v - u)^2 over u = change_1, v = change_2, change_0 = 0: u = 3.6, v = 2.4.
 * Segment 4 is in another component, 3 in none.
 */
static void wishes_that_contradict(void **state)
{
    (void)state;
    const int64_t size[] = {50, 30, 20, 900, 10, 11};
    double change[6];
    dm_analyze_boundary b[] = {between(0, 1, DM_HELPS, DM_HURTS), between(0, 2, DM_HURTS, DM_HURTS),
                               between(1, 2, DM_UNDECIDED, DM_UNDECIDED), between(4, 5, DM_UNDECIDED, DM_HELPS),
                               between(3, 5, DM_NOT_ENOUGH, DM_NOT_ENOUGH)};
    b[2].customers = 200;
    b[4].customers = 0; /* joins nobody */
    dm_analyze_report r = {.boundaries = 5, .boundary = b};
    dm_decide(&r);
    assert_int_equal(dm_decide_offsets(&r, 6, size, change), DEMARC_OK);
    const double wanted[] = {0.0, 3.6, 2.4, 0.0, 6.0, 0.0}, shift[] = {-0.9, -0.6, 0.3, 1.5, 0.0};
    for (int j = 0; j < 6; j++) assert_true(fabs(change[j] - wanted[j]) <= 1e-15);
    for (int i = 0; i < 5; i++) assert_true(fabs(b[i].shift - shift[i]) <= 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(place_of_the_line),
        cmocka_unit_test(stopped_decides_nothing),
        cmocka_unit_test(keep_tells_the_crossing),
        cmocka_unit_test(one_boundary),
        cmocka_unit_test(wishes_that_contradict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
