#include "report/json_tools.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

json_t *dm_json_real(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *dm_json_bytes(double v) { return v >= 0.0 && v < 0x1p63 ? json_integer((json_int_t)v) : json_null(); }

json_t *dm_json_u64(uint64_t v)
{
    if (v <= INT64_MAX) return json_integer((json_int_t)v);
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)v);
    return json_string(digits);
}

/* Every byte outside ASCII as \xNN. */
static void escape_bytes(char *dst, const char *src)
{
    for (const unsigned char *s = (const unsigned char *)src; *s != 0; s++) {
        if (*s < 0x80) {
            *dst++ = (char)*s;
        } else {
            dst += sprintf(dst, "\\x%02x", *s);
        }
    }
    *dst = 0;
}

json_t *dm_json_text(const char *s)
{
    if (s == NULL) return json_null();
    size_t room = 0;
    if (__builtin_mul_overflow(strlen(s), (size_t)4, &room) || room == SIZE_MAX) return NULL;
    char *plain = malloc(room + 1), *escaped = malloc(room + 1); /* a byte becomes four at most */
    json_t *v = NULL;
    if (plain != NULL && escaped != NULL) {
        dm_text_escape(escaped, room + 1, s);
        v = json_string(escaped);
        if (v == NULL) {
            /* Bytes shaped like UTF-8 that encode no character (surrogates, overlong forms) pass dm_text_escape and
             * are refused by jansson; such a text shows all its bytes outside ASCII instead. */
            escape_bytes(plain, s);
            dm_text_escape(escaped, room + 1, plain);
            v = json_string(escaped);
        }
    }
    free(escaped);
    free(plain);
    return v;
}

json_t *dm_json_path(const char *s)
{
    json_t *v = s != NULL ? json_string(s) : NULL;
    return v != NULL ? v : dm_json_text(s);
}

json_t *dm_json_integers(const int64_t *v, int64_t count)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int64_t i = 0; i < count && !bad; i++) bad |= json_array_append_new(list, json_integer(v[i]));
    return dm_json_finish(list, bad);
}

json_t *dm_json_reals(const double *v, int64_t count)
{
    if (v == NULL) return json_null();
    json_t *list = json_array();
    int bad = list == NULL;
    for (int64_t i = 0; i < count && !bad; i++) bad |= json_array_append_new(list, dm_json_real(v[i]));
    return dm_json_finish(list, bad);
}

/* `name` with "#index" appended until `seen` does not hold it; steals `name`. */
static json_t *distinct_name(json_t *name, const json_t *seen, int32_t index)
{
    while (name != NULL && json_object_get(seen, json_string_value(name)) != NULL) {
        json_t *longer = json_sprintf("%s#%d", json_string_value(name), index);
        json_decref(name);
        name = longer;
    }
    return name;
}

json_t *dm_json_names(const dm_strings *names)
{
    json_t *list = json_array(), *seen = json_object();
    int bad = list == NULL || seen == NULL;
    for (int32_t i = 0; names != NULL && i < names->count && !bad; i++) {
        json_t *name = distinct_name(dm_json_text(names->item[i]), seen, i);
        bad |= name == NULL || json_object_set_new(seen, json_string_value(name), json_null()) != 0;
        bad |= json_array_append_new(list, name);
    }
    json_decref(seen);
    return dm_json_finish(list, bad);
}

json_t *dm_json_finish(json_t *v, int bad)
{
    if (!bad) return v;
    json_decref(v);
    return NULL;
}

demarc_status dm_json_write(json_t *root, const char *what, char **text)
{
    *text = NULL;
    char *dump = NULL, *line = NULL;
    size_t length = 0;
    if (root != NULL) dump = dm_json_dump(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (dump != NULL) {
        length = strlen(dump);
        line = realloc(dump, length + 2);
    }
    if (line == NULL) {
        free(dump);
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s: free some memory on the host of rank 0", what);
    }
    memcpy(line + length, "\n", 2);
    *text = line;
    return DEMARC_OK;
}

/* Read exactly `bytes` of fd; a file that ends earlier (it is being changed) gives what there is. */
static demarc_status read_all(int fd, const char *path, char *buf, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t r = read(fd, buf + *got, bytes - *got);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return dm_fail_errno(errno, "cannot read: %s", path);
        if (r == 0) break;
        *got += (size_t)r;
    }
    return DEMARC_OK;
}

