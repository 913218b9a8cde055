/*
 * Nearest centroids against brute force: the definition (q in double, features in eight partial sums) written out here,
 * which must be met bit for bit, and long double, which says what is right wherever double can tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linalg/distance.h"

#define RUN_BY_PARENT "DEMARC_TEST_DISTANCE_CHILD"

/* ------------------------------------------------------------------------------------------------ random numbers */

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

/* ------------------------------------------------------------------------------------------------ oracle */

typedef struct problem {
    int64_t rows;
    int32_t k, d;
    float *x;
    double *c, *b;
} problem;

static problem new_problem(int64_t rows, int32_t k, int32_t d)
{
    problem p = {.rows = rows, .k = k, .d = d};
    p.x = calloc((size_t)(rows * d) + 1, sizeof *p.x);
    p.c = calloc((size_t)k * (size_t)d + 1, sizeof *p.c);
    p.b = calloc((size_t)k + 1, sizeof *p.b);
    assert_true(p.x != NULL && p.c != NULL && p.b != NULL);
    return p;
}

static void free_problem(problem *p)
{
    free(p->x);
    free(p->c);
    free(p->b);
}

typedef struct answer {
    int32_t label, runner;
    double squared, own, second;
} answer;

static double squared_by_definition(const float *x, const double *c, int32_t d)
{
    double s[8] = {0.0};
    for (int32_t f = 0; f < d; f++) {
        const double t = (double)x[f] - c[f], square = t * t;
        s[f % 8] += square;
    }
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* The lowest j with the smallest q, then the lowest j with the smallest q among the others. */
static answer by_definition(const problem *p, int64_t r)
{
    answer a = {-1, -1, 0.0, INFINITY, INFINITY};
    for (int32_t j = 0; j < p->k; j++) {
        const double s = squared_by_definition(p->x + r * p->d, p->c + (int64_t)j * p->d, p->d), q = s - p->b[j];
        if (a.label < 0 || q < a.own) {
            a.label = j;
            a.squared = s;
            a.own = q;
        }
    }
    for (int32_t j = 0; j < p->k; j++) {
        if (j == a.label) continue;
        const double s = squared_by_definition(p->x + r * p->d, p->c + (int64_t)j * p->d, p->d), q = s - p->b[j];
        if (a.runner < 0 || q < a.second) {
            a.runner = j;
            a.second = q;
        }
    }
    return a;
}

/* What long double says must not contradict the definition by more than double can err. */
static void check_against_long_double(const problem *p, int64_t r, const answer *a)
{
    long double least = INFINITY, own = 0.0L, slack = 0.0L;
    for (int32_t j = 0; j < p->k; j++) {
        long double q = 0.0L;
        for (int32_t f = 0; f < p->d; f++) {
            const long double t = (long double)p->x[r * p->d + f] - (long double)p->c[(int64_t)j * p->d + f];
            q += t * t;
        }
        const long double error = ((long double)p->d / 8.0L + 8.0L) * 0x1p-53L * (q + fabsl((long double)p->b[j]));
        q -= (long double)p->b[j];
        if (q < least) {
            least = q;
            slack = error;
        }
        if (j == a->label) {
            own = q;
            assert_true(fabsl((long double)a->own - q) <= error + 0x1p-1074L);
            slack += error;
        }
    }
    if (own - least > 2.0L * slack + 0x1p-1073L) {
        fail_msg("row %lld, k %d, d %d: label %d lies %Lg above the nearest", (long long)r, p->k, p->d, a->label,
                 own - least);
    }
}

/* ------------------------------------------------------------------------------------------------ comparison */

static uint64_t bits_of(double v)
{
    uint64_t b = 0;
    memcpy(&b, &v, sizeof b);
    return b;
}

static void same(const char *what, const problem *p, int64_t r, const answer *got, const answer *want, bool two)
{
    if (got->label != want->label || bits_of(got->squared) != bits_of(want->squared) ||
        (two && (got->runner != want->runner || bits_of(got->own) != bits_of(want->own) ||
                 bits_of(got->second) != bits_of(want->second)))) {
        fail_msg("%s, row %lld of %lld, k %d, d %d: label %d runner %d squared %a q %a %a, expected %d %d %a %a %a",
                 what, (long long)r, (long long)p->rows, p->k, p->d, got->label, got->runner, got->squared, got->own,
                 got->second, want->label, want->runner, want->squared, want->own, want->second);
    }
}

#define CANARY (-77)

/* (distance to the nearest other centroid) - (distance to the own one), by long double. */
static long double true_gap(const problem *p, int64_t r, int32_t label)
{
    long double own = 0.0L, other = INFINITY;
    for (int32_t j = 0; j < p->k; j++) {
        long double q = 0.0L;
        for (int32_t f = 0; f < p->d; f++) {
            const long double t = (long double)p->x[r * p->d + f] - (long double)p->c[(int64_t)j * p->d + f];
            q += t * t;
        }
        if (j == label) own = sqrtl(q);
        if (j != label) other = fminl(other, sqrtl(q));
    }
    return other - own;
}

/* Never above the truth; where nothing is known (ties, no other centroid, rows too large) it is 0. */
static void check_gaps(const problem *p, const answer *want, const float *gap)
{
    for (int64_t r = 0; r < p->rows; r++) {
        const long double most = true_gap(p, r, want[r].label);
        if (!(gap[r] >= 0.0f) || isinf(gap[r]) || (gap[r] > 0.0f && !((long double)gap[r] <= most)) ||
            (p->k == 1 && gap[r] != 0.0f)) {
            fail_msg("dm_nearest_gap, row %lld of %lld, k %d, d %d: %a, true %La", (long long)r, (long long)p->rows,
                     p->k, p->d, (double)gap[r], most);
        }
    }
}

/* All functions, every kernel this CPU has; returns the rows that dm_nearest settled in double. */
static int64_t check(const problem *p)
{
    const size_t n = (size_t)p->rows + 1; /* one more: nobody may write behind the last row */
    answer *want = calloc(n, sizeof *want);
    int32_t *label = malloc(n * sizeof *label), *runner = malloc(n * sizeof *runner);
    double *squared = malloc(n * sizeof *squared), *own = malloc(n * sizeof *own), *second = malloc(n * sizeof *second);
    float *gap = malloc(n * sizeof *gap);
    assert_true(gap != NULL);
    assert_true(want != NULL && label != NULL && runner != NULL && squared != NULL && own != NULL && second != NULL);
    bool finite = true;
    for (int64_t i = 0; i < (int64_t)p->k * p->d; i++) finite = finite && fabs(p->c[i]) < 1e150;
    for (int64_t r = 0; r < p->rows; r++) {
        want[r] = by_definition(p, r);
        if (finite) check_against_long_double(p, r, &want[r]);
    }
    dm_centers centers;
    dm_tile tile;
    assert_int_equal(dm_centers_create(&centers, p->k + below(3), p->d), DEMARC_OK);
    dm_centers_set(&centers, p->k, p->c, p->b);
    bool plain = true; /* without offsets */
    for (int32_t j = 0; j < p->k; j++) plain = plain && p->b[j] == 0.0;
    int64_t settled = 0;
    for (int v = 0; v < dmk_variant_count(); v++) {
        if (!dmk_variant_supported(v)) continue;
        const dmk_table *kernel = dmk_variant(v);
        assert_int_equal(dm_tile_create(&tile, p->k), DEMARC_OK);
        for (int function = 0; function < (plain ? 5 : 4); function++) {
            for (size_t i = 0; i < n; i++) {
                label[i] = runner[i] = CANARY;
                squared[i] = own[i] = second[i] = (double)CANARY;
                gap[i] = (float)CANARY;
            }
            if (function == 0) {
                dm_nearest(kernel, &centers, &tile, p->x, p->rows, label);
                settled = tile.settled;
            } else if (function == 1) {
                dm_nearest_distance(kernel, &centers, &tile, p->x, p->rows, label, squared);
            } else if (function == 2) {
                dm_nearest_two(kernel, &centers, &tile, p->x, p->rows, label, runner, squared, own, second);
            } else if (function == 4) {
                tile.ahead = below(3) == 0 ? 0 : INT64_MAX;
                dm_nearest_gap(kernel, &centers, &tile, p->x, p->rows, label, gap);
                check_gaps(p, want, gap);
                assert_true(gap[p->rows] == (float)CANARY);
            } else {
                dm_nearest_two_exhaustive(kernel, &centers, p->x, p->rows, label, runner, squared, own, second);
            }
            static const char *const name[] = {"dm_nearest", "dm_nearest_distance", "dm_nearest_two",
                                               "dm_nearest_two_exhaustive", "dm_nearest_gap"};
            for (int64_t r = 0; r < p->rows; r++) {
                const bool label_only = function == 0 || function == 4;
                answer got = {label[r], runner[r], label_only ? want[r].squared : squared[r], own[r], second[r]};
                same(name[function], p, r, &got, &want[r], function == 2 || function == 3);
            }
            assert_int_equal(label[p->rows], CANARY);
            assert_int_equal(runner[p->rows], CANARY);
            assert_true(squared[p->rows] == CANARY && own[p->rows] == CANARY && second[p->rows] == CANARY);
        }
        dm_tile_destroy(&tile);
    }
    dm_centers_destroy(&centers);
    free(want);
    free(label);
    free(runner);
    free(squared);
    free(own);
    free(second);
    free(gap);
    return settled;
}

/* ------------------------------------------------------------------------------------------------ data */

static void fill_random(problem *p, double size)
{
    for (int64_t i = 0; i < (int64_t)p->k * p->d; i++) p->c[i] = size * uniform();
    for (int64_t i = 0; i < p->rows * p->d; i++) p->x[i] = (float)(size * uniform());
}

static const int32_t dims[] = {1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 65, 127, 200};
static const int32_t segments[] = {1, 2, 3, 5, 8, 15, 16, 17, 33, 64, 100, 255, 300};
enum { DIMS = sizeof dims / sizeof *dims, SEGMENTS = sizeof segments / sizeof *segments };

static void random_data(void **state)
{
    (void)state;
    random_state = 1;
    for (int i = 0; i < DIMS; i++) {
        for (int j = 0; j < SEGMENTS; j++) {
            problem p = new_problem(25 + below(20), segments[j], dims[i]);
            fill_random(&p, 1.0);
            if ((i + j) % 2 == 0) { /* offsets as large as the distances between segments */
                for (int32_t s = 0; s < p.k; s++) p.b[s] = 0.2 * p.d * uniform();
            }
            check(&p);
            free_problem(&p);
        }
    }
}

/* More features than a fused kernel takes: the same answers another way. */
static void many_features(void **state)
{
    (void)state;
    random_state = 12;
    const int32_t d[] = {511, 512, 513, 700}, k[] = {1, 2, 9, 40};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            problem p = new_problem(35, k[j], d[i]);
            fill_random(&p, 1.0);
            for (int64_t f = 0; f < p.d && p.k > 5; f++) p.c[5 * p.d + f] = p.c[2 * p.d + f]; /* a tie far down */
            check(&p);
            free_problem(&p);
        }
    }
}

