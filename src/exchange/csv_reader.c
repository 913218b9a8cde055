/*
 * libcsv is fed line by line, so that the physical line is known whenever it calls back. It reports every unquoted CR
 * and LF (CSV_REPALL_NL); a record starts on the line after the last of them, whatever its quoted fields contain.
 */
#include "exchange/csv_reader.h"

#include <csv.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define BLOCK_BYTES (1 << 18)
#define MAX_COLUMNS (1 << 20)

typedef struct reader {
    struct csv_parser parser;
    const char *name;
    const dm_csv_sink *sink;
    demarc_status st;    /* libcsv cannot be stopped from a callback: later ones do nothing once this is set */
    int64_t line;        /* physical line being fed */
    int64_t record_line; /* physical line on which the current record starts */
    bool after_cr;       /* the last event was an unquoted CR: an LF now belongs to it */
    int32_t columns;     /* of the header, 0 before it */
    int32_t count;       /* fields of the current record so far, stored or not */
    int64_t records;
    char *text;
    int64_t used, capacity;
    int64_t *offset;
    int64_t offset_capacity;
} reader;

/* Room for `need` objects in a growing array; contents are kept. */
static demarc_status grow(void **array, int64_t *capacity, int64_t used, int64_t need, size_t size)
{
    if (need <= *capacity) return DEMARC_OK;
    int64_t larger = *capacity < 512 ? 1024 : 2 * *capacity;
    if (larger < need) larger = need;
    void *fresh = NULL;
    demarc_status st = dm_alloc_bytes(&fresh, larger, size, false, "a CSV record");
    if (st != DEMARC_OK) return st;
    if (used > 0) memcpy(fresh, *array, (size_t)used * size);
    dm_free(*array);
    *array = fresh;
    *capacity = larger;
    return DEMARC_OK;
}

static demarc_status store_field(reader *r, const void *text, size_t length)
{
    /* Fields beyond the header's are only counted: the record is refused when it ends. */
    if (r->columns > 0 && r->count >= r->columns) return DEMARC_OK;
    if (r->count >= MAX_COLUMNS) {
        return dm_fail(DEMARC_ERR_DATA, "more than %d columns: %s line %lld: check the delimiter", MAX_COLUMNS, r->name,
                       (long long)r->record_line);
    }
    if (length > (size_t)DM_CSV_FIELD_MAX) {
        return dm_fail(DEMARC_ERR_DATA,
                       "field longer than 1 MiB: %s, record that starts at line %lld: look for a quote "
                       "that is not closed",
                       r->name, (long long)r->record_line);
    }
    if (r->used + (int64_t)length + 1 > DM_CSV_RECORD_MAX) {
        return dm_fail(DEMARC_ERR_DATA, "record longer than 64 MiB: %s, record that starts at line %lld: split it",
                       r->name, (long long)r->record_line);
    }
    demarc_status st = DEMARC_OK;
    DM_TRY(grow((void **)&r->text, &r->capacity, r->used, r->used + (int64_t)length + 1, 1));
    DM_TRY(grow((void **)&r->offset, &r->offset_capacity, r->count + 1, r->count + 2, sizeof *r->offset));
    if (length > 0) memcpy(r->text + r->used, text, length);
    r->used += (int64_t)length;
    r->text[r->used++] = 0;
    r->offset[r->count + 1] = r->used;
cleanup:
    return st;
}

static void on_field(void *text, size_t length, void *user)
{
    reader *r = user;
    if (r->st != DEMARC_OK) return;
    if (r->after_cr) r->line++; /* that CR stood alone, so it ended a line of its own */
    r->after_cr = false;
    r->st = store_field(r, text, length);
    if (r->count < INT32_MAX) r->count++;
}

/* A line of spaces and tabs in a file of several columns is as good as an empty line. */
static bool is_blank(const reader *r)
{
    return r->count == 0 || (r->count == 1 && r->columns != 1 && r->text[strspn(r->text, " \t")] == 0);
}

static demarc_status end_record(reader *r)
{
    if (is_blank(r)) return DEMARC_OK;
    if (r->columns > 0 && r->count != r->columns) {
        return dm_fail(DEMARC_ERR_DATA,
                       "%d field%s where the header has %d: %s line %lld: quote fields that hold the "
                       "delimiter, or check --delimiter",
                       r->count, r->count == 1 ? "" : "s", r->columns, r->name, (long long)r->record_line);
    }
    r->columns = r->count;
    r->records++;
    dm_csv_record record = {.line = r->record_line, .count = r->count, .text = r->text, .offset = r->offset};
    return r->sink->record(r->sink->user, &record);
}

static void on_row(int terminator, void *user)
{
    reader *r = user;
    if (r->st != DEMARC_OK) return;
    if (terminator == CSV_CR && r->after_cr) r->line++;
    if (terminator != CSV_LF || !r->after_cr) r->st = end_record(r);
    r->after_cr = terminator == CSV_CR;
    r->record_line = r->line + 1;
    r->count = 0;
    r->used = 0;
}

static int no_space(unsigned char c)
{
    (void)c;
    return 0;
}

/* The parser's own failure at the current line. */
static demarc_status parser_failed(reader *r)
{
    if (csv_error(&r->parser) == CSV_EPARSE) {
        return dm_fail(DEMARC_ERR_DATA,
                       "stray quote: %s line %lld: put quotes around the whole field and double those "
                       "inside it",
                       r->name, (long long)r->line);
    }
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s line %lld: %s: free some memory", r->name, (long long)r->line,
                   csv_strerror(csv_error(&r->parser)));
}

