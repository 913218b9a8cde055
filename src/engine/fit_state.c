#include "engine/fit_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char *const pass_phase[] = {"seed", "minibatch", "lloyd", "exchange"};
enum { PASS_PHASES = sizeof pass_phase / sizeof *pass_phase };

demarc_status dm_fitted_create(dm_fitted *f, int32_t k, int32_t d)
{
    dm_fitted_clear(f);
    demarc_status st = dm_alloc(f->centroids, (int64_t)k * d, "centroids");
    f->k = k;
    f->d = d;
    return st;
}

void dm_fitted_clear(dm_fitted *f)
{
    dm_free(f->centroids);
    dm_trace_clear(&f->trace);
    *f = (dm_fitted){0};
}

void dm_fitted_move(dm_fitted *to, dm_fitted *from)
{
    dm_fitted_clear(to);
    *to = *from;
    *from = (dm_fitted){0};
}

demarc_status dm_fit_state_start(dm_fit_state *s, int32_t lo, int32_t hi)
{
    *s = (dm_fit_state){.phase = DM_FIT_SEARCH, .k = lo, .best = -1};
    s->records = hi - lo + 1;
    s->tried = calloc((size_t)s->records, sizeof *s->tried);
    s->kept = calloc((size_t)s->records, sizeof *s->kept);
    return s->tried != NULL && s->kept != NULL
               ? DEMARC_OK
               : dm_fail(DEMARC_ERR_MEMORY, "out of memory: record of k: free some memory");
}

void dm_fit_state_clear(dm_fit_state *s)
{
    dm_fitted_clear(&s->candidate);
    dm_fitted_clear(&s->chosen);
    dm_fit_state_drop_kept(s);
    free(s->kept);
    free(s->tried);
    *s = (dm_fit_state){0};
}

void dm_fit_state_drop_kept(dm_fit_state *s)
{
    for (int32_t i = 0; i < s->records && s->kept != NULL; i++) dm_fitted_clear(&s->kept[i]);
}

/* ------------------------------------------------------------------------------------------------ pack */

static void pack_f64s(dm_packer *p, const double *v, int32_t k, int32_t d)
{
    dm_pack(p, v, (int64_t)k * d * (int64_t)sizeof *v);
}

static void pack_trace(dm_packer *p, const dm_trace *t)
{
    dm_pack_i64(p, t->passes);
    for (int32_t i = 0; i < t->passes; i++) {
        int64_t phase = 0;
        while (phase < PASS_PHASES - 1 && strcmp(t->pass[i].phase, pass_phase[phase]) != 0) phase++;
        dm_pack_i64(p, phase);
        dm_pack_i64(p, t->pass[i].iteration);
        dm_pack_f64(p, t->pass[i].objective);
        dm_pack_f64(p, t->pass[i].shift);
    }
    dm_pack_i64(p, t->iterations);
    dm_pack_i64(p, t->batches);
    dm_pack_i64(p, t->converged);
    dm_pack_i64(p, t->restarts);
    dm_pack_i64(p, t->best_restart);
}

static void pack_fitted(dm_packer *p, const dm_fitted *f)
{
    dm_pack_i64(p, f->k);
    if (f->k == 0) return;
    pack_f64s(p, f->centroids, f->k, f->d);
    pack_trace(p, &f->trace);
}

static void pack_position(dm_packer *p, const dm_position *at)
{
    dm_pack_i64(p, at->k);
    if (at->k == 0) return;
    dm_pack_i64(p, at->restart);
    dm_pack_i64(p, at->step);
    dm_pack_i64(p, at->level);
    dm_pack_i64(p, at->pass);
    dm_pack_f64(p, at->passed);
    dm_pack_i64(p, at->attempt);
    if (at->step != DM_STEP_SEED) {
        pack_f64s(p, at->centroids, at->k, at->d);
        pack_trace(p, &at->trace);
    }
    dm_pack_i64(p, at->best_restart);
    if (at->best_restart < 0) return;
    dm_pack_f64(p, at->best_objective);
    pack_f64s(p, at->best, at->k, at->d);
    pack_trace(p, &at->best_trace);
}

