/* demarc_fit: the order of phases, from a customer file to a results directory. */
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/stop.h"
#include "engine/fit_run.h"
#include "engine/guard_rails.h"
#include "engine/run_files.h"
#include "linalg/distance.h"
#include "report/segment_names.h"

#define ID_CHECK_BYTES (INT64_C(64) << 20) /* memory for the check of ids, or an eighth of the shard if that is more */

void demarc_fit_options_default(demarc_fit_options *o)
{
    *o = (demarc_fit_options){.restarts = 1,
                              .max_epochs = 10,
                              .max_iterations = 300,
                              .tolerance = 1e-4,
                              .polish = -1,
                              .checkpoint_every = 60.0};
}

demarc_status dm_fit_check_options(const demarc_fit_options *o)
{
    if (o->data == NULL) return dm_fail(DEMARC_ERR_USAGE, "no input: name a customer file");
    if (o->k_lo < 1 || o->k_hi < o->k_lo || o->k_hi > 1000000) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "bad number of segments %d:%d: --segments: use K or LO:HI with 1 <= LO <= HI <= 1000000",
                       (int)o->k_lo, (int)o->k_hi);
    }
    if (o->k_lo < o->k_hi && dm_fit_init_of(o->init) == DM_INIT_GIVEN) {
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
    if (!(o->checkpoint_every >= 0.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "%g seconds: --checkpoint-every: use a number >= 0", o->checkpoint_every);
    }
    return DEMARC_OK;
}

/* What the fit will take, for --dry-run and --verbose. */
static void log_plan(dm_fit_run *run, bool always)
{
    dm_log *log = &run->ctx->log;
    const dm_schema *s = dm_customers_schema(run->customers);
    char shard[32], stream[32], file[32], out[32];
    const int64_t rows =
        (dm_block_count(s->n) + dm_comm_size(run->ctx->comm) - 1) / dm_comm_size(run->ctx->comm) * DM_BLOCK_ROWS;
    dm_text_bytes(shard, (double)dm_rows_shard_bytes(run->rows));
    dm_text_bytes(stream, (double)dm_rows_stream_bytes(run->rows));
    dm_text_bytes(file, (double)s->file_bytes);
    dm_text_bytes(out, (double)dm_assignments_foreseen(s));
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

demarc_status dm_fit_check_room(const dm_fit_run *run)
{
    if (run->adopted) return DEMARC_OK;
    return dm_run_room(run->ctx->comm, &run->output, run->o->out,
                       dm_assignments_foreseen(dm_customers_schema(run->customers)));
}

/*
 * Before the work. Whatever a checkpoint tells of that takes room may be adopted, or goes first, so then it is too early to
 * ask; what runs that died without one have left goes now if it is in the way.
 */
static demarc_status check_room_early(const dm_fit_run *run)
{
    dm_comm *comm = run->ctx->comm;
    int64_t early = run->output.active;
    if (dm_comm_rank(comm) == 0 && early != 0) early = !dm_checkpoint_present(run->resume.checkpoint.folder);
    dm_comm_bcast(comm, &early, sizeof early, 0);
    if (early == 0) return DEMARC_OK;
    const demarc_status st = dm_fit_check_room(run);
    if (st == DEMARC_OK) return DEMARC_OK;
    if (dm_comm_rank(comm) == 0) dm_output_sweep(run->o->out, DM_OUTPUT_DIRECTORY);
    return dm_fit_check_room(run);
}

/* Before it is read: what is written to it from now on makes it another input. */
static void note_time(dm_fit_run *run)
{
    struct stat s;
    if (dm_comm_rank(run->ctx->comm) == 0 && stat(run->o->data, &s) == 0)
        dm_clock_utc_exact(&s.st_mtim, run->input_modified);
}

static demarc_status open_input(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = run->ctx;
    note_time(run);
    DM_TRY(dm_customers_open(&run->customers, ctx->comm, run->o->data, &run->o->paths));
    const dm_schema *schema = dm_customers_schema(run->customers);
    if (schema->n < run->o->k_lo) {
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "fewer customers than segments: %s has %lld, %d segments asked: lower --segments", run->o->data,
                       (long long)schema->n, (int)run->o->k_lo));
    }
    DM_TRY(check_room_early(run));
    DM_TRY(dm_context_rows(ctx, run->customers, schema->d, NULL, false, run->o->store, &run->rows));
    const int64_t eighth = dm_rows_shard_bytes(run->rows) / 8;
    DM_TRY(dm_customers_check_ids(run->customers, ctx->comm, ctx->threads,
                                  eighth > ID_CHECK_BYTES ? eighth : ID_CHECK_BYTES));
    /* Outcomes are read last, for their means: a long fit must not fail there. */
    const dm_row_range range = dm_rows_range(run->rows);
    if (!run->select) DM_TRY_ALL(ctx->comm, dm_customers_check_outcomes(run->customers, range.begin, range.end));
