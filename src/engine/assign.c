/* demarc_assign and demarc_verify: a saved model over a customer file, streamed. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engine/final_pass.h"
#include "engine/frozen_model.h"
#include "engine/run_files.h"
#include "store/output.h"

void demarc_assign_options_default(demarc_assign_options *o) { *o = (demarc_assign_options){0}; }

void demarc_assign_result_clear(demarc_assign_result *r)
{
    dm_strings names = {r->name, r->name == NULL ? 0 : r->k};
    dm_strings_clear(&names);
    dm_free(r->size);
    *r = (demarc_assign_result){0};
}

demarc_status demarc_assign(demarc_context *ctx, const demarc_assign_options *o, demarc_assign_result *r)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_frozen_model l = {0};
    dm_output output = {0};
    dm_assignments_writer writer = {0};
    dm_diagnostics g = {0};
    demarc_assign_result result = {0};
    if (o->data == NULL || o->model == NULL || (o->out == NULL && !o->dry_run)) {
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: assign: name a customer file, --model and --out");
    }
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->data));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->model));
    if (!o->dry_run) DM_TRY(dm_output_begin(&output, ctx->comm, o->out, DM_OUTPUT_FILE, o->force));
    DM_TRY(dm_frozen_model_find(&l, ctx, o->model, o->data, &o->paths, DEMARC_ERR_DATA));
    const int64_t bytes = dm_assignments_foreseen(dm_customers_schema(l.customers));
    if (!o->dry_run) DM_TRY(dm_run_room(ctx->comm, &output, o->out, bytes));
    DM_TRY(dm_frozen_model_load(&l, ctx, true));
    if (o->dry_run) {
        dm_log_line(&ctx->log, "plan: %lld customers to %d segments, streamed by %d ranks x %d threads",
                    (long long)dm_rows_global(l.rows), (int)l.model.k, dm_comm_size(ctx->comm), ctx->threads);
        st = dm_run_room(ctx->comm, &output, o->out, bytes);
        goto cleanup;
    }
    DM_TRY(dm_run_room(ctx->comm, &output, o->out, bytes));
    DM_TRY(dm_assignments_create(&writer, ctx->comm, ctx->runtime.io, l.customers, output.temp_path, false));
    DM_TRY(dm_writer_attribute_text(writer.file, "/", "model_digest", l.model.digest));
    const dm_final_options fo = {.rows = l.rows, .customers = l.customers, .model = &l.model, .writer = &writer};
    DM_TRY(dm_final_pass(&fo, &g, result.digest, NULL));
    DM_TRY(dm_assignments_close(&writer));
    result.n = g.n;
    result.d = g.d;
    result.k = g.k;
    result.objective = g.objective;
    DM_TRY_ALL(ctx->comm, dm_alloc(result.size, g.k, "result"));
    memcpy(result.size, g.size, (size_t)g.k * sizeof *g.size);
    DM_TRY(dm_output_commit(&output, ctx->comm));
    if (r != NULL) {
        *r = result;
        r->name = l.model.segment.item; /* taken over */
        l.model.segment = (dm_strings){0};
        result.size = NULL;
    }
cleanup:
    dm_free(result.size);
    dm_diagnostics_clear(&g);
    dm_assignments_discard(&writer);
    dm_output_abandon(&output, ctx->comm);
    dm_frozen_model_close(&l);
    return st;
}

void demarc_verify_options_default(demarc_verify_options *o) { *o = (demarc_verify_options){0}; }

static demarc_status wrong_number(const char *what, double stored, double right)
{
    return dm_fail(DEMARC_ERR_VERIFY, "verification failed: %s is %.17g, should be %.17g: fit again", what, stored,
                   right);
}

