/* demarc_export: the results of a fit in other programs' formats. Rank 0 writes. */
#include <sys/stat.h>

#include "comm/watchdog.h"
#include "engine/context.h"
#include "engine/run_files.h"
#include "exchange/csv_export.h"
#include "exchange/pmml_export.h"
#include "exchange/sqlite_export.h"
#include "report/diagnostics.h"
#include "report/segment_names.h"
#include "store/external.h"
#include "store/output.h"

void demarc_export_options_default(demarc_export_options *o) { *o = (demarc_export_options){0}; }

static demarc_status check_options(const demarc_export_options *o)
{
    if (o->run == NULL) return dm_fail(DEMARC_ERR_USAGE, "no results: export: name a results directory");
    if (o->out == NULL && !o->dry_run) return dm_fail(DEMARC_ERR_USAGE, "no output: --out: name the file to write");
    return DEMARC_OK;
}

/* Rank 0. */
static demarc_status write_file(const demarc_export_options *o, const dm_export_source *from, const char *path,
                                demarc_export_result *r)
{
    switch (o->format) {
    case DEMARC_EXPORT_CSV:
        return dm_csv_export(from, path, &r->formulas);
    case DEMARC_EXPORT_SQLITE:
        return dm_sqlite_export(from, path);
    case DEMARC_EXPORT_PMML:
        return dm_pmml_export(from, path);
    }
    return dm_fail(DEMARC_ERR_USAGE, "unknown format: --format: use csv, sqlite or pmml");
}

/* Rank 0 writes and looks at the result; the others learn what came of it. */
static demarc_status write_and_share(demarc_context *ctx, const demarc_export_options *o, const dm_export_source *from,
                                     const dm_output *output, demarc_export_result *r)
{
    demarc_status st = DEMARC_OK;
    struct stat s;
    dm_watchdog_pause(); /* the others wait while rank 0 writes all rows */
    if (dm_comm_rank(ctx->comm) == 0) {
        st = write_file(o, from, output->temp_path, r);
        if (st == DEMARC_OK && stat(output->temp_path, &s) == 0) r->bytes = s.st_size;
    }
    st = dm_comm_agree(ctx->comm, st);
    dm_watchdog_resume();
    if (st == DEMARC_OK) dm_comm_bcast(ctx->comm, r, sizeof *r, 0);
    if (r->formulas > 0) {
        dm_log_warn(&ctx->log,
                    "%lld ids or names begin with =, +, -, @ or a tab and are written as they are: a spreadsheet may "
                    "take them for formulas: import these columns as text",
                    (long long)r->formulas);
    }
    return st;
}

demarc_status demarc_export(demarc_context *ctx, const demarc_export_options *o, demarc_export_result *result)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_run_files files;
    dm_output output = {0};
    dm_model model = {0};
    dm_strings given = {0};
    dm_assignments *assignments = NULL;
    dm_manifest_facts facts = {0};
    demarc_export_result r = {0};
    dm_export_source from = {.run = o->run, .model = &model, .threads = ctx->threads, .log = &ctx->log};
    DM_TRY_ALL(ctx->comm, check_options(o));
    DM_TRY_ALL(ctx->comm, dm_run_find(&files, o->run));
    DM_TRY(dm_run_spare(ctx->comm, o->out, &files));
    if (!o->dry_run) DM_TRY(dm_output_begin(&output, ctx->comm, o->out, DM_OUTPUT_FILE, o->force));
    DM_TRY(dm_model_read(ctx->comm, &model, files.model, DEMARC_ERR_DATA));
    DM_TRY_ALL(ctx->comm, dm_segment_names_parse(o->names, model.k, &given));
    DM_TRY_ALL(ctx->comm, dm_segment_names_replace(&model.segment, &given));
    from.name = &model.segment;
    if (o->format != DEMARC_EXPORT_PMML) {
        DM_TRY(dm_assignments_open(&assignments, ctx->comm, files.assignments, &from.n));
        from.assignments = assignments;
    }
    if (o->format == DEMARC_EXPORT_SQLITE) {
        DM_TRY_ALL(ctx->comm, dm_comm_rank(ctx->comm) == 0 ? dm_manifest_read(files.manifest, &facts) : DEMARC_OK);
    }
    from.fitted_by = facts.version;
    r = (demarc_export_result){.rows = from.n, .d = model.d, .k = model.k};
    snprintf(r.digest, sizeof r.digest, "%s", model.digest);
    if (!o->dry_run) {
        DM_TRY(write_and_share(ctx, o, &from, &output, &r));
        DM_TRY(dm_output_commit(&output, ctx->comm));
    }
    if (result != NULL) *result = r;
cleanup:
    dm_manifest_facts_clear(&facts);
    dm_assignments_shut(&assignments);
    dm_strings_clear(&given);
    dm_model_destroy(&model);
    dm_output_abandon(&output, ctx->comm);
    return st;
}