cleanup:
    return st;
}

/* Scan, transform. */
static demarc_status scan_rows(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    const double start = dm_clock(), read_before = dm_rows_read_seconds(run->rows);
    const dm_scaling_options scaling = {o->scale, o->missing, o->log1p, o->feature_weights};
    DM_TRY(dm_scaling_build(run->rows, &scaling, &run->transform, &run->scan, &run->bound));
    if (dm_fit_init_of(o->init) == DM_INIT_GIVEN && !o->dry_run) DM_TRY(dm_fit_load_init(run));
    run->seconds[DM_PHASE_READ] = dm_rows_read_seconds(run->rows) - read_before;
    run->seconds[DM_PHASE_SCAN] = dm_clock() - start - run->seconds[DM_PHASE_READ];
cleanup:
    return st;
}

/* Hold the rows, scaled, as far as memory allows. */
static demarc_status load_rows(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const double start = dm_clock(), read_before = dm_rows_read_seconds(run->rows);
    DM_TRY(dm_rows_scale(run->rows, &run->transform));
    DM_TRY_ALL(run->ctx->comm,
               dm_kmeans_create(&run->km, run->rows, run->bound, &run->scan, &run->transform, run->o->seed));
    run->have_km = true;
    const double reading = dm_rows_read_seconds(run->rows) - read_before;
    run->seconds[DM_PHASE_READ] += reading;
    run->seconds[DM_PHASE_SCAN] += dm_clock() - start - reading;
    run->bytes[DM_PHASE_READ] = dm_rows_bytes_read(run->rows);
cleanup:
    return st;
}

void demarc_fit_result_clear(demarc_fit_result *r)
{
    dm_free(r->segment);
    free(r->diagnostics_json);
    *r = (demarc_fit_result){0};
}

void dm_fit_run_clear(dm_fit_run *run)
{
    dm_assignments_discard(&run->writer);
    dm_output_abandon(&run->output, run->ctx->comm);
    dm_diagnostics_clear(&run->g);
    dm_model_destroy(&run->model);
    dm_strings_clear(&run->names);
    dm_fit_state_clear(&run->state);
    if (run->have_km) dm_kmeans_destroy(&run->km);
    dm_free(run->given);
    dm_free(run->bound);
    dm_free(run->peak);
    dm_scan_destroy(&run->scan);
    dm_transform_destroy(&run->transform);
    dm_rows_close(&run->rows);
    dm_customers_close(&run->customers);
    dm_resume_end(&run->resume);
}

static demarc_status begin_output(dm_fit_run *run)
{
    return dm_output_begin(&run->output, run->ctx->comm, run->o->out, DM_OUTPUT_DIRECTORY, run->o->force);
}

