#include "boundary/critical_file.h"

#include "base/memory.h"
#include "store/id_layout.h"

#define WINDOW_BYTES                                                                                                   \
    (INT64_C(16) << 20) /* of /critical_offset computed and written at a time, but at least a row block */

typedef struct critical_run {
    const dm_frozen *f;
    dm_writer *file;
    dm_id_layout layout;
    int id_handle, segment_handle, critical_handle;
    int64_t window, windows, begin;
    char *id;
    int32_t *segment;
    double *critical;
} critical_run;

int64_t dm_critical_file_bytes(const dm_frozen *f)
{
    const int64_t id = dm_customers_schema(f->customers)->id_size;
    return dm_rows_global(f->rows) * (8 * (int64_t)f->model->k + 4 + (id > 8 ? id : 8));
}

static void critical_block(void *context, int thread, const dm_frozen_block *b)
{
    (void)thread;
    const critical_run *run = context;
    const int64_t at = b->begin - run->begin;
    for (int64_t r = 0; r < b->rows; r++) {
        dm_id_layout_pack(&run->layout, b->ids, b->ids_at + r, run->id + (at + r) * run->layout.bytes);
        run->segment[at + r] = b->segment[r];
        for (int32_t j = 0; j < b->k; j++) run->critical[(at + r) * b->k + j] = dm_critical_offset(b, r, j);
    }
}

static demarc_status lay_out(critical_run *run, demarc_io io, const dm_made *made, const char *path)
{
    demarc_status st = DEMARC_OK;
    const dm_frozen *f = run->f;
    const int64_t n = dm_rows_global(f->rows), version = 1;
    DM_TRY(dm_id_layout_of(f->comm, f->customers, &run->layout));
    DM_TRY(dm_writer_create(&run->file, f->comm, io, path));
    DM_TRY(dm_id_layout_dataset(&run->layout, run->file, "/id", n, &run->id_handle));
    DM_TRY(dm_writer_rows_dataset(run->file, "/segment", DM_TYPE_I32, n, 0, 0, &run->segment_handle));
    DM_TRY(
        dm_writer_rows_dataset(run->file, "/critical_offset", DM_TYPE_F64, n, f->model->k, 0, &run->critical_handle));
    DM_TRY(dm_writer_attribute_text(run->file, "/", "kind", "critical offsets"));
    DM_TRY(dm_writer_attribute_i64(run->file, "/", "format_version", 1, &version));
    DM_TRY(dm_writer_attribute_text(run->file, "/", "model_digest", f->model->digest));
    DM_TRY(dm_made_write(run->file, made));
cleanup:
    return st;
}

/* Every rank has as many windows as the one with most rows. Collective. */
static demarc_status make_room(critical_run *run)
{
    demarc_status st = DEMARC_OK;
    const int64_t k = run->f->model->k, blocks = WINDOW_BYTES / (DM_BLOCK_ROWS * 8 * k);
    const dm_row_range range = dm_rows_range(run->f->rows);
    run->window = (blocks > 1 ? blocks : 1) * DM_BLOCK_ROWS;
    run->windows = (range.end - range.begin + run->window - 1) / run->window;
    dm_comm_max_i64(run->f->comm, &run->windows, 1);
    st = dm_alloc(run->id, run->window * run->layout.bytes, "critical offsets");
    if (st == DEMARC_OK) st = dm_alloc(run->segment, run->window, "critical offsets");
    if (st == DEMARC_OK) st = dm_alloc(run->critical, run->window * k, "critical offsets");
    return dm_comm_agree(run->f->comm, st);
}

demarc_status dm_critical_file_write(const dm_frozen *f, demarc_io io, const dm_made *made, const char *path)
{
    demarc_status st = DEMARC_OK;
    critical_run run = {.f = f};
    const dm_row_range range = dm_rows_range(f->rows);
    DM_TRY(lay_out(&run, io, made, path));
    DM_TRY(make_room(&run));
    for (int64_t i = 0; i < run.windows; i++) {
        const int64_t left = range.end - range.begin - i * run.window;
        const int64_t count = left < 0 ? 0 : left < run.window ? left : run.window;
        run.begin = count > 0 ? range.begin + i * run.window : range.end;
        DM_TRY_ALL(f->comm, dm_frozen_pass_range(f, run.begin, run.begin + count, DM_WANT_IDS, critical_block, &run));
        DM_TRY(dm_writer_rows(run.file, run.id_handle, run.begin, count, run.id));
        DM_TRY(dm_writer_rows(run.file, run.segment_handle, run.begin, count, run.segment));
        DM_TRY(dm_writer_rows(run.file, run.critical_handle, run.begin, count, run.critical));
        DM_TRY(dm_journal_edge(f->journal));
    }
    DM_TRY(dm_writer_close(&run.file));
cleanup:
    dm_writer_discard(&run.file);
    dm_free(run.id);
    dm_free(run.segment);
    dm_free(run.critical);
    return st;
}
