#include "diagnosis/calibration.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "diagnosis/windows.h"
#include "stats/block_sums.h"
#include "stats/distributions.h"
#include "stats/multiplicity.h"
#include "stats/weighted_mean.h"

enum { WYY = DM_MOMENTS, SUMS }; /* after the moments: sum w (y - centre)^2 */

/* Groups of customers whose means are wanted: everybody, the k segments, on the new side then the stayers of each. */
typedef struct calibrator {
    const dm_compared *c;
    const dm_pairing *pairing;
    const int32_t *const *label;
    const int32_t *before;
    int32_t outcomes;
    int32_t *column[2]; /* [outcomes] of each file */
    double *centre;     /* [outcomes] */
    double *sd;         /* [outcomes] of all old customers */
    int side;
    int32_t groups;
    dm_block_sums sums; /* [groups, outcomes] */
    dm_mean *mean[2];   /* [groups, outcomes] */
} calibrator;

static int32_t groups_of(const calibrator *p, int side) { return 1 + (side == 0 ? 1 : 2) * p->pairing->k[side]; }

static void add_row(calibrator *p, int thread, int32_t group, const double *y, double w)
{
    for (int32_t o = 0; o < p->outcomes; o++) {
        const double value = y[p->column[p->side][o]], centred = value - p->centre[o];
        const int64_t cell = (int64_t)group * p->outcomes + o;
        if (isnan(value) || w == 0.0) continue;
        double *sum = p->sums.part[thread] + cell * SUMS;
        dm_moments m;
        memcpy(&m, sum, sizeof m);
        dm_moments_add(&m, w, centred);
        memcpy(sum, &m, sizeof m);
        sum[WYY] += w * centred * centred;
        p->sums.count[thread][cell]++;
    }
}

static void add_block(void *context, int thread, const dm_window *v, int64_t begin, int64_t end)
{
    calibrator *p = context;
    const int32_t k = p->pairing->k[p->side];
    for (int64_t r = begin; r < end; r++) {
        const double *y = v->y + r * v->outcomes, w = v->w != NULL ? (double)v->w[r] : 1.0;
        const int64_t i = v->at + r;
        const int32_t j = p->label[p->side][i];
        add_row(p, thread, 0, y, w);
        add_row(p, thread, 1 + j, y, w);
        if (p->side == 1 && p->before[i] >= 0 && p->pairing->partner[1][j] == p->before[i])
            add_row(p, thread, 1 + k + j, y, w);
    }
    dm_block_sums_flush(&p->sums, thread);
}

static demarc_status add_window(void *context, const dm_window *v)
{
    dm_window_blocks(((calibrator *)context)->c, v, add_block, context);
    return DEMARC_OK;
}

/* Sums of one side about the centres. Collective. */
static demarc_status read_side(calibrator *p, int side)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)groups_of(p, side) * p->outcomes;
    p->side = side;
    dm_block_sums_destroy(&p->sums);
    DM_TRY_ALL(p->c->comm, dm_block_sums_create(&p->sums, p->c->threads, cells * SUMS, cells));
    DM_TRY_ALL(p->c->comm, dm_windows(p->c, side, DM_WINDOW_OUTCOMES, add_window, p));
    dm_block_sums_reduce(&p->sums, p->c->comm);
    for (int64_t cell = 0; cell < cells; cell++) {
        dm_moments m;
        memcpy(&m, p->sums.value + cell * SUMS, sizeof m);
        p->mean[side][cell] = dm_mean_of(p->sums.number[cell], &m, p->centre[cell % p->outcomes]);
    }
cleanup:
    return st;
}

