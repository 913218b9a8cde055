#include "boundary/sweep.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "boundary/exploratory.h"
#include "boundary/sweep_figures.h"
#include "boundary/sweep_keep.h"
#include "stats/distributions.h"
#include "stats/percentile.h"

#define BATCH_CELLS 1024   /* ring cells summed in one pass, but at least those of one segment */
#define BATCH_VALUES 16384 /* and at most this many sums */
#define SPREADLESS 0x1p-34 /* a standard error below this share of the largest outcome is rounding (replicate_sums.h) */

/* A figure per replicate of each cut in the batch: the change of the objective, then dm_sweep_figures of each outcome. */
enum { DRAW_MOVERS, DRAW_LEFT, DRAW_JOINED, DRAW_ETA, DRAW_FIGURES };

typedef struct sweep_run {
    const dm_frozen *f;
    const dm_sweep_options *o;
    dm_sweep_report *report;
    dm_sweep_view view;
    dm_cut *cut; /* [k, shifts], and o->also */
    dm_cuts *cuts;
    dm_sweep_rings rings;
    int32_t m;
    dm_sweep_basics *basics; /* [m] */
    dm_sweep_base base;
    double *largest; /* [m] of |y - centre| w */
    /* Rank 0. */
    double *base_draw;      /* [replicates, k, m, DM_BASE_SUMS] */
    double *spread;         /* [replicates, m] */
    double *p, *p_adjusted; /* [k, shifts, m] */
    /* The batch at hand. */
    dm_sweep_ring_sums ring;
    dm_sweep_move *move; /* [cuts of it] */
    double *draw;        /* [cuts of it][1 + DRAW_FIGURES m][replicates] */
    double *scratch;     /* [2, replicates] */
    /* What is done, the same on all ranks. */
    dm_sweep_draws base_draws, ring_draws;
    int32_t batch; /* first segment of the batch at hand: those before are told */
} sweep_run;

static bool is_root(const sweep_run *s) { return dm_comm_rank(s->f->comm) == 0; }
static int32_t cut_count(const sweep_run *s) { return s->f->model->k * s->o->shifts; }
static int64_t base_sums(const sweep_run *s) { return (int64_t)s->f->model->k * s->m * DM_BASE_SUMS; }

/* ------------------------------------------------------------------------------------------------ draws */

static void find_spread(sweep_run *s, int32_t replicate)
{
    const double *sum = s->base_draw + replicate * base_sums(s);
    for (int32_t o = 0; o < s->m; o++)
        s->spread[(int64_t)replicate * s->m + o] = dm_sweep_spread(sum, s->f->model->k, s->m, o);
}

static void take_base(void *context, int32_t replicate, const double *sum)
{
    sweep_run *s = context;
    double *to = s->base_draw + replicate * base_sums(s);
    memcpy(to, sum, (size_t)base_sums(s) * sizeof *to);
    find_spread(s, replicate);
}

/* Place of figure `figure` of cut `at` of the batch. */
static double *draws_of(const sweep_run *s, int32_t at, int32_t figure)
{
    return s->draw + ((int64_t)at * (1 + DRAW_FIGURES * s->m) + figure) * s->o->replicates;
}

