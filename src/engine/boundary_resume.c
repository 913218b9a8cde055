#include "engine/boundary_resume.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/stop.h"
#include "stats/digest.h"
#include "engine/text_file.h"
#include "store/id_hash.h"
#include "store/path_tools.h"

static const char *place_of(const dm_boundary_resume_options *o)
{
    return o->checkpoint != NULL ? o->checkpoint : o->out != NULL ? o->out : o->apply;
}

demarc_status dm_boundary_resume_check(const dm_boundary_resume_options *o)
{
    if (!(o->every >= 0.0))
        return dm_fail(DEMARC_ERR_USAGE, "%g seconds: --checkpoint-every: use a number >= 0", o->every);
    if (o->resume && !o->dry_run && place_of(o) == NULL)
        return dm_fail(DEMARC_ERR_USAGE,
                       "no place for checkpoints: --resume: %s writes no file: name the place by --checkpoint NAME",
                       o->what);
    if (o->checkpoint != NULL && o->checkpoint[0] == 0)
        return dm_fail(DEMARC_ERR_USAGE, "no name: --checkpoint '': give one such as run1");
    return DEMARC_OK;
}

demarc_status dm_boundary_resume_begin(dm_boundary_resume *r, demarc_context *ctx, const dm_boundary_resume_options *o)
{
    const char *place = o->dry_run ? NULL : place_of(o);
    *r = (dm_boundary_resume){.o = o, .ctx = ctx, .resume = {.what = o->what, .out = place, .temporary_of = o->out}};
    const demarc_status st = dm_checkpoint_begin(&r->resume.checkpoint, ctx->comm, &ctx->log, place, o->every);
    if (st != DEMARC_OK) return st;
    return dm_comm_agree(ctx->comm, dm_resume_add_program(&r->resume));
}

demarc_status dm_boundary_resume_paths(dm_boundary_resume *r, const demarc_paths *p)
{
    demarc_status st = DEMARC_OK;
    dm_strings *list = &r->resume.options;
    DM_TRY(dm_resume_add(list, "--features", "%s", dm_resume_dataset(p->features, "/features")));
    DM_TRY(dm_resume_add(list, "--id", "%s", dm_resume_dataset(p->id, "/id")));
    DM_TRY(dm_resume_add(list, "--weight", "%s", dm_resume_dataset(p->weight, "/weight")));
    DM_TRY(dm_resume_add(list, "--outcomes", "%s", dm_resume_dataset(p->outcomes, "/outcomes")));
    DM_TRY(dm_resume_add(list, "--arm", "%s", dm_resume_dataset(p->arm, "/arm")));
    DM_TRY(dm_resume_add(list, "--propensity", "%s", dm_resume_dataset(p->propensity, "/propensity")));
cleanup:
    return st;
}

static bool keeps(const dm_boundary_resume *r) { return r->resume.out != NULL; }

/* ------------------------------------------------------------------------------------------------ finished outputs */

/* The HDF5 file of an output, malloc'd. */
static demarc_status file_of(const char *output, const char *inside, char **path)
{
    if (inside == NULL ? asprintf(path, "%s", output) >= 0 : asprintf(path, "%s/%s", output, inside) >= 0)
        return DEMARC_OK;
    *path = NULL;
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: paths: free some memory");
}

/* Rank 0. What made the outputs that are there, where one run of this command with these options made them all: r->found. */
static demarc_status look_at_outputs(dm_boundary_resume *r)
{
    demarc_status st = DEMARC_OK;
    const dm_boundary_resume_options *o = r->o;
    const char *const output[] = {o->out, o->apply}, *const inside[] = {o->inside, NULL};
    int wanted = 0, there = 0;
    char *path = NULL;
    for (int i = 0; i < 2; i++) {
        if (output[i] == NULL) continue;
        wanted++;
        if (access(output[i], F_OK) != 0) continue;
        dm_made found = {0};
        DM_TRY(file_of(output[i], inside[i], &path));
        DM_TRY(access(path, F_OK) == 0 ? dm_made_read(path, &found) : DEMARC_OK);
        free(path);
        path = NULL;
        if (strcmp(found.by, r->made.by) != 0 || strcmp(found.options, r->made.options) != 0) goto cleanup;
        if (there++ > 0 && strcmp(found.data, r->found) != 0) goto cleanup;
        memcpy(r->found, found.data, sizeof r->found);
    }
    r->own = there > 0;
    r->finished = there > 0 && there == wanted;
cleanup:
    free(path);
    return st;
}

