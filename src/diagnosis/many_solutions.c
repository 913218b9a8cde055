#include "diagnosis/many_solutions.h"

#include <math.h>
#include <string.h>

#include "base/exact_sum.h"
#include "base/memory.h"
#include "base/stop.h"
#include "linalg/replicate_sums.h"
#include "store/id_hash.h"

#define TILE 512          /* rows */
#define WINDOW_BLOCKS 64  /* row blocks whose ids are read at a time */
#define GRID_MOST 0x7ffff /* largest integer of a value: TILE rows, each counted at most 8 times, stay in int32 */
#define PENDING_MOST 4096 /* rows, as often as they are counted, until integers are moved to 64 bits */

/* What one thread needs. */
typedef struct part {
    dm_tile tile;
    int64_t *key;                    /* [TILE] hashes of ids */
    float *weights;                  /* [TILE, 64 groups] */
    uint8_t *counts;                 /* [64 groups, TILE]; then ones */
    int32_t *drawn;                  /* [64 groups] sums of the tile's */
    int32_t *label, *model, *before; /* [TILE] */
    double *squared;                 /* [TILE] */
    int32_t *grid;                   /* [TILE, ld] */
    int32_t *unit;                   /* [TILE] weights on the grid */
    int32_t *sum;                    /* [segments, ld] */
    int32_t *weight;                 /* [segments] */
    int64_t *total;                  /* [segments, ld + 1] */
    int64_t pending;
    int64_t *table;          /* as dm_solutions.table */
    double *block;           /* [count] objective of the block */
    dm_exact_sum *objective; /* [count] */
} part;

typedef struct pass {
    dm_solutions *s;
    bool refine; /* else count */
    int32_t d;
    int64_t ld;
    bool weighted;
    double *scale; /* [d] of the grid */
    double unit_scale;
    dm_centers model;
    dm_ids ids;
    int64_t window_begin;
    part *part;
} pass;

demarc_status dm_solution_edge(dm_comm *comm)
{
    int64_t wish = dm_stop_requested();
    char name[32];
    dm_comm_max_i64(comm, &wish, 1);
    if (wish == 0) return DEMARC_OK;
    return dm_fail(DEMARC_STOPPED, "stopped by %s: nothing was written, and nothing is kept: run again",
                   dm_stop_name(name, (int)wish));
}

demarc_status dm_solution_model_centers(const dm_model *model, dm_centers *out)
{
    demarc_status st = DEMARC_OK;
    const double unit = model->transform.unit;
    double *offset = NULL;
    DM_TRY(dm_centers_create(out, model->k, model->d));
    DM_TRY(dm_alloc(offset, model->k, "offsets"));
    for (int32_t j = 0; j < model->k; j++) offset[j] = model->offsets[j] / (unit * unit);
    dm_centers_set(out, model->k, model->centroids, offset);
cleanup:
    dm_free(offset);
    return st;
}

/* ------------------------------------------------------------------------------------------------ solutions */

static int64_t padded(int32_t d) { return ((int64_t)d + 15) / 16 * 16; }