static void take_ring(void *context, int32_t replicate, const double *sum)
{
    sweep_run *s = context;
    const int32_t before = s->rings.begin[s->ring.first], first = s->ring.first * s->o->shifts;
    const double *base = s->base_draw + replicate * base_sums(s);
    for (int32_t c = first; c < s->ring.end * s->o->shifts; c++) {
        if (!s->cut[c].possible) continue;
        const dm_sweep_move *move = &s->move[c - first];
        draws_of(s, c - first, 0)[replicate] = dm_sweep_objective_change(move, sum, before);
        for (int32_t o = 0; o < s->m; o++) {
            const dm_sweep_figures v =
                dm_sweep_figures_of(move, base, sum, before, o, s->spread[(int64_t)replicate * s->m + o]);
            const int32_t at = 1 + DRAW_FIGURES * o;
            draws_of(s, c - first, at + DRAW_MOVERS)[replicate] = v.movers;
            draws_of(s, c - first, at + DRAW_LEFT)[replicate] = v.left;
            draws_of(s, c - first, at + DRAW_JOINED)[replicate] = v.joined;
            draws_of(s, c - first, at + DRAW_ETA)[replicate] = v.eta_change;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ one cut */

/* `shift` is added to all three numbers. Spoils the order of the draws. */
static dm_sweep_interval interval_of(const sweep_run *s, double value, double *draw, double shift)
{
    dm_sweep_interval v = {value + shift, (double)NAN, (double)NAN};
    if (s->o->replicates == 0) return v;
    dm_percentile_interval(draw, s->o->replicates, s->o->alpha, &v.low, &v.high);
    v.low += shift;
    v.high += shift;
    return v;
}

/* Standard error of a x movers + b x left + c x joined; NaN where there is none. */
static double error_of(const sweep_run *s, const double *movers, const double *left, const double *joined, double a,
                       double b, double c, double largest)
{
    for (int32_t i = 0; i < s->o->replicates; i++) {
        /* Undefined where any of the three is, also where its factor is 0. */
        s->scratch[i] = a * movers[i] + b * left[i] + c * joined[i];
    }
    const double se = dm_replicate_sd(s->scratch, s->o->replicates);
    return se > SPREADLESS * largest ? se : se >= 0.0 ? 0.0 : (double)NAN;
}

static bool is_binary(const dm_sweep_basics *b) { return b->zeros + b->ones == b->present; }

static bool enough(const sweep_run *s, const dm_sweep_support *n, const dm_sweep_basics *b)
{
    const int64_t cell = s->o->min_cell, events = s->o->min_events;
    if (n->movers < cell || n->left < cell || n->joined < cell) return false;
    return !is_binary(b) || (n->ones >= events && n->movers - n->ones >= events);
}

static void tell_effect(sweep_run *s, int32_t at, int32_t o, dm_sweep_effect *e, double *p)
{
    const dm_sweep_move *move = &s->move[at];
    const dm_sweep_basics *basics = &s->basics[o];
    const int32_t k = s->f->model->k, figure = 1 + DRAW_FIGURES * o;
    const dm_sweep_support n = dm_sweep_support_of(move, &s->base, &s->ring, o);
    const dm_sweep_figures v = dm_sweep_figures_of(move, s->base.sum, s->ring.sum, s->rings.begin[s->ring.first], o,
                                                   dm_sweep_spread(s->base.sum, k, s->m, o));
    double *movers = draws_of(s, at, figure + DRAW_MOVERS), *left = draws_of(s, at, figure + DRAW_LEFT);
    double *joined = draws_of(s, at, figure + DRAW_JOINED), *eta = draws_of(s, at, figure + DRAW_ETA);
    *e = (dm_sweep_effect){.n = n.movers, .p = (double)NAN, .p_adjusted = (double)NAN};
    const double difference = isnan(v.movers) ? (double)NAN : v.joined - v.left; /* both or neither are told */
    e->difference = (dm_sweep_contrast){difference, (double)NAN};
    e->contrast = (dm_sweep_contrast){2.0 * v.movers - v.left - v.joined, (double)NAN};
    if (s->o->replicates > 0) {
        e->difference.se = error_of(s, movers, left, joined, 0.0, -1.0, 1.0, s->largest[o]);
        e->contrast.se = error_of(s, movers, left, joined, 2.0, -1.0, -1.0, s->largest[o]);
        if (enough(s, &n, basics) && e->difference.se > 0.0 && e->contrast.se > 0.0) {
            e->p = fmax(dm_normal_two_sided(e->difference.value / e->difference.se),
                        dm_normal_two_sided(e->contrast.value / e->contrast.se));
        }
    }
    *p = e->p;
    e->movers = interval_of(s, v.movers, movers, basics->centre);
    e->left = interval_of(s, v.left, left, basics->centre);
    e->joined = interval_of(s, v.joined, joined, basics->centre);
    e->eta_squared_change = interval_of(s, v.eta_change, eta, 0.0);
}

/* Rank 0. */
static void tell_cut(sweep_run *s, int32_t cut, int32_t at)
{
    const dm_cut *c = &s->cut[cut];
    dm_sweep_shift *shift = &s->report->shift[cut];
    *shift = (dm_sweep_shift){.segment = c->segment,
                              .shift = c->shift,
                              .possible = c->possible,
                              .target = c->count,
                              .offset = (double)NAN,
                              .movers_weight = (double)NAN,
                              .objective_change = {(double)NAN, (double)NAN, (double)NAN},
                              .effect = shift->effect};
    for (int32_t o = 0; o < s->m; o++) s->p[(int64_t)cut * s->m + o] = (double)NAN;
    if (!c->possible) return;
    dm_sweep_move *move = &s->move[at];
    const int32_t before = s->rings.begin[s->ring.first];
    shift->offset = c->offset;
    shift->tied = c->tied;
    shift->movers_weight = 0.0;
    for (int32_t i = move->first; i < move->end; i++) {
        shift->movers += s->rings.cell[i].rows;
        shift->movers_weight += s->ring.weight[i - before];
    }
    shift->others = move->others; /* the report has the lists from now on */
    shift->other = move->other;
    shift->other_number = move->number;
    const double change = dm_sweep_objective_change(move, s->ring.sum, before);
    shift->objective_change = interval_of(s, change, draws_of(s, at, 0), 0.0);
    for (int32_t o = 0; o < s->m; o++) tell_effect(s, at, o, &shift->effect[o], &s->p[(int64_t)cut * s->m + o]);
    move->other = NULL;
    move->number = NULL;
}

/* ------------------------------------------------------------------------------------------------ saved and gone on with */

/* All but the first number is rank 0's; the other ranks do not look at it. */

typedef demarc_status (*unpack_fn)(sweep_run *s, dm_unpacker *u);

/* Take up what is left of a step, and let its state be saved from now on. Collective. */
static demarc_status resume_step(sweep_run *s, const char *name, unpack_fn unpack, dm_journal_pack_fn pack)
{
    demarc_status st = DEMARC_OK;
    dm_unpacker u;
    if (dm_journal_find(s->f->journal, name, &u)) {
        st = unpack(s, &u);
        if (st == DEMARC_OK && (is_root(s) || u.bad)) st = dm_journal_read(&u);
    }
    if (st == DEMARC_OK) st = dm_journal_open(s->f->journal, name, pack, s);
    return dm_comm_agree(s->f->comm, st);
}

static demarc_status pack_base_draws(void *context, dm_packer *p)
{
    const sweep_run *s = context;
    const int64_t bytes = s->base_draws.done * base_sums(s) * (int64_t)sizeof *s->base_draw;
    dm_pack_i64(p, s->base_draws.done);
    if (!is_root(s)) return DEMARC_OK;
    dm_packer_room(p, bytes);
    dm_pack(p, s->base_draw, bytes);
    return DEMARC_OK;
}

static demarc_status unpack_base_draws(sweep_run *s, dm_unpacker *u)
{
    s->base_draws.done = (int32_t)dm_unpack_within(u, 0, s->o->replicates);
    if (!is_root(s)) return DEMARC_OK;
    (void)dm_unpack(u, s->base_draw, s->base_draws.done * base_sums(s) * (int64_t)sizeof *s->base_draw);
    for (int32_t i = 0; i < s->base_draws.done; i++) find_spread(s, i);
    return DEMARC_OK;
}

/* Figures of all cuts of the batch, each of which has a place for every replicate. */
static int64_t ring_figures(const sweep_run *s)
{
    return (int64_t)(s->ring.end - s->ring.first) * s->o->shifts * (1 + DRAW_FIGURES * (int64_t)s->m);
}

static demarc_status pack_ring_draws(void *context, dm_packer *p)
{
    const sweep_run *s = context;
    const int64_t bytes = s->ring_draws.done * (int64_t)sizeof *s->draw;
    dm_pack_i64(p, s->ring_draws.done);
    if (!is_root(s)) return DEMARC_OK;
    dm_packer_room(p, bytes * ring_figures(s));
    for (int64_t i = 0; i < ring_figures(s); i++) dm_pack(p, s->draw + i * s->o->replicates, bytes);
    return DEMARC_OK;
}

static demarc_status unpack_ring_draws(sweep_run *s, dm_unpacker *u)
{
    s->ring_draws.done = (int32_t)dm_unpack_within(u, 0, s->o->replicates);
    const int64_t bytes = s->ring_draws.done * (int64_t)sizeof *s->draw;
    for (int64_t i = 0; i < ring_figures(s) && is_root(s); i++)
        (void)dm_unpack(u, s->draw + i * s->o->replicates, bytes);
    return DEMARC_OK;
}

/* Of the cuts of the segments that are told. */
static demarc_status pack_told(void *context, dm_packer *p)
{
    const sweep_run *s = context;
    const int32_t cuts = s->batch * s->o->shifts;
    dm_pack_i64(p, s->batch);
    if (!is_root(s)) return DEMARC_OK;
    dm_pack(p, s->p, (int64_t)cuts * s->m * (int64_t)sizeof *s->p);
    for (int32_t c = 0; c < cuts; c++) dm_sweep_shift_pack(&s->report->shift[c], s->m, p);
    return DEMARC_OK;
}

static demarc_status unpack_told(sweep_run *s, dm_unpacker *u)
{
    demarc_status st = DEMARC_OK;
    s->batch = (int32_t)dm_unpack_within(u, 0, s->f->model->k);
    const int32_t cuts = s->batch * s->o->shifts;
    if (!is_root(s)) return DEMARC_OK;
    (void)dm_unpack(u, s->p, (int64_t)cuts * s->m * (int64_t)sizeof *s->p);
    for (int32_t c = 0; c < cuts; c++) DM_TRY(dm_sweep_shift_unpack(&s->report->shift[c], s->m, s->f->model->k, u));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ batches */

static void batch_clear(sweep_run *s, int32_t cuts)
{
    dm_sweep_ring_sums_clear(&s->ring);
    for (int32_t i = 0; i < cuts && s->move != NULL; i++) dm_sweep_move_clear(&s->move[i]);
    dm_free(s->move);
    dm_free(s->draw);
    s->move = NULL;
    s->draw = NULL;
}

/* Room for the cuts of a batch on rank 0. Local. */
static demarc_status batch_room(sweep_run *s, int32_t first, int32_t cuts)
{
    demarc_status st = DEMARC_OK;
    if (!is_root(s)) return DEMARC_OK;
    DM_TRY(dm_alloc_zero(s->move, cuts, "moves"));
    DM_TRY(dm_alloc(s->draw, (int64_t)cuts * (1 + DRAW_FIGURES * (int64_t)s->m) * s->o->replicates, "replicates"));
    for (int32_t i = 0; i < cuts; i++) {
        if (s->cut[first + i].possible) DM_TRY(dm_sweep_move_of(&s->move[i], &s->rings, first + i, s->m));
        DM_TRY(dm_alloc_zero(s->report->shift[first + i].effect, s->m, "effects"));
    }
cleanup:
    return st;
}

/* Segments [first, end). Collective. */
static demarc_status do_batch(sweep_run *s, int32_t first, int32_t end)
{
    demarc_status st = DEMARC_OK;
    const int32_t from = first * s->o->shifts, cuts = (end - first) * s->o->shifts;
    const int32_t mark = dm_journal_mark(s->f->journal);
    char name[64];
    DM_TRY_ALL(s->f->comm, batch_room(s, from, cuts));
    DM_TRY(dm_sweep_ring_sums_find(&s->view, first, end, &s->ring));
    s->ring_draws = (dm_sweep_draws){.take = take_ring, .context = s};
    snprintf(name, sizeof name, "replicates of movers of segments %d to %d", (int)first, (int)end);
    DM_TRY(resume_step(s, name, unpack_ring_draws, pack_ring_draws));
    DM_TRY(dm_sweep_ring_draws(&s->view, &s->ring, &s->ring_draws));
    for (int32_t i = 0; i < cuts && is_root(s); i++) tell_cut(s, from + i, i);
    dm_journal_drop(s->f->journal, mark);
    s->batch = end;
cleanup:
    if (st != DEMARC_OK) dm_journal_drop(s->f->journal, mark);
    batch_clear(s, cuts);
    return st;
}

static demarc_status do_batches(sweep_run *s)
{
    demarc_status st = DEMARC_OK;
    const int32_t k = s->f->model->k, values = 2 + 2 * s->m;
    const int32_t most = BATCH_VALUES / values < BATCH_CELLS ? BATCH_VALUES / values : BATCH_CELLS;
    DM_TRY(resume_step(s, "segments told", unpack_told, pack_told));
    while (s->batch < k) {
        int32_t end = s->batch + 1;
        while (end < k && s->rings.begin[end + 1] - s->rings.begin[s->batch] <= most) end++;
        DM_TRY(do_batch(s, s->batch, end));
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the report */

static const char *verdict_of(const sweep_run *s, const dm_sweep_effect *e)
{
    if (s->o->replicates == 0) return NULL;
    if (isnan(e->p)) return "not enough data";
    if (!(e->p_adjusted <= s->o->alpha)) return "undecided";
    return (e->difference.value > 0.0) == (e->contrast.value > 0.0) ? "joined" : "left";
}

/* Rank 0. */
static demarc_status tell_verdicts(sweep_run *s)
{
    demarc_status st = DEMARC_OK;
    const int64_t all = (int64_t)cut_count(s) * s->m;
    dm_sweep_report *r = s->report;
    DM_TRY(dm_adjust_p(s->o->adjust, s->p, all, s->p_adjusted, &r->head.tests));
    for (int64_t i = 0; i < all; i++) {
        dm_sweep_effect *e = &r->shift[i / s->m].effect[i % s->m];
        e->p_adjusted = s->p_adjusted[i];
        e->verdict = verdict_of(s, e);
    }
cleanup:
    return st;
}

/* Rank 0. */
static void tell_customers(sweep_run *s, const int32_t *feature, double objective)
{
    dm_sweep_report *r = s->report;
    const dm_model *model = s->f->model;
    const dm_schema *schema = dm_customers_schema(s->f->customers);
    r->head = (dm_boundary_head){.n = dm_rows_global(s->f->rows),
                                 .d = model->d,
                                 .k = model->k,
                                 .model_digest = model->digest,
                                 .seed = s->o->seed,
                                 .alpha = s->o->alpha,
                                 .adjust = s->o->adjust};
    r->replicates = s->o->replicates;
    r->min_cell = s->o->min_cell;
    r->min_events = s->o->min_events;
    r->objective = objective;
    for (int32_t j = 0; j < model->k; j++)
        r->segment[j] = (dm_sweep_segment){s->cut[j * s->o->shifts].present, model->offsets[j]};
    for (int32_t o = 0; o < s->m; o++) {
        r->outcome[o] =
            (dm_sweep_outcome){.name = schema->outcome.item[o],
                               .n = s->basics[o].present,
                               .mean = s->basics[o].mean,
                               .eta_squared = dm_sweep_eta_squared(s->base.sum, model->k, s->m, o),
                               .binary = is_binary(&s->basics[o]),
                               .exploratory_feature = feature[o] >= 0 ? model->feature.item[feature[o]] : NULL};
    }
}

/* ------------------------------------------------------------------------------------------------ the run */

static demarc_status run_create(sweep_run *s, int32_t **feature)
{
    demarc_status st = DEMARC_OK;
    const int64_t cuts = cut_count(s), m = s->m, replicates = s->o->replicates;
    DM_TRY(dm_alloc(s->cut, cuts + 1, "cuts"));
    DM_TRY(dm_alloc(s->basics, m, "outcomes"));
    DM_TRY(dm_alloc_zero(s->largest, m, "outcomes"));
    DM_TRY(dm_alloc(*feature, m, "outcomes"));
    if (!is_root(s)) return DEMARC_OK;
    DM_TRY(dm_alloc_zero(s->report->outcome, m, "report"));
    DM_TRY(dm_alloc_zero(s->report->segment, s->f->model->k, "report"));
    DM_TRY(dm_alloc_zero(s->report->shift, cuts, "report"));
    s->report->outcomes = s->m;
    s->report->shifts = (int32_t)cuts;
    DM_TRY(dm_alloc(s->p, cuts * m, "tests"));
    DM_TRY(dm_alloc(s->p_adjusted, cuts * m, "tests"));
    DM_TRY(dm_alloc(s->base_draw, replicates * base_sums(s), "replicates"));
    DM_TRY(dm_alloc(s->spread, replicates * m, "replicates"));
    DM_TRY(dm_alloc(s->scratch, replicates, "replicates"));
cleanup:
    return st;
}

static void run_destroy(sweep_run *s)
{
    dm_sweep_rings_clear(&s->rings);
    dm_cuts_destroy(&s->cuts);
    dm_sweep_base_clear(&s->base);
    dm_free(s->cut);
    dm_free(s->basics);
    dm_free(s->largest);
    dm_free(s->base_draw);
    dm_free(s->spread);
    dm_free(s->p);
    dm_free(s->p_adjusted);
    dm_free(s->scratch);
}

/* Cuts of all segments and shares, and the one more that was asked for. Collective. */
static demarc_status find_cuts(sweep_run *s)
{
    demarc_status st = DEMARC_OK;
    const int32_t cuts = cut_count(s), shifts = s->o->shifts;
    for (int32_t i = 0; i < cuts; i++) s->cut[i] = (dm_cut){.segment = i / shifts, .shift = s->o->shift[i % shifts]};
    if (s->o->also != NULL) s->cut[cuts] = *s->o->also;
    DM_TRY(dm_cuts_find(&s->cuts, s->f, cuts + (s->o->also != NULL), s->cut));
    if (s->o->also != NULL) *s->o->also = s->cut[cuts];
    DM_TRY(dm_sweep_rings_find(&s->rings, s->f, shifts, s->cuts, s->cut));
cleanup:
    return st;
}

static void log_phase(const sweep_run *s, const char *phase, double *since)
{
    dm_log_detail(s->f->log, "%s: %.2f s", phase, dm_clock() - *since);
    *since = dm_clock();
}

demarc_status dm_sweep_run(dm_sweep_report *report, const dm_frozen *f, const dm_sweep_options *o)
{
    demarc_status st = DEMARC_OK;
    sweep_run s = {.f = f, .o = o, .report = report, .m = dm_customers_schema(f->customers)->outcome.count};
    int32_t *feature = NULL;
    double objective = 0.0, start = dm_clock();
    *report = (dm_sweep_report){0};
    DM_TRY_ALL(f->comm, run_create(&s, &feature));
    DM_TRY(dm_sweep_basics_find(f, s.m, s.basics, &objective));
    DM_TRY(dm_exploratory_find(f, feature));
    log_phase(&s, "objective, outcomes", &start);
    DM_TRY(find_cuts(&s));
    log_phase(&s, "exact cuts", &start);
    s.view = (dm_sweep_view){
        .f = f, .rings = &s.rings, .outcomes = s.m, .basics = s.basics, .seed = o->seed, .replicates = o->replicates};
    DM_TRY(dm_sweep_base_find(&s.view, &s.base));
    for (int32_t i = 0; i < s.m; i++) s.largest[i] = s.base.bound[(int64_t)i * DM_BASE_SUMS + DM_BASE_SUM];
    s.base_draws = (dm_sweep_draws){.take = take_base, .context = &s};
    DM_TRY(resume_step(&s, "replicates of segments", unpack_base_draws, pack_base_draws));
    DM_TRY(dm_sweep_base_draws(&s.view, &s.base, &s.base_draws));
    log_phase(&s, "sums and replicates of segments", &start);
    DM_TRY(do_batches(&s));
    log_phase(&s, "sums and replicates of movers", &start);
    if (is_root(&s)) {
        tell_customers(&s, feature, objective);
        st = tell_verdicts(&s);
    }
    DM_TRY_ALL(f->comm, st);
cleanup:
    dm_journal_drop(f->journal, 0);
    run_destroy(&s);
    dm_free(feature);
    return st;
}
