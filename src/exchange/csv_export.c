#include "exchange/csv_export.h"

#include <csv.h>
#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "exchange/number_text.h"
#include "store/id_hash.h"

enum { BLOCK = 4096, BLOCKS = DM_EXPORT_WINDOW / BLOCK };
#define NUMBERS (4 * DM_NUMBER_TEXT) /* room for the fields of a row that are not text, and its end */

/* Text that grows; a failure to get memory stays until the end. */
struct text {
    char *bytes;
    size_t used, room;
    bool failed;
    int64_t formulas;
};

/* Room for `more` bytes behind what is there; NULL when memory is short. */
static char *reserve(struct text *t, size_t more)
{
    if (t->room - t->used < more) {
        const size_t room = 2 * (t->used + more);
        char *grown = t->failed ? NULL : realloc(t->bytes, room);
        if (grown == NULL) {
            t->failed = true;
            return NULL;
        }
        t->bytes = grown;
        t->room = room;
    }
    return t->bytes + t->used;
}

static bool needs_quotes(const char *s, size_t length)
{
    if (length == 0) return false;
    if (s[0] == ' ' || s[length - 1] == ' ') return true;
    for (size_t i = 0; i < length; i++) {
        if (s[i] == ',' || s[i] == '"' || s[i] == '\n' || s[i] == '\r') return true;
    }
    return false;
}

static void put_text(struct text *t, const char *s, size_t length)
{
    char *to = reserve(t, 2 * length + 2);
    if (to == NULL) return;
    if (needs_quotes(s, length)) {
        t->used += csv_write2(to, 2 * length + 2, s, length, '"');
    } else {
        memcpy(to, s, length);
        t->used += length;
    }
    t->formulas += dm_export_like_formula(s, length);
}

static void put_id(struct text *t, const dm_ids *ids, int64_t i)
{
    if (ids->kind == DM_ID_FIXED || ids->kind == DM_ID_VARIABLE) {
        size_t length = 0;
        const char *id = dm_id_bytes(ids, i, &length);
        put_text(t, id, length);
        return;
    }
    char *to = reserve(t, DM_NUMBER_TEXT);
    if (to == NULL) return;
    t->used +=
        (size_t)(ids->kind == DM_ID_U64 ? snprintf(to, DM_NUMBER_TEXT, "%llu", (unsigned long long)ids->integer[i])
                                        : snprintf(to, DM_NUMBER_TEXT, "%lld", (long long)ids->integer[i]));
}

/* ",3,Loyal," of each segment, made once. */
static demarc_status name_fields(const dm_strings *name, struct text *fields, size_t *at)
{
    for (int32_t j = 0; j < name->count; j++) {
        at[j] = fields->used;
        char *to = reserve(fields, DM_NUMBER_TEXT);
        if (to != NULL) fields->used += (size_t)snprintf(to, DM_NUMBER_TEXT, ",%d,", (int)j);
        put_text(fields, name->item[j], strlen(name->item[j]));
        to = reserve(fields, 1);
        if (to != NULL) {
            *to = ',';
            fields->used++;
        }
    }
    at[name->count] = fields->used;
    return fields->failed ? dm_fail(DEMARC_ERR_MEMORY, "out of memory: CSV: free some memory") : DEMARC_OK;
}

static void put_row(struct text *t, const dm_export_rows *r, int64_t i, const struct text *fields, const size_t *at)
{
    const int32_t j = r->rows.segment[i], next = r->rows.runner_up[i];
    const size_t length = at[j + 1] - at[j];
    put_id(t, &r->ids, i);
    char *to = reserve(t, length + NUMBERS), *end = to;
    if (to == NULL) return;
    memcpy(end, fields->bytes + at[j], length);
    end += length;
    end += dm_number_text_f32(end, r->rows.distance[i]);
    *end++ = ',';
    if (next >= 0) end += snprintf(end, DM_NUMBER_TEXT, "%d", (int)next);
    *end++ = ',';
    if (next >= 0) end += dm_number_text_f32(end, r->rows.margin[i]);
    *end++ = '\r';
    *end++ = '\n';
    t->used += (size_t)(end - to);
}

static demarc_status put_window(FILE *f, const dm_export_rows *r, struct text block[BLOCKS], const struct text *fields,
                                const size_t *at)
{
    const int blocks = (int)((r->count + BLOCK - 1) / BLOCK);
#pragma omp parallel for schedule(dynamic) num_threads(r->from->threads)
    for (int b = 0; b < blocks; b++) {
        const int64_t begin = (int64_t)b * BLOCK, end = begin + BLOCK < r->count ? begin + BLOCK : r->count;
        block[b].used = 0;
        for (int64_t i = begin; i < end; i++) put_row(&block[b], r, i, fields, at);
    }
    for (int b = 0; b < blocks; b++) {
        if (block[b].failed) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: CSV: free some memory");
        if (fwrite(block[b].bytes, 1, block[b].used, f) != block[b].used) {
            return dm_fail_errno(errno, "cannot write the CSV file: check the space of its disk");
        }
    }
    return DEMARC_OK;
}

demarc_status dm_csv_export(const dm_export_source *from, const char *path, int64_t *formulas)
{
    demarc_status st = DEMARC_OK;
    dm_export_rows r = {0};
    struct text fields = {0}, block[BLOCKS] = {{0}};
    size_t *at = NULL;
    bool more = true;
    FILE *f = fopen(path, "wb");
    if (f == NULL) DM_TRY(dm_fail_errno(errno, "cannot create %s: check its directory", path));
    DM_TRY(dm_alloc(at, (int64_t)from->name->count + 1, "CSV"));
    DM_TRY(name_fields(from->name, &fields, at));
    DM_TRY(dm_export_rows_begin(&r, from));
    if (fputs("id,segment,segment_name,distance,runner_up,margin\r\n", f) == EOF) {
        DM_TRY(dm_fail_errno(errno, "cannot write the CSV file: check the space of its disk"));
    }
    for (;;) {
        DM_TRY(dm_export_rows_next(&r, &more));
        if (!more) break;
        DM_TRY(put_window(f, &r, block, &fields, at));
    }
    *formulas = fields.formulas;
    for (int b = 0; b < BLOCKS; b++) *formulas += block[b].formulas;
cleanup:
    if (f != NULL && fclose(f) != 0 && st == DEMARC_OK) {
        st = dm_fail_errno(errno, "cannot write the CSV file: check the space of its disk");
    }
    for (int b = 0; b < BLOCKS; b++) free(block[b].bytes);
    free(fields.bytes);
    dm_free(at);
    dm_export_rows_clear(&r);
    return st;
}
