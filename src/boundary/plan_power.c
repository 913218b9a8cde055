#include "boundary/plan_power.h"

#include <math.h>

#include "base/memory.h"
#include "base/row_blocks.h"
#include "stats/block_sums.h"
#include "stats/power.h"
#include "stats/weighted_mean.h"

#define EFFECT_RULE 0.1 /* of a standard deviation: Cohen's half of a small effect */
#define LIST_BYTES 200  /* of boundaries named in an error line */

/* ------------------------------------------------------------------------------------------------ the outcome's spread */

/* One set of customers for each boundary and a last one of all. */
typedef struct spread {
    int32_t sets;
    dm_block_sums sums; /* [sets, DM_MOMENTS], and customers with an outcome [sets] */
    double *centre;     /* [sets] */
} spread;

static void add_customer(const spread *s, int32_t set, double weight, double outcome)
{
    double *sum = s->sums.part[0] + (int64_t)set * DM_MOMENTS;
    dm_moments m = {.w = sum[0], .w2 = sum[1], .wy = sum[2], .w2y = sum[3], .w2y2 = sum[4]};
    dm_moments_add(&m, weight, outcome - s->centre[set]);
    sum[0] = m.w;
    sum[1] = m.w2;
    sum[2] = m.wy;
    sum[3] = m.w2y;
    sum[4] = m.w2y2;
    s->sums.count[0][set]++;
}

/* Moments about the centres, over all ranks. Collective. */
static demarc_status add_moments(spread *s, const dm_plan *p, dm_comm *comm)
{
    demarc_status st = DEMARC_OK;
    dm_block_sums_destroy(&s->sums);
    DM_TRY_ALL(comm, dm_block_sums_create(&s->sums, 1, (int64_t)s->sets * DM_MOMENTS, s->sets));
    for (int64_t i = 0; i < p->count; i++) {
        if (i > 0 && p->rows.row[i] / DM_BLOCK_ROWS != p->rows.row[i - 1] / DM_BLOCK_ROWS) {
            dm_block_sums_flush(&s->sums, 0);
        }
        if (isnan(p->outcome[i])) continue;
        add_customer(s, p->rows.boundary[i], (double)p->weight[i], p->outcome[i]);
        add_customer(s, s->sets - 1, (double)p->weight[i], p->outcome[i]);
    }
    dm_block_sums_flush(&s->sums, 0);
    dm_block_sums_reduce(&s->sums, comm);
cleanup:
    return st;
}

static dm_mean mean_of(const spread *s, int32_t set)
{
    const double *sum = s->sums.value + (int64_t)set * DM_MOMENTS;
    const dm_moments m = {.w = sum[0], .w2 = sum[1], .wy = sum[2], .w2y = sum[3], .w2y2 = sum[4]};
    return dm_mean_of(s->sums.number[set], &m, s->centre[set]);
}

/* Means of the outcome and its standard deviations by boundary, and over all in the report. */
static demarc_status measure(dm_plan *p, dm_comm *comm, const dm_plan_request *q)
{
    demarc_status st = DEMARC_OK;
    spread s = {.sets = p->report.boundaries + 1};
    p->report.outcome_sd = q->outcome_sd > 0.0 ? q->outcome_sd : (double)NAN;
    for (int32_t i = 0; i < p->report.boundaries; i++) {
        p->report.boundary[i].outcome_mean = (double)NAN;
        p->report.boundary[i].outcome_sd = p->report.outcome_sd;
    }
    if (q->outcome < 0) return DEMARC_OK;
    DM_TRY_ALL(comm, dm_alloc_zero(s.centre, s.sets, "outcomes"));
    DM_TRY(add_moments(&s, p, comm));
    for (int32_t i = 0; i < s.sets; i++) {
        const double mean = mean_of(&s, i).mean;
        s.centre[i] = isnan(mean) ? 0.0 : mean;
    }
    DM_TRY(add_moments(&s, p, comm));
    for (int32_t i = 0; i < s.sets; i++) {
        const dm_mean m = mean_of(&s, i);
        const double sd = q->outcome_sd > 0.0 ? q->outcome_sd : sqrt(m.variance * (double)m.n);
        if (i == s.sets - 1) {
            p->report.outcome_sd = sd;
        } else {
            p->report.boundary[i].outcome_mean = m.mean;
            p->report.boundary[i].outcome_sd = sd;
        }
    }
cleanup:
    dm_block_sums_destroy(&s.sums);
    dm_free(s.centre);
    return st;
}

/* ------------------------------------------------------------------------------------------------ power */

demarc_status dm_plan_size(dm_plan *p, dm_comm *comm, const dm_plan_request *q)
{
    dm_plan_report *report = &p->report;
    demarc_status st = measure(p, comm, q);
    if (st != DEMARC_OK) return st;
    if (!(report->outcome_sd > 0.0)) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "nothing to size the experiment by: the outcome does not vary among the customers in the bands: "
                       "name another (--outcome) or give its spread (--outcome-sd)");
    }
    report->effect = q->effect > 0.0 ? q->effect : EFFECT_RULE * report->outcome_sd;
    const dm_power_design design = {.alpha = q->alpha,
                                    .tests = report->head.tests,
                                    .switch_share = q->switch_share,
                                    .strata = report->distance_strata};
    for (int32_t i = 0; i < report->boundaries; i++) {
        dm_plan_boundary *b = &report->boundary[i];
        for (int s = 0; s < 2; s++) {
            const double se = dm_power_se(&design, b->side[s].customers, b->outcome_sd);
            b->side[s].power = dm_power_of(&design, b->side[s].customers, se, report->effect);
            b->side[s].mde = dm_power_mde(&design, b->side[s].customers, se, q->power);
            if (!(b->side[s].power >= q->power)) report->underpowered = true;
        }
    }
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ refusal */

