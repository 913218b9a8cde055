#include "diagnosis/membership_file.h"

#include <string.h>

#include "base/memory.h"
#include "base/stop.h"
#include "store/id_layout.h"
#include "store/writer.h"

#define TILE 512                         /* rows */
#define WINDOW_BYTES (INT64_C(16) << 20) /* of /probability computed and written at a time, but at least a row block */

typedef struct part {
    dm_tile tile;
    int32_t label[TILE];
    int32_t *times; /* [TILE, k] replicates in which the row is in each segment */
} part;

typedef struct membership_run {
    const dm_solution_data *data;
    const dm_memberships *members;
    dm_centers model;
    dm_centers *replicate; /* [replicates] */
    part *part;
    dm_writer *file;
    dm_id_layout layout;
    int id_handle, segment_handle, probability_handle;
    int64_t window, windows, begin;
    char *id;
    int32_t *segment;
    float *probability;
} membership_run;

int64_t dm_membership_file_bytes(const dm_solution_data *data)
{
    const int64_t id = dm_customers_schema(data->customers)->id_size;
    return dm_rows_global(data->rows) * (4 * (int64_t)data->model->k + 4 + (id > 8 ? id : 8));
}

static void membership_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    (void)w;
    const membership_run *run = context;
    const dm_memberships *m = run->members;
    part *q = &run->part[thread];
    if (dm_stop_requested() != 0) return;
    for (int64_t at = 0; at < rows; at += TILE) {
        const int64_t some = rows - at < TILE ? rows - at : TILE, to = begin - run->begin + at;
        const float *v = x + at * m->d;
        memset(q->times, 0, (size_t)(some * m->k) * sizeof *q->times);
        for (int32_t b = 0; b < m->replicates; b++) {
            const int32_t *match = m->match + (int64_t)b * m->k;
            dm_nearest(run->data->kernel, &run->replicate[b], &q->tile, v, some, q->label);
            for (int64_t r = 0; r < some; r++) q->times[r * m->k + match[q->label[r]]]++;
        }
        dm_nearest(run->data->kernel, &run->model, &q->tile, v, some, run->segment + to);
        for (int64_t i = 0; i < some * m->k; i++)
            run->probability[to * m->k + i] = (float)((double)q->times[i] / (double)m->replicates);
    }
}

static demarc_status lay_out(membership_run *run, demarc_io io, const char *path)
{
    demarc_status st = DEMARC_OK;
    const dm_solution_data *data = run->data;
    const int64_t n = dm_rows_global(data->rows), version = 1, replicates = run->members->replicates;
    DM_TRY(dm_id_layout_of(data->comm, data->customers, &run->layout));
    DM_TRY(dm_writer_create(&run->file, data->comm, io, path));
    DM_TRY(dm_id_layout_dataset(&run->layout, run->file, "/id", n, &run->id_handle));
    DM_TRY(dm_writer_rows_dataset(run->file, "/segment", DM_TYPE_I32, n, 0, 0, &run->segment_handle));
    DM_TRY(dm_writer_rows_dataset(run->file, "/probability", DM_TYPE_F32, n, run->members->k, 0,
                                  &run->probability_handle));
    DM_TRY(dm_writer_attribute_text(run->file, "/", "kind", "membership probabilities"));
    DM_TRY(dm_writer_attribute_i64(run->file, "/", "format_version", 1, &version));
    DM_TRY(dm_writer_attribute_text(run->file, "/", "model_digest", data->model->digest));
    DM_TRY(dm_writer_attribute_i64(run->file, "/", "replicates", 1, &replicates));
    DM_TRY(dm_writer_attribute_u64(run->file, "/", "seed", data->seed));
cleanup:
    return st;
}

