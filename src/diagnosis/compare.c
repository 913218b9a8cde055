#include "diagnosis/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "diagnosis/calibration.h"
#include "diagnosis/drift.h"
#include "diagnosis/met_ids.h"
#include "diagnosis/moves.h"
#include "stats/agreement.h"
#include "stats/matching.h"

#define WINDOW 65536
#define MEETING_BYTES (INT64_C(1) << 30)

typedef struct comparison {
    const dm_compared *c;
    const dm_compare_options *o;
    dm_compare_report *r;
    int32_t *label[2]; /* [rows] this rank's */
    int32_t *before;   /* [rows of the new run] old segment, -1 = was not there */
    int64_t *size[2];  /* [k] */
    double *jaccard;   /* [k_old, k_new] */
    dm_pairing pairing;
} comparison;

/* ------------------------------------------------------------------------------------------------ labels */

static demarc_status read_window(const dm_compared_run *run, int64_t begin, int64_t count, int32_t *label,
                                 const dm_assignment_rows *scratch)
{
    demarc_status st = DEMARC_OK;
    int64_t first = -1;
    DM_TRY(dm_assignments_compare_ids(run->assignments, run->customers, begin, count, &first));
    if (first >= 0) {
        return dm_fail(DEMARC_ERR_DATA,
                       "not the customers of this run: %s, row %lld: %s/assignments.h5 has another id: name the file "
                       "that was fitted",
                       dm_customers_path(run->customers), (long long)first, run->folder);
    }
    dm_assignment_rows rows = *scratch;
    rows.segment = label;
    DM_TRY(dm_assignments_read(run->assignments, begin, count, &rows));
    for (int64_t i = 0; i < count; i++) {
        if (label[i] >= 0 && label[i] < run->model->k) continue;
        return dm_fail(DEMARC_ERR_DATA, "damaged run: %s/assignments.h5, row %lld: segment %d of %d: fit again",
                       run->folder, (long long)(begin + i), (int)label[i], (int)run->model->k);
    }
cleanup:
    return st;
}

/* This rank's labels of one side, as they are stored. Local. */
static demarc_status read_labels(comparison *v, int side)
{
    demarc_status st = DEMARC_OK;
    const dm_compared_run *run = &v->c->run[side];
    const dm_row_range range = dm_rows_range(run->rows);
    dm_assignment_rows scratch = {0};
    DM_TRY(dm_alloc(v->label[side], range.end - range.begin, "labels"));
    DM_TRY(dm_alloc(scratch.runner_up, WINDOW, "labels"));
    DM_TRY(dm_alloc(scratch.distance, WINDOW, "labels"));
    DM_TRY(dm_alloc(scratch.margin, WINDOW, "labels"));
    for (int64_t at = range.begin; at < range.end; at += WINDOW) {
        const int64_t count = range.end - at < WINDOW ? range.end - at : WINDOW;
        DM_TRY(read_window(run, at, count, v->label[side] + (at - range.begin), &scratch));
    }
cleanup:
    dm_free(scratch.runner_up);
    dm_free(scratch.distance);
    dm_free(scratch.margin);
    return st;
}

