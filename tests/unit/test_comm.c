/* The stand-in of one rank: no launcher, no MPI call, every collective gives back what this rank put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/comm.h"

static const char *const launcher_variable[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"};
enum { VARIABLES = sizeof launcher_variable / sizeof *launcher_variable };

static void forget_launcher(void)
{
    for (int i = 0; i < VARIABLES; i++) unsetenv(launcher_variable[i]);
}

static int create(void **state)
{
    forget_launcher();
    dm_comm *comm = NULL;
    if (dm_comm_start_mpi() != DEMARC_OK || dm_comm_create(&comm) != DEMARC_OK) return -1;
    *state = comm;
    return 0;
}

static int destroy(void **state)
{
    dm_comm *comm = *state;
    dm_comm_destroy(&comm);
    return comm == NULL ? 0 : -1;
}

static void launchers_are_seen(void **state)
{
    (void)state;
    forget_launcher();
    assert_false(dm_comm_launched());
    assert_int_equal(dm_comm_env_rank(), 0);
    for (int i = 0; i < VARIABLES; i++) {
        setenv(launcher_variable[i], "13", 1);
        assert_true(dm_comm_launched());
        assert_int_equal(dm_comm_env_rank(), 13);
        forget_launcher();
    }
    assert_false(dm_comm_launched());
}

static void one_rank(void **state)
{
    const dm_comm *comm = *state;
    assert_int_equal(dm_comm_rank(comm), 0);
    assert_int_equal(dm_comm_size(comm), 1);
    assert_true(strlen(dm_comm_library()) > 0);
    assert_null(strchr(dm_comm_library(), '\n'));
}

static void destroying_nothing(void **state)
{
    (void)state;
    dm_comm *none = NULL, *one = NULL;
    dm_comm_destroy(&none);
    assert_null(none);
    assert_int_equal(dm_comm_create(&one), DEMARC_OK);
    dm_comm_destroy(&one);
    assert_null(one);
    dm_comm_destroy(&one);
    dm_comm_stop_mpi(); /* never started: nothing to stop, any number of times */
    dm_comm_stop_mpi();
}

static void threads_follow_the_allowed_cores(void **state)
{
    dm_comm *comm = *state;
    cpu_set_t before, single;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(dm_comm_fair_threads(comm), CPU_COUNT(&before));
    assert_int_equal(dm_comm_ranks_on_host(comm), 1);
    CPU_ZERO(&single);
    for (size_t c = 0; c < CPU_SETSIZE && CPU_COUNT(&single) == 0; c++) {
        if (CPU_ISSET(c, &before)) CPU_SET(c, &single);
    }
    assert_int_equal(sched_setaffinity(0, sizeof single, &single), 0);
    const int threads = dm_comm_fair_threads(comm);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(threads, 1);
}

static demarc_status fails_alone(dm_comm *comm, int *passed)
{
    demarc_status st = DEMARC_OK;
    DM_TRY_ALL(comm, DEMARC_OK);
    ++*passed;
    DM_TRY_ALL(comm, dm_fail(DEMARC_ERR_IMPOSSIBLE, "too few: rows: add some"));
    ++*passed;
cleanup:
    return st;
}

static void agreement_keeps_status_and_line(void **state)
{
    dm_comm *comm = *state;
    dm_error_set("");
    assert_int_equal(dm_comm_agree(comm, DEMARC_OK), DEMARC_OK);
    assert_string_equal(dm_error_line(), "");
    int passed = 0;
    assert_int_equal(fails_alone(comm, &passed), DEMARC_ERR_IMPOSSIBLE);
    assert_int_equal(passed, 1);
    assert_string_equal(dm_error_line(), "too few: rows: add some");
    assert_int_equal(dm_comm_agree(comm, DEMARC_STOPPED), DEMARC_STOPPED);
}