/* Local. */
static demarc_status make_room(membership_run *run)
{
    demarc_status st = DEMARC_OK;
    const dm_memberships *m = run->members;
    DM_TRY(dm_alloc(run->id, run->window * run->layout.bytes, "memberships"));
    DM_TRY(dm_alloc(run->segment, run->window, "memberships"));
    DM_TRY(dm_alloc(run->probability, run->window * m->k, "memberships"));
    DM_TRY(dm_solution_model_centers(run->data->model, &run->model));
    DM_TRY(dm_alloc_zero(run->replicate, m->replicates, "memberships"));
    for (int32_t b = 0; b < m->replicates; b++) {
        DM_TRY(dm_centers_create(&run->replicate[b], m->k, m->d));
        dm_centers_set(&run->replicate[b], m->k, m->centroids + (int64_t)b * m->k * m->d, NULL);
    }
    DM_TRY(dm_alloc_zero(run->part, run->data->threads, "memberships"));
    for (int t = 0; t < run->data->threads; t++) {
        DM_TRY(dm_tile_create(&run->part[t].tile, m->k));
        run->part[t].tile.ahead = 0;
        DM_TRY(dm_alloc(run->part[t].times, TILE * (int64_t)m->k, "memberships"));
    }
cleanup:
    return st;
}

static void clear(membership_run *run)
{
    dm_writer_discard(&run->file);
    for (int t = 0; run->part != NULL && t < run->data->threads; t++) {
        dm_tile_destroy(&run->part[t].tile);
        dm_free(run->part[t].times);
    }
    for (int32_t b = 0; run->replicate != NULL && b < run->members->replicates; b++)
        dm_centers_destroy(&run->replicate[b]);
    dm_centers_destroy(&run->model);
    dm_free(run->part);
    dm_free(run->replicate);
    dm_free(run->id);
    dm_free(run->segment);
    dm_free(run->probability);
}

/* Rows [begin, begin + count) of this rank. Local. */
static demarc_status fill(membership_run *run, int64_t count)
{
    demarc_status st = DEMARC_OK;
    dm_ids ids = {0};
    if (count == 0) return DEMARC_OK;
    DM_TRY(dm_customers_ids(run->data->customers, run->begin, run->begin + count, &ids));
    for (int64_t r = 0; r < count; r++) dm_id_layout_pack(&run->layout, &ids, r, run->id + r * run->layout.bytes);
    DM_TRY(dm_rows_pass_range(run->data->rows, run->begin, run->begin + count, membership_block, run));
cleanup:
    dm_ids_clear(&ids);
    return st;
}

demarc_status dm_membership_file_write(const dm_solution_data *data, const dm_memberships *members, demarc_io io,
                                       const char *path)
{
    demarc_status st = DEMARC_OK;
    membership_run run = {.data = data, .members = members};
    const dm_row_range range = dm_rows_range(data->rows);
    const int64_t blocks = WINDOW_BYTES / (DM_BLOCK_ROWS * 4 * (int64_t)members->k);
    run.window = (blocks > 1 ? blocks : 1) * DM_BLOCK_ROWS;
    run.windows = (range.end - range.begin + run.window - 1) / run.window;
    dm_comm_max_i64(data->comm, &run.windows, 1); /* every rank has as many as the one with most rows */
    DM_TRY(lay_out(&run, io, path));
    DM_TRY_ALL(data->comm, make_room(&run));
    for (int64_t i = 0; i < run.windows; i++) {
        const int64_t left = range.end - range.begin - i * run.window;
        const int64_t count = left < 0 ? 0 : left < run.window ? left : run.window;
        run.begin = count > 0 ? range.begin + i * run.window : range.end;
        DM_TRY_ALL(data->comm, fill(&run, count));
        DM_TRY(dm_solution_edge(data->comm));
        DM_TRY(dm_writer_rows(run.file, run.id_handle, run.begin, count, run.id));
        DM_TRY(dm_writer_rows(run.file, run.segment_handle, run.begin, count, run.segment));
        DM_TRY(dm_writer_rows(run.file, run.probability_handle, run.begin, count, run.probability));
    }
    DM_TRY(dm_writer_close(&run.file));
cleanup:
    clear(&run);
    return st;
}
