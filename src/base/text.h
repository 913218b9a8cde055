/* Small text helpers: escaping of foreign strings, sizes in words, lists separated by commas. Local. */
#ifndef DM_BASE_TEXT_H
#define DM_BASE_TEXT_H

#include "base/status.h"

/** Copy `src` with control characters (those of bidirectional text too) and invalid UTF-8 as \xNN; always NUL-terminated,
 *  cut to fit. */
void dm_text_escape(char *dst, size_t dst_size, const char *src);

/** The same, but what does not fit is taken out of the middle: "start...end". `dst_size` is 8 or more. */
void dm_text_abbreviate(char *dst, size_t dst_size, const char *src);

/** Most bytes of a segment's name. */
#define DM_SEGMENT_NAME_BYTES 80

/** Is it valid UTF-8 without control characters, those of bidirectional text included? */
bool dm_text_plain(const char *s);
/** Is it valid UTF-8? Control characters are, a NUL is not. */
bool dm_text_utf8(const char *s, size_t length);

/** "1.3 GB" (powers of 1000) into buf; returns buf. */
const char *dm_text_bytes(char buf[32], double bytes);

/** A list of strings, owned. */
typedef struct dm_strings {
    char **item;
    int32_t count;
} dm_strings;

/**
 * Split "a,b,c" at commas; NULL or "" gives an empty list. A name that holds a comma is written with the comma
 * doubled (",,"). `option` names the option in the error.
 * @retval DEMARC_ERR_USAGE  an empty or a repeated name
 */
demarc_status dm_strings_split(dm_strings *out, const char *list, const char *option);
demarc_status dm_strings_add(dm_strings *s, const char *item);
/** Index of `item`, -1 if absent. */
int32_t dm_strings_find(const dm_strings *s, const char *item);
/** Indices by item (strcmp), equal items by index, into order[count]. */
void dm_strings_order(const dm_strings *s, int32_t *order);
void dm_strings_clear(dm_strings *s);

#endif
