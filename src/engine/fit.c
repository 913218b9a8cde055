/* demarc_fit: the order of phases, from a customer file to a results directory. */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "engine/context.h"
#include "engine/final_pass.h"
#include "engine/guard_rails.h"
#include "engine/text_file.h"
#include "kmeans/kmeans.h"
#include "linalg/distance.h"
#include "rows/scaling.h"
#include "store/output.h"

#define ID_CHECK_BYTES (INT64_C(64) << 20) /* memory for the check of ids, or an eighth of the shard if that is more */

enum { PHASE_READ, PHASE_SCAN, PHASE_SEED, PHASE_MINIBATCH, PHASE_POLISH, PHASE_ASSIGN, PHASE_WRITE, PHASES };
static const char *const phase_name[PHASES] = {"read", "scan", "seed", "minibatch", "polish", "assign", "write"};

/* All that a fit owns; zero is empty. */
typedef struct fit_run {
    demarc_context *ctx;
    const demarc_fit_options *o;
    dm_output output;
    dm_customers *customers;
    dm_rows *rows;
    dm_transform transform;
    dm_scan scan;
    double *bound;
    dm_kmeans km;
    bool have_km;
    double *given; /* --init FILE in working space */
    dm_model model;
    dm_trace trace;
    dm_diagnostics g;
    dm_assignments_writer writer;
    double seconds[PHASES];
    int64_t bytes[PHASES];
    double *peak; /* [ranks] */
    double start;
    char started_utc[32];
} fit_run;

void demarc_fit_options_default(demarc_fit_options *o)
{
    *o = (demarc_fit_options){.restarts = 1, .max_epochs = 10, .max_iterations = 300, .tolerance = 1e-4, .polish = -1};
}

static dm_init init_of(const char *word)
{
    if (word == NULL || strcmp(word, "kmeans||") == 0) return DM_INIT_PARALLEL;
    if (strcmp(word, "kmeans++") == 0) return DM_INIT_PLUS_PLUS;
    if (strcmp(word, "random") == 0) return DM_INIT_RANDOM;
    return DM_INIT_GIVEN;
}

static demarc_status check_options(const demarc_fit_options *o)
{
    if (o->data == NULL) return dm_fail(DEMARC_ERR_USAGE, "no input: fit: name a customer file");
    if (o->out == NULL && !o->dry_run) return dm_fail(DEMARC_ERR_USAGE, "no output: --out: name a results directory");
    if (o->k_lo < 1 || o->k_hi < o->k_lo || o->k_hi > 1000000) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "bad number of segments %d:%d: --segments: use K or LO:HI with 1 <= LO <= HI <= 1000000",
                       (int)o->k_lo, (int)o->k_hi);
    }
    if (o->k_lo < o->k_hi && init_of(o->init) == DM_INIT_GIVEN) {
        return dm_fail(DEMARC_ERR_USAGE, "centroids for a range of k: --init %s: give one K, or --init kmeans||",
                       o->init);
    }
    if (o->restarts < 1 || o->restarts > 10000) {
        return dm_fail(DEMARC_ERR_USAGE, "%d restarts: --restarts: use 1 to 10000", (int)o->restarts);
    }
    if (o->batch_size < 0 || o->batch_size > (INT64_C(1) << 30)) {
        return dm_fail(DEMARC_ERR_USAGE, "batch of %lld rows: --batch-size: use 1 to 2^30, or 0 for automatic",
                       (long long)o->batch_size);
    }
    if (o->max_epochs < 1 || o->max_iterations < 1 || o->polish < -1) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "passes below 1: --max-epochs, --max-iterations, --polish: use positive numbers");
    }
    if (!(o->tolerance >= 0.0))
        return dm_fail(DEMARC_ERR_USAGE, "tolerance %g: --tolerance: use a number >= 0", o->tolerance);
    if (!(o->min_segment_share >= 0.0) || o->min_segment_share * o->k_hi > 1.0) {
        return dm_fail(DEMARC_ERR_USAGE, "share %g for %d segments: --min-segment-share: use 0 to 1 / segments",
                       o->min_segment_share, (int)o->k_hi);
    }
    return DEMARC_OK;
}

