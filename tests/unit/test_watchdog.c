/* The stall watchdog, each time in a child process: it ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/watchdog.h"

#define LIMIT 0.5 /* seconds */
enum { WENT_ON = 42, ENDED = 5 };

static void rest(double seconds)
{
    const struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

/* Exit code of a child that does `act`; what it wrote to stderr goes to `said`. */
static int child(void (*act)(void), char *said, size_t size)
{
    int pipe_ends[2], status = 0;
    assert_int_equal(pipe(pipe_ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        alarm(20);
        act();
        _exit(WENT_ON);
    }
    close(pipe_ends[1]);
    size_t used = 0;
    for (ssize_t n; used + 1 < size && (n = read(pipe_ends[0], said + used, size - 1 - used)) > 0;) used += (size_t)n;
    said[used] = 0;
    close(pipe_ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void start(double seconds, int rank)
{
    if (dm_watchdog_start(seconds, rank) != DEMARC_OK) _exit(1);
}

static void one_long_call(void)
{
    start(LIMIT, 0);
    dm_watchdog_enter("a test");
    rest(10.0);
}

static void many_short_calls(void)
{
    start(LIMIT, 0);
    for (int i = 0; i < 20; i++) {
        dm_watchdog_enter("a test");
        rest(0.1);
        dm_watchdog_leave();
    }
    rest(1.5); /* outside: its own work may take any time */
    dm_watchdog_stop();
}

static void paused(void)
{
    start(LIMIT, 0);
    dm_watchdog_pause();
    dm_watchdog_enter("a test");
    rest(2.0);
    dm_watchdog_leave();
    dm_watchdog_resume();
}

static void paused_and_resumed(void)
{
    paused();
    dm_watchdog_enter("a test");
    rest(10.0);
}

static void stopped(void)
{
    start(LIMIT, 0);
    dm_watchdog_enter("a test");
    dm_watchdog_stop();
    dm_watchdog_stop();
    rest(1.5);
    start(0.0, 0); /* none */
    rest(1.0);
    start(30.0, 0); /* a later start replaces */
    start(LIMIT, 0);
    start(30.0, 0);
    rest(1.0);
}

static void higher_rank(void)
{
    start(LIMIT, 4);
    dm_watchdog_enter("a test");
    rest(2.0); /* less than 0.5 + 4 x 0.5 */
}

static void ends(void **state)
{
    (void)state;
    char said[1024];
    const double begin = dm_clock();
    assert_int_equal(child(one_long_call, said, sizeof said), ENDED);
    assert_true(dm_clock() - begin >= LIMIT && dm_clock() - begin < 8.0);
    assert_non_null(strstr(said, "demarc: stalled: rank 0 on "));
    assert_non_null(strstr(said, " in a test: "));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    assert_int_equal(child(paused_and_resumed, said, sizeof said), ENDED);
}

static void goes_on(void **state)
{
    (void)state;
    static void (*const act[])(void) = {many_short_calls, paused, stopped, higher_rank};
    char said[1024];
    for (size_t i = 0; i < sizeof act / sizeof *act; i++) {
        assert_int_equal(child(act[i], said, sizeof said), WENT_ON);
        assert_string_equal(said, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends), cmocka_unit_test(goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
