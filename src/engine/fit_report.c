/* What a fit leaves: assignments, model, diagnostics, manifest; and its result for the caller. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "engine/final_pass.h"
#include "engine/fit_run.h"
#include "engine/text_file.h"
#include "linalg/distance.h"
#include "report/segment_names.h"

static const char *const phase_name[DM_FIT_TIMES] = {"read", "scan", "seed", "minibatch", "polish", "assign", "write"};

static demarc_status final_edge(void *context, const dm_final_run *at)
{
    dm_fit_run *run = context;
    run->final = at;
    const demarc_status st = dm_checkpoint_edge(&run->resume.checkpoint);
    run->final = NULL;
    return st;
}

demarc_status dm_fit_write_assignments(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = run->ctx;
    char *path = NULL;
    const double start = dm_clock();
    const int64_t read_before = dm_rows_bytes_read(run->rows);
    double writing = 0.0;
    DM_TRY_ALL(ctx->comm, dm_fit_make_model(run, &run->state.chosen, &run->model));
    DM_TRY_ALL(ctx->comm, dm_output_path(&run->output, "assignments.h5", &path));
    DM_TRY(dm_fit_check_room(run));
    DM_TRY(dm_assignments_create(&run->writer, ctx->comm, ctx->runtime.io, run->customers, path, run->adopted));
    const double laid_out = dm_clock() - start;
    const dm_final_options fo = {.rows = run->rows,
                                 .customers = run->customers,
                                 .model = &run->model,
                                 .writer = &run->writer,
                                 .scan = &run->scan,
                                 .edge = final_edge,
                                 .edge_context = run,
                                 .left = run->adopted ? &run->resume.left : NULL};
    DM_TRY(dm_final_pass(&fo, &run->g, run->model.digest, &writing));
    const double passed = dm_clock();
    DM_TRY(dm_assignments_close(&run->writer));
    run->seconds[DM_PHASE_WRITE] = writing + laid_out + (dm_clock() - passed);
    run->seconds[DM_PHASE_ASSIGN] = dm_clock() - start - run->seconds[DM_PHASE_WRITE];
    run->bytes[DM_PHASE_ASSIGN] = dm_rows_bytes_read(run->rows) - read_before;
    const dm_row_range range = dm_rows_range(run->rows);
    run->bytes[DM_PHASE_WRITE] = (range.end - range.begin) * dm_assignments_row_bytes(&run->writer);
    run->model.objective = run->g.objective;
    memcpy(run->model.size, run->g.size, (size_t)run->model.k * sizeof *run->model.size);
cleanup:
    free(path);
    return st;
}

/* Text of manifest.json. Rank 0; figures are already reduced. */
static demarc_status make_manifest(dm_fit_run *run, const dm_phase_record *phase, int64_t messages, int64_t bytes,
                                   char **text)
{
    demarc_context *ctx = run->ctx;
    char absolute[PATH_MAX], finished[32], options_digest[33], data_digest[33];
    const char *input = realpath(run->o->data, absolute) != NULL ? absolute : run->o->data;
    dm_clock_utc(finished);
    demarc_status st = dm_fit_digests(run, options_digest, data_digest);
    if (st != DEMARC_OK) return st;
    const dm_manifest m = {.command = "fit",
                           .command_line = run->o->command_line,
                           .options = run->o,
                           .batch_size = run->o->batch_size > 0 ? run->o->batch_size
                                                                : dm_kmeans_batch_size(run->model.k, run->g.d),
                           .input_path = input,
                           .input_bytes = dm_customers_schema(run->customers)->file_bytes,
                           .input_modified = run->input_modified[0] == 0 ? NULL : run->input_modified,
                           .input_digest = run->scan.digest,
                           .options_digest = options_digest,
                           .data_digest = data_digest,
                           .resumes = run->resume.count,
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
                           .phases = DM_FIT_TIMES,
                           .phase = phase,
                           .peak_memory = run->peak,
                           .messages = messages,
                           .message_bytes = bytes};
    return dm_manifest_json(&m, text);
}

