/* demarc_boundary_analyze: from an experiment and what became of its customers to effects, decisions and a moved model. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/analyze.h"
#include "boundary/decide.h"
#include "engine/context.h"
#include "engine/moved_model.h"
#include "store/output.h"

void demarc_analyze_options_default(demarc_analyze_options *o)
{
    *o = (demarc_analyze_options){.srm_alpha = 0.001, .max_attrition = 0.1, .min_cell = 30, .min_events = 5};
}

static bool is_share(double v) { return v > 0.0 && v < 1.0; }

static demarc_status check_options(const demarc_analyze_options *o)
{
    if (o->experiment == NULL || o->results == NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: boundary analyze: name an experiment and a results file");
    }
    if (o->apply != NULL && o->model == NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "no model to move: --apply: name the frozen model too (--model MODEL.h5)");
    }
    if (o->alpha != 0.0 && !is_share(o->alpha)) {
        return dm_fail(DEMARC_ERR_USAGE, "%g: --alpha: use a share above 0 and below 1", o->alpha);
    }
    if (o->adjust != DEMARC_ADJUST_HOLM && o->adjust != DEMARC_ADJUST_BH) {
        return dm_fail(DEMARC_ERR_USAGE, "unknown adjustment: --adjust: use holm or bh");
    }
    if (!(o->srm_alpha >= 0.0 && o->srm_alpha < 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "%g: --srm-alpha: use a share from 0 to below 1", o->srm_alpha);
    }
    if (!(o->max_attrition >= 0.0 && o->max_attrition <= 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "%g: --max-attrition: use a share from 0 to 1", o->max_attrition);
    }
    if (o->min_cell < 2) {
        return dm_fail(DEMARC_ERR_USAGE, "%lld: --min-cell: use 2 or more", (long long)o->min_cell);
    }
    if (o->min_events < 0) {
        return dm_fail(DEMARC_ERR_USAGE, "%lld: --min-events: use 0 or more", (long long)o->min_events);
    }
    return DEMARC_OK;
}

/* What would refuse the output later refuses it before the work. */
static demarc_status check_output(demarc_context *ctx, const demarc_analyze_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_output probe = {0};
    if (o->apply == NULL) return DEMARC_OK;
    DM_TRY(dm_output_spare_input(ctx->comm, o->apply, o->experiment));
    DM_TRY(dm_output_spare_input(ctx->comm, o->apply, o->results));
    DM_TRY(dm_output_spare_input(ctx->comm, o->apply, o->model));
    DM_TRY(dm_output_begin(&probe, ctx->comm, o->apply, DM_OUTPUT_FILE, o->force));
cleanup:
    dm_output_abandon(&probe, ctx->comm);
    return st;
}

/* A column of the results by the name that an option gives. */
static demarc_status find_column(const dm_strings *names, const char *name, const char *option, const char *path,
                                 int32_t *column)
{
    *column = dm_strings_find(names, name);
    if (*column >= 0) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE, "no outcome '%s': %s, --%s: name one that it has ('%s'%s)", name, path, option,
                   names->item[0], names->count > 1 ? ", ..." : "");
}

static demarc_status choose_columns(const demarc_analyze_options *o, const dm_schema *schema, const char *planned,
                                    int32_t *outcome, int32_t *pre)
{
    demarc_status st = DEMARC_OK;
    const dm_strings *names = &schema->outcome;
    *pre = -1;
    if (names->count == 0) {
        return dm_fail(DEMARC_ERR_DATA, "no outcomes: %s: give a file that has them (--outcomes PATH)", o->results);
    }
    if (o->outcome != NULL) {
        DM_TRY(find_column(names, o->outcome, "outcome", o->results, outcome));
    } else {
        *outcome = dm_strings_find(names, planned);
        if (*outcome < 0) *outcome = 0;
    }
    if (o->pre != NULL) DM_TRY(find_column(names, o->pre, "pre", o->results, pre));
    if (*pre == *outcome) {
        st = dm_fail(DEMARC_ERR_USAGE, "'%s' is the outcome itself: --pre: name a column from before the experiment",
                     o->pre);
    }
cleanup:
    return st;
}

/* The frozen model, which must be the one that the experiment was planned with. */
static demarc_status read_model(demarc_context *ctx, const demarc_analyze_options *o, const char *digest,
                                dm_model *model)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_model_read(ctx->comm, model, o->model, DEMARC_ERR_DATA));
    if (strcmp(model->digest, digest) != 0) {
        st = dm_fail(DEMARC_ERR_DATA, "another model: %s has digest %s, but %s was planned with %s: name that model",
                     o->model, model->digest, o->experiment, digest);
    }
cleanup:
    return st;
}

