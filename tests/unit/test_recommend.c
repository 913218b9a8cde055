/* The rule by which a number of segments is recommended: what each criterion decides, and what is asked for without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "diagnosis/recommend.h"

/* k of 2..9, nothing for or against any of them: repeatable and stable, gap growing. */
enum { KS = 8 };
static dm_k_record record[KS];
static dm_recommendation r;

static void reset(void)
{
    r = (dm_recommendation){
        .gap_one = 0.1, .gap_one_se = 0.01, .min_share = 0.01, .replicates = 50, .gap_draws = 20, .halvings = 20};
    for (int i = 0; i < KS; i++) {
        record[i] = (dm_k_record){.k = 2 + i,
                                  .silhouette = 0.5 - 0.01 * i,
                                  .smallest_share = 0.05,
                                  .reachable_share = NAN,
                                  .gap = 0.2,
                                  .gap_se = 0.01,
                                  .prediction_strength = 0.5,
                                  .prediction_strength_se = 0.01,
                                  .stability = 0.7,
                                  .stability_lowest = 0.5};
    }
}

static dm_k_record *of(int k) { return &record[k - 2]; }

static void repeatable(int k, double gap, double strength)
{
    of(k)->gap = gap;
    of(k)->prediction_strength = strength;
}

static void stable(int k, double jaccard)
{
    of(k)->stability = jaccard;
    of(k)->stability_lowest = jaccard - 0.1;
}

static void expect(int k, bool structure)
{
    dm_recommend(record, KS, &r);
    assert_int_equal(r.k, k);
    assert_int_equal(r.structure, structure);
    for (int i = 0; i < KS; i++) assert_true(record[i].k != r.k || record[i].eligible);
}

static void nothing_is_no_structure(void **state)
{
    (void)state;
    reset();
    expect(0, false);
    assert_int_equal(r.best, 2); /* the highest silhouette */
    repeatable(5, 0.05, 0.99);   /* the gap says no */
    expect(0, false);
    assert_true((of(5)->concerns & DM_CONCERN_NO_GAP) != 0);
    of(5)->gap = 0.1 + 1.9 * sqrt(2e-4); /* within two standard errors of the difference */
    expect(0, false);
    of(5)->gap = 0.1 + 2.1 * sqrt(2e-4);
    expect(5, true);
}

static void the_largest_whose_gap_grows(void **state)
{
    (void)state;
    reset();
    repeatable(3, 0.3, 0.88);
    repeatable(9, 0.5, 0.85);
    expect(9, true);
    assert_true((of(3)->concerns & DM_CONCERN_WORSE) != 0);
    of(9)->gap = 0.305; /* no more than the error: the smaller one */
    expect(3, true);
    repeatable(9, 0.5, 0.795); /* within its standard error of 0.8 */
    expect(9, true);
    repeatable(9, 0.5, 0.785);
    expect(3, true);
}

static void four_to_eight_are_preferred(void **state)
{
    (void)state;
    reset();
    repeatable(2, 0.3, 0.85);
    repeatable(5, 0.295, 0.85); /* no worse, and within */
    expect(5, true);
    assert_false(r.preferred);
    of(5)->gap = 0.28; /* worse than the error */
    expect(2, true);
    reset();
    repeatable(2, 0.2, 0.85);
    stable(6, 0.8);
    stable(7, 0.9);
    expect(7, true);
    assert_true(r.preferred);
    of(2)->prediction_strength = 0.95; /* the evidence is clear */
    expect(2, true);
    of(2)->prediction_strength = 0.85;
    of(7)->gap = 0.19; /* it explains less */
    expect(2, true);
}

static void finer_ones_that_are_highly_stable(void **state)
{
    (void)state;
    reset();
    repeatable(2, 0.3, 0.94);
    stable(4, 0.95); /* lowest 0.85 */
    expect(2, true); /* but it explains no more */
    of(4)->gap = 0.4;
    expect(4, true);
    assert_true(r.preferred);
    of(2)->prediction_strength = 0.95; /* no doubt about two */
    expect(2, true);
    of(2)->prediction_strength = 0.94;
    of(4)->stability_lowest = 0.74;
    expect(2, true);
    assert_false(r.preferred);
    stable(9, 0.99); /* outside four to eight */
    of(9)->gap = 0.5;
    expect(2, true);
    reset();
    repeatable(5, 0.3, 0.95); /* within already */
    stable(6, 0.99);
    of(6)->gap = 0.5;
    expect(5, true);
}

static void what_is_clearly_repeatable_stays(void **state)
{
    (void)state;
    reset();
    repeatable(5, 0.3, 0.95);
    repeatable(9, 0.5, 0.85); /* its gap grows, but halves agree less */
    expect(5, true);
    repeatable(8, 0.48, 0.85); /* as little within four to eight */
    expect(5, true);
    of(9)->prediction_strength = 0.92;
    expect(9, true);
    reset();
    repeatable(5, 0.3, 0.95);
    repeatable(8, 0.5, 0.85); /* the next explains less: a peak */
    of(9)->gap = 0.49;
    expect(8, true);
    of(9)->gap = 0.52;
    expect(5, true);
    reset();
    repeatable(3, 0.3, 0.95); /* outside: four to eight need not be as clear */
    repeatable(5, 0.5, 0.85);
    expect(5, true);
}

static void stable_ones_will_do(void **state)
{
    (void)state;
    reset();
    stable(3, 0.95);
    stable(6, 0.8);
    expect(6, true);
    of(6)->stability_lowest = 0.59; /* one segment is found too seldom */
    expect(3, true);
    assert_true((of(6)->concerns & DM_CONCERN_UNSTABLE) != 0);
}

static void segments_must_be_of_use(void **state)
{
    (void)state;
    reset();
    repeatable(5, 0.5, 0.95);
    of(5)->smallest_share = 0.009;
    expect(0, true); /* there is structure, but nothing to recommend */
    of(5)->smallest_share = 0.05;
    of(5)->reachable_share = 0.05;
    expect(0, true);
    assert_true((of(5)->concerns & DM_CONCERN_UNREACHABLE) != 0);
    of(5)->reachable_share = 0.5;
    expect(5, true);
    of(5)->failed[0] = 'x';
    of(5)->silhouette = NAN;
    expect(0, false);
}

static void what_was_not_computed_asks_for_nothing(void **state)
{
    (void)state;
    reset();
    for (int i = 0; i < KS; i++)
        record[i].gap = record[i].gap_se = record[i].prediction_strength = record[i].prediction_strength_se =
            record[i].stability = record[i].stability_lowest = NAN;
    r.gap_one = r.gap_one_se = NAN;
    r.replicates = r.gap_draws = r.halvings = 0;
    of(4)->silhouette = 0.9;
    expect(4, true);
    r.halvings = 20;
    of(6)->prediction_strength = 0.9;
    of(6)->prediction_strength_se = NAN; /* of one halving */
    expect(6, true);
    of(6)->prediction_strength = 0.7;
    expect(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_structure),          cmocka_unit_test(the_largest_whose_gap_grows),
        cmocka_unit_test(four_to_eight_are_preferred),      cmocka_unit_test(finer_ones_that_are_highly_stable),
        cmocka_unit_test(what_is_clearly_repeatable_stays), cmocka_unit_test(stable_ones_will_do),
        cmocka_unit_test(segments_must_be_of_use),          cmocka_unit_test(what_was_not_computed_asks_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
