/*
 * Passes that remember: whatever way the centroids go, the labels after each pass are those of brute force, and the sums,
 * to which only moved rows were added, are those of all rows added anew. Rows lie so densely that in every pass some are
 * just at the end of their bound: one that is any larger leaves a wrong label behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kmeans/kmeans.h"
#include "rows/rows_private.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }
static double uniform(void) { return (double)(random64() >> 11) * 0x1p-53 * 2.0 - 1.0; }

static dm_comm *comm;
static dm_log quiet = {.verbosity = DEMARC_QUIET};

static int create(void **state)
{
    (void)state;
    dm_blas_init();
    return dm_comm_create(&comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    dm_comm_destroy(&comm);
    return 0;
}

/* ------------------------------------------------------------------------------------------------ a fit without a file */

enum { MOST_ROWS = 3 * DM_BLOCK_ROWS };
static float data_x[MOST_ROWS * 8], data_w[MOST_ROWS];
static int32_t none[DM_BLOCK_ROWS], label[MOST_ROWS], runner[MOST_ROWS];
static double squared[MOST_ROWS], own[MOST_ROWS], second[MOST_ROWS];

typedef struct fit {
    struct dm_rows rows;
    dm_kmeans km;
    dm_centers c;
    dm_segment_sums sums;
    double *walk; /* [k, d] */
} fit;

/* Rows in [-1, 1]^d times `size`, on a grid of `steps` values a side where that is not 0: many ties. */
static fit new_fit(int64_t n, int32_t k, int32_t d, bool weighted, const dmk_table *kernel, int threads, double size,
                   int steps)
{
    fit f = {.rows = {.o = {.comm = comm, .log = &quiet, .kernel = kernel, .threads = threads},
                      .n = n,
                      .range = {0, n},
                      .d = d,
                      .stored = d,
                      .width = 4,
                      .weighted = weighted,
                      .have_scaled = true,
                      .shard = data_x,
                      .weight = weighted ? data_w : NULL,
                      .slab_rows = DM_BLOCK_ROWS}};
    assert_true(n <= MOST_ROWS && d <= 8);
    for (int64_t i = 0; i < n * d; i++) {
        data_x[i] = (float)(size * (steps > 0 ? (double)(below(2 * steps + 1) - steps) / steps : uniform()));
    }
    for (int64_t r = 0; r < n; r++) data_w[r] = below(9) == 0 ? 0.0f : (float)(1 + below(1000)) * 0.125f;
    for (int r = 0; r < DM_BLOCK_ROWS; r++) none[r] = -1;
    f.km = (dm_kmeans){
        .comm = comm, .log = &quiet, .kernel = kernel, .threads = threads, .n = n, .d = d, .sum_squares = NAN};
    double bound[8];
    for (int i = 0; i < 8; i++) bound[i] = size;
    assert_int_equal(dm_sum_grid_create(&f.km.grid, d, bound, weighted, 125.0), DEMARC_OK);
    assert_int_equal(dm_centers_create(&f.c, k, d), DEMARC_OK);
    assert_int_equal(dm_segment_sums_create(&f.sums, k, d, threads), DEMARC_OK);
    f.walk = calloc((size_t)k * (size_t)d, sizeof *f.walk);
    assert_non_null(f.walk);
    for (int32_t i = 0; i < k * d; i++) f.walk[i] = size * uniform();
    return f;
}

static void free_fit(fit *f)
{
    free(f->walk);
    dm_segment_sums_destroy(&f->sums);
    dm_centers_destroy(&f->c);
    dm_kmeans_destroy(&f->km);
}