/* The numbers of a record, in the order in which they are packed. */
enum { RECORD_REALS = 13 };
static void record_reals(dm_k_record *r, double *real[RECORD_REALS])
{
    double *const list[RECORD_REALS] = {
        &r->objective,       &r->calinski_harabasz,   &r->davies_bouldin,         &r->silhouette,
        &r->smallest_share,  &r->explained_share,     &r->reachable_share,        &r->gap,
        &r->gap_se,          &r->prediction_strength, &r->prediction_strength_se, &r->stability,
        &r->stability_lowest};
    memcpy(real, list, sizeof list);
}

static void pack_record(dm_packer *p, const dm_k_record *record)
{
    dm_k_record r = *record;
    double *real[RECORD_REALS];
    record_reals(&r, real);
    dm_pack_i64(p, r.k);
    for (int i = 0; i < RECORD_REALS; i++) dm_pack_f64(p, *real[i]);
    dm_pack_text(p, r.failed);
}

void dm_fit_state_pack(const dm_fit_state *s, const dm_position *at, dm_packer *p)
{
    const dm_position none = {0};
    dm_pack_i64(p, s->phase);
    dm_pack_i64(p, s->k);
    dm_pack_i64(p, s->ks);
    for (int32_t i = 0; i < s->ks; i++) {
        pack_record(p, &s->tried[i]);
        pack_fitted(p, &s->kept[i]);
    }
    dm_pack_i64(p, s->best);
    dm_pack_i64(p, s->criteria);
    dm_pack_f64(p, s->recommendation.gap_one);
    dm_pack_f64(p, s->recommendation.gap_one_se);
    dm_pack_text(p, s->first_failure);
    pack_fitted(p, &s->chosen);
    pack_fitted(p, &s->candidate);
    pack_position(p, s->phase == DM_FIT_SEARCH ? at : &none);
}

/* ------------------------------------------------------------------------------------------------ unpack */

static int32_t unpack_i32(dm_unpacker *u, int32_t low, int32_t high) { return (int32_t)dm_unpack_within(u, low, high); }

static void unpack_trace(dm_unpacker *u, dm_trace *t)
{
    const int32_t passes = unpack_i32(u, 0, INT32_MAX);
    for (int32_t i = 0; i < passes && !u->bad; i++) {
        const int32_t phase = unpack_i32(u, 0, PASS_PHASES - 1), iteration = unpack_i32(u, 0, INT32_MAX);
        const double objective = dm_unpack_f64(u), shift = dm_unpack_f64(u);
        if (!u->bad && dm_trace_add(t, pass_phase[phase], iteration, objective, shift) != DEMARC_OK) {
            dm_unpack_no_memory(u);
        }
    }
    t->iterations = unpack_i32(u, 0, INT32_MAX);
    t->batches = dm_unpack_within(u, 0, INT64_MAX);
    t->converged = dm_unpack_within(u, 0, 1) != 0;
    t->restarts = unpack_i32(u, 0, INT32_MAX);
    t->best_restart = unpack_i32(u, 0, INT32_MAX);
}

static void unpack_fitted(dm_unpacker *u, dm_fitted *f, int32_t lo, int32_t hi, int32_t d)
{
    const int32_t k = unpack_i32(u, 0, hi);
    if (k == 0 || u->bad) return;
    if (k < lo) u->bad = true;
    f->centroids = dm_unpack_f64s(u, (int64_t)k * d);
    f->k = k;
    f->d = d;
    unpack_trace(u, &f->trace);
}

