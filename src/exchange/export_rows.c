#include "exchange/export_rows.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define REMEDY "give the directory of a whole fit, or fit again"

demarc_status dm_export_rows_begin(dm_export_rows *r, const dm_export_source *from)
{
    demarc_status st = DEMARC_OK;
    *r = (dm_export_rows){.from = from, .start = dm_clock()};
    const int64_t rows = from->n < DM_EXPORT_WINDOW ? from->n : DM_EXPORT_WINDOW;
    DM_TRY(dm_alloc(r->rows.segment, rows, "export"));
    DM_TRY(dm_alloc(r->rows.runner_up, rows, "export"));
    DM_TRY(dm_alloc(r->rows.distance, rows, "export"));
    DM_TRY(dm_alloc(r->rows.margin, rows, "export"));
    DM_TRY(dm_alloc_zero(r->seen, from->model->k, "export"));
cleanup:
    return st;
}

static demarc_status check_window(dm_export_rows *r)
{
    const int32_t k = r->from->model->k;
    for (int64_t i = 0; i < r->count; i++) {
        const int32_t j = r->rows.segment[i], next = r->rows.runner_up[i];
        if (j < 0 || j >= k || next < -1 || next >= k) {
            return dm_fail(DEMARC_ERR_DATA,
                           "assignments of another model: %s/assignments.h5 row %lld has segment %d and runner-up %d, "
                           "model.h5 has %d segments: " REMEDY,
                           r->from->run, (long long)(r->begin + i), (int)j, (int)next, (int)k);
        }
        r->seen[j]++;
    }
    return DEMARC_OK;
}

static demarc_status check_sizes(const dm_export_rows *r)
{
    const dm_model *m = r->from->model;
    for (int32_t j = 0; j < m->k; j++) {
        if (r->seen[j] != m->size[j]) {
            return dm_fail(DEMARC_ERR_DATA,
                           "assignments of another model: %s/assignments.h5 has %lld customers in segment %d, model.h5 "
                           "says %lld: " REMEDY,
                           r->from->run, (long long)r->seen[j], (int)j, (long long)m->size[j]);
        }
    }
    return DEMARC_OK;
}

demarc_status dm_export_rows_next(dm_export_rows *r, bool *more)
{
    demarc_status st = DEMARC_OK;
    const dm_export_source *from = r->from;
    r->begin += r->count;
    r->count = from->n - r->begin < DM_EXPORT_WINDOW ? from->n - r->begin : DM_EXPORT_WINDOW;
    *more = r->count > 0;
    dm_log_progress(from->log, "export", r->begin, from->n, r->start);
    if (!*more) return check_sizes(r);
    dm_ids_clear(&r->ids);
    DM_TRY(dm_assignments_ids(from->assignments, r->begin, r->begin + r->count, &r->ids));
    DM_TRY(dm_assignments_read(from->assignments, r->begin, r->count, &r->rows));
    DM_TRY(check_window(r));
cleanup:
    return st;
}

void dm_export_rows_clear(dm_export_rows *r)
{
    dm_ids_clear(&r->ids);
    dm_free(r->rows.segment);
    dm_free(r->rows.runner_up);
    dm_free(r->rows.distance);
    dm_free(r->rows.margin);
    dm_free(r->seen);
    *r = (dm_export_rows){0};
}

bool dm_export_like_formula(const char *text, size_t length)
{
    return length > 0 && memchr("=+-@\t\r", text[0], 6) != NULL;
}