/* One pass; then the state against brute force over the rows x [n, d] that it went over, in the state's order. */
static void pass_and_check(fit *f, int32_t k, const float *x, const float *w, int64_t n, const char *where, int pass)
{
    dm_kmeans *km = &f->km;
    const int64_t d = km->d;
    double objective = 0.0;
    dm_centers_set(&f->c, k, f->walk, NULL);
    assert_int_equal(dm_assign_pass(km, &f->c, &f->sums, pass % 3 == 0 ? &objective : NULL), DEMARC_OK);
    dm_nearest_two_exhaustive(km->kernel, &f->c, x, n, label, runner, squared, own, second);
    for (int64_t r = 0; r < n; r++) {
        if (km->state.label[r] != label[r]) {
            fail_msg("%s, kernel %s, k %d, d %d, pass %d: row %lld has label %d, %d is nearest (q %.17g, %d has %.17g)",
                     where, km->kernel->name, k, km->d, pass, (long long)r, km->state.label[r], label[r], own[r],
                     runner[r], second[r]);
        }
    }
    dm_segment_sums anew;
    assert_int_equal(dm_segment_sums_create(&anew, k, km->d, 1), DEMARC_OK);
    for (int64_t at = 0; at < n; at += DM_BLOCK_ROWS) {
        const int64_t rows = n - at < DM_BLOCK_ROWS ? n - at : DM_BLOCK_ROWS;
        dm_segment_sums_move(&anew, &km->grid, km->kernel, 0, x + at * d, w == NULL ? NULL : w + at, none, label + at,
                             rows);
    }
    assert_int_equal(dm_segment_sums_reduce(&anew, comm), DEMARC_OK);
    assert_true(dm_segment_sums_equal(&f->sums, &anew));
    assert_true(dm_segment_sums_equal(&km->state.sums, &anew));
    dm_segment_sums_destroy(&anew);
}

/* ------------------------------------------------------------------------------------------------ walks */

typedef enum walk {
    SHRINKING, /* every centroid moves, less each time, as in Lloyd's algorithm */
    ONE_RUNS,  /* one moves far, the others stay: what the fastest does to all others */
    TWO_RUN,   /* the fastest two, so that the fastest has to reckon with the second */
    DRIFT,     /* all the same way: distances change and no label does */
    TOGETHER,  /* towards each other and back, so that moves of both sides add up */
    JUMPS,     /* quiet, with a jump now and then: bounds are given up and made again */
    STILL,     /* not at all after a while */
    WALKS
} walk;
static const char *const walk_name[WALKS] = {"shrinking", "one runs", "two run", "drift", "together", "jumps", "still"};

static void step(fit *f, int32_t k, walk kind, int pass, double size)
{
    const int64_t d = f->km.d;
    const double shrink = size * pow(0.8, pass);
    const int32_t runner_up = pass / 5 % k, first = (runner_up + 1) % k;
    double way[8];
    for (int64_t i = 0; i < d; i++) way[i] = uniform();
    for (int32_t j = 0; j < k; j++) {
        for (int64_t i = 0; i < d; i++) {
            double *v = &f->walk[j * d + i], move = 0.0;
            switch (kind) {
            case SHRINKING:
                move = 0.2 * shrink * uniform();
                break;
            case ONE_RUNS:
                move = pass < 3 ? 0.001 * size * uniform() : j == first ? 0.02 * size * way[i] : 0.0;
                break;
            case TWO_RUN:
                move = j == first       ? 0.02 * size * way[i]
                       : j == runner_up ? -0.018 * size * way[i]
                                        : 1e-4 * size * way[i];
                break;
            case DRIFT:
                move = 0.004 * size * way[i];
                break;
            case TOGETHER:
                move = (pass % 8 < 4 ? -0.01 : 0.01) * *v;
                break;
            case JUMPS:
                move = pass % 9 == 8 ? 0.7 * size * uniform() : 0.001 * size * uniform();
                break;
            default:
                move = pass < 4 ? 0.1 * shrink * uniform() : 0.0;
            }
            *v += move;
        }
    }
}