/* Local. */
static demarc_status name_segments(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_diagnostics *g = &run->g;
    dm_fit_warn_of_names(run, g->k);
    DM_TRY(dm_segment_names_make(g, &run->names));
    for (int32_t j = 0; j < g->k; j++) DM_TRY(dm_strings_add(&run->model.segment, g->name.item[j]));
    run->model.segments_told = true;
cleanup:
    return st;
}

demarc_status dm_fit_write_reports(dm_fit_run *run, char **diagnostics)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_trace *trace = &run->state.chosen.trace;
    char *path = NULL, *manifest = NULL;
    dm_phase_record phase[DM_FIT_TIMES];
    run->seconds[DM_PHASE_SEED] = run->km.seed_seconds;
    run->seconds[DM_PHASE_MINIBATCH] = run->km.minibatch_seconds;
    run->seconds[DM_PHASE_POLISH] = run->km.polish_seconds;
    run->bytes[DM_PHASE_SEED] = run->km.seed_bytes;
    run->bytes[DM_PHASE_MINIBATCH] = run->km.minibatch_bytes;
    run->bytes[DM_PHASE_POLISH] = run->km.polish_bytes;
    dm_comm_max_f64(comm, run->seconds, DM_FIT_TIMES);
    dm_comm_sum_i64(comm, run->bytes, DM_FIT_TIMES);
    int64_t traffic[2] = {0, 0};
    dm_comm_traffic(comm, &traffic[1], &traffic[0]);
    dm_comm_sum_i64(comm, traffic, 2);
    dm_comm_sum_i64(comm, &run->km.settled, 1);
    DM_TRY_ALL(comm, dm_alloc(run->peak, dm_comm_size(comm), "peak memory"));
    dm_comm_gather_f64(comm, (double)dm_memory_peak(), run->peak);
    for (int i = 0; i < DM_FIT_TIMES; i++) phase[i] = (dm_phase_record){phase_name[i], run->seconds[i], run->bytes[i]};
    DM_TRY_ALL(comm, name_segments(run));
    DM_TRY_ALL(comm, dm_output_path(&run->output, "model.h5", &path));
    DM_TRY(dm_model_write(comm, &run->model, NULL, path));
    st = DEMARC_OK;
    if (run->state.best >= 0) { /* LO:HI */
        dm_fit_recommend(run);  /* it may have been resumed from behind the choice */
        run->state.tried[run->state.best].chosen = true;
        trace->ks = run->state.ks;
        trace->tried = run->state.tried;
        trace->recommendation = run->state.recommendation;
        run->state.tried = NULL;
    }
    if (dm_comm_rank(comm) == 0) {
        st = dm_diagnostics_json(&run->g, trace, diagnostics);
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

demarc_status dm_fit_fill_result(const dm_diagnostics *g, int32_t iterations, demarc_fit_result *r, char **diagnostics)
{
    demarc_status st = DEMARC_OK;
    *r = (demarc_fit_result){.n = g->n, .d = g->d, .k = g->k, .objective = g->objective, .iterations = iterations};
    r->explained = g->total > 0.0 ? 1.0 - g->objective / g->total : (double)NAN;
    snprintf(r->digest, sizeof r->digest, "%s", g->digest);
    DM_TRY(dm_alloc_zero(r->segment, g->k, "result"));
    for (int32_t j = 0; j < g->k; j++) {
        demarc_segment_row *row = &r->segment[j];
        row->size = g->size[j];
        row->share = (double)g->size[j] / (double)g->n;
        row->objective = g->within[j];
        row->mean_margin = g->mean_margin[j];
        row->near_boundary = g->near_boundary[j];
        row->nearest = g->nearest[j];
        snprintf(row->name, sizeof row->name, "%s", g->name.item[j]);
        dm_diagnostics_words(g, j, row->top, sizeof row->top);
    }
    r->diagnostics_json = *diagnostics;
    *diagnostics = NULL;
cleanup:
    return st;
}
