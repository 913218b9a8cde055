/*
 * One full Lloyd pass (exact labels + exact segment sums) over rows in memory, beside the machine's limits measured in
 * the same run: read bandwidth, fused multiply-add peak by a register loop, sgemm through OpenBLAS.
 *
 * usage: lloyd_pass [--rounds N] [--threads T] [--kernel NAME] [--workload NAME:ROWS:FEATURES:SEGMENTS]...
 *
 * floor = max(bytes / bandwidth, 2 n d k flops / FMA peak). Variants run interleaved, one pass each a round; minimum,
 * median and maximum are printed, and the objective, so that no speed goes without correctness. Data: 1.5 k Gaussian
 * clusters, centres about 3.5 sd apart, 5% uniform noise, fixed seed. One line of JSON per variant and workload.
 */
#include <cblas.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/exact_sum.h"
#include "base/memory.h"
#include "base/row_blocks.h"
#include "micro_options.h"
#include "comm/comm.h"
#include "kmeans/segment_sums.h"
#include "linalg/distance.h"

#define MOST_ROUNDS 101
#define MOST_WORKLOADS 16
#define MOST_VARIANTS 8 /* with that of sgemm */

typedef struct workload {
    char name[32];
    int64_t n;
    int32_t d, k;
} workload;

typedef struct limits {
    double bandwidth, fma, sgemm; /* bytes/s, flop/s, flop/s */
} limits;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void die(void)
{
    fprintf(stderr, "lloyd_pass: %s\n", demarc_error());
    exit(5);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != DEMARC_OK) die();                                                                                \
    } while (0)

static double normal(uint64_t seed, uint64_t step, uint64_t index)
{
    const dm_random4 r = dm_random(seed, DM_PURPOSE_GENERATE, step, index);
    return sqrt(-2.0 * log(dm_uniform(r.v[0], r.v[1]))) * cos(6.283185307179586 * dm_uniform(r.v[2], r.v[3]));
}

/* Rows and, as starting centroids, k rows far apart in the file. */
static void make_data(const workload *w, int threads, float *x, double *c)
{
    const int32_t clusters = w->k + w->k / 2;
    const double apart = 3.5 / sqrt(2.0 * w->d);
    double *mean = NULL;
    MUST(dm_alloc(mean, (int64_t)clusters * w->d, "cluster centres"));
    for (int64_t i = 0; i < (int64_t)clusters * w->d; i++) mean[i] = apart * normal(7, 1, (uint64_t)i) * 1.5;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < w->n; i++) {
        const dm_random4 r = dm_random(7, DM_PURPOSE_GENERATE, 2, (uint64_t)i);
        const int64_t z = dm_random_below(r.v[0], r.v[1], clusters);
        const bool noise = r.v[2] < 0x0ccccccc;
        uint64_t state = ((uint64_t)r.v[2] << 32 | r.v[3]) + (uint64_t)i;
        for (int32_t f = 0; f < w->d; f++) { /* a sum of four uniforms is near enough to a Gaussian here, and fast */
            double u = 0.0;
            for (int q = 0; q < 4; q++) {
                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                u += (double)(state >> 40) * 0x1p-24 - 0.5;
            }
            x[i * w->d + f] = (float)(noise ? u * 4.0 : mean[z * w->d + f] + u * sqrt(3.0));
        }
    }
    for (int32_t j = 0; j < w->k; j++) {
        for (int32_t f = 0; f < w->d; f++) c[(int64_t)j * w->d + f] = (double)x[w->n / w->k * j * w->d + f];
    }
    dm_free(mean);
}

static double best_of(int rounds, const double *seconds)
{
    double best = INFINITY;
    for (int i = 0; i < rounds; i++) best = fmin(best, seconds[i]);
    return best;
}