static void rows_around_a_tile(void **state)
{
    (void)state;
    random_state = 2;
    const int32_t k[] = {1, 9, 64, 300};
    for (int i = 0; i < 4; i++) {
        dm_tile tile;
        assert_int_equal(dm_tile_create(&tile, k[i]), DEMARC_OK);
        const int64_t t = tile.rows, rows[] = {0, 1, 2, t - 1, t, t + 1, 2 * t - 1, 2 * t, 2 * t + 1};
        dm_tile_destroy(&tile);
        for (int j = 0; j < 9; j++) {
            problem p = new_problem(rows[j], k[i], 5);
            fill_random(&p, 1.0);
            check(&p);
            free_problem(&p);
        }
    }
}

/* Small whole numbers: every distance is exact, many are equal, and many centroids are the same. */
static void exact_ties_go_to_the_lowest(void **state)
{
    (void)state;
    random_state = 3;
    for (int t = 0; t < 120; t++) {
        problem p = new_problem(40, segments[below(SEGMENTS)], 1 + below(t % 2 == 0 ? 4 : 40));
        for (int64_t i = 0; i < (int64_t)p.k * p.d; i++) p.c[i] = (double)(below(5) - 2);
        for (int64_t i = 0; i < p.rows * p.d; i++) p.x[i] = (float)(below(5) - 2) / (float)(1 + t % 2);
        if (t % 3 == 0) {
            for (int32_t j = 0; j < p.k; j++) p.b[j] = (double)(below(3) - 1);
        }
        check(&p);
        free_problem(&p);
    }
}

