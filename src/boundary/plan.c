#include "boundary/plan.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/facets.h"
#include "boundary/order_select.h"
#include "boundary/plan_power.h"
#include "boundary/saved_pass.h"
#include "stats/digest.h"
#include "store/id_hash.h"

#define FIRST_ROOM 1024 /* customers */

/* A customer of the experiment. */
typedef struct picked {
    int64_t row;
    double margin, outcome;
    float weight;
    int32_t facet;
    uint8_t side, arm;
} picked;

typedef struct pick_part {
    picked *item;
    int64_t count, room;
    demarc_status st; /* of the first failure */
} pick_part;

/* Where the customers of a row block lie. */
typedef struct pick_place {
    int thread;
    int64_t begin, count;
} pick_place;

typedef struct plan_run {
    const dm_frozen *f;
    const dm_plan_request *q;
    dm_facets facets;
    dm_order *nearest; /* query facet: its band; NULL when the band is a margin */
    double *band;      /* [facets] */
    int64_t *cell;     /* [facets, 2, 2] customers by side and arm, over all ranks */
    uint64_t key;
    pick_part *part;   /* [threads] */
    pick_place *place; /* [blocks of this rank] */
    int64_t first_block;
} plan_run;

/* ------------------------------------------------------------------------------------------------ band */

static demarc_status nobody(const plan_run *run, int32_t a, int32_t b)
{
    return dm_fail(DEMARC_ERR_IMPOSSIBLE, "no customers in the band of boundary %d-%d: %s: %s", (int)a, (int)b,
                   dm_customers_path(run->f->customers),
                   run->q->band > 0.0 ? "raise --band or choose other boundaries"
                                      : "raise --band-share or choose other boundaries");
}

static int64_t band_count(const plan_run *run, int32_t facet)
{
    const int64_t *size = run->facets.size + 2 * (int64_t)facet;
    return llround(run->q->band_share * (double)(size[0] + size[1]));
}

/* Keep the facets that were chosen, or all; without those whose band cannot hold anybody. The same on all ranks. */
static demarc_status choose_facets(plan_run *run)
{
    demarc_status st = DEMARC_OK;
    const dm_plan_request *q = run->q;
    bool *keep = NULL;
    DM_TRY(dm_alloc_zero(keep, run->facets.count, "boundaries"));
    for (int32_t i = 0; i < run->facets.count; i++) {
        keep[i] = q->pairs == 0 && (q->band > 0.0 || band_count(run, i) > 0);
    }
    for (int32_t i = 0; i < q->pairs; i++) {
        const int32_t a = q->pair[2 * i], b = q->pair[2 * i + 1], facet = dm_facets_index(&run->facets, a, b);
        if (facet < 0 || (q->band == 0.0 && band_count(run, facet) == 0)) {
            st = nobody(run, a < b ? a : b, a < b ? b : a);
            goto cleanup;
        }
        keep[facet] = true;
    }
    dm_facets_keep(&run->facets, keep);
cleanup:
    dm_free(keep);
    return st;
}

static int32_t facet_key(void *context, const dm_frozen_block *b, int64_t r, dm_order_key *out)
{
    const plan_run *run = context;
    int32_t side = 0;
    double margin = 0.0;
    const int32_t facet = dm_facets_of_row(&run->facets, b, r, &side, &margin);
    if (facet < 0) return 0;
    *out = (dm_order_key){.group = facet, .key = margin};
    return 1;
}

static demarc_status find_nearest(plan_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_order_query *query = NULL;
    const int32_t facets = run->facets.count;
    DM_TRY_ALL(run->f->comm, dm_alloc_zero(query, facets, "boundaries"));
    for (int32_t i = 0; i < facets; i++) query[i] = (dm_order_query){.group = i, .count = band_count(run, i)};
    DM_TRY(dm_order_find_as(&run->nearest, run->f, "band", facets, 1, facet_key, run, facets, query));
    for (int32_t i = 0; i < facets; i++) run->band[i] = query[i].last;
cleanup:
    dm_free(query);
    return st;
}