static void reductions_change_nothing(void **state)
{
    dm_comm *comm = *state;
    int64_t i[3] = {INT64_MIN, -1, INT64_MAX};
    const int64_t i0[3] = {INT64_MIN, -1, INT64_MAX};
    dm_comm_sum_i64(comm, i, 3);
    dm_comm_min_i64(comm, i, 3);
    dm_comm_max_i64(comm, i, 3);
    assert_memory_equal(i, i0, sizeof i);
    double v[2] = {-1.5, 1e300};
    const double v0[2] = {-1.5, 1e300};
    dm_comm_min_f64(comm, v, 2);
    dm_comm_max_f64(comm, v, 2);
    assert_memory_equal(v, v0, sizeof v);
    char bytes[] = "as it was";
    dm_comm_bcast(comm, bytes, sizeof bytes, 0);
    dm_comm_barrier(comm);
    assert_string_equal(bytes, "as it was");
    double all[2] = {7.0, 7.0};
    dm_comm_gather_f64(comm, -0.25, all);
    assert_true(all[0] == -0.25 && all[1] == 7.0);
}

static void exact_reductions_keep_the_value(void **state)
{
    dm_comm *comm = *state;
    dm_exact_sum s[2] = {{{0}, 0}, {{0}, 0}};
    for (int i = 0; i < 1500; i++) {
        dm_exact_sum_add(&s[0], -0.1);
        dm_exact_sum_add(&s[1], i % 2 == 0 ? 1e300 : -1e300);
    }
    const double before = dm_exact_sum_value(&s[0]);
    dm_comm_sum_exact(comm, s, 2);
    assert_true(dm_exact_sum_value(&s[0]) == before);
    assert_true(dm_exact_sum_value(&s[1]) == 0.0);
    dm_int128 v[3] = {-1, (dm_int128)1 << 100, -((dm_int128)1 << 100)};
    assert_int_equal(dm_comm_sum_fixed(comm, v, 3), DEMARC_OK);
    assert_true(v[0] == -1 && v[1] == (dm_int128)1 << 100 && v[2] == -((dm_int128)1 << 100));
}

static void gathering(void **state)
{
    dm_comm *comm = *state;
    const char mine[] = "\0a\xff rows";
    void *all = NULL;
    int64_t bytes = -1;
    assert_int_equal(dm_comm_all_gather(comm, mine, sizeof mine, &all, &bytes), DEMARC_OK);
    assert_int_equal(bytes, sizeof mine);
    assert_memory_equal(all, mine, sizeof mine);
    assert_ptr_not_equal(all, mine);
    dm_free(all);
    assert_int_equal(dm_comm_all_gather(comm, NULL, 0, &all, &bytes), DEMARC_OK);
    assert_int_equal(bytes, 0);
    dm_free(all);
}

/* Only the part between the offsets is for us, wherever it begins. */
static void exchanging(void **state)
{
    dm_comm *comm = *state;
    const char send[] = "0123456789";
    void *received = NULL;
    int64_t bytes = -1;
    assert_int_equal(dm_comm_exchange(comm, send, (const int64_t[]){0, 10}, &received, &bytes), DEMARC_OK);
    assert_int_equal(bytes, 10);
    assert_memory_equal(received, send, 10);
    dm_free(received);
    assert_int_equal(dm_comm_exchange(comm, send, (const int64_t[]){3, 7}, &received, &bytes), DEMARC_OK);
    assert_int_equal(bytes, 4);
    assert_memory_equal(received, "3456", 4);
    dm_free(received);
    assert_int_equal(dm_comm_exchange(comm, NULL, (const int64_t[]){0, 0}, &received, &bytes), DEMARC_OK);
    assert_int_equal(bytes, 0);
    dm_free(received);
}

/* Runs last: nothing above went over a wire. */
static void no_traffic(void **state)
{
    int64_t bytes = -1, messages = -1;
    dm_comm_traffic(*state, &bytes, &messages);
    assert_int_equal(bytes, 0);
    assert_int_equal(messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launchers_are_seen),
        cmocka_unit_test(one_rank),
        cmocka_unit_test(destroying_nothing),
        cmocka_unit_test(threads_follow_the_allowed_cores),
        cmocka_unit_test(agreement_keeps_status_and_line),
        cmocka_unit_test(reductions_change_nothing),
        cmocka_unit_test(exact_reductions_keep_the_value),
        cmocka_unit_test(gathering),
        cmocka_unit_test(exchanging),
        cmocka_unit_test(no_traffic),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