demarc_status dm_boundary_resume_look_back(dm_boundary_resume *r)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = r->resume.checkpoint.comm;
    if (!keeps(r)) return DEMARC_OK;
    snprintf(r->made.by, sizeof r->made.by, "%s", r->o->what);
    DM_TRY_ALL(comm, dm_resume_digest(&r->resume.options, DM_RESUME_ASKED, r->made.options));
    DM_TRY_ALL(comm, r->o->resume && dm_comm_rank(comm) == 0 ? look_at_outputs(r) : DEMARC_OK);
    int64_t flag[2] = {r->own, r->finished};
    dm_comm_bcast(comm, flag, sizeof flag, 0);
    dm_comm_bcast(comm, r->found, sizeof r->found, 0);
    r->own = flag[0] != 0;
    r->finished = r->resume.results = flag[1] != 0;
    DM_TRY(dm_resume_look_back(&r->resume, r->o->resume, r->o->force));
cleanup:
    return st;
}

bool dm_boundary_resume_replaces(const dm_boundary_resume *r) { return r->o->force || r->own; }

/* Now that the data are known: are the outputs still what this command would make? */
static demarc_status check_outputs(dm_boundary_resume *r)
{
    demarc_status st = DEMARC_OK;
    const char *output = r->o->out != NULL ? r->o->out : r->o->apply;
    DM_TRY_ALL(r->resume.checkpoint.comm, dm_resume_digest(&r->resume.data, 0, r->made.data));
    if (!r->own || strcmp(r->found, r->made.data) == 0) return DEMARC_OK;
    r->own = r->finished = false;
    if (!r->o->force) {
        st = dm_fail(DEMARC_ERR_EXISTS,
                     "output exists: %s was made from another model or other customers than there are now: choose "
                     "another name or add --force",
                     output);
    }
cleanup:
    return st;
}

/* A checkpoint beside it is of the moment before it got its name, or stale. */
static demarc_status tell_finished(dm_boundary_resume *r)
{
    demarc_status st = DEMARC_OK;
    const dm_checkpoint *c = &r->resume.checkpoint;
    const char *output = r->o->out != NULL ? r->o->out : r->o->apply;
    if (dm_comm_rank(c->comm) == 0) {
        if (r->resume.payload != NULL && r->o->out != NULL) dm_output_remove_dead(r->o->out, r->resume.old_temporary);
        if (dm_checkpoint_present(c->folder)) st = dm_checkpoint_remove(c->folder);
    }
    DM_TRY_ALL(c->comm, st);
    dm_log_line(c->log, "already finished: %s", output);
cleanup:
    return st;
}

demarc_status dm_boundary_resume_report(const dm_boundary_resume *r, char **json)
{
    demarc_status st = DEMARC_OK;
    const dm_boundary_resume_options *o = r->o;
    char *path = NULL;
    int64_t length = 0;
    *json = NULL;
    if (dm_comm_rank(r->resume.checkpoint.comm) == 0) {
        st = file_of(o->out != NULL ? o->out : o->apply, o->out != NULL ? o->report : NULL, &path);
        if (st == DEMARC_OK && o->report != NULL) {
            st = dm_text_file_read(path, json, &length);
        } else if (st == DEMARC_OK) {
            st = dm_made_report(path, json);
        }
    }
    free(path);
    return dm_comm_agree(r->resume.checkpoint.comm, st);
}

const dm_made *dm_boundary_resume_made(dm_boundary_resume *r, const char *json)
{
    if (!keeps(r)) return NULL;
    r->made.reported = r->o->report == NULL;
    r->made.report = json;
    return &r->made;
}

demarc_status dm_boundary_resume_open(dm_boundary_resume *r, dm_frozen_model *m, demarc_context *ctx, const char *model,
                                      const char *data, const demarc_paths *paths)
{
    if (!keeps(r)) return dm_frozen_model_open(m, ctx, model, data, paths, false, DEMARC_ERR_DATA);
    dm_checkpoint_reading();
    return dm_checkpoint_read(&r->resume.checkpoint,
                              dm_frozen_model_open(m, ctx, model, data, paths, false, DEMARC_ERR_DATA));
}

/* ------------------------------------------------------------------------------------------------ the data */

enum { OF_OUTCOMES, OF_ARM, OF_PROPENSITY, OF_IDS, COLUMNS };

/* Columns of the customer file besides features and weights, whose digest the scan makes. */
typedef struct columns {
    dm_customers *file;
    const dm_schema *schema;
    bool campaign;
    double *outcome, *propensity;
    int32_t *arm;
    uint64_t *id;
    dm_digest digest[COLUMNS];
} columns;

