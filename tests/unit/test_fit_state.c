/* The state of a fit as bytes: it comes back to the bit, and bytes that are no such state are refused, not believed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "engine/fit_state.h"

enum { D = 3, LO = 2, HI = 5 };

static double value(int i) { return sin(1.0 + i) * pow(10.0, i % 30 - 15); }

static void fill(double *v, int64_t count, int from)
{
    for (int64_t i = 0; i < count; i++) v[i] = value(from + (int)i);
}

static dm_trace some_trace(int passes)
{
    dm_trace t = {.iterations = passes, .batches = 7, .converged = passes % 2 == 0, .restarts = 3, .best_restart = 1};
    for (int i = 0; i < passes; i++) {
        const char *phase = i < 2 ? "minibatch" : "lloyd";
        assert_int_equal(dm_trace_add(&t, phase, i + 1, value(i), i == 0 ? NAN : value(i + 5)), DEMARC_OK);
    }
    return t;
}

static void some_fitted(dm_fitted *f, int32_t k)
{
    assert_int_equal(dm_fitted_create(f, k, D), DEMARC_OK);
    fill(f->centroids, (int64_t)k * D, k);
    f->trace = some_trace(k + 2);
}

/* One of the states that a fit of LO:HI can be saved in. */
static void some_state(dm_fit_state *s, dm_position *at, dm_fit_phase phase, dm_step step, int restart)
{
    assert_int_equal(dm_fit_state_start(s, LO, HI), DEMARC_OK);
    s->phase = phase;
    s->k = 4;
    s->best = phase == DM_FIT_ASSIGN ? 1 : -1;
    s->criteria = phase == DM_FIT_CHOOSE ? 2 : 0;
    snprintf(s->first_failure, sizeof s->first_failure, "too few");
    s->ks = phase == DM_FIT_CHOOSE || phase == DM_FIT_ASSIGN ? HI - LO + 1 : 2;
    for (int i = 0; i < s->ks; i++) {
        s->tried[i] = (dm_k_record){.k = LO + i,
                                    .objective = value(i),
                                    .calinski_harabasz = NAN,
                                    .davies_bouldin = value(i + 1),
                                    .silhouette = -0.0,
                                    .smallest_share = 0.25,
                                    .explained_share = value(i + 2),
                                    .reachable_share = NAN,
                                    .gap = value(i + 3),
                                    .gap_se = value(i + 4),
                                    .prediction_strength = value(i + 5),
                                    .prediction_strength_se = value(i + 6),
                                    .stability = value(i + 7),
                                    .stability_lowest = value(i + 8)};
        if (i == 0) {
            snprintf(s->tried[i].failed, sizeof s->tried[i].failed, "too few");
        } else if (phase != DM_FIT_ASSIGN) {
            some_fitted(&s->kept[i], LO + i);
        }
    }
    s->recommendation.gap_one = value(3);
    s->recommendation.gap_one_se = value(4);
    if (phase == DM_FIT_ASSIGN) some_fitted(&s->chosen, 3);
    if (phase == DM_FIT_MEASURE) some_fitted(&s->candidate, 4);
    if (phase != DM_FIT_SEARCH) return;
    assert_int_equal(dm_position_start(at, 4, D), DEMARC_OK);
    at->restart = restart;
    at->step = step;
    at->pass = 6;
    at->level = 2;
    at->passed = 1e9;
    at->attempt = 1;
    fill(at->centroids, 4 * D, 40);
    if (step != DM_STEP_SEED) at->trace = some_trace(5);
    if (restart == 0) return;
    at->best_restart = restart - 1;
    at->best_objective = value(9);
    fill(at->best, 4 * D, 50);
    at->best_trace = some_trace(9);
}

static void clear(dm_fit_state *s, dm_position *at)
{
    dm_fit_state_clear(s);
    dm_position_clear(at);
}

static void same_trace(const dm_trace *a, const dm_trace *b)
{
    assert_int_equal(a->passes, b->passes);
    for (int32_t i = 0; i < a->passes; i++) {
        assert_string_equal(a->pass[i].phase, b->pass[i].phase);
        assert_int_equal(a->pass[i].iteration, b->pass[i].iteration);
        assert_memory_equal(&a->pass[i].objective, &b->pass[i].objective, 8);
        assert_memory_equal(&a->pass[i].shift, &b->pass[i].shift, 8);
    }
    assert_int_equal(a->iterations, b->iterations);
    assert_int_equal(a->batches, b->batches);
    assert_int_equal(a->converged, b->converged);
    assert_int_equal(a->restarts, b->restarts);
    assert_int_equal(a->best_restart, b->best_restart);
}

static void same_fitted(const dm_fitted *a, const dm_fitted *b)
{
    assert_int_equal(a->k, b->k);
    if (a->k == 0) return;
    assert_memory_equal(a->centroids, b->centroids, (size_t)(8 * a->k * D));
    same_trace(&a->trace, &b->trace);
}

/* Six positions of a search, then the later phases. */
static dm_fit_phase phase_of(int which)
{
    static const dm_fit_phase late[] = {DM_FIT_MEASURE, DM_FIT_CHOOSE, DM_FIT_ASSIGN};
    return which < 6 ? DM_FIT_SEARCH : late[which - 6];
}