/* The facet whose band row r of a block is in, -1 = none. Thread-safe. */
static int32_t band_of_row(const plan_run *run, const dm_frozen_block *b, int64_t r, int32_t *side, double *margin)
{
    const int32_t facet = dm_facets_of_row(&run->facets, b, r, side, margin);
    if (facet < 0) return -1;
    if (run->nearest == NULL) return *margin <= run->q->band ? facet : -1;
    const dm_order_key key = {.group = facet, .key = *margin};
    return dm_order_among(run->nearest, facet, &key, b->begin + r) ? facet : -1;
}

/* ------------------------------------------------------------------------------------------------ customers and arms */

static demarc_status part_grow(pick_part *p)
{
    picked *grown = NULL;
    const int64_t room = p->room == 0 ? FIRST_ROOM : 2 * p->room;
    const demarc_status st = dm_alloc(grown, room, "customers of the experiment");
    if (st != DEMARC_OK) return st;
    if (p->count > 0) memcpy(grown, p->item, (size_t)p->count * sizeof *grown);
    dm_free(p->item);
    p->item = grown;
    p->room = room;
    return DEMARC_OK;
}

static void pick_block(void *context, int thread, const dm_frozen_block *b)
{
    plan_run *run = context;
    pick_part *p = &run->part[thread];
    pick_place *place = &run->place[b->begin / DM_BLOCK_ROWS - run->first_block];
    *place = (pick_place){.thread = thread, .begin = p->count};
    for (int64_t r = 0; r < b->rows && p->st == DEMARC_OK; r++) {
        int32_t side = 0;
        double margin = 0.0;
        const int32_t facet = band_of_row(run, b, r, &side, &margin);
        if (facet < 0) continue;
        if (p->count == p->room && (p->st = part_grow(p)) != DEMARC_OK) break;
        const double u = (double)(dm_id_hash(b->ids, b->ids_at + r, run->key) >> 11) * 0x1p-53;
        p->item[p->count++] =
            (picked){.row = b->begin + r,
                     .margin = margin,
                     .outcome = b->outcome == NULL ? (double)NAN : b->outcome[r * b->outcomes + run->q->outcome],
                     .weight = b->w == NULL ? 1.0F : b->w[r],
                     .facet = facet,
                     .side = (uint8_t)side,
                     .arm = u < run->q->switch_share};
    }
    place->count = p->count - place->begin;
}

static demarc_status make_parts(plan_run *run)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range = dm_rows_range(run->f->rows);
    DM_TRY(dm_alloc_zero(run->part, run->f->threads, "customers of the experiment"));
    DM_TRY(dm_alloc_zero(run->place, dm_block_count(range.end - range.begin), "customers of the experiment"));
    run->first_block = range.begin / DM_BLOCK_ROWS;
cleanup:
    return st;
}

/* Collective. */
static demarc_status pick(plan_run *run)
{
    demarc_status st = DEMARC_OK;
    const unsigned want = DM_WANT_IDS | (run->q->outcome >= 0 ? DM_WANT_OUTCOMES : 0U);
    DM_TRY_ALL(run->f->comm, make_parts(run));
    DM_TRY(dm_saved_pass(run->f, want, pick_block, run, NULL));
    for (int t = 0; t < run->f->threads && st == DEMARC_OK; t++) {
        if (run->part[t].st != DEMARC_OK)
            st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: customers of the experiment: use more ranks");
    }
    DM_TRY_ALL(run->f->comm, st);
cleanup:
    return st;
}

