#include "boundary/analyze.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/cell_sums.h"
#include "stats/line_fit.h"
#include "stats/post_stratified.h"

/* Counts of a cell, summed over ranks. */
typedef struct cell_count {
    int64_t assigned, observed, with_x, events; /* events: y == 1 */
} cell_count;
#define COUNTS 4

/* Means that the rows of a stratum are measured against; NaN where its side has no group of two rows in either arm. */
typedef struct center {
    int32_t group; /* number within the side; -1 = none */
    int64_t n[2];
    double y[2], x[2];     /* of the group, by arm; x after filling */
    double fill;           /* mean of x on the side: stands for a missing one */
    double theta;          /* of the side */
    double adjusted[2];    /* mean of y - theta (x - fill) */
    double line_x, line_g; /* means of signed distance and score over the boundary */
} center;

typedef struct analysis {
    const dm_experiment_facts *facts;
    int32_t strata, cells;
    bool pre;
    dm_cells rows;
    cell_count *count; /* [cells] */
    center *center;    /* [strata] */
    dm_line *line;     /* [boundaries] */
    double *sum;       /* [cells, DM_CELL_QUANTITIES] */
    double *squares;   /* [cells, 4]: yy, xx, xy about the means, yy after adjustment */
    double *first;     /* [cells, 3]: sums of y, x, margin */
    double *sxx;       /* [boundaries] */
} analysis;

static int32_t side_of(const analysis *a, int32_t stratum) { return stratum / a->facts->distance_strata; }
static int32_t boundary_of(const analysis *a, int32_t stratum) { return side_of(a, stratum) / 2; }
/* First stratum of a side, counted over all boundaries. */
static int32_t side_begin(const analysis *a, int32_t side) { return side * a->facts->distance_strata; }

/* Distance from the facet, positive where the boundary's second segment is. */
static double signed_distance(const analysis *a, int32_t stratum, const dm_joined_row *r)
{
    return (side_of(a, stratum) & 1) != 0 ? r->margin : -r->margin;
}

/* ------------------------------------------------------------------------------------------------ counts and means */

static void count_rows(analysis *a, const dm_joined_row *row, int64_t count, bool *binary)
{
    for (int64_t i = 0; i < count; i++) {
        const dm_joined_row *r = &row[i];
        cell_count *c = &a->count[2 * r->stratum + r->arm];
        c->assigned++;
        if (isnan(r->y)) continue;
        c->observed++;
        c->with_x += !isnan(r->x);
        c->events += r->y == 1.0;
        if (r->y != 0.0 && r->y != 1.0) *binary = false;
    }
}

static void first_sums(const void *context, int32_t cell, const dm_joined_row *r, double *v)
{
    (void)context;
    (void)cell;
    v[3] = r->propensity;
    if (isnan(r->y)) return;
    v[0] = r->y;
    v[1] = isnan(r->x) ? 0.0 : r->x;
    v[2] = r->margin;
    v[4] = r->propensity;
}

/* The checks that come before everything: was the experiment carried out as designed? */
static void check_design(const analysis *a, dm_analyze_report *r)
{
    int64_t arms[2] = {0, 0}, seen[2] = {0, 0};
    double switched[2] = {0.0, 0.0};
    for (int32_t c = 0; c < a->cells; c++) {
        arms[c & 1] += a->count[c].assigned;
        seen[c & 1] += a->count[c].observed;
        switched[0] += a->sum[5 * (int64_t)c + 3];
        switched[1] += a->sum[5 * (int64_t)c + 4];
    }
    const int64_t n = arms[0] + arms[1], observed = seen[0] + seen[1];
    const double of_all[2] = {(double)n - switched[0], switched[0]};
    const double of_seen[2] = {(double)observed - switched[1], switched[1]};
    const int64_t lost[2][2] = {{seen[0], arms[0] - seen[0]}, {seen[1], arms[1] - seen[1]}};
    r->assigned = dm_sample_ratio_test(2, arms, of_all);
    r->observed = dm_sample_ratio_test(2, seen, of_seen);
    r->attrition = dm_two_by_two_test(lost);
    r->missing = n - observed;
    r->ratio_passed = !(r->assigned.p < r->srm_alpha) && !(r->observed.p < r->srm_alpha);
    const bool few_missing = (double)r->missing <= r->max_attrition * (double)n;
    const bool even = !(r->attrition.p < r->srm_alpha);
    r->attrition_passed = few_missing && even;
    if (r->assigned.p < r->srm_alpha) {
        r->stopped = "sample ratio mismatch: the arms do not hold the customers that the design gives them";
    } else if (r->observed.p < r->srm_alpha) {
        r->stopped = "sample ratio mismatch among the customers with an outcome";
    } else if (!few_missing) {
        r->stopped = "attrition: too many customers have no outcome";
    } else if (!even) {
        r->stopped = "attrition: more outcomes are missing in one arm than in the other";
    }
}

