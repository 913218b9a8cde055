#include "kmeans/sample_fits.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"

#define STREAM_OF_TASKS (UINT64_C(1) << 44) /* beyond the restarts of a fit */

/* ------------------------------------------------------------------------------------------------ sample */

int64_t dm_fit_sample_size(int64_t n, int32_t d)
{
    const int64_t room = DM_SAMPLE_VALUES / (d > 0 ? d : 1);
    if (n <= DM_SAMPLE_ALL && n <= room) return n;
    return DM_SAMPLE_ROWS < room ? DM_SAMPLE_ROWS : room < n ? room : n;
}

typedef struct keyed_row {
    uint64_t key;
    int64_t row;
} keyed_row;

static int by_key(const void *a, const void *b)
{
    const keyed_row *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t key_of(uint64_t seed, int64_t row)
{
    const dm_random4 r = dm_random(seed, DM_PURPOSE_FIT_SAMPLE, 0, (uint64_t)row);
    return ((uint64_t)r.v[0] << 32) | r.v[1];
}

/* Rows of the range whose key is below `limit`. Local. */
static demarc_status list_below(dm_row_range range, uint64_t seed, uint64_t limit, int threads, keyed_row **list,
                                int64_t *count)
{
    demarc_status st = DEMARC_OK;
    int64_t found = 0, listed = 0;
#pragma omp parallel for reduction(+ : found) num_threads(threads)
    for (int64_t r = range.begin; r < range.end; r++) found += key_of(seed, r) < limit;
    DM_TRY(dm_alloc(*list, found, "sample"));
#pragma omp parallel for num_threads(threads)
    for (int64_t r = range.begin; r < range.end; r++) {
        const uint64_t key = key_of(seed, r);
        if (key >= limit) continue;
        int64_t at;
#pragma omp atomic capture
        at = listed++;
        (*list)[at] = (keyed_row){key, r};
    }
    *count = found;
cleanup:
    return st;
}

/* The m rows with the smallest keys, ascending. A limit that six standard deviations more rows than m stay below. */
static demarc_status draw_rows(dm_fit_sample *s, dm_rows *rows, uint64_t seed)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(rows)->comm;
    const int threads = dm_rows_opened_with(rows)->threads;
    keyed_row *mine = NULL;
    void *all = NULL;
    int64_t count = 0, bytes = 0;
    double share = ((double)s->m + 6.0 * sqrt((double)s->m)) / (double)s->n;
    for (;; share *= 2.0) {
        const uint64_t limit = share < 1.0 ? (uint64_t)(share * 0x1p64) : UINT64_MAX;
        DM_TRY_ALL(comm, list_below(dm_rows_range(rows), seed, limit, threads, &mine, &count));
        DM_TRY(dm_comm_all_gather(comm, mine, count * (int64_t)sizeof *mine, &all, &bytes));
        if (bytes / (int64_t)sizeof *mine >= s->m) break;
        dm_free(mine);
        dm_free(all);
        mine = NULL;
        all = NULL;
    }
    keyed_row *list = all;
    qsort(list, (size_t)bytes / sizeof *list, sizeof *list, by_key);
    for (int64_t i = 0; i < s->m; i++) s->row[i] = list[i].row;
    qsort(s->row, (size_t)s->m, sizeof *s->row, by_row);
cleanup:
    dm_free(mine);
    dm_free(all);
    return st;
}

/* Every rank has some of the rows and gets all. */
static demarc_status gather(dm_fit_sample *s, dm_rows *rows)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(rows)->comm;
    const dm_row_range range = dm_rows_range(rows);
    const bool weighted = dm_rows_weighted(rows);
    float *x = NULL, *w = NULL;
    void *all = NULL;
    int64_t first = 0, last = 0, bytes = 0;
    while (first < s->m && s->row[first] < range.begin) first++;
    for (last = first; last < s->m && s->row[last] < range.end;) last++;
    st = dm_alloc(x, (last - first) * s->d, "sample");
    if (st == DEMARC_OK) st = dm_alloc(w, last - first, "sample");
    if (st == DEMARC_OK) st = dm_rows_gather(rows, last - first, s->row + first, x, weighted ? w : NULL);
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_comm_all_gather(comm, x, (last - first) * s->d * (int64_t)sizeof *x, &all, &bytes));
    s->x = all;
    if (weighted) {
        DM_TRY(dm_comm_all_gather(comm, w, (last - first) * (int64_t)sizeof *w, &all, &bytes));
        s->w = all;
    }
cleanup:
    dm_free(x);
    dm_free(w);
    return st;
}

demarc_status dm_fit_sample_draw(dm_fit_sample *s, dm_rows *rows, uint64_t seed)
{
    return dm_fit_sample_draw_most(s, rows, seed, INT64_MAX);
}

