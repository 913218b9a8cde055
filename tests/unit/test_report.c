/* src/report: what goes into the structs comes back out of the JSON, and hostile names or files do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "report/diagnostics.h"
#include "report/info_report.h"
#include "report/segment_names.h"

/* ------------------------------------------------------------------------------------------------ samples */

enum { D = 5, K = 2, M = 2, C = 2 };

/* Quotes, backslash, a control character, a byte that is not UTF-8, a surrogate, a repeated name, true UTF-8. */
static char *feature_item[D] = {"say \"hi\" \\ \x01", "caf\xe9", "sur\xed\xa0\x80rogate", "caf\xe9", "d\xc3\xa9penses"};
static char *outcome_item[M] = {"spend", "visit"};
static char *channel_item[C] = {"email", "phone"};
static const dm_strings feature = {feature_item, D}, outcome = {outcome_item, M}, channel = {channel_item, C};

/* Doubles that only 17 digits keep apart: 0.1 + 0.2 and its neighbour, the extremes, the smallest denormal, -0. */
static const double extreme[K * D] = {0.30000000000000004, DBL_MAX, -DBL_MAX, 5e-324,   -0.0, DBL_MIN,
                                      1.0 / 3.0,           0.3,     NAN,      -INFINITY};
static const double difference[K * D] = {0.25, -1.75, 0.1, 1.75, NAN, -0.25, -0.2, 0.1, 0.0, NAN};

static void *copy_of(const void *v, int64_t count, size_t size)
{
    void *p = NULL;
    assert_int_equal(dm_alloc_bytes(&p, count, size, false, "sample"), DEMARC_OK);
    memcpy(p, v, (size_t)count * size);
    return p;
}
#define COPY(type, count, ...) copy_of((const type[]){__VA_ARGS__}, (count), sizeof(type))

static dm_diagnostics sample_diagnostics(void)
{
    dm_diagnostics g = {.n = INT64_C(10000000000),
                        .d = D,
                        .k = K,
                        .outcomes = M,
                        .channels = C,
                        .feature = &feature,
                        .outcome = &outcome,
                        .channel = &channel,
                        .total_weight = 8.0,
                        .objective = 3.0,
                        .total = 4.0,
                        .calinski_harabasz = 12.5,
                        .davies_bouldin = NAN,
                        .silhouette = -0.5,
                        .near_boundary_rule = 0.1,
                        .weighted = true,
                        .digest = "00ff"};
    g.size = COPY(int64_t, K, INT64_C(7500000000), INT64_C(2500000000));
    g.weight = COPY(double, K, 6.0, 2.0);
    g.within = COPY(double, K, 1.0, 2.0);
    g.mean_distance = COPY(double, K, 1.5, 2.5);
    g.mean_margin = COPY(double, K, 0.5, NAN);
    g.near_boundary = COPY(double, K, 0.25, 0.75);
    g.segment_silhouette = COPY(double, K, 0.9, -0.9);
    g.nearest = COPY(int32_t, K, 1, 0);
    g.centroid_gap = COPY(double, K, 3.5, 3.5);
    g.mean = copy_of(extreme, K * D, sizeof *extreme);
    g.sd = COPY(double, K *D, 0, 1, 2, 3, 4, 5, 6, 7, 8, NAN);
    g.difference = copy_of(difference, K * D, sizeof *difference);
    g.overall_mean = COPY(double, D, 1, 2, 3, 4, INFINITY);
    g.overall_sd = COPY(double, D, 0, 1, 2, 3, 4);
    g.outcome_mean = COPY(double, K *M, 1.5, 0.5, NAN, 0.25);
    g.outcome_count = COPY(int64_t, K * M, INT64_C(5000000000), 3, 0, 4);
    g.reach = COPY(double, K *C, 0.5, 0.25, 1.0, 0.0);
    g.reach_any = COPY(double, K, 0.6, 1.0);
    char *names[K] = {"", "N\xc3\xb6rdlich, \"B\""};
    assert_int_equal(dm_segment_names_make(&g, &(dm_strings){names, K}), DEMARC_OK);
    return g;
}

