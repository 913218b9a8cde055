/* The HDF5 writer on one rank: contents as h5py reads them, equal bytes for equal data, refused calls. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/writer.h"

#define ROWS 10000

typedef struct scratch {
    dm_comm *comm;
    char *dir, *home;
} scratch;

static int enter(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    char name[] = "/tmp/demarc-test-writer-XXXXXX";
    if (s == NULL || mkdtemp(name) == NULL) return -1;
    s->dir = strdup(name);
    s->home = getcwd(NULL, 0);
    *state = s;
    return chdir(s->dir) == 0 && dm_comm_create(&s->comm) == DEMARC_OK ? 0 : -1;
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

static dm_comm *comm_of(void **state) { return ((scratch *)*state)->comm; }

/* Run a Python script that asserts; skipped where Debian's h5py is absent. */
static void check_by_h5py(const char *script)
{
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) {
        print_message("python3-h5py is absent\n");
        skip();
    }
    FILE *f = fopen("check.py", "w");
    assert_non_null(f);
    fprintf(f, "import h5py, numpy as np\nf = h5py.File('a.h5', 'r')\n%s", script);
    fclose(f);
    assert_int_equal(system("/usr/bin/python3 check.py"), 0);
}

static char *slurp(const char *path, long *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = ftell(f);
    rewind(f);
    char *bytes = malloc((size_t)*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)*size, f), *size);
    fclose(f);
    return bytes;
}

static void assert_same_bytes(const char *a, const char *b)
{
    long na, nb;
    char *ba = slurp(a, &na), *bb = slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(ba, bb, (size_t)na);
    free(ba);
    free(bb);
}

/* Rows of three types, in calls of `step` rows. */
typedef demarc_status (*write_fn)(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data);

static void write_rows(dm_writer *w, int features, int segment, int id, int64_t step, write_fn put)
{
    float *x = malloc(ROWS * 3 * sizeof *x);
    int32_t *s = malloc(ROWS * sizeof *s);
    char(*name)[8] = malloc(ROWS * sizeof *name);
    assert_true(x != NULL && s != NULL && name != NULL);
    memset(name, 0, ROWS * sizeof *name);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < 3; j++) x[3 * i + j] = (float)(10 * i + j);
        s[i] = -i;
        int at = 1;
        name[i][0] = 'c';
        for (int digit = 10000; digit >= 1; digit /= 10) name[i][at++] = (char)('0' + i / digit % 10);
    }
    for (int64_t begin = 0; begin < ROWS; begin += step) {
        int64_t count = begin + step < ROWS ? step : ROWS - begin;
        assert_int_equal(put(w, features, begin, count, x + 3 * begin), DEMARC_OK);
        assert_int_equal(put(w, segment, begin, count, s + begin), DEMARC_OK);
        assert_int_equal(put(w, id, begin, count, name + begin), DEMARC_OK);
    }
    assert_int_equal(dm_writer_wait(w), DEMARC_OK);
    free(x);
    free(s);
    free(name);
}

static void write_all(void **state, const char *path, demarc_io io, int64_t step, write_fn put)
{
    static const char *const names[] = {"recency", "", "Umsatz \xe2\x82\xac"};
    static const double mean[] = {0.5, -1.0 / 3.0, 1e300};
    static const int64_t size[] = {INT64_MAX, -1};
    static const double grid[] = {1, 2, 3, 4, 5, 6};
    dm_writer *w = NULL;
    int features, segment, id;
    assert_int_equal(dm_writer_create(&w, comm_of(state), io, path), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/features", DM_TYPE_F32, ROWS, 3, 0, &features), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/truth/deep/segment", DM_TYPE_I32, ROWS, 0, 0, &segment), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/id", DM_TYPE_STRING, ROWS, 0, 8, &id), DEMARC_OK);
    assert_int_equal(dm_writer_group(w, "/empty/group"), DEMARC_OK);
    assert_int_equal(dm_writer_small(w, "/transform/mean", DM_TYPE_F64, 3, 0, mean), DEMARC_OK);
    assert_int_equal(dm_writer_small(w, "/centroids", DM_TYPE_F64, 2, 3, grid), DEMARC_OK);
    assert_int_equal(dm_writer_small(w, "/size", DM_TYPE_I64, 2, 0, size), DEMARC_OK);
    assert_int_equal(dm_writer_small(w, "/none", DM_TYPE_F32, 0, 0, NULL), DEMARC_OK);
    assert_int_equal(dm_writer_strings(w, "/feature_names", 3, names), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_texts(w, "/features", "feature_names", 3, names), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_text(w, "/", "digest", "00ff"), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_f64(w, "/", "objective", 1, mean + 1), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_f64(w, "/truth", "means", 3, mean), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_i64(w, "/", "iterations", 1, size), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_u64(w, "/empty/group", "seed", UINT64_MAX), DEMARC_OK);
    write_rows(w, features, segment, id, step, put);
    assert_int_equal(dm_writer_close(&w), DEMARC_OK);
    assert_null(w);
}