demarc_status dm_fit_sample_draw_most(dm_fit_sample *s, dm_rows *rows, uint64_t seed, int64_t most)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = dm_rows_opened_with(rows)->comm;
    *s = (dm_fit_sample){.n = dm_rows_global(rows), .d = dm_rows_features(rows)};
    s->m = dm_fit_sample_size(s->n, s->d);
    if (s->m > most) s->m = most;
    DM_TRY_ALL(comm, dm_alloc(s->row, s->m, "sample"));
    if (s->m < s->n) {
        DM_TRY(draw_rows(s, rows, seed));
    } else {
        for (int64_t i = 0; i < s->m; i++) s->row[i] = i;
    }
    DM_TRY(gather(s, rows));
cleanup:
    if (st != DEMARC_OK) dm_fit_sample_clear(s);
    return st;
}

void dm_fit_sample_clear(dm_fit_sample *s)
{
    dm_free(s->row);
    dm_free(s->x);
    dm_free(s->w);
    *s = (dm_fit_sample){0};
}

/* ------------------------------------------------------------------------------------------------ one fit */

demarc_status dm_fitter_create(dm_fitter *f, const dmk_table *kernel, int thread, int64_t most, int32_t d,
                               int32_t most_k, uint64_t seed)
{
    demarc_status st = DEMARC_OK;
    const int64_t seeds = INT64_C(32) * most_k > DM_SEED_POINTS ? INT64_C(32) * most_k : DM_SEED_POINTS;
    *f = (dm_fitter){.kernel = kernel, .thread = thread, .d = d, .most_k = most_k, .seed = seed, .most = most};
    f->seeds = seeds < most ? seeds : most;
    DM_TRY(dm_alloc(f->point, most * d, "small fit"));
    DM_TRY(dm_alloc(f->pw, most, "small fit"));
    DM_TRY(dm_alloc(f->label, most, "small fit"));
    DM_TRY(dm_alloc(f->squared, most, "small fit"));
    DM_TRY(dm_alloc(f->y, f->seeds * d, "small fit"));
    DM_TRY(dm_alloc(f->yw, f->seeds, "small fit"));
    DM_TRY(dm_alloc(f->sum, (int64_t)most_k * d, "small fit"));
    DM_TRY(dm_alloc(f->weight, most_k, "small fit"));
    DM_TRY(dm_centers_create(&f->centers, most_k, d));
    DM_TRY(dm_tile_create(&f->tile, most_k));
cleanup:
    if (st != DEMARC_OK) dm_fitter_destroy(f);
    return st;
}

void dm_fitter_destroy(dm_fitter *f)
{
    dm_free(f->point);
    dm_free(f->pw);
    dm_free(f->label);
    dm_free(f->squared);
    dm_free(f->y);
    dm_free(f->yw);
    dm_free(f->sum);
    dm_free(f->weight);
    dm_centers_destroy(&f->centers);
    dm_tile_destroy(&f->tile);
    *f = (dm_fitter){0};
}

/* The points that seed: all, or `seeds` equally spaced in cumulative weight (systematic sampling), repeats as weights. */
static int64_t choose_seeds(dm_fitter *f, int64_t count, uint64_t stream)
{
    double total = 0.0, passed = 0.0;
    int64_t chosen = 0;
    for (int64_t i = 0; i < count; i++) total += f->pw[i];
    const dm_random4 r = dm_random(f->seed, DM_PURPOSE_FIT_SAMPLE, 1 + stream, 0);
    const double step = total / (double)f->seeds;
    double next = step * dm_uniform(r.v[0], r.v[1]);
    for (int64_t i = 0; i < count; i++) {
        double times = 0.0;
        passed += f->pw[i];
        if (count <= f->seeds) {
            times = f->pw[i];
        } else {
            for (; next < passed; next += step) times += 1.0;
        }
        if (!(times > 0.0) || chosen == f->seeds) continue;
        for (int32_t a = 0; a < f->d; a++) f->y[chosen * f->d + a] = (double)f->point[i * f->d + a];
        f->yw[chosen++] = times;
    }
    return chosen;
}