static double read_once(const float *x, int64_t floats, int threads)
{
    double total = 0.0;
    const double start = dm_clock();
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : total)
    for (int64_t b = 0; b < floats / 4096; b++) {
        float s[64] = {0.0f};
        for (int64_t i = 0; i < 4096; i += 64) {
            if (i % 512 == 0) __builtin_prefetch(x + b * 4096 + i + 4096, 0, 3);
            for (int l = 0; l < 64; l++) s[l] += x[b * 4096 + i + l];
        }
        for (int l = 0; l < 64; l++) total += (double)s[l];
    }
    const double seconds = dm_clock() - start;
    return total == 12345.678 ? 0.0 : seconds; /* the sum is used */
}

typedef float lanes __attribute__((vector_size(64)));

/* Independent multiply-add chains in registers; compiled for this machine's widest set through target_clones. */
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("fp-contract=fast"))) static float
spin(int64_t turns)
{
    lanes a[12], m = (lanes){0} + 0.999f, p = (lanes){0} + 0.001f;
    for (int i = 0; i < 12; i++) a[i] = (lanes){0} + (float)i;
    for (int64_t t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) a[i] = a[i] * m + p;
    }
    lanes s = a[0];
    for (int i = 1; i < 12; i++) s += a[i];
    return s[0];
}

static double fma_rate(int threads)
{
    const int64_t turns = 4000000;
    double best = 0.0;
    for (int round = 0; round < 3; round++) {
        float sink = 0.0f;
        const double start = dm_clock();
#pragma omp parallel num_threads(threads) reduction(+ : sink)
        sink += spin(turns);
        const double rate = 2.0 * 16.0 * 12.0 * (double)turns * threads / (dm_clock() - start);
        if (sink != 12345.678f) best = fmax(best, rate);
    }
    return best;
}

static double sgemm_rate(int threads)
{
    enum { M = 512 };
    double best = 0.0;
    for (int round = 0; round < 3; round++) {
        const double start = dm_clock();
#pragma omp parallel num_threads(threads)
        {
            float *a = calloc((size_t)M * M, 4), *b = calloc((size_t)M * M, 4), *c = calloc((size_t)M * M, 4);
            for (int i = 0; i < 8; i++) {
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, M, M, 1.0f, a, M, b, M, 0.0f, c, M);
            }
            free(a);
            free(b);
            free(c);
        }
        best = fmax(best, 8.0 * 2.0 * M * M * M * threads / (dm_clock() - start));
    }
    return best;
}

typedef struct bench {
    const workload *w;
    int threads;
    const float *x;
    dm_centers centers;
    dm_sum_grid grid;
    dm_segment_sums sums;
    dm_comm *comm;
    dm_tile *tile;
    int32_t *label, *none;
} bench;

static double run_pass(bench *b, const dmk_table *kernel)
{
    const double start = dm_clock();
    dm_segment_sums_start(&b->sums, b->w->k);
#pragma omp parallel for schedule(dynamic) num_threads(b->threads)
    for (int64_t i = 0; i < dm_block_count(b->w->n); i++) {
        const int t = omp_get_thread_num();
        const int64_t from = i * DM_BLOCK_ROWS, left = b->w->n - from,
                      rows = left < DM_BLOCK_ROWS ? left : DM_BLOCK_ROWS;
        int32_t *label = b->label + (int64_t)t * DM_BLOCK_ROWS;
        const float *x = b->x + from * b->w->d;
        const int64_t d = b->w->d, most = dm_tile_rows(b->w->k, b->w->d);
        for (int64_t at = 0; at < rows; at += most) {
            const int64_t n = rows - at < most ? rows - at : most;
            dm_nearest(kernel, &b->centers, &b->tile[t], x + at * d, n, label);
            dm_segment_sums_move(&b->sums, &b->grid, kernel, t, x + at * d, NULL, b->none, label, n);
        }
    }
    MUST(dm_segment_sums_reduce(&b->sums, b->comm));
    return dm_clock() - start;
}

