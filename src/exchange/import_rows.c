#include "exchange/import_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/open_read.h"
#include "exchange/csv_number.h"
#include "store/customer_file.h"

#define SHOWN 40 /* bytes of a bad value that an error line repeats */

typedef struct reading {
    dm_import_rows *out;
    const demarc_import_options *o;
    const char *file, *beside;
    dm_log *log;
    bool have_header;
    char *row; /* packed */
    int64_t line;
    const char *id;
    int64_t id_length;
    int64_t file_bytes; /* 0 = unknown (a pipe) */
    double start;
} reading;

const char *dm_import_name(const demarc_import_options *o) { return strcmp(o->in, "-") == 0 ? "stdin" : o->in; }

static const char *column_name(const reading *r, const dm_slot *slot)
{
    return r->out->columns.name.item[slot->column];
}

/* Every complaint about a value reads: WHAT: FILE line N, column 'NAME': WHAT TO DO. */
static demarc_status bad_value(const reading *r, const dm_slot *slot, const char *what, const char *text,
                               const char *todo)
{
    char shown[SHOWN + 8] = "";
    if (text != NULL) {
        size_t length = strnlen(text, SHOWN + 1);
        if (length > SHOWN) {
            length = SHOWN;
            while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) length--; /* whole UTF-8 characters */
        }
        snprintf(shown, sizeof shown, ": '%.*s%s'", (int)length, text, text[length] != 0 ? "..." : "");
    }
    return dm_fail(DEMARC_ERR_DATA, "%s%s: %s line %lld, column '%s': %s", what, shown, r->file, (long long)r->line,
                   column_name(r, slot), todo);
}

static const char *number_todo(dm_slot_kind kind)
{
    switch (kind) {
    case DM_SLOT_OUTCOME:
        return "outcomes are numbers: correct it or leave the column out of --outcomes";
    case DM_SLOT_WEIGHT:
        return "weights are numbers: correct it or leave --weight out";
    case DM_SLOT_REACHABLE:
        return "write 1, 0, yes or no, or leave the column out of --reachable";
    default:
        return "name it in --categorical or leave it out with --exclude";
    }
}

static demarc_status take_number(const reading *r, const dm_slot *slot, const char *text, double *value)
{
    switch (dm_csv_number(text, value)) {
    case DM_CSV_NOT_A_NUMBER:
        return bad_value(r, slot, "not a number", text, number_todo(slot->kind));
    case DM_CSV_TOO_LARGE:
        return bad_value(r, slot, "number too large for a double", text, "correct it");
    default:
        return DEMARC_OK;
    }
}

static demarc_status put_number(const reading *r, const dm_slot *slot, const char *text)
{
    double v = NAN;
    demarc_status st = take_number(r, slot, text, &v);
    if (st != DEMARC_OK) return st;
    if (slot->kind == DM_SLOT_NUMBER && isnan(v)) r->out->missing++;
    if (slot->kind == DM_SLOT_NUMBER && r->o->float32 && fabs(v) > FLT_MAX) {
        return bad_value(r, slot, "number too large for a float32", text, "correct it or leave --float32 out");
    }
    if (slot->kind == DM_SLOT_WEIGHT && isnan(v)) {
        return bad_value(r, slot, "missing weight", NULL, "give every customer a weight, or leave --weight out");
    }
    if (slot->kind == DM_SLOT_WEIGHT && v < 0.0) {
        return bad_value(r, slot, "negative weight", text, "weights are 0 or more: correct it");
    }
    memcpy(r->row + slot->at, &v, sizeof v);
    return DEMARC_OK;
}

static demarc_status put_reachable(const reading *r, const dm_slot *slot, const char *text)
{
    double v = NAN;
    demarc_status st = take_number(r, slot, text, &v);
    if (st != DEMARC_OK) return st;
    if (isnan(v)) return bad_value(r, slot, "missing value", NULL, number_todo(slot->kind));
    if (v != 0.0 && v != 1.0) return bad_value(r, slot, "neither 0 nor 1", text, number_todo(slot->kind));
    r->row[slot->at] = v != 0.0;
    return DEMARC_OK;
}

static int32_t most_levels(const dm_slot *slot) { return slot->kind == DM_SLOT_ARM ? DM_ARMS_MAX : DM_LEVELS_MAX; }

static demarc_status too_many_levels(const reading *r, const dm_slot *slot)
{
    char what[64];
    snprintf(what, sizeof what, "more than %d distinct values", (int)most_levels(slot));
    return bad_value(r, slot, what, NULL,
                     slot->kind == DM_SLOT_ARM ? "this is no campaign arm: name another column in --arm"
                                               : "this is no category: leave it out with --exclude");
}

static demarc_status put_level(const reading *r, const dm_slot *slot, const char *text, int64_t length)
{
    int32_t code = -1;
    if (dm_csv_missing(text)) {
        if (slot->kind == DM_SLOT_ARM) {
            return bad_value(r, slot, "missing arm", NULL, "leave out customers who were not in the campaign");
        }
        r->out->missing++;
    } else {
        if (length > DM_LEVEL_BYTES_MAX) {
            return bad_value(r, slot, "level longer than 1024 bytes", text,
                             "this is no category: leave it out with --exclude");
        }
        dm_levels *levels = &r->out->columns.levels[slot->levels];
        int32_t before = levels->count;
        demarc_status st = dm_levels_code(levels, text, &code);
        if (st != DEMARC_OK) return st;
        if (code < 0 || code >= most_levels(slot)) return too_many_levels(r, slot);
        if (levels->count > before && !dm_text_utf8(text, strlen(text))) {
            return bad_value(r, slot, "not UTF-8", text, "convert the file with iconv -t UTF-8");
        }
    }
    memcpy(r->row + slot->at, &code, sizeof code);
    return DEMARC_OK;
}

