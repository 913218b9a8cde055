#include "engine/page_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/row_sampler.h"
#include "linalg/principal.h"

#define TILE 256      /* rows whose products are taken together */
#define MAP_HALF 8192 /* coordinates lie in [-MAP_HALF, MAP_HALF] */

/* n = d + 1: a last column of ones gives the sums of the features, and the weight, with the products. */
typedef struct product_pass {
    int32_t d, n;
    int threads;
    double **tile;     /* [threads] of [TILE, n] */
    double **product;  /* [threads] of [n, n] */
    dm_sampler *part;  /* [threads] */
    dm_exact_sum *sum; /* [n, n], lower triangle */
} product_pass;

static void pass_clear(product_pass *p)
{
    for (int t = 0; t < p->threads; t++) {
        if (p->tile != NULL) dm_free(p->tile[t]);
        if (p->product != NULL) dm_free(p->product[t]);
        if (p->part != NULL) dm_sampler_destroy(&p->part[t]);
    }
    dm_free(p->tile);
    dm_free(p->product);
    dm_free(p->part);
    dm_free(p->sum);
    *p = (product_pass){0};
}

static demarc_status pass_create(product_pass *p, int32_t d, int threads)
{
    demarc_status st = DEMARC_OK;
    *p = (product_pass){.d = d, .n = d + 1, .threads = threads};
    const int64_t square = (int64_t)p->n * p->n;
    DM_TRY(dm_alloc_zero(p->tile, threads, "map"));
    DM_TRY(dm_alloc_zero(p->product, threads, "map"));
    DM_TRY(dm_alloc_zero(p->part, threads, "map"));
    DM_TRY(dm_alloc_zero(p->sum, square, "map"));
    for (int t = 0; t < threads; t++) {
        DM_TRY(dm_alloc(p->tile[t], TILE * (int64_t)p->n, "map"));
        DM_TRY(dm_alloc(p->product[t], square, "map"));
        DM_TRY(dm_sampler_create(&p->part[t], DM_MAP_CUSTOMERS, d));
    }
cleanup:
    return st;
}

static void sample_block(dm_sampler *part, int64_t begin, int64_t rows, const float *x)
{
    for (int64_t r = 0; r < rows; r++) {
        const dm_random4 u = dm_random(0, DM_PURPOSE_MAP, 0, (uint64_t)(begin + r));
        const double key = dm_uniform(u.v[0], u.v[1]);
        if (dm_sampler_wants(part, key, begin + r)) dm_sampler_offer(part, key, begin + r, x + r * part->d);
    }
}

static void on_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    const product_pass *p = context;
    const int32_t d = p->d, n = p->n;
    double *tile = p->tile[thread], *product = p->product[thread];
    memset(product, 0, (size_t)n * (size_t)n * sizeof *product);
    for (int64_t at = 0; at < rows; at += TILE) {
        const int64_t count = rows - at < TILE ? rows - at : TILE;
        for (int64_t r = 0; r < count; r++) {
            const double scale = w != NULL ? sqrt((double)w[at + r]) : 1.0;
            for (int32_t f = 0; f < d; f++) tile[r * n + f] = scale * (double)x[(at + r) * d + f];
            tile[r * n + d] = scale;
        }
        dm_add_products(count, n, tile, product);
    }
    sample_block(&p->part[thread], begin, rows, x);
#pragma omp critical(dm_page_map_sum)
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j <= i; j++) dm_exact_sum_add(&p->sum[(int64_t)i * n + j], product[(int64_t)i * n + j]);
    }
}

/* covariance [d, d] (lower triangle) and mean [d] of the summed products. */
static void covariance_of(const product_pass *p, double *covariance, double *mean)
{
    const int64_t d = p->d, n = p->n;
    const double weight = dm_exact_sum_value(&p->sum[d * n + d]);
    for (int64_t f = 0; f < d; f++) mean[f] = dm_exact_sum_value(&p->sum[d * n + f]) / weight;
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j <= i; j++) {
            const double product = dm_exact_sum_value(&p->sum[i * n + j]) / weight;
            covariance[i * d + j] = covariance[j * d + i] = product - mean[i] * mean[j];
        }
    }
}

/* The two axes. Where d is 1 the second has no length. */
static demarc_status find_axes(dm_page_map *map, int32_t d, double *covariance)
{
    demarc_status st = DEMARC_OK;
    double *value = NULL, *vector = NULL, total = 0.0;
    DM_TRY(dm_alloc(value, d, "map"));
    DM_TRY(dm_alloc(vector, (int64_t)d * d, "map"));
    memcpy(vector, covariance, (size_t)d * (size_t)d * sizeof *vector);
    DM_TRY(dm_symmetric_eigen(d, vector, value));
    for (int32_t f = 0; f < d; f++) total += covariance[(int64_t)f * d + f];
    for (int32_t a = 0; a < 2; a++) {
        const bool exists = a < d && value[a] > 0.0;
        map->share[a] = total > 0.0 ? (exists ? value[a] / total : 0.0) : (double)NAN;
        for (int32_t f = 0; f < d; f++) {
            const int64_t at = (int64_t)a * d + f;
            const double variance = covariance[(int64_t)f * d + f];
            map->loading[at] = exists ? vector[at] : 0.0;
            map->correlation[at] =
                exists && variance > 0.0 ? map->loading[at] * sqrt(value[a] / variance) : (double)NAN;
            if (map->correlation[at] > 1.0) map->correlation[at] = 1.0;
            if (map->correlation[at] < -1.0) map->correlation[at] = -1.0;
        }
    }
cleanup:
    dm_free(value);
    dm_free(vector);
    return st;
}