static demarc_status rows_create(dm_plan *p, bool outcome)
{
    demarc_status st = DEMARC_OK;
    const char *what = "customers of the experiment";
    DM_TRY(dm_alloc(p->rows.row, p->count, what));
    DM_TRY(dm_alloc(p->rows.boundary, p->count, what));
    DM_TRY(dm_alloc(p->rows.segment, p->count, what));
    DM_TRY(dm_alloc(p->rows.other, p->count, what));
    DM_TRY(dm_alloc(p->rows.stratum, p->count, what));
    DM_TRY(dm_alloc(p->rows.arm, p->count, what));
    DM_TRY(dm_alloc(p->rows.margin, p->count, what));
    DM_TRY(dm_alloc(p->weight, p->count, what));
    if (outcome) DM_TRY(dm_alloc(p->outcome, p->count, what));
cleanup:
    return st;
}

/* Customers of all threads in the order of rows; `boundary` is the facet and `stratum` the side until they are numbered. */
static demarc_status gather(plan_run *run, dm_plan *p)
{
    const dm_row_range range = dm_rows_range(run->f->rows);
    for (int t = 0; t < run->f->threads; t++) p->count += run->part[t].count;
    const demarc_status st = rows_create(p, run->q->outcome >= 0);
    if (st != DEMARC_OK) return st;
    int64_t at = 0;
    for (int64_t b = 0; b < dm_block_count(range.end - range.begin); b++) {
        const pick_place *place = &run->place[b];
        for (int64_t i = 0; i < place->count; i++, at++) {
            const picked *c = &run->part[place->thread].item[place->begin + i];
            p->rows.row[at] = c->row;
            p->rows.boundary[at] = c->facet;
            p->rows.stratum[at] = c->side;
            p->rows.arm[at] = c->arm;
            p->rows.margin[at] = c->margin;
            p->weight[at] = c->weight;
            if (p->outcome != NULL) p->outcome[at] = c->outcome;
        }
    }
    for (int t = 0; t < run->f->threads; t++) {
        dm_free(run->part[t].item);
        run->part[t] = (pick_part){0};
    }
    return DEMARC_OK;
}

/* Facets without customers in the band go; what is left are the boundaries. The same on all ranks but for the rows. */
static demarc_status number_boundaries(plan_run *run, dm_plan *p)
{
    demarc_status st = DEMARC_OK;
    bool *keep = NULL;
    int32_t *number = NULL, boundaries = 0;
    DM_TRY(dm_alloc_zero(keep, run->facets.count, "boundaries"));
    DM_TRY(dm_alloc(number, run->facets.count, "boundaries"));
    for (int32_t i = 0; i < run->facets.count; i++) {
        int64_t *cell = run->cell + 4 * (int64_t)i;
        keep[i] = cell[0] + cell[1] + cell[2] + cell[3] > 0;
        if (!keep[i] && run->q->pairs > 0) {
            st = nobody(run, run->facets.segments[2 * i], run->facets.segments[2 * i + 1]);
            goto cleanup;
        }
        number[i] = boundaries;
        if (!keep[i]) continue;
        memmove(run->cell + 4 * (int64_t)boundaries, cell, 4 * sizeof *cell);
        run->band[boundaries++] = run->band[i];
    }
    dm_facets_keep(&run->facets, keep);
    if (boundaries == 0) {
        st = dm_fail(DEMARC_ERR_IMPOSSIBLE, "no customers in any band: %s: raise --band or --band-share",
                     dm_customers_path(run->f->customers));
        goto cleanup;
    }
    int64_t customers = 0;
    for (int64_t i = 0; i < 4 * (int64_t)boundaries; i++) customers += run->cell[i];
    const int64_t strata = 2 * (int64_t)boundaries * run->q->distance_strata;
    if (strata > INT32_MAX || (strata > DM_STRATA_FREE && strata > customers)) { /* as the reader has it */
        st = dm_fail(DEMARC_ERR_USAGE, "%d boundaries x 2 x %d strata: --distance-strata: use fewer", (int)boundaries,
                     (int)run->q->distance_strata);
        goto cleanup;
    }
    for (int64_t i = 0; i < p->count; i++) {
        const int32_t b = number[p->rows.boundary[i]], side = p->rows.stratum[i];
        const int32_t *segments = run->facets.segments + 2 * (int64_t)b;
        p->rows.boundary[i] = b;
        p->rows.segment[i] = segments[side];
        p->rows.other[i] = segments[1 - side];
    }
cleanup:
    dm_free(keep);
    dm_free(number);
    return st;
}

