#include "engine/page_rows.h"

#include <string.h>

#include "base/memory.h"
#include "base/row_blocks.h"

#define WINDOW 65536

_Static_assert(sizeof(dm_page_example) % 8 == 0, "examples are shared as 64-bit words");

void dm_page_rows_share(dm_comm *comm, void *values, int64_t bytes) { dm_comm_sum_i64(comm, values, bytes / 8); }

static bool nearer(const dm_page_example *a, const dm_page_example *b)
{
    if (b->row < 0) return true;
    return a->distance < b->distance || (a->distance == b->distance && a->row < b->row);
}

/* Keep `e` among the nearest of its segment, in order. */
static void offer(dm_page_example *list, const dm_page_example *e)
{
    int at = DM_PAGE_EXAMPLES;
    while (at > 0 && nearer(e, &list[at - 1])) at--;
    if (at == DM_PAGE_EXAMPLES) return;
    memmove(&list[at + 1], &list[at], (size_t)(DM_PAGE_EXAMPLES - 1 - at) * sizeof *list);
    list[at] = *e;
}

typedef struct window_scan {
    dm_assignments *a;
    int32_t k, rows;
    const int64_t *row;
    int64_t *segment; /* [rows] */
    dm_page_example *example;
    dm_assignment_rows got;
} window_scan;

static demarc_status scan_window(window_scan *s, int64_t begin, int64_t count, int32_t *next)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_assignments_read(s->a, begin, count, &s->got));
    for (int64_t i = 0; i < count; i++) {
        const int32_t j = s->got.segment[i];
        if (j < 0 || j >= s->k) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA,
                           "damaged assignments: %s, /segment of row %lld is %d, the model has %d segments: fit again",
                           dm_assignments_path(s->a), (long long)(begin + i), (int)j, (int)s->k));
        }
        const dm_page_example e = {.row = begin + i, .distance = s->got.distance[i]};
        offer(s->example + (int64_t)j * DM_PAGE_EXAMPLES, &e);
        if (*next < s->rows && s->row[*next] == begin + i) s->segment[(*next)++] = j;
    }
cleanup:
    return st;
}

static demarc_status scan_share(window_scan *s, dm_row_range range)
{
    demarc_status st = DEMARC_OK;
    int32_t next = 0;
    while (next < s->rows && s->row[next] < range.begin) next++;
    for (int64_t at = range.begin; at < range.end; at += WINDOW) {
        DM_TRY(scan_window(s, at, range.end - at < WINDOW ? range.end - at : WINDOW, &next));
    }
cleanup:
    return st;
}

static demarc_status scan_create(window_scan *s)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(s->got.segment, WINDOW, "assignments"));
    DM_TRY(dm_alloc(s->got.runner_up, WINDOW, "assignments"));
    DM_TRY(dm_alloc(s->got.distance, WINDOW, "assignments"));
    DM_TRY(dm_alloc(s->got.margin, WINDOW, "assignments"));
    DM_TRY(dm_alloc_zero(s->segment, s->rows, "map"));
    for (int64_t e = 0; e < (int64_t)s->k * DM_PAGE_EXAMPLES; e++) s->example[e] = (dm_page_example){.row = -1};
cleanup:
    return st;
}

/* The nearest of all ranks. */
static demarc_status merge(window_scan *s, dm_comm *comm)
{
    demarc_status st = DEMARC_OK;
    void *all = NULL;
    int64_t bytes = 0;
    const int64_t count = (int64_t)s->k * DM_PAGE_EXAMPLES;
    DM_TRY(dm_comm_all_gather(comm, s->example, count * (int64_t)sizeof *s->example, &all, &bytes));
    const dm_page_example *theirs = all;
    for (int64_t e = 0; e < count; e++) s->example[e] = (dm_page_example){.row = -1};
    for (int64_t e = 0; e < bytes / (int64_t)sizeof *theirs; e++) {
        if (theirs[e].row >= 0) offer(s->example + e % count / DM_PAGE_EXAMPLES * DM_PAGE_EXAMPLES, &theirs[e]);
    }
cleanup:
    dm_free(all);
    return st;
}

/* The rank that read a row knows its id. */
static demarc_status name_examples(window_scan *s, dm_row_range range)
{
    for (int64_t e = 0; e < (int64_t)s->k * DM_PAGE_EXAMPLES; e++) {
        dm_page_example *x = &s->example[e];
        if (x->row < range.begin || x->row >= range.end) continue;
        dm_ids ids = {0};
        demarc_status st = dm_assignments_ids(s->a, x->row, x->row + 1, &ids);
        if (st != DEMARC_OK) return st;
        dm_ids_text(&ids, 0, x->id, sizeof x->id);
        dm_ids_clear(&ids);
    }
    return DEMARC_OK;
}

/* Ids travel as words that all ranks but one have as zeros; the rest of an example is the same on every rank. */
static demarc_status share_ids(window_scan *s, dm_comm *comm)
{
    demarc_status st = DEMARC_OK;
    const int64_t count = (int64_t)s->k * DM_PAGE_EXAMPLES;
    char(*id)[DM_PAGE_ID_BYTES] = NULL;
    DM_TRY_ALL(comm, dm_alloc_zero(id, count, "ids"));
    for (int64_t e = 0; e < count; e++) snprintf(id[e], sizeof id[e], "%s", s->example[e].id);
    dm_page_rows_share(comm, id, count * (int64_t)sizeof *id);
    for (int64_t e = 0; e < count; e++) memcpy(s->example[e].id, id[e], sizeof *id);
cleanup:
    dm_free(id);
    return st;
}

demarc_status dm_page_rows_read(dm_assignments *a, dm_comm *comm, int64_t n, int32_t k, int32_t rows,
                                const int64_t *row, int32_t *segment, dm_page_example *example)
{
    demarc_status st = DEMARC_OK;
    window_scan s = {.a = a, .k = k, .rows = rows, .row = row, .example = example};
    const dm_row_range range = dm_row_range_of(n, dm_comm_rank(comm), dm_comm_size(comm));
    st = scan_create(&s);
    if (st == DEMARC_OK) st = scan_share(&s, range);
    DM_TRY_ALL(comm, st);
    dm_page_rows_share(comm, s.segment, rows * (int64_t)sizeof *s.segment);
    for (int32_t i = 0; i < rows; i++) segment[i] = (int32_t)s.segment[i];
    DM_TRY(merge(&s, comm));
    DM_TRY_ALL(comm, name_examples(&s, range));
    DM_TRY(share_ids(&s, comm));
cleanup:
    dm_free(s.got.segment);
    dm_free(s.got.runner_up);
    dm_free(s.got.distance);
    dm_free(s.got.margin);
    dm_free(s.segment);
    return st;
}