/* diagnostics.json must name the same objective and digest. Rank 0 looks. */
static demarc_status check_diagnostics(demarc_context *ctx, const char *path, double objective, const char *digest)
{
    demarc_status st = DEMARC_OK;
    double stored = 0.0;
    char stored_digest[40] = "";
    bool checked = false;
    if (dm_comm_rank(ctx->comm) == 0) {
        st = dm_diagnostics_read(path, &stored, stored_digest, &checked);
        if (st == DEMARC_OK && !checked) dm_log_warn(&ctx->log, "%s is too large to be checked", path);
        if (st == DEMARC_OK && checked && stored != objective)
            st = wrong_number("objective of diagnostics.json", stored, objective);
        if (st == DEMARC_OK && checked && strcmp(stored_digest, digest) != 0) {
            st = dm_fail(DEMARC_ERR_VERIFY,
                         "verification failed: digest is %s in diagnostics.json, should be %s: fit again",
                         stored_digest, digest);
        }
    }
    return dm_comm_agree(ctx->comm, st);
}

demarc_status demarc_verify(demarc_context *ctx, const demarc_verify_options *o, demarc_verify_result *r)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_frozen_model l = {0};
    dm_assignments *stored = NULL;
    dm_manifest_facts facts = {0};
    dm_diagnostics g = {0};
    dm_run_files files;
    char digest[40];
    int64_t n = 0;
    if (o->run == NULL) return dm_fail(DEMARC_ERR_USAGE, "no results: verify: name a results directory");
    DM_TRY_ALL(ctx->comm, dm_run_find(&files, o->run));
    DM_TRY(dm_run_manifest(ctx, files.manifest, &facts));
    DM_TRY(dm_frozen_model_open(&l, ctx, files.model, o->data != NULL ? o->data : facts.input_path, &facts.paths, true,
                                DEMARC_ERR_VERIFY));
    DM_TRY(dm_assignments_open(&stored, ctx->comm, files.assignments, &n));
    if (n != dm_rows_global(l.rows)) {
        DM_TRY(dm_fail(DEMARC_ERR_VERIFY,
                       "verification failed: %s has %lld rows, the input %lld: name the right input by --data",
                       files.assignments, (long long)n, (long long)dm_rows_global(l.rows)));
    }
    const dm_final_options fo = {
        .rows = l.rows, .customers = l.customers, .model = &l.model, .exhaustive = true, .compare = stored};
    DM_TRY(dm_final_pass(&fo, &g, digest, NULL));
    for (int32_t j = 0; j < g.k; j++) {
        if (g.size[j] != l.model.size[j]) {
            DM_TRY(dm_fail(DEMARC_ERR_VERIFY,
                           "verification failed: %s, /size of segment %d is %lld, should be %lld: fit again",
                           files.model, (int)j, (long long)l.model.size[j], (long long)g.size[j]));
        }
    }
    if (l.model.objective != g.objective) DM_TRY(wrong_number("objective of model.h5", l.model.objective, g.objective));
    if (facts.objective != g.objective)
        DM_TRY(wrong_number("objective of manifest.json", facts.objective, g.objective));
    if (strcmp(l.model.digest, digest) != 0 || strcmp(facts.digest, digest) != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_VERIFY,
                       "verification failed: digest is %s in model.h5 and %s in manifest.json, should be %s: fit "
                       "again",
                       l.model.digest, facts.digest, digest));
    }
    if (facts.input_digest[0] != 0 && strcmp(facts.input_digest, l.scan.digest) != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_VERIFY, "verification failed: %s, digest of the input is %s, should be %s: fit again",
                       files.manifest, facts.input_digest, l.scan.digest));
    }
    DM_TRY(check_diagnostics(ctx, files.diagnostics, g.objective, digest));
    if (r != NULL) {
        *r = (demarc_verify_result){.n = g.n, .k = g.k, .objective = g.objective};
        snprintf(r->digest, sizeof r->digest, "%s", digest);
    }
cleanup:
    dm_diagnostics_clear(&g);
    dm_assignments_shut(&stored);
    dm_manifest_facts_clear(&facts);
    dm_frozen_model_close(&l);
    return st;
}