/* The same centroid again and again, at places no float holds: the lowest wins, the next lowest is the runner-up. */
static void duplicate_centroids(void **state)
{
    (void)state;
    random_state = 4;
    for (int t = 0; t < 30; t++) {
        problem p = new_problem(30, 3 + below(60), 1 + below(50));
        fill_random(&p, 1.0);
        for (int32_t j = 1; j < p.k; j++) {
            if (below(3) != 0) memcpy(p.c + (int64_t)j * p.d, p.c + (int64_t)below(j) * p.d, (size_t)p.d * sizeof *p.c);
        }
        if (t % 5 == 0) { /* all equal */
            for (int32_t j = 1; j < p.k; j++) memcpy(p.c + (int64_t)j * p.d, p.c, (size_t)p.d * sizeof *p.c);
            const answer a = by_definition(&p, 0);
            assert_int_equal(a.label, 0);
            assert_int_equal(a.runner, 1);
        }
        check(&p);
        free_problem(&p);
    }
}

/*
 * Row r lies between centroids 2r and 2r + 1, `gap` (relative) nearer to one of them: far below what single precision
 * can tell where the data lie `away` from the origin, far above what double errs. From 3 on no row is near another's pair.
 */
static void near_tie(double gap, double away, double offset)
{
    problem p = new_problem(24, 48, 1 + below(60));
    const int64_t d = p.d;
    int right = 0;
    for (int64_t r = 0; r < p.rows; r++) {
        const bool first = below(2) == 0;
        const double longer = 1.0 + gap;
        for (int64_t f = 0; f < d; f++) {
            const double at = away * (double)(r + 1) * (f % 2 == 0 ? 1.0 : -1.0), v = 0.5 + 0.5 * fabs(uniform());
            const float x = (float)(at + 0.25 * uniform());
            p.x[r * d + f] = x;
            p.c[2 * r * d + f] = (double)x + (first ? v : longer * v);
            p.c[(2 * r + 1) * d + f] = (double)x - (first ? longer * v : v);
        }
        p.b[2 * r] = p.b[2 * r + 1] = offset;
        const answer a = by_definition(&p, r);
        right += a.label == 2 * r + !first; /* rounding at `away` may move a centroid by more than the gap */
    }
    if (gap * 0.5 > 64.0 * away * (double)p.rows * 0x1p-53) assert_int_equal(right, p.rows);
    const int64_t settled = check(&p);
    if (gap < 1e-6) assert_true(settled == p.rows);
    free_problem(&p);
}