static dm_pass_record pass[3] = {{"seed", 0, 9.0, NAN}, {"minibatch", 1, 5.0, 0.5}, {"lloyd", 1, 3.0, 0.0}};
static dm_k_record tried[2] = {{.k = 2,
                                .objective = 3.0,
                                .calinski_harabasz = 12.5,
                                .davies_bouldin = NAN,
                                .silhouette = -0.5,
                                .smallest_share = 0.25,
                                .chosen = true},
                               {.k = 3,
                                .objective = 2.0,
                                .calinski_harabasz = 11.0,
                                .davies_bouldin = 0.5,
                                .silhouette = 0.1,
                                .smallest_share = 0.125}};
static const dm_trace trace = {.passes = 3,
                               .ks = 2,
                               .pass = pass,
                               .tried = tried,
                               .iterations = 1,
                               .batches = 1,
                               .converged = true,
                               .restarts = 2,
                               .best_restart = 1};

static char *diagnostics_text(void)
{
    char *text = NULL;
    dm_diagnostics g = sample_diagnostics();
    assert_int_equal(dm_diagnostics_json(&g, &trace, &text), DEMARC_OK);
    dm_diagnostics_clear(&g);
    return text;
}

static const demarc_fit_options fit_options = {.data = "in.h5",
                                               .paths = {.features = "/grp/x\ty", .weight = "/w\xc3\xa9"},
                                               .out = "run",
                                               .force = true,
                                               .k_lo = 2,
                                               .k_hi = 9,
                                               .seed = UINT64_MAX,
                                               .scale = DEMARC_SCALE_ROBUST,
                                               .missing = DEMARC_MISSING_MEAN,
                                               .log1p = "a,b",
                                               .restarts = 3,
                                               .algorithm = DEMARC_LLOYD,
                                               .batch_size = 0,
                                               .max_epochs = 4,
                                               .max_iterations = 100,
                                               .tolerance = 1e-4,
                                               .polish = -1,
                                               .min_segment_share = 0.01};
static const dm_phase_record phase[2] = {{"read", 2.0, 100}, {"scan", 0.0, 7}};
static const double peak[2] = {1e9, 5e8};

static dm_manifest sample_manifest(void)
{
    return (dm_manifest){.command = "fit",
                         .command_line = "demarc fit \"a b.h5\"",
                         .options = &fit_options,
                         .batch_size = 4096,
                         .input_path = "/data/a\nb \"c\".h5",
                         .input_bytes = INT64_C(1) << 40,
                         .input_modified = "2026-01-31T12:34:56.000000789Z",
                         .input_digest = "abcdef",
                         .options_digest = "0b7105",
                         .data_digest = "da7a",
                         .resumes = 2,
                         .n = INT64_C(10000000000),
                         .d = D,
                         .k = K,
                         .digest = "00ff",
                         .objective = 0.30000000000000004,
                         .ranks = 2,
                         .threads = 3,
                         .kernel = "ref",
                         .blas = "OpenBLAS",
                         .blas_core = "Haswell",
                         .mpi = "none",
                         .hdf5 = "1.10.8",
                         .compiler = "gcc",
                         .version = "0.1.0",
                         .commit = "unknown",
                         .io = "mpio",
                         .streamed = true,
                         .memory_limit = 0,
                         .started_utc = "2026-01-31T12:34:56Z",
                         .finished_utc = "2026-01-31T12:35:56Z",
                         .seconds = 60.5,
                         .phases = 2,
                         .phase = phase,
                         .peak_memory = peak,
                         .messages = 10,
                         .message_bytes = 1000};
}

