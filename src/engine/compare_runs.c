/* demarc_compare: two results directories side by side. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "diagnosis/compare.h"
#include "diagnosis/drift.h"
#include "engine/frozen_model.h"
#include "engine/match_features.h"
#include "engine/run_files.h"
#include "engine/text_file.h"
#include "rows/scaling.h"
#include "store/output.h"

void demarc_compare_options_default(demarc_compare_options *o)
{
    *o = (demarc_compare_options){.alpha = 0.05, .bins = 10, .equivalence = 0.1};
}

static demarc_status check_options(const demarc_compare_options *o)
{
    if (o->old_run == NULL || o->new_run == NULL)
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: compare: name two results directories, the old and the new");
    if (!(o->alpha > 0.0 && o->alpha < 1.0))
        return dm_fail(DEMARC_ERR_USAGE, "level %g: --alpha: use a number between 0 and 1", o->alpha);
    if (o->bins < 2 || o->bins > DM_DRIFT_BINS_MAX)
        return dm_fail(DEMARC_ERR_USAGE, "%d bins: --bins: use 2 to %d", (int)o->bins, DM_DRIFT_BINS_MAX);
    if (!(o->equivalence > 0.0) || isinf(o->equivalence))
        return dm_fail(DEMARC_ERR_USAGE, "margin %g: --equivalence: use a number above 0", o->equivalence);
    return DEMARC_OK;
}

/* One of the two runs, and the new customers under the old scaling. */
typedef struct compared_side {
    dm_frozen_model model;
    dm_manifest_facts facts;
    dm_assignments *assignments;
} compared_side;

typedef struct compare_call {
    demarc_context *ctx;
    const demarc_compare_options *o;
    dm_output output;
    compared_side side[2];
    int32_t *place;  /* [d] feature of the new model for each of the old one */
    int32_t *column; /* [d] of the new file likewise */
    dm_rows *carried;
    dm_scan carried_scan;
    dm_compare_report report;
    char *json; /* rank 0 */
} compare_call;

static const char *folder_of(const compare_call *c, int side) { return side == 0 ? c->o->old_run : c->o->new_run; }

/* A results directory with its model, customers and labels. Collective. */
static demarc_status open_side(compare_call *c, int side)
{
    demarc_status st = DEMARC_OK;
    compared_side *s = &c->side[side];
    const char *folder = folder_of(c, side), *other = side == 0 ? c->o->old_data : c->o->new_data;
    dm_run_files files;
    int64_t n = 0;
    DM_TRY_ALL(c->ctx->comm, dm_run_find(&files, folder));
    DM_TRY(dm_run_spare(c->ctx->comm, c->o->out, &files));
    DM_TRY(dm_run_manifest(c->ctx, files.manifest, &s->facts));
    DM_TRY(dm_assignments_open(&s->assignments, c->ctx->comm, files.assignments, &n));
    DM_TRY(dm_frozen_model_open(&s->model, c->ctx, files.model, other != NULL ? other : s->facts.input_path,
                                &s->facts.paths, true, DEMARC_ERR_DATA));
    DM_TRY(dm_output_spare_input(c->ctx->comm, c->o->out, dm_customers_path(s->model.customers)));
    if (n != dm_rows_global(s->model.rows)) {
        st = dm_fail(DEMARC_ERR_DATA,
                     "not the customers of this run: %s has %lld rows, %s %lld: name the file that was fitted "
                     "(--%s-data)",
                     files.assignments, (long long)n, dm_customers_path(s->model.customers),
                     (long long)dm_rows_global(s->model.rows), side == 0 ? "old" : "new");
    }
cleanup:
    return st;
}

/* Which feature of the new model is which of the old one. Local. */
static demarc_status place_features(compare_call *c)
{
    const dm_model *old = &c->side[0].model.model, *new = &c->side[1].model.model;
    const bool by_name = old->named && new->named;
    const char *a = folder_of(c, 0), *b = folder_of(c, 1);
    if (old->d != new->d) {
        return dm_fail(DEMARC_ERR_DATA,
                       "runs of different widths: %s has %d features, %s %d: compare runs of the same features", a,
                       (int)old->d, b, (int)new->d);
    }
    const demarc_status st = dm_alloc(c->place, old->d, "features");
    if (st != DEMARC_OK) return st;
    for (int32_t f = 0; f < old->d; f++) {
        c->place[f] = by_name ? dm_strings_find(&new->feature, old->feature.item[f]) : f;
        if (c->place[f] >= 0) continue;
        for (int32_t g = 0; g < new->d; g++) {
            if (dm_strings_find(&old->feature, new->feature.item[g]) >= 0) continue;
            return dm_fail(DEMARC_ERR_DATA,
                           "other features: %s has '%s', where %s has '%s': compare runs of the same features", a,
                           old->feature.item[f], b, new->feature.item[g]);
        }
    }
    return DEMARC_OK;
}

