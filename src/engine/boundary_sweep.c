/* demarc_boundary_sweep: what would change if each segment of a saved model held more or fewer customers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/critical_file.h"
#include "boundary/segment_sizes.h"
#include "boundary/sweep.h"
#include "engine/boundary_resume.h"
#include "engine/moved_model.h"
#include "store/output.h"

void demarc_sweep_options_default(demarc_sweep_options *o)
{
    *o = (demarc_sweep_options){.replicates = 1000,
                                .alpha = 0.05,
                                .min_cell = 30,
                                .min_events = 5,
                                .apply_segment = -1,
                                .checkpoint_every = 60.0};
}

static demarc_status check_apply(const demarc_sweep_options *o)
{
    if (o->apply == NULL) {
        if (o->apply_segment == -1 && o->apply_shift == 0.0) return DEMARC_OK;
        return dm_fail(DEMARC_ERR_USAGE,
                       "no model to write: --apply-segment, --apply-shift: name it by --apply MODEL.h5");
    }
    if (o->apply_segment < 0 || o->apply_shift == 0.0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "no move: --apply: say which by --apply-segment and --apply-shift, a share that is not 0");
    }
    if (!(o->apply_shift > -1.0) || !(o->apply_shift <= 1e9))
        return dm_fail(DEMARC_ERR_USAGE, "share %g: --apply-shift: use a number above -1", o->apply_shift);
    if (o->out != NULL && strcmp(o->out, o->apply) == 0)
        return dm_fail(DEMARC_ERR_USAGE, "one name for two files: --out and --apply '%s': name two", o->out);
    return DEMARC_OK;
}

static demarc_status check_options(const demarc_sweep_options *o)
{
    if (o->data == NULL || o->model == NULL)
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: boundary sweep: name a customer file and --model");
    if (o->replicates < 0)
        return dm_fail(DEMARC_ERR_USAGE, "%d replicates: --replicates: use 0 or more", (int)o->replicates);
    if (!(o->alpha > 0.0 && o->alpha < 1.0))
        return dm_fail(DEMARC_ERR_USAGE, "level %g: --alpha: use a number between 0 and 1", o->alpha);
    if (o->min_cell < 0 || o->min_events < 0)
        return dm_fail(DEMARC_ERR_USAGE, "negative: --min-cell %lld, --min-events %lld: use 0 or more",
                       (long long)o->min_cell, (long long)o->min_events);
    return check_apply(o);
}

typedef struct sweep_call {
    demarc_context *ctx;
    const demarc_sweep_options *o;
    double *shift;
    int32_t shifts;
    dm_output output;
    dm_boundary_resume resume;
    dm_frozen_model model;
    dm_frozen frozen;
    dm_cut applied;
    dm_sweep_report report;
    double *offset; /* [k] after --apply */
    int64_t *size;
    char *json; /* rank 0 */
} sweep_call;

/* Everything that changes the result. */
static demarc_status describe_options(dm_boundary_resume *r, const demarc_sweep_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_strings *list = &r->resume.options;
    DM_TRY(dm_resume_add(list, "--shifts", "%s", dm_resume_or_none(o->shifts)));
    DM_TRY(dm_resume_add(list, "--replicates", "%d", (int)o->replicates));
    DM_TRY(dm_resume_add(list, "--alpha", "%.17g", o->alpha));
    DM_TRY(dm_resume_add(list, "--adjust", "%s", o->adjust == DEMARC_ADJUST_BH ? "bh" : "holm"));
    DM_TRY(dm_resume_add(list, "--min-cell", "%lld", (long long)o->min_cell));
    DM_TRY(dm_resume_add(list, "--min-events", "%lld", (long long)o->min_events));
    DM_TRY(dm_resume_add(list, "--seed", "%llu", (unsigned long long)o->seed));
    DM_TRY(dm_resume_add(list, "--apply-segment", "%d", (int)o->apply_segment));
    DM_TRY(dm_resume_add(list, "--apply-shift", "%.17g", o->apply_shift));
    DM_TRY(dm_boundary_resume_paths(r, &o->paths));
cleanup:
    return st;
}