/* What the fit will take, for --dry-run and --verbose. */
static void log_plan(fit_run *run, bool always)
{
    dm_log *log = &run->ctx->log;
    const dm_schema *s = dm_customers_schema(run->customers);
    char shard[32], stream[32], file[32], out[32];
    const int64_t rows =
        (dm_block_count(s->n) + dm_comm_size(run->ctx->comm) - 1) / dm_comm_size(run->ctx->comm) * DM_BLOCK_ROWS;
    dm_text_bytes(shard, (double)dm_rows_shard_bytes(run->rows));
    dm_text_bytes(stream, (double)dm_rows_stream_bytes(run->rows));
    dm_text_bytes(file, (double)s->file_bytes);
    dm_text_bytes(out, 24.0 * (double)s->n);
    void (*line)(dm_log *, const char *, ...) = always ? dm_log_line : dm_log_detail;
    line(log, "input: %lld customers x %d features, %s, %s, %s", (long long)s->n, (int)s->d, s->stored_type, s->storage,
         file);
    line(log, "plan: %d ranks x %d threads, at most %lld customers a rank, kernel %s, BLAS core type %s",
         dm_comm_size(run->ctx->comm), run->ctx->threads, (long long)(rows < s->n ? rows : s->n),
         run->ctx->kernel->name, dm_blas_core());
    line(log, "memory per rank: %s",
         dm_rows_streamed(run->rows)                    ? "streamed, below the limit"
         : dm_rows_store(run->rows) == DEMARC_STORE_F16 ? "the shard is held as float16"
                                                        : "the shard is held as float32");
    line(log, "  shard %s, reading buffers %s; output about %s", shard, stream, out);
    line(log, "passes over the file: %s",
         dm_rows_streamed(run->rows)     ? "one for each pass of the fit"
         : dm_rows_loads_once(run->rows) ? "one (values are held as stored)"
                                         : "two (scan, then load)");
}

static demarc_status open_input(fit_run *run)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = run->ctx;
    DM_TRY(dm_customers_open(&run->customers, ctx->comm, run->o->data, &run->o->paths));
    const dm_schema *schema = dm_customers_schema(run->customers);
    if (schema->n < run->o->k_lo) {
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "fewer customers than segments: %s has %lld, %d segments asked: lower --segments", run->o->data,
                       (long long)schema->n, (int)run->o->k_lo));
    }
    DM_TRY(dm_context_rows(ctx, run->customers, schema->d, NULL, false, run->o->store, &run->rows));
    const int64_t eighth = dm_rows_shard_bytes(run->rows) / 8;
    DM_TRY(dm_customers_check_ids(run->customers, ctx->comm, ctx->threads,
                                  eighth > ID_CHECK_BYTES ? eighth : ID_CHECK_BYTES));
cleanup:
    return st;
}

/* Scan, transform, load. */
static demarc_status prepare_rows(fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    const double start = dm_clock(), read_before = dm_rows_read_seconds(run->rows);
    const dm_scaling_options scaling = {o->scale, o->missing, o->log1p, o->feature_weights};
    DM_TRY(dm_scaling_build(run->rows, &scaling, &run->transform, &run->scan, &run->bound));
    if (run->o->dry_run) return DEMARC_OK;
    DM_TRY(dm_rows_scale(run->rows, &run->transform));
    DM_TRY_ALL(run->ctx->comm, dm_kmeans_create(&run->km, run->rows, run->bound, &run->scan, &run->transform, o->seed));
    run->have_km = true;
    run->seconds[PHASE_READ] = dm_rows_read_seconds(run->rows) - read_before;
    run->seconds[PHASE_SCAN] = dm_clock() - start - run->seconds[PHASE_READ];
    run->bytes[PHASE_READ] = dm_rows_bytes_read(run->rows);
cleanup:
    return st;
}

