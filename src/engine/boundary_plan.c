/* demarc_boundary_plan: a randomised experiment around the boundaries of a saved model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/facet_list.h"
#include "boundary/plan_power.h"
#include "engine/boundary_resume.h"
#include "engine/text_file.h"
#include "store/output.h"

#define ROW_BYTES 48 /* of experiment.h5 besides the id */

void demarc_plan_options_default(demarc_plan_options *o)
{
    *o = (demarc_plan_options){.band_share = 0.2,
                               .distance_strata = 4,
                               .switch_share = 0.5,
                               .alpha = 0.05,
                               .power = 0.8,
                               .min_cell = 30,
                               .checkpoint_every = 60.0};
}

static bool inside_unit(double v) { return v > 0.0 && v < 1.0; }

static demarc_status check_options(const demarc_plan_options *o)
{
    if (o->data == NULL || o->model == NULL || (o->out == NULL && !o->dry_run)) {
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: boundary plan: name a customer file, --model and --out");
    }
    if (!(o->band >= 0.0) || isinf(o->band)) {
        return dm_fail(DEMARC_ERR_USAGE, "band %g: --band: use a margin above 0, or 0 for --band-share", o->band);
    }
    if (!(o->band_share > 0.0 && o->band_share <= 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "share %g: --band-share: use a number above 0, at most 1", o->band_share);
    }
    if (o->distance_strata < 1) {
        return dm_fail(DEMARC_ERR_USAGE, "%d strata: --distance-strata: use 1 or more", (int)o->distance_strata);
    }
    if (!inside_unit(o->switch_share)) {
        return dm_fail(DEMARC_ERR_USAGE, "share %g: --switch-share: use a number between 0 and 1", o->switch_share);
    }
    if (!inside_unit(o->alpha) || !inside_unit(o->power)) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "probability outside (0, 1): --alpha %g, --power %g: use numbers between 0 and 1", o->alpha,
                       o->power);
    }
    if (!(o->outcome_sd >= 0.0) || isinf(o->outcome_sd) || !(o->effect >= 0.0) || isinf(o->effect)) {
        return dm_fail(DEMARC_ERR_USAGE, "not a size: --outcome-sd %g, --effect %g: use numbers above 0", o->outcome_sd,
                       o->effect);
    }
    if (o->min_cell < 0)
        return dm_fail(DEMARC_ERR_USAGE, "%lld customers: --min-cell: use 0 or more", (long long)o->min_cell);
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ outcome, salt */

/* Column and name of the outcome; a name that the file lacks will do where its spread is given. */
static demarc_status find_outcome(const demarc_plan_options *o, dm_customers *customers, int32_t *column,
                                  const char **name)
{
    const dm_schema *schema = dm_customers_schema(customers);
    *column = o->outcome != NULL ? dm_strings_find(&schema->outcome, o->outcome) : schema->outcome.count > 0 ? 0 : -1;
    *name = o->outcome != NULL ? o->outcome : *column >= 0 ? schema->outcome.item[*column] : NULL;
    if (*column >= 0) return dm_customers_use_outcomes(customers, 1, column);
    if (o->outcome_sd > 0.0) return DEMARC_OK;
    if (schema->outcome.count == 0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "no outcome to size the experiment by: %s: give its standard deviation (--outcome-sd)",
                       dm_customers_path(customers));
    }
    return dm_fail(DEMARC_ERR_USAGE, "unknown outcome: --outcome '%s': %s has '%s'%s", o->outcome,
                   dm_customers_path(customers), schema->outcome.item[0],
                   schema->outcome.count > 1 ? " and others" : "");
}

static demarc_status make_salt(const demarc_plan_options *o, const dm_model *model, char **salt)
{
    const int length = o->salt != NULL ? asprintf(salt, "%s", o->salt)
                                       : asprintf(salt, "%s/%llu", model->digest, (unsigned long long)o->seed);
    if (length >= 0) return DEMARC_OK;
    *salt = NULL;
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: salt: free some memory");
}

/* ------------------------------------------------------------------------------------------------ the plan */

typedef struct plan_call {
    demarc_context *ctx;
    const demarc_plan_options *o;
    dm_output output;
    dm_boundary_resume resume;
    dm_frozen_model model;
    int32_t *pair;
    char *salt, *json; /* json on rank 0 */
    dm_plan plan;
} plan_call;

/* Everything that names the plan and its model. */
static demarc_status design(plan_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_plan_options *o = c->o;
    const char *outcome = NULL;
    dm_plan_request request = {.band = o->band,
                               .band_share = o->band_share,
                               .distance_strata = o->distance_strata,
                               .switch_share = o->switch_share,
                               .outcome_sd = o->outcome_sd,
                               .effect = o->effect,
                               .alpha = o->alpha,
                               .power = o->power};
    if (o->boundaries != NULL) {
        DM_TRY_ALL(c->ctx->comm, dm_facet_list_parse(o->boundaries, c->model.model.k, &c->pair, &request.pairs));
    }
    request.pair = c->pair;
    DM_TRY_ALL(c->ctx->comm, find_outcome(o, c->model.customers, &request.outcome, &outcome));
    DM_TRY_ALL(c->ctx->comm, make_salt(o, &c->model.model, &c->salt));
    request.salt = c->salt;
    dm_frozen frozen = dm_frozen_model_view(&c->model, c->ctx);
    frozen.journal = c->resume.journal;
    DM_TRY(dm_plan_make(&c->plan, &frozen, &request));
    c->plan.report.head.seed = c->plan.facts.seed = o->seed;
    c->plan.report.outcome = outcome;
    c->plan.facts.outcome = outcome != NULL ? outcome : "";
cleanup:
    return st;
}