/* Refuse what can be refused before the work begins. Collective. */
static demarc_status prepare(sweep_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_sweep_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    const char *const output[] = {o->out, o->apply};
    DM_TRY_ALL(comm, dm_shifts_parse(o->shifts, &c->shift, &c->shifts));
    for (int i = 0; i < 2; i++) {
        DM_TRY(dm_output_spare_input(comm, output[i], o->data));
        DM_TRY(dm_output_spare_input(comm, output[i], o->model));
    }
    DM_TRY_ALL(comm, describe_options(&c->resume, o));
    DM_TRY(dm_boundary_resume_look_back(&c->resume));
    const bool replace = dm_boundary_resume_replaces(&c->resume);
    if (o->apply != NULL && !o->dry_run) {
        dm_output trial = {0}; /* it is written last, but a name that cannot be written is told now */
        st = dm_output_begin(&trial, comm, o->apply, DM_OUTPUT_FILE, replace);
        dm_output_abandon(&trial, comm);
        DM_TRY(st);
    }
    if (o->out != NULL && !o->dry_run) DM_TRY(dm_output_begin(&c->output, comm, o->out, DM_OUTPUT_FILE, replace));
    DM_TRY(dm_boundary_resume_open(&c->resume, &c->model, c->ctx, o->model, o->data, &o->paths));
    c->frozen = dm_frozen_model_view(&c->model, c->ctx);
    if (c->model.model.k < 2)
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE, "one segment: %s: it has no boundaries, fit at least 2", o->model));
    if (o->apply != NULL && o->apply_segment >= c->model.model.k)
        DM_TRY(dm_fail(DEMARC_ERR_USAGE, "unknown segment: --apply-segment %d: segments are 0 to %d",
                       (int)o->apply_segment, (int)c->model.model.k - 1));
    DM_TRY(dm_boundary_resume_restore(&c->resume, &c->model));
    if (c->resume.finished) goto cleanup;
    c->frozen.journal = c->resume.journal;
    if (o->out != NULL && !o->dry_run && dm_comm_rank(comm) == 0)
        st = dm_output_room(c->output.temp_path, dm_critical_file_bytes(&c->frozen));
    DM_TRY_ALL(comm, st);
cleanup:
    return st;
}

static void log_plan(const sweep_call *c)
{
    const demarc_sweep_options *o = c->o;
    const dm_strings *outcome = &dm_customers_schema(c->model.customers)->outcome;
    dm_log_line(
        &c->ctx->log,
        "plan: %lld customers, %d segments x %d shifts, %d outcomes, %d replicates; %s by %d ranks x %d threads",
        (long long)dm_rows_global(c->model.rows), (int)c->model.model.k, (int)c->shifts, (int)outcome->count,
        (int)o->replicates, dm_rows_streamed(c->model.rows) ? "streamed" : "held in memory", dm_comm_size(c->ctx->comm),
        c->ctx->threads);
}

/* Write the model with one boundary moved. Collective. */
static demarc_status apply(sweep_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_sweep_options *o = c->o;
    const dm_model *model = &c->model.model;
    const dm_cut *cut = &c->applied;
    if (!cut->possible) {
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "not so many customers: --apply-shift %g: segment %d would hold %lld of %lld", o->apply_shift,
                       (int)cut->segment, (long long)cut->count, (long long)dm_rows_global(c->model.rows)));
    }
    st = dm_alloc(c->offset, model->k, "offsets");
    if (st == DEMARC_OK) st = dm_alloc(c->size, model->k, "sizes");
    DM_TRY_ALL(c->ctx->comm, st);
    memcpy(c->offset, model->offsets, (size_t)model->k * sizeof *c->offset);
    c->offset[cut->segment] = cut->offset;
    DM_TRY(dm_segment_sizes(&c->frozen, c->offset, c->size));
    if (cut->tied > 0 || c->size[cut->segment] != cut->count) {
        dm_log_warn(&c->ctx->log,
                    "segment %d of %s holds %lld customers, not %lld: %lld more are exactly as near to the new line as "
                    "the last one inside, and assign places all of them together",
                    (int)cut->segment, o->apply, (long long)c->size[cut->segment], (long long)cut->count,
                    (long long)cut->tied);
    }
    DM_TRY(dm_moved_model_write(c->ctx, model, c->offset, c->size, dm_boundary_resume_made(&c->resume, c->json),
                                o->apply, dm_boundary_resume_replaces(&c->resume)));
