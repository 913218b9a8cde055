#include "store/assignments_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/hdf5_column.h"
#include "store/hdf5_read.h"
#include "store/id_column.h"
#include "store/id_hash.h"

#define REMEDY "give the assignments.h5 of a results directory"
#define ID_ROWS 65536 /* ids looked at together */

demarc_status dm_assignments_create(dm_assignments_writer *a, dm_comm *comm, demarc_io io, dm_customers *customers,
                                    const char *path, bool keep)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *schema = dm_customers_schema(customers);
    *a = (dm_assignments_writer){.comm = comm, .customers = customers, .kind = schema->id};
    DM_TRY(dm_id_layout_of(comm, customers, &a->layout));
    DM_TRY(keep ? dm_writer_reopen(&a->file, comm, io, path) : dm_writer_create(&a->file, comm, io, path));
    DM_TRY(dm_id_layout_dataset(&a->layout, a->file, "/id", schema->n, &a->id));
    DM_TRY(dm_writer_rows_dataset(a->file, "/segment", DM_TYPE_I32, schema->n, 0, 0, &a->segment));
    DM_TRY(dm_writer_rows_dataset(a->file, "/distance", DM_TYPE_F32, schema->n, 0, 0, &a->distance));
    DM_TRY(dm_writer_rows_dataset(a->file, "/runner_up", DM_TYPE_I32, schema->n, 0, 0, &a->runner_up));
    DM_TRY(dm_writer_rows_dataset(a->file, "/margin", DM_TYPE_F32, schema->n, 0, 0, &a->margin));
cleanup:
    if (st != DEMARC_OK) dm_assignments_discard(a);
    return st;
}

int64_t dm_assignments_foreseen(const dm_schema *s) { return s->n * (16 + (s->id == DM_ID_FIXED ? s->id_size : 8)); }

int64_t dm_assignments_row_bytes(const dm_assignments_writer *a) { return a->layout.bytes + 16; }

static void forget_ids(dm_assignments_writer *a)
{
    dm_ids_clear(&a->ids);
    dm_free(a->fixed);
    a->fixed = NULL;
}

/* Ids of a window as they are written. Reads the file, while the window before is being written. Local. */
static demarc_status fetch_ids(const dm_assignments_writer *a, int64_t begin, int64_t count, dm_ids *ids, char **fixed)
{
    demarc_status st = DEMARC_OK;
    if (count == 0) return DEMARC_OK;
    DM_TRY(dm_customers_ids(a->customers, begin, begin + count, ids));
    if (a->kind == DM_ID_VARIABLE) {
        DM_TRY(dm_alloc(*fixed, count * a->layout.bytes, "ids"));
        for (int64_t i = 0; i < count; i++) dm_id_layout_pack(&a->layout, ids, i, *fixed + i * a->layout.bytes);
    }
cleanup:
    return st;
}

demarc_status dm_assignments_wait(dm_assignments_writer *a) { return dm_writer_wait(a->file); }

demarc_status dm_assignments_write(dm_assignments_writer *a, int64_t begin, int64_t count,
                                   const dm_assignment_rows *rows)
{
    dm_ids ids = {0};
    char *fixed = NULL;
    demarc_status st = fetch_ids(a, begin, count, &ids, &fixed);
    const demarc_status before = dm_assignments_wait(a);
    forget_ids(a);
    a->ids = ids;
    a->fixed = fixed;
    DM_TRY_ALL(a->comm, before != DEMARC_OK ? before : st);
    const void *data = a->kind == DM_ID_VARIABLE ? (void *)fixed
                       : a->kind == DM_ID_FIXED  ? (void *)ids.fixed
                                                 : (void *)ids.integer;
    DM_TRY(dm_writer_rows_later(a->file, a->id, begin, count, data));
    DM_TRY(dm_writer_rows_later(a->file, a->segment, begin, count, rows->segment));
    DM_TRY(dm_writer_rows_later(a->file, a->distance, begin, count, rows->distance));
    DM_TRY(dm_writer_rows_later(a->file, a->runner_up, begin, count, rows->runner_up));
    DM_TRY(dm_writer_rows_later(a->file, a->margin, begin, count, rows->margin));
cleanup:
    return st;
}

demarc_status dm_assignments_flush(dm_assignments_writer *a) { return dm_writer_flush(a->file); }

demarc_status dm_assignments_close(dm_assignments_writer *a)
{
    const demarc_status st = dm_writer_close(&a->file);
    forget_ids(a);
    return st;
}

void dm_assignments_discard(dm_assignments_writer *a)
{
    dm_writer_discard(&a->file);
    forget_ids(a);
}

/* ---- reading ---- */

struct dm_assignments {
    char *path;
    hid_t file;
    dm_column segment, distance, runner_up, margin, id;
    int64_t *bits; /* [ID_ROWS] */
};

static demarc_status open_column(dm_assignments *a, dm_column *c, const char *name, dm_value_kind kind, int64_t bytes,
                                 int64_t n)
{
    demarc_status st = dm_column_open(c, a->file, a->path, name, true);
    if (st != DEMARC_OK) return st;
    if (c->kind != kind || c->bytes != bytes || c->dimensions != 1 || (n >= 0 && c->rows != n)) {
        return dm_fail(DEMARC_ERR_DATA, "damaged assignments: %s %s is %s %s: " REMEDY, a->path, name, c->type_text,
                       c->shape_text);
    }
    return DEMARC_OK;
}