demarc_status dm_solutions_create(dm_solutions *s, const dm_solution_data *data, int32_t count, const int32_t *k,
                                  const int32_t *replicate)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = data->model->d, km = data->model->k;
    int32_t last = -1;
    *s = (dm_solutions){.data = data, .count = count, .first = -1};
    DM_TRY(dm_alloc_zero(s->solution, count, "solutions"));
    for (int32_t i = 0; i < count; i++) {
        dm_solution *a = &s->solution[i];
        a->k = k[i];
        a->replicate = replicate[i];
        a->first = s->segments;
        s->segments += k[i];
        s->tables += 2 * (int64_t)km * k[i];
        if (i > 0 && replicate[i] < 0 && replicate[i - 1] < 0) s->tables += (int64_t)k[i - 1] * k[i];
        if (k[i] > s->most_k) s->most_k = k[i];
        if (replicate[i] >= 0 && s->first < 0) s->first = replicate[i] / DMK_COUNTS * DMK_COUNTS;
        if (replicate[i] >= 0) last = replicate[i];
        DM_TRY(dm_centers_create(&a->centers, k[i], d));
    }
    if (s->first >= 0) s->groups = (last - s->first) / DMK_COUNTS + 1;
    DM_TRY(dm_alloc_zero(s->centroids, s->segments * d, "solutions"));
    DM_TRY(dm_alloc_zero(s->table, s->tables, "tables of solutions"));
    int64_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        dm_solution *a = &s->solution[i];
        a->centroids = s->centroids + a->first * d;
        a->table = s->table + at;
        at += 2 * (int64_t)km * a->k;
        if (i == 0 || a->replicate >= 0 || s->solution[i - 1].replicate >= 0) continue;
        a->flow = s->table + at;
        at += (int64_t)s->solution[i - 1].k * a->k;
    }
cleanup:
    return st;
}

void dm_solutions_set(dm_solutions *s)
{
    for (int32_t i = 0; i < s->count; i++)
        dm_centers_set(&s->solution[i].centers, s->solution[i].k, s->solution[i].centroids, NULL);
}

void dm_solutions_destroy(dm_solutions *s)
{
    for (int32_t i = 0; i < s->count && s->solution != NULL; i++) dm_centers_destroy(&s->solution[i].centers);
    dm_free(s->solution);
    dm_free(s->centroids);
    dm_free(s->table);
    *s = (dm_solutions){0};
}

int32_t dm_solutions_together(const dm_solution_data *data, int32_t k, int64_t budget)
{
    const int64_t per_thread = k * padded(data->model->d) * 12 + 16 * (int64_t)k * data->model->k;
    const int64_t each = data->threads * per_thread + 36 * (int64_t)k * data->model->d;
    const int64_t fit = budget / each, groups = fit / DMK_COUNTS;
    if (groups < 1) return fit < 1 ? 1 : (int32_t)fit;
    return (int32_t)((groups > 1024 ? 1024 : groups) * DMK_COUNTS);
}

/* ------------------------------------------------------------------------------------------------ one block */

/* counts[b, r] = weight of row r in replicate first + b. */
static void draw(const pass *p, part *q, int64_t row, int64_t rows)
{
    const dm_solutions *s = p->s;
    const int64_t replicates = (int64_t)s->groups * DMK_COUNTS;
    if (s->groups == 0) return;
    for (int64_t r = 0; r < rows; r++) q->key[r] = (int64_t)dm_id_hash(&p->ids, row + r - p->window_begin, 0);
    dm_replicate_weights(s->data->kernel, s->data->seed, s->first, q->key, rows, s->groups, q->weights, replicates);
    memset(q->drawn, 0, (size_t)replicates * sizeof *q->drawn);
    for (int64_t r = 0; r < rows; r++) {
        const float *w = q->weights + r * replicates;
        for (int64_t b = 0; b < replicates; b++) {
            q->counts[b * TILE + r] = (uint8_t)w[b];
            q->drawn[b] += (int32_t)w[b];
        }
    }
}

static const uint8_t *counts_of(const dm_solutions *s, const part *q, const dm_solution *a)
{
    const int64_t at = a->replicate < 0 ? (int64_t)s->groups * DMK_COUNTS : a->replicate - s->first;
    return q->counts + at * TILE;
}

static void put_on_grid(const pass *p, part *q, const float *x, const float *w, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        const double weight = w == NULL ? 1.0 : (double)w[r];
        for (int32_t f = 0; f < p->d; f++) {
            const double v = rint(weight * (double)x[r * p->d + f] * p->scale[f]);
            q->grid[r * p->ld + f] = (int32_t)fmin(fmax(v, -GRID_MOST), GRID_MOST);
        }
        if (w != NULL) q->unit[r] = (int32_t)fmin(rint(weight * p->unit_scale), GRID_MOST);
    }
}