/* Everybody's old mean becomes the centre; the spread is then taken about it. Collective. */
static demarc_status read_both(calibrator *p)
{
    demarc_status st = read_side(p, 0);
    if (st != DEMARC_OK) return st;
    for (int32_t o = 0; o < p->outcomes; o++) {
        p->centre[o] = p->sums.number[o] > 0 ? p->mean[0][o].mean : 0.0;
    }
    DM_TRY(read_side(p, 0));
    for (int32_t o = 0; o < p->outcomes; o++) {
        const double *sum = p->sums.value + (int64_t)o * SUMS, w = sum[0], shift = sum[2] / w;
        p->sd[o] = w > 0.0 ? sqrt(fmax(0.0, sum[WYY] / w - shift * shift)) : (double)NAN;
    }
    DM_TRY(read_side(p, 1));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ tests */

typedef struct contrast {
    dm_estimate difference;
    double p, equivalence_p;
} contrast;

/*
 * a - b, and whether it lies within the margin. NaN where a mean or its variance is undefined, and where neither side
 * varies: an outcome that never varied tells nothing of how sure its mean is.
 */
static contrast contrast_of(const dm_mean *a, const dm_mean *b, double margin, double alpha)
{
    const double va = a->variance, vb = b->variance, v = va + vb, d = a->mean - b->mean;
    contrast t = {.p = (double)NAN, .equivalence_p = (double)NAN};
    const double freedom = v * v / (va * va / (double)(a->n - 1) + vb * vb / (double)(b->n - 1));
    t.difference = dm_estimate_of_student(d, v, freedom, alpha);
    if (!(v > 0.0)) return t;
    const double se = t.difference.se;
    t.p = dm_estimate_p_student(&t.difference, freedom);
    t.equivalence_p = fmax(dm_student_cdf(-(d + margin) / se, freedom), dm_student_cdf((d - margin) / se, freedom));
    return t;
}

static const char *word_of(const dm_compare_expectation *e, double alpha)
{
    if (e->equivalence_p_adjusted <= alpha) return "as expected";
    return e->p_adjusted <= alpha ? "shifted" : "undecided";
}

static demarc_status judge_segments(const calibrator *p, dm_compare_report *r)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = (int64_t)r->pairs * p->outcomes;
    const int32_t k = p->pairing->k[1];
    double *v = NULL;
    DM_TRY(dm_alloc(v, 2 * cells, "calibration"));
    for (int64_t cell = 0; cell < cells; cell++) {
        const int32_t o = (int32_t)(cell % p->outcomes), new = r->pair_segment[cell / p->outcomes];
        const dm_mean *b = &p->mean[0][(int64_t)(1 + p->pairing->partner[1][new]) * p->outcomes + o];
        const dm_mean *a = &p->mean[1][(int64_t)(1 + new) * p->outcomes + o];
        const dm_mean *stayers = &p->mean[1][(int64_t)(1 + k + new) * p->outcomes + o];
        const contrast t = contrast_of(a, b, r->margin_of[o], r->alpha);
        r->expectation[cell] = (dm_compare_expectation){.expected = b->mean,
                                                        .actual = a->mean,
                                                        .difference = t.difference.value,
                                                        .low = t.difference.low,
                                                        .high = t.difference.high,
                                                        .expected_customers = b->n,
                                                        .customers = a->n,
                                                        .p = t.p,
                                                        .equivalence_p = t.equivalence_p,
                                                        .stayers = stayers->n,
                                                        .stayers_actual = stayers->mean};
        v[2 * cell] = t.p;
        v[2 * cell + 1] = t.equivalence_p;
    }
    DM_TRY(dm_adjust_p(DM_ADJUST_HOLM, v, 2 * cells, v, &r->calibration_tests));
    for (int64_t cell = 0; cell < cells; cell++) {
        r->expectation[cell].p_adjusted = v[2 * cell];
        r->expectation[cell].equivalence_p_adjusted = v[2 * cell + 1];
        r->expectation[cell].word = word_of(&r->expectation[cell], r->alpha);
    }
cleanup:
    dm_free(v);
    return st;
}

/* ------------------------------------------------------------------------------------------------ advice */

__attribute__((format(printf, 5, 6))) static demarc_status advise(dm_compare_report *r, int32_t a, int32_t b,
                                                                  const char *advice, const char *fmt, ...)
{
    va_list args;
    dm_compare_advice *v = &r->advice[r->advices];
    *v = (dm_compare_advice){.segment = a, .other = b, .advice = advice, .p_adjusted = (double)NAN};
    va_start(args, fmt);
    const int length = vasprintf(&v->why, fmt, args);
    va_end(args);
    if (length < 0) {
        v->why = NULL;
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: advice: free some memory");
    }
    r->advices++;
    return DEMARC_OK;
}

/* Of the shifted outcomes the one that is furthest from what was expected, in margins. */
static demarc_status advise_segment(const calibrator *p, dm_compare_report *r, int32_t new)
{
    const int32_t pair = p->pairing->pair[1][new];
    int32_t shifted = 0, expected = 0, worst = -1;
    double furthest = -1.0;
    if (pair < 0) return advise(r, new, -1, "keep", "born in this run: nothing was expected of it");
    const dm_compare_expectation *e = &r->expectation[(int64_t)pair * p->outcomes];
    for (int32_t o = 0; o < p->outcomes; o++) {
        const double far = fabs(e[o].difference) / r->margin_of[o];
        expected += strcmp(e[o].word, "as expected") == 0;
        if (strcmp(e[o].word, "shifted") != 0) continue;
        shifted++;
        if (!(far > furthest)) continue;
        furthest = far;
        worst = o;
    }
    if (shifted > 0) {
        const int32_t o = worst >= 0 ? worst : 0;
        return advise(r, new, -1, "redefine", "%s is %.6g where %.6g was expected (%d of %d outcomes shifted)",
                      r->outcome.item[o], e[o].actual, e[o].expected, (int)shifted, (int)p->outcomes);
    }
    if (expected == p->outcomes) return advise(r, new, -1, "keep", "every outcome is as expected");
    return advise(r, new, -1, "keep", "no outcome is shifted (%d of %d as expected, the others undecided)",
                  (int)expected, (int)p->outcomes);
}