static void h5py_reads_what_was_written(void **state)
{
    write_all(state, "a.h5", DEMARC_IO_MPIO, 777, dm_writer_rows);
    check_by_h5py("i = np.arange(10000)\n"
                  "names = ['recency', '', 'Umsatz \\u20ac']\n"
                  "assert f['features'].dtype == '<f4' and f['features'].chunks is None\n"
                  "assert (f['features'][()] == 10 * i[:, None] + np.arange(3)).all()\n"
                  "assert f['truth/deep/segment'].dtype == '<i4' and (f['truth/deep/segment'][()] == -i).all()\n"
                  "assert f['id'].dtype == 'S8' and f['id'].shape == (10000,)\n"
                  "assert list(f['id'].asstr()[()]) == ['c%05d' % k for k in i]\n"
                  "assert len(f['empty/group']) == 0\n"
                  "assert f['transform/mean'][()].tolist() == [0.5, -1 / 3, 1e300]\n"
                  "assert f['centroids'][()].tolist() == [[1, 2, 3], [4, 5, 6]]\n"
                  "assert f['size'].dtype == '<i8' and f['size'][()].tolist() == [2**63 - 1, -1]\n"
                  "assert f['none'].shape == (0,)\n"
                  "assert list(f['feature_names'].asstr()[()]) == names\n"
                  "assert list(f['features'].attrs['feature_names']) == names\n"
                  "assert f.attrs['digest'] == '00ff' and f.attrs['objective'] == -1 / 3\n"
                  "assert np.shape(f.attrs['objective']) == () and f['truth'].attrs['means'].shape == (3,)\n"
                  "assert f.attrs['iterations'] == 2**63 - 1\n"
                  "assert f['empty/group'].attrs['seed'] == 2**64 - 1\n");
}

static void equal_data_are_equal_bytes(void **state)
{
    write_all(state, "a.h5", DEMARC_IO_MPIO, 777, dm_writer_rows);
    sleep(1); /* a time stamp would differ now */
    write_all(state, "b.h5", DEMARC_IO_FUNNEL, ROWS, dm_writer_rows);
    assert_same_bytes("a.h5", "b.h5");
    write_all(state, "b.h5", DEMARC_IO_MPIO, 97, dm_writer_rows_later); /* 309 pieces: more than its queue holds */
    assert_same_bytes("a.h5", "b.h5");
    write_all(state, "b.h5", DEMARC_IO_FUNNEL, ROWS, dm_writer_rows_later);
    assert_same_bytes("a.h5", "b.h5");
}

/* Rows [begin, end) of two datasets, then the end of the program without a close; or, at last, the close. */
static demarc_status write_part(void **state, const char *path, bool again, int64_t begin, int64_t end, int64_t n,
                                write_fn put, bool finish)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = NULL;
    int a = 0, b = 0;
    int32_t *v = malloc(ROWS * sizeof *v);
    assert_non_null(v);
    for (int32_t i = 0; i < ROWS; i++) v[i] = 3 * i;
    st = again ? dm_writer_reopen(&w, comm_of(state), DEMARC_IO_MPIO, path)
               : dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, path);
    assert_int_equal(st, DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/a", DM_TYPE_I32, n, 0, 0, &a), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/b", DM_TYPE_I32, n, 0, 0, &b), DEMARC_OK);
    st = put(w, a, begin, end - begin, v + begin);
    if (st == DEMARC_OK) st = put(w, b, begin, end - begin, v + begin);
    if (st == DEMARC_OK) st = dm_writer_flush(w);
    if (st == DEMARC_OK && finish) st = dm_writer_close(&w);
    dm_writer_discard(&w);
    free(v);
    return st;
}

