/*
 * Sums under bootstrap weights (linalg/replicate_sums.h) beside what OpenBLAS reaches in the same run: rows a second, the
 * rate of its sgemm, the shares of time in drawing weights and in sgemm; sgemm alone at a tile's shape and at a friendly size.
 *
 * usage: replicate_rate [--rounds N] [--threads T] [--workload ROWS:REPLICATES:CELLS:OUTCOMES]...
 *
 * A workload is what a sweep asks for: per row and cell a count, and per outcome its presence and y and y^2; each row in
 * one cell. Contenders run interleaved, medians are printed. The check is the sum of weights of the first replicate.
 */
#include <cblas.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/memory.h"
#include "base/row_blocks.h"
#include "micro_options.h"
#include "linalg/distance.h"
#include "linalg/replicate_sums.h"

#define MOST_ROUNDS 101
#define MOST_WORKLOADS 16
#define MOST_OUTCOMES 16
#define FRIENDLY 512
#define PIECE_COLUMNS 128 /* of one sgemm within a tile: replicates */
#define PIECE_ROWS 64     /* and rows */

typedef struct workload {
    long long rows;
    int32_t replicates, cells, outcomes;
} workload;

enum { WALL, CORE, DRAW, SGEMM, RATE, SAME_SHAPE, FRIENDLY_SHAPE, FIGURES };

static void die(void)
{
    fprintf(stderr, "replicate_rate: %s\n", demarc_error());
    exit(5);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != DEMARC_OK) die();                                                                                \
    } while (0)

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(int count, double *v)
{
    qsort(v, (size_t)count, sizeof *v, by_value);
    return v[count / 2];
}

/* Seconds that the cores worked for this process: what other programs take does not count. */
static double core_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Flops a second of all threads, each with buffers of its own. */
static double sgemm_rate(int threads, int m, int n, int k, double flops)
{
    const int turns = 1 + (int)(flops / (2.0 * m * n * k));
    double seconds = 0.0;
#pragma omp parallel num_threads(threads)
    {
        float *a = calloc((size_t)m * (size_t)k, 4), *b = calloc((size_t)k * (size_t)n, 4),
              *c = calloc((size_t)m * (size_t)n, 4);
        if (a == NULL || b == NULL || c == NULL) exit(5);
#pragma omp barrier
        const double start = dm_clock();
        for (int i = 0; i < turns; i++) {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, a, k, b, n, 0.0f, c, n);
        }
#pragma omp barrier
#pragma omp master
        seconds = dm_clock() - start;
        free(a);
        free(b);
        free(c);
    }
    return 2.0 * m * n * k * turns * threads / seconds;
}

/* One pass; returns its wall seconds. */
static double run_pass(const workload *w, const double *y, int threads, dm_replicates *r, dm_comm *comm, double *check)
{
    const int32_t values = 1 + 3 * w->outcomes;
    int32_t first = 0, count = 0;
    const double start = dm_clock();
    while (dm_replicates_next(r, &first, &count)) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int64_t b = 0; b < dm_block_count(w->rows); b++) {
            const int64_t end = (b + 1) * DM_BLOCK_ROWS < w->rows ? (b + 1) * DM_BLOCK_ROWS : w->rows;
            for (int64_t i = b * DM_BLOCK_ROWS; i < end; i++) {
                const int32_t cell = (int32_t)((uint64_t)i * UINT64_C(0x9e3779b97f4a7c15) >> 33) % w->cells;
                dm_replicates_add(r, omp_get_thread_num(), i, cell, y + (i % DM_BLOCK_ROWS) * values);
            }
        }
        MUST(dm_replicates_reduce(r, comm));
        for (int32_t c = 0; c < w->cells && first == 0; c++) *check += dm_replicates_sum(r, c, 0, 0);
    }
    return dm_clock() - start;
}