/* Groups of a side's strata, and the means of y and x in them. */
static demarc_status center_side(analysis *a, int32_t side)
{
    demarc_status st = DEMARC_OK;
    const int32_t begin = side_begin(a, side), quantiles = a->facts->distance_strata;
    int64_t(*observed)[2] = NULL, with_x = 0;
    int32_t *group = NULL;
    double sum_x = 0.0;
    DM_TRY(dm_alloc(observed, quantiles, "strata"));
    DM_TRY(dm_alloc(group, quantiles, "strata"));
    for (int32_t q = 0; q < quantiles; q++) {
        for (int arm = 0; arm < 2; arm++) {
            const int32_t cell = 2 * (begin + q) + arm;
            observed[q][arm] = a->count[cell].observed;
            with_x += a->count[cell].with_x;
            sum_x += a->first[3 * (int64_t)cell + 1];
        }
    }
    const int32_t groups = dm_strata_merge(quantiles, observed, group);
    const double fill = with_x > 0 ? sum_x / (double)with_x : 0.0;
    for (int32_t q = 0, end = 0; q < quantiles; q = end) {
        center c = {.group = groups > 0 ? group[q] : -1, .fill = fill};
        double y[2] = {0.0, 0.0}, x[2] = {0.0, 0.0};
        for (end = q; end < quantiles && group[end] == group[q]; end++) {
            for (int arm = 0; arm < 2; arm++) {
                const int64_t cell = 2 * (begin + end) + arm;
                const cell_count *k = &a->count[cell];
                c.n[arm] += k->observed;
                y[arm] += a->first[3 * cell];
                x[arm] += a->first[3 * cell + 1] + fill * (double)(k->observed - k->with_x);
            }
        }
        for (int arm = 0; arm < 2; arm++) {
            c.y[arm] = y[arm] / (double)c.n[arm];
            c.x[arm] = x[arm] / (double)c.n[arm];
        }
        for (int32_t s = q; s < end; s++) a->center[begin + s] = c;
    }
cleanup:
    dm_free(observed);
    dm_free(group);
    return st;
}

/* ------------------------------------------------------------------------------------------------ squares and the covariate */

static double filled(const center *c, const dm_joined_row *r) { return isnan(r->x) ? c->fill : r->x; }

static bool counts(const center *c, const dm_joined_row *r) { return c->group >= 0 && !isnan(r->y); }

static void second_sums(const void *context, int32_t cell, const dm_joined_row *r, double *v)
{
    const analysis *a = context;
    const center *c = &a->center[cell / 2];
    if (!counts(c, r)) return;
    const double y = r->y - c->y[r->arm];
    v[0] = y * y;
    if (!a->pre) return;
    const double x = filled(c, r) - c->x[r->arm];
    v[1] = x * x;
    v[2] = x * y;
}

static double adjusted(const center *c, const dm_joined_row *r)
{
    return c->theta == 0.0 ? r->y : r->y - c->theta * (filled(c, r) - c->fill);
}