static void near_ties(void **state)
{
    (void)state;
    random_state = 5;
    for (int t = 0; t < 60; t++) {
        near_tie(1e-7, 10.0, 0.0);
        near_tie(-1e-7, 1000.0, 0.0);
        near_tie(1e-7, 3.0, 12.5);
        near_tie(1e-11, 10.0, 0.0);
        near_tie(1e-9, 1e5, -3.0);
        near_tie(1e-4, 100.0, 0.0);
    }
}

/* Where the error of single precision decides alone: gaps of every size around it. */
static void gaps_of_every_size(void **state)
{
    (void)state;
    random_state = 6;
    for (int t = 0; t < 150; t++) near_tie(ldexp(1.0, -(8 + below(36))), ldexp(1.0, 2 + below(12)), 0.0);
}

/* Sizes at which single precision overflows or underflows, for rows and centroids apart. */
static void any_size(void **state)
{
    (void)state;
    random_state = 7;
    const double size[] = {1e30, 3e38, 1e20, 2e15, 1.1e15, 1e14, 1e-15, 1e-19, 1e-22, 1e-30, 1e-38, 1e-42, 0.0, 1.0};
    enum { SIZES = sizeof size / sizeof *size };
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            problem p = new_problem(20, 1 + below(40), 1 + below(30));
            for (int64_t v = 0; v < (int64_t)p.k * p.d; v++) p.c[v] = size[i] * uniform();
            for (int64_t v = 0; v < p.rows * p.d; v++) p.x[v] = (float)(size[j] * uniform());
            check(&p);
            free_problem(&p);
        }
    }
    for (int t = 0; t < 100; t++) { /* every size at once */
        problem p = new_problem(30, 2 + below(40), 1 + below(30));
        for (int64_t j = 0; j < p.k; j++) {
            const double s = size[below(SIZES)];
            for (int64_t f = 0; f < p.d; f++) p.c[j * p.d + f] = s * uniform();
        }
        for (int64_t r = 0; r < p.rows; r++) {
            const double s = size[below(SIZES)];
            for (int64_t f = 0; f < p.d; f++) p.x[r * p.d + f] = (float)(s * uniform());
        }
        check(&p);
        free_problem(&p);
    }
}