static void run_workload(const workload *w, int threads, int rounds)
{
    const int32_t values = 1 + 3 * w->outcomes;
    double *y = NULL, bound[1 + 3 * MOST_OUTCOMES], seen[FIGURES][MOST_ROUNDS], flops = 0.0, check = 0.0;
    bool whole[1 + 3 * MOST_OUTCOMES];
    dm_comm *comm = NULL;
    MUST(dm_comm_create(&comm));
    MUST(dm_alloc(y, (int64_t)DM_BLOCK_ROWS * values, "values"));
    for (int32_t v = 0; v < values; v++) {
        bound[v] = 1.0;
        whole[v] = v % 3 < 2 && (v == 0 || v % 3 == 1);
        for (int64_t i = 0; i < DM_BLOCK_ROWS; i++) {
            const dm_random4 u = dm_random(1, DM_PURPOSE_GENERATE, (uint64_t)v, (uint64_t)i);
            y[i * values + v] = whole[v] ? 1.0 : 2.0 * dm_uniform(u.v[0], u.v[1]) - 1.0;
        }
    }
    const dm_replicates_options o = {.seed = 1,
                                     .replicates = w->replicates,
                                     .cells = w->cells,
                                     .values = values,
                                     .bound = bound,
                                     .whole = whole,
                                     .n_global = w->rows,
                                     .threads = threads,
                                     .budget = INT64_C(1) << 30};
    const int width = 1 + 7 * w->outcomes; /* digits: 1 for what is whole, else 3 */
    for (int i = -1; i < rounds; i++) {    /* round -1 warms up */
        dm_replicates *r = NULL;
        double now[FIGURES];
        check = 0.0;
        MUST(dm_replicates_create(&r, &o));
        const double core = core_seconds();
        now[WALL] = run_pass(w, y, threads, r, comm, &check);
        now[CORE] = core_seconds() - core;
        dm_replicates_work(r, &flops, &now[SGEMM], &now[DRAW]);
        dm_replicates_destroy(&r);
        now[RATE] = flops / now[SGEMM] * threads;
        now[SAME_SHAPE] = sgemm_rate(threads, width, PIECE_COLUMNS, PIECE_ROWS, flops / 4.0 / threads);
        now[FRIENDLY_SHAPE] = sgemm_rate(threads, FRIENDLY, FRIENDLY, FRIENDLY, flops / 4.0 / threads);
        for (int f = 0; f < FIGURES && i >= 0; f++) seen[f][i] = now[f];
    }
    double share[2], of[2], m[FIGURES];
    for (int s = 0; s < 2; s++) { /* ratios within each round */
        double ratio[MOST_ROUNDS];
        for (int i = 0; i < rounds; i++) ratio[i] = seen[DRAW + s][i] / (seen[WALL][i] * threads);
        share[s] = median(rounds, ratio);
        for (int i = 0; i < rounds; i++) ratio[i] = seen[RATE][i] / seen[SAME_SHAPE + s][i];
        of[s] = median(rounds, ratio);
    }
    for (int f = 0; f < FIGURES; f++) m[f] = median(rounds, seen[f]);
    const double rows = (double)w->rows;
    printf("| %lld x %d, %d cells, %d outcomes | %d | %.3f | %.3f | %.3g | %.0f%% | %.0f%% | ", w->rows,
           (int)w->replicates, (int)w->cells, (int)w->outcomes, threads, m[WALL], m[CORE], rows / m[CORE],
           100.0 * share[0], 100.0 * share[1]);
    printf("%.1f | %.1f (%.2f) | %.1f (%.2f) | %.0f |\n", m[RATE] * 1e-9, m[SAME_SHAPE] * 1e-9, of[0],
           m[FRIENDLY_SHAPE] * 1e-9, of[1], check);
    json_t *line = json_pack("{s:I,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s}", "rows", (json_int_t)w->rows,
                             "replicates", (int)w->replicates, "cells", (int)w->cells, "outcomes", (int)w->outcomes,
                             "threads", threads, "median", m[WALL], "core_seconds", m[CORE], "draw_share", share[0],
                             "sgemm_share", share[1], "sgemm", m[RATE], "sgemm_same_shape", m[SAME_SHAPE],
                             "sgemm_friendly", m[FRIENDLY_SHAPE], "weights_first", check, "blas_core", dm_blas_core());
    json_dumpf(line, stderr, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stderr);
    json_decref(line);
    dm_free(y);
    dm_comm_destroy(&comm);
}

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: replicate_rate [--rounds N] [--threads T] [--workload ROWS:REPLICATES:CELLS:OUTCOMES]...\n"
            "  --rounds takes 1 to %d, --threads 1 or more, OUTCOMES 0 to %d; at most %d workloads\n",
            MOST_ROUNDS, MOST_OUTCOMES, MOST_WORKLOADS);
    return code;
}

/* "400000:1000:8:1" */
static bool take_workload(const char *text, workload *w)
{
    char more = 0;
    const int found = sscanf(text, "%lld:%d:%d:%d%c", &w->rows, &w->replicates, &w->cells, &w->outcomes, &more);
    return found == 4 && w->rows >= 1 && w->replicates >= 1 && w->cells >= 1 && w->outcomes >= 0 &&
           w->outcomes <= MOST_OUTCOMES;
}

int main(int argc, char **argv)
{
    workload list[MOST_WORKLOADS] = {
        {400000, 1000, 8, 1}, {400000, 1000, 8, 4}, {400000, 1000, 500, 1}, {400000, 1000, 5000, 1}};
    int count = 4, given = 0;
    bench_options o = {.rounds = 5, .threads = omp_get_max_threads()};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--help") == 0) return usage(stdout, 0);
        if (bench_take(&o, argv[i], value)) continue;
        if (strcmp(argv[i], "--workload") == 0 && given < MOST_WORKLOADS && take_workload(value, &list[given])) {
            count = ++given;
        } else {
            return usage(stderr, 2);
        }
    }
    if (!bench_sane(&o, MOST_ROUNDS)) return usage(stderr, 2);
    dm_blas_init();
    printf("core type %s\n\n", dm_blas_core());
    printf("| workload | threads | seconds a pass | core seconds | rows per core second | drawing | sgemm | "
           "GFLOP/s in sgemm | alone, same shape (of it) | alone, 512^3 (of it) | weights of replicate 0 |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < count; i++) run_workload(&list[i], o.threads, o.rounds);
    return 0;
}
