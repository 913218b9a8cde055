/* demarc_report: one self-contained page about a run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/frozen_model.h"
#include "engine/page_map.h"
#include "engine/page_rows.h"
#include "engine/run_files.h"
#include "page/page.h"
#include "store/output.h"

void demarc_report_options_default(demarc_report_options *o) { *o = (demarc_report_options){0}; }

typedef struct report_call {
    demarc_context *ctx;
    const demarc_report_options *o;
    dm_run_files files;
    dm_strings boundary;
    dm_output output;
    dm_manifest_facts facts;
    dm_model model;         /* where the map is left out */
    dm_frozen_model frozen; /* else */
    const dm_model *m;      /* either one */
    dm_assignments *assignments;
    int64_t n;
    bool drawn;           /* there is a map */
    const char *left_out; /* why not */
    dm_page_map map;
    int64_t *row;             /* [map.customers] */
    dm_page_example *example; /* [k, DM_PAGE_EXAMPLES] */
    double *value;            /* [k, DM_PAGE_EXAMPLES, d]; NULL without the customer file */
    char *text;               /* the document; rank 0 */
    char *json;               /* the answer; rank 0 */
} report_call;

static void call_clear(report_call *c)
{
    dm_strings_clear(&c->boundary);
    dm_output_abandon(&c->output, c->ctx->comm);
    dm_manifest_facts_clear(&c->facts);
    dm_model_destroy(&c->model);
    dm_frozen_model_close(&c->frozen);
    dm_assignments_shut(&c->assignments);
    dm_page_map_clear(&c->map);
    dm_free(c->row);
    dm_free(c->example);
    dm_free(c->value);
    free(c->text);
    free(c->json);
}

static demarc_status check_options(const demarc_report_options *o)
{
    if (o->run == NULL || (o->out == NULL && !o->dry_run))
        return dm_fail(DEMARC_ERR_USAGE, "incomplete: report: name a results directory and --out FILE.html");
    if (o->no_map && o->data != NULL)
        return dm_fail(DEMARC_ERR_USAGE, "a file that is not used: --data with --no-map: give one of them");
    return dm_page_available();
}

/* The page must not take the place of what it is made from. */
static demarc_status spare_inputs(report_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_report_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    const char *const input[] = {o->select, o->stability, o->compare, o->data};
    DM_TRY(dm_run_spare(comm, o->out, &c->files));
    for (size_t i = 0; i < sizeof input / sizeof *input; i++) DM_TRY(dm_output_spare_input(comm, o->out, input[i]));
    for (int32_t i = 0; i < c->boundary.count; i++) DM_TRY(dm_output_spare_input(comm, o->out, c->boundary.item[i]));
cleanup:
    return st;
}

/* The customer file that the manifest names may be gone; say how to name another. */
static demarc_status find_data(const report_call *c, const char *path)
{
    demarc_status st = DEMARC_OK;
    if (dm_comm_rank(c->ctx->comm) == 0 && c->o->data == NULL && access(path, R_OK) != 0) {
        const int reason = errno;
        st = dm_fail(dm_open_status(reason),
                     "cannot open customer file: %s: %s: name it by --data FILE, or leave the map out by --no-map",
                     path, strerror(reason));
    }
    return dm_comm_agree(c->ctx->comm, st);
}

/* The model, and the customers unless they are left out. */
static demarc_status open_model(report_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_report_options *o = c->o;
    const char *data = o->data != NULL ? o->data : c->facts.input_path;
    if (o->no_map) {
        DM_TRY(dm_model_read(c->ctx->comm, &c->model, c->files.model, DEMARC_ERR_DATA));
        c->m = &c->model;
        c->left_out = "left out by --no-map";
        goto cleanup;
    }
    DM_TRY(dm_output_spare_input(c->ctx->comm, o->out, data));
    DM_TRY(find_data(c, data));
    DM_TRY(dm_frozen_model_open(&c->frozen, c->ctx, c->files.model, data, &c->facts.paths, false, DEMARC_ERR_DATA));
    c->m = &c->frozen.model;
    if (c->facts.input_digest[0] != 0 && strcmp(c->facts.input_digest, c->frozen.scan.digest) != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "other data: %s: its values are not those of the fit: name the run's file by --data FILE, or "
                       "leave the map out by --no-map",
                       data));
    }
    if (c->m->d > DM_MAP_FEATURES) c->left_out = "left out: it is drawn for at most 1024 features";
cleanup:
    return st;
}

