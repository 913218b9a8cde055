#include "boundary/sweep_figures.h"

#include <math.h>

#include "base/memory.h"

/* A remainder this small beside what it was taken from is the rounding of two sums over the same customers. */
#define NOTHING 0x1p-40

demarc_status dm_sweep_move_of(dm_sweep_move *v, const dm_sweep_rings *g, int32_t cut, int32_t outcomes)
{
    demarc_status st = DEMARC_OK;
    int64_t *number = NULL; /* [k] */
    int32_t *place = NULL;  /* [k] */
    *v = (dm_sweep_move){.rings = g, .cut = cut, .outcomes = outcomes};
    dm_sweep_movers_of(g, cut, &v->first, &v->end);
    DM_TRY(dm_alloc_zero(number, g->k, "movers"));
    DM_TRY(dm_alloc(place, g->k, "movers"));
    for (int32_t i = v->first; i < v->end; i++) {
        v->others += number[g->cell[i].other] == 0;
        number[g->cell[i].other] += g->cell[i].rows;
    }
    DM_TRY(dm_alloc(v->other, v->others, "movers"));
    DM_TRY(dm_alloc(v->number, v->others, "movers"));
    DM_TRY(dm_alloc(v->weight, v->others, "movers"));
    DM_TRY(dm_alloc(v->sum, v->others, "movers"));
    DM_TRY(dm_alloc(v->slot, v->end - v->first, "movers"));
    int32_t at = 0;
    for (int32_t l = 0; l < g->k; l++) {
        if (number[l] == 0) continue;
        v->other[at] = l;
        v->number[at] = number[l];
        place[l] = at++;
    }
    for (int32_t i = v->first; i < v->end; i++) v->slot[i - v->first] = place[g->cell[i].other];
cleanup:
    dm_free(number);
    dm_free(place);
    return st;
}

void dm_sweep_move_clear(dm_sweep_move *v)
{
    dm_free(v->other);
    dm_free(v->number);
    dm_free(v->weight);
    dm_free(v->sum);
    dm_free(v->slot);
    *v = (dm_sweep_move){0};
}

/* What is left of a sum of weights. */
static double rest_of(double whole, double part)
{
    const double rest = whole - part;
    return rest > NOTHING * whole ? rest : 0.0;
}

static double ratio(double sum, double weight) { return weight > 0.0 ? sum / weight : (double)NAN; }

/* W ybar^2 of a segment. */
static double between(double sum, double weight) { return weight > 0.0 ? sum * sum / weight : 0.0; }

static const double *base_of(const double *base, int32_t outcomes, int32_t segment, int32_t o)
{
    return base + ((int64_t)segment * outcomes + o) * DM_BASE_SUMS;
}

double dm_sweep_spread(const double *base, int32_t k, int32_t outcomes, int32_t o)
{
    double weight = 0.0, sum = 0.0, square = 0.0;
    for (int32_t j = 0; j < k; j++) {
        const double *s = base_of(base, outcomes, j, o);
        weight += s[DM_BASE_WEIGHT];
        sum += s[DM_BASE_SUM];
        square += s[DM_BASE_SQUARE];
    }
    return rest_of(square, between(sum, weight));
}

double dm_sweep_eta_squared(const double *base, int32_t k, int32_t outcomes, int32_t o)
{
    const double spread = dm_sweep_spread(base, k, outcomes, o);
    double weight = 0.0, sum = 0.0, all = 0.0;
    for (int32_t j = 0; j < k; j++) {
        const double *s = base_of(base, outcomes, j, o);
        weight += s[DM_BASE_WEIGHT];
        sum += s[DM_BASE_SUM];
        all += between(s[DM_BASE_SUM], s[DM_BASE_WEIGHT]);
    }
    const double rest = all - between(sum, weight);
    return spread > 0.0 ? (rest > 0.0 ? rest : 0.0) / spread : (double)NAN;
}

