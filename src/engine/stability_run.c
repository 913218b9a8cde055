/* demarc_stability: how stable the segments of a saved model are. */
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "diagnosis/membership_file.h"
#include "engine/frozen_model.h"
#include "engine/run_files.h"
#include "engine/text_file.h"

void demarc_stability_options_default(demarc_stability_options *o)
{
    *o = (demarc_stability_options){.replicates = 100, .polish = -1, .level = 0.95};
}

static demarc_status check_options(const demarc_stability_options *o)
{
    if (o->data == NULL || o->model == NULL)
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: stability: name a customer file and --model");
    if (o->replicates < 2 || o->replicates > 1000000)
        return dm_fail(DEMARC_ERR_USAGE, "%d replicates: --replicates: use 2 to 1000000", (int)o->replicates);
    if (o->polish < -1) return dm_fail(DEMARC_ERR_USAGE, "%d passes: --polish: use 0 or more", (int)o->polish);
    if (!(o->level > 0.0 && o->level < 1.0))
        return dm_fail(DEMARC_ERR_USAGE, "level %g: --level: use a number between 0 and 1", o->level);
    if ((o->across_lo != 0 || o->across_hi != 0) && (o->across_lo < 1 || o->across_hi < o->across_lo)) {
        return dm_fail(DEMARC_ERR_USAGE, "%d to %d segments: --across: use LO:HI with 1 <= LO <= HI", (int)o->across_lo,
                       (int)o->across_hi);
    }
    if (o->out != NULL && o->probabilities != NULL && strcmp(o->out, o->probabilities) == 0)
        return dm_fail(DEMARC_ERR_USAGE, "one name for two files: --out and --probabilities '%s': name two", o->out);
    return DEMARC_OK;
}

typedef struct stability_call {
    demarc_context *ctx;
    const demarc_stability_options *o;
    dm_output document, table;
    dm_frozen_model model;
    dm_solution_data data;
    dm_stability_report report;
    dm_memberships members;
    char *json; /* rank 0 */
} stability_call;

/* Refuse what can be refused before the work begins. Collective. */
static demarc_status prepare(stability_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_stability_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    const char *const output[] = {o->out, o->probabilities};
    dm_output *const begun[] = {&c->document, &c->table};
    for (int i = 0; i < 2; i++) {
        DM_TRY(dm_output_spare_input(comm, output[i], o->data));
        DM_TRY(dm_output_spare_input(comm, output[i], o->model));
    }
    for (int i = 0; i < 2; i++) {
        if (output[i] != NULL && !o->dry_run)
            DM_TRY(dm_output_begin(begun[i], comm, output[i], DM_OUTPUT_FILE, o->force));
    }
    DM_TRY(dm_frozen_model_open(&c->model, c->ctx, o->model, o->data, &o->paths, false, DEMARC_ERR_DATA));
    if (o->across_hi > dm_rows_global(c->model.rows)) {
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE, "fewer customers than segments: --across %d:%d: %s has %lld customers",
                       (int)o->across_lo, (int)o->across_hi, o->data, (long long)dm_rows_global(c->model.rows)));
    }
    c->data = (dm_solution_data){.comm = comm,
                                 .log = &c->ctx->log,
                                 .kernel = c->ctx->kernel,
                                 .threads = c->ctx->threads,
                                 .rows = c->model.rows,
                                 .customers = c->model.customers,
                                 .model = &c->model.model,
                                 .scan = &c->model.scan,
                                 .seed = o->seed};
    DM_TRY(dm_run_room(comm, &c->table, o->probabilities, dm_membership_file_bytes(&c->data)));
cleanup:
    return st;
}

static demarc_status run(stability_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_stability_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    const dm_model *model = &c->model.model;
    const dm_stability_options options = {.replicates = o->replicates,
                                          .polish = o->polish,
                                          .level = o->level,
                                          .across_from = o->across_lo,
                                          .across_to = o->across_hi};
    DM_TRY(dm_stability_run(&c->report, o->probabilities != NULL ? &c->members : NULL, &c->data, &options));
    c->report.data = o->data;
    for (int32_t j = 0; j < model->k; j++) c->report.segment[j].name = model->segment.item[j];
    if (dm_comm_rank(comm) == 0) st = dm_stability_report_json(&c->report, &c->json);
    if (st == DEMARC_OK && o->out != NULL && dm_comm_rank(comm) == 0)
        st = dm_text_file_write(&c->document, NULL, c->json);
    DM_TRY_ALL(comm, st);
    if (o->probabilities != NULL) {
        DM_TRY(dm_membership_file_write(&c->data, &c->members, c->ctx->runtime.io, c->table.temp_path));
        DM_TRY(dm_output_commit(&c->table, comm));
    }
    if (o->out != NULL) DM_TRY(dm_output_commit(&c->document, comm));
cleanup:
    return st;
}

demarc_status demarc_stability(demarc_context *ctx, const demarc_stability_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    stability_call c = {.ctx = ctx, .o = o};
    *json = NULL;
    DM_TRY(check_options(o));
    DM_TRY(prepare(&c));
    if (o->dry_run) {
        dm_log_line(&ctx->log, "plan: %lld customers, %d segments, %d replicates; %s by %d ranks x %d threads",
                    (long long)dm_rows_global(c.model.rows), (int)c.model.model.k, (int)o->replicates,
                    dm_rows_streamed(c.model.rows) ? "streamed" : "held in memory", dm_comm_size(ctx->comm),
                    ctx->threads);
    } else {
        DM_TRY(run(&c));
        *json = c.json;
        c.json = NULL;
    }
cleanup:
    free(c.json);
    dm_stability_report_clear(&c.report);
    dm_memberships_clear(&c.members);
    dm_output_abandon(&c.document, ctx->comm);
    dm_output_abandon(&c.table, ctx->comm);
    dm_frozen_model_close(&c.model);
    dm_stop_clear();
    return st;
}