/* The new customers as the old run would have scaled them. Collective. */
static demarc_status carry_rows(compare_call *c)
{
    demarc_status st = DEMARC_OK;
    dm_customers *customers = c->side[1].model.customers;
    const dm_model *old = &c->side[0].model.model;
    bool identity = false;
    DM_TRY_ALL(c->ctx->comm, dm_alloc(c->column, old->d, "features"));
    DM_TRY_ALL(c->ctx->comm, dm_match_features(customers, old, c->column, &identity));
    DM_TRY(
        dm_context_rows(c->ctx, customers, old->d, identity ? NULL : c->column, true, DEMARC_STORE_AUTO, &c->carried));
    DM_TRY(dm_rows_scan(c->carried, old->transform.log1p, &c->carried_scan));
    /* Whether missing values may be there is the new run's to say: where they are, they stand at the old mean. */
    DM_TRY_ALL(c->ctx->comm, dm_scaling_check_values(c->carried, &c->carried_scan, true));
    DM_TRY_ALL(c->ctx->comm, dm_scaling_check_range(c->carried, &c->carried_scan, &old->transform));
    DM_TRY(dm_rows_scale(c->carried, &old->transform));
cleanup:
    return st;
}

static dm_compared_run side_view(const compare_call *c, int side)
{
    const compared_side *s = &c->side[side];
    return (dm_compared_run){.folder = folder_of(c, side),
                             .model = &s->model.model,
                             .customers = s->model.customers,
                             .rows = s->model.rows,
                             .assignments = s->assignments,
                             .column = side == 0 ? s->model.column : c->column,
                             .weight_high = s->model.scan.weight_high};
}

static demarc_status run(compare_call *c)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = c->ctx;
    const demarc_compare_options *o = c->o;
    const dm_compared compared = {.comm = ctx->comm,
                                  .log = &ctx->log,
                                  .kernel = ctx->kernel,
                                  .threads = ctx->threads,
                                  .memory_limit = ctx->runtime.memory_limit,
                                  .d = c->side[0].model.model.d,
                                  .run = {side_view(c, 0), side_view(c, 1)},
                                  .carried = c->carried,
                                  .place = c->place};
    const dm_compare_options options = {.bins = o->bins,
                                        .alpha = o->alpha,
                                        .margin = o->equivalence,
                                        .name = {&c->side[0].model.model.segment, &c->side[1].model.model.segment}};
    DM_TRY(dm_compare(&c->report, &compared, &options));
    if (dm_comm_rank(ctx->comm) == 0) st = dm_compare_json(&c->report, &c->json);
    DM_TRY_ALL(ctx->comm, st);
    if (o->out == NULL) goto cleanup;
    if (dm_comm_rank(ctx->comm) == 0) st = dm_text_file_write(&c->output, "", c->json);
    DM_TRY_ALL(ctx->comm, st);
    DM_TRY(dm_output_commit(&c->output, ctx->comm));
cleanup:
    return st;
}

static void close_call(compare_call *c)
{
    free(c->json);
    dm_compare_report_clear(&c->report);
    dm_rows_close(&c->carried);
    dm_scan_destroy(&c->carried_scan);
    dm_free(c->place);
    dm_free(c->column);
    for (int side = 0; side < 2; side++) {
        dm_assignments_shut(&c->side[side].assignments);
        dm_frozen_model_close(&c->side[side].model);
        dm_manifest_facts_clear(&c->side[side].facts);
    }
    dm_output_abandon(&c->output, c->ctx->comm);
}

demarc_status demarc_compare(demarc_context *ctx, const demarc_compare_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = check_options(o);
    compare_call c = {.ctx = ctx, .o = o};
    *json = NULL;
    if (st != DEMARC_OK) return st;
    for (int side = 0; side < 2; side++) DM_TRY(dm_output_spare_input(ctx->comm, o->out, folder_of(&c, side)));
    if (o->out != NULL && !o->dry_run) DM_TRY(dm_output_begin(&c.output, ctx->comm, o->out, DM_OUTPUT_FILE, o->force));
    for (int side = 0; side < 2; side++) DM_TRY(open_side(&c, side));
    DM_TRY_ALL(ctx->comm, place_features(&c));
    DM_TRY(carry_rows(&c));
    if (o->dry_run) {
        dm_log_line(&ctx->log,
                    "plan: %lld customers in %d segments against %lld in %d, %d features, streamed by %d ranks x %d "
                    "threads",
                    (long long)dm_rows_global(c.side[0].model.rows), (int)c.side[0].model.model.k,
                    (long long)dm_rows_global(c.side[1].model.rows), (int)c.side[1].model.model.k,
                    (int)c.side[0].model.model.d, dm_comm_size(ctx->comm), ctx->threads);
        goto cleanup;
    }
    DM_TRY(run(&c));
    *json = c.json;
    c.json = NULL;
cleanup:
    close_call(&c);
    return st;
}