/* What to do when a file is not there, and when it is damaged. */
typedef struct advice {
    const char *absent, *damaged;
} advice;

/* The file's bytes. O_NONBLOCK: opening a pipe must not wait for a writer. */
static demarc_status slurp(const char *path, const advice *a, char **text, size_t *bytes)
{
    demarc_status st = DEMARC_OK;
    struct stat s;
    *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &s) != 0) {
        const int reason = errno;
        st = dm_fail(dm_open_status(reason), "cannot open file: %s: %s: %s", path, strerror(reason), a->absent);
        goto cleanup;
    }
    if (!S_ISREG(s.st_mode)) {
        st = dm_fail(DEMARC_ERR_DATA, "not a regular file: %s: %s", path, a->absent);
        goto cleanup;
    }
    if (s.st_size > DM_JSON_MAX_BYTES) {
        st = dm_fail(DEMARC_ERR_DATA, "file too large: %s: %lld bytes, limit %lld: demarc did not write it, %s", path,
                     (long long)s.st_size, (long long)DM_JSON_MAX_BYTES, a->damaged);
        goto cleanup;
    }
    *text = malloc((size_t)s.st_size + 1);
    if (*text == NULL) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: reading %s: free some memory", path);
        goto cleanup;
    }
    DM_TRY(read_all(fd, path, *text, (size_t)s.st_size, bytes));
cleanup:
    if (fd >= 0) close(fd);
    if (st != DEMARC_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}

static demarc_status load(const char *path, const advice *a, json_t **root)
{
    demarc_status st = DEMARC_OK;
    char *text = NULL;
    size_t bytes = 0;
    json_error_t e;
    *root = NULL;
    DM_TRY(slurp(path, a, &text, &bytes));
    *root = dm_json_read(text, bytes, JSON_REJECT_DUPLICATES, &e);
    if (*root == NULL && e.text[0] == 0) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: reading %s: free some memory", path);
    } else if (*root == NULL) {
        st = dm_fail(DEMARC_ERR_DATA, "not JSON: %s, line %d column %d: %s: %s", path, e.line, e.column, e.text,
                     a->damaged);
    } else if (!json_is_object(*root)) {
        st = dm_fail(DEMARC_ERR_DATA, "not a manifest: %s: the top is not a JSON object: %s", path, a->damaged);
    }
cleanup:
    free(text);
    if (st != DEMARC_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return st;
}

demarc_status dm_json_load(const char *path, json_t **root)
{
    const advice a = {"name a results directory made by demarc fit", "run demarc fit again"};
    return load(path, &a, root);
}

demarc_status dm_json_load_answer(const char *path, json_t **root)
{
    const advice a = {"name a file that holds what a command printed with --json",
                      "keep what the command prints with --json once more"};
    return load(path, &a, root);
}

static const char *found_text(const json_t *v)
{
    if (v == NULL) return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

demarc_status dm_json_want(const json_t *root, const char *path, const char *section, const char *key,
                           dm_json_kind kind, const json_t **value)
{
    const json_t *v = json_object_get(section != NULL ? json_object_get(root, section) : root, key);
    const char *wanted = "a string";
    bool fits = json_is_string(v);
    switch (kind) {
    case DM_JSON_STRING:
        break;
    case DM_JSON_STRING_OR_NULL:
        wanted = "a string or null";
        fits = fits || json_is_null(v);
        break;
    case DM_JSON_INTEGER:
        wanted = "an integer";
        fits = json_is_integer(v);
        break;
    case DM_JSON_NUMBER:
        wanted = "a number";
        fits = json_is_number(v);
        break;
    }
    *value = fits ? v : NULL;
    if (fits) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA, "bad manifest: %s, %s%s%s: expected %s, found %s: run demarc fit again", path,
                   section != NULL ? section : "", section != NULL ? "." : "", key, wanted, found_text(v));
}

demarc_status dm_manifest_load(const char *path, json_t **root)
{
    demarc_status st = DEMARC_OK;
    const json_t *version = NULL;
    *root = NULL;
    DM_TRY(dm_json_load(path, root));
    DM_TRY(dm_json_want(*root, path, NULL, "format_version", DM_JSON_INTEGER, &version));
    if (json_integer_value(version) != 1) {
        st = dm_fail(DEMARC_ERR_DATA,
                     "unknown manifest format: %s, format_version %lld: use the demarc version that wrote it", path,
                     (long long)json_integer_value(version));
    }
cleanup:
    if (st != DEMARC_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return st;
}