static demarc_status open_all(report_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_report_options *o = c->o;
    dm_comm *comm = c->ctx->comm;
    DM_TRY_ALL(comm, dm_run_find(&c->files, o->run));
    DM_TRY_ALL(comm, dm_strings_split(&c->boundary, o->boundary, "--boundary"));
    DM_TRY(spare_inputs(c));
    if (o->out != NULL && !o->dry_run) DM_TRY(dm_output_begin(&c->output, comm, o->out, DM_OUTPUT_FILE, o->force));
    DM_TRY(dm_run_manifest(c->ctx, c->files.manifest, &c->facts));
    DM_TRY(dm_assignments_open(&c->assignments, comm, c->files.assignments, &c->n));
    DM_TRY(open_model(c));
    if (strcmp(c->m->digest, c->facts.digest) != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "files of two runs: %s: model.h5 has digest %s, manifest.json %s: fit again",
                       o->run, c->m->digest, c->facts.digest));
    }
    if (!o->no_map && c->n != dm_rows_global(c->frozen.rows)) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "other data: %s has %lld rows, the customer file %lld: name the run's file by --data FILE",
                       c->files.assignments, (long long)c->n, (long long)dm_rows_global(c->frozen.rows)));
    }
cleanup:
    return st;
}

/* Original values of the example customers; each is read by the rank that holds it. */
static demarc_status read_values(report_call *c)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = c->m->d;
    const int64_t count = (int64_t)c->m->k * DM_PAGE_EXAMPLES;
    const dm_row_range range = dm_rows_range(c->frozen.rows);
    float *x = NULL, *w = NULL;
    st = dm_alloc_zero(c->value, count * d, "examples");
    if (st == DEMARC_OK) st = dm_alloc(x, d, "examples");
    if (st == DEMARC_OK) st = dm_alloc(w, 1, "examples");
    for (int64_t e = 0; e < count && st == DEMARC_OK; e++) {
        const int64_t row = c->example[e].row;
        if (row < range.begin || row >= range.end) continue;
        st = dm_rows_gather(c->frozen.rows, 1, &row, x, dm_rows_weighted(c->frozen.rows) ? w : NULL);
        for (int32_t f = 0; f < d && st == DEMARC_OK; f++) {
            c->value[e * d + f] = dm_transform_to_original(&c->m->transform, f, (double)x[f]);
        }
    }
    DM_TRY_ALL(c->ctx->comm, st);
    dm_page_rows_share(c->ctx->comm, c->value, count * d * (int64_t)sizeof *c->value);
cleanup:
    dm_free(x);
    dm_free(w);
    return st;
}

static demarc_status look(report_call *c)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = c->ctx->comm;
    c->drawn = c->left_out == NULL;
    if (c->drawn) DM_TRY(dm_page_map_make(&c->map, &c->frozen, c->ctx->threads, &c->row));
    DM_TRY_ALL(comm, dm_alloc(c->example, (int64_t)c->m->k * DM_PAGE_EXAMPLES, "examples"));
    DM_TRY(
        dm_page_rows_read(c->assignments, comm, c->n, c->m->k, c->map.customers, c->row, c->map.segment, c->example));
    if (!c->o->no_map) DM_TRY(read_values(c));
cleanup:
    return st;
}

/* The document, and the page around it. Rank 0. */
static demarc_status write_page(report_call *c)
{
    demarc_status st = DEMARC_OK;
    const demarc_report_options *o = c->o;
    dm_page_facts facts;
    int64_t bytes = 0;
    const dm_page_sources s = {.run = o->run,
                               .diagnostics = c->files.diagnostics,
                               .manifest = c->files.manifest,
                               .boundary = &c->boundary,
                               .select = o->select,
                               .stability = o->stability,
                               .compare = o->compare,
                               .names = o->names,
                               .k = c->m->k,
                               .d = c->m->d,
                               .example = c->example,
                               .example_value = c->value,
                               .map = c->drawn ? &c->map : NULL,
                               .map_left_out = c->left_out};
    DM_TRY(dm_page_document(&s, &c->text, &facts));
    if (o->dry_run) goto cleanup;
    DM_TRY(dm_page_write(c->output.temp_path, c->text, &bytes));
    DM_TRY(dm_page_answer_json(&facts, &s, o->out, bytes, &c->json));
cleanup:
    return st;
}

demarc_status demarc_report(demarc_context *ctx, const demarc_report_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    report_call c = {.ctx = ctx, .o = o};
    *json = NULL;
    DM_TRY(check_options(o));
    DM_TRY(open_all(&c));
    DM_TRY(look(&c));
    if (dm_comm_rank(ctx->comm) == 0) st = write_page(&c);
    DM_TRY_ALL(ctx->comm, st);
    if (!o->dry_run) {
        DM_TRY(dm_output_commit(&c.output, ctx->comm));
        *json = c.json;
        c.json = NULL;
    }
cleanup:
    call_clear(&c);
    return st;
}
