#include "diagnosis/moves.h"

#include <string.h>

#include "base/memory.h"
#include "linalg/distance.h"

enum { MOVED, BY_CUSTOMER, BY_SCALING, BY_MODEL, KINDS };

/* Labels of rows under some centroids, block by block. */
typedef struct labeller {
    const dmk_table *kernel;
    int64_t first; /* global row of this rank's first */
    int32_t d, k_old;
    dm_centers centers;
    int threads;
    dm_tile *tile;   /* [threads] */
    int32_t **label; /* [threads] [DM_BLOCK_ROWS] */
    /* What is done with them. */
    const int32_t *stored;      /* dm_labels_check() */
    const int32_t *before, *l3; /* dm_moves(); l3 in old numbers, -1 = no old segment */
    uint8_t *changed;           /* [rows] l1 != l0 */
    int64_t *worst;             /* [threads] first row at fault */
    int64_t **count;            /* [threads] [k_old, KINDS] */
} labeller;

static void labeller_destroy(labeller *v)
{
    for (int t = 0; t < v->threads; t++) {
        if (v->tile != NULL) dm_tile_destroy(&v->tile[t]);
        if (v->label != NULL) dm_free(v->label[t]);
        if (v->count != NULL) dm_free(v->count[t]);
    }
    dm_free(v->tile);
    dm_free(v->label);
    dm_free(v->count);
    dm_free(v->worst);
    dm_centers_destroy(&v->centers);
}

/* @param[in] centroids  [k, d] working space of t; offsets in scaled units squared */
static demarc_status labeller_create(labeller *v, const dm_compared *c, const dm_rows *rows, const double *centroids,
                                     const double *offsets, int32_t k, double unit)
{
    demarc_status st = DEMARC_OK;
    double *scaled = NULL;
    *v = (labeller){.kernel = c->kernel, .first = dm_rows_range(rows).begin, .d = c->d, .threads = c->threads};
    v->k_old = c->run[0].model->k;
    DM_TRY(dm_centers_create(&v->centers, k, c->d));
    DM_TRY(dm_alloc(scaled, k, "offsets"));
    for (int32_t j = 0; j < k; j++) scaled[j] = offsets[j] / (unit * unit);
    dm_centers_set(&v->centers, k, centroids, scaled);
    DM_TRY(dm_alloc_zero(v->tile, v->threads, "labels"));
    DM_TRY(dm_alloc_zero(v->label, v->threads, "labels"));
    DM_TRY(dm_alloc_zero(v->count, v->threads, "labels"));
    DM_TRY(dm_alloc(v->worst, v->threads, "labels"));
    for (int t = 0; t < v->threads; t++) {
        v->worst[t] = INT64_MAX;
        DM_TRY(dm_tile_create(&v->tile[t], k));
        DM_TRY(dm_alloc(v->label[t], DM_BLOCK_ROWS, "labels"));
        DM_TRY(dm_alloc_zero(v->count[t], (int64_t)v->k_old * KINDS, "labels"));
    }
cleanup:
    dm_free(scaled);
    return st;
}

/* ------------------------------------------------------------------------------------------------ stored labels */

static void check_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    labeller *v = context;
    int32_t *label = v->label[thread];
    (void)w;
    dm_nearest(v->kernel, &v->centers, &v->tile[thread], x, rows, label);
    for (int64_t r = 0; r < rows; r++) {
        if (label[r] != v->stored[begin - v->first + r] && begin + r < v->worst[thread]) v->worst[thread] = begin + r;
    }
}

demarc_status dm_labels_check(const dm_compared *c, int side, const int32_t *label)
{
    demarc_status st = DEMARC_OK;
    const dm_compared_run *run = &c->run[side];
    labeller v;
    int64_t first = INT64_MAX;
    DM_TRY_ALL(c->comm, labeller_create(&v, c, run->rows, run->model->centroids, run->model->offsets, run->model->k,
                                        run->model->transform.unit));
    v.stored = label;
    DM_TRY_ALL(c->comm, dm_rows_pass(run->rows, check_block, &v));
    for (int t = 0; t < v.threads; t++) {
        if (v.worst[t] < first) first = v.worst[t];
    }
    dm_comm_min_i64(c->comm, &first, 1);
    if (first != INT64_MAX) {
        st = dm_fail(DEMARC_ERR_DATA,
                     "not the customers of this run: %s, row %lld: its segment in %s is not what the model gives: name "
                     "the file that was fitted (--%s-data)",
                     dm_customers_path(run->customers), (long long)first, run->folder, side == 0 ? "old" : "new");
    }
cleanup:
    labeller_destroy(&v);
    return st;
}

/* ------------------------------------------------------------------------------------------------ steps */

static void change_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    labeller *v = context;
    int32_t *label = v->label[thread];
    (void)w;
    dm_nearest(v->kernel, &v->centers, &v->tile[thread], x, rows, label);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t i = begin - v->first + r;
        v->changed[i] = v->before[i] >= 0 && label[r] != v->before[i];
    }
}