static demarc_status load_init(fit_run *run, int32_t k)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = run->transform.d;
    DM_TRY_ALL(run->ctx->comm, dm_alloc(run->given, (int64_t)k * d, "initial centroids"));
    DM_TRY(dm_centroids_read(run->ctx->comm, run->o->init, k, d, run->given));
    for (int64_t i = 0; i < (int64_t)k * d; i++) {
        run->given[i] = dm_transform_to_working(&run->transform, (int32_t)(i % d), run->given[i]);
        if (!isfinite(run->given[i])) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA,
                           "bad centroid: %s /centroids row %lld column %lld cannot be scaled: give values the "
                           "features can take",
                           run->o->init, (long long)(i / d), (long long)(i % d)));
        }
    }
cleanup:
    return st;
}

static demarc_status make_model(fit_run *run, dm_model *m, int32_t k)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = run->transform.d;
    const dm_schema *schema = dm_customers_schema(run->customers);
    DM_TRY(dm_model_create(m, k, d));
    m->transform.scale = run->transform.scale;
    m->transform.impute = run->transform.impute;
    m->transform.unit = run->transform.unit;
    memcpy(m->transform.log1p, run->transform.log1p, (size_t)d);
    memcpy(m->transform.center, run->transform.center, (size_t)d * 8);
    memcpy(m->transform.factor, run->transform.factor, (size_t)d * 8);
    memcpy(m->transform.origin, run->transform.origin, (size_t)d * 8);
    for (int32_t f = 0; f < d; f++) DM_TRY(dm_strings_add(&m->feature, schema->feature.item[f]));
    m->named = schema->named;
    m->seed = run->o->seed;
    snprintf(m->created_utc, sizeof m->created_utc, "%s", run->started_utc);
cleanup:
    return st;
}

static demarc_status fit_one(fit_run *run, int32_t k, dm_model *m, dm_trace *trace)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    DM_TRY_ALL(run->ctx->comm, make_model(run, m, k));
    dm_kmeans_options ko = {.k = k,
                            .init = init_of(o->init),
                            .restarts = o->restarts,
                            .algorithm = o->algorithm,
                            .batch_size = o->batch_size > 0 ? o->batch_size : dm_kmeans_batch_size(k, run->transform.d),
                            .max_epochs = o->max_epochs,
                            .max_iterations = o->max_iterations,
                            .tolerance = o->tolerance,
                            .polish = o->polish,
                            .min_segment_share = o->min_segment_share};
    if (ko.init == DM_INIT_GIVEN) {
        if (run->given == NULL) DM_TRY(load_init(run, k));
        ko.given = run->given;
        ko.restarts = o->algorithm == DEMARC_LLOYD ? 1 : o->restarts; /* Lloyd from given centroids has one answer */
    }
    DM_TRY(dm_kmeans_fit(&run->km, &ko, m->centroids, trace));
    m->iterations = trace->iterations;
cleanup:
    return st;
}

static demarc_status label_without_writing(fit_run *run, const dm_model *m, dm_diagnostics *g)
{
    char digest[40];
    const dm_final_options fo = {.rows = run->rows, .customers = run->customers, .model = m};
    return dm_final_pass(&fo, g, digest, NULL);
}

static double smallest_share(const dm_diagnostics *g)
{
    int64_t least = g->n;
    for (int32_t j = 0; j < g->k; j++) least = g->size[j] < least ? g->size[j] : least;
    return (double)least / (double)g->n;
}

/*
 * LO:HI: every k is fitted; the highest simplified silhouette wins (k = 1 has none and wins only alone), ties to the
 * smaller k; a k whose segments cannot have --min-segment-share, or that has more segments than distinct customers,
 * is passed over.
 */