static char *manifest_text(void)
{
    char *text = NULL;
    dm_manifest m = sample_manifest();
    assert_int_equal(dm_manifest_json(&m, &text), DEMARC_OK);
    return text;
}

static const dm_info_column column[D] = {{3, 1, 0, -1.0, 2.0, 0.5, 1.25},
                                         {0, 4, 0, NAN, NAN, NAN, NAN},
                                         {3, 0, 1, 5e-324, DBL_MAX, 1.0, INFINITY},
                                         {4, 0, 0, 0, 0, 0, 0},
                                         {4, 0, 0, 1, 1, 1, 0}};
static char *arm_item[1] = {"control"};
static const dm_strings arm_name = {arm_item, 1};
static const int64_t sizes[K] = {3, 1};
static const dm_info_customers customers = {.path = "x.h5",
                                            .bytes = 4096,
                                            .type = "float32",
                                            .storage = "contiguous",
                                            .n = 4,
                                            .d = D,
                                            .feature = &feature,
                                            .column = column,
                                            .id_kind = "string",
                                            .id_unique = false,
                                            .id_duplicate = "id 'a\x02' in rows 0 and 3",
                                            .weight = true,
                                            .outcome = &outcome,
                                            .arm = true,
                                            .arms = K,
                                            .arm_size = sizes,
                                            .arm_name = &arm_name,
                                            .control = "",
                                            .propensity = 2,
                                            .channel = NULL};
static const dm_info_model model = {.path = "run/model.h5",
                                    .bytes = 10,
                                    .k = K,
                                    .d = D,
                                    .feature = &feature,
                                    .scale = "zscore",
                                    .objective = 3.0,
                                    .digest = "00ff",
                                    .seed = 7,
                                    .iterations = 12,
                                    .created_utc = "2026-01-31T12:34:56Z",
                                    .name = &(const dm_strings){(char *[]){"A", "B"}, K},
                                    .size = sizes,
                                    .centroid = extreme};
static const dm_info_assignments assignments = {
    .path = "run/assignments.h5", .bytes = 20, .n = 4, .k = K, .size = sizes, .mean_distance = 0.1};

/* ------------------------------------------------------------------------------------------------ helpers */

static json_t *parsed(char *text)
{
    json_error_t e;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL) fail_msg("%s: %s", e.text, text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    return root;
}

/* The value at "a.b.0.c"; digits index arrays. */
static const json_t *at(const json_t *v, const char *path)
{
    char copy[128], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *word = strtok_r(copy, ".", &save); word != NULL; word = strtok_r(NULL, ".", &save)) {
        v = json_is_array(v) ? json_array_get(v, strtoul(word, NULL, 10)) : json_object_get(v, word);
        if (v == NULL) fail_msg("nothing at %s", path);
    }
    return v;
}
static void check_text(const json_t *root, const char *path, const char *want)
{
    assert_true(json_is_string(at(root, path)));
    assert_string_equal(json_string_value(at(root, path)), want);
}
static void check_integer(const json_t *root, const char *path, int64_t want)
{
    assert_true(json_is_integer(at(root, path)));
    assert_int_equal(json_integer_value(at(root, path)), want);
}
/* Same bits; null for what is not finite. */
static void check_real(const json_t *root, const char *path, double want)
{
    const json_t *v = at(root, path);
    if (!isfinite(want)) {
        assert_true(json_is_null(v));
        return;
    }
    double got = json_real_value(v);
    assert_true(json_is_real(v));
    assert_memory_equal(&got, &want, sizeof got);
}
static void check_keys(const json_t *object, const char *want)
{
    char got[1024] = "";
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)object, key, v) snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", key);
    assert_string_equal(got, want);
}

/* ------------------------------------------------------------------------------------------------ diagnostics */