demarc_status dm_fit_prepare(dm_fit_run *run, bool *finished)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = run->ctx;
    const demarc_fit_options *o = run->o;
    const bool writes = !o->dry_run && !run->select;
    DM_TRY(dm_checkpoint_begin(&run->resume.checkpoint, ctx->comm, &ctx->log, writes ? o->out : NULL,
                               o->checkpoint_every));
    if (writes) DM_TRY(dm_fit_look_back(run));
    if (writes && !run->maybe_finished) DM_TRY(begin_output(run));
    if (dm_blas_core_advice() != NULL) {
        dm_log_warn(&ctx->log, "OpenBLAS runs on core type %s, this CPU could use %s: set OPENBLAS_CORETYPE=%s",
                    dm_blas_core(), dm_blas_core_advice(), dm_blas_core_advice());
    }
    dm_checkpoint_reading();
    DM_TRY(dm_checkpoint_read(&run->resume.checkpoint, open_input(run)));
    log_plan(run, o->dry_run);
    DM_TRY(dm_checkpoint_edge(&run->resume.checkpoint));
    dm_checkpoint_reading();
    DM_TRY(dm_checkpoint_read(&run->resume.checkpoint, scan_rows(run)));
    if (o->dry_run) return o->resume ? DEMARC_OK : dm_fit_check_room(run); /* there may be results to go on with */
    DM_TRY_ALL(ctx->comm, dm_fit_describe_data(run));
    if (run->maybe_finished) {
        DM_TRY(dm_fit_is_finished(run, finished));
        if (*finished) return DEMARC_OK;
        DM_TRY(begin_output(run));
        DM_TRY(check_room_early(run));
    }
    DM_TRY(dm_checkpoint_edge(&run->resume.checkpoint));
    dm_checkpoint_reading();
    DM_TRY(dm_checkpoint_read(&run->resume.checkpoint, load_rows(run)));
    dm_guard_threads(ctx);
    DM_TRY(dm_fit_restore(run));
    if (run->output.active) DM_TRY(dm_fit_check_room(run));
cleanup:
    return st;
}

demarc_status demarc_fit(demarc_context *ctx, const demarc_fit_options *o, demarc_fit_result *result)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_fit_run run = {.ctx = ctx,
                      .o = o,
                      .choice = dm_fit_choice_default(o),
                      .resume = {.what = "fit", .out = o->out, .temporary_of = o->out},
                      .start = dm_clock()};
    char *diagnostics = NULL;
    bool finished = false;
    if (result != NULL) *result = (demarc_fit_result){0};
    dm_clock_utc(run.started_utc);
    DM_TRY_ALL(ctx->comm, dm_fit_check_options(o));
    if (o->out == NULL && !o->dry_run) DM_TRY(dm_fail(DEMARC_ERR_USAGE, "no output: --out: name a results directory"));
    DM_TRY_ALL(ctx->comm, dm_segment_names_parse(o->names, o->k_hi, &run.names));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->data));
    if (dm_fit_init_of(o->init) == DM_INIT_GIVEN) DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->init));
    DM_TRY(dm_fit_prepare(&run, &finished));
    if (finished) {
        DM_TRY(dm_fit_rename(&run));
        if (result != NULL) st = dm_fit_read_finished(&run, result);
    } else if (!o->dry_run) {
        DM_TRY(dm_fit_search(&run));
        DM_TRY(dm_fit_write_assignments(&run));
        DM_TRY(dm_fit_write_reports(&run, &diagnostics));
        DM_TRY(dm_output_commit(&run.output, ctx->comm));
        dm_resume_forget(&run.resume);
        dm_guard_host(ctx);
        if (result != NULL) {
            DM_TRY_ALL(ctx->comm, dm_fit_fill_result(&run.g, run.model.iterations, result, &diagnostics));
        }
    }
cleanup:
    if (st == DEMARC_ERR_IMPOSSIBLE) dm_resume_forget(&run.resume);
    if (st == DEMARC_STOPPED && run.leave) dm_output_leave(&run.output);
    free(diagnostics);
    dm_fit_run_clear(&run);
    dm_stop_clear();
    return st;
}