static void check_walk(walk kind, int64_t n, int32_t k, int32_t d, bool weighted, const dmk_table *kernel, double size,
                       int steps, int64_t *passed, int64_t *seen)
{
    fit f = new_fit(n, k, d, weighted, kernel, 1 + below(3), size, steps);
    f.km.rows = &f.rows;
    assert_int_equal(dm_kmeans_remember(&f.km, k), DEMARC_OK);
    assert_true(f.km.state.rows == n && f.km.state.until != NULL);
    if (k > 2 && below(3) == 0) memcpy(f.walk + d, f.walk, (size_t)d * sizeof *f.walk); /* the same one twice */
    for (int pass = 0; pass < 26; pass++) {
        pass_and_check(&f, k, data_x, weighted ? data_w : NULL, n, walk_name[kind], pass);
        step(&f, k, kind, pass, size);
    }
    *passed += f.km.rows_passed;
    *seen += f.km.rows_seen;
    assert_true(f.km.rows_passed == 26 * n);
    free_fit(&f);
}

static const dmk_table *next_variant(void)
{
    static int turn;
    while (!dmk_variant_supported(turn % dmk_variant_count())) turn++;
    return dmk_variant(turn++ % dmk_variant_count());
}

static void check_walks(walk kind, double most_seen)
{
    random_state = 20 + (uint64_t)kind;
    const int32_t ks[] = {1, 2, 3, 8, 9, 17, 40}, ds[] = {1, 1, 2, 3, 7};
    int64_t passed = 0, seen = 0;
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < 5; j++) {
            const int64_t n = below(4) == 0 ? 1 + below(40) : 300 + below(600);
            check_walk(kind, n, ks[i], ds[j], (i + j) % 2 == 0, next_variant(), ldexp(1.0, below(21) - 10),
                       below(3) == 0 ? 4 : 0, i == 0 ? &(int64_t){0} : &passed, i == 0 ? &(int64_t){0} : &seen);
        }
    }
    check_walk(kind, MOST_ROWS - 100, 12, 2, true, next_variant(), 1.0, 0, &passed, &seen); /* several blocks */
    /* Not a proof of anything if every row was looked at all the same. */
    if ((double)seen > most_seen * (double)passed) {
        fail_msg("%s: %.1f%% of the rows were looked at", walk_name[kind], 100.0 * (double)seen / (double)passed);
    }
}

static void shrinking(void **state)
{
    (void)state;
    check_walks(SHRINKING, 0.7);
}
static void one_runs(void **state)
{
    (void)state;
    check_walks(ONE_RUNS, 0.8);
}
static void two_run(void **state)
{
    (void)state;
    check_walks(TWO_RUN, 0.8);
}
static void drift(void **state)
{
    (void)state;
    check_walks(DRIFT, 0.5);
}
static void together(void **state)
{
    (void)state;
    check_walks(TOGETHER, 0.6);
}
static void jumps(void **state)
{
    (void)state;
    check_walks(JUMPS, 0.9);
}
static void still(void **state)
{
    (void)state;
    check_walks(STILL, 0.4);
}

/* Real Lloyd iterations: centroids go to the means until nothing changes any more. */
static void lloyd(void **state)
{
    (void)state;
    random_state = 30;
    for (int t = 0; t < 12; t++) {
        const int32_t k = 2 + below(20), d = 1 + below(8);
        fit f = new_fit(2000, k, d, t % 2 == 0, next_variant(), 1 + t % 3, ldexp(1.0, below(30) - 15), 0);
        f.km.rows = &f.rows;
        assert_int_equal(dm_kmeans_remember(&f.km, k), DEMARC_OK);
        for (int pass = 0; pass < 40; pass++) {
            pass_and_check(&f, k, data_x, t % 2 == 0 ? data_w : NULL, 2000, "lloyd", pass);
            for (int32_t j = 0; j < k; j++) (void)dm_segment_sums_mean(&f.sums, &f.km.grid, j, f.walk + (int64_t)j * d);
        }
        free_fit(&f);
    }
}

/* ------------------------------------------------------------------------------------------------ the state itself */