static demarc_status write_plan(plan_call *c)
{
    demarc_status st = DEMARC_OK;
    char *path = NULL;
    DM_TRY_ALL(c->ctx->comm, dm_output_path(&c->output, "experiment.h5", &path));
    c->plan.facts.made = dm_boundary_resume_made(&c->resume, NULL);
    if (dm_comm_rank(c->ctx->comm) == 0) {
        st = dm_output_room(c->output.temp_path, (ROW_BYTES + 8) * c->plan.report.customers);
    }
    DM_TRY_ALL(c->ctx->comm, st);
    DM_TRY(dm_experiment_write(c->ctx->comm, c->ctx->runtime.io, c->model.customers, path, &c->plan.facts,
                               c->plan.count, &c->plan.rows));
    if (dm_comm_rank(c->ctx->comm) == 0) st = dm_text_file_write(&c->output, "plan.json", c->json);
    DM_TRY_ALL(c->ctx->comm, st);
    DM_TRY(dm_output_commit(&c->output, c->ctx->comm));
cleanup:
    free(path);
    return st;
}

/* Everything that changes the result. */
static demarc_status describe_options(dm_boundary_resume *r, const demarc_plan_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_strings *list = &r->resume.options;
    DM_TRY(dm_resume_add(list, "--boundaries", "%s", dm_resume_or_none(o->boundaries)));
    DM_TRY(dm_resume_add(list, "--band", "%.17g", o->band));
    DM_TRY(dm_resume_add(list, "--band-share", "%.17g", o->band_share));
    DM_TRY(dm_resume_add(list, "--distance-strata", "%d", (int)o->distance_strata));
    DM_TRY(dm_resume_add(list, "--switch-share", "%.17g", o->switch_share));
    DM_TRY(dm_resume_add(list, "--salt", "%s", dm_resume_or_none(o->salt)));
    DM_TRY(dm_resume_add(list, "--outcome", "%s", dm_resume_or_none(o->outcome)));
    DM_TRY(dm_resume_add(list, "--outcome-sd", "%.17g", o->outcome_sd));
    DM_TRY(dm_resume_add(list, "--effect", "%.17g", o->effect));
    DM_TRY(dm_resume_add(list, "--alpha", "%.17g", o->alpha));
    DM_TRY(dm_resume_add(list, "--power", "%.17g", o->power));
    DM_TRY(dm_resume_add(list, "--min-cell", "%lld", (long long)o->min_cell));
    DM_TRY(dm_resume_add(list, "--seed", "%llu", (unsigned long long)o->seed));
    DM_TRY(dm_boundary_resume_paths(r, &o->paths));
cleanup:
    return st;
}

demarc_status demarc_boundary_plan(demarc_context *ctx, const demarc_plan_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = check_options(o);
    plan_call c = {.ctx = ctx, .o = o};
    const dm_boundary_resume_options keep = {.what = "boundary plan",
                                             .out = o->out,
                                             .inside = "experiment.h5",
                                             .report = "plan.json",
                                             .every = o->checkpoint_every,
                                             .resume = o->resume,
                                             .force = o->force,
                                             .dry_run = o->dry_run,
                                             .output = &c.output};
    *json = NULL;
    if (st != DEMARC_OK) return st;
    DM_TRY(dm_boundary_resume_check(&keep));
    DM_TRY(dm_boundary_resume_begin(&c.resume, ctx, &keep));
    DM_TRY_ALL(ctx->comm, describe_options(&c.resume, o));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->data));
    DM_TRY(dm_output_spare_input(ctx->comm, o->out, o->model));
    DM_TRY(dm_boundary_resume_look_back(&c.resume));
    if (!o->dry_run) {
        DM_TRY(dm_output_begin(&c.output, ctx->comm, o->out, DM_OUTPUT_PLAN, dm_boundary_resume_replaces(&c.resume)));
    }
    DM_TRY(dm_boundary_resume_open(&c.resume, &c.model, ctx, o->model, o->data, &o->paths));
    DM_TRY(dm_boundary_resume_restore(&c.resume, &c.model));
    if (c.resume.finished) {
        st = dm_boundary_resume_report(&c.resume, json);
        goto cleanup;
    }
    DM_TRY(design(&c));
    const demarc_status small = dm_plan_check(&c.plan.report, o->min_cell);
    if (small != DEMARC_OK && o->force) dm_log_warn(&ctx->log, "forced: %s", dm_error_line());
    if (small != DEMARC_OK && !o->force) DM_TRY(small);
    if (dm_comm_rank(ctx->comm) == 0) st = dm_plan_json(&c.plan.report, &c.json);
    DM_TRY_ALL(ctx->comm, st);
    if (!o->dry_run) DM_TRY(write_plan(&c));
    dm_boundary_resume_forget(&c.resume, true);
    *json = c.json;
    c.json = NULL;
cleanup:
    free(c.json);
    free(c.salt);
    dm_free(c.pair);
    dm_plan_clear(&c.plan);
    dm_frozen_model_close(&c.model);
    dm_output_abandon(&c.output, ctx->comm);
    dm_boundary_resume_end(&c.resume, st);
    return st;
}