static double smaller_arm(const dm_plan_report *p, const dm_plan_side *s)
{
    return (double)s->customers * fmin(p->switch_share, 1.0 - p->switch_share);
}

static bool large_enough(const dm_plan_report *p, const dm_plan_boundary *b, int64_t min_cell)
{
    return smaller_arm(p, &b->side[0]) >= (double)min_cell && smaller_arm(p, &b->side[1]) >= (double)min_cell;
}

static bool strong_enough(const dm_plan_report *p, const dm_plan_boundary *b)
{
    return b->side[0].power >= p->power && b->side[1].power >= p->power;
}

/*
 * The boundaries that are large enough, and strong enough where asked, ready for --boundaries: "" where there are none or too
 * many to name. Testing fewer only adds power, so a design of strong ones alone passes. @return how many
 */
static int32_t list_boundaries(const dm_plan_report *p, int64_t min_cell, bool strong, char text[LIST_BYTES])
{
    size_t used = 0;
    int32_t listed = 0;
    text[0] = 0;
    for (int32_t i = 0; i < p->boundaries; i++) {
        const dm_plan_boundary *b = &p->boundary[i];
        if (!large_enough(p, b, min_cell) || (strong && !strong_enough(p, b))) continue;
        listed++;
        if (used >= LIST_BYTES) continue;
        used += (size_t)snprintf(text + used, LIST_BYTES - used, "%s%d-%d", used == 0 ? "" : ",",
                                 (int)b->side[0].segment, (int)b->side[1].segment);
    }
    if (used >= LIST_BYTES) text[0] = 0;
    return listed;
}

/* Largest effect that a test of the boundaries that are large enough needs; NaN where one cannot be told. */
static double needed_effect(const dm_plan_report *p, int64_t min_cell)
{
    double most = 0.0;
    for (int32_t i = 0; i < p->boundaries; i++) {
        for (int s = 0; s < 2 && large_enough(p, &p->boundary[i], min_cell); s++) {
            const double mde = p->boundary[i].side[s].mde;
            if (isnan(mde)) return mde;
            most = fmax(most, mde);
        }
    }
    return most;
}

#define HELP_BYTES (2 * LIST_BYTES + 200)

/* What to do about it, as options. */
static void find_help(const dm_plan_report *p, int64_t min_cell, char help[HELP_BYTES])
{
    char strong[LIST_BYTES], large[LIST_BYTES], raise[LIST_BYTES + 64] = "";
    (void)list_boundaries(p, min_cell, true, strong);
    const int32_t usable = list_boundaries(p, min_cell, false, large);
    const double effect = needed_effect(p, min_cell);
    if (isfinite(effect) && effect > p->effect && (usable == p->boundaries || large[0] != 0)) {
        const bool all = usable == p->boundaries;
        snprintf(raise, sizeof raise, "%s%s%s--effect %.4g", all ? "" : "--boundaries ", all ? "" : large,
                 all ? "" : " ", 1.001 * effect);
    }
    if (strong[0] == 0 && raise[0] == 0) {
        snprintf(help, HELP_BYTES, "widen the band or test fewer boundaries (--boundaries); --force takes it as it is");
        return;
    }
    snprintf(help, HELP_BYTES, "%s%s%s%s would do, or a wider band; --force takes it as it is",
             strong[0] != 0 ? "--boundaries " : "", strong, strong[0] != 0 && raise[0] != 0 ? " or " : "", raise);
}

typedef struct test_place {
    const dm_plan_boundary *boundary;
    const dm_plan_side *side;
} test_place;

/* The test with fewest customers in an arm, and the one with least power (unknown is less than any), the first of equals. */
static void find_worst(const dm_plan_report *p, test_place *smallest, test_place *weakest)
{
    for (int32_t i = 0; i < p->boundaries; i++) {
        for (int s = 0; s < 2; s++) {
            const test_place here = {&p->boundary[i], &p->boundary[i].side[s]};
            if (smallest->side == NULL || here.side->customers < smallest->side->customers) *smallest = here;
            if (weakest->side == NULL || (isnan(here.side->power) && !isnan(weakest->side->power)) ||
                here.side->power < weakest->side->power) {
                *weakest = here;
            }
        }
    }
}

demarc_status dm_plan_check(const dm_plan_report *p, int64_t min_cell)
{
    test_place smallest = {0}, weakest = {0};
    char help[HELP_BYTES];
    find_worst(p, &smallest, &weakest);
    find_help(p, min_cell, help);
    if (smaller_arm(p, smallest.side) < (double)min_cell) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "too few customers: boundary %d-%d, side of segment %d: %.4g expected in an arm, --min-cell is "
                       "%lld: %s",
                       (int)smallest.boundary->side[0].segment, (int)smallest.boundary->side[1].segment,
                       (int)smallest.side->segment, smaller_arm(p, smallest.side), (long long)min_cell, help);
    }
    if (!p->underpowered) return DEMARC_OK;
    if (isnan(weakest.side->power)) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "power unknown: boundary %d-%d, the outcome does not vary among its customers in the band: %s",
                       (int)weakest.boundary->side[0].segment, (int)weakest.boundary->side[1].segment, help);
    }
    return dm_fail(
        DEMARC_ERR_IMPOSSIBLE,
        "underpowered: boundary %d-%d, side of segment %d: power %.3g to find an effect of %.4g, wanted %.3g (%lld "
        "tests): %s",
        (int)weakest.boundary->side[0].segment, (int)weakest.boundary->side[1].segment, (int)weakest.side->segment,
        weakest.side->power, p->effect, p->power, (long long)p->head.tests, help);
}