/* Bounds are tried once few labels change, given up when they do not pay, and tried again later and later. */
static void when_bounds_are_used(void **state)
{
    (void)state;
    dm_row_state s = {0};
    assert_int_equal(dm_row_state_start(&s, 1000, 3, 2, true), DEMARC_OK);
    assert_int_equal(s.use, DM_BOUNDS_OFF);
    dm_row_state_end(&s, 1000, 1000);
    assert_int_equal(s.use, DM_BOUNDS_OFF);
    int waited[3];
    for (int round = 0; round < 3; round++) {
        for (waited[round] = 0; s.use == DM_BOUNDS_OFF; waited[round]++) {
            assert_true(waited[round] < 1000);
            dm_row_state_end(&s, 5, 1000);
        }
        assert_int_equal(s.use, DM_BOUNDS_MAKE);
        dm_row_state_end(&s, 5, 1000);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(s.use, DM_BOUNDS_USE);
            dm_row_state_end(&s, 5, 100);
        }
        dm_row_state_end(&s, 5, 900);
        assert_int_equal(s.use, DM_BOUNDS_OFF);
    }
    assert_true(waited[0] == 1 && waited[1] > waited[0] && waited[2] > waited[1]);
    assert_int_equal(dm_row_state_start(&s, 1000, 3, 2, false), DEMARC_OK); /* labels only: no bounds, ever */
    assert_null(s.until);
    for (int i = 0; i < 20; i++) dm_row_state_end(&s, 0, 1000);
    assert_int_equal(s.use, DM_BOUNDS_OFF);
    assert_true(dm_row_state_bytes(true) == 8 && dm_row_state_bytes(false) == 4);
    dm_row_state_destroy(&s);
    assert_true(s.rows == 0 && s.label == NULL && s.limit == NULL);
}

static dm_centers centers_at(const double *c, int32_t k, int32_t d)
{
    dm_centers v;
    assert_int_equal(dm_centers_create(&v, k, d), DEMARC_OK);
    dm_centers_set(&v, k, c, NULL);
    return v;
}

/* D_j: its own way and that of the fastest other one, never less than the truth, hardly more. */
static void limits_add_up(void **state)
{
    (void)state;
    random_state = 31;
    enum { K = 5, D = 3 };
    dm_row_state s = {0};
    assert_int_equal(dm_row_state_start(&s, 10, K, D, true), DEMARC_OK);
    double at[K * D];
    long double want[K] = {0.0L};
    for (int i = 0; i < K * D; i++) at[i] = uniform();
    dm_centers c = centers_at(at, K, D);
    s.use = DM_BOUNDS_MAKE;
    dm_row_state_begin(&s, &c);
    for (int j = 0; j < K; j++) assert_true(s.limit[j] == 0.0f);
    s.use = DM_BOUNDS_USE;
    for (int pass = 0; pass < 50; pass++) {
        long double move[K] = {0.0L};
        for (int j = 0; j < K; j++) {
            const double size = pass % 7 == 0 ? 0.0 : below(3) == 0 ? 1e-3 : 1e-5;
            for (int f = 0; f < D; f++) {
                const double before = at[j * D + f];
                at[j * D + f] += size * uniform();
                move[j] += ((long double)at[j * D + f] - before) * ((long double)at[j * D + f] - before);
            }
            move[j] = sqrtl(move[j]);
        }
        if (pass == 20) { /* two equally fast: each has to reckon with the other */
            for (int f = 0; f < D; f++) at[f] = at[D + f] = 0.5;
        }
        dm_centers_destroy(&c);
        if (pass == 20) {
            for (int j = 0; j < 2; j++) {
                move[j] = 0.0L;
                for (int f = 0; f < D; f++) {
                    const long double t = (long double)at[j * D + f] - (long double)s.last[j * D + f];
                    move[j] += t * t;
                }
                move[j] = sqrtl(move[j]);
            }
        }
        c = centers_at(at, K, D);
        dm_row_state_begin(&s, &c);
        for (int j = 0; j < K; j++) {
            long double other = 0.0L;
            for (int i = 0; i < K; i++) {
                if (i != j) other = fmaxl(other, move[i]);
            }
            want[j] += move[j] + other;
            assert_true((long double)s.limit[j] >= want[j]);
            assert_true((long double)s.limit[j] <= want[j] * (1.0L + (long double)(pass + 1) * 0x1p-23L) + 1e-9L);
        }
        assert_memory_equal(s.last, at, sizeof at);
    }
    s.use = DM_BOUNDS_MAKE; /* all bounds are new: D_j need not grow for ever */
    dm_row_state_begin(&s, &c);
    for (int j = 0; j < K; j++) assert_true(s.limit[j] == 0.0f);
    /* What a row is told never lies above gap + D_j, whatever the sizes. */
    for (int t = 0; t < 100000; t++) {
        const float gap = (float)ldexp(fabs(uniform()), below(40) - 20);
        s.limit[0] = below(9) == 0 ? 0.0f : (float)ldexp(fabs(uniform()), below(40) - 20);
        const long double sum = (long double)gap + (long double)s.limit[0];
        const long double until = (long double)dm_row_until(&s, 0, gap);
        assert_true(until <= sum && until >= sum * 0.999999L);
    }
    dm_centers_destroy(&c);
    dm_row_state_destroy(&s);
}

