#include "kmeans/segment_sums.h"

#include <float.h>
#include <string.h>

#include "base/memory.h"

demarc_status dm_sum_grid_create(dm_sum_grid *g, int32_t d, const double *bound, bool weighted, double weight_high)
{
    demarc_status st = DEMARC_OK;
    *g = (dm_sum_grid){.d = d, .weighted = weighted, .weight_scale = 1.0};
    DM_TRY(dm_alloc(g->scale, d, "sum grid"));
    DM_TRY(dm_alloc(g->single, d, "sum grid"));
    if (weighted) g->weight_scale = dm_fixed_scale(weight_high);
    bool fits = true;
    for (int32_t f = 0; f < d; f++) {
        g->scale[f] = dm_fixed_scale(weighted ? bound[f] * weight_high : bound[f]);
        g->single[f] = (float)g->scale[f];
        fits = fits && g->scale[f] >= (double)FLT_MIN && g->scale[f] <= (double)FLT_MAX;
    }
    if (!fits) {
        dm_free(g->single);
        g->single = NULL;
    }
cleanup:
    if (st != DEMARC_OK) dm_sum_grid_destroy(g);
    return st;
}

void dm_sum_grid_destroy(dm_sum_grid *g)
{
    dm_free(g->scale);
    dm_free(g->single);
    *g = (dm_sum_grid){0};
}

static int64_t cells(const dm_segment_sums *s) { return (int64_t)s->k * (s->d + 1); }
static int64_t room(const dm_segment_sums *s) { return (int64_t)s->capacity * (s->d + 1); }

demarc_status dm_segment_sums_create(dm_segment_sums *s, int32_t capacity, int32_t d, int threads)
{
    demarc_status st = DEMARC_OK;
    *s = (dm_segment_sums){.k = capacity, .capacity = capacity, .d = d, .threads = threads};
    DM_TRY(dm_alloc_zero(s->total, threads * room(s), "segment sums"));
    DM_TRY(dm_alloc_zero(s->part, threads * room(s), "segment sums"));
    DM_TRY(dm_alloc_zero(s->pending, threads, "segment sums"));
    DM_TRY(dm_alloc_zero(s->count, (int64_t)threads * capacity, "segment sums"));
cleanup:
    if (st != DEMARC_OK) dm_segment_sums_destroy(s);
    return st;
}

void dm_segment_sums_destroy(dm_segment_sums *s)
{
    dm_free(s->total);
    dm_free(s->part);
    dm_free(s->pending);
    dm_free(s->count);
    *s = (dm_segment_sums){0};
}

void dm_segment_sums_start(dm_segment_sums *s, int32_t k)
{
    s->k = k;
    memset(s->total, 0, (size_t)(s->threads * room(s)) * sizeof *s->total);
    memset(s->part, 0, (size_t)(s->threads * room(s)) * sizeof *s->part);
    memset(s->pending, 0, (size_t)s->threads * sizeof *s->pending);
    memset(s->count, 0, (size_t)s->threads * (size_t)s->capacity * sizeof *s->count);
}

static void flush(dm_segment_sums *s, int thread)
{
    dm_fixed_flush(s->total + thread * room(s), s->part + thread * room(s), cells(s));
    s->pending[thread] = 0;
}

void dm_segment_sums_move(dm_segment_sums *s, const dm_sum_grid *g, const dmk_table *kernel, int thread, const float *x,
                          const float *w, const int32_t *from, const int32_t *to, int64_t rows)
{
    int64_t *part = s->part + thread * room(s);
    const dmk_sums sums = {.sum = part,
                           .weight = part + (int64_t)s->k * s->d,
                           .count = s->count + (int64_t)thread * s->capacity,
                           .scale = g->scale,
                           .single = g->single,
                           .weight_scale = g->weight_scale};
    if (s->pending[thread] + rows > DM_FIXED_TERMS) flush(s, thread);
    kernel->move(x, w, from, to, rows, s->d, &sums);
    s->pending[thread] += rows;
}

demarc_status dm_segment_sums_reduce(dm_segment_sums *s, dm_comm *comm)
{
    for (int t = 0; t < s->threads; t++) flush(s, t);
    for (int t = 1; t < s->threads; t++) {
        for (int64_t i = 0; i < cells(s); i++) s->total[i] += s->total[t * room(s) + i];
        for (int32_t j = 0; j < s->k; j++) s->count[j] += s->count[(int64_t)t * s->capacity + j];
    }
    dm_comm_sum_i64(comm, s->count, s->k);
    return dm_comm_sum_fixed(comm, s->total, cells(s));
}

void dm_segment_sums_add(dm_segment_sums *a, const dm_segment_sums *b)
{
    for (int64_t i = 0; i < cells(a); i++) a->total[i] += b->total[i];
    for (int32_t j = 0; j < a->k; j++) a->count[j] += b->count[j];
}

double dm_segment_sums_weight(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j)
{
    return (double)s->total[(int64_t)s->k * s->d + j] / g->weight_scale;
}

int64_t dm_segment_sums_count(const dm_segment_sums *s, int32_t j) { return s->count[j]; }

double dm_segment_sums_value(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j, int32_t f)
{
    return (double)s->total[(int64_t)j * s->d + f] / g->scale[f];
}

bool dm_segment_sums_mean(const dm_segment_sums *s, const dm_sum_grid *g, int32_t j, double *mean)
{
    const double weight = dm_segment_sums_weight(s, g, j);
    if (!(weight > 0.0)) return false;
    for (int32_t f = 0; f < s->d; f++) mean[f] = dm_segment_sums_value(s, g, j, f) / weight;
    return true;
}

bool dm_segment_sums_equal(const dm_segment_sums *a, const dm_segment_sums *b)
{
    return a->k == b->k && memcmp(a->total, b->total, (size_t)cells(a) * sizeof *a->total) == 0 &&
           memcmp(a->count, b->count, (size_t)a->k * sizeof *a->count) == 0;
}

void dm_segment_sums_copy(dm_segment_sums *a, const dm_segment_sums *b)
{
    a->k = b->k;
    memcpy(a->total, b->total, (size_t)cells(b) * sizeof *a->total);
    memcpy(a->count, b->count, (size_t)b->k * sizeof *a->count);
}
