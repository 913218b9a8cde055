/*
 * Small JSON for the program: one flat object for the result of a short command, and a reader to print a document
 * as text. Keeps jansson inside this room. All functions are local.
 */
#ifndef DM_REPORT_SMALL_JSON_H
#define DM_REPORT_SMALL_JSON_H

#include "base/status.h"

/** One JSON object under construction. A failure to get memory is kept until dm_small_json_finish(). */
typedef struct dm_small_json dm_small_json;

/** @param[out] out  freed by dm_small_json_finish() */
demarc_status dm_small_json_begin(dm_small_json **out);
/** Foreign bytes are escaped; NULL becomes null. */
void dm_small_json_text(dm_small_json *j, const char *name, const char *value);
/** A path keeps its valid UTF-8 so that it can be opened again. */
void dm_small_json_path(dm_small_json *j, const char *name, const char *value);
void dm_small_json_i64(dm_small_json *j, const char *name, int64_t value);
void dm_small_json_u64(dm_small_json *j, const char *name, uint64_t value);
/** Round-trips; NaN and infinities become null. */
void dm_small_json_f64(dm_small_json *j, const char *name, double value);
void dm_small_json_bool(dm_small_json *j, const char *name, bool value);
void dm_small_json_text_list(dm_small_json *j, const char *name, char *const *value, int64_t count);
void dm_small_json_i64_list(dm_small_json *j, const char *name, const int64_t *value, int64_t count);
/**
 * @param[out] text  malloc'd, ends in a newline; the caller frees. NULL after an error.
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_small_json_finish(dm_small_json **j, char **text);

/** A value in a parsed document; borrowed from its root. */
typedef struct json_t dm_json_node;
typedef enum dm_json_shape { DM_JSON_SCALAR, DM_JSON_OBJECT, DM_JSON_ARRAY } dm_json_shape;

/** @retval DEMARC_ERR_SYSTEM  `text` is not a JSON object or array: `what` names it in the error line */
demarc_status dm_json_parse(const char *text, const char *what, dm_json_node **root);
void dm_json_release(dm_json_node **root);
dm_json_shape dm_json_shape_of(const dm_json_node *node);
/** Members of an object or array; 0 for a scalar. */
int64_t dm_json_count(const dm_json_node *node);
/** True for a JSON number or null: columns of numbers are aligned to the right. */
bool dm_json_numeric(const dm_json_node *node);
/** True for an integer, which goes to *v. */
bool dm_json_integer(const dm_json_node *node, int64_t *v);
/** The value of a number; NaN for anything else, null and NULL included. */
double dm_json_number(const dm_json_node *node);
/** The value of true; false for anything else. */
bool dm_json_flag(const dm_json_node *node);
/** The value of a string, borrowed; NULL for anything else. */
const char *dm_json_string(const dm_json_node *node);
/** Member of an object, NULL if absent. */
dm_json_node *dm_json_member(const dm_json_node *object, const char *key);
/** A scalar for people: "-" for null, "yes"/"no", numbers with at most 6 digits after rounding reals. Cut to fit. */
void dm_json_scalar_text(const dm_json_node *node, char *buf, size_t buf_size);

/** Walks an object or array in order; zero it first. */
typedef struct dm_json_cursor {
    const char *key; /* of an object's member; NULL in an array */
    dm_json_node *value;
    void *iterator;
    size_t index;
} dm_json_cursor;
/** Moves to the next member; false at the end (and at once for a scalar). */
bool dm_json_next(dm_json_node *node, dm_json_cursor *cursor);

#endif