static void starting_and_growing(void **state)
{
    (void)state;
    dm_row_state s = {0};
    assert_int_equal(dm_row_state_start(&s, 4, 2, 1, true), DEMARC_OK);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(s.label[r], -1);
        s.label[r] = r % 2;
        s.until[r] = (float)(r + 1);
    }
    s.any = true;
    s.use = DM_BOUNDS_USE;
    assert_int_equal(dm_row_state_grow(&s, 9), DEMARC_OK);
    assert_int_equal(s.rows, 9);
    for (int r = 0; r < 9; r++) { /* a new row has no label, and its bound does not hold for any D_j */
        assert_int_equal(s.label[r], r < 4 ? r % 2 : -1);
        assert_true(s.until[r] == (r < 4 ? (float)(r + 1) : 0.0f));
    }
    assert_true(s.any && s.use == DM_BOUNDS_USE);
    const int32_t *place = s.label;
    s.sums.total[0] = 77;
    s.sums.count[1] = 5;
    assert_int_equal(dm_row_state_start(&s, 9, 2, 1, true), DEMARC_OK);
    assert_ptr_equal(s.label, place); /* the room fits: it is used again, and nothing is remembered */
    for (int r = 0; r < 9; r++) assert_int_equal(s.label[r], -1);
    assert_true(!s.any && s.use == DM_BOUNDS_OFF && s.sums.total[0] == 0 && s.sums.count[1] == 0);
    assert_int_equal(dm_row_state_start(&s, 9, 3, 1, true), DEMARC_OK);
    assert_true(s.k == 3 && s.sums.k == 3);
    assert_int_equal(dm_row_state_start(&s, 0, 3, 1, true), DEMARC_OK); /* a rank without rows */
    dm_row_state_end(&s, 0, 0);
    assert_int_equal(dm_row_state_grow(&s, 3), DEMARC_OK);
    assert_true(s.rows == 3 && s.label[2] == -1);
    dm_row_state_destroy(&s);
}

/* A sample that doubles: the rows already met keep labels and bounds, the new ones get theirs. */
static void growing_sample(void **state)
{
    (void)state;
    random_state = 32;
    for (int t = 0; t < 8; t++) {
        const int32_t k = 2 + below(15), d = 1 + below(4);
        fit f = new_fit(MOST_ROWS, k, d, t % 2 == 0, next_variant(), 1 + t % 3, 1.0, t % 4 == 3 ? 5 : 0);
        dm_row_sample sample;
        f.km.rows = &f.rows;
        assert_int_equal(dm_row_sample_create(&sample, &f.rows, (uint64_t)t, 0, 200, MOST_ROWS), DEMARC_OK);
        assert_true(sample.levels >= 4);
        f.km.sample = &sample;
        for (int level = 0; level < sample.levels; level++) {
            assert_int_equal(dm_row_sample_use(&sample, level), DEMARC_OK);
            if (level == 0) assert_int_equal(dm_kmeans_remember(&f.km, k), DEMARC_OK);
            if (level > 0) {
                assert_int_equal(dm_row_state_grow(&f.km.state, dm_row_sample_rows(&sample)), DEMARC_OK);
            }
            for (int pass = 0; pass < 7; pass++) {
                f.km.sum_squares = 1.0; /* known beforehand, as for every sample */
                pass_and_check(&f, k, sample.x, sample.w, dm_row_sample_rows(&sample), "growing", 10 * level + pass);
                step(&f, k, SHRINKING, 3 * level + pass, 0.3);
            }
        }
        assert_true(f.km.rows_seen < f.km.rows_passed);
        f.km.sample = NULL;
        dm_row_sample_destroy(&sample);
        free_fit(&f);
    }
}