static void kept_rows_are_joined(void **state)
{
    const write_fn put[] = {dm_writer_rows, dm_writer_rows_later};
    assert_int_equal(write_part(state, "a.h5", false, 0, ROWS, ROWS, put[0], true), DEMARC_OK);
    for (int way = 0; way < 4; way++) {
        assert_int_equal(write_part(state, "b.h5", false, 2000, 7000, ROWS, put[way & 1], false), DEMARC_OK);
        assert_int_equal(write_part(state, "b.h5", true, 7000, ROWS, ROWS, put[way >> 1], false), DEMARC_OK);
        assert_int_equal(write_part(state, "b.h5", true, 0, 2000, ROWS, put[way & 1], true), DEMARC_OK);
        assert_same_bytes("a.h5", "b.h5");
    }
    /* Another layout is refused, and what is there stays as it is. */
    assert_int_equal(write_part(state, "b.h5", true, 0, 100, 100, put[0], true), DEMARC_ERR_DATA);
    assert_same_bytes("a.h5", "b.h5");
    assert_int_equal(access("b.h5.layout", F_OK), -1);
    dm_writer *w = NULL;
    assert_int_equal(dm_writer_reopen(&w, comm_of(state), DEMARC_IO_MPIO, "none.h5"), DEMARC_ERR_IO);
    assert_int_equal(access("none.h5", F_OK), -1);
}

/* Ten thousand names are 160 kB of attribute, more than the 64 kB of HDF5's old format. */
static void many_names_fit(void **state)
{
    enum { NAMES = 10000 };
    char(*text)[8] = malloc(NAMES * sizeof *text);
    const char **names = malloc(NAMES * sizeof *names);
    double *v = malloc(NAMES * sizeof *v);
    dm_writer *w = NULL;
    assert_true(text != NULL && names != NULL && v != NULL);
    for (int i = 0; i < NAMES; i++) {
        snprintf(text[i], sizeof *text, "f%d", i % NAMES);
        names[i] = text[i];
        v[i] = i;
    }
    assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, "a.h5"), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_texts(w, "/", "feature_names", NAMES, names), DEMARC_OK);
    assert_int_equal(dm_writer_attribute_f64(w, "/", "centroids", NAMES, v), DEMARC_OK);
    assert_int_equal(dm_writer_close(&w), DEMARC_OK);
    free(text);
    free(names);
    free(v);
    check_by_h5py("assert list(f.attrs['feature_names']) == ['f%d' % i for i in range(10000)]\n"
                  "assert f.attrs['centroids'].tolist() == list(range(10000))\n");
}

static void wrong_calls_are_refused(void **state)
{
    dm_writer *w = NULL;
    int h = 0, late = 0;
    float x[4] = {0};
    assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, "a.h5"), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/x", DM_TYPE_F32, 4, 0, 0, &h), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/huge", DM_TYPE_F64, INT64_MAX / 8, 2, 0, &late), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows_dataset(w, "/s", DM_TYPE_STRING, 4, 0, 0, &late), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h, 3, 2, x), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h, -1, 1, x), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h, INT64_MAX, 1, x), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h, 0, 1, NULL), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h + 1, 0, 1, x), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_rows(w, h, 0, 4, x), DEMARC_OK);
    assert_int_equal(dm_writer_rows_dataset(w, "/late", DM_TYPE_F32, 4, 0, 0, &late), DEMARC_ERR_ARG);
    assert_int_equal(dm_writer_attribute_u64(w, "/", "late", 1), DEMARC_ERR_ARG);
    /* After any refusal the file does not pass for whole. */
    assert_int_equal(dm_writer_close(&w), DEMARC_ERR_IO);
    assert_null(w);
    dm_writer_discard(&w);
}

static void unwritable_place_is_named(void **state)
{
    dm_writer *w = NULL;
    assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, "missing/a.h5"), DEMARC_ERR_IO);
    assert_null(w);
    assert_non_null(strstr(dm_error_line(), "missing/a.h5"));
    assert_non_null(strstr(dm_error_line(), "No such file or directory"));
}