static void flush(const pass *p, part *q)
{
    for (int64_t j = 0; j < p->s->segments; j++) {
        int64_t *total = q->total + j * (p->ld + 1);
        const int32_t *sum = q->sum + j * p->ld;
        for (int64_t f = 0; f < p->ld; f++) total[f] += sum[f];
        total[p->ld] += q->weight[j];
    }
    memset(q->sum, 0, (size_t)(p->s->segments * p->ld) * sizeof *q->sum);
    memset(q->weight, 0, (size_t)p->s->segments * sizeof *q->weight);
    q->pending = 0;
}

static void refine_tile(const pass *p, part *q, const float *x, const float *w, int64_t rows)
{
    const dm_solutions *s = p->s;
    const dmk_table *kernel = s->data->kernel;
    int64_t most = 0;
    for (int32_t i = 0; i < s->count; i++) {
        const int32_t b = s->solution[i].replicate;
        const int64_t drawn = b < 0 ? rows : q->drawn[b - s->first];
        if (drawn > most) most = drawn;
    }
    if (q->pending + most > PENDING_MOST) flush(p, q);
    q->pending += most;
    put_on_grid(p, q, x, w, rows);
    for (int32_t i = 0; i < s->count; i++) {
        const dm_solution *a = &s->solution[i];
        dm_nearest(kernel, &a->centers, &q->tile, x, rows, q->label);
        kernel->add_counts(q->grid, w == NULL ? NULL : q->unit, counts_of(s, q, a), q->label, rows, p->ld,
                           q->sum + a->first * p->ld, q->weight + a->first);
    }
}

static void count_tile(const pass *p, part *q, const float *x, const float *w, int64_t rows)
{
    const dm_solutions *s = p->s;
    const dmk_table *kernel = s->data->kernel;
    const int32_t km = s->data->model->k;
    dm_nearest(kernel, &p->model, &q->tile, x, rows, q->model);
    for (int32_t i = 0; i < s->count; i++) {
        const dm_solution *a = &s->solution[i];
        const uint8_t *count = counts_of(s, q, a);
        int64_t *table = q->table + (a->table - s->table), *drawn = table + (int64_t)km * a->k;
        if (a->replicate < 0) {
            dm_nearest_distance(kernel, &a->centers, &q->tile, x, rows, q->label, q->squared);
            for (int64_t r = 0; r < rows; r++) q->block[i] += (w == NULL ? 1.0 : (double)w[r]) * q->squared[r];
        } else {
            dm_nearest(kernel, &a->centers, &q->tile, x, rows, q->label);
        }
        for (int64_t r = 0; r < rows; r++) (count[r] > 0 ? drawn : table)[(int64_t)q->model[r] * a->k + q->label[r]]++;
        if (a->flow != NULL) {
            int64_t *flow = q->table + (a->flow - s->table);
            for (int64_t r = 0; r < rows; r++) flow[(int64_t)q->before[r] * a->k + q->label[r]]++;
        }
        if (a->replicate < 0) memcpy(q->before, q->label, (size_t)rows * sizeof *q->label);
    }
}

static void pass_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    const pass *p = context;
    part *q = &p->part[thread];
    if (dm_stop_requested() != 0) return; /* the rest of the pass is for nothing */
    for (int64_t at = 0; at < rows; at += TILE) {
        const int64_t some = rows - at < TILE ? rows - at : TILE;
        const float *wt = w == NULL ? NULL : w + at;
        draw(p, q, begin + at, some);
        if (p->refine) {
            refine_tile(p, q, x + at * p->d, wt, some);
        } else {
            count_tile(p, q, x + at * p->d, wt, some);
        }
    }
    if (p->refine) return;
    for (int32_t i = 0; i < p->s->count; i++) {
        dm_exact_sum_add(&q->objective[i], q->block[i]);
        q->block[i] = 0.0;
    }
}