static demarc_status read_side(comparison *v, int side)
{
    demarc_status st = DEMARC_OK;
    const dm_compared_run *run = &v->c->run[side];
    const dm_row_range range = dm_rows_range(run->rows);
    const int32_t k = run->model->k;
    DM_TRY_ALL(v->c->comm, read_labels(v, side));
    DM_TRY_ALL(v->c->comm, dm_alloc_zero(v->size[side], k, "sizes"));
    for (int64_t i = 0; i < range.end - range.begin; i++) v->size[side][v->label[side][i]]++;
    dm_comm_sum_i64(v->c->comm, v->size[side], k);
    DM_TRY(dm_labels_check(v->c, side, v->label[side]));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ who is where */

/* Common customers by both segments; who entered, who left. Collective. */
static demarc_status count_common(comparison *v)
{
    demarc_status st = DEMARC_OK;
    const dm_compared *c = v->c;
    dm_compare_report *r = v->r;
    const int32_t a = c->run[0].model->k, b = c->run[1].model->k;
    const dm_row_range range = dm_rows_range(c->run[1].rows);
    const int64_t rows = range.end - range.begin;
    const int64_t budget = c->memory_limit > 0 ? c->memory_limit / 4 : MEETING_BYTES;
    DM_TRY_ALL(c->comm, dm_alloc(v->before, rows, "joining"));
    DM_TRY(dm_met_values(c->comm, c->run[0].customers, v->label[0], c->run[1].customers, budget, v->before));
    st = dm_alloc_zero(r->count, (int64_t)a * b, "migration");
    if (st == DEMARC_OK) st = dm_alloc_zero(r->entered_in, b, "migration");
    if (st == DEMARC_OK) st = dm_alloc_zero(r->left_from, a, "migration");
    DM_TRY_ALL(c->comm, st);
    for (int64_t i = 0; i < rows; i++) {
        const int32_t old = v->before[i], new = v->label[1][i];
        *(old < 0 ? &r->entered_in[new] : &r->count[(int64_t)old * b + new]) += 1;
    }
    dm_comm_sum_i64(c->comm, r->count, (int64_t)a * b);
    dm_comm_sum_i64(c->comm, r->entered_in, b);
    for (int32_t i = 0; i < a; i++) {
        r->left_from[i] = v->size[0][i];
        for (int32_t j = 0; j < b; j++) {
            r->left_from[i] -= r->count[(int64_t)i * b + j];
            r->common += r->count[(int64_t)i * b + j];
        }
        r->left += r->left_from[i];
    }
    for (int32_t j = 0; j < b; j++) r->entered += r->entered_in[j];
    if (r->common == 0) {
        st = dm_fail(DEMARC_ERR_IMPOSSIBLE,
                     "no common customers: %s and %s share no id: compare runs over the same customers' ids",
                     dm_customers_path(c->run[0].customers), dm_customers_path(c->run[1].customers));
    }
cleanup:
    return st;
}

static demarc_status pair_segments(comparison *v)
{
    demarc_status st = DEMARC_OK;
    dm_pairing *p = &v->pairing;
    const int32_t a = v->c->run[0].model->k, b = v->c->run[1].model->k;
    p->k[0] = a;
    p->k[1] = b;
    for (int side = 0; side < 2; side++) {
        DM_TRY(dm_alloc(p->partner[side], p->k[side], "matching"));
        DM_TRY(dm_alloc(p->pair[side], p->k[side], "matching"));
        for (int32_t j = 0; j < p->k[side]; j++) p->partner[side][j] = p->pair[side][j] = -1;
    }
    DM_TRY(dm_alloc(v->jaccard, (int64_t)a * b, "matching"));
    dm_jaccard(v->r->count, a, b, v->jaccard);
    DM_TRY(dm_match(v->jaccard, a, b, p->partner[0]));
    for (int32_t i = 0; i < a; i++) {
        const int32_t j = p->partner[0][i];
        if (j < 0) continue;
        if (v->jaccard[(int64_t)i * b + j] > 0.0) {
            p->partner[1][j] = i;
        } else {
            p->partner[0][i] = -1;
        }
    }
    for (int32_t j = 0; j < b; j++) {
        if (p->partner[1][j] < 0) continue;
        p->pair[0][p->partner[1][j]] = p->pair[1][j] = p->pairs++;
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ segments */

static bool taken(const dm_compare_report *r, const char *name)
{
    for (int32_t i = 0; i < r->segments; i++) {
        if (strcmp(r->segment[i].name, name) == 0) return true;
    }
    return false;
}

/* A segment that was born keeps its run's name for it unless an old one has it. */
static demarc_status name_born(comparison *v, int32_t new, const char **name)
{
    dm_compare_report *r = v->r;
    const char *own = v->o->name[1]->item[new];
    char text[256];
    *name = own;
    snprintf(text, sizeof text, "%.200s", own);
    for (int i = 1; taken(r, text); i++) {
        if (i == 1) {
            snprintf(text, sizeof text, "%.200s (new)", own);
        } else {
            snprintf(text, sizeof text, "%.200s (new %d)", own, i);
        }
    }
    if (strcmp(text, own) == 0) return DEMARC_OK;
    const demarc_status st = dm_strings_add(&r->label, text);
    if (st == DEMARC_OK) *name = r->label.item[r->label.count - 1];
    return st;
}

static demarc_status list_segments(comparison *v)
{
    demarc_status st = DEMARC_OK;
    dm_compare_report *r = v->r;
    const dm_pairing *p = &v->pairing;
    const int32_t a = p->k[0], b = p->k[1];
    int32_t colour = a;
    DM_TRY(dm_alloc_zero(r->segment, (int64_t)a + b, "segments"));
    DM_TRY(dm_alloc(r->pair_segment, p->pairs, "segments"));
    for (int32_t j = 0; j < b; j++) {
        const int32_t i = p->partner[1][j];
        if (i < 0) continue;
        r->pair_segment[p->pair[1][j]] = j;
        r->segment[r->segments++] = (dm_compare_segment){i,
                                                         j,
                                                         v->o->name[0]->item[i],
                                                         i,
                                                         "matched",
                                                         r->count[(int64_t)i * b + j],
                                                         v->jaccard[(int64_t)i * b + j],
                                                         v->size[0][i],
                                                         v->size[1][j]};
    }
    for (int32_t i = 0; i < a; i++) {
        if (p->partner[0][i] >= 0) continue;
        r->segment[r->segments++] =
            (dm_compare_segment){i, -1, v->o->name[0]->item[i], i, "died", 0, 0.0, v->size[0][i], 0};
    }
    for (int32_t j = 0; j < b; j++) {
        const char *name = NULL;
        if (p->partner[1][j] >= 0) continue;
        DM_TRY(name_born(v, j, &name));
        r->segment[r->segments++] = (dm_compare_segment){-1, j, name, colour++, "born", 0, 0.0, 0, v->size[1][j]};
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ together */

static void measure_agreement(dm_compare_report *r)
{
    const int32_t a = r->side[0].k, b = r->side[1].k;
    r->adjusted_rand = dm_adjusted_rand(r->count, a, b);
    r->variation = dm_variation_of_information(r->count, a, b);
    r->variation_max = fmin(log((double)r->common), log((double)a) + log((double)b));
}

static demarc_status decompose(comparison *v)
{
    demarc_status st = DEMARC_OK;
    dm_compare_report *r = v->r;
    DM_TRY_ALL(v->c->comm, dm_alloc_zero(r->moves_of, r->side[0].k, "moves"));
    DM_TRY(dm_moves(v->c, &v->pairing, v->label[1], v->before, r->moves_of));
    for (int32_t j = 0; j < r->side[0].k; j++) {
        r->moves.moved += r->moves_of[j].moved;
        r->moves.customer += r->moves_of[j].customer;
        r->moves.scaling += r->moves_of[j].scaling;
        r->moves.model += r->moves_of[j].model;
    }
cleanup:
    return st;
}

static void begin_report(dm_compare_report *r, const dm_compared *c, const dm_compare_options *o)
{
    *r = (dm_compare_report){
        .alpha = o->alpha, .bins = o->bins, .margin = o->margin, .feature = &c->run[0].model->feature};
    for (int side = 0; side < 2; side++) {
        const dm_compared_run *run = &c->run[side];
        r->side[side] = (dm_compare_side){.run = run->folder,
                                          .n = dm_rows_global(run->rows),
                                          .d = run->model->d,
                                          .k = run->model->k,
                                          .digest = run->model->digest,
                                          .objective = run->model->objective};
    }
}

demarc_status dm_compare(dm_compare_report *r, const dm_compared *c, const dm_compare_options *o)
{
    demarc_status st = DEMARC_OK;
    comparison v = {.c = c, .o = o, .r = r};
    begin_report(r, c, o);
    for (int side = 0; side < 2; side++) DM_TRY(read_side(&v, side));
    DM_TRY(count_common(&v));
    st = pair_segments(&v);
    r->pairs = v.pairing.pairs;
    if (st == DEMARC_OK) st = list_segments(&v);
    if (st == DEMARC_OK) st = dm_alloc_zero(r->drift, (int64_t)(1 + r->pairs) * c->d, "drift");
    DM_TRY_ALL(c->comm, st);
    measure_agreement(r);
    DM_TRY(decompose(&v));
    const int32_t *const label[2] = {v.label[0], v.label[1]};
    DM_TRY(dm_drift(c, &v.pairing, label, o->bins, o->alpha, r->drift, &r->drift_tests));
    DM_TRY(dm_calibration(c, &v.pairing, label, v.before, r));
cleanup:
    for (int side = 0; side < 2; side++) {
        dm_free(v.label[side]);
        dm_free(v.size[side]);
        dm_free(v.pairing.partner[side]);
        dm_free(v.pairing.pair[side]);
    }
    dm_free(v.before);
    dm_free(v.jaccard);
    return st;
}