static void test_diagnostics_round_trip(void **state)
{
    (void)state;
    json_t *o = parsed(diagnostics_text());
    check_keys(o, "format_version n d k objective total explained_share weighted digest iterations batches converged "
                  "restarts best_restart criteria near_boundary_rule features passes per_k recommendation overall "
                  "segments ");
    check_integer(o, "n", INT64_C(10000000000));
    check_real(o, "explained_share", 0.25);
    check_real(o, "criteria.davies_bouldin", NAN);
    check_real(o, "near_boundary_rule.share", 0.1);
    check_real(o, "passes.0.shift", NAN);
    check_text(o, "passes.2.phase", "lloyd");
    check_integer(o, "per_k.1.k", 3);
    assert_true(json_is_true(at(o, "per_k.0.chosen")));
    assert_true(json_is_null(at(o, "recommendation")));
    check_integer(o, "segments.0.size", INT64_C(7500000000));
    check_real(o, "segments.0.share", 0.75);
    check_real(o, "segments.1.weight_share", 0.25);
    check_real(o, "segments.0.objective_share", 1.0 / 3.0);
    check_real(o, "segments.1.mean_margin", NAN);
    check_integer(o, "segments.1.nearest_segment", 0);
    check_real(o, "segments.1.nearest_distance", 3.5);
    check_integer(o, "segments.0.outcomes.0.count", INT64_C(5000000000));
    check_real(o, "segments.1.outcomes.0.mean", NAN);
    check_text(o, "segments.1.reach.channels.1.name", "phone");
    check_real(o, "segments.0.reach.channels.1.share", 0.25);
    check_real(o, "segments.0.reach.any", 0.6);
    json_decref(o);
}

static void test_features_sorted_and_exact(void **state)
{
    (void)state;
    /* |difference|, largest first, equal ones by index, undefined ones last */
    static const int32_t order[K][D] = {{1, 3, 0, 2, 4}, {0, 1, 2, 3, 4}};
    json_t *o = parsed(diagnostics_text());
    for (int j = 0; j < K; j++) {
        for (int i = 0; i < D; i++) {
            char path[64];
            snprintf(path, sizeof path, "segments.%d.features.%d.mean", j, i);
            check_real(o, path, extreme[j * D + order[j][i]]);
            snprintf(path, sizeof path, "segments.%d.features.%d.difference", j, i);
            check_real(o, path, difference[j * D + order[j][i]]);
        }
    }
    check_text(o, "segments.0.features.0.name", "caf\\xe9");
    json_decref(o);
}

static void test_hostile_names(void **state)
{
    (void)state;
    json_t *o = parsed(diagnostics_text());
    check_text(o, "features.0", "say \"hi\" \\ \\x01");
    check_text(o, "features.1", "caf\\xe9");
    check_text(o, "features.2", "sur\\xed\\xa0\\x80rogate");
    check_text(o, "features.3", "caf\\xe9#3"); /* names are keys, so they are made distinct */
    check_text(o, "features.4", "d\xc3\xa9penses");
    assert_int_equal(json_object_size(at(o, "overall.mean")), D);
    check_real(o, "overall.mean.caf\\xe9", 2.0);
    check_real(o, "overall.mean.caf\\xe9#3", 4.0);
    check_real(o, "overall.mean.d\xc3\xa9penses", INFINITY);
    json_decref(o);
}

static void test_nulls_of_one_segment(void **state)
{
    (void)state;
    dm_diagnostics g = sample_diagnostics();
    dm_trace none = {0};
    char *text = NULL;
    g.k = 1;
    g.nearest[0] = -1;
    g.channels = g.outcomes = 0;
    g.outcome = g.channel = NULL;
    g.total = 0.0;
    g.objective = 0.0;
    assert_int_equal(dm_diagnostics_json(&g, &none, &text), DEMARC_OK);
    json_t *o = parsed(text);
    assert_true(json_is_null(at(o, "segments.0.nearest_segment")));
    assert_true(json_is_null(at(o, "segments.0.nearest_distance")));
    assert_true(json_is_null(at(o, "segments.0.reach")));
    assert_true(json_is_null(at(o, "segments.0.objective_share")));
    assert_true(json_is_null(at(o, "explained_share")));
    assert_int_equal(json_array_size(at(o, "segments.0.outcomes")), 0);
    assert_true(json_is_array(at(o, "per_k")));
    assert_int_equal(json_array_size(at(o, "per_k")), 0);
    json_decref(o);
    dm_diagnostics_clear(&g);
    assert_null(g.mean);
}

