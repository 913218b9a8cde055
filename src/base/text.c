#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at s, which has `left` bytes; 0 if invalid. */
static size_t sequence_length(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80) return 1;
    const size_t len = (s[0] >= 0xc2 && s[0] <= 0xdf)   ? 2
                       : (s[0] & 0xf0) == 0xe0          ? 3
                       : (s[0] >= 0xf0 && s[0] <= 0xf4) ? 4
                                                        : 0;
    if (len == 0 || len > left) return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    const bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    const bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    const bool beyond = s[0] == 0xf4 && s[1] >= 0x90; /* above U+10FFFF */
    return overlong || surrogate || beyond ? 0 : len;
}

/*
 * Does s, which ends in a NUL, begin with a control character: C0, DEL, C1, or one that turns the direction of the text
 * after it (Unicode Standard Annex 9: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069)?
 */
static bool is_control(const unsigned char *s)
{
    if (s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0)) return true;
    if (s[0] == 0xd8) return s[1] == 0x9c;
    if (s[0] != 0xe2) return false;
    if (s[1] == 0x80) return s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xaa && s[2] <= 0xae);
    return s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
}

/* Length of the sequence at s, which ends in a NUL; 0 if it is invalid or a control character. */
static size_t plain_length(const unsigned char *s)
{
    if (is_control(s)) return 0;
    return sequence_length(s, 4); /* a NUL within four bytes is no continuation */
}

/* Bytes that the sequence at s takes once escaped. */
static size_t escaped_length(size_t plain) { return plain != 0 ? plain : 4; }

void dm_text_escape(char *dst, size_t dst_size, const char *src)
{
    size_t out = 0;
    const unsigned char *s = (const unsigned char *)src;
    while (*s != 0) {
        size_t len = plain_length(s);
        size_t need = escaped_length(len);
        if (out + need >= dst_size) break;
        if (len != 0) {
            memcpy(dst + out, s, len);
            s += len;
        } else {
            snprintf(dst + out, 5, "\\x%02x", *s);
            s += 1;
        }
        out += need;
    }
    dst[out] = 0;
}

/* The end of `src` that, escaped, takes at most `room` bytes. */
static const char *end_within(const char *src, size_t room)
{
    const unsigned char *s = (const unsigned char *)src;
    size_t left = 0;
    for (size_t plain, at = 0; s[at] != 0; at += plain != 0 ? plain : 1) {
        plain = plain_length(s + at);
        left += escaped_length(plain);
    }
    for (size_t plain; left > room; s += plain != 0 ? plain : 1) {
        plain = plain_length(s);
        left -= escaped_length(plain);
    }
    return (const char *)s;
}

void dm_text_abbreviate(char *dst, size_t dst_size, const char *src)
{
    size_t used = 0;
    if (end_within(src, dst_size - 1) != src) {
        dm_text_escape(dst, dst_size / 2, src);
        used = strlen(dst);
        memcpy(dst + used, "...", 3);
        used += 3;
        src = end_within(src, dst_size - used - 1);
    }
    dm_text_escape(dst + used, dst_size - used, src);
}

bool dm_text_plain(const char *s)
{
    for (size_t length; *s != 0; s += length) {
        length = plain_length((const unsigned char *)s);
        if (length == 0) return false;
    }
    return true;
}

bool dm_text_utf8(const char *s, size_t length)
{
    for (size_t at = 0, step; at < length; at += step) {
        step = s[at] == 0 ? 0 : sequence_length((const unsigned char *)s + at, length - at);
        if (step == 0) return false;
    }
    return true;
}

const char *dm_text_bytes(char buf[32], double bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    int u = 0;
    while (bytes >= 999.5 && u < 6) {
        bytes /= 1000.0;
        u++;
    }
    snprintf(buf, 32, u == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s", bytes, unit[u]);
    return buf;
}

demarc_status dm_strings_add(dm_strings *s, const char *item)
{
    char **grown = realloc(s->item, ((size_t)s->count + 1) * sizeof *grown);
    if (grown == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: list of names: free some memory");
    s->item = grown;
    char *copy = strdup(item);
    if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: list of names: free some memory");
    s->item[s->count++] = copy;
    return DEMARC_OK;
}

int32_t dm_strings_find(const dm_strings *s, const char *item)
{
    for (int32_t i = 0; i < s->count; i++) {
        if (strcmp(s->item[i], item) == 0) return i;
    }
    return -1;
}

static int compare_items(const void *a, const void *b, void *context)
{
    char *const *item = context;
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const int c = strcmp(item[i], item[j]);
    return c != 0 ? c : (i > j) - (i < j);
}

void dm_strings_order(const dm_strings *s, int32_t *order)
{
    for (int32_t i = 0; i < s->count; i++) order[i] = i;
    if (s->count > 1) qsort_r(order, (size_t)s->count, sizeof *order, compare_items, s->item);
}

void dm_strings_clear(dm_strings *s)
{
    for (int32_t i = 0; i < s->count; i++) free(s->item[i]);
    free(s->item);
    *s = (dm_strings){0};
}

demarc_status dm_strings_split(dm_strings *out, const char *list, const char *option)
{
    demarc_status st = DEMARC_OK;
    *out = (dm_strings){0};
    if (list == NULL || list[0] == 0) return DEMARC_OK;
    char *word = malloc(strlen(list) + 1);
    if (word == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s: free some memory", option);
    size_t len = 0;
    for (const char *p = list;; p++) {
        if (p[0] == ',' && p[1] == ',') {
            word[len++] = *p++;
            continue;
        }
        if (p[0] != ',' && p[0] != 0) {
            word[len++] = *p;
            continue;
        }
        word[len] = 0;
        if (len == 0) {
            st = dm_fail(DEMARC_ERR_USAGE, "empty name: %s '%s': write names separated by single commas", option, list);
        } else if (dm_strings_find(out, word) >= 0) {
            st = dm_fail(DEMARC_ERR_USAGE, "name given twice: %s '%s': name it once", option, word);
        } else {
            st = dm_strings_add(out, word);
        }
        len = 0;
        if (st != DEMARC_OK || p[0] == 0) break;
    }
    free(word);
    if (st != DEMARC_OK) dm_strings_clear(out);
    return st;
}