/* Both ways in one file, whichever comes first. */
static void now_and_later_mix(void **state)
{
    int32_t *x = calloc(ROWS, sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < ROWS; i++) x[i] = i;
    for (int first = 0; first < 2; first++) {
        dm_writer *w = NULL;
        int h = -1;
        assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, first ? "b.h5" : "a.h5"), DEMARC_OK);
        assert_int_equal(dm_writer_rows_dataset(w, "/x", DM_TYPE_I32, ROWS, 0, 0, &h), DEMARC_OK);
        assert_int_equal((first ? dm_writer_rows : dm_writer_rows_later)(w, h, 0, 4000, x), DEMARC_OK);
        assert_int_equal((first ? dm_writer_rows_later : dm_writer_rows)(w, h, 4000, ROWS - 4000, x + 4000), DEMARC_OK);
        assert_int_equal(dm_writer_close(&w), DEMARC_OK); /* waits */
    }
    free(x);
    assert_same_bytes("a.h5", "b.h5");
    check_by_h5py("assert (f['x'][()] == np.arange(10000)).all()\n");
}

/* Rows that are still in the queue do not outlive a discarded file; the address sanitizer looks on. */
static void discarded_rows_are_forgotten(void **state)
{
    enum { COUNT = 1 << 20 };
    for (int i = 0; i < 20; i++) {
        dm_writer *w = NULL;
        int h = -1;
        float *x = calloc(COUNT, sizeof *x);
        assert_non_null(x);
        assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_MPIO, "a.h5"), DEMARC_OK);
        assert_int_equal(dm_writer_rows_dataset(w, "/x", DM_TYPE_F32, COUNT, 0, 0, &h), DEMARC_OK);
        for (int at = 0; at < COUNT; at += COUNT / 8) {
            assert_int_equal(dm_writer_rows_later(w, h, at, COUNT / 8, x + at), DEMARC_OK);
        }
        dm_writer_discard(&w);
        free(x);
        assert_null(w);
    }
}

/* The largest file this process may write stands in for a disk that fills up in the middle of the rows. */
static void failed_rows_are_told(void **state)
{
    enum { COUNT = 1 << 18 };
    struct rlimit old, small;
    float *x = calloc(COUNT, sizeof *x);
    assert_non_null(x);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int later = 0; later < 2; later++) {
        dm_writer *w = NULL;
        int h = -1;
        const write_fn put = later ? dm_writer_rows_later : dm_writer_rows;
        assert_int_equal(dm_writer_create(&w, comm_of(state), DEMARC_IO_FUNNEL, "a.h5"), DEMARC_OK);
        assert_int_equal(dm_writer_rows_dataset(w, "/x", DM_TYPE_F32, COUNT, 0, 0, &h), DEMARC_OK);
        assert_int_equal(put(w, h, 0, COUNT / 2, x), DEMARC_OK);
        assert_int_equal(dm_writer_wait(w), DEMARC_OK);
        small = old;
        small.rlim_cur = 3 * COUNT;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        demarc_status st = put(w, h, COUNT / 2, COUNT / 2, x);
        if (later) {
            assert_int_equal(st, DEMARC_OK);
            st = dm_writer_wait(w);
        }
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        signal(SIGXFSZ, handler);
        assert_int_equal(st, DEMARC_ERR_IO);
        assert_string_equal(dm_error_line(), "cannot write the output: a.h5 (/x): check the disk: File too large");
        if (later) assert_int_equal(dm_writer_close(&w), DEMARC_ERR_IO); /* nobody may take it for whole */
        dm_writer_discard(&w);
        assert_null(w);
    }
    free(x);
    write_all(state, "a.h5", DEMARC_IO_MPIO, ROWS, dm_writer_rows); /* HDF5 is none the worse for it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(h5py_reads_what_was_written, enter, leave),
        cmocka_unit_test_setup_teardown(equal_data_are_equal_bytes, enter, leave),
        cmocka_unit_test_setup_teardown(kept_rows_are_joined, enter, leave),
        cmocka_unit_test_setup_teardown(many_names_fit, enter, leave),
        cmocka_unit_test_setup_teardown(wrong_calls_are_refused, enter, leave),
        cmocka_unit_test_setup_teardown(unwritable_place_is_named, enter, leave),
        cmocka_unit_test_setup_teardown(now_and_later_mix, enter, leave),
        cmocka_unit_test_setup_teardown(discarded_rows_are_forgotten, enter, leave),
        cmocka_unit_test_setup_teardown(failed_rows_are_told, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
