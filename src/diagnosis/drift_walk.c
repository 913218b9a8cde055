#include "diagnosis/drift_walk.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/ordered_bits.h"
#include "diagnosis/windows.h"

#define SAMPLE_ROWS 512 /* of a rank's rows of one side, to place the ranges by */
#define DEFAULT_BYTES (INT64_C(2) << 30)
#define COPIES 3 /* an item while it travels and is sorted: here, packed or received, and moved by digits */

typedef struct item {
    uint64_t key;  /* the value, dm_ordered_bits */
    uint32_t q;    /* weight */
    uint32_t from; /* side + 2 x set */
} item;

typedef struct items {
    item *at;
    int64_t count, room;
} items;

/* Integer weights and the last value of one feature in one set: of all before the place where the walk is, or of a range. */
typedef struct stand {
    int64_t sum[2];
    double last;
    int64_t any; /* an int64 so that the struct has no padding */
} stand;

typedef struct walker {
    const dm_walk_options *o;
    dm_walk *walk;
    dm_exact_sum *area; /* [sets, d] integral of |F - G| */
    stand *stand;       /* [sets, d] before this sweep */
    int64_t parts;      /* sweeps per feature */
    int64_t ranges;     /* ranks x parts */
    uint64_t *split;    /* [d, ranges - 1] first key of each range but the first */
    int32_t group;      /* features walked together */
    /* One sweep. */
    int32_t first, features; /* of them */
    int64_t part;
    items *items; /* [group] */
    int side;     /* that is being read */
} walker;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

uint32_t dm_walk_weight(double weight, double weight_high, bool weighted)
{
    int exponent = 0;
    if (!weighted) return 1;
    (void)frexp(weight_high, &exponent);
    return (uint32_t)lround(ldexp(weight, 30 - exponent));
}

/* ------------------------------------------------------------------------------------------------ ranges */

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Keys of some rows of this rank, [rows, d]. Local. */
static demarc_status sample_rows(const walker *w, uint64_t *key, int64_t *rows)
{
    demarc_status st = DEMARC_OK;
    const dm_compared *c = w->o->c;
    double *x = NULL;
    *rows = 0;
    for (int side = 0; side < 2; side++) {
        const dm_compared_run *run = &c->run[side];
        const dm_row_range range = dm_rows_range(run->rows);
        const int64_t n = range.end - range.begin, count = n < SAMPLE_ROWS ? n : SAMPLE_ROWS;
        dm_free(x);
        DM_TRY(dm_alloc(x, dm_customers_schema(run->customers)->d, "features"));
        for (int64_t i = 0; i < count; i++) {
            const int64_t row = range.begin + i * (n / count);
            DM_TRY(dm_customers_features_f64(run->customers, row, row + 1, x));
            for (int32_t f = 0; f < w->o->d; f++) {
                const double v = x[run->column[f]];
                key[*rows * w->o->d + f] = isnan(v) ? UINT64_MAX : dm_ordered_bits(v + 0.0);
            }
            ++*rows;
        }
    }
cleanup:
    dm_free(x);
    return st;
}

/* Ranges of about equal numbers of values. They decide who works, not what comes out. Collective. */
static demarc_status place_ranges(walker *w)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = w->o->d;
    uint64_t *key = NULL, *all = NULL, *column = NULL;
    int64_t rows = 0, bytes = 0;
    DM_TRY_ALL(w->o->c->comm, dm_alloc(w->split, larger(1, d * (w->ranges - 1)), "drift"));
    if (w->ranges == 1) return DEMARC_OK;
    DM_TRY_ALL(w->o->c->comm, dm_alloc(key, 2 * (int64_t)SAMPLE_ROWS * d, "drift"));
    DM_TRY_ALL(w->o->c->comm, sample_rows(w, key, &rows));
    DM_TRY(dm_comm_all_gather(w->o->c->comm, key, rows * d * (int64_t)sizeof *key, (void **)&all, &bytes));
    rows = bytes / (int64_t)sizeof *key / d;
    DM_TRY_ALL(w->o->c->comm, dm_alloc(column, rows, "drift"));
    for (int32_t f = 0; f < d; f++) {
        int64_t present = 0;
        for (int64_t i = 0; i < rows; i++) {
            if (all[i * d + f] != UINT64_MAX) column[present++] = all[i * d + f];
        }
        qsort(column, (size_t)present, sizeof *column, compare_keys);
        for (int64_t r = 1; r < w->ranges; r++) {
            w->split[f * (w->ranges - 1) + r - 1] = present == 0 ? UINT64_MAX : column[present * r / w->ranges];
        }
    }
