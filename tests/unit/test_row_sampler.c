/* The rows with the smallest keys, whoever meets them and in whatever order; ties to the lowest row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kmeans/row_sampler.h"

static uint64_t random_state;

static uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int below(int n) { return (int)(random64() % (uint64_t)n); }

enum { D = 3, MOST = 2000, THREADS = 6 };

static dm_drawn offered[MOST];
static dm_comm *comm;

static int create(void **state)
{
    (void)state;
    return dm_comm_create(&comm) == DEMARC_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    dm_comm_destroy(&comm);
    return 0;
}

/* Features that only their own row has. */
static void features_of(int64_t row, float x[D])
{
    for (int f = 0; f < D; f++) x[f] = (float)(row % 100000) + 0.25f * (float)f;
}

static int by_key_and_row(const void *a, const void *b)
{
    const dm_drawn *p = a, *q = b;
    if (p->key < q->key) return -1;
    if (p->key > q->key) return 1;
    return p->row < q->row ? -1 : p->row > q->row;
}

/* Offer the first n, to random threads when several, and compare with sorting them all. */
static void check(int n, int32_t capacity, int threads)
{
    dm_sampler s[THREADS];
    for (int t = 0; t < threads; t++) assert_int_equal(dm_sampler_create(&s[t], capacity, D), DEMARC_OK);
    for (int i = 0; i < n; i++) {
        dm_sampler *mine = &s[below(threads)];
        float x[D];
        features_of(offered[i].row, x);
        dm_sampler_offer(mine, offered[i].key, offered[i].row, x);
        memset(x, 0, sizeof x); /* the sampler has a copy */
        assert_true(mine->count <= capacity);
    }
    dm_drawn *drawn = NULL;
    float *x = NULL;
    int32_t count = -1;
    assert_int_equal(dm_sampler_collect(comm, s, threads, &drawn, &x, &count), DEMARC_OK);
    dm_drawn sorted[MOST];
    memcpy(sorted, offered, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_key_and_row);
    assert_int_equal(count, n < capacity ? n : capacity);
    for (int32_t i = 0; i < count; i++) {
        assert_true(drawn[i].key == sorted[i].key);
        assert_true(drawn[i].row == sorted[i].row);
        float want[D];
        features_of(drawn[i].row, want);
        assert_memory_equal(x + i * D, want, sizeof want);
    }
    dm_free(drawn);
    dm_free(x);
    for (int t = 0; t < threads; t++) {
        dm_sampler_destroy(&s[t]);
        assert_null(s[t].key);
    }
}

static void shuffle(int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = below(i + 1);
        const dm_drawn t = offered[i];
        offered[i] = offered[j];
        offered[j] = t;
    }
}

/* kind 0: keys all different; 1: few keys, many ties; 2: one key; 3: the ends of the range */
static void make(int n, int kind)
{
    static const double end[] = {0.0, 5e-324, 1e308, INFINITY};
    for (int i = 0; i < n; i++) {
        offered[i].row = kind == 3 ? INT64_MAX - i : INT64_C(3) * i + INT64_C(5000000000);
        offered[i].key = kind == 0   ? (double)(random64() >> 11) * 0x1p-53
                         : kind == 1 ? (double)below(7)
                         : kind == 2 ? 0.5
                                     : end[below(4)];
    }
}

static void smallest_keys_win(void **state)
{
    (void)state;
    random_state = 1;
    const int32_t capacity[] = {1, 2, 3, 4, 7, 8, 50, 333};
    const int n[] = {0, 1, 2, 5, 8, 100, MOST};
    for (int kind = 0; kind < 4; kind++) {
        for (size_t c = 0; c < sizeof capacity / sizeof *capacity; c++) {
            for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
                make(n[i], kind);
                check(n[i], capacity[c], 1);
                shuffle(n[i]);
                check(n[i], capacity[c], 1);
                check(n[i], capacity[c], 1 + below(THREADS));
            }
        }
    }
}

/* Orders that a heap meets at its worst: ascending, descending, the least last. */
static void any_order(void **state)
{
    (void)state;
    random_state = 2;
    make(500, 0);
    qsort(offered, 500, sizeof *offered, by_key_and_row);
    check(500, 40, 1);
    check(500, 40, 5);
    for (int i = 0; i < 250; i++) {
        const dm_drawn t = offered[i];
        offered[i] = offered[499 - i];
        offered[499 - i] = t;
    }
    check(500, 40, 1);
    check(500, 499, 1);
    check(500, 500, 3);
    check(500, 501, 3);
}

/* dm_sampler_wants is the answer that dm_sampler_offer acts on. */
static void wants_means_kept(void **state)
{
    (void)state;
    dm_sampler s;
    assert_int_equal(dm_sampler_create(&s, 2, D), DEMARC_OK);
    const float x[D] = {1, 2, 3};
    assert_true(dm_sampler_wants(&s, INFINITY, INT64_MAX)); /* room for anything */
    dm_sampler_offer(&s, 1.0, 10, x);
    dm_sampler_offer(&s, 2.0, 20, x);
    assert_int_equal(s.count, 2);
    assert_true(dm_sampler_wants(&s, 1.5, 99));
    assert_true(dm_sampler_wants(&s, 2.0, 19)); /* a tie: the lower row */
    assert_false(dm_sampler_wants(&s, 2.0, 20));
    assert_false(dm_sampler_wants(&s, 2.0, 21));
    assert_false(dm_sampler_wants(&s, 2.5, 0));
    assert_false(dm_sampler_wants(&s, NAN, 0));
    dm_sampler_offer(&s, 2.5, 0, x);
    dm_sampler_offer(&s, 2.0, 21, x);
    assert_true(s.count == 2 && s.key[0] == 2.0 && s.row[0] == 20);
    dm_sampler_offer(&s, 2.0, 19, x);
    assert_true(s.count == 2 && s.key[0] == 2.0 && s.row[0] == 19);
    dm_sampler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_keys_win),
        cmocka_unit_test(any_order),
        cmocka_unit_test(wants_means_kept),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