/* ------------------------------------------------------------------------------------------------ words */

static void words_of(const char *want, size_t size, int32_t d, char **name, double *v)
{
    dm_strings names = {name, d};
    dm_diagnostics g = {.d = d, .k = 1, .feature = &names, .difference = v};
    char buf[200];
    memset(buf, '#', sizeof buf);
    dm_diagnostics_words(&g, 0, buf, size);
    assert_string_equal(buf, want);
    assert_true(strlen(buf) < size);
    for (size_t i = size; i < sizeof buf; i++) assert_int_equal(buf[i], '#');
}

static void test_words(void **state)
{
    (void)state;
    char *name[4] = {"recency_days", "monetary_total", "tenure", "basket"};
    words_of("high monetary_total (+1.8 sd), low recency_days (-0.9 sd)", 160, 4, name,
             (double[]){-0.9, 1.8, 0.19, NAN});
    words_of("high basket (+3.0 sd), low recency_days (-2.0 sd), high monetary_total (+2.0 sd)", 160, 4, name,
             (double[]){-2.0, 2.0, 1.0, 3.0});
    words_of("close to the average customer", 160, 4, name, (double[]){0.1, -0.19, NAN, 0.0});
    words_of("low basket (-1.0e+300 sd)", 160, 4, name, (double[]){0.0, 0.0, INFINITY, -1e300});
    words_of("high tenure (+0.2 sd)", 160, 4, name, (double[]){0.0, 0.0, 0.2, 0.0});
}

static void test_words_never_overflow(void **state)
{
    (void)state;
    char *name[3] = {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
                     "customer_lifetime_value_in_euro", "age"};
    words_of("high \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9... (+3.0 sd), high customer_l... (+2.0 sd), "
             "high age (+1.0 sd)",
             80, 3, name, (double[]){3, 2, 1});
    words_of("high \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9... (+3.0 sd), high customer_... (+2.0 sd), "
             "high age (+1.0 sd)",
             78, 3, name, (double[]){3, 2, 1});
    dm_strings names = {name, 3};
    double v[3] = {3, 2, 1};
    dm_diagnostics g = {.d = 3, .k = 1, .feature = &names, .difference = v};
    for (size_t size = 0; size <= 160; size++) {
        char buf[200];
        memset(buf, '#', sizeof buf);
        dm_diagnostics_words(&g, 0, buf, size);
        for (size_t i = size; i < sizeof buf; i++) assert_int_equal(buf[i], '#');
        if (size == 0) continue;
        assert_true(strlen(buf) < size);
        json_t *valid = json_string(buf); /* jansson takes nothing but UTF-8 */
        assert_non_null(valid);
        json_decref(valid);
    }
}

/* ------------------------------------------------------------------------------------------------ manifest */