static demarc_status open_local(dm_assignments *a)
{
    demarc_status st = DEMARC_OK;
    bool exists = false;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&a->file, a->path, REMEDY));
    DM_TRY(dm_hdf5_exists(a->file, a->path, "/segment", &exists));
    if (!exists) DM_TRY(dm_fail(DEMARC_ERR_DATA, "not assignments: %s has no /segment: " REMEDY, a->path));
    DM_TRY(open_column(a, &a->segment, "/segment", DM_VALUE_INTEGER, 4, -1));
    const int64_t n = a->segment.rows;
    DM_TRY(open_column(a, &a->runner_up, "/runner_up", DM_VALUE_INTEGER, 4, n));
    DM_TRY(open_column(a, &a->distance, "/distance", DM_VALUE_FLOAT, 4, n));
    DM_TRY(open_column(a, &a->margin, "/margin", DM_VALUE_FLOAT, 4, n));
    DM_TRY(dm_column_open(&a->id, a->file, a->path, "/id", true));
    if (a->id.dimensions != 1 || a->id.rows != n ||
        !((a->id.kind == DM_VALUE_INTEGER && a->id.bytes == 8) || a->id.kind == DM_VALUE_FIXED)) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged assignments: %s /id is %s %s: " REMEDY, a->path, a->id.type_text,
                       a->id.shape_text));
    }
    DM_TRY(dm_alloc(a->bits, ID_ROWS, "assignments"));
cleanup:
    return st;
}

demarc_status dm_assignments_open(dm_assignments **out, dm_comm *comm, const char *path, int64_t *n)
{
    demarc_status st = DEMARC_OK;
    *out = NULL;
    *n = 0;
    dm_assignments *a = calloc(1, sizeof *a);
    if (a != NULL) a->path = strdup(path);
    if (a == NULL || a->path == NULL) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: assignments: free some memory");
    } else {
        a->file = DM_HDF5_NONE;
        st = open_local(a);
    }
    st = dm_comm_agree(comm, st);
    if (st != DEMARC_OK) {
        dm_assignments_shut(&a);
        return st;
    }
    *n = a->segment.rows;
    *out = a;
    return DEMARC_OK;
}

void dm_assignments_shut(dm_assignments **a)
{
    if (*a == NULL) return;
    dm_column_close(&(*a)->segment);
    dm_column_close(&(*a)->distance);
    dm_column_close(&(*a)->runner_up);
    dm_column_close(&(*a)->margin);
    dm_column_close(&(*a)->id);
    dm_hdf5_close(&(*a)->file);
    dm_free((*a)->bits);
    free((*a)->path);
    free(*a);
    *a = NULL;
}

static demarc_status read_int32(dm_assignments *a, dm_column *c, int64_t begin, int64_t count, int32_t *out)
{
    for (int64_t at = 0; at < count; at += ID_ROWS) {
        const int64_t n = count - at < ID_ROWS ? count - at : ID_ROWS;
        demarc_status st = dm_column_read(c, begin + at, begin + at + n, DM_TARGET_BITS64, a->bits);
        if (st != DEMARC_OK) return st;
        for (int64_t i = 0; i < n; i++) out[at + i] = (int32_t)a->bits[i];
    }
    return DEMARC_OK;
}

const char *dm_assignments_path(const dm_assignments *a) { return a->path; }

demarc_status dm_assignments_read(dm_assignments *a, int64_t begin, int64_t count, const dm_assignment_rows *rows)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(read_int32(a, &a->segment, begin, count, rows->segment));
    DM_TRY(read_int32(a, &a->runner_up, begin, count, rows->runner_up));
    DM_TRY(dm_column_read(&a->distance, begin, begin + count, DM_TARGET_F32, rows->distance));
    DM_TRY(dm_column_read(&a->margin, begin, begin + count, DM_TARGET_F32, rows->margin));
cleanup:
    return st;
}

demarc_status dm_assignments_ids(dm_assignments *a, int64_t begin, int64_t end, dm_ids *out)
{
    int64_t size = 0;
    const dm_id_kind kind = dm_id_kind_of(&a->id, &size);
    return dm_id_column_read(&a->id, kind, size, begin, end, out);
}

static bool same_text(const dm_ids *ids, int64_t i, const char *stored, int64_t stored_size)
{
    size_t length = 0;
    const char *mine = dm_id_bytes(ids, i, &length);
    return length == strnlen(stored, (size_t)stored_size) && memcmp(mine, stored, length) == 0;
}

demarc_status dm_assignments_compare_ids(dm_assignments *a, dm_customers *customers, int64_t begin, int64_t count,
                                         int64_t *first)
{
    demarc_status st = DEMARC_OK;
    const dm_id_kind kind = dm_customers_schema(customers)->id;
    const bool text = kind == DM_ID_FIXED || kind == DM_ID_VARIABLE;
    char *stored = NULL;
    *first = -1;
    if (text != (a->id.kind == DM_VALUE_FIXED)) {
        *first = begin;
        return DEMARC_OK;
    }
    if (text) DM_TRY(dm_alloc(stored, (count < ID_ROWS ? count : ID_ROWS) * a->id.bytes, "ids"));
    for (int64_t at = 0; at < count && *first < 0; at += ID_ROWS) {
        const int64_t n = count - at < ID_ROWS ? count - at : ID_ROWS, row = begin + at;
        dm_ids ids = {0};
        st = dm_customers_ids(customers, row, row + n, &ids);
        if (st == DEMARC_OK)
            st = dm_column_read(&a->id, row, row + n, text ? DM_TARGET_FIXED : DM_TARGET_BITS64,
                                text ? (void *)stored : (void *)a->bits);
        for (int64_t i = 0; i < n && st == DEMARC_OK && *first < 0; i++) {
            const bool same =
                text ? same_text(&ids, i, stored + i * a->id.bytes, a->id.bytes) : ids.integer[i] == a->bits[i];
            if (!same) *first = row + i;
        }
        dm_ids_clear(&ids);
        DM_TRY(st);
    }
cleanup:
    dm_free(stored);
    return st;
}