/* Objective of the labels of the last pass with its centroids, by brute force in double. */
static double objective_of(bench *b, const dmk_table *kernel)
{
    dm_exact_sum sum = {0};
    for (int64_t from = 0; from < b->w->n; from += DM_BLOCK_ROWS) {
        const int64_t left = b->w->n - from, rows = left < DM_BLOCK_ROWS ? left : DM_BLOCK_ROWS;
        double squared[DM_BLOCK_ROWS], block = 0.0;
        dm_nearest_distance(kernel, &b->centers, &b->tile[0], b->x + from * b->w->d, rows, b->label, squared);
        for (int64_t r = 0; r < rows; r++) block += squared[r];
        dm_exact_sum_add(&sum, block);
    }
    return dm_exact_sum_value(&sum);
}

static void print_row(const workload *w, int threads, const char *kernel, int rounds, double *seconds, const limits *l,
                      double objective)
{
    const double bytes = 4.0 * (double)w->n * w->d, flops = 2.0 * (double)w->n * w->d * w->k;
    const double floor = fmax(bytes / l->bandwidth, flops / l->fma);
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
    const double low = seconds[0], mid = seconds[rounds / 2], high = seconds[rounds - 1];
    printf("| %s %lld x %d, k=%d | %d | %s | %.4f (%.4f-%.4f) | %.1f | %.1f | %.4f | %.2f | %.10g |\n", w->name,
           (long long)w->n, (int)w->d, (int)w->k, threads, kernel, mid, low, high, bytes / mid * 1e-9,
           flops / mid * 1e-9, floor, floor / mid, objective);
    json_t *o = json_pack("{s:s,s:I,s:i,s:i,s:i,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s}", "workload", w->name, "n",
                          (json_int_t)w->n, "d", (int)w->d, "k", (int)w->k, "threads", threads, "kernel", kernel, "min",
                          low, "median", mid, "max", high, "floor", floor, "bandwidth", l->bandwidth, "fma", l->fma,
                          "sgemm", l->sgemm, "objective", objective, "blas_core", dm_blas_core());
    json_dumpf(o, stderr, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stderr);
    json_decref(o);
}

static dmk_table sgemm_table; /* the best variant but for its fused search: OpenBLAS tiles */

/* The tables of this CPU that the user wants; returns their number. */
static int tables(const dmk_table *table[MOST_VARIANTS], const char *only)
{
    int count = 0;
    sgemm_table = *dmk_variant(dmk_variant_find("auto"));
    sgemm_table.name = "blas";
    sgemm_table.nearest = NULL;
    for (int i = 0; i <= dmk_variant_count(); i++) {
        if (i < dmk_variant_count() && !dmk_variant_supported(i)) continue;
        const dmk_table *t = i < dmk_variant_count() ? dmk_variant(i) : &sgemm_table;
        if (only == NULL || strcmp(t->name, only) == 0) table[count++] = t;
    }
    return count;
}