static void test_manifest_round_trip(void **state)
{
    (void)state;
    json_t *o = parsed(manifest_text());
    check_keys(o, "format_version command command_line options paths input identity resumes result versions layout "
                  "started_utc finished_utc seconds phases peak_memory_bytes_per_rank messages ");
    check_keys(at(o, "options"), "data out force dry-run segments seed scale missing store log1p feature-weights init "
                                 "restarts algorithm batch-size max-epochs max-iterations tolerance polish "
                                 "min-segment-share names checkpoint-every resume ");
    check_text(o, "identity.data_digest", "da7a");
    check_integer(o, "resumes", 2);
    check_text(o, "options.segments", "2:9");
    check_text(o, "options.seed", "18446744073709551615");
    check_text(o, "options.scale", "robust");
    check_text(o, "options.missing", "mean");
    check_text(o, "options.store", "auto");
    check_text(o, "options.init", "kmeans||");
    check_text(o, "options.algorithm", "lloyd");
    check_integer(o, "options.batch-size", 4096);
    check_integer(o, "options.polish", -1);
    assert_true(json_is_null(at(o, "options.feature-weights")));
    assert_true(json_is_null(at(o, "paths.id")));
    check_integer(o, "input.bytes", INT64_C(1) << 40);
    check_real(o, "result.objective", 0.30000000000000004);
    assert_true(json_is_null(at(o, "layout.memory_limit")));
    assert_true(json_is_null(at(o, "layout.store"))); /* streamed: nothing is held */
    check_real(o, "phases.0.bytes_per_second", 50.0);
    check_real(o, "phases.1.bytes_per_second", INFINITY);
    check_integer(o, "peak_memory_bytes_per_rank.1", 500000000);
    json_decref(o);
}

static void test_manifest_of_one_k(void **state)
{
    (void)state;
    demarc_fit_options f = fit_options;
    dm_manifest m = sample_manifest();
    char *text = NULL;
    f.k_hi = 2;
    f.seed = INT64_MAX;
    f.init = "caf\xe9.h5";
    m.options = &f;
    m.memory_limit = 5;
    m.streamed = false;
    m.store = DEMARC_STORE_F16;
    assert_int_equal(dm_manifest_json(&m, &text), DEMARC_OK);
    json_t *o = parsed(text);
    check_integer(o, "options.segments", 2);
    check_integer(o, "options.seed", INT64_MAX);
    check_text(o, "options.init", "caf\\xe9.h5");
    check_integer(o, "layout.memory_limit", 5);
    check_text(o, "layout.store", "f16");
    json_decref(o);
}

static char folder[] = "/tmp/demarc-report-XXXXXX", file[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(file, sizeof file, "%s/manifest.json", folder);
    return 0;
}
static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_manifest_read(void **state)
{
    (void)state;
    dm_manifest_facts facts;
    char *text = manifest_text();
    write_file(text);
    free(text);
    assert_int_equal(dm_manifest_read(file, &facts), DEMARC_OK);
    assert_string_equal(facts.input_path, "/data/a\nb \"c\".h5"); /* as it was, so that it can be opened */
    assert_string_equal(facts.digest, "00ff");
    assert_true(facts.objective == 0.30000000000000004);
    assert_string_equal(facts.paths.features, "/grp/x\ty");
    assert_string_equal(facts.paths.weight, "/w\xc3\xa9");
    assert_null(facts.paths.id);
    assert_string_equal(facts.options_digest, "0b7105");
    assert_string_equal(facts.data_digest, "da7a");
    assert_int_equal(facts.input_bytes, INT64_C(1) << 40);
    assert_string_equal(facts.input_modified, "2026-01-31T12:34:56.000000789Z");
    dm_manifest_facts_clear(&facts);
    assert_null(facts.input_path);
}

/* The file is refused as bad data and the one line holds `hint` and the file's name. */
static void refused(const char *hint)
{
    dm_manifest_facts facts;
    assert_int_equal(dm_manifest_read(file, &facts), DEMARC_ERR_DATA);
    if (strstr(dm_error_line(), hint) == NULL) fail_msg("'%s' not in: %s", hint, dm_error_line());
    assert_non_null(strstr(dm_error_line(), file));
    assert_null(strchr(dm_error_line(), '\n'));
    assert_null(facts.input_path);
    assert_null(facts.paths.features);
}