/* One row whose l2 is known. */
static void count_row(const labeller *v, int64_t *count, int64_t i, int32_t l2)
{
    const int32_t l0 = v->before[i];
    if (l0 < 0 || v->l3[i] == l0) return;
    count[l0 * KINDS + MOVED]++;
    count[l0 * KINDS + (v->changed[i] ? BY_CUSTOMER : l2 != l0 ? BY_SCALING : BY_MODEL)]++;
}

static void scale_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    labeller *v = context;
    int32_t *label = v->label[thread];
    (void)w;
    dm_nearest(v->kernel, &v->centers, &v->tile[thread], x, rows, label);
    for (int64_t r = 0; r < rows; r++) count_row(v, v->count[thread], begin - v->first + r, label[r]);
}

/* Do both runs scale feature f alike? What remains, origin and unit, is only how values are rounded. */
static bool alike(const dm_compared *c, int32_t f)
{
    const dm_transform *a = &c->run[0].model->transform, *b = &c->run[1].model->transform;
    const int32_t g = c->place[f];
    return (a->log1p[f] != 0) == (b->log1p[g] != 0) && a->center[f] == b->center[g] && a->factor[f] == b->factor[g];
}

static bool all_alike(const dm_compared *c)
{
    for (int32_t f = 0; f < c->d; f++) {
        if (!alike(c, f)) return false;
    }
    return true;
}

/* The old centroids in the new working space and order of features, their scaled coordinates kept. */
static void carry_centroids(const dm_compared *c, double *carried)
{
    const dm_model *old = c->run[0].model;
    const dm_transform *from = &old->transform, *to = &c->run[1].model->transform;
    for (int32_t f = 0; f < c->d; f++) {
        const int32_t g = c->place[f];
        const bool same = alike(c, f) && from->origin[f] == to->origin[g] && from->unit == to->unit;
        const double zero = dm_transform_to_scaled(to, g, 0.0);
        for (int32_t j = 0; j < old->k; j++) {
            const double w = old->centroids[(int64_t)j * c->d + f];
            carried[(int64_t)j * c->d + g] = same ? w : (dm_transform_to_scaled(from, f, w) - zero) / to->unit;
        }
    }
}

/* changed[]: whose label differs by the new values alone. Collective. */
static demarc_status first_step(const dm_compared *c, const int32_t *before, uint8_t *changed)
{
    demarc_status st = DEMARC_OK;
    const dm_model *old = c->run[0].model;
    labeller v;
    DM_TRY_ALL(c->comm, labeller_create(&v, c, c->carried, old->centroids, old->offsets, old->k, old->transform.unit));
    v.before = before;
    v.changed = changed;
    DM_TRY_ALL(c->comm, dm_rows_pass(c->carried, change_block, &v));
cleanup:
    labeller_destroy(&v);
    return st;
}

demarc_status dm_moves(const dm_compared *c, const dm_pairing *pairing, const int32_t *label, const int32_t *before,
                       dm_compare_moves *moves_of)
{
    demarc_status st = DEMARC_OK;
    const dm_model *old = c->run[0].model;
    const dm_row_range range = dm_rows_range(c->run[1].rows);
    const int64_t rows = range.end - range.begin;
    labeller v = {0};
    uint8_t *changed = NULL;
    int32_t *l3 = NULL;
    double *carried = NULL;
    st = dm_alloc(changed, rows, "labels");
    if (st == DEMARC_OK) st = dm_alloc(l3, rows, "labels");
    if (st == DEMARC_OK) st = dm_alloc(carried, (int64_t)old->k * c->d, "centroids");
    DM_TRY_ALL(c->comm, st);
    for (int64_t i = 0; i < rows; i++) l3[i] = pairing->partner[1][label[i]];
    DM_TRY(first_step(c, before, changed));
    carry_centroids(c, carried);
    DM_TRY_ALL(c->comm,
               labeller_create(&v, c, c->run[1].rows, carried, old->offsets, old->k, c->run[1].model->transform.unit));
    v.before = before;
    v.l3 = l3;
    v.changed = changed;
    if (all_alike(c)) {
        for (int64_t i = 0; i < rows; i++) count_row(&v, v.count[0], i, before[i]);
    } else {
        DM_TRY_ALL(c->comm, dm_rows_pass(c->run[1].rows, scale_block, &v));
    }
    for (int t = 1; t < v.threads; t++) {
        for (int64_t i = 0; i < (int64_t)old->k * KINDS; i++) v.count[0][i] += v.count[t][i];
    }
    dm_comm_sum_i64(c->comm, v.count[0], (int64_t)old->k * KINDS);
    for (int32_t j = 0; j < old->k; j++) {
        const int64_t *n = v.count[0] + (int64_t)j * KINDS;
        moves_of[j] = (dm_compare_moves){n[MOVED], n[BY_CUSTOMER], n[BY_SCALING], n[BY_MODEL]};
    }
cleanup:
    labeller_destroy(&v);
    dm_free(changed);
    dm_free(l3);
    dm_free(carried);
    return st;
}
