/* Outcomes that shaped the segments are found by name and by rank correlation, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "boundary/exploratory.h"
#include "engine/frozen_model.h"

/*
 * Five blocks of rows; the sample has four. By column of /outcomes: the name of a feature in other signs; a falling transform
 * of "spend" with gaps; the same feature, but shuffled in half of the rows; a feature of weight 0; a name without letters
 * beside a feature without any; equal values; present in seven rows; a rising transform of a feature with few values.
 */
static const char script[] = "import h5py, numpy as np\n"
                             "rng = np.random.default_rng(1)\n"
                             "n = 5 * 4096\n"
                             "x = rng.normal(size=(n, 5)).astype('f4')\n"
                             "x[:, 3] = np.round(x[:, 3])\n"
                             "y = rng.normal(size=(n, 8))\n"
                             "y[:, 1] = 1e9 - np.exp(x[:, 1].astype('f8'))\n"
                             "y[::7, 1] = np.nan\n"
                             "y[:, 2] = x[:, 1]\n"
                             "y[:n // 2, 2] = rng.permutation(y[:n // 2, 2])\n"
                             "y[:, 3] = x[:, 2]\n"
                             "y[:, 5] = 4.0\n"
                             "y[:, 6] = np.nan\n"
                             "y[3:10, 6] = x[3:10, 0]\n"
                             "y[:, 7] = 1.0 + np.round(x[:, 3])\n"
                             "with h5py.File('c.h5', 'w') as f:\n"
                             "    f['features'] = x\n"
                             "    f['features'].attrs['feature_names'] = ['Age', 'spend', 'idle', 'steps', '--']\n"
                             "    f['outcomes'] = y\n"
                             "    f['outcomes'].attrs['outcome_names'] = ['a_g.e', 'falling', 'half', 'unweighed', "
                             "'%%', 'same', 'rare', 'jumps']\n";

typedef struct scratch {
    demarc_context *ctx;
    char *dir, *home;
} scratch;

static int enter(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    char name[] = "/tmp/demarc-test-exploratory-XXXXXX";
    if (s == NULL || mkdtemp(name) == NULL) return -1;
    s->dir = strdup(name);
    s->home = getcwd(NULL, 0);
    *state = s;
    demarc_runtime rt;
    demarc_runtime_default(&rt);
    rt.verbosity = DEMARC_QUIET;
    if (chdir(s->dir) != 0 || demarc_context_create(&s->ctx, &rt) != DEMARC_OK) return -1;
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
    demarc_context_destroy(&s->ctx);
    free(s->dir);
    free(s->home);
    free(s);
    return rc;
}

static void found_and_no_others(void **state)
{
    static const int32_t want[] = {0, 1, -1, -1, -1, -1, -1, 3};
    demarc_context *ctx = ((scratch *)*state)->ctx;
    dm_frozen_model m = {0};
    demarc_fit_options o;
    int32_t feature[8];
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) skip();
    assert_int_equal(system("/usr/bin/python3 write.py"), 0);
    demarc_fit_options_default(&o);
    o.data = "c.h5";
    o.out = "run";
    o.k_lo = o.k_hi = 3;
    o.max_iterations = 3;
    o.feature_weights = "idle=0,Age=0.001";
    assert_int_equal(demarc_fit(ctx, &o, NULL), DEMARC_OK);
    for (int stream = 0; stream < 2; stream++) {
        assert_int_equal(
            dm_frozen_model_open(&m, ctx, "run/model.h5", "c.h5", &(demarc_paths){0}, stream == 1, DEMARC_ERR_DATA),
            DEMARC_OK);
        const dm_frozen f = dm_frozen_model_view(&m, ctx);
        memset(feature, 99, sizeof feature);
        assert_int_equal(dm_exploratory_find(&f, feature), DEMARC_OK);
        for (int i = 0; i < 8; i++) {
            if (feature[i] != want[i]) fail_msg("outcome %d: found %d, wanted %d", i, (int)feature[i], (int)want[i]);
        }
        dm_frozen_model_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(found_and_no_others, enter, leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
