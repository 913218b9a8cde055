/*
 * Any document of src/report/schema/info.schema.json as text, by the shape of its values: scalars and lists of scalars
 * stand in a table of names and values, lists of objects become tables of their own, objects become sections, and a
 * model's centroids a table of features by segments. A field added to the schema shows up without a change here.
 */
#include "cli/info_text.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/values.h"
#include "report/small_json.h"

#define CELL 2048 /* bytes of one scalar; a longer text is cut */

/* Keys whose names are short in JSON. */
static const char *const key_words[][2] = {
    {"n", "customers"}, {"d", "features"}, {"k", "segments"}, {"non_finite", "non-finite"}};

static void key_text(char *buf, size_t size, const char *key)
{
    for (size_t i = 0; i < sizeof key_words / sizeof *key_words; i++) {
        if (strcmp(key, key_words[i][0]) == 0) key = key_words[i][1];
    }
    snprintf(buf, size, "%s", key);
    for (char *p = buf; *p != 0; p++) {
        if (*p == '_') *p = ' ';
    }
}

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);
    return a >= b && strcmp(s + a - b, end) == 0;
}

/* Integers in groups of three, but not a seed: it is copied into a command line. Bytes in words. */
static void scalar_text(char buf[CELL], const char *key, const dm_json_node *value)
{
    int64_t v = 0;
    if (key != NULL && strcmp(key, "control") == 0) {
        dm_json_scalar_text(value, buf, CELL);
        if (buf[0] == 0) snprintf(buf, CELL, "none named (give --control NAME)");
    } else if (!dm_json_integer(value, &v) || (key != NULL && strcmp(key, "seed") == 0)) {
        dm_json_scalar_text(value, buf, CELL);
    } else if (key != NULL && ends_with(key, "bytes")) {
        char words[32];
        snprintf(buf, CELL, "%s", dm_text_bytes(words, (double)v));
    } else {
        char digits[32];
        snprintf(buf, CELL, "%s", cli_grouped(digits, v));
    }
}