/* Largest p of equivalence over the outcomes of two new segments. */
static double pair_p(const calibrator *p, const dm_compare_report *r, int32_t a, int32_t b)
{
    double largest = 0.0;
    for (int32_t o = 0; o < p->outcomes; o++) {
        const contrast t = contrast_of(&p->mean[1][(int64_t)(1 + a) * p->outcomes + o],
                                       &p->mean[1][(int64_t)(1 + b) * p->outcomes + o], r->margin_of[o], r->alpha);
        if (isnan(t.equivalence_p)) return (double)NAN;
        largest = fmax(largest, t.equivalence_p);
    }
    return largest;
}

static demarc_status advise_all(const calibrator *p, dm_compare_report *r)
{
    demarc_status st = DEMARC_OK;
    const int32_t k = p->pairing->k[1];
    const int64_t pairs = (int64_t)k * (k - 1) / 2;
    double *v = NULL;
    int64_t i = 0;
    DM_TRY(dm_alloc(v, pairs, "advice"));
    DM_TRY(dm_alloc_zero(r->advice, pairs + k, "advice"));
    for (int32_t a = 0; a < k; a++) {
        for (int32_t b = a + 1; b < k; b++) v[i++] = pair_p(p, r, a, b);
    }
    DM_TRY(dm_adjust_p(DM_ADJUST_HOLM, v, pairs, v, &r->merge_tests));
    i = 0;
    for (int32_t a = 0; a < k; a++) {
        for (int32_t b = a + 1; b < k; b++, i++) {
            if (!(v[i] <= r->alpha)) continue;
            DM_TRY(advise(r, a, b, "merge", "equal within %g standard deviations in every outcome (%d)", r->margin,
                          (int)p->outcomes));
            r->advice[r->advices - 1].p_adjusted = v[i];
        }
    }
    for (int32_t j = 0; j < k; j++) DM_TRY(advise_segment(p, r, j));
cleanup:
    dm_free(v);
    return st;
}

/* ------------------------------------------------------------------------------------------------ together */

static demarc_status start(calibrator *p, dm_compare_report *r)
{
    demarc_status st = DEMARC_OK;
    const dm_strings *old = &dm_customers_schema(p->c->run[0].customers)->outcome;
    const dm_strings *new = &dm_customers_schema(p->c->run[1].customers)->outcome;
    for (int side = 0; side < 2; side++) DM_TRY(dm_alloc(p->column[side], old->count, "outcomes"));
    for (int32_t o = 0; o < old->count; o++) {
        const int32_t there = dm_strings_find(new, old->item[o]);
        if (there < 0) continue;
        p->column[0][p->outcomes] = o;
        p->column[1][p->outcomes++] = there;
        DM_TRY(dm_strings_add(&r->outcome, old->item[o]));
    }
    if (p->outcomes == 0) return DEMARC_OK;
    for (int side = 0; side < 2; side++) {
        DM_TRY(dm_customers_use_outcomes(p->c->run[side].customers, p->outcomes, p->column[side]));
        DM_TRY(dm_alloc(p->mean[side], (int64_t)groups_of(p, side) * p->outcomes, "outcomes"));
    }
    DM_TRY(dm_alloc_zero(p->centre, p->outcomes, "outcomes"));
    DM_TRY(dm_alloc_zero(p->sd, p->outcomes, "outcomes"));
    DM_TRY(dm_alloc_zero(r->margin_of, p->outcomes, "outcomes"));
    DM_TRY(dm_alloc_zero(r->expectation, (int64_t)r->pairs * p->outcomes, "outcomes"));
cleanup:
    return st;
}

demarc_status dm_calibration(const dm_compared *c, const dm_pairing *pairing, const int32_t *const label[2],
                             const int32_t *before, dm_compare_report *r)
{
    demarc_status st = DEMARC_OK;
    calibrator p = {.c = c, .pairing = pairing, .label = label, .before = before};
    DM_TRY_ALL(c->comm, start(&p, r));
    if (p.outcomes == 0) goto cleanup;
    DM_TRY(read_both(&p));
    for (int32_t o = 0; o < p.outcomes; o++) r->margin_of[o] = r->margin * p.sd[o];
    st = judge_segments(&p, r);
    if (st == DEMARC_OK) st = advise_all(&p, r);
    DM_TRY_ALL(c->comm, st);
cleanup:
    dm_block_sums_destroy(&p.sums);
    for (int side = 0; side < 2; side++) {
        dm_free(p.column[side]);
        dm_free(p.mean[side]);
    }
    dm_free(p.centre);
    dm_free(p.sd);
    return st;
}
