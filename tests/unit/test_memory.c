/* Checked allocation: aligned, zeroed on request, refused politely when there is no such memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

#define SMALL_CHILD "small-child"
#define LARGE (INT64_C(160) << 20) /* a program that does nothing stays below this, under sanitizers too */

#if defined(__SANITIZE_ADDRESS__)
/* AddressSanitizer ends the process where the system would return NULL, unless told otherwise. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
#endif

static void aligned_and_usable(void **state)
{
    (void)state;
    const int64_t count[] = {0, 1, 7, 8, 9, 63, 64, 65, 4097};
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) {
        double *p = NULL;
        assert_int_equal(dm_alloc(p, count[i], "a test"), DEMARC_OK);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xa5, (size_t)count[i] * sizeof *p);
        dm_free(p);
    }
}

static void zeroed_on_request(void **state)
{
    (void)state;
    for (int t = 0; t < 50; t++) { /* dirty memory comes round again */
        unsigned char *p = NULL;
        assert_int_equal(dm_alloc(p, 1000 + t, "a test"), DEMARC_OK);
        memset(p, 0xff, (size_t)(1000 + t));
        dm_free(p);
        assert_int_equal(dm_alloc_zero(p, 1000 + t, "a test"), DEMARC_OK);
        for (int i = 0; i < 1000 + t; i++) assert_int_equal(p[i], 0);
        dm_free(p);
    }
}

static void refused(int64_t count, size_t size)
{
    void *p = &p;
    dm_error_set("");
    assert_int_equal(dm_alloc_bytes(&p, count, size, true, "moon dust"), DEMARC_ERR_MEMORY);
    assert_null(p);
    assert_non_null(strstr(dm_error_line(), "out of memory"));
    assert_non_null(strstr(dm_error_line(), "moon dust"));
}

/* Negative counts (of a row count gone wrong), products that wrap, and more than any machine's address space. */
static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    refused(-1, 8);
    refused(INT64_MIN, 1);
    refused(INT64_MAX, 8);
    refused(INT64_MAX, SIZE_MAX);
    refused((INT64_C(1) << 61) + 1, 8); /* 2^64 + 8: would wrap to 8 */
    refused(1, SIZE_MAX);               /* rounding up to 64 would wrap */
    refused(1, SIZE_MAX - 63);
    refused(INT64_C(1) << 60, 1);
    assert_int_equal(demarc_status_exit_code(DEMARC_ERR_MEMORY), 5);
}

static void free_of_nothing(void **state)
{
    (void)state;
    dm_free(NULL);
}

static void peak_grows_with_use(void **state)
{
    (void)state;
    const int64_t more = INT64_C(48) << 20;
    const int64_t before = dm_memory_peak();
    assert_true(before > INT64_C(1) << 20);
    assert_true(before < INT64_C(1) << 40);
    unsigned char *p = NULL;
    assert_int_equal(dm_alloc(p, more + before, "a test"), DEMARC_OK);
    memset(p, 1, (size_t)(more + before));
    const int64_t after = dm_memory_peak();
    dm_free(p);
    assert_true(after >= before + more / 2);
    assert_true(dm_memory_peak() >= before + more / 2); /* a peak outlives what made it */
}

/* A program started by a large one (a launcher, a shell) reports its own memory: this test starts itself. */
static void peak_is_not_the_parents(void **state)
{
    (void)state;
    const int64_t more = 2 * LARGE;
    unsigned char *p = NULL;
    assert_int_equal(dm_alloc(p, more, "a test"), DEMARC_OK);
    memset(p, 1, (size_t)more);
    const pid_t child = vfork(); /* until it starts the program, it is the parent with all its memory */
    if (child == 0) {
        execl("/proc/self/exe", "test_memory", SMALL_CHILD, (char *)NULL);
        _exit(126);
    }
    assert_true(child > 0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    dm_free(p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SMALL_CHILD) == 0) return dm_memory_peak() < LARGE ? 0 : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_and_usable),           cmocka_unit_test(zeroed_on_request),
        cmocka_unit_test(impossible_sizes_are_refused), cmocka_unit_test(free_of_nothing),
        cmocka_unit_test(peak_grows_with_use),          cmocka_unit_test(peak_is_not_the_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
