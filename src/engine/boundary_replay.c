/* demarc_boundary_replay: a past campaign under a saved model. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/replay.h"
#include "boundary/segment_sizes.h"
#include "engine/boundary_resume.h"
#include "engine/moved_model.h"
#include "store/output.h"

void demarc_replay_options_default(demarc_replay_options *o)
{
    *o = (demarc_replay_options){
        .alpha = 0.05, .srm_alpha = 0.001, .min_cell = 30, .min_events = 5, .checkpoint_every = 60.0};
}

static demarc_status check_options(const demarc_replay_options *o)
{
    if (o->data == NULL || o->model == NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: boundary replay: name a customer file and --model");
    }
    if (!(o->alpha > 0.0 && o->alpha < 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "level outside (0, 1): --alpha %g: use a number such as 0.05", o->alpha);
    }
    if (!(o->srm_alpha >= 0.0 && o->srm_alpha < 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "level outside [0, 1): --srm-alpha %g: use a number such as 0.001",
                       o->srm_alpha);
    }
    if (o->policy != NULL && o->arms != NULL) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "two policies: --policy and --arms: give the policy or the arms to learn it from");
    }
    if (o->min_cell < 0 || o->min_events < 0) {
        return dm_fail(DEMARC_ERR_USAGE, "negative number: --min-cell %lld, --min-events %lld: use 0 or more",
                       (long long)o->min_cell, (long long)o->min_events);
    }
    return DEMARC_OK;
}

/* Write the model with the one boundary moved that gains most, if any does. Collective. */
static demarc_status apply(demarc_context *ctx, const demarc_replay_options *o, const dm_frozen *f, const dm_replay *r,
                           dm_boundary_resume *resume, const char *json)
{
    demarc_status st = DEMARC_OK;
    const dm_replay_report *t = dm_replay_result(r);
    const dm_model *model = f->model;
    const int32_t best = dm_replay_best(r);
    double *offsets = NULL;
    int64_t *size = NULL;
    if (best < 0) {
        dm_log_warn(&ctx->log, "nothing applied: no move is a significant gain in %s; %s was not written",
                    t->outcome[0].name, o->apply);
        return DEMARC_OK;
    }
    const dm_replay_cut *cut = &t->cut[best];
    st = dm_alloc(offsets, model->k, "offsets");
    if (st == DEMARC_OK) st = dm_alloc(size, model->k, "offsets");
    DM_TRY_ALL(ctx->comm, st);
    memcpy(offsets, model->offsets, (size_t)model->k * sizeof *offsets);
    offsets[cut->segment] = cut->offset;
    DM_TRY(dm_segment_sizes(f, offsets, size));
    if (size[cut->segment] != cut->target) {
        dm_log_warn(&ctx->log,
                    "customers at the same place as the new boundary stay together: segment %d holds %lld, not %lld",
                    (int)cut->segment, (long long)size[cut->segment], (long long)cut->target);
    }
    DM_TRY(dm_moved_model_write(ctx, model, offsets, size, dm_boundary_resume_made(resume, json), o->apply,
                                dm_boundary_resume_replaces(resume)));
    dm_log_line(&ctx->log, "applied: segment %d moved by %+g%% to %lld customers, the largest gain in %s: %s",
                (int)cut->segment, 100.0 * cut->shift, (long long)size[cut->segment], t->outcome[0].name, o->apply);
cleanup:
    dm_free(offsets);
    dm_free(size);
    return st;
}