static double along(const dm_page_map *map, int32_t d, int a, const double *mean, const double *x, double unit)
{
    double s = 0.0;
    for (int32_t f = 0; f < d; f++) s += map->loading[(int64_t)a * d + f] * (x[f] - mean[f]);
    return s * unit;
}

typedef struct order_entry {
    int64_t row;
    int32_t place;
} order_entry;

static int by_row(const void *a, const void *b)
{
    const int64_t x = ((const order_entry *)a)->row, y = ((const order_entry *)b)->row;
    return (x > y) - (x < y);
}

/* Smallest power of two in which all coordinates fit. */
static double step_of(const double *coordinate, int64_t count)
{
    double span = 0.0;
    int exponent = 0;
    for (int64_t i = 0; i < count; i++) span = fmax(span, fabs(coordinate[i]));
    if (span == 0.0) return 1.0;
    frexp(span, &exponent);
    return ldexp(1.0 / MAP_HALF, exponent);
}

/* Centroids, then the drawn customers in row order, to the map's integers. */
static demarc_status place_all(dm_page_map *map, const dm_model *model, const double *mean, const dm_drawn *drawn,
                               const float *x, int64_t *row)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = model->d, k = model->k;
    const double unit = model->transform.unit;
    double *at = NULL, *wide = NULL;
    order_entry *order = NULL;
    const int64_t all = (int64_t)k + map->customers;
    DM_TRY(dm_alloc(at, 2 * all, "map"));
    DM_TRY(dm_alloc(wide, d, "map"));
    DM_TRY(dm_alloc(order, map->customers, "map"));
    for (int32_t i = 0; i < map->customers; i++) order[i] = (order_entry){drawn[i].row, i};
    qsort(order, (size_t)map->customers, sizeof *order, by_row);
    for (int64_t i = 0; i < all; i++) {
        const double *from = wide;
        if (i < k) {
            from = model->centroids + i * d;
        } else {
            row[i - k] = order[i - k].row;
            for (int32_t f = 0; f < d; f++) wide[f] = (double)x[(int64_t)order[i - k].place * d + f];
        }
        for (int a = 0; a < 2; a++) at[2 * i + a] = along(map, d, a, mean, from, unit);
    }
    map->step = step_of(at, 2 * all);
    for (int64_t i = 0; i < 2 * (int64_t)k; i++) map->centroid[i] = (int32_t)lrint(at[i] / map->step);
    for (int64_t i = 0; i < map->customers; i++) {
        map->x[i] = (int32_t)lrint(at[2 * (k + i)] / map->step);
        map->y[i] = (int32_t)lrint(at[2 * (k + i) + 1] / map->step);
    }
cleanup:
    dm_free(at);
    dm_free(wide);
    dm_free(order);
    return st;
}

static demarc_status map_create(dm_page_map *map, int32_t k, int32_t d)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(map->loading, 2 * (int64_t)d, "map"));
    DM_TRY(dm_alloc(map->correlation, 2 * (int64_t)d, "map"));
    DM_TRY(dm_alloc(map->centroid, 2 * (int64_t)k, "map"));
    DM_TRY(dm_alloc(map->x, DM_MAP_CUSTOMERS, "map"));
    DM_TRY(dm_alloc(map->y, DM_MAP_CUSTOMERS, "map"));
    DM_TRY(dm_alloc_zero(map->segment, DM_MAP_CUSTOMERS, "map"));
cleanup:
    return st;
}

demarc_status dm_page_map_make(dm_page_map *map, const dm_frozen_model *m, int threads, int64_t **row)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = m->model.d, k = m->model.k;
    dm_comm *comm = dm_rows_opened_with(m->rows)->comm;
    product_pass p = {0};
    dm_drawn *drawn = NULL;
    float *x = NULL;
    double *covariance = NULL, *mean = NULL;
    *map = (dm_page_map){.of = dm_rows_global(m->rows)};
    *row = NULL;
    st = pass_create(&p, d, threads);
    if (st == DEMARC_OK) st = map_create(map, k, d);
    if (st == DEMARC_OK) st = dm_alloc(*row, DM_MAP_CUSTOMERS, "map");
    if (st == DEMARC_OK) st = dm_alloc(covariance, (int64_t)d * d, "map");
    if (st == DEMARC_OK) st = dm_alloc(mean, d, "map");
    DM_TRY_ALL(comm, st);
    DM_TRY_ALL(comm, dm_rows_pass(m->rows, on_block, &p));
    dm_comm_sum_exact(comm, p.sum, (int64_t)p.n * p.n);
    DM_TRY(dm_sampler_collect(comm, p.part, threads, &drawn, &x, &map->customers));
    covariance_of(&p, covariance, mean);
    st = find_axes(map, d, covariance);
    if (st == DEMARC_OK) st = place_all(map, &m->model, mean, drawn, x, *row);
    DM_TRY_ALL(comm, st);
cleanup:
    pass_clear(&p);
    dm_free(drawn);
    dm_free(x);
    dm_free(covariance);
    dm_free(mean);
    return st;
}