static void comes_back(void **state)
{
    (void)state;
    for (int which = 0; which < 9; which++) {
        const dm_fit_phase phase = phase_of(which);
        dm_fit_state s, t = {0};
        dm_position at = {0}, bt = {0};
        dm_packer p = {0};
        some_state(&s, &at, phase, (dm_step)(which % 3), which / 3);
        dm_fit_state_pack(&s, &at, &p);
        assert_false(p.failed);
        dm_unpacker u = {.bytes = p.bytes, .left = p.count};
        assert_int_equal(dm_fit_state_unpack(&t, &bt, &u, LO, HI, D), DEMARC_OK);
        assert_int_equal(u.left, 0);
        assert_int_equal(t.phase, s.phase);
        assert_int_equal(t.k, s.k);
        assert_int_equal(t.ks, s.ks);
        assert_int_equal(t.best, s.best);
        assert_int_equal(t.criteria, s.criteria);
        assert_string_equal(t.first_failure, s.first_failure);
        for (int32_t i = 0; i < s.ks; i++) {
            assert_int_equal(t.tried[i].k, s.tried[i].k);
            assert_memory_equal(&t.tried[i].objective, &s.tried[i].objective, 5 * sizeof(double));
            assert_memory_equal(&t.tried[i].explained_share, &s.tried[i].explained_share, 8 * sizeof(double));
            assert_string_equal(t.tried[i].failed, s.tried[i].failed);
            same_fitted(&t.kept[i], &s.kept[i]);
        }
        assert_memory_equal(&t.recommendation.gap_one, &s.recommendation.gap_one, 2 * sizeof(double));
        same_fitted(&t.chosen, &s.chosen);
        same_fitted(&t.candidate, &s.candidate);
        assert_int_equal(bt.k, at.k);
        if (at.k != 0) {
            assert_int_equal(bt.restart, at.restart);
            assert_int_equal(bt.step, at.step);
            assert_int_equal(bt.pass, at.pass);
            assert_int_equal(bt.level, at.level);
            assert_int_equal(bt.attempt, at.attempt);
            assert_int_equal(bt.best_restart, at.best_restart);
            assert_memory_equal(&bt.passed, &at.passed, 8);
            assert_memory_equal(&bt.best_objective, &at.best_objective, 8);
            same_trace(&bt.trace, &at.trace);
            same_trace(&bt.best_trace, &at.best_trace);
            if (at.step != DM_STEP_SEED) assert_memory_equal(bt.centroids, at.centroids, 8 * 4 * D);
            if (at.best_restart >= 0) assert_memory_equal(bt.best, at.best, 8 * 4 * D);
        }
        clear(&s, &at);
        clear(&t, &bt);
        dm_packer_clear(&p);
    }
}

static void try_bytes(const char *bytes, int64_t count, bool must_fail)
{
    dm_fit_state t = {0};
    dm_position bt = {0};
    char *copy = malloc((size_t)(uint32_t)count); /* exactly as long, for the address sanitizer */
    memcpy(copy, bytes, (size_t)count);
    dm_unpacker u = {.bytes = copy, .left = count};
    const demarc_status st = dm_fit_state_unpack(&t, &bt, &u, LO, HI, D);
    assert_true(st == DEMARC_OK || st == DEMARC_ERR_DATA);
    if (must_fail) assert_int_equal(st, DEMARC_ERR_DATA);
    if (st == DEMARC_OK) assert_true(t.k >= LO && t.k <= HI && t.ks <= HI - LO + 1 && t.best < t.ks);
    clear(&t, &bt);
    free(copy);
}

/* Cut anywhere: refused. Numbers changed at random: refused or a state in bounds. */
static void nonsense_is_refused(void **state)
{
    (void)state;
    for (int which = 0; which < 9; which++) {
        const dm_fit_phase phase = phase_of(which);
        dm_fit_state s;
        dm_position at = {0};
        dm_packer p = {0};
        some_state(&s, &at, phase, (dm_step)(which % 3), which / 3);
        dm_fit_state_pack(&s, &at, &p);
        for (int64_t cut = 0; cut < p.count; cut++) try_bytes(p.bytes, cut, true);
        static const int64_t odd[] = {-1, 0, 1, 2, 3, 4, 5, 6, 1 << 20, INT32_MAX, INT64_MAX, INT64_MIN, -4};
        char *bad = malloc((size_t)(uint32_t)p.count);
        for (int64_t at_byte = 0; at_byte + 8 <= p.count; at_byte++) {
            for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                memcpy(bad, p.bytes, (size_t)p.count);
                memcpy(bad + at_byte, &odd[i], 8);
                try_bytes(bad, p.count, false);
            }
        }
        for (uint64_t i = 0; i < 2000; i++) {
            memcpy(bad, p.bytes, (size_t)p.count);
            const dm_random4 r = dm_random(1, DM_PURPOSE_SEED_FIRST, (uint64_t)which, i);
            for (int n = 0; n < 4; n++) bad[r.v[n] % (uint64_t)p.count] = (char)(r.v[(n + 1) % 4] >> 8);
            try_bytes(bad, p.count, false);
        }
        free(bad);
        clear(&s, &at);
        dm_packer_clear(&p);
    }
}

/* A state of another fit, though whole, does not fit. */
static void other_shape(void **state)
{
    (void)state;
    dm_fit_state s;
    dm_position at = {0};
    dm_packer p = {0};
    some_state(&s, &at, DM_FIT_SEARCH, DM_STEP_LLOYD, 1);
    dm_fit_state_pack(&s, &at, &p);
    const int32_t shape[][3] = {{4, 4, D}, {LO, 3, D}, {5, 9, D}, {LO, HI, D + 1}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        dm_fit_state t = {0};
        dm_position bt = {0};
        dm_unpacker u = {.bytes = p.bytes, .left = p.count};
        assert_int_equal(dm_fit_state_unpack(&t, &bt, &u, shape[i][0], shape[i][1], shape[i][2]), DEMARC_ERR_DATA);
        clear(&t, &bt);
    }
    clear(&s, &at);
    dm_packer_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(other_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