/* "a, b, c"; malloc'd. */
static demarc_status list_text(dm_json_node *list, char **out)
{
    size_t size = 0;
    char item[CELL];
    FILE *f = open_memstream(out, &size);
    if (f == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: text of a list: free some memory");
    dm_json_cursor c = {0};
    while (dm_json_next(list, &c)) {
        dm_json_scalar_text(c.value, item, sizeof item); /* no groups of three: commas part the items */
        fprintf(f, "%s%s", c.index > 1 ? ", " : "", item);
    }
    if (dm_json_count(list) == 0) fputs("-", f);
    if (fclose(f) == 0) return DEMARC_OK;
    free(*out);
    *out = NULL;
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: text of a list: free some memory");
}

static dm_json_node *first_of(dm_json_node *list)
{
    dm_json_cursor c = {0};
    return dm_json_next(list, &c) ? c.value : NULL;
}

/* A value that fits behind its name: a scalar, or a list of scalars. */
static bool is_inline(dm_json_node *value)
{
    if (dm_json_shape_of(value) == DM_JSON_SCALAR) return true;
    if (dm_json_shape_of(value) != DM_JSON_ARRAY) return false;
    return dm_json_count(value) == 0 || dm_json_shape_of(first_of(value)) == DM_JSON_SCALAR;
}

static bool has_centroids(const dm_json_node *object)
{
    const dm_json_node *c = dm_json_member(object, "centroids");
    return c != NULL && dm_json_member(object, "features") != NULL && dm_json_member(object, "sizes") != NULL;
}

/* Shown elsewhere, or of use to programs only. */
static bool is_hidden(const dm_json_node *object, const char *key)
{
    if (strcmp(key, "format_version") == 0) return true;
    return has_centroids(object) && (strcmp(key, "features") == 0 || strcmp(key, "names") == 0 ||
                                     strcmp(key, "sizes") == 0 || strcmp(key, "centroids") == 0);
}

static demarc_status add_fact(cli_table *t, const char *key, dm_json_node *value)
{
    demarc_status st = DEMARC_OK;
    char name[CELL], scalar[CELL];
    char *list = NULL;
    key_text(name, sizeof name, key);
    DM_TRY(cli_table_cell(t, name));
    if (dm_json_shape_of(value) == DM_JSON_ARRAY) {
        DM_TRY(list_text(value, &list));
        DM_TRY(cli_table_cell(t, list));
    } else {
        scalar_text(scalar, key, value);
        DM_TRY(cli_table_cell(t, scalar));
    }
cleanup:
    free(list);
    return st;
}

static demarc_status print_facts(dm_json_node *object)
{
    demarc_status st = DEMARC_OK;
    cli_table t;
    cli_table_begin(&t, "ll");
    dm_json_cursor c = {0};
    while (dm_json_next(object, &c)) {
        if (is_inline(c.value) && !is_hidden(object, c.key)) DM_TRY(add_fact(&t, c.key, c.value));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    return st;
}

static void print_title(const char *key)
{
    char title[CELL];
    key_text(title, sizeof title, key);
    bool colour = cli_colour();
    printf("\n%s%s%s\n", colour ? "\033[1m" : "", title, colour ? "\033[0m" : "");
}

/* A list of objects with the same keys: one row each; the keys of the first are the heading. */
static demarc_status print_records(dm_json_node *list)
{
    demarc_status st = DEMARC_OK;
    dm_json_node *first = first_of(list);
    const int64_t columns = dm_json_count(first);
    char text[CELL];
    char *align = calloc((size_t)columns + 1, 1);
    cli_table t = {0};
    if (align == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: table: free some memory");
    dm_json_cursor key = {0};
    for (int64_t i = 0; dm_json_next(first, &key); i++) align[i] = dm_json_numeric(key.value) ? 'r' : 'l';
    cli_table_begin(&t, align);
    t.indent = "  ";
    key = (dm_json_cursor){0};
    while (dm_json_next(first, &key)) {
        key_text(text, sizeof text, key.key);
        DM_TRY(cli_table_heading(&t, text));
    }
    dm_json_cursor row = {0};
    while (dm_json_next(list, &row)) {
        key = (dm_json_cursor){0};
        while (dm_json_next(first, &key)) {
            const dm_json_node *value = dm_json_member(row.value, key.key);
            snprintf(text, sizeof text, "-");
            if (value != NULL) scalar_text(text, key.key, value);
            DM_TRY(cli_table_cell(&t, text));
        }
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    free(align);
    return st;
}

/* A row of the segments: a name, then one value a segment, at `index` of each item of `list` (-1: the item itself). */
static demarc_status add_segment_row(cli_table *t, const char *name, dm_json_node *list, int64_t index)
{
    demarc_status st = DEMARC_OK;
    char text[CELL];
    DM_TRY(cli_table_cell(t, name));
    dm_json_cursor segment = {0};
    while (dm_json_next(list, &segment)) {
        dm_json_node *value = segment.value;
        if (index >= 0) {
            dm_json_cursor item = {.index = (size_t)index};
            if (!dm_json_next(segment.value, &item)) continue;
            value = item.value;
        }
        scalar_text(text, NULL, value);
        DM_TRY(cli_table_cell(t, text));
    }
cleanup:
    return st;
}

/* Centroids in original units: a row a feature, a column a segment, names and sizes on top. */
static demarc_status print_centroids(const dm_json_node *model)
{
    demarc_status st = DEMARC_OK;
    dm_json_node *features = dm_json_member(model, "features"), *centroids = dm_json_member(model, "centroids");
    const int64_t k = dm_json_count(centroids);
    char text[CELL];
    cli_table t = {0};
    char *align = malloc((size_t)k + 2);
    if (align == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: table: free some memory");
    memset(align, 'r', (size_t)k + 1);
    align[0] = 'l';
    align[k + 1] = 0;
    cli_table_begin(&t, align);
    t.indent = "  ";
    DM_TRY(cli_table_heading(&t, "segment"));
    for (int64_t s = 0; s < k; s++) {
        snprintf(text, sizeof text, "%lld", (long long)s);
        DM_TRY(cli_table_heading(&t, text));
    }
    DM_TRY(add_segment_row(&t, "name", dm_json_member(model, "names"), -1));
    DM_TRY(add_segment_row(&t, "customers", dm_json_member(model, "sizes"), -1));
    dm_json_cursor feature = {0};
    while (dm_json_next(features, &feature)) {
        dm_json_scalar_text(feature.value, text, sizeof text);
        DM_TRY(add_segment_row(&t, text, centroids, (int64_t)feature.index - 1));
    }
    DM_TRY(cli_table_print(&t));
cleanup:
    cli_table_clear(&t);
    free(align);
    return st;
}

static demarc_status print_object(dm_json_node *object)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(print_facts(object));
    if (has_centroids(object)) {
        print_title("centroids");
        DM_TRY(print_centroids(object));
    }
    dm_json_cursor c = {0};
    while (dm_json_next(object, &c)) {
        if (is_inline(c.value) || is_hidden(object, c.key)) continue;
        print_title(c.key);
        if (dm_json_shape_of(c.value) == DM_JSON_OBJECT) {
            DM_TRY(print_object(c.value));
        } else if (dm_json_shape_of(first_of(c.value)) == DM_JSON_OBJECT) {
            DM_TRY(print_records(c.value));
        }
    }
cleanup:
    return st;
}

demarc_status cli_info_print(const char *json)
{
    dm_json_node *root = NULL;
    demarc_status st = dm_json_parse(json, "result of demarc info", &root);
    if (st == DEMARC_OK) st = print_object(root);
    dm_json_release(&root);
    return st;
}