cleanup:
    return st;
}

/* The sweep itself: c->json, and the cut of --apply. Collective. */
static demarc_status find_result(sweep_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_sweep_options *o = c->o;
    c->applied = (dm_cut){.segment = o->apply_segment, .shift = o->apply_shift};
    const dm_sweep_options options = {.shifts = c->shifts,
                                      .shift = c->shift,
                                      .replicates = o->replicates,
                                      .alpha = o->alpha,
                                      .adjust = o->adjust == DEMARC_ADJUST_BH ? DM_ADJUST_BH : DM_ADJUST_HOLM,
                                      .min_cell = o->min_cell,
                                      .min_events = o->min_events,
                                      .seed = o->seed,
                                      .also = o->apply != NULL ? &c->applied : NULL};
    DM_TRY(dm_sweep_run(&c->report, &c->frozen, &options));
    c->report.head.command = "boundary sweep";
    if (dm_comm_rank(c->ctx->comm) == 0) st = dm_sweep_report_json(&c->report, &c->json);
    DM_TRY_ALL(c->ctx->comm, st);
cleanup:
    return st;
}

/* The same as a step of the journal: what follows needs no more than these. Collective. */
static demarc_status keep_result(sweep_call *c)
{
    demarc_status st = DEMARC_OK;
    dm_journal *j = c->resume.journal;
    dm_comm *comm = c->ctx->comm;
    dm_unpacker u;
    dm_packer p = {0};
    if (dm_journal_find(j, "result", &u)) {
        (void)dm_unpack(&u, &c->applied, sizeof c->applied);
        c->json = dm_unpack_text(&u);
        DM_TRY_ALL(comm, dm_journal_read(&u));
    } else {
        DM_TRY(find_result(c));
    }
    dm_pack(&p, &c->applied, sizeof c->applied);
    dm_pack_text(&p, c->json);
    DM_TRY_ALL(comm, dm_journal_note(j, "result", &p));
cleanup:
    dm_packer_clear(&p);
    return st;
}

static demarc_status run(sweep_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_sweep_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    DM_TRY(keep_result(c));
    if (o->out != NULL) {
        DM_TRY(dm_critical_file_write(&c->frozen, c->ctx->runtime.io, dm_boundary_resume_made(&c->resume, c->json),
                                      c->output.temp_path));
    }
    if (o->apply != NULL) DM_TRY(apply(c));
    if (o->out != NULL) DM_TRY(dm_output_commit(&c->output, comm));
    dm_boundary_resume_forget(&c->resume, o->out != NULL || o->apply != NULL);
cleanup:
    return st;
}

demarc_status demarc_boundary_sweep(demarc_context *ctx, const demarc_sweep_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    sweep_call c = {.ctx = ctx, .o = o};
    const dm_boundary_resume_options keep = {.what = "boundary sweep",
                                             .checkpoint = o->checkpoint,
                                             .out = o->out,
                                             .apply = o->apply,
                                             .every = o->checkpoint_every,
                                             .resume = o->resume,
                                             .force = o->force,
                                             .dry_run = o->dry_run,
                                             .output = &c.output};
    *json = NULL;
    DM_TRY(check_options(o));
    DM_TRY(dm_boundary_resume_check(&keep));
    DM_TRY(dm_boundary_resume_begin(&c.resume, ctx, &keep));
    DM_TRY(prepare(&c));
    if (o->dry_run) {
        log_plan(&c);
    } else {
        DM_TRY(c.resume.finished ? dm_boundary_resume_report(&c.resume, &c.json) : run(&c));
        if (dm_comm_rank(ctx->comm) == 0) {
            *json = c.json;
            c.json = NULL;
        }
    }
cleanup:
    free(c.json);
    dm_sweep_report_clear(&c.report);
    dm_free(c.offset);
    dm_free(c.size);
    dm_free(c.shift);
    dm_output_abandon(&c.output, ctx->comm);
    dm_frozen_model_close(&c.model);
    dm_boundary_resume_end(&c.resume, st);
    return st;
}