static demarc_status put_id(reading *r, const dm_slot *slot, const char *text, int64_t length)
{
    int64_t value = 0;
    if (dm_csv_missing(text))
        return bad_value(r, slot, "missing id", NULL, "give every customer an id, or leave --id out");
    if (length > DM_IMPORT_ID_MAX)
        return bad_value(r, slot, "id longer than 1024 bytes", text, "name another column in --id");
    if (r->out->id_integer) r->out->id_integer = dm_csv_integer(text, &value);
    if (!r->out->id_integer && !dm_text_utf8(text, strlen(text))) {
        return bad_value(r, slot, "not UTF-8", text, "convert the file with iconv -t UTF-8");
    }
    if (length > r->out->id_longest) r->out->id_longest = length;
    r->id = text;
    r->id_length = length;
    return DEMARC_OK;
}

static demarc_status put_slot(reading *r, const dm_slot *slot, const dm_csv_record *record)
{
    const char *text = dm_csv_field(record, slot->column);
    switch (slot->kind) {
    case DM_SLOT_NUMBER:
    case DM_SLOT_OUTCOME:
    case DM_SLOT_WEIGHT:
        return put_number(r, slot, text);
    case DM_SLOT_REACHABLE:
        return put_reachable(r, slot, text);
    case DM_SLOT_CATEGORY:
    case DM_SLOT_ARM:
        return put_level(r, slot, text, dm_csv_field_length(record, slot->column));
    case DM_SLOT_ID:
        return put_id(r, slot, text, dm_csv_field_length(record, slot->column));
    }
    return DEMARC_OK;
}

static demarc_status take_header(reading *r, const dm_csv_record *record)
{
    demarc_status st = DEMARC_OK;
    dm_import_rows *out = r->out;
    r->have_header = true;
    DM_TRY(dm_import_columns_plan(&out->columns, record, r->o, r->file));
    DM_TRY(dm_alloc_zero(r->row, out->columns.row_bytes, "a row of the CSV file"));
    if (r->beside != NULL) DM_TRY(dm_spool_open(&out->spool, r->beside, out->columns.row_bytes, out->columns.id));
cleanup:
    return st;
}

static demarc_status take_record(void *user, const dm_csv_record *record)
{
    reading *r = user;
    demarc_status st = DEMARC_OK;
    if (!r->have_header) return take_header(r, record);
    r->line = record->line;
    for (int32_t i = 0; i < r->out->columns.slots; i++) DM_TRY(put_slot(r, &r->out->columns.slot[i], record));
    if (r->out->spool.file != NULL) DM_TRY(dm_spool_put(&r->out->spool, r->row, r->id, r->id_length));
    r->out->rows++;
cleanup:
    return st;
}

static void show_progress(void *user, int64_t bytes)
{
    reading *r = user;
    if (r->file_bytes > 0) dm_log_progress(r->log, "import", bytes, r->file_bytes, r->start);
}

static demarc_status open_input(reading *r, int *fd)
{
    struct stat s;
    *fd = strcmp(r->o->in, "-") == 0 ? dup(STDIN_FILENO) : dm_open_read(r->o->in);
    if (*fd < 0) {
        const int reason = errno;
        if (reason == ENOENT || reason == ENOTDIR)
            return dm_fail(DEMARC_ERR_DATA, "no such file: %s: check the path", r->file);
        if (reason == ENXIO) return dm_fail(DEMARC_ERR_DATA, "nobody writes to the pipe: %s: give a CSV file", r->file);
        (void)dm_fail_errno(reason, "cannot open the CSV file: %s: check its name and permissions", r->file);
        return dm_open_status(reason);
    }
    posix_fadvise(*fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (fstat(*fd, &s) == 0 && S_ISREG(s.st_mode)) r->file_bytes = s.st_size;
    return DEMARC_OK;
}

demarc_status dm_import_rows_read(dm_import_rows *out, const demarc_import_options *o, const char *beside, dm_log *log)
{
    demarc_status st = DEMARC_OK;
    reading r = {.out = out, .o = o, .file = dm_import_name(o), .beside = beside, .log = log, .start = dm_clock()};
    dm_csv_sink sink = {.record = take_record, .progress = show_progress, .user = &r};
    int fd = -1;
    *out = (dm_import_rows){.id_integer = true};
    DM_TRY(open_input(&r, &fd));
    DM_TRY(dm_csv_read(fd, r.file, o->delimiter, &sink));
    if (out->rows == 0) {
        st = dm_fail(DEMARC_ERR_DATA, "no customers: %s: there is a header but no row below it", r.file);
        goto cleanup;
    }
    if (out->spool.file != NULL) DM_TRY(dm_spool_rewind(&out->spool));
cleanup:
    if (fd >= 0) close(fd);
    dm_free(r.row);
    return st;
}

void dm_import_rows_clear(dm_import_rows *r)
{
    dm_spool_close(&r->spool);
    dm_import_columns_clear(&r->columns);
}