static demarc_status fit_range(fit_run *run, dm_trace *trace)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    const int32_t count = o->k_hi - o->k_lo + 1;
    dm_k_record *tried = calloc((size_t)count, sizeof *tried);
    int32_t ks = 0, best = -1;
    char first_failure[512] = "";
    DM_TRY_ALL(run->ctx->comm,
               tried != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: record of k: free some memory"));
    for (int32_t k = o->k_lo; k <= o->k_hi; k++) {
        dm_model m = {0};
        dm_trace t = {0};
        dm_diagnostics g = {0};
        st = fit_one(run, k, &m, &t);
        if (st == DEMARC_OK) st = label_without_writing(run, &m, &g);
        if (st == DEMARC_OK) {
            tried[ks] = (dm_k_record){
                k, g.objective, g.calinski_harabasz, g.davies_bouldin, g.silhouette, smallest_share(&g), false};
            dm_log_line(&run->ctx->log, "k %d: objective %.9g, silhouette %.4f, smallest segment %.2f%%", (int)k,
                        g.objective, g.silhouette, 100.0 * tried[ks].smallest_share);
            const bool better = best < 0 || (isnan(tried[best].silhouette) && !isnan(g.silhouette)) ||
                                g.silhouette > tried[best].silhouette;
            if (better) {
                best = ks;
                dm_model_destroy(&run->model);
                run->model = m;
                m = (dm_model){0};
                dm_trace_clear(trace);
                *trace = t;
                t = (dm_trace){0};
            }
            ks++;
        } else if (st == DEMARC_ERR_IMPOSSIBLE) {
            if (first_failure[0] == 0) snprintf(first_failure, sizeof first_failure, "%s", dm_error_line());
            dm_log_line(&run->ctx->log, "k %d: %s", (int)k, dm_error_line());
            st = DEMARC_OK;
        }
        dm_model_destroy(&m);
        dm_trace_clear(&t);
        dm_diagnostics_clear(&g);
        DM_TRY(st);
    }
    if (best < 0) DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE, "no k can be fitted: %s", first_failure));
    tried[best].chosen = true;
    trace->tried = tried;
    trace->ks = ks;
    tried = NULL;
cleanup:
    free(tried);
    return st;
}

static demarc_status write_assignments(fit_run *run)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = run->ctx;
    char *path = NULL;
    const double start = dm_clock();
    const int64_t read_before = dm_rows_bytes_read(run->rows);
    double writing = 0.0;
    DM_TRY_ALL(ctx->comm, dm_output_path(&run->output, "assignments.h5", &path));
    st = DEMARC_OK;
    if (dm_comm_rank(ctx->comm) == 0) st = dm_output_room(run->output.temp_path, 24 * dm_rows_global(run->rows));
    DM_TRY_ALL(ctx->comm, st);
    DM_TRY(dm_assignments_create(&run->writer, ctx->comm, ctx->runtime.io, run->customers, path));
    const double laid_out = dm_clock() - start;
    const dm_final_options fo = {.rows = run->rows,
                                 .customers = run->customers,
                                 .model = &run->model,
                                 .writer = &run->writer,
                                 .scan = &run->scan};
    DM_TRY(dm_final_pass(&fo, &run->g, run->model.digest, &writing));
    const double passed = dm_clock();
    DM_TRY(dm_assignments_close(&run->writer));
    run->seconds[PHASE_WRITE] = writing + laid_out + (dm_clock() - passed);
    run->seconds[PHASE_ASSIGN] = dm_clock() - start - run->seconds[PHASE_WRITE];
    run->bytes[PHASE_ASSIGN] = dm_rows_bytes_read(run->rows) - read_before;
    const dm_row_range range = dm_rows_range(run->rows);
    run->bytes[PHASE_WRITE] = (range.end - range.begin) * dm_assignments_row_bytes(&run->writer);
    run->model.objective = run->g.objective;
    memcpy(run->model.size, run->g.size, (size_t)run->model.k * sizeof *run->model.size);
cleanup:
    free(path);
    return st;
}