/* ------------------------------------------------------------------------------------------------ a pass */

static demarc_status part_create(const pass *p, part *q)
{
    demarc_status st = DEMARC_OK;
    const dm_solutions *s = p->s;
    const int64_t replicates = (int64_t)s->groups * DMK_COUNTS;
    const int32_t most = s->most_k > s->data->model->k ? s->most_k : s->data->model->k;
    DM_TRY(dm_tile_create(&q->tile, most));
    q->tile.ahead = 0; /* the same rows come again */
    DM_TRY(dm_alloc(q->key, TILE, "solutions"));
    DM_TRY(dm_alloc(q->weights, TILE * replicates, "solutions"));
    DM_TRY(dm_alloc_zero(q->counts, TILE * (replicates + 1), "solutions"));
    memset(q->counts + TILE * replicates, 1, TILE);
    DM_TRY(dm_alloc(q->drawn, replicates, "solutions"));
    DM_TRY(dm_alloc(q->label, TILE, "solutions"));
    if (p->refine) {
        DM_TRY(dm_alloc_zero(q->grid, TILE * p->ld, "solutions"));
        DM_TRY(dm_alloc(q->unit, TILE, "solutions"));
        DM_TRY(dm_alloc_zero(q->sum, s->segments * p->ld, "sums of solutions"));
        DM_TRY(dm_alloc_zero(q->weight, s->segments, "sums of solutions"));
        DM_TRY(dm_alloc_zero(q->total, s->segments * (p->ld + 1), "sums of solutions"));
    } else {
        DM_TRY(dm_alloc(q->model, TILE, "solutions"));
        DM_TRY(dm_alloc(q->before, TILE, "solutions"));
        DM_TRY(dm_alloc(q->squared, TILE, "solutions"));
        DM_TRY(dm_alloc_zero(q->table, s->tables, "tables of solutions"));
        DM_TRY(dm_alloc_zero(q->block, s->count, "solutions"));
        DM_TRY(dm_alloc_zero(q->objective, s->count, "solutions"));
    }
cleanup:
    return st;
}

/* Powers of two would waste a bit; any factor is as exact, since it is applied to each value before rounding. */
static demarc_status choose_grid(pass *p)
{
    demarc_status st = DEMARC_OK;
    const dm_solution_data *data = p->s->data;
    const dm_transform *t = &data->model->transform;
    const double heaviest = p->weighted && data->scan->weight_high > 0.0 ? data->scan->weight_high : 1.0;
    DM_TRY(dm_alloc(p->scale, p->d, "grid"));
    for (int32_t f = 0; f < p->d; f++) {
        const double factor = t->factor[f] / t->unit;
        const double bound = heaviest * fmax(fabs((data->scan->low[f] - t->origin[f]) * factor),
                                             fabs((data->scan->high[f] - t->origin[f]) * factor));
        p->scale[f] = bound > 0.0 && isfinite(bound) ? GRID_MOST / bound : 1.0;
        if (!isfinite(p->scale[f])) p->scale[f] = 1.0; /* a bound below 1e-303 is 0 to single precision */
    }
    p->unit_scale = GRID_MOST / heaviest;
cleanup:
    return st;
}

static demarc_status pass_create(pass *p, dm_solutions *s, bool refine)
{
    demarc_status st = DEMARC_OK;
    const dm_solution_data *data = s->data;
    *p = (pass){.s = s,
                .refine = refine,
                .d = data->model->d,
                .ld = padded(data->model->d),
                .weighted = dm_rows_weighted(data->rows)};
    DM_TRY(choose_grid(p));
    if (!refine) DM_TRY(dm_solution_model_centers(data->model, &p->model));
    DM_TRY(dm_alloc_zero(p->part, data->threads, "solutions"));
    for (int t = 0; t < data->threads; t++) DM_TRY(part_create(p, &p->part[t]));
cleanup:
    return st;
}