static void unpack_position(dm_unpacker *u, dm_position *at, int32_t k, int32_t d)
{
    const int32_t there = unpack_i32(u, 0, k);
    if (there == 0 || u->bad) return;
    if (there != k || (int64_t)k * d > INT64_MAX / 8) {
        u->bad = true;
        return;
    }
    if (dm_position_start(at, k, d) != DEMARC_OK) {
        dm_unpack_no_memory(u);
        return;
    }
    at->restart = unpack_i32(u, 0, INT32_MAX);
    at->step = (dm_step)unpack_i32(u, 0, DM_STEPS - 1);
    at->level = unpack_i32(u, 0, INT32_MAX);
    at->pass = unpack_i32(u, 0, INT32_MAX);
    at->passed = dm_unpack_f64(u);
    at->attempt = unpack_i32(u, 0, INT32_MAX);
    if (at->step != DM_STEP_SEED) {
        (void)dm_unpack(u, at->centroids, (int64_t)k * d * 8);
        unpack_trace(u, &at->trace);
    }
    at->best_restart = unpack_i32(u, -1, at->restart - 1);
    if (at->best_restart < 0 || u->bad) return;
    at->best_objective = dm_unpack_f64(u);
    (void)dm_unpack(u, at->best, (int64_t)k * d * 8);
    unpack_trace(u, &at->best_trace);
}

static void unpack_record(dm_unpacker *u, dm_k_record *r, int32_t k)
{
    double *real[RECORD_REALS];
    record_reals(r, real);
    r->k = unpack_i32(u, k, k);
    for (int i = 0; i < RECORD_REALS; i++) *real[i] = dm_unpack_f64(u);
    char *failed = dm_unpack_text(u);
    if (failed != NULL) snprintf(r->failed, sizeof r->failed, "%s", failed);
    free(failed);
}

/* Do the parts belong together? */
static bool is_consistent(const dm_fit_state *s, const dm_position *at, int32_t lo, int32_t hi)
{
    const bool range = lo < hi, chosen = s->chosen.k != 0;
    if (at->k != 0 && (at->best_restart < 0) != (at->restart == 0)) return false;
    if ((s->phase == DM_FIT_ASSIGN) != chosen || (s->phase == DM_FIT_MEASURE) != (s->candidate.k != 0)) return false;
    if (!range && s->ks == 0) return s->phase == DM_FIT_SEARCH || s->phase == DM_FIT_ASSIGN;
    if ((s->best >= 0) != chosen || (chosen && s->tried[s->best].k != s->chosen.k)) return false;
    if (s->phase == DM_FIT_MEASURE && s->candidate.k != s->k) return false;
    return s->ks == (s->phase == DM_FIT_CHOOSE || s->phase == DM_FIT_ASSIGN ? hi - lo + 1 : s->k - lo);
}

demarc_status dm_fit_state_unpack(dm_fit_state *s, dm_position *at, dm_unpacker *u, int32_t lo, int32_t hi, int32_t d)
{
    demarc_status st = dm_fit_state_start(s, lo, hi);
    if (st != DEMARC_OK) return st;
    s->phase = (dm_fit_phase)unpack_i32(u, 0, DM_FIT_PHASES - 1);
    s->k = unpack_i32(u, lo, hi);
    s->ks = unpack_i32(u, 0, hi - lo + 1);
    for (int32_t i = 0; i < s->ks && !u->bad; i++) {
        unpack_record(u, &s->tried[i], lo + i);
        unpack_fitted(u, &s->kept[i], lo, hi, d);
        if (s->kept[i].k != 0 && s->kept[i].k != lo + i) u->bad = true;
    }
    s->best = unpack_i32(u, -1, s->ks - 1);
    s->criteria = unpack_i32(u, 0, s->records + 1);
    s->recommendation.gap_one = dm_unpack_f64(u);
    s->recommendation.gap_one_se = dm_unpack_f64(u);
    char *failure = dm_unpack_text(u);
    if (failure != NULL) snprintf(s->first_failure, sizeof s->first_failure, "%s", failure);
    free(failure);
    unpack_fitted(u, &s->chosen, lo, hi, d);
    unpack_fitted(u, &s->candidate, lo, hi, d);
    unpack_position(u, at, s->k, d);
    if (!u->bad && !is_consistent(s, at, lo, hi)) u->bad = true;
    return dm_unpack_verdict(u, "state of the fit");
}