/* Weight and sum of outcome o of the movers, by other segment. */
static void gather(const dm_sweep_move *v, const double *ring, int32_t before, int32_t o)
{
    const int64_t values = 1 + 2 * (int64_t)v->outcomes;
    for (int32_t i = 0; i < v->others; i++) v->weight[i] = v->sum[i] = 0.0;
    for (int32_t i = v->first; i < v->end; i++) {
        const double *s = ring + (i - before) * values + 1 + 2 * (int64_t)o;
        const int32_t slot = v->slot[i - v->first];
        v->weight[slot] += s[0];
        v->sum[slot] += s[1];
    }
}

dm_sweep_figures dm_sweep_figures_of(const dm_sweep_move *v, const double *base, const double *ring, int32_t before,
                                     int32_t o, double spread)
{
    const dm_cut *cut = &v->rings->cut[v->cut];
    const bool grows = cut->shift > 0.0;
    const double *own = base_of(base, v->outcomes, cut->segment, o);
    double weight = 0.0, sum = 0.0, others = 0.0, change = 0.0;
    gather(v, ring, before, o);
    for (int32_t i = 0; i < v->others; i++) {
        const double *l = base_of(base, v->outcomes, v->other[i], o), w = v->weight[i], s = v->sum[i];
        const double stay = grows ? rest_of(l[DM_BASE_WEIGHT], w) : l[DM_BASE_WEIGHT];
        const double staying = grows ? l[DM_BASE_SUM] - s : l[DM_BASE_SUM];
        const double after = grows ? stay : stay + w, after_sum = grows ? staying : staying + s;
        weight += w;
        sum += s;
        if (w > 0.0) others += w * ratio(staying, stay);
        change += between(after_sum, after) - between(l[DM_BASE_SUM], l[DM_BASE_WEIGHT]);
    }
    const double stay = grows ? own[DM_BASE_WEIGHT] : rest_of(own[DM_BASE_WEIGHT], weight);
    const double staying = grows ? own[DM_BASE_SUM] : own[DM_BASE_SUM] - sum;
    const double after = grows ? stay + weight : stay, after_sum = grows ? staying + sum : staying;
    change += between(after_sum, after) - between(own[DM_BASE_SUM], own[DM_BASE_WEIGHT]);
    const double mine = ratio(staying, stay), theirs = ratio(others, weight);
    return (dm_sweep_figures){.movers = ratio(sum, weight),
                              .left = grows ? theirs : mine,
                              .joined = grows ? mine : theirs,
                              .eta_change = spread > 0.0 ? change / spread : (double)NAN};
}

double dm_sweep_objective_change(const dm_sweep_move *v, const double *ring, int32_t before)
{
    const int64_t values = 1 + 2 * (int64_t)v->outcomes;
    double change = 0.0;
    for (int32_t i = v->first; i < v->end; i++) change += ring[(i - before) * values];
    return change;
}

dm_sweep_support dm_sweep_support_of(const dm_sweep_move *v, const dm_sweep_base *base, const dm_sweep_ring_sums *ring,
                                     int32_t o)
{
    const dm_cut *cut = &v->rings->cut[v->cut];
    const bool grows = cut->shift > 0.0;
    const int64_t m = v->outcomes, before = v->rings->begin[ring->first], own = base->present[cut->segment * m + o];
    dm_sweep_support s = {0};
    int64_t others = 0;
    for (int32_t i = 0; i < v->others; i++) {
        int64_t moving = 0;
        for (int32_t c = v->first; c < v->end; c++) {
            if (v->slot[c - v->first] != i) continue;
            moving += ring->present[(c - before) * m + o];
            s.ones += ring->ones[(c - before) * m + o];
        }
        s.movers += moving;
        if (moving > 0) others += base->present[v->other[i] * m + o] - (grows ? moving : 0);
    }
    s.left = grows ? others : own - s.movers;
    s.joined = grows ? own : others;
    return s;
}