static void run_workload(const workload *w, int threads, int rounds, const char *only)
{
    bench b = {.w = w, .threads = threads};
    float *x = NULL;
    double *c = NULL, *bound = NULL, read[MOST_ROUNDS], seconds[MOST_VARIANTS][MOST_ROUNDS];
    MUST(dm_alloc(x, w->n * w->d + 8192, "rows"));
    MUST(dm_alloc(c, (int64_t)w->k * w->d, "centroids"));
    MUST(dm_alloc(bound, w->d, "bounds"));
    make_data(w, threads, x, c);
    for (int32_t f = 0; f < w->d; f++) bound[f] = 64.0;
    MUST(dm_sum_grid_create(&b.grid, w->d, bound, false, 1.0));
    MUST(dm_segment_sums_create(&b.sums, w->k, w->d, threads));
    MUST(dm_centers_create(&b.centers, w->k, w->d));
    MUST(dm_alloc_zero(b.tile, threads, "tiles"));
    MUST(dm_comm_create(&b.comm));
    MUST(dm_alloc(b.label, (int64_t)threads * DM_BLOCK_ROWS, "labels"));
    MUST(dm_alloc(b.none, DM_BLOCK_ROWS, "labels"));
    for (int64_t r = 0; r < DM_BLOCK_ROWS; r++) b.none[r] = -1;
    for (int t = 0; t < threads; t++) MUST(dm_tile_create(&b.tile[t], w->k));
    b.x = x;
    dm_centers_set(&b.centers, w->k, c, NULL);
    const dmk_table *table[MOST_VARIANTS];
    const int variants = tables(table, only);
    for (int round = -1; round < rounds; round++) { /* round -1 warms up */
        const double once = read_once(x, w->n * w->d, threads);
        if (round >= 0) read[round] = once;
        for (int v = 0; v < variants; v++) {
            const double s = run_pass(&b, table[v]);
            if (round >= 0) seconds[v][round] = s;
        }
    }
    const limits l = {4.0 * (double)w->n * w->d / best_of(rounds, read), fma_rate(threads), sgemm_rate(threads)};
    printf("limits with %d threads: read %.1f GB/s, FMA %.0f GFLOP/s, sgemm %.0f GFLOP/s (core type %s)\n", threads,
           l.bandwidth * 1e-9, l.fma * 1e-9, l.sgemm * 1e-9, dm_blas_core());
    for (int v = 0; v < variants; v++) {
        print_row(w, threads, table[v]->name, rounds, seconds[v], &l, objective_of(&b, table[v]));
    }
    for (int t = 0; t < threads; t++) dm_tile_destroy(&b.tile[t]);
    dm_free(b.tile);
    dm_free(b.label);
    dm_free(b.none);
    dm_comm_destroy(&b.comm);
    dm_centers_destroy(&b.centers);
    dm_segment_sums_destroy(&b.sums);
    dm_sum_grid_destroy(&b.grid);
    dm_free(x);
    dm_free(c);
    dm_free(bound);
}

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "usage: lloyd_pass [--rounds N] [--threads T] [--kernel NAME] [--workload NAME:ROWS:FEATURES:SEGMENTS]...\n"
        "  --rounds takes 1 to %d, --threads 1 or more; a workload has as many rows as segments or more; at most %d\n",
        MOST_ROUNDS, MOST_WORKLOADS);
    return code;
}

/* "W1:2000000:32:8" */
static bool take_workload(const char *text, workload *w)
{
    long long n = 0;
    char more = 0;
    const int found = sscanf(text, "%31[^:]:%lld:%d:%d%c", w->name, &n, &w->d, &w->k, &more);
    w->n = n;
    return found == 4 && w->d >= 1 && w->k >= 1 && w->n >= w->k;
}

int main(int argc, char **argv)
{
    workload list[MOST_WORKLOADS] = {{"W1", 2000000, 32, 8}, {"W2", 2000000, 64, 32}, {"W3", 500000, 128, 256}};
    const char *only = NULL;
    int count = 3, given = 0;
    bench_options o = {.rounds = 9, .threads = omp_get_max_threads()};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--help") == 0) return usage(stdout, 0);
        if (bench_take(&o, argv[i], value)) continue;
        if (strcmp(argv[i], "--kernel") == 0 && i + 1 < argc) {
            only = value;
        } else if (strcmp(argv[i], "--workload") == 0 && given < MOST_WORKLOADS && take_workload(value, &list[given])) {
            count = ++given;
        } else {
            return usage(stderr, 2);
        }
    }
    if (!bench_sane(&o, MOST_ROUNDS)) return usage(stderr, 2);
    dm_blas_init();
    printf("| workload | threads | kernel | seconds a pass, median (min-max) | GB/s | GFLOP/s | floor | of floor | "
           "objective |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < count; i++) run_workload(&list[i], o.threads, o.rounds, only);
    return 0;
}