/* A segment that the model does not have cannot have been planned with it. */
static demarc_status count_segments(const demarc_analyze_options *o, const dm_model *model, const dm_analyze_report *r,
                                    int32_t *k)
{
    *k = model->k;
    for (int32_t b = 0; b < r->boundaries; b++) {
        const int32_t segment = r->boundary[b].segments[1];
        if (o->model == NULL && segment >= *k) *k = segment + 1;
        if (segment >= *k) {
            return dm_fail(DEMARC_ERR_DATA,
                           "damaged experiment: %s, /boundaries names segment %d, the model has %d: "
                           "plan again",
                           o->experiment, (int)segment, (int)*k);
        }
    }
    return DEMARC_OK;
}

static demarc_status decide(const demarc_analyze_options *o, const dm_model *model, dm_analyze_report *r)
{
    demarc_status st = DEMARC_OK;
    double *change = NULL;
    int32_t k = 0;
    bool moves = false;
    dm_decide(r);
    for (int32_t b = 0; b < r->boundaries; b++) moves = moves || r->boundary[b].moves;
    if (!moves) return DEMARC_OK;
    DM_TRY(count_segments(o, model, r, &k));
    DM_TRY(dm_alloc(change, k, "offsets"));
    DM_TRY(dm_decide_offsets(r, k, model->size, change));
    if (o->model == NULL) goto cleanup;
    for (int32_t j = 0; j < k; j++) change[j] += model->offsets[j];
    r->offsets = change;
    change = NULL;
cleanup:
    dm_free(change);
    return st;
}

static demarc_status apply(demarc_context *ctx, const demarc_analyze_options *o, const dm_model *model,
                           const dm_analyze_report *r)
{
    if (o->apply == NULL || o->dry_run) return DEMARC_OK;
    if (r->offsets == NULL) {
        dm_log_warn(&ctx->log, "no boundary moves: %s was not written", o->apply);
        return DEMARC_OK;
    }
    return dm_moved_model_write(ctx, model, r->offsets, NULL, NULL, o->apply, o->force);
}

demarc_status demarc_boundary_analyze(demarc_context *ctx, const demarc_analyze_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_experiment *experiment = NULL;
    dm_customers *results = NULL;
    dm_model model = {0};
    dm_joined_row *row = NULL;
    dm_analyze_report r = {0};
    int64_t rows = 0;
    int32_t outcome = 0, pre = -1;
    *json = NULL;
    DM_TRY_ALL(ctx->comm, check_options(o));
    DM_TRY(check_output(ctx, o));
    DM_TRY(dm_experiment_open(&experiment, ctx->comm, o->experiment));
    const dm_experiment_facts *facts = dm_experiment_facts_of(experiment);
    if (o->model != NULL) DM_TRY(read_model(ctx, o, facts->model_digest, &model));
    DM_TRY(dm_customers_open_results(&results, ctx->comm, o->results, &o->paths));
    DM_TRY_ALL(ctx->comm, choose_columns(o, dm_customers_schema(results), facts->outcome, &outcome, &pre));
    DM_TRY(dm_join_results(ctx->comm, experiment, results, outcome, pre, &row, &rows));
    const dm_strings *names = &dm_customers_schema(results)->outcome;
    r = (dm_analyze_report){.head = {.command = "boundary analyze",
                                     .n = facts->customers,
                                     .d = model.d,
                                     .k = model.k,
                                     .model_digest = facts->model_digest,
                                     .seed = facts->seed,
                                     .alpha = o->alpha != 0.0 ? o->alpha : facts->alpha,
                                     .adjust = o->adjust == DEMARC_ADJUST_BH ? DM_ADJUST_BH : DM_ADJUST_HOLM},
                            .experiment = o->experiment,
                            .results = o->results,
                            .outcome = names->item[outcome],
                            .pre = pre >= 0 ? names->item[pre] : NULL,
                            .srm_alpha = o->srm_alpha,
                            .max_attrition = o->max_attrition,
                            .min_cell = o->min_cell,
                            .min_events = o->min_events};
    DM_TRY(dm_analyze(ctx->comm, ctx->threads, facts, row, rows, pre >= 0, &r));
    DM_TRY_ALL(ctx->comm, decide(o, &model, &r));
    DM_TRY_ALL(ctx->comm, dm_comm_rank(ctx->comm) == 0 ? dm_analyze_json(&r, json) : DEMARC_OK);
    DM_TRY(apply(ctx, o, &model, &r));
cleanup:
    if (st != DEMARC_OK) {
        free(*json);
        *json = NULL;
    }
    dm_free(row);
    dm_analyze_report_clear(&r);
    dm_model_destroy(&model);
    dm_customers_close(&results);
    dm_experiment_close(&experiment);
    return st;
}