/* Text of manifest.json. Rank 0; figures are already reduced. */
static demarc_status make_manifest(fit_run *run, const dm_phase_record *phase, int64_t messages, int64_t bytes,
                                   char **text)
{
    demarc_context *ctx = run->ctx;
    char absolute[PATH_MAX], finished[32];
    const char *input = realpath(run->o->data, absolute) != NULL ? absolute : run->o->data;
    dm_clock_utc(finished);
    const dm_manifest m = {.command = "fit",
                           .command_line = run->o->command_line,
                           .options = run->o,
                           .batch_size = run->o->batch_size > 0 ? run->o->batch_size
                                                                : dm_kmeans_batch_size(run->model.k, run->g.d),
                           .input_path = input,
                           .input_bytes = dm_customers_schema(run->customers)->file_bytes,
                           .input_digest = run->scan.digest,
                           .n = run->g.n,
                           .d = run->g.d,
                           .k = run->g.k,
                           .digest = run->model.digest,
                           .objective = run->g.objective,
                           .ranks = dm_comm_size(ctx->comm),
                           .threads = ctx->threads,
                           .kernel = ctx->kernel->name,
                           .blas = dm_blas_version(),
                           .blas_core = dm_blas_core(),
                           .mpi = dm_comm_library(),
                           .hdf5 = dm_version_hdf5(),
                           .compiler = dm_version_compiler(),
                           .version = demarc_version(),
                           .commit = dm_version_commit(),
                           .io = ctx->runtime.io == DEMARC_IO_MPIO ? "mpio" : "funnel",
                           .streamed = dm_rows_streamed(run->rows),
                           .store = dm_rows_store(run->rows),
                           .memory_limit = ctx->runtime.memory_limit,
                           .allow_external = ctx->runtime.allow_external,
                           .started_utc = run->started_utc,
                           .finished_utc = finished,
                           .seconds = dm_clock() - run->start,
                           .phases = PHASES,
                           .phase = phase,
                           .peak_memory = run->peak,
                           .messages = messages,
                           .message_bytes = bytes};
    return dm_manifest_json(&m, text);
}

static demarc_status write_reports(fit_run *run, char **diagnostics)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    char *path = NULL, *manifest = NULL;
    dm_phase_record phase[PHASES];
    run->seconds[PHASE_SEED] = run->km.seed_seconds;
    run->seconds[PHASE_MINIBATCH] = run->km.minibatch_seconds;
    run->seconds[PHASE_POLISH] = run->km.polish_seconds;
    run->bytes[PHASE_SEED] = run->km.seed_bytes;
    run->bytes[PHASE_MINIBATCH] = run->km.minibatch_bytes;
    run->bytes[PHASE_POLISH] = run->km.polish_bytes;
    dm_comm_max_f64(comm, run->seconds, PHASES);
    dm_comm_sum_i64(comm, run->bytes, PHASES);
    int64_t traffic[2] = {0, 0};
    dm_comm_traffic(comm, &traffic[1], &traffic[0]);
    dm_comm_sum_i64(comm, traffic, 2);
    dm_comm_sum_i64(comm, &run->km.settled, 1);
    DM_TRY_ALL(comm, dm_alloc(run->peak, dm_comm_size(comm), "peak memory"));
    dm_comm_gather_f64(comm, (double)dm_memory_peak(), run->peak);
    for (int i = 0; i < PHASES; i++) phase[i] = (dm_phase_record){phase_name[i], run->seconds[i], run->bytes[i]};
    DM_TRY_ALL(comm, dm_output_path(&run->output, "model.h5", &path));
    DM_TRY(dm_model_write(comm, &run->model, path));
    st = DEMARC_OK;
    if (dm_comm_rank(comm) == 0) {
        run->trace.iterations = run->model.iterations;
        st = dm_diagnostics_json(&run->g, &run->trace, diagnostics);
        if (st == DEMARC_OK) st = make_manifest(run, phase, traffic[0], traffic[1], &manifest);
        if (st == DEMARC_OK) st = dm_text_file_write(&run->output, "diagnostics.json", *diagnostics);
        if (st == DEMARC_OK) st = dm_text_file_write(&run->output, "manifest.json", manifest);
    }
    DM_TRY_ALL(comm, st);
    dm_log_detail(&run->ctx->log, "rows settled in double precision: %lld", (long long)run->km.settled);
