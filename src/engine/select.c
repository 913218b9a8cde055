/* demarc_select: how many segments. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/stop.h"
#include "engine/fit_run.h"
#include "engine/guard_rails.h"
#include "report/select_report.h"
#include "engine/text_file.h"

void demarc_select_options_default(demarc_select_options *o)
{
    *o = (demarc_select_options){.replicates = 50, .gap_draws = 20, .halvings = 20};
    demarc_fit_options_default(&o->fit);
}

static demarc_status check_options(const demarc_select_options *o)
{
    if (o->replicates < 0 || o->replicates > 100000)
        return dm_fail(DEMARC_ERR_USAGE, "%d replicates: --replicates: use 0 to 100000", (int)o->replicates);
    if (o->gap_draws < 0 || o->gap_draws == 1 || o->gap_draws > 100000)
        return dm_fail(DEMARC_ERR_USAGE, "%d draws: --gap-draws: use 0, or 2 to 100000", (int)o->gap_draws);
    if (o->halvings < 0 || o->halvings > 100000)
        return dm_fail(DEMARC_ERR_USAGE, "%d halvings: --halvings: use 0 to 100000", (int)o->halvings);
    if (dm_fit_init_of(o->fit.init) == DM_INIT_GIVEN)
        return dm_fail(DEMARC_ERR_USAGE, "centroids for a range of k: --init %s: use kmeans||, kmeans++ or random",
                       o->fit.init);
    return dm_fit_check_options(&o->fit);
}

/* The document on rank 0. */
static demarc_status make_json(const dm_fit_run *run, char **json)
{
    const dm_select_report r = {.data = run->o->data,
                                .n = dm_rows_global(run->rows),
                                .d = run->transform.d,
                                .from = run->o->k_lo,
                                .to = run->o->k_hi,
                                .seed = run->o->seed,
                                .ks = run->state.ks,
                                .record = run->state.tried,
                                .recommendation = run->state.recommendation};
    for (int32_t i = 0; i < run->state.ks; i++)
        run->state.tried[i].chosen = run->state.tried[i].k == r.recommendation.k;
    return dm_select_report_json(&r, json);
}

demarc_status demarc_select(demarc_context *ctx, const demarc_select_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_output output = {0};
    bool finished = false;
    /* Small segments are a reason not to recommend a k, none to fit it otherwise. */
    demarc_fit_options fit = o->fit;
    fit.min_segment_share = 0.0;
    fit.out = NULL;
    fit.dry_run = o->dry_run;
    dm_fit_run run = {
        .ctx = ctx, .o = &fit, .select = true, .choice = dm_fit_choice_default(&o->fit), .start = dm_clock()};
    run.choice.replicates = o->replicates;
    run.choice.gap_draws = o->gap_draws;
    run.choice.halvings = o->halvings;
    run.choice.most = INT64_MAX;
    *json = NULL;
    dm_clock_utc(run.started_utc);
    DM_TRY_ALL(ctx->comm, check_options(o));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, fit.data));
    if (o->out != NULL && !o->dry_run) DM_TRY(dm_output_begin(&output, ctx->comm, o->out, DM_OUTPUT_FILE, o->force));
    DM_TRY(dm_fit_prepare(&run, &finished));
    if (!o->dry_run) {
        DM_TRY(dm_fit_search(&run));
        dm_guard_host(ctx);
        if (dm_comm_rank(ctx->comm) == 0) st = make_json(&run, json);
        if (st == DEMARC_OK && o->out != NULL && dm_comm_rank(ctx->comm) == 0)
            st = dm_text_file_write(&output, NULL, *json);
        DM_TRY_ALL(ctx->comm, st);
        if (o->out != NULL) DM_TRY(dm_output_commit(&output, ctx->comm));
    }
cleanup:
    if (st != DEMARC_OK) {
        free(*json);
        *json = NULL;
    }
    dm_output_abandon(&output, ctx->comm);
    dm_fit_run_clear(&run);
    dm_stop_clear();
    return st;
}