static void test_manifest_read_errors(void **state)
{
    (void)state;
    unlink(file);
    refused("cannot open file");
    write_file("");
    refused("not JSON");
    write_file("{\"format_version\": 1,\n  oops\x01}");
    refused("not JSON");
    write_file("\x89HDF\r\n\x1a\n");
    refused("not JSON");
    write_file("[1, 2]");
    refused("not a JSON object");
    write_file("{\"format_version\": 1, \"format_version\": 1}");
    refused("duplicate");
    write_file("{}");
    refused("format_version: expected an integer, found nothing");
    write_file("{\"format_version\": 2}");
    refused("format_version 2");
    unlink(file);
    assert_int_equal(mkfifo(file, 0600), 0); /* must not wait for a writer */
    refused("not a regular file");
    unlink(file);
    assert_int_equal(mkdir(file, 0700), 0);
    refused("not a regular file");
    assert_int_equal(rmdir(file), 0);
    write_file("{");
    assert_int_equal(truncate(file, (INT64_C(64) << 20) + 1), 0);
    refused("too large");
    assert_int_equal(truncate(file, INT64_C(64) << 20), 0);
    refused("not JSON");
}

/* Replace the value at section.key (NULL removes it) and read again. */
static void refused_with(const char *section, const char *key, json_t *value, const char *hint)
{
    json_t *root = parsed(manifest_text()), *o = section != NULL ? json_object_get(root, section) : root;
    if (value != NULL) {
        json_object_set_new(o, key, value);
    } else {
        json_object_del(o, key);
    }
    assert_int_equal(json_dump_file(root, file, 0), 0);
    json_decref(root);
    refused(hint);
}

static void test_manifest_read_wrong_types(void **state)
{
    (void)state;
    refused_with("input", "path", NULL, "input.path: expected a string, found nothing");
    refused_with("input", "path", json_null(), "input.path: expected a string, found null");
    refused_with(NULL, "input", json_array(), "input.path: expected a string, found nothing");
    refused_with("paths", "id", json_integer(3), "paths.id: expected a string or null, found an integer");
    refused_with("paths", "arm", NULL, "paths.arm: expected a string or null, found nothing");
    refused_with("result", "objective", json_string("3"), "result.objective: expected a number, found a string");
    refused_with("result", "digest", json_true(), "result.digest: expected a string, found true or false");
    refused_with("result", "digest", json_string("0123456789012345678901234567890123456789"), "result.digest");
    refused_with("result", "digest", json_string("00FG"), "result.digest");
    refused_with(NULL, "format_version", json_real(1.5), "format_version: expected an integer");
}

/* ------------------------------------------------------------------------------------------------ info */

static void test_info_customers(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(dm_info_customers_json(&customers, &text), DEMARC_OK);
    json_t *o = parsed(text);
    check_keys(o, "format_version kind path bytes type storage n d id weight outcomes arms control "
                  "propensity_columns channels features ");
    check_text(o, "kind", "customers");
    assert_true(json_is_false(at(o, "id.unique")));
    check_text(o, "id.duplicate", "id 'a\\x02' in rows 0 and 3");
    check_text(o, "arms.0.name", "control");
    assert_true(json_is_null(at(o, "arms.1.name")));
    check_text(o, "control", "");
    check_integer(o, "arms.1.count", 1);
    assert_int_equal(json_array_size(at(o, "channels")), 0);
    check_text(o, "features.3.name", "caf\\xe9#3");
    check_integer(o, "features.2.non_finite", 1);
    check_real(o, "features.2.min", 5e-324);
    check_real(o, "features.2.max", DBL_MAX);
    check_real(o, "features.1.mean", NAN);
    json_decref(o);
    dm_info_customers plain = customers;
    plain.arm = false;
    plain.control = NULL;
    plain.id_unique = true;
    plain.id_duplicate = NULL;
    assert_int_equal(dm_info_customers_json(&plain, &text), DEMARC_OK);
    o = parsed(text);
    assert_true(json_is_null(at(o, "arms")));
    assert_true(json_is_null(at(o, "control")));
    assert_true(json_is_null(at(o, "id.duplicate")));
    json_decref(o);
}