cleanup:
    free(path);
    free(manifest);
    return st;
}

static demarc_status fill_result(fit_run *run, demarc_fit_result *r, char **diagnostics)
{
    demarc_status st = DEMARC_OK;
    const dm_diagnostics *g = &run->g;
    *r = (demarc_fit_result){
        .n = g->n, .d = g->d, .k = g->k, .objective = g->objective, .iterations = run->model.iterations};
    r->explained = g->total > 0.0 ? 1.0 - g->objective / g->total : (double)NAN;
    snprintf(r->digest, sizeof r->digest, "%s", run->model.digest);
    DM_TRY(dm_alloc_zero(r->segment, g->k, "result"));
    for (int32_t j = 0; j < g->k; j++) {
        demarc_segment_row *row = &r->segment[j];
        row->size = g->size[j];
        row->share = (double)g->size[j] / (double)g->n;
        row->objective = g->within[j];
        row->mean_margin = g->mean_margin[j];
        row->near_boundary = g->near_boundary[j];
        row->nearest = g->nearest[j];
        dm_diagnostics_words(g, j, row->top, sizeof row->top);
    }
    r->diagnostics_json = *diagnostics;
    *diagnostics = NULL;
cleanup:
    return st;
}

void demarc_fit_result_clear(demarc_fit_result *r)
{
    dm_free(r->segment);
    free(r->diagnostics_json);
    *r = (demarc_fit_result){0};
}

static void fit_run_clear(fit_run *run)
{
    dm_assignments_discard(&run->writer);
    dm_output_abandon(&run->output, run->ctx->comm);
    dm_diagnostics_clear(&run->g);
    dm_trace_clear(&run->trace);
    dm_model_destroy(&run->model);
    if (run->have_km) dm_kmeans_destroy(&run->km);
    dm_free(run->given);
    dm_free(run->bound);
    dm_free(run->peak);
    dm_scan_destroy(&run->scan);
    dm_transform_destroy(&run->transform);
    dm_rows_close(&run->rows);
    dm_customers_close(&run->customers);
}

demarc_status demarc_fit(demarc_context *ctx, const demarc_fit_options *o, demarc_fit_result *result)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    fit_run run = {.ctx = ctx, .o = o, .start = dm_clock()};
    char *diagnostics = NULL;
    if (result != NULL) *result = (demarc_fit_result){0};
    dm_clock_utc(run.started_utc);
    DM_TRY_ALL(ctx->comm, check_options(o));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->data));
    if (init_of(o->init) == DM_INIT_GIVEN) DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->init));
    if (!o->dry_run) DM_TRY(dm_output_begin(&run.output, ctx->comm, o->out, DM_OUTPUT_DIRECTORY, o->force));
    if (dm_blas_core_advice() != NULL) {
        dm_log_warn(&ctx->log, "OpenBLAS runs on core type %s, this CPU could use %s: set OPENBLAS_CORETYPE=%s",
                    dm_blas_core(), dm_blas_core_advice(), dm_blas_core_advice());
    }
    DM_TRY(open_input(&run));
    log_plan(&run, o->dry_run);
    DM_TRY(prepare_rows(&run));
    dm_guard_threads(ctx);
    if (!o->dry_run) {
        if (o->k_lo == o->k_hi) {
            DM_TRY(fit_one(&run, o->k_lo, &run.model, &run.trace));
        } else {
            DM_TRY(fit_range(&run, &run.trace));
        }
        DM_TRY(write_assignments(&run));
        DM_TRY(write_reports(&run, &diagnostics));
        DM_TRY(dm_output_commit(&run.output, ctx->comm));
        dm_guard_host(ctx);
        if (result != NULL) DM_TRY_ALL(ctx->comm, fill_result(&run, result, &diagnostics));
    }
cleanup:
    free(diagnostics);
    fit_run_clear(&run);
    return st;
}