static demarc_status count_cells(plan_run *run, const dm_plan *p)
{
    demarc_status st = DEMARC_OK;
    const int64_t cells = 4 * (int64_t)run->facets.count;
    DM_TRY_ALL(run->f->comm, dm_alloc_zero(run->cell, cells, "boundaries"));
    for (int64_t i = 0; i < p->count; i++) {
        run->cell[4 * (int64_t)p->rows.boundary[i] + 2 * p->rows.stratum[i] + p->rows.arm[i]]++;
    }
    dm_comm_sum_i64(run->f->comm, run->cell, cells);
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ strata */

static int32_t side_key(void *context, const dm_frozen_block *b, int64_t r, dm_order_key *out)
{
    const plan_run *run = context;
    int32_t side = 0;
    double margin = 0.0;
    const int32_t boundary = band_of_row(run, b, r, &side, &margin);
    if (boundary < 0) return 0;
    *out = (dm_order_key){.group = 2 * boundary + side, .key = margin};
    return 1;
}

/*
 * Number r of N is in quantile q or above when r Q >= q N, so the first ceil(q N / Q) customers are those below q: one query
 * for each side and each q = 1 ... Q - 1.
 */
static demarc_status stratify(plan_run *run, dm_plan *p)
{
    demarc_status st = DEMARC_OK;
    const int32_t q = run->q->distance_strata, cuts = q - 1, sides = 2 * run->facets.count;
    dm_order_query *query = NULL;
    dm_order *order = NULL;
    DM_TRY_ALL(run->f->comm, dm_alloc(query, (int64_t)sides * cuts, "strata"));
    for (int32_t s = 0; s < sides; s++) {
        const int64_t customers = run->cell[2 * s] + run->cell[2 * s + 1];
        for (int32_t c = 0; c < cuts; c++) {
            /* ceil((c + 1) N / Q) without overflow */
            const int64_t whole = customers / q * (c + 1), rest = customers % q * (c + 1);
            query[s * cuts + c] = (dm_order_query){.group = s, .count = whole + (rest + q - 1) / q};
        }
    }
    if (cuts > 0) DM_TRY(dm_order_find_as(&order, run->f, "strata", sides, 1, side_key, run, sides * cuts, query));
    for (int64_t i = 0; i < p->count; i++) {
        const int32_t side = 2 * p->rows.boundary[i] + p->rows.stratum[i];
        const dm_order_key key = {.group = side, .key = p->rows.margin[i]};
        int32_t quantile = 0;
        while (quantile < cuts && !dm_order_among(order, side * cuts + quantile, &key, p->rows.row[i])) quantile++;
        p->rows.stratum[i] = side * q + quantile;
    }
cleanup:
    dm_order_destroy(&order);
    dm_free(query);
    return st;
}

/* ------------------------------------------------------------------------------------------------ all together */

/* Boundaries as report and file want them. */
static demarc_status describe(const plan_run *run, dm_plan *p)
{
    demarc_status st = DEMARC_OK;
    const dm_plan_request *q = run->q;
    const int32_t boundaries = run->facets.count;
    dm_plan_boundary *boundary = NULL;
    DM_TRY(dm_alloc_zero(boundary, boundaries, "boundaries"));
    p->report = (dm_plan_report){.head = {.command = "boundary plan",
                                          .n = dm_rows_global(run->f->rows),
                                          .d = run->f->model->d,
                                          .k = run->f->model->k,
                                          .model_digest = run->f->model->digest,
                                          .alpha = q->alpha,
                                          .adjust = DM_ADJUST_HOLM,
                                          .tests = 2 * (int64_t)boundaries},
                                 .salt = q->salt,
                                 .power = q->power,
                                 .switch_share = q->switch_share,
                                 .distance_strata = q->distance_strata,
                                 .band_share = q->band > 0.0 ? (double)NAN : q->band_share,
                                 .boundaries = boundaries,
                                 .boundary = boundary};
    DM_TRY(dm_alloc(p->facts.segments, 2 * (int64_t)boundaries, "boundaries"));
    DM_TRY(dm_alloc(p->facts.gap, boundaries, "boundaries"));
    DM_TRY(dm_alloc(p->facts.band, boundaries, "boundaries"));
    for (int32_t i = 0; i < boundaries; i++) {
        dm_plan_boundary *b = &boundary[i];
        b->gap = p->facts.gap[i] = run->facets.gap[i];
        b->band = p->facts.band[i] = run->band[i];
        for (int s = 0; s < 2; s++) {
            const int64_t at = 2 * (int64_t)i + s, keep = run->cell[2 * at], switched = run->cell[2 * at + 1];
            p->facts.segments[at] = run->facets.segments[at];
            b->facet_customers += run->facets.size[at];
            b->customers += keep + switched;
            b->side[s] = (dm_plan_side){
                .segment = run->facets.segments[at], .customers = keep + switched, .keep = keep, .switched = switched};
        }
        p->report.customers += b->customers;
    }
cleanup:
    return st;
}

static void run_clear(plan_run *run)
{
    for (int t = 0; t < run->f->threads && run->part != NULL; t++) dm_free(run->part[t].item);
    dm_free(run->part);
    dm_free(run->place);
    dm_free(run->band);
    dm_free(run->cell);
    dm_order_destroy(&run->nearest);
    dm_facets_clear(&run->facets);
}

demarc_status dm_plan_make(dm_plan *out, const dm_frozen *f, const dm_plan_request *request)
{
    demarc_status st = DEMARC_OK;
    plan_run run = {.f = f, .q = request, .key = dm_hash64(request->salt, strlen(request->salt), 0)};
    *out = (dm_plan){0};
    if (f->model->k < 2) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE, "no boundaries: the model has one segment: fit two or more");
    }
    DM_TRY(dm_facets_find(&run.facets, f));
    DM_TRY_ALL(f->comm, choose_facets(&run));
    DM_TRY_ALL(f->comm, dm_alloc(run.band, run.facets.count, "boundaries"));
    for (int32_t i = 0; i < run.facets.count; i++) run.band[i] = request->band;
    if (request->band == 0.0) DM_TRY(find_nearest(&run));
    DM_TRY(pick(&run));
    DM_TRY_ALL(f->comm, gather(&run, out));
    DM_TRY(count_cells(&run, out));
    DM_TRY_ALL(f->comm, number_boundaries(&run, out));
    DM_TRY(stratify(&run, out));
    DM_TRY_ALL(f->comm, describe(&run, out));
    DM_TRY(dm_plan_size(out, f->comm, request));
    out->facts.model_digest = f->model->digest;
    out->facts.salt = request->salt;
    out->facts.customers = out->report.customers;
    out->facts.boundaries = out->report.boundaries;
    out->facts.distance_strata = request->distance_strata;
    out->facts.alpha = request->alpha;
    out->facts.power = request->power;
    out->facts.switch_share = request->switch_share;
    out->facts.effect = out->report.effect;
    out->facts.outcome_sd = out->report.outcome_sd;
cleanup:
    run_clear(&run);
    if (st != DEMARC_OK) dm_plan_clear(out);
    return st;
}

void dm_plan_clear(dm_plan *p)
{
    dm_free(p->report.boundary);
    dm_free(p->facts.segments);
    dm_free(p->facts.gap);
    dm_free(p->facts.band);
    dm_free(p->rows.row);
    dm_free(p->rows.boundary);
    dm_free(p->rows.segment);
    dm_free(p->rows.other);
    dm_free(p->rows.stratum);
    dm_free(p->rows.arm);
    dm_free(p->rows.margin);
    dm_free(p->outcome);
    dm_free(p->weight);
    *p = (dm_plan){0};
}