/* Offsets that cancel the centroid's own norm, dwarf every distance, or are dwarfed by them. */
static void offsets(void **state)
{
    (void)state;
    random_state = 8;
    for (int t = 0; t < 120; t++) {
        problem p = new_problem(30, 2 + below(50), 1 + below(40));
        const double size = ldexp(1.0, below(41) - 20);
        fill_random(&p, size);
        for (int32_t j = 0; j < p.k; j++) {
            double norm2 = 0.0;
            for (int32_t f = 0; f < p.d; f++) norm2 += p.c[(int64_t)j * p.d + f] * p.c[(int64_t)j * p.d + f];
            switch (t % 6) {
            case 0:
                p.b[j] = norm2; /* h = 0: the dot product decides alone */
                break;
            case 1:
                p.b[j] = norm2 * (1.0 + 1e-7 * uniform());
                break;
            case 2:
                p.b[j] = 1e12 * size * size * (double)(below(3) - 1);
                break;
            case 3:
                p.b[j] = 1e-9 * size * size * uniform();
                break;
            case 4:
                p.b[j] = (t % 12 == 4 ? 1e31 : 1e60) * uniform(); /* beyond 2^100, beyond float */
                break;
            default:
                p.b[j] = -norm2 * fabs(uniform());
            }
        }
        check(&p);
        free_problem(&p);
    }
}

/*
 * Products that overflow single precision on the way to a dot product that does not: row r is centroid 0 itself, and the
 * others, orthogonal to it, have offsets that leave them nothing but this dot product.
 */
static void overflow_on_the_way(void **state)
{
    (void)state;
    for (int32_t d = 4; d <= 64; d += 4) {
        for (int kind = 0; kind < 6; kind++) {
            const double size = ldexp(1.0, 60), far = ldexp(1.0, 67 - kind / 2); /* a product: up to 2^127 */
            problem p = new_problem(3, 3, d);
            for (int32_t f = 0; f < d; f++) {
                const double sign = (kind % 2 == 0 ? f < d / 2 : f / 2 % 2 == 0) ? 1.0 : -1.0;
                p.c[f] = size;
                p.c[d + f] = far * sign;
                p.c[2 * d + f] = -far * sign;
                for (int r = 0; r < 3; r++) p.x[r * d + f] = (float)size;
            }
            p.b[1] = p.b[2] = far * far * (double)d;
            assert_int_equal(by_definition(&p, 0).label, 0);
            check(&p);
            free_problem(&p);
        }
    }
}

/* One row, one centroid, one feature; and rows that are a centroid. */
static void smallest_cases(void **state)
{
    (void)state;
    problem p = new_problem(1, 1, 1);
    p.x[0] = 3.0f;
    p.c[0] = 1.0;
    p.b[0] = 0.5;
    const answer a = by_definition(&p, 0);
    assert_true(a.label == 0 && a.runner == -1 && a.squared == 4.0 && a.own == 3.5 && isinf(a.second));
    check(&p);
    free_problem(&p);
    random_state = 9;
    p = new_problem(17, 17, 6);
    fill_random(&p, 100.0);
    for (int64_t i = 0; i < 17 * 6; i++) p.c[i] = (double)p.x[i];
    for (int64_t r = 0; r < 17; r++)
        assert_true(by_definition(&p, r).label == r && by_definition(&p, r).squared == 0.0);
    check(&p);
    free_problem(&p);
}

/* Segments far apart are told apart without double precision: else the tile's work would be for nothing. */
static void clear_cases_need_no_settling(void **state)
{
    (void)state;
    random_state = 10;
    problem p = new_problem(500, 8, 20);
    for (int64_t j = 0; j < 8; j++) {
        for (int64_t f = 0; f < 20; f++) p.c[j * 20 + f] = f % 8 == j ? 10.0 : 0.0;
    }
    for (int64_t r = 0; r < p.rows; r++) {
        for (int64_t f = 0; f < 20; f++) p.x[r * 20 + f] = (float)(p.c[(r % 8) * 20 + f] + uniform());
    }
    assert_int_equal(check(&p), 0);
    free_problem(&p);
}