/* ------------------------------------------------------------------------------------------------ ranks apart */

/* A rank that holds no rows must end a pass with the same sums as the others: what all remember, and what has changed. */
static void a_rank_without_rows(void **state)
{
    (void)state;
    random_state = 33;
    const int32_t k = 3, d = 2;
    fit f = new_fit(100, k, d, false, next_variant(), 1, 1.0, 0);
    f.rows.range = (dm_row_range){0, 0};
    f.km.rows = &f.rows;
    assert_int_equal(dm_kmeans_remember(&f.km, k), DEMARC_OK);
    for (int32_t i = 0; i < k * (d + 1); i++) f.km.state.sums.total[i] = 100 + i; /* the other ranks' rows, so far */
    for (int32_t j = 0; j < k; j++) f.km.state.sums.count[j] = 10 + j;
    for (int pass = 0; pass < 4; pass++) {
        dm_centers_set(&f.c, k, f.walk, NULL);
        assert_int_equal(dm_assign_pass(&f.km, &f.c, &f.sums, NULL), DEMARC_OK);
        for (int32_t i = 0; i < k * (d + 1); i++) assert_true(f.sums.total[i] == 100 + i);
        for (int32_t j = 0; j < k; j++) assert_true(f.sums.count[j] == 10 + j);
    }
    free_fit(&f);
}

/* Ranks hold unequal numbers of blocks, and all remember labels or none: sums of changes and of all rows do not mix. */
static void all_ranks_remember_or_none(void **state)
{
    (void)state;
    random_state = 34;
    const int32_t k = 2, d = 2;
    const dm_row_range part[2] = {{0, DM_BLOCK_ROWS}, {DM_BLOCK_ROWS, MOST_ROWS}};
    bool some = false, none_at_all = false;
    for (int64_t room = 0; room < INT64_C(40) * DM_BLOCK_ROWS; room += DM_BLOCK_ROWS / 2) {
        bool remembers[2];
        for (int rank = 0; rank < 2; rank++) {
            fit f = new_fit(MOST_ROWS, k, d, false, next_variant(), 1, 1.0, 0);
            f.rows.range = part[rank];
            f.rows.o.memory_limit = dm_rows_shard_bytes(&f.rows) + dm_rows_stream_bytes(&f.rows) + room;
            f.km.rows = &f.rows;
            assert_int_equal(dm_kmeans_remember(&f.km, k), DEMARC_OK);
            remembers[rank] = f.km.state.label != NULL;
            free_fit(&f);
        }
        assert_int_equal(remembers[0], remembers[1]);
        some = some || remembers[0];
        none_at_all = none_at_all || !remembers[0];
    }
    assert_true(some && none_at_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinking),
        cmocka_unit_test(one_runs),
        cmocka_unit_test(two_run),
        cmocka_unit_test(drift),
        cmocka_unit_test(together),
        cmocka_unit_test(jumps),
        cmocka_unit_test(still),
        cmocka_unit_test(lloyd),
        cmocka_unit_test(when_bounds_are_used),
        cmocka_unit_test(limits_add_up),
        cmocka_unit_test(starting_and_growing),
        cmocka_unit_test(growing_sample),
        cmocka_unit_test(a_rank_without_rows),
        cmocka_unit_test(all_ranks_remember_or_none),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