/* Everything that changes the result. */
static demarc_status describe_options(dm_boundary_resume *r, const demarc_replay_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_strings *list = &r->resume.options;
    DM_TRY(dm_resume_add(list, "--outcome", "%s", dm_resume_or_none(o->outcome)));
    DM_TRY(dm_resume_add(list, "--arms", "%s", dm_resume_or_none(o->arms)));
    DM_TRY(dm_resume_add(list, "--policy", "%s", dm_resume_or_none(o->policy)));
    DM_TRY(dm_resume_add(list, "--arm-costs", "%s", dm_resume_or_none(o->arm_costs)));
    DM_TRY(dm_resume_add(list, "--control", "%s", dm_resume_or_none(o->control)));
    DM_TRY(dm_resume_add(list, "--arm-shares", "%s", dm_resume_or_none(o->arm_shares)));
    DM_TRY(dm_resume_add(list, "--seed", "%llu", (unsigned long long)o->seed));
    DM_TRY(dm_resume_add(list, "--shifts", "%s", dm_resume_or_none(o->shifts)));
    DM_TRY(dm_resume_add(list, "--alpha", "%.17g", o->alpha));
    DM_TRY(dm_resume_add(list, "--adjust", "%s", o->adjust == DEMARC_ADJUST_BH ? "bh" : "holm"));
    DM_TRY(dm_resume_add(list, "--srm-alpha", "%.17g", o->srm_alpha));
    DM_TRY(dm_resume_add(list, "--min-cell", "%lld", (long long)o->min_cell));
    DM_TRY(dm_resume_add(list, "--min-events", "%lld", (long long)o->min_events));
    DM_TRY(dm_boundary_resume_paths(r, &o->paths));
cleanup:
    return st;
}

static demarc_status plan_only(demarc_context *ctx, const dm_frozen *f, const demarc_replay_options *o)
{
    int32_t cuts = 0;
    const demarc_status st = dm_replay_check(f, o, &cuts);
    if (st != DEMARC_OK) return st;
    dm_log_line(&ctx->log, "plan: %lld customers in %d segments, %d moves of boundaries, by %d ranks x %d threads",
                (long long)dm_rows_global(f->rows), (int)f->model->k, (int)cuts, dm_comm_size(ctx->comm), ctx->threads);
    return DEMARC_OK;
}

demarc_status demarc_boundary_replay(demarc_context *ctx, const demarc_replay_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = check_options(o);
    dm_frozen_model m = {0};
    dm_output output = {0};
    dm_replay *r = NULL;
    char *text = NULL;
    dm_boundary_resume resume = {0};
    const dm_boundary_resume_options keep = {.what = "boundary replay",
                                             .checkpoint = o->checkpoint,
                                             .apply = o->apply,
                                             .every = o->checkpoint_every,
                                             .resume = o->resume,
                                             .force = o->force,
                                             .campaign = true,
                                             .dry_run = o->dry_run};
    *json = NULL;
    if (st != DEMARC_OK) return st;
    DM_TRY(dm_boundary_resume_check(&keep));
    DM_TRY(dm_boundary_resume_begin(&resume, ctx, &keep));
    DM_TRY_ALL(ctx->comm, describe_options(&resume, o));
    DM_TRY(dm_output_spare_input(ctx->comm, o->apply, o->data));
    DM_TRY(dm_output_spare_input(ctx->comm, o->apply, o->model));
    DM_TRY(dm_boundary_resume_look_back(&resume));
    /* Refused before the work rather than after it; the file is begun again when there is something to write. */
    if (o->apply != NULL) {
        DM_TRY(dm_output_begin(&output, ctx->comm, o->apply, DM_OUTPUT_FILE, dm_boundary_resume_replaces(&resume)));
    }
    dm_output_abandon(&output, ctx->comm);
    DM_TRY(dm_boundary_resume_open(&resume, &m, ctx, o->model, o->data, &o->paths));
    dm_frozen f = dm_frozen_model_view(&m, ctx);
    if (o->dry_run) {
        st = plan_only(ctx, &f, o);
        goto cleanup;
    }
    DM_TRY(dm_boundary_resume_restore(&resume, &m));
    if (resume.finished) {
        st = dm_boundary_resume_report(&resume, json);
        goto cleanup;
    }
    f.journal = resume.journal;
    DM_TRY(dm_replay_run(&r, &f, o));
    if (dm_comm_rank(ctx->comm) == 0) st = dm_replay_json(dm_replay_result(r), &text);
    DM_TRY_ALL(ctx->comm, st);
    if (o->apply != NULL) DM_TRY(apply(ctx, o, &f, r, &resume, text));
    dm_boundary_resume_forget(&resume, o->apply != NULL && dm_replay_best(r) >= 0);
    *json = text;
    text = NULL;
cleanup:
    free(text);
    dm_replay_destroy(&r);
    dm_frozen_model_close(&m);
    dm_output_abandon(&output, ctx->comm);
    dm_boundary_resume_end(&resume, st);
    return st;
}