static void find_theta(analysis *a, int32_t side)
{
    const int32_t begin = side_begin(a, side), end = side_begin(a, side + 1);
    double cross = 0.0, squares = 0.0;
    for (int64_t cell = 2 * (int64_t)begin; cell < 2 * (int64_t)end; cell++) {
        squares += a->squares[4 * cell + 1];
        cross += a->squares[4 * cell + 2];
    }
    const double theta = a->pre ? dm_cuped_theta(cross, squares) : 0.0;
    for (int32_t s = begin; s < end; s++) {
        center *c = &a->center[s];
        c->theta = theta;
        for (int arm = 0; arm < 2; arm++) {
            c->adjusted[arm] = theta == 0.0 ? c->y[arm] : c->y[arm] - theta * (c->x[arm] - c->fill);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ the curve */

/* The score G: its mean at any distance is the effect there of being treated as the boundary's second segment. */
static double score(const analysis *a, int32_t stratum, const dm_joined_row *r)
{
    const center *c = &a->center[stratum];
    const bool second = (side_of(a, stratum) & 1) != 0, treated = second ? r->arm == 0 : r->arm == 1;
    const double e = second ? 1.0 - r->propensity : r->propensity;
    const double with = c->adjusted[second ? 0 : 1], without = c->adjusted[second ? 1 : 0];
    const double rest = adjusted(c, r) - ((1.0 - e) * with + e * without);
    return treated ? rest / e : -rest / (1.0 - e);
}

static void third_sums(const void *context, int32_t cell, const dm_joined_row *r, double *v)
{
    const analysis *a = context;
    const center *c = &a->center[cell / 2];
    if (!counts(c, r)) return;
    const double y = adjusted(c, r) - c->adjusted[r->arm];
    v[0] = y * y;
    v[1] = score(a, cell / 2, r);
    v[2] = signed_distance(a, cell / 2, r);
}

static void fourth_sums(const void *context, int32_t cell, const dm_joined_row *r, double *v)
{
    const analysis *a = context;
    const center *c = &a->center[cell / 2];
    if (!counts(c, r)) return;
    const double x = signed_distance(a, cell / 2, r) - c->line_x;
    v[0] = x * x;
    v[1] = x * (score(a, cell / 2, r) - c->line_g);
}

static void fifth_sums(const void *context, int32_t cell, const dm_joined_row *r, double *v)
{
    const analysis *a = context;
    const dm_line *line = &a->line[boundary_of(a, cell / 2)];
    if (!counts(&a->center[cell / 2], r) || isnan(line->slope)) return;
    const double x = signed_distance(a, cell / 2, r);
    const double u = dm_line_residual(line, x, score(a, cell / 2, r)), u2 = u * u;
    v[0] = u2;
    v[1] = u2 * (x - line->center);
    v[2] = u2 * (x - line->center) * (x - line->center);
}

/* Sum of quantity q over the cells of boundary b; customers that count in *n. */
static double boundary_sum(const analysis *a, int32_t b, int quantities, int q, int64_t *n)
{
    double sum = 0.0;
    if (n != NULL) *n = 0;
    for (int64_t cell = 2 * (int64_t)side_begin(a, 2 * b); cell < 2 * (int64_t)side_begin(a, 2 * b + 2); cell++) {
        sum += a->sum[cell * quantities + q];
        if (n != NULL && a->center[cell / 2].group >= 0) *n += a->count[cell].observed;
    }
    return sum;
}

static demarc_status fit_lines(analysis *a)
{
    demarc_status st = DEMARC_OK;
    const int32_t boundaries = a->facts->boundaries;
    for (int32_t b = 0; b < boundaries; b++) {
        int64_t n = 0;
        const double g = boundary_sum(a, b, 3, 1, &n), x = boundary_sum(a, b, 3, 2, NULL);
        for (int32_t s = side_begin(a, 2 * b); s < side_begin(a, 2 * b + 2); s++) {
            a->center[s].line_g = g / (double)n;
            a->center[s].line_x = x / (double)n;
        }
    }
    DM_TRY(dm_cells_sum(&a->rows, 2, fourth_sums, a, a->sum));
    for (int32_t b = 0; b < boundaries; b++) {
        int64_t n = 0;
        const center *c = &a->center[side_begin(a, 2 * b)];
        a->sxx[b] = boundary_sum(a, b, 2, 0, &n);
        a->line[b] = dm_line_of(n, c->line_x, c->line_g, a->sxx[b], boundary_sum(a, b, 2, 1, NULL));
    }
    DM_TRY(dm_cells_sum(&a->rows, 3, fifth_sums, a, a->sum));
    for (int32_t b = 0; b < boundaries; b++) {
        const double meat[3] = {boundary_sum(a, b, 3, 0, NULL), boundary_sum(a, b, 3, 1, NULL),
                                boundary_sum(a, b, 3, 2, NULL)};
        dm_line_spread(&a->line[b], a->sxx[b], meat);
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ filling the report */

/* The cells of one group of strata [begin, end): of y (`column` 0) or of y after adjustment (`column` 3). */
static void group_cells(const analysis *a, int32_t begin, int32_t end, int column, dm_arm_cell out[2])
{
    const center *c = &a->center[begin];
    for (int arm = 0; arm < 2; arm++) {
        out[arm] = (dm_arm_cell){.n = c->n[arm], .mean = column == 0 ? c->y[arm] : c->adjusted[arm]};
        for (int64_t s = begin; s < end; s++) out[arm].squares += a->squares[4 * (2 * s + arm) + column];
    }
}

/* End of the group of strata that begins at `begin`. */
static int32_t group_end(const analysis *a, int32_t side, int32_t begin)
{
    int32_t end = begin;
    while (end < side_begin(a, side + 1) && a->center[end].group == a->center[begin].group) end++;
    return end;
}

static demarc_status side_effect(const analysis *a, int32_t side, int column, dm_stratified *out)
{
    dm_arm_cell(*cell)[2] = NULL;
    int32_t groups = 0;
    demarc_status st = dm_alloc(cell, a->facts->distance_strata, "strata");
    if (st != DEMARC_OK) return st;
    for (int32_t s = side_begin(a, side); s < side_begin(a, side + 1); s = group_end(a, side, s)) {
        if (a->center[s].group >= 0) group_cells(a, s, group_end(a, side, s), column, cell[groups++]);
    }
    *out = dm_post_stratified(groups, cell);
    dm_free(cell);
    return DEMARC_OK;
}

static bool enough(const analysis *a, int32_t side, const dm_analyze_side *s, const dm_analyze_report *r)
{
    for (int arm = 0; arm < 2; arm++) {
        int64_t events = 0;
        for (int32_t k = side_begin(a, side); k < side_begin(a, side + 1); k++) events += a->count[2 * k + arm].events;
        if (s->n[arm] < r->min_cell) return false;
        if (r->binary && (events < r->min_events || s->n[arm] - events < r->min_events)) return false;
    }
    return true;
}

static demarc_status fill_side(const analysis *a, int32_t side, const dm_analyze_report *r, dm_analyze_side *s)
{
    demarc_status st = DEMARC_OK;
    dm_stratified adjusted = {0}, plain = {0};
    double sum[2] = {0.0, 0.0};
    s->segment = a->facts->segments[side];
    s->other = a->facts->segments[side ^ 1];
    for (int64_t cell = 2 * (int64_t)side_begin(a, side); cell < 2 * (int64_t)side_begin(a, side + 1); cell++) {
        s->customers += a->count[cell].assigned;
        s->n[cell & 1] += a->count[cell].observed;
        sum[cell & 1] += a->first[3 * cell];
    }
    for (int arm = 0; arm < 2; arm++) s->mean[arm] = sum[arm] / (double)s->n[arm]; /* NaN without rows */
    DM_TRY(side_effect(a, side, 0, &plain));
    DM_TRY(side_effect(a, side, 3, &adjusted));
    s->effect = dm_estimate_of_student(adjusted.effect, adjusted.variance, adjusted.freedom, r->head.alpha);
    s->unadjusted = dm_estimate_of_student(plain.effect, plain.variance, plain.freedom, r->head.alpha);
    s->freedom = adjusted.freedom;
    s->anytime =
        dm_confidence_sequence(adjusted.effect, adjusted.variance, s->n[0] + s->n[1], s->customers, r->head.alpha);
    s->cuped = a->pre;
    s->theta = a->center[side_begin(a, side)].theta;
    s->variance_reduction = 1.0 - adjusted.variance / plain.variance;
    s->p = enough(a, side, s, r) ? dm_estimate_p_student(&s->effect, s->freedom) : (double)NAN;
    s->verdict = isnan(s->p) ? DM_NOT_ENOUGH : DM_UNDECIDED;
    if (isnan(s->p)) s->anytime.p = (double)NAN;
cleanup:
    return st;
}

static demarc_status fill_points(const analysis *a, int32_t b, dm_analyze_boundary *out)
{
    demarc_status st = dm_alloc(out->point, 2 * (int64_t)a->facts->distance_strata, "points");
    if (st != DEMARC_OK) return st;
    for (int32_t side = 2 * b; side < 2 * b + 2; side++) {
        for (int32_t s = side_begin(a, side), end = s; s < side_begin(a, side + 1); s = end) {
            dm_arm_cell cell[2];
            double margins = 0.0;
            end = group_end(a, side, s);
            if (a->center[s].group < 0) continue;
            group_cells(a, s, end, 3, cell);
            const dm_stratified here = dm_post_stratified(1, (const dm_arm_cell(*)[2]) & cell);
            for (int64_t k = 2 * (int64_t)s; k < 2 * (int64_t)end; k++) margins += a->first[3 * k + 2];
            const double n = (double)(cell[0].n + cell[1].n), sign = (side & 1) != 0 ? 1.0 : -1.0;
            out->point[out->points++] = (dm_analyze_point){.side = side & 1,
                                                           .first = s,
                                                           .last = end - 1,
                                                           .distance = sign * margins / n,
                                                           .effect = -sign * here.effect,
                                                           .se = sqrt(here.variance),
                                                           .n = cell[0].n + cell[1].n};
        }
    }
    return DEMARC_OK;
}

static demarc_status fill_boundary(const analysis *a, int32_t b, const dm_analyze_report *r, dm_analyze_boundary *out)
{
    demarc_status st = DEMARC_OK;
    const dm_line *line = &a->line[b];
    dm_crossing crossing = {(double)NAN, (double)NAN, (double)NAN};
    memcpy(out->segments, a->facts->segments + 2 * (int64_t)b, sizeof out->segments);
    out->gap = a->facts->gap[b];
    out->band = a->facts->band[b];
    for (int side = 0; side < 2; side++) {
        dm_analyze_side *s = &out->side[side];
        DM_TRY(fill_side(a, 2 * b + side, r, s));
        out->customers += s->customers;
        out->observed += s->n[0] + s->n[1];
    }
    DM_TRY(fill_points(a, b, out));
    out->intercept = dm_estimate_of(line->intercept, line->vaa, r->head.alpha);
    out->slope = dm_estimate_of(line->slope, line->vbb, r->head.alpha);
    out->covariance = line->vab;
    out->crosses = dm_line_crossing(line, r->head.alpha, &crossing);
    out->crossing = crossing.value;
    out->crossing_low = crossing.low;
    out->crossing_high = crossing.high;
cleanup:
    return st;
}

/* Adjust the p-values of all sides together; a stopped experiment has none. */
static demarc_status judge(dm_analyze_report *r)
{
    demarc_status st = DEMARC_OK;
    double *p = NULL;
    const int64_t sides = 2 * (int64_t)r->boundaries;
    DM_TRY(dm_alloc(p, sides, "p-values"));
    for (int64_t i = 0; i < sides; i++) {
        dm_analyze_side *s = &r->boundary[i / 2].side[i % 2];
        if (r->stopped != NULL) {
            s->p = s->anytime.p = (double)NAN;
            s->verdict = DM_VERDICT_NONE;
        }
        p[i] = s->p;
    }
    DM_TRY(dm_adjust_p(r->head.adjust, p, sides, p, &r->head.tests));
    for (int64_t i = 0; i < sides; i++) {
        dm_analyze_side *s = &r->boundary[i / 2].side[i % 2];
        s->p_adjusted = p[i];
        if (p[i] <= r->head.alpha) s->verdict = s->effect.value > 0.0 ? DM_HELPS : DM_HURTS;
    }
cleanup:
    dm_free(p);
    return st;
}

static demarc_status fill_report(const analysis *a, dm_analyze_report *r)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc_zero(r->boundary, a->facts->boundaries, "result"));
    r->boundaries = a->facts->boundaries;
    for (int32_t b = 0; b < r->boundaries; b++) DM_TRY(fill_boundary(a, b, r, &r->boundary[b]));
    DM_TRY(judge(r));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static demarc_status create(analysis *a, dm_comm *comm, int threads, dm_joined_row *row, int64_t count)
{
    demarc_status st = DEMARC_OK;
    if (a->facts->boundaries > INT32_MAX / 8 / a->facts->distance_strata) {
        return dm_fail(DEMARC_ERR_DATA, "too many strata: %d boundaries x 2 x %d: analyze: plan fewer",
                       (int)a->facts->boundaries, (int)a->facts->distance_strata);
    }
    a->strata = 2 * a->facts->boundaries * a->facts->distance_strata;
    a->cells = 2 * a->strata;
    DM_TRY(dm_alloc_zero(a->count, a->cells, "cells"));
    DM_TRY(dm_alloc_zero(a->center, a->strata, "cells"));
    DM_TRY(dm_alloc_zero(a->line, a->facts->boundaries, "cells"));
    DM_TRY(dm_alloc_zero(a->sxx, a->facts->boundaries, "cells"));
    DM_TRY(dm_alloc_zero(a->sum, (int64_t)a->cells * DM_CELL_QUANTITIES, "cells"));
    DM_TRY(dm_alloc_zero(a->squares, (int64_t)a->cells * 4, "cells"));
    DM_TRY(dm_alloc_zero(a->first, (int64_t)a->cells * 3, "cells"));
    DM_TRY(dm_cells_create(&a->rows, comm, threads, a->strata, row, count));
cleanup:
    return st;
}

static demarc_status center_all(analysis *a)
{
    demarc_status st = DEMARC_OK;
    for (int64_t cell = 0; cell < a->cells; cell++) memcpy(a->first + 3 * cell, a->sum + 5 * cell, 3 * sizeof(double));
    for (int32_t side = 0; side < 2 * a->facts->boundaries; side++) DM_TRY(center_side(a, side));
cleanup:
    return st;
}

demarc_status dm_analyze(dm_comm *comm, int threads, const dm_experiment_facts *facts, dm_joined_row *row,
                         int64_t count, bool pre, dm_analyze_report *r)
{
    demarc_status st = DEMARC_OK;
    analysis a = {.facts = facts, .pre = pre};
    bool binary = true;
    DM_TRY_ALL(comm, create(&a, comm, threads, row, count));
    count_rows(&a, row, count, &binary);
    int64_t other_values = !binary;
    dm_comm_max_i64(comm, &other_values, 1);
    r->binary = other_values == 0;
    _Static_assert(sizeof(cell_count) == COUNTS * sizeof(int64_t), "counts are summed as an array");
    dm_comm_sum_i64(comm, (int64_t *)a.count, (int64_t)a.cells * COUNTS);

    DM_TRY(dm_cells_sum(&a.rows, 5, first_sums, &a, a.sum));
    check_design(&a, r);
    DM_TRY_ALL(comm, center_all(&a));

    DM_TRY(dm_cells_sum(&a.rows, 3, second_sums, &a, a.sum));
    for (int64_t c = 0; c < a.cells; c++) memcpy(a.squares + 4 * c, a.sum + 3 * c, 3 * sizeof(double));
    for (int32_t side = 0; side < 2 * facts->boundaries; side++) find_theta(&a, side);

    DM_TRY(dm_cells_sum(&a.rows, 3, third_sums, &a, a.sum));
    for (int64_t c = 0; c < a.cells; c++) a.squares[4 * c + 3] = a.sum[3 * c];
    DM_TRY(fit_lines(&a));
    DM_TRY_ALL(comm, fill_report(&a, r));
cleanup:
    dm_cells_destroy(&a.rows);
    dm_free(a.count);
    dm_free(a.center);
    dm_free(a.line);
    dm_free(a.sxx);
    dm_free(a.sum);
    dm_free(a.squares);
    dm_free(a.first);
    return st;
}
