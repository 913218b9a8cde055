#include "exchange/csv_import.h"

#include <string.h>
#include <sys/stat.h>

#include "comm/watchdog.h"
#include "exchange/import_layout.h"
#include "store/output.h"
#include "store/writer.h"

/* Handles of the datasets; -1 = not in this file. */
typedef struct datasets {
    int features, id, weight, outcomes, arm, reachable;
} datasets;

/* What is wrong with the options whatever the files hold. */
static demarc_status check_options(const demarc_import_options *o)
{
    if (o->in == NULL || o->in[0] == 0)
        return dm_fail(DEMARC_ERR_USAGE, "no input: import: name a CSV file, or - for stdin");
    if (o->out == NULL || o->out[0] == 0) return dm_fail(DEMARC_ERR_USAGE, "no output: import: name the file to write");
    if (o->control != NULL && o->arm == NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "--control without --arm: import: name the column that holds '%s'",
                       o->control);
    }
    return DEMARC_OK;
}

static demarc_status rows_dataset(dm_writer *w, bool wanted, const char *name, dm_type type, const dm_import_shape *s,
                                  int32_t columns, int *handle)
{
    *handle = -1;
    return wanted ? dm_writer_rows_dataset(w, name, type, s->n, columns, s->id_size, handle) : DEMARC_OK;
}

static demarc_status lay_out(dm_writer *w, const dm_import_shape *s, datasets *d)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(rows_dataset(w, true, "/features", s->float32 ? DM_TYPE_F32 : DM_TYPE_F64, s, s->features, &d->features));
    DM_TRY(rows_dataset(w, s->id, "/id", s->id_size > 0 ? DM_TYPE_STRING : DM_TYPE_I64, s, 0, &d->id));
    DM_TRY(rows_dataset(w, s->weight, "/weight", DM_TYPE_F64, s, 0, &d->weight));
    DM_TRY(rows_dataset(w, s->outcomes > 0, "/outcomes", DM_TYPE_F64, s, s->outcomes, &d->outcomes));
    DM_TRY(rows_dataset(w, s->arm, "/arm", DM_TYPE_I32, s, 0, &d->arm));
    DM_TRY(rows_dataset(w, s->channels > 0, "/reachable", DM_TYPE_U8, s, s->channels, &d->reachable));
cleanup:
    return st;
}

static demarc_status put_names(dm_writer *w, const char *on, const char *attribute, int32_t count,
                               const dm_strings *names)
{
    if (count == 0) return DEMARC_OK;
    return dm_writer_attribute_texts(w, on, attribute, count, (const char *const *)names->item); /* rank 0's are used */
}

static demarc_status describe(dm_writer *w, const dm_import_layout *l, const demarc_import_options *o)
{
    const dm_import_shape *s = &l->shape;
    const char *file = dm_import_name(o), *slash = strrchr(file, '/');
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_writer_attribute_text(w, "/", "created_by", "demarc import"));
    DM_TRY(dm_writer_attribute_text(w, "/", "source", slash != NULL ? slash + 1 : file));
    DM_TRY(put_names(w, "/features", "feature_names", s->features, &l->feature));
    DM_TRY(put_names(w, "/outcomes", "outcome_names", s->outcomes, &l->outcome));
    DM_TRY(put_names(w, "/reachable", "channel_names", s->channels, &l->channel));
    DM_TRY(put_names(w, "/arm", "arm_names", s->arm_names, &l->arm));
    /* The order of names is no choice of a control: where nobody chose one the file says so. */
    if (s->arm_names > 0) DM_TRY(dm_writer_attribute_text(w, "/arm", "control", s->control ? o->control : ""));
cleanup:
    return st;
}

static demarc_status put_rows(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data)
{
    return handle < 0 ? DEMARC_OK : dm_writer_rows(w, handle, begin, count, data);
}

static demarc_status put_block(dm_writer *w, const datasets *d, const dm_import_block *b, int64_t begin, int64_t count)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(put_rows(w, d->features, begin, count, b->features));
    DM_TRY(put_rows(w, d->id, begin, count, b->id));
    DM_TRY(put_rows(w, d->weight, begin, count, b->weight));
    DM_TRY(put_rows(w, d->outcomes, begin, count, b->outcomes));
    DM_TRY(put_rows(w, d->arm, begin, count, b->arm));
    DM_TRY(put_rows(w, d->reachable, begin, count, b->reachable));
cleanup:
    return st;
}