static demarc_status columns_create(columns *c, dm_customers *file, bool campaign)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *s = dm_customers_schema(file);
    *c = (columns){.file = file, .schema = s, .campaign = campaign};
    DM_TRY(dm_customers_use_outcomes(file, 0, NULL)); /* which values are refused is the test's to say */
    DM_TRY(dm_alloc(c->outcome, (int64_t)DM_BLOCK_ROWS * s->outcome.count, "digest of the customers"));
    DM_TRY(dm_alloc(c->propensity, (int64_t)DM_BLOCK_ROWS * s->propensity, "digest of the customers"));
    DM_TRY(dm_alloc(c->arm, DM_BLOCK_ROWS, "digest of the customers"));
    DM_TRY(dm_alloc(c->id, DM_BLOCK_ROWS, "digest of the customers"));
cleanup:
    return st;
}

static void columns_destroy(columns *c)
{
    dm_customers_use_all_outcomes(c->file);
    dm_free(c->outcome);
    dm_free(c->propensity);
    dm_free(c->arm);
    dm_free(c->id);
}

static void add(columns *c, int column, int64_t begin, const void *values, int64_t count, size_t size)
{
    dm_digest_add(&c->digest[column], (uint64_t)(begin / DM_BLOCK_ROWS), values, (size_t)count * size);
}

static demarc_status add_block(columns *c, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    const int64_t rows = end - begin;
    const dm_schema *s = c->schema;
    dm_ids ids = {0};
    DM_TRY(dm_stop_look());
    if (s->outcome.count > 0) {
        DM_TRY(dm_customers_outcomes(c->file, begin, end, c->outcome));
        add(c, OF_OUTCOMES, begin, c->outcome, rows * s->outcome.count, sizeof *c->outcome);
    }
    if (s->arm && c->campaign) {
        DM_TRY(dm_customers_arm(c->file, begin, end, c->arm));
        add(c, OF_ARM, begin, c->arm, rows, sizeof *c->arm);
    }
    if (s->propensity > 0 && c->campaign) {
        DM_TRY(dm_customers_propensity(c->file, begin, end, c->propensity));
        add(c, OF_PROPENSITY, begin, c->propensity, rows * s->propensity, sizeof *c->propensity);
    }
    if (s->id != DM_ID_NONE) {
        DM_TRY(dm_customers_ids(c->file, begin, end, &ids));
        for (int64_t i = 0; i < rows; i++) c->id[i] = dm_id_hash(&ids, i, 0);
        add(c, OF_IDS, begin, c->id, rows, sizeof *c->id);
    }
cleanup:
    dm_ids_clear(&ids);
    return st;
}

static demarc_status describe_columns(dm_boundary_resume *r, const dm_frozen_model *m)
{
    demarc_status st = DEMARC_OK;
    static const char *const name[COLUMNS] = {"the outcomes", "the arms", "the propensities", "the ids"};
    dm_comm *comm = r->resume.checkpoint.comm;
    const dm_row_range range = dm_rows_range(m->rows);
    columns c = {0};
    st = columns_create(&c, m->customers, r->o->campaign);
    for (int64_t at = range.begin; at < range.end && st == DEMARC_OK; at += DM_BLOCK_ROWS)
        st = add_block(&c, at, range.end - at < DM_BLOCK_ROWS ? range.end : at + DM_BLOCK_ROWS);
    DM_TRY_ALL(comm, st);
    for (int i = 0; i < COLUMNS; i++) {
        char hex[33];
        int64_t words[2] = {c.digest[i].low, c.digest[i].high};
        dm_comm_sum_i64(comm, words, 2);
        c.digest[i] = (dm_digest){words[0], words[1]};
        dm_digest_hex(&c.digest[i], hex);
        DM_TRY_ALL(comm, dm_resume_add(&r->resume.data, name[i], "%s", hex));
    }
cleanup:
    columns_destroy(&c);
    return st;
}

static demarc_status describe_model(dm_boundary_resume *r, const dm_model *m)
{
    demarc_status st = DEMARC_OK;
    dm_packer p = {0};
    char hex[33];
    const int64_t d = m->d, real = (int64_t)sizeof(double);
    dm_pack(&p, m->centroids, m->k * d * real);
    dm_pack(&p, m->offsets, m->k * real);
    dm_pack(&p, m->transform.log1p, d);
    dm_pack(&p, m->transform.center, d * real);
    dm_pack(&p, m->transform.factor, d * real);
    dm_pack(&p, m->transform.origin, d * real);
    for (int32_t f = 0; f < m->d; f++) dm_pack_text(&p, m->feature.item[f]);
    dm_pack_text(&p, m->digest);
    if (p.failed) DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: digest of the model: free some memory"));
    dm_hash128_hex(p.bytes, (size_t)p.count, hex);
    DM_TRY(dm_resume_add(&r->resume.data, "the model", "%s", hex));
cleanup:
    dm_packer_clear(&p);
    return st;
}

