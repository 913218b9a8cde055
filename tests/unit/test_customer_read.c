/*
 * Features read past HDF5: the same bytes as HDF5 reads, only where the values lie in one piece as they are, and a clear
 * error when the file becomes shorter while it is open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/customer_file.h"
#include "store/external.h"

#define ROWS 5000
#define COLUMNS 3

typedef struct scratch {
    dm_comm *comm;
    char *dir, *home;
} scratch;

/* Every way to store [ROWS, COLUMNS]; the name of a file that can be read past HDF5 begins with "direct". */
static const char script[] =
    "import h5py, numpy as np\n"
    "x = np.random.default_rng(1).normal(size=(5000, 3))\n"
    "def put(name, dtype, user=0, **options):\n"
    "    with h5py.File(name + '.h5', 'w', userblock_size=user, libver='latest' if user > 512 else None) as f:\n"
    "        f['before'] = np.arange(777)\n"
    "        f.create_dataset('features', data=x.astype(dtype), **options)\n"
    "        f['after'] = np.arange(777)\n"
    "put('direct-f4', '<f4')\n"
    "put('direct-f8', '<f8')\n"
    "put('direct-f2', '<f2')\n"
    "put('direct-user-block', '<f4', user=512)\n"
    "put('direct-latest', '<f8', user=4096)\n"
    "put('big-endian', '>f4')\n"
    "put('big-endian-half', '>f2')\n"
    "put('integer', '<i4')\n"
    "put('chunked', '<f4', chunks=(100, 3))\n"
    "put('deflate', '<f8', chunks=(100, 3), compression='gzip')\n"
    "with h5py.File('link.h5', 'w') as f:\n"
    "    f['features'] = h5py.ExternalLink('direct-f4.h5', '/features')\n";

static int enter(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    char name[] = "/tmp/demarc-test-customer-XXXXXX";
    if (s == NULL || mkdtemp(name) == NULL) return -1;
    s->dir = strdup(name);
    s->home = getcwd(NULL, 0);
    *state = s;
    if (chdir(s->dir) != 0 || dm_comm_create(&s->comm) != DEMARC_OK) return -1;
    FILE *f = fopen("write.py", "w");
    if (f == NULL || fputs(script, f) < 0 || fclose(f) != 0) return -1;
    return 0;
}

static int leave(void **state)
{
    scratch *s = *state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = chdir(s->home) == 0 && system(command) == 0 ? 0 : -1;
    dm_comm_destroy(&s->comm);
    free(s->dir);
    free(s->home);
    free(s);
    return rc;
}

static void need_files(void)
{
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) {
        print_message("python3-h5py is absent\n");
        skip();
    }
    assert_int_equal(system("/usr/bin/python3 write.py"), 0);
}

static dm_customers *open_file(void **state, const char *name)
{
    dm_customers *c = NULL;
    assert_int_equal(dm_customers_open(&c, ((scratch *)*state)->comm, name, NULL), DEMARC_OK);
    return c;
}

static void same_as_hdf5(void **state)
{
    static const char *const name[] = {"direct-f2.h5",     "direct-f4.h5",  "direct-f8.h5", "direct-user-block.h5",
                                       "direct-latest.h5", "big-endian.h5", "integer.h5",   "big-endian-half.h5",
                                       "chunked.h5",       "deflate.h5",    "link.h5"};
    static const int64_t begin[] = {0, 0, 1, 4999, 4096, 17}, end[] = {ROWS, 1, 2, ROWS, ROWS, 17};
    need_files();
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        dm_external_allow(strcmp(name[i], "link.h5") == 0);
        dm_customers *c = open_file(state, name[i]);
        assert_int_equal(dm_customers_features_are_direct(c), strncmp(name[i], "direct", 6) == 0);
        const dm_schema *schema = dm_customers_schema(c);
        for (size_t j = 0; j < 6 && dm_customers_features_are_direct(c); j++) {
            double want[ROWS * COLUMNS], got[ROWS * COLUMNS];
            memset(want, 1, sizeof want);
            memset(got, 1, sizeof got);
            assert_int_equal(schema->exact_f16   ? dm_customers_features_f16(c, begin[j], end[j], (uint16_t *)want)
                             : schema->exact_f32 ? dm_customers_features_f32(c, begin[j], end[j], (float *)want)
                                                 : dm_customers_features_f64(c, begin[j], end[j], want),
                             DEMARC_OK);
            dm_customers_features_expect(c, begin[j], end[j]);
            assert_int_equal(dm_customers_features_direct(c, begin[j], end[j], got), DEMARC_OK);
            assert_memory_equal(got, want, sizeof got);
        }
        dm_customers_close(&c);
    }
}

/* Halves in either byte order, as they are and converted; the values are those of the float32 file, rounded by h5py. */
static void halves(void **state)
{
    static uint16_t little[ROWS * COLUMNS], big[ROWS * COLUMNS];
    static float single[ROWS * COLUMNS], wide[ROWS * COLUMNS];
    static double twice[ROWS * COLUMNS];
    need_files();
    dm_customers *c = open_file(state, "direct-f2.h5"), *d = open_file(state, "big-endian-half.h5");
    assert_int_equal(dm_customers_features_f16(c, 0, ROWS, little), DEMARC_OK);
    assert_int_equal(dm_customers_features_f16(d, 0, ROWS, big), DEMARC_OK);
    assert_memory_equal(little, big, sizeof little);
    assert_int_equal(dm_customers_features_f32(c, 0, ROWS, single), DEMARC_OK);
    assert_int_equal(dm_customers_features_f64(d, 0, ROWS, twice), DEMARC_OK);
    for (int64_t i = 0; i < ROWS * COLUMNS; i++) assert_true((double)single[i] == twice[i]);
    dm_customers_close(&c);
    dm_customers_close(&d);
    c = open_file(state, "direct-f4.h5");
    assert_int_equal(dm_customers_features_f32(c, 0, ROWS, wide), DEMARC_OK);
    for (int64_t i = 0; i < ROWS * COLUMNS; i++) {
        const float off = single[i] - wide[i], size = wide[i] < 0.0f ? -wide[i] : wide[i];
        assert_true((off < 0.0f ? -off : off) <= size * 0x1p-11f + 0x1p-25f);
    }
    assert_int_equal(dm_customers_features_f16(c, 0, 1, little), DEMARC_ERR_ARG);
    dm_customers_close(&c);
}

static void shorter_file(void **state)
{
    need_files();
    dm_customers *c = open_file(state, "direct-f8.h5");
    double x[ROWS * COLUMNS];
    assert_int_equal(truncate("direct-f8.h5", 60000), 0);
    assert_int_equal(dm_customers_features_direct(c, 0, 100, x), DEMARC_OK);
    assert_int_equal(dm_customers_features_direct(c, 100, ROWS, x), DEMARC_ERR_DATA);
    assert_non_null(strstr(dm_error_line(), "truncated"));
    assert_non_null(strstr(dm_error_line(), "direct-f8.h5, /features, rows 100 to 4999"));
    dm_customers_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_hdf5), cmocka_unit_test(halves),
                                       cmocka_unit_test(shorter_file)};
    return cmocka_run_group_tests(tests, enter, leave);
}