/* Rank 0 copies block by block; the others take part with no rows. */
static demarc_status copy_rows(dm_comm *comm, dm_writer *w, const datasets *d, const dm_import_layout *l,
                               dm_import_rows *rows)
{
    const dm_import_shape *s = &l->shape;
    bool root = dm_comm_rank(comm) == 0;
    dm_import_block b = {0};
    demarc_status st = DEMARC_OK;
    DM_TRY_ALL(comm, root ? dm_import_block_create(&b, l, rows) : DEMARC_OK);
    for (int64_t done = 0; done < s->n; done += s->block_rows) {
        int64_t count = s->n - done < s->block_rows ? s->n - done : s->block_rows;
        DM_TRY_ALL(comm, root ? dm_import_block_fill(&b, l, rows, count) : DEMARC_OK);
        DM_TRY(put_block(w, d, &b, root ? done : 0, root ? count : 0));
    }
cleanup:
    dm_import_block_clear(&b);
    return st;
}

static demarc_status write_file(dm_comm *comm, demarc_io io, const char *path, const dm_import_layout *l,
                                dm_import_rows *rows, const demarc_import_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = NULL;
    datasets d;
    DM_TRY(dm_writer_create(&w, comm, io, path));
    DM_TRY(lay_out(w, &l->shape, &d));
    DM_TRY(describe(w, l, o));
    DM_TRY(copy_rows(comm, w, &d, l, rows));
    DM_TRY(dm_writer_close(&w));
cleanup:
    dm_writer_discard(&w);
    return st;
}

static demarc_status read_csv(dm_import_rows *rows, dm_import_layout *l, const demarc_import_options *o,
                              const char *beside, dm_log *log)
{
    demarc_status st = dm_import_rows_read(rows, o, o->dry_run ? NULL : beside, log);
    return st == DEMARC_OK ? dm_import_layout_make(l, rows, o) : st;
}

static void summarise(dm_log *log, const dm_import_shape *s, const demarc_import_options *o)
{
    char extra[128] = "";
    size_t used = 0;
    if (s->outcomes > 0) used += (size_t)snprintf(extra, sizeof extra, ", outcomes %d", s->outcomes);
    if (s->arm_names > 0) used += (size_t)snprintf(extra + used, sizeof extra - used, ", arms %d", s->arm_names);
    if (s->channels > 0) (void)snprintf(extra + used, sizeof extra - used, ", channels %d", s->channels);
    dm_log_line(log, "import: %s: rows %lld, features %d%s; missing feature values %lld%s", dm_import_name(o),
                (long long)s->n, s->features, extra, (long long)s->missing,
                o->dry_run ? "; dry run, nothing written" : "");
}

demarc_status dm_csv_import(dm_comm *comm, dm_log *log, const demarc_import_options *o, demarc_io io,
                            demarc_import_result *r)
{
    bool root = dm_comm_rank(comm) == 0;
    demarc_status st = DEMARC_OK;
    dm_output out = {0};
    dm_import_rows rows = {0};
    dm_import_layout layout = {0};
    if (r != NULL) *r = (demarc_import_result){0};
    DM_TRY_ALL(comm, root ? check_options(o) : DEMARC_OK);
    if (strcmp(o->in, "-") != 0) DM_TRY(dm_output_spare_input(comm, o->out, o->in));
    DM_TRY(dm_output_begin(&out, comm, o->out, DM_OUTPUT_FILE,
                           o->force)); /* a bad output is refused before hours of work */
    dm_watchdog_pause(); /* the others wait while rank 0 reads the whole input, at the pace of whoever writes it */
    st = dm_comm_agree(comm, root ? read_csv(&rows, &layout, o, out.temp_path, log) : DEMARC_OK);
    dm_watchdog_resume();
    DM_TRY(st);
    dm_comm_bcast(comm, &layout.shape, sizeof layout.shape, 0);
    if (!o->dry_run) {
        DM_TRY(write_file(comm, io, out.temp_path, &layout, &rows, o));
        DM_TRY(dm_output_commit(&out, comm));
    }
    if (root) summarise(log, &layout.shape, o);
    if (r != NULL) {
        *r = (demarc_import_result){
            .rows = layout.shape.n, .features = layout.shape.features, .missing = layout.shape.missing};
    }
cleanup:
    dm_output_abandon(&out, comm);
    dm_import_layout_clear(&layout);
    dm_import_rows_clear(&rows);
    return st;
}
