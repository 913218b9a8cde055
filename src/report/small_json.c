#include "report/small_json.h"

#include <math.h>

#include <stdlib.h>
#include <string.h>

#include "report/json_tools.h"

struct dm_small_json {
    json_t *object;
    int bad; /* a setter failed: jansson could not get memory */
};

demarc_status dm_small_json_begin(dm_small_json **out)
{
    *out = calloc(1, sizeof **out);
    json_t *object = json_object();
    if (*out == NULL || object == NULL) {
        free(*out);
        *out = NULL;
        json_decref(object);
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: JSON of the result: free some memory");
    }
    (*out)->object = object;
    return DEMARC_OK;
}

static void set(dm_small_json *j, const char *name, json_t *value)
{
    j->bad |= json_object_set_new(j->object, name, value);
}

void dm_small_json_text(dm_small_json *j, const char *name, const char *value) { set(j, name, dm_json_text(value)); }
void dm_small_json_path(dm_small_json *j, const char *name, const char *value) { set(j, name, dm_json_path(value)); }
void dm_small_json_i64(dm_small_json *j, const char *name, int64_t value) { set(j, name, json_integer(value)); }
void dm_small_json_u64(dm_small_json *j, const char *name, uint64_t value) { set(j, name, dm_json_u64(value)); }
void dm_small_json_f64(dm_small_json *j, const char *name, double value) { set(j, name, dm_json_real(value)); }
void dm_small_json_bool(dm_small_json *j, const char *name, bool value) { set(j, name, json_boolean(value)); }

void dm_small_json_text_list(dm_small_json *j, const char *name, char *const *value, int64_t count)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int64_t i = 0; i < count && !bad; i++) bad |= json_array_append_new(list, dm_json_text(value[i]));
    set(j, name, dm_json_finish(list, bad));
}

void dm_small_json_i64_list(dm_small_json *j, const char *name, const int64_t *value, int64_t count)
{
    set(j, name, dm_json_integers(value, count));
}

demarc_status dm_small_json_finish(dm_small_json **j, char **text)
{
    json_t *root = dm_json_finish((*j)->object, (*j)->bad);
    free(*j);
    *j = NULL;
    return dm_json_write(root, "JSON of the result", text);
}

demarc_status dm_json_parse(const char *text, const char *what, dm_json_node **root)
{
    json_error_t error;
    *root = dm_json_read(text, strlen(text), 0, &error);
    if (*root != NULL) return DEMARC_OK;
    if (error.text[0] == 0) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s: free some memory", what);
    return dm_fail(DEMARC_ERR_SYSTEM, "unreadable JSON: %s: %s: report this as a fault of demarc", what, error.text);
}

void dm_json_release(dm_json_node **root)
{
    json_decref(*root);
    *root = NULL;
}

dm_json_shape dm_json_shape_of(const dm_json_node *node)
{
    return json_is_object(node) ? DM_JSON_OBJECT : json_is_array(node) ? DM_JSON_ARRAY : DM_JSON_SCALAR;
}

int64_t dm_json_count(const dm_json_node *node)
{
    return (int64_t)(json_is_object(node) ? json_object_size(node) : json_array_size(node));
}

bool dm_json_numeric(const dm_json_node *node) { return json_is_number(node) || json_is_null(node); }

bool dm_json_integer(const dm_json_node *node, int64_t *v)
{
    if (!json_is_integer(node)) return false;
    *v = json_integer_value(node);
    return true;
}

double dm_json_number(const dm_json_node *node) { return json_is_number(node) ? json_number_value(node) : (double)NAN; }

bool dm_json_flag(const dm_json_node *node) { return json_is_true(node); }
const char *dm_json_string(const dm_json_node *node) { return json_string_value(node); }

dm_json_node *dm_json_member(const dm_json_node *object, const char *key) { return json_object_get(object, key); }

void dm_json_scalar_text(const dm_json_node *node, char *buf, size_t buf_size)
{
    switch (json_typeof(node)) {
    case JSON_STRING:
        dm_text_escape(buf, buf_size, json_string_value(node));
        break;
    case JSON_INTEGER:
        snprintf(buf, buf_size, "%" JSON_INTEGER_FORMAT, json_integer_value(node));
        break;
    case JSON_REAL:
        snprintf(buf, buf_size, "%.6g", json_real_value(node));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(buf, buf_size, "%s", json_is_true(node) ? "yes" : "no");
        break;
    default: /* null; objects and arrays have no text of their own */
        snprintf(buf, buf_size, "-");
        break;
    }
}

bool dm_json_next(dm_json_node *node, dm_json_cursor *cursor)
{
    if (json_is_array(node)) {
        cursor->key = NULL;
        cursor->value = json_array_get(node, cursor->index++);
        return cursor->value != NULL;
    }
    if (!json_is_object(node)) return false;
    cursor->iterator = cursor->index++ == 0 ? json_object_iter(node) : json_object_iter_next(node, cursor->iterator);
    if (cursor->iterator == NULL) {
        cursor->value = NULL;
        return false;
    }
    cursor->key = json_object_iter_key(cursor->iterator);
    cursor->value = json_object_iter_value(cursor->iterator);
    return true;
}