static int by_value(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* A gap too small is right but of no use: on ordinary data, at any ordinary scale, the median is nearly the truth. */
static void gaps_are_useful(void **state)
{
    (void)state;
    random_state = 13;
    const double size[] = {1.0, 1e-6, 1e6, 1e-12, 1e12};
    const int32_t ks[] = {2, 8, 16, 32, 50};
    for (int i = 0; i < 25; i++) {
        problem p = new_problem(301, ks[i / 5], 1 + below(60));
        fill_random(&p, size[i % 5]);
        dm_centers c;
        assert_int_equal(dm_centers_create(&c, p.k, p.d), DEMARC_OK);
        dm_centers_set(&c, p.k, p.c, NULL);
        for (int v = 0; v < dmk_variant_count(); v++) {
            if (!dmk_variant_supported(v)) continue;
            int32_t label[301];
            float gap[301];
            double share[301];
            dm_tile tile;
            assert_int_equal(dm_tile_create(&tile, p.k), DEMARC_OK);
            dm_nearest_gap(dmk_variant(v), &c, &tile, p.x, p.rows, label, gap);
            for (int64_t r = 0; r < p.rows; r++) share[r] = (double)((long double)gap[r] / true_gap(&p, r, label[r]));
            qsort(share, (size_t)p.rows, sizeof *share, by_value);
            assert_true(share[150] >= 0.9 && share[300] <= 1.0);
            dm_tile_destroy(&tile);
        }
        dm_centers_destroy(&c);
        free_problem(&p);
    }
}

/* Rows far from all centroids, where two distances are alike but for their last bits, and rows on top of one. */
static void gaps_of_outliers(void **state)
{
    (void)state;
    random_state = 14;
    for (int t = 0; t < 60; t++) {
        problem p = new_problem(40, 1 + below(40), 1 + below(20));
        const double size = pow(10.0, below(41) - 20);
        fill_random(&p, size);
        for (int64_t r = 0; r < p.rows; r++) {
            const double away = pow(10.0, below(9));
            const int64_t j = below(p.k);
            for (int64_t f = 0; f < p.d; f++) {
                p.x[r * p.d + f] = r % 3 == 0 ? (float)p.c[j * p.d + f] : (float)(size * away * uniform());
            }
        }
        if (t % 3 == 0 && p.k > 2) memcpy(p.c + p.d, p.c, (size_t)p.d * sizeof *p.c); /* the same centroid twice */
        check(&p);
        free_problem(&p);
    }
}

/* Rows far out on the plane between two centroids: their norm, not the centroids', makes the error of the scores. */
static void near_ties_far_out(void **state)
{
    (void)state;
    random_state = 15;
    for (int t = 0; t < 60; t++) {
        problem p = new_problem(64, 2 + below(20), 2 + below(20));
        fill_random(&p, 1.0);
        for (int64_t r = 0; r < p.rows; r++) {
            const double *a = p.c, *b = p.c + p.d, away = pow(10.0, 1 + below(6));
            double v[32], along = 0.0, square = 0.0;
            for (int32_t f = 0; f < p.d; f++) {
                v[f] = uniform();
                along += v[f] * (a[f] - b[f]);
                square += (a[f] - b[f]) * (a[f] - b[f]);
            }
            for (int32_t f = 0; f < p.d; f++) {
                const double side = v[f] - along / square * (a[f] - b[f]);
                p.x[r * p.d + f] = (float)(0.5 * (a[f] + b[f]) + away * side);
            }
        }
        check(&p);
        free_problem(&p);
    }
}

/* A model's centroids may be any finite doubles: where q overflows, infinities tie and the lowest wins as ever. */
static void distances_beyond_double(void **state)
{
    (void)state;
    problem p = new_problem(3, 3, 2);
    for (int32_t f = 0; f < 2; f++) {
        p.c[f] = 1e200;
        p.c[2 + f] = -1e200;
        p.c[4 + f] = 1e250;
    }
    check(&p);
    p.c[2] = p.c[3] = 1.0; /* one is in reach */
    check(&p);
    free_problem(&p);
}

static void centers_can_be_set_again(void **state)
{
    (void)state;
    random_state = 11;
    dm_centers c;
    assert_int_equal(dm_centers_create(&c, 10, 3), DEMARC_OK);
    double centroid[30], offset[10];
    for (int i = 0; i < 30; i++) centroid[i] = 1e20 * uniform();
    for (int i = 0; i < 10; i++) offset[i] = 1e6;
    dm_centers_set(&c, 10, centroid, offset);
    for (int i = 0; i < 30; i++) centroid[i] = (double)i;
    dm_centers_set(&c, 4, centroid, NULL);                                 /* fewer, smaller, without offsets */
    assert_true(c.norm_max < 100.0 && c.h_max < 1000.0 && c.b_max == 0.0); /* nothing of the first set is left */
    dm_tile t;
    assert_int_equal(dm_tile_create(&t, 10), DEMARC_OK); /* a tile for more than k */
    const float x[6] = {0, 1, 2, 9.2f, 10.1f, 10.9f};
    int32_t label[2], runner[2];
    double squared[2], own[2], second[2];
    dm_nearest_two(dmk_variant(dmk_variant_find("ref")), &c, &t, x, 2, label, runner, squared, own, second);
    assert_true(label[0] == 0 && runner[0] == 1 && squared[0] == 0.0 && own[0] == 0.0 && second[0] == 27.0);
    assert_true(label[1] == 3 && runner[1] == 2);
    centroid[0] = 55.0; /* they were copied */
    dm_nearest_distance(dmk_variant(dmk_variant_find("ref")), &c, &t, x, 1, label, squared);
    assert_true(label[0] == 0 && squared[0] == 0.0);
    dm_tile_destroy(&t);
    dm_centers_destroy(&c);
    assert_null(c.c);
    assert_null(t.g);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
/*
 * OpenBLAS reads the core type once, when it is loaded: this program runs itself again for others, whose sgemm adds up in
 * other orders. All tests above must pass there as well. (Sanitizers see nothing of OpenBLAS: not again under them.)
 */
static void with_core(const char *core, bool supported)
{
    if (!supported) {
        print_message("skipped: this CPU cannot run OpenBLAS for %s\n", core);
        skip();
    }
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        setenv("OPENBLAS_CORETYPE", core, 1);
        setenv(RUN_BY_PARENT, "1", 1);
        execl("/proc/self/exe", "test_distance", (char *)NULL);
        _exit(126);
    }
    assert_true(child > 0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void on_prescott(void **state)
{
    (void)state;
    with_core("Prescott", __builtin_cpu_supports("sse3"));
}

static void on_haswell(void **state)
{
    (void)state;
    with_core("Haswell", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
}

static void on_skylakex(void **state)
{
    (void)state;
    with_core("SkylakeX", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"));
}
#endif

static int start_blas(void **state)
{
    (void)state;
    dm_blas_init();
    print_message("OpenBLAS core: %s\n", dm_blas_core());
    for (int v = 0; v < dmk_variant_count(); v++) {
        if (!dmk_variant_supported(v))
            print_message("skipped: this CPU cannot run the %s kernels\n", dmk_variant(v)->name);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_data),
        cmocka_unit_test(many_features),
        cmocka_unit_test(rows_around_a_tile),
        cmocka_unit_test(exact_ties_go_to_the_lowest),
        cmocka_unit_test(duplicate_centroids),
        cmocka_unit_test(near_ties),
        cmocka_unit_test(gaps_of_every_size),
        cmocka_unit_test(any_size),
        cmocka_unit_test(offsets),
        cmocka_unit_test(overflow_on_the_way),
        cmocka_unit_test(smallest_cases),
        cmocka_unit_test(clear_cases_need_no_settling),
        cmocka_unit_test(gaps_are_useful),
        cmocka_unit_test(gaps_of_outliers),
        cmocka_unit_test(near_ties_far_out),
        cmocka_unit_test(distances_beyond_double),
        cmocka_unit_test(centers_can_be_set_again),
    };
    int failed = cmocka_run_group_tests(tests, start_blas, NULL);
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
    const struct CMUnitTest cores[] = {
        cmocka_unit_test(on_prescott),
        cmocka_unit_test(on_haswell),
        cmocka_unit_test(on_skylakex),
    };
    if (getenv(RUN_BY_PARENT) == NULL) failed += cmocka_run_group_tests(cores, NULL, NULL);
#endif
    return failed;
}