static demarc_status feed(reader *r, const char *bytes, size_t length)
{
    size_t done = csv_parse(&r->parser, bytes, length, on_field, on_row, r);
    if (r->st != DEMARC_OK) return r->st;
    if (done != length) return parser_failed(r);
    /* libcsv holds the open field: refuse it before it eats the memory. */
    if (csv_get_buffer_size(&r->parser) > (size_t)DM_CSV_FIELD_MAX + 2 * BLOCK_BYTES) {
        return dm_fail(DEMARC_ERR_DATA,
                       "field longer than 1 MiB: %s, record that starts at line %lld: look for a quote "
                       "that is not closed",
                       r->name, (long long)r->record_line);
    }
    return DEMARC_OK;
}

static demarc_status feed_block(reader *r, const char *bytes, size_t length)
{
    const char *end = bytes + length, *nul = memchr(bytes, 0, length);
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *next = newline != NULL ? newline + 1 : end;
        if (nul != NULL && nul < next) {
            return dm_fail(DEMARC_ERR_DATA,
                           "NUL byte: %s line %lld: not a text file, or UTF-16: convert it with iconv -t "
                           "UTF-8",
                           r->name, (long long)r->line);
        }
        demarc_status st = feed(r, bytes, (size_t)(next - bytes));
        if (st != DEMARC_OK) return st;
        if (newline != NULL) {
            r->line++;
            r->after_cr = false;
        }
        bytes = next;
    }
    return DEMARC_OK;
}

/* Fill the block unless the input ends: a pipe gives less than asked for. */
static demarc_status read_block(int fd, const char *name, char *block, size_t *length)
{
    *length = 0;
    while (*length < BLOCK_BYTES) {
        ssize_t got = read(fd, block + *length, BLOCK_BYTES - *length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EISDIR) return dm_fail(DEMARC_ERR_DATA, "is a directory: %s: name a CSV file", name);
        if (got < 0) return dm_fail_errno(errno, "cannot read: %s", name);
        if (got == 0) break;
        *length += (size_t)got;
    }
    return DEMARC_OK;
}

/* Files that people mistake for CSV, by their first bytes. */
static demarc_status check_start(const char *name, const char *block, size_t length)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *what, *todo;
    } known[] = {
        {"\xff\xfe", 2, "UTF-16 text", "convert it with iconv -f UTF-16 -t UTF-8"},
        {"\xfe\xff", 2, "UTF-16 text", "convert it with iconv -f UTF-16 -t UTF-8"},
        {"\x1f\x8b", 2, "gzip data", "pipe it: zcat FILE | demarc import - OUT.h5"},
        {"\xfd\x37zXZ", 5, "xz data", "pipe it: xzcat FILE | demarc import - OUT.h5"},
        {"\x28\xb5\x2f\xfd", 4, "zstd data", "pipe it: zstdcat FILE | demarc import - OUT.h5"},
        {"PK\x03\x04", 4, "a zip archive or workbook", "unpack it or save it as CSV"},
        {"\x89HDF\r\n", 6, "an HDF5 file", "it needs no import"},
    };
    if (length == 0) return dm_fail(DEMARC_ERR_DATA, "empty file: %s: a CSV file starts with a header", name);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (length >= known[i].length && memcmp(block, known[i].magic, known[i].length) == 0) {
            return dm_fail(DEMARC_ERR_DATA, "%s, not CSV text: %s: %s", known[i].what, name, known[i].todo);
        }
    }
    return DEMARC_OK;
}

static demarc_status read_all(reader *r, int fd, char *block)
{
    demarc_status st = DEMARC_OK;
    size_t length = 0, skip = 0;
    int64_t total = 0;
    DM_TRY(read_block(fd, r->name, block, &length));
    DM_TRY(check_start(r->name, block, length));
    if (length >= 3 && memcmp(block, "\xef\xbb\xbf", 3) == 0) skip = 3;
    while (length > 0) {
        DM_TRY(feed_block(r, block + skip, length - skip));
        total += (int64_t)length;
        if (r->sink->progress != NULL) r->sink->progress(r->sink->user, total);
        skip = 0;
        DM_TRY(read_block(fd, r->name, block, &length));
    }
    if (csv_fini(&r->parser, on_field, on_row, r) != 0) {
        return dm_fail(DEMARC_ERR_DATA, "quote not closed: %s, record that starts at line %lld: close the quote",
                       r->name, (long long)r->record_line);
    }
    DM_TRY(r->st);
    if (r->records == 0) {
        return dm_fail(DEMARC_ERR_DATA, "empty file: %s: a CSV file starts with a header", r->name);
    }
cleanup:
    return st;
}

demarc_status dm_csv_read(int fd, const char *name, char delimiter, const dm_csv_sink *sink)
{
    demarc_status st = DEMARC_OK;
    reader r = {.name = name, .sink = sink, .line = 1, .record_line = 1};
    char *block = NULL;
    if (delimiter <= 0 || strchr("\"\r\n", delimiter) != NULL) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "no such delimiter: --delimiter: give one ASCII character that is no quote and no "
                       "line break");
    }
    if (csv_init(&r.parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0) {
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: CSV parser: free some memory");
    }
    csv_set_delim(&r.parser, (unsigned char)delimiter);
    csv_set_space_func(&r.parser, no_space);
    csv_set_blk_size(&r.parser, 4096);
    DM_TRY(grow((void **)&r.text, &r.capacity, 0, 1, 1));
    DM_TRY(grow((void **)&r.offset, &r.offset_capacity, 0, 1, sizeof *r.offset));
    r.offset[0] = 0;
    DM_TRY(dm_alloc(block, BLOCK_BYTES, "reading a CSV file"));
    DM_TRY(read_all(&r, fd, block));
cleanup:
    csv_free(&r.parser);
    dm_free(block);
    dm_free(r.text);
    dm_free(r.offset);
    return st;
}
