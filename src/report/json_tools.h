/*
 * Thin helpers over jansson for the reports of this room; no other room includes this header.
 *
 * Building: every helper that makes a value returns NULL when memory is short, and jansson's setters accept NULL and
 * return -1. So a document is built without a check per line: `bad |= dm_put(...)`, then
 * dm_json_finish(). All functions are local.
 */
#ifndef DM_REPORT_JSON_TOOLS_H
#define DM_REPORT_JSON_TOOLS_H

#include <jansson.h>

#include "base/text.h"
#include "report/json_memory.h"

/** A number; null for NaN and infinities, which JSON cannot say. */
json_t *dm_json_real(double v);
/** An integer number of bytes; null when negative or undefined. */
json_t *dm_json_bytes(double v);
/** An integer; a string of decimal digits above INT64_MAX, which jansson's integers cannot hold. */
json_t *dm_json_u64(uint64_t v);
/** A string in which control characters and bytes that are not UTF-8 read \xNN; null for NULL. */
json_t *dm_json_text(const char *s);
/** As dm_json_text, but any valid UTF-8 stays as it is (JSON escapes it), so that a path can be read back. */
json_t *dm_json_path(const char *s);
/** Array of count integers. */
json_t *dm_json_integers(const int64_t *v, int64_t count);
/** Array of dm_json_real; null for NULL. */
json_t *dm_json_reals(const double *v, int64_t count);
/**
 * Array of names as dm_json_text, made distinct: a repeated one gets "#index" appended, because names become keys.
 * NULL gives an empty array.
 */
json_t *dm_json_names(const dm_strings *names);

/** Setters: -1 when memory is short. */
static inline int dm_put(json_t *o, const char *key, json_t *v) { return json_object_set_new(o, key, v); }
static inline int dm_put_text(json_t *o, const char *key, const char *v) { return dm_put(o, key, dm_json_text(v)); }
static inline int dm_put_path(json_t *o, const char *key, const char *v) { return dm_put(o, key, dm_json_path(v)); }
static inline int dm_put_integer(json_t *o, const char *key, int64_t v) { return dm_put(o, key, json_integer(v)); }
static inline int dm_put_real(json_t *o, const char *key, double v) { return dm_put(o, key, dm_json_real(v)); }
static inline int dm_put_flag(json_t *o, const char *key, bool v) { return dm_put(o, key, json_boolean(v)); }
/** null for a negative one. */
static inline int dm_put_index(json_t *o, const char *key, int64_t v)
{
    return dm_put(o, key, v < 0 ? json_null() : json_integer(v));
}

/** `v`, or NULL (v released) when `bad` is not 0. */
json_t *dm_json_finish(json_t *v, int bad);

/**
 * Release `root` and give its text: keys in the order of insertion, indented by 2, doubles with 17 digits.
 *
 * @param[in]  root  Stolen; NULL means that building it ran out of memory.
 * @param[out] text  malloc'd, ends in a newline; NULL after an error.
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_json_write(json_t *root, const char *what, char **text);

/** Largest JSON file that is read back, bytes. */
#define DM_JSON_MAX_BYTES (INT64_C(64) << 20)

/**
 * Read a JSON file whose top is an object.
 * @param[out] root  New reference, NULL after an error.
 * @retval DEMARC_ERR_DATA  missing, not a regular file, over DM_JSON_MAX_BYTES, not JSON
 */
demarc_status dm_json_load(const char *path, json_t **root);

/** As dm_json_load, of what a command printed with --json: the error says so. */
demarc_status dm_json_load_answer(const char *path, json_t **root);

/** What dm_json_want() accepts. */
typedef enum dm_json_kind { DM_JSON_STRING, DM_JSON_STRING_OR_NULL, DM_JSON_INTEGER, DM_JSON_NUMBER } dm_json_kind;

/**
 * The value at section.key of `root` (at key when section is NULL), checked; borrowed.
 * @param[in] path  the file, for the error line
 * @retval DEMARC_ERR_DATA  missing or of another kind
 */
demarc_status dm_json_want(const json_t *root, const char *path, const char *section, const char *key,
                           dm_json_kind kind, const json_t **value);

/** The hexadecimal digest at section.digest (digest when section is NULL). @retval DEMARC_ERR_DATA */
demarc_status dm_json_digest(const json_t *root, const char *path, const char *section, char digest[40]);

/** Load a manifest and check its format version. As dm_json_load. */
demarc_status dm_manifest_load(const char *path, json_t **root);

#endif