static void test_info_results(void **state)
{
    (void)state;
    char *text = manifest_text();
    write_file(text);
    free(text);
    dm_info_results r = {.path = "run", .model = &model, .assignments = &assignments, .manifest_path = file};
    assert_int_equal(dm_info_results_json(&r, &text), DEMARC_OK);
    json_t *o = parsed(text);
    check_text(o, "kind", "results");
    check_text(o, "manifest.input_path", "/data/a\nb \"c\".h5");
    check_integer(o, "manifest.ranks", 2);
    check_text(o, "model.kind", "model");
    check_integer(o, "model.sizes.0", 3);
    check_real(o, "model.centroids.0.1", DBL_MAX);
    check_real(o, "model.centroids.1.4", NAN);
    check_integer(o, "assignments.sizes.1", 1);
    check_real(o, "assignments.mean_distance", 0.1);
    json_decref(o);
    unlink(file);
    assert_int_equal(dm_info_results_json(&r, &text), DEMARC_ERR_DATA);
    assert_null(text);
}

/* ------------------------------------------------------------------------------------------------ memory */

static int64_t allocations_left, blocks_alive;

static void *failing_malloc(size_t size)
{
    if (allocations_left == 0) return NULL;
    allocations_left--;
    blocks_alive++;
    return malloc(size);
}
static void counting_free(void *p)
{
    if (p != NULL) blocks_alive--;
    free(p);
}

/* 0 diagnostics, 1 manifest, 2 customers, 3 results, 4 reading a manifest */
static demarc_status make(int what, char **text)
{
    dm_manifest m = sample_manifest();
    dm_info_results r = {.path = "run", .model = &model, .assignments = &assignments, .manifest_path = file};
    dm_manifest_facts facts;
    *text = NULL;
    if (what == 1) return dm_manifest_json(&m, text);
    if (what == 2) return dm_info_customers_json(&customers, text);
    if (what == 3) return dm_info_results_json(&r, text);
    if (what == 4) {
        demarc_status st = dm_manifest_read(file, &facts);
        dm_manifest_facts_clear(&facts);
        return st;
    }
    dm_diagnostics g = sample_diagnostics();
    demarc_status st = dm_diagnostics_json(&g, &trace, text);
    dm_diagnostics_clear(&g);
    return st;
}

/* From the n-th allocation on memory is gone, for every n: an error, nothing leaked, no half document. */
static void test_out_of_memory(void **state)
{
    (void)state;
    char *text = manifest_text();
    write_file(text);
    free(text);
    json_set_alloc_funcs(failing_malloc, counting_free);
    for (int what = 0; what < 5; what++) {
        demarc_status st = DEMARC_ERR_MEMORY;
        for (int64_t n = 0; st != DEMARC_OK; n++) {
            allocations_left = n;
            blocks_alive = 0;
            st = make(what, &text);
            if (st != DEMARC_OK) {
                /* jansson's reader may take a string that it cannot allocate for a bad token */
                assert_true(st == DEMARC_ERR_MEMORY || (what >= 3 && st == DEMARC_ERR_DATA));
                assert_null(text);
                assert_int_equal(blocks_alive, 0);
            } else {
                assert_true(n > 10);
                assert_int_equal(blocks_alive, what < 4 ? 1 : 0); /* the text itself */
            }
        }
        free(text);
    }
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diagnostics_round_trip),
        cmocka_unit_test(test_features_sorted_and_exact),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_nulls_of_one_segment),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_never_overflow),
        cmocka_unit_test(test_manifest_round_trip),
        cmocka_unit_test(test_manifest_of_one_k),
        cmocka_unit_test(test_manifest_read),
        cmocka_unit_test(test_manifest_read_errors),
        cmocka_unit_test(test_manifest_read_wrong_types),
        cmocka_unit_test(test_info_customers),
        cmocka_unit_test(test_info_results),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