static demarc_status describe_names(dm_boundary_resume *r, const dm_schema *s)
{
    demarc_status st = DEMARC_OK;
    dm_packer p = {0};
    char hex[33];
    for (int32_t i = 0; i < s->outcome.count; i++) dm_pack_text(&p, s->outcome.item[i]);
    for (int32_t i = 0; i < s->arm_name.count; i++) dm_pack_text(&p, s->arm_name.item[i]);
    dm_pack_text(&p, s->control);
    if (p.failed) DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: digest of the names: free some memory"));
    dm_hash128_hex(p.bytes, (size_t)p.count, hex);
    DM_TRY(dm_resume_add(&r->resume.data, "the names of outcomes or arms", "%s", hex));
cleanup:
    dm_packer_clear(&p);
    return st;
}

static demarc_status describe_data(dm_boundary_resume *r, const dm_frozen_model *m)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = r->resume.checkpoint.comm;
    DM_TRY_ALL(comm, describe_model(r, &m->model));
    DM_TRY_ALL(comm, dm_resume_add(&r->resume.data, "features or weights of the input", "%s", m->scan.digest));
    DM_TRY_ALL(comm, describe_names(r, dm_customers_schema(m->customers)));
    DM_TRY(describe_columns(r, m));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ the journal */

static demarc_status pack(void *context, dm_packer *p)
{
    dm_boundary_resume *r = context;
    const dm_output *output = r->o->output;
    const char *temporary = output != NULL && output->active ? dm_path_base(output->temp_path) : NULL;
    dm_resume_pack_head(&r->resume, p, temporary);
    return dm_journal_pack(r->journal, p);
}

static demarc_status edge(void *context) { return dm_checkpoint_edge(context); }

demarc_status dm_boundary_resume_restore(dm_boundary_resume *r, const dm_frozen_model *m)
{
    demarc_status st = DEMARC_OK;
    dm_checkpoint *c = &r->resume.checkpoint;
    if (!keeps(r)) return DEMARC_OK;
    dm_checkpoint_reading();
    DM_TRY(dm_checkpoint_read(c, describe_data(r, m)));
    DM_TRY(dm_resume_check_data(&r->resume));
    DM_TRY(check_outputs(r));
    if (r->finished) return tell_finished(r);
    DM_TRY(dm_resume_begin_anew(&r->resume));
    /* DEMARC_STOP_AFTER counts edges, so that they are to be many and the same each time. */
    st = dm_journal_create(&r->journal, c->comm, edge, c, c->edges_left >= 0 ? 1 : 0);
    if (st == DEMARC_OK && r->resume.payload != NULL) st = dm_journal_unpack(r->journal, &r->resume.left);
    DM_TRY_ALL(c->comm, st);
    if (r->resume.payload != NULL) {
        dm_log_line(c->log, "resumed: %s, from %s", r->o->what, r->resume.out);
        if (dm_comm_rank(c->comm) == 0 && r->o->out != NULL) dm_output_remove_dead(r->o->out, r->resume.old_temporary);
    }
    /* Runs that died before their first checkpoint. */
    if (dm_comm_rank(c->comm) == 0 && r->o->output != NULL && r->o->output->active &&
        r->o->output->kind != DM_OUTPUT_FILE)
        dm_output_sweep(r->o->out, r->o->output->kind);
    c->pack = pack;
    c->context = r;
    c->ready = true;
cleanup:
    return st;
}

void dm_boundary_resume_forget(dm_boundary_resume *r, bool kept)
{
    dm_checkpoint *c = &r->resume.checkpoint;
    if (r->journal == NULL) return;
    if (kept || !r->ctx->runtime.await_report || c->folder == NULL) {
        dm_resume_forget(&r->resume);
    } else {
        dm_checkpoint_close(&r->ctx->awaiting);
        r->ctx->awaiting = c->folder;
        c->folder = NULL;
    }
}

void dm_boundary_resume_end(dm_boundary_resume *r, demarc_status st)
{
    if (st == DEMARC_ERR_IMPOSSIBLE) dm_boundary_resume_forget(r, true);
    dm_journal_destroy(&r->journal);
    dm_resume_end(&r->resume);
    dm_stop_clear();
}