/* Lloyd over all points, in place. */
static void polish(dm_fitter *f, int64_t count, int32_t k, double *centroids)
{
    for (int64_t i = 0; i < count; i++) f->label[i] = -1;
    int32_t *label = (int32_t *)(void *)f->squared; /* new labels; squared distances are not needed here */
    for (int pass = 0; pass < DM_FIT_PASSES; pass++) {
        int64_t changed = 0;
        dm_centers_set(&f->centers, k, centroids, NULL);
        dm_nearest(f->kernel, &f->centers, &f->tile, f->point, count, label);
        for (int64_t i = 0; i < count; i++) changed += label[i] != f->label[i];
        if (changed <= count / 10000) return;
        memcpy(f->label, label, (size_t)count * sizeof *label);
        memset(f->sum, 0, (size_t)k * (size_t)f->d * sizeof *f->sum);
        memset(f->weight, 0, (size_t)k * sizeof *f->weight);
        for (int64_t i = 0; i < count; i++) {
            double *s = f->sum + (int64_t)label[i] * f->d;
            const float *x = f->point + i * f->d;
            const double w = f->pw[i];
            for (int32_t a = 0; a < f->d; a++) s[a] += w * (double)x[a];
            f->weight[label[i]] += w;
        }
        for (int64_t j = 0; j < k; j++) {
            if (!(f->weight[j] > 0.0)) continue;
            for (int32_t a = 0; a < f->d; a++) centroids[j * f->d + a] = f->sum[j * f->d + a] / f->weight[j];
        }
    }
}

demarc_status dm_fitter_fit(dm_fitter *f, const float *x, const double *w, int64_t m, int32_t k, uint64_t stream,
                            double *centroids)
{
    demarc_status st = DEMARC_OK;
    int64_t count = 0;
    for (int64_t i = 0; i < m; i++) {
        if (w != NULL && !(w[i] > 0.0)) continue;
        memcpy(f->point + count * f->d, x + i * f->d, (size_t)f->d * sizeof *x);
        f->pw[count++] = w == NULL ? 1.0 : w[i];
    }
    const int64_t seeds = choose_seeds(f, count, stream);
    if (seeds < k) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "fewer customers than segments: a replicate of the sample has %lld, %d segments asked: lower "
                       "--segments",
                       (long long)seeds, (int)k);
    }
    const dm_recluster_options o = {.kernel = f->kernel,
                                    .threads = 1,
                                    .budget = DM_SEED_BUDGET,
                                    .most_trials = 1,
                                    .seed = f->seed,
                                    .stream = STREAM_OF_TASKS + stream};
    DM_TRY(dm_recluster(&o, f->y, f->yw, seeds, f->d, k, centroids));
    if (seeds < count) polish(f, count, k, centroids);
cleanup:
    return st;
}

double dm_fitter_label(dm_fitter *f, const double *centroids, int32_t k, const float *x, const double *w, int64_t m,
                       int32_t *label)
{
    double total = 0.0;
    dm_centers_set(&f->centers, k, centroids, NULL);
    dm_nearest_distance(f->kernel, &f->centers, &f->tile, x, m, label, f->squared);
    for (int64_t i = 0; i < m; i++) total += (w == NULL ? 1.0 : w[i]) * f->squared[i];
    return total;
}

/* ------------------------------------------------------------------------------------------------ tasks */

/* This rank's tasks. The error line of a thread that fails becomes this thread's. Local. */
static demarc_status run_mine(const dm_fit_tasks *o, int64_t tasks, int32_t width, double *out)
{
    demarc_status st = DEMARC_OK;
    const int size = dm_comm_size(o->comm), rank = dm_comm_rank(o->comm);
    const int64_t mine = tasks > rank ? (tasks - rank - 1) / size + 1 : 0;
    const int threads = mine < o->threads ? (int)mine : o->threads;
    char line[1024] = "";
    if (mine == 0) return DEMARC_OK;
#pragma omp parallel num_threads(threads)
    {
        dm_fitter f;
        demarc_status mine_st =
            dm_fitter_create(&f, o->kernel, omp_get_thread_num(), o->most, o->d, o->most_k, o->seed);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < mine; i++) {
            const int64_t task = rank + i * size;
            if (mine_st == DEMARC_OK) mine_st = o->fn(o->context, &f, task, out + task * width);
        }
        if (mine_st != DEMARC_OK) {
#pragma omp critical
            {
                st = mine_st;
                snprintf(line, sizeof line, "%s", dm_error_line());
            }
        }
        dm_fitter_destroy(&f);
    }
    if (st != DEMARC_OK) dm_error_set(line);
    return st;
}

demarc_status dm_fit_tasks_run(const dm_fit_tasks *o, int64_t tasks, int32_t width, double *out)
{
    demarc_status st = DEMARC_OK;
    int64_t *bits = NULL;
    memset(out, 0, (size_t)tasks * (size_t)width * sizeof *out);
    st = run_mine(o, tasks, width, out);
    if (st == DEMARC_OK) st = dm_alloc(bits, tasks * width, "results of small fits");
    DM_TRY_ALL(o->comm, st);
    /* Each number is one rank's, the others have bits of 0: their sum is that number, bit for bit. */
    memcpy(bits, out, (size_t)tasks * (size_t)width * sizeof *out);
    dm_comm_sum_i64(o->comm, bits, tasks * width);
    memcpy(out, bits, (size_t)tasks * (size_t)width * sizeof *out);
cleanup:
    dm_free(bits);
    return st;
}