static void pass_destroy(pass *p)
{
    for (int t = 0; p->part != NULL && t < p->s->data->threads; t++) {
        part *q = &p->part[t];
        void *const all[] = {q->key,  q->weights, q->counts, q->drawn,  q->label, q->model, q->before, q->squared,
                             q->grid, q->unit,    q->sum,    q->weight, q->total, q->table, q->block,  q->objective};
        dm_tile_destroy(&q->tile);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) dm_free(all[i]);
    }
    dm_free(p->part);
    dm_free(p->scale);
    dm_centers_destroy(&p->model);
    dm_ids_clear(&p->ids);
}

/* Window by window where ids are wanted. Local. */
static demarc_status go_over_rows(pass *p)
{
    demarc_status st = DEMARC_OK;
    const dm_solution_data *data = p->s->data;
    const dm_row_range range = dm_rows_range(data->rows);
    const int64_t step = p->s->groups > 0 ? WINDOW_BLOCKS * DM_BLOCK_ROWS : range.end - range.begin;
    for (int64_t at = range.begin; at < range.end && dm_stop_requested() == 0; at += step) {
        const int64_t to = range.end - at < step ? range.end : at + step;
        p->window_begin = at;
        dm_ids_clear(&p->ids);
        if (p->s->groups > 0) DM_TRY(dm_customers_ids(data->customers, at, to, &p->ids));
        DM_TRY(dm_rows_pass_range(data->rows, at, to, pass_block, p));
    }
cleanup:
    return st;
}

demarc_status dm_solutions_refine(dm_solutions *s)
{
    demarc_status st = DEMARC_OK;
    pass p = {0};
    dm_comm *comm = s->data->comm;
    st = pass_create(&p, s, true);
    if (st == DEMARC_OK) st = go_over_rows(&p);
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_solution_edge(comm));
    const int64_t cells = s->segments * (p.ld + 1);
    int64_t *total = p.part[0].total;
    for (int t = 0; t < s->data->threads; t++) {
        flush(&p, &p.part[t]);
        for (int64_t i = 0; t > 0 && i < cells; i++) total[i] += p.part[t].total[i];
    }
    dm_comm_sum_i64(comm, total, cells);
    for (int64_t j = 0; j < s->segments; j++) {
        const int64_t *sum = total + j * (p.ld + 1);
        if (sum[p.ld] == 0) continue;
        const double weight = (double)sum[p.ld] / (p.weighted ? p.unit_scale : 1.0);
        for (int32_t f = 0; f < p.d; f++) s->centroids[j * p.d + f] = (double)sum[f] / p.scale[f] / weight;
    }
    dm_solutions_set(s);
cleanup:
    pass_destroy(&p);
    return st;
}

demarc_status dm_solutions_count(dm_solutions *s)
{
    demarc_status st = DEMARC_OK;
    pass p = {0};
    dm_comm *comm = s->data->comm;
    const double unit = s->data->model->transform.unit;
    st = pass_create(&p, s, false);
    if (st == DEMARC_OK) st = go_over_rows(&p);
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_solution_edge(comm));
    memset(s->table, 0, (size_t)s->tables * sizeof *s->table);
    dm_exact_sum *objective = p.part[0].objective;
    for (int t = 0; t < s->data->threads; t++) {
        for (int64_t i = 0; i < s->tables; i++) s->table[i] += p.part[t].table[i];
        for (int32_t i = 0; t > 0 && i < s->count; i++) dm_exact_sum_merge(&objective[i], &p.part[t].objective[i]);
    }
    dm_comm_sum_i64(comm, s->table, s->tables);
    dm_comm_sum_exact(comm, objective, s->count);
    for (int32_t i = 0; i < s->count; i++) {
        dm_solution *a = &s->solution[i];
        a->objective = a->replicate < 0 ? dm_exact_sum_value(&objective[i]) * unit * unit : (double)NAN;
    }
cleanup:
    pass_destroy(&p);
    return st;
}