cleanup:
    dm_free(key);
    dm_free(all);
    dm_free(column);
    return st;
}

/* Range of a key: how many splits are at or below it. */
static int64_t range_of(const walker *w, int32_t f, uint64_t key)
{
    const uint64_t *split = w->split + f * (w->ranges - 1);
    int64_t low = 0, high = w->ranges - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (split[middle] <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ------------------------------------------------------------------------------------------------ collecting */

static demarc_status append(items *v, item x)
{
    if (v->count == v->room) {
        item *grown = NULL;
        const int64_t room = larger(1024, v->room + v->room / 2);
        const demarc_status st = dm_alloc(grown, room, "drift");
        if (st != DEMARC_OK) return st;
        if (v->count > 0) memcpy(grown, v->at, (size_t)v->count * sizeof *grown);
        dm_free(v->at);
        v->at = grown;
        v->room = room;
    }
    v->at[v->count++] = x;
    return DEMARC_OK;
}

static demarc_status collect_feature(walker *w, const dm_window *v, int32_t f)
{
    const dm_compared_run *run = &w->o->c->run[w->side];
    const int32_t *label = w->o->label[w->side] + v->at, *set_of = w->o->set_of[w->side];
    const int64_t ranks = dm_comm_size(w->o->c->comm);
    const double *x = v->x + run->column[f];
    for (int64_t r = 0; r < v->rows; r++) {
        const double value = x[r * v->features];
        if (isnan(value)) continue;
        const item one = {.key = dm_ordered_bits(value + 0.0), /* both zeros are one value */
                          .q = dm_walk_weight(v->w != NULL ? (double)v->w[r] : 1.0, run->weight_high, v->w != NULL),
                          .from = (uint32_t)w->side + 2 * (uint32_t)set_of[label[r]]};
        if (one.q == 0 || (w->parts > 1 && range_of(w, f, one.key) / ranks != w->part)) continue;
        const demarc_status st = append(&w->items[f - w->first], one);
        if (st != DEMARC_OK) return st;
    }
    return DEMARC_OK;
}

static demarc_status collect_window(void *context, const dm_window *v)
{
    walker *w = context;
    demarc_status worst = DEMARC_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(w->o->c->threads)
    for (int32_t f = w->first; f < w->first + w->features; f++) {
        const demarc_status st = collect_feature(w, v, f);
        if (st != DEMARC_OK) {
#pragma omp critical(dm_drift_walk_status)
            worst = st;
        }
    }
    return worst == DEMARC_OK ? DEMARC_OK : dm_fail(worst, "out of memory: drift: use more ranks or --memory-limit");
}

/* Give every range of one feature to its rank. Collective. */
static demarc_status exchange(walker *w, int32_t f)
{
    demarc_status st = DEMARC_OK;
    const int ranks = dm_comm_size(w->o->c->comm);
    items *v = &w->items[f - w->first];
    item *packed = NULL;
    int64_t *offset = NULL, bytes = 0;
    if (ranks == 1) return DEMARC_OK;
    st = dm_alloc(packed, v->count, "drift");
    if (st == DEMARC_OK) st = dm_alloc_zero(offset, ranks + 1, "drift");
    DM_TRY_ALL(w->o->c->comm, st);
    for (int64_t i = 0; i < v->count; i++) offset[range_of(w, f, v->at[i].key) % ranks + 1]++;
    for (int r = 0; r < ranks; r++) offset[r + 1] += offset[r];
    for (int64_t i = 0; i < v->count; i++) packed[offset[range_of(w, f, v->at[i].key) % ranks]++] = v->at[i];
    memmove(offset + 1, offset, (size_t)ranks * sizeof *offset);
    offset[0] = 0;
    for (int r = 0; r <= ranks; r++) offset[r] *= (int64_t)sizeof *packed;
    dm_free(v->at);
    *v = (items){0};
    DM_TRY(dm_comm_exchange(w->o->c->comm, packed, offset, (void **)&v->at, &bytes));
    v->count = v->room = bytes / (int64_t)sizeof *packed;
cleanup:
    dm_free(packed);
    dm_free(offset);
    return st;
}

/* By digits of 8 bits, the lowest first; digits in which all agree cost nothing. */
static demarc_status sort_items(items *v)
{
    demarc_status st = DEMARC_OK;
    item *spare = NULL;
    int64_t(*count)[256] = NULL;
    DM_TRY(dm_alloc_zero(count, 8, "drift"));
    DM_TRY(dm_alloc(spare, v->count, "drift"));
    for (int64_t i = 0; i < v->count; i++) {
        for (int digit = 0; digit < 8; digit++) count[digit][v->at[i].key >> (8 * digit) & 0xff]++;
    }
    for (int digit = 0; digit < 8 && v->count > 0; digit++) {
        int64_t *to = count[digit], sum = 0;
        if (to[v->at[0].key >> (8 * digit) & 0xff] == v->count) continue;
        for (int i = 0; i < 256; i++) {
            const int64_t here = to[i];
            to[i] = sum;
            sum += here;
        }
        for (int64_t i = 0; i < v->count; i++) spare[to[v->at[i].key >> (8 * digit) & 0xff]++] = v->at[i];
        item *other = v->at;
        v->at = spare;
        spare = other;
    }
    v->room = v->count;
cleanup:
    dm_free(count);
    dm_free(spare);
    return st;
}

/* ------------------------------------------------------------------------------------------------ walking */

static void measure(const walker *w, const items *v, stand *s)
{
    for (int32_t i = 0; i < w->o->sets; i++) s[i] = (stand){0};
    for (int64_t i = 0; i < v->count; i++) {
        const uint32_t set = v->at[i].from >> 1;
        const double x = dm_ordered_value(v->at[i].key);
        for (int both = 0; both < (set > 0 ? 2 : 1); both++) {
            stand *to = &s[both == 0 ? 0 : set];
            to->any = 1;
            to->last = x;
            to->sum[v->at[i].from & 1] += v->at[i].q;
        }
    }
}

/* One set of one feature while its range is walked. */
typedef struct steps {
    stand at;
    int64_t total[2];
    bool open;      /* a value of this range is still being counted */
    int32_t target; /* next quantile, 1 .. bins - 1 */
    double ks;
    dm_exact_sum *area;
    int64_t *edge; /* [bins - 1, 2] */
} steps;

static bool reached(const steps *s, int32_t bins, int32_t target)
{
    return (dm_int128)s->at.sum[0] * bins >= (dm_int128)s->total[0] * target;
}

static double height(const steps *s)
{
    return fabs((double)s->at.sum[0] / (double)s->total[0] - (double)s->at.sum[1] / (double)s->total[1]);
}

/* All customers with the last value are counted. */
static void close_value(steps *s, int32_t bins)
{
    s->ks = fmax(s->ks, height(s));
    s->open = false;
    if (s->target >= bins || !reached(s, bins, s->target)) return;
    if (s->at.sum[0] < s->total[0]) {
        s->edge[2 * (s->target - 1)] = s->at.sum[0];
        s->edge[2 * (s->target - 1) + 1] = s->at.sum[1];
    }
    while (s->target < bins && reached(s, bins, s->target)) s->target++;
}

static void step(steps *s, int32_t bins, double x, int side, uint32_t q)
{
    if (s->at.any && x != s->at.last) {
        if (s->open) close_value(s, bins);
        dm_exact_sum_add(s->area, height(s) * (x - s->at.last));
    }
    s->at.sum[side] += q;
    s->at.last = x;
    s->at.any = 1;
    s->open = true;
}

/* Walk this rank's range of a feature; before[i] is where set i stands. */
static demarc_status walk_range(walker *w, int32_t f, const stand *before)
{
    demarc_status st = DEMARC_OK;
    const dm_walk_options *o = w->o;
    const items *v = &w->items[f - w->first];
    steps *s = NULL;
    DM_TRY(dm_alloc_zero(s, o->sets, "drift"));
    for (int32_t i = 0; i < o->sets; i++) {
        const int64_t at = (int64_t)i * o->d + f;
        s[i].at = before[i];
        s[i].total[0] = o->total[at];
        s[i].total[1] = o->total[(int64_t)o->sets * o->d + at];
        s[i].area = &w->area[at];
        s[i].edge = w->walk->edge + at * (o->bins - 1) * 2;
        s[i].target = 1;
        while (s[i].target < o->bins && s[i].total[0] > 0 && reached(&s[i], o->bins, s[i].target)) s[i].target++;
    }
    for (int64_t i = 0; i < v->count; i++) {
        const uint32_t set = v->at[i].from >> 1;
        const double x = dm_ordered_value(v->at[i].key);
        for (int both = 0; both < (set > 0 ? 2 : 1); both++) {
            steps *to = &s[both == 0 ? 0 : set];
            if (to->total[0] > 0 && to->total[1] > 0) step(to, o->bins, x, v->at[i].from & 1, v->at[i].q);
        }
    }
    for (int32_t i = 0; i < o->sets; i++) {
        const int64_t at = (int64_t)i * o->d + f;
        if (s[i].open) close_value(&s[i], o->bins);
        w->walk->ks[at] = fmax(w->walk->ks[at], s[i].ks);
    }
cleanup:
    dm_free(s);
    return st;
}

/* Add what a range holds to where the walk stands. */
static void pass_over(stand *at, const stand *s)
{
    if (!s->any) return;
    at->sum[0] += s->sum[0];
    at->sum[1] += s->sum[1];
    at->last = s->last;
    at->any = 1;
}

/* Sort and walk what this sweep collected. Collective. */
static demarc_status walk_sweep(walker *w)
{
    demarc_status st = DEMARC_OK;
    const dm_walk_options *o = w->o;
    dm_comm *comm = o->c->comm;
    const int64_t cells = (int64_t)w->features * o->sets;
    stand *mine = NULL, *all = NULL, *before = NULL;
    int64_t bytes = 0;
    st = dm_alloc(mine, cells, "drift");
    if (st == DEMARC_OK) st = dm_alloc(before, cells, "drift");
    DM_TRY_ALL(comm, st);
#pragma omp parallel for schedule(dynamic, 1) num_threads(o->c->threads)
    for (int32_t i = 0; i < w->features; i++) {
        const demarc_status sorted = sort_items(&w->items[i]);
        if (sorted == DEMARC_OK) {
            measure(w, &w->items[i], mine + (int64_t)i * o->sets);
        } else {
#pragma omp critical(dm_drift_walk_status)
            st = sorted;
        }
    }
    if (st != DEMARC_OK) (void)dm_fail(st, "out of memory: drift: use more ranks or --memory-limit");
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_comm_all_gather(comm, mine, cells * (int64_t)sizeof *mine, (void **)&all, &bytes));
    for (int64_t cell = 0; cell < cells; cell++) {
        stand *at = &w->stand[(w->first + cell / o->sets) + (cell % o->sets) * o->d];
        for (int r = 0; r < dm_comm_size(comm); r++) {
            if (r == dm_comm_rank(comm)) before[cell] = *at;
            pass_over(at, &all[r * cells + cell]);
        }
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(o->c->threads)
    for (int32_t i = 0; i < w->features; i++) {
        const demarc_status walked = walk_range(w, w->first + i, before + (int64_t)i * o->sets);
        if (walked != DEMARC_OK) {
#pragma omp critical(dm_drift_walk_status)
            st = walked;
        }
    }
    if (st != DEMARC_OK) (void)dm_fail(st, "out of memory: drift: use more ranks or --memory-limit");
    DM_TRY_ALL(comm, st);
cleanup:
    dm_free(mine);
    dm_free(all);
    dm_free(before);
    return st;
}

/* ------------------------------------------------------------------------------------------------ sweeps */

static void drop_items(walker *w)
{
    for (int32_t i = 0; i < w->group && w->items != NULL; i++) {
        dm_free(w->items[i].at);
        w->items[i] = (items){0};
    }
}

static demarc_status sweep(walker *w)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = w->o->c->comm;
    for (w->side = 0; w->side < 2 && st == DEMARC_OK; w->side++)
        st = dm_windows(w->o->c, w->side, DM_WINDOW_FEATURES, collect_window, w);
    DM_TRY_ALL(comm, st);
    for (int32_t f = w->first; f < w->first + w->features; f++) DM_TRY(exchange(w, f));
    DM_TRY(walk_sweep(w));
cleanup:
    drop_items(w);
    return st;
}

/* How many features at a time, and in how many parts where one is too many. Collective. */
static void plan_sweeps(walker *w)
{
    const dm_compared *c = w->o->c;
    const int ranks = dm_comm_size(c->comm);
    int64_t rows = 0, budget = c->memory_limit > 0 ? c->memory_limit / 4 : DEFAULT_BYTES;
    const int64_t free_bytes = dm_memory_available() / (8 * ranks);
    for (int side = 0; side < 2; side++) {
        const dm_row_range range = dm_rows_range(c->run[side].rows);
        rows += range.end - range.begin;
    }
    if (c->memory_limit == 0 && free_bytes > 0 && free_bytes < budget) budget = free_bytes;
    dm_comm_max_i64(c->comm, &rows, 1);
    dm_comm_min_i64(c->comm, &budget, 1);
    const int64_t bytes = larger(1, rows * COPIES * (int64_t)sizeof(item));
    const int64_t fit = budget / bytes;
    w->group = (int32_t)(fit < 1 ? 1 : fit < w->o->d ? fit : w->o->d);
    w->parts = fit >= 1 ? 1 : larger(1, (bytes + larger(1, budget) - 1) / larger(1, budget));
    if (w->parts > 256) w->parts = 256;
    w->ranges = w->parts * ranks;
}

demarc_status dm_walk_run(dm_walk *walk, const dm_walk_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = o->c->comm;
    walker w = {.o = o, .walk = walk};
    const int64_t cells = (int64_t)o->sets * o->d, edges = cells * (o->bins - 1) * 2;
    *walk = (dm_walk){0};
    plan_sweeps(&w);
    st = dm_alloc_zero(walk->ks, cells, "drift");
    if (st == DEMARC_OK) st = dm_alloc(walk->wasserstein, cells, "drift");
    if (st == DEMARC_OK) st = dm_alloc(walk->edge, edges, "drift");
    if (st == DEMARC_OK) st = dm_alloc_zero(w.area, cells, "drift");
    if (st == DEMARC_OK) st = dm_alloc_zero(w.stand, cells, "drift");
    if (st == DEMARC_OK) st = dm_alloc_zero(w.items, w.group, "drift");
    DM_TRY_ALL(comm, st);
    for (int64_t i = 0; i < edges; i++) walk->edge[i] = -1;
    DM_TRY(place_ranges(&w));
    for (w.first = 0; w.first < o->d; w.first += w.group) {
        w.features = o->d - w.first < w.group ? o->d - w.first : w.group;
        for (w.part = 0; w.part < w.parts; w.part++) DM_TRY(sweep(&w));
    }
    dm_comm_max_f64(comm, walk->ks, cells);
    dm_comm_max_i64(comm, walk->edge, edges);
    dm_comm_sum_exact(comm, w.area, cells);
    for (int64_t i = 0; i < cells; i++) walk->wasserstein[i] = dm_exact_sum_value(&w.area[i]);
cleanup:
    dm_free(w.area);
    dm_free(w.stand);
    dm_free(w.split);
    dm_free(w.items);
    return st;
}

void dm_walk_clear(dm_walk *walk)
{
    dm_free(walk->ks);
    dm_free(walk->wasserstein);
    dm_free(walk->edge);
    *walk = (dm_walk){0};
}
