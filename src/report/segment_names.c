#include "report/segment_names.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/json_tools.h"

#define WORDS_FEATURES 3 /* features named in words */
#define WORDS_LEAST 0.2  /* smallest |difference| worth a word, in standard deviations (Cohen's "small" effect) */
#define NAME_FEATURES 2  /* features in a name; WORDS_FEATURES where that is not unique */
#define NUMBER_BYTES 13  /* room for " -2147483648" */

/* ------------------------------------------------------------------------------------------------ words */

/* Larger |difference| first, undefined ones last, ties by index: a total order, so qsort's own order does not show. */
static int compare_features(const void *a, const void *b, void *row)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const double *difference = row;
    double x = fabs(difference[i]), y = fabs(difference[j]);
    if (isnan(x)) x = -1.0;
    if (isnan(y)) y = -1.0;
    if (x != y) return x > y ? -1 : 1;
    return (i > j) - (i < j);
}

void dm_diagnostics_order(const dm_diagnostics *g, int32_t j, int32_t *order)
{
    for (int32_t f = 0; f < g->d; f++) order[f] = f;
    qsort_r(order, (size_t)g->d, sizeof *order, compare_features, g->difference + (int64_t)j * g->d);
}

/* The first `most` features of order(j) without sorting all d of them. */
static int top_features(const dm_diagnostics *g, int32_t j, int most, int32_t top[WORDS_FEATURES])
{
    double *row = g->difference + (int64_t)j * g->d;
    int count = 0;
    for (int32_t f = 0; f < g->d; f++) {
        if (!isfinite(row[f]) || fabs(row[f]) < WORDS_LEAST) continue;
        int at = count;
        while (at > 0 && compare_features(&f, &top[at - 1], row) < 0) at--;
        if (at == most) continue;
        if (count < most) count++;
        for (int i = count - 1; i > at; i--) top[i] = top[i - 1];
        top[at] = f;
    }
    return count;
}

/* Bytes of `name` that fit into `limit` without splitting a UTF-8 sequence. */
static size_t whole_characters(const char *name, size_t limit)
{
    size_t length = strlen(name);
    if (length <= limit) return length;
    while (limit > 0 && ((unsigned char)name[limit] & 0xc0) == 0x80) limit--;
    return limit;
}

/* Longest name that may be kept when `count` names share `room` bytes: short names leave theirs to the long ones. */
static size_t name_limit(const size_t *length, int count, size_t room)
{
    for (size_t limit = room;; limit--) {
        size_t sum = 0;
        for (int i = 0; i < count; i++) sum += length[i] < limit ? length[i] : limit;
        if (sum <= room) return limit;
    }
}

struct phrase {
    char name[256], tail[32]; /* escaped; " (+1.8 sd)" */
    const char *head;         /* "high " */
};

/* Put the phrases into buf with names cut to fit; false if even their fixed parts leave less than a letter a name. */
static bool join_phrases(const struct phrase *p, int count, char *buf, size_t buf_size)
{
    size_t fixed = 0, length[WORDS_FEATURES];
    for (int i = 0; i < count; i++) {
        fixed += strlen(p[i].head) + strlen(p[i].tail) + (i > 0 ? 2 : 0);
        length[i] = strlen(p[i].name);
    }
    if (fixed + 4 * (size_t)count >= buf_size) return false; /* 4: the longest UTF-8 sequence */
    size_t limit = name_limit(length, count, buf_size - 1 - fixed), used = 0;
    for (int i = 0; i < count; i++) {
        bool cut = length[i] > limit, dots = cut && limit > 6;
        size_t keep = whole_characters(p[i].name, dots ? limit - 3 : limit);
        used += (size_t)snprintf(buf + used, buf_size - used, "%s%s%.*s%s%s", i > 0 ? ", " : "", p[i].head, (int)keep,
                                 p[i].name, dots ? "..." : "", p[i].tail);
    }
    return true;
}

void dm_diagnostics_words(const dm_diagnostics *g, int32_t j, char *buf, size_t buf_size)
{
    int32_t top[WORDS_FEATURES];
    struct phrase phrase[WORDS_FEATURES];
    int count = top_features(g, j, WORDS_FEATURES, top);
    for (int i = 0; i < count; i++) {
        double x = g->difference[(int64_t)j * g->d + top[i]];
        phrase[i].head = x > 0.0 ? "high " : "low ";
        snprintf(phrase[i].tail, sizeof phrase[i].tail, fabs(x) < 1000.0 ? " (%+.1f sd)" : " (%+.1e sd)", x);
        dm_text_escape(phrase[i].name, sizeof phrase[i].name, g->feature->item[top[i]]);
    }
    int fits = count;
    while (fits > 0 && !join_phrases(phrase, fits, buf, buf_size)) fits--;
    if (fits == 0 && buf_size > 0) snprintf(buf, buf_size, "%s", count == 0 ? "close to the average customer" : "");
}

/* ------------------------------------------------------------------------------------------------ names given */

/* Cut blanks off both ends, in place. */
static char *trimmed(char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    size_t length = strlen(s);
    while (length > 0 && (s[length - 1] == ' ' || s[length - 1] == '\t')) s[--length] = 0;
    return s;
}

/* Where the item that begins at s ends: at a comma that is not doubled. Doubled ones become one, in place. */
static char *cut_item(char *s, bool *last)
{
    char *to = s;
    for (; *s != 0; s++) {
        if (s[0] == ',' && s[1] != ',') break;
        if (s[0] == ',') s++;
        *to++ = *s;
    }
    *last = *s == 0;
    *to = 0;
    return *last ? s : s + 1;
}

static demarc_status check_name(const char *name)
{
    char shown[64];
    dm_text_escape(shown, sizeof shown, name);
    if (name[0] == 0) {
        return dm_fail(DEMARC_ERR_USAGE, "empty name of a segment: --names: write SEGMENT=NAME,...");
    }
    if (strlen(name) > DM_SEGMENT_NAME_BYTES) {
        return dm_fail(DEMARC_ERR_USAGE, "long name of a segment: --names '%s...': use at most %d bytes", shown,
                       DM_SEGMENT_NAME_BYTES);
    }
    if (!dm_text_plain(name)) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "bad name of a segment: --names '%s': use UTF-8 text without control characters", shown);
    }
    return DEMARC_OK;
}

/* "3=Loyal" into `out`. */
static demarc_status take_item(char *item, int32_t k, dm_strings *out)
{
    demarc_status st = DEMARC_OK;
    char shown[64], *equals = strchr(item, '=');
    dm_text_escape(shown, sizeof shown, item);
    if (equals == NULL) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "no name: --names '%s': write SEGMENT=NAME,... (a comma in a name is written twice)", shown);
    }
    *equals = 0;
    const char *number = trimmed(item), *name = trimmed(equals + 1);
    int64_t j = 0;
    for (const char *p = number; *p != 0 && j >= 0; p++) {
        j = isdigit((unsigned char)*p) && j <= INT32_MAX ? 10 * j + (*p - '0') : -1;
    }
    if (number[0] == 0 || j < 0 || j >= k) {
        return dm_fail(DEMARC_ERR_USAGE, "no such segment: --names '%s': use a number from 0 to %d", shown, (int)k - 1);
    }
    DM_TRY(check_name(name));
    while (out->count <= j) DM_TRY(dm_strings_add(out, ""));
    if (out->item[j][0] != 0) {
        return dm_fail(DEMARC_ERR_USAGE, "segment %d is named twice: --names '%s': name it once", (int)j, shown);
    }
    char *copy = strdup(name);
    if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: names of segments: free some memory");
    free(out->item[j]);
    out->item[j] = copy;
cleanup:
    return st;
}

static demarc_status refuse_repeated(const dm_strings *s)
{
    int32_t *order = NULL;
    demarc_status st = dm_alloc(order, s->count, "names of segments");
    if (st == DEMARC_OK) dm_strings_order(s, order);
    for (int32_t i = 1; i < s->count && st == DEMARC_OK; i++) {
        const char *name = s->item[order[i]];
        if (name[0] != 0 && strcmp(name, s->item[order[i - 1]]) == 0) {
            st = dm_fail(DEMARC_ERR_USAGE, "two segments of one name: --names: %d and %d are '%s': name one otherwise",
                         (int)order[i - 1], (int)order[i], name);
        }
    }
    dm_free(order);
    return st;
}

demarc_status dm_segment_names_parse(const char *list, int32_t k, dm_strings *out)
{
    demarc_status st = DEMARC_OK;
    *out = (dm_strings){0};
    if (list == NULL || list[0] == 0) return DEMARC_OK;
    char *copy = strdup(list), *at = copy;
    if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: names of segments: free some memory");
    for (bool last = false; !last;) {
        char *item = at;
        at = cut_item(item, &last);
        DM_TRY(take_item(item, k, out));
    }
    DM_TRY(refuse_repeated(out));
cleanup:
    free(copy);
    return st;
}

static demarc_status put_name(dm_strings *name, int32_t j, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: names of segments: free some memory");
    free(name->item[j]);
    name->item[j] = copy;
    return DEMARC_OK;
}

demarc_status dm_segment_names_replace(dm_strings *name, const dm_strings *given)
{
    demarc_status st = DEMARC_OK;
    for (int32_t j = 0; j < given->count && j < name->count; j++) {
        if (given->item[j][0] != 0) DM_TRY(put_name(name, j, given->item[j]));
    }
    DM_TRY(refuse_repeated(name));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ names made */

/* Of segment j: up to `features` features, and a number where it is above 1. */
static void automatic_name(const dm_diagnostics *g, int32_t j, int features, int32_t number,
                           char buf[DM_SEGMENT_NAME_BYTES + 1])
{
    static const char *const head[2][2] = {{"Low ", "High "}, {"low ", "high "}};
    int32_t top[WORDS_FEATURES];
    struct phrase phrase[WORDS_FEATURES];
    const size_t room = DM_SEGMENT_NAME_BYTES + 1 - (number > 1 ? NUMBER_BYTES : 0);
    int count = g->k == 1 ? 0 : top_features(g, j, features, top);
    for (int i = 0; i < count; i++) {
        const bool high = g->difference[(int64_t)j * g->d + top[i]] > 0.0;
        const bool level = strchr(g->feature->item[top[i]], '=') != NULL; /* of a category: there or not */
        phrase[i].head = level ? (high ? "" : i == 0 ? "Not " : "not ") : head[i > 0][high];
        phrase[i].tail[0] = 0;
        dm_text_escape(phrase[i].name, sizeof phrase[i].name, g->feature->item[top[i]]);
        for (char *c = phrase[i].name; *c != 0; c++) {
            if (*c == '_') *c = ' ';
        }
    }
    if (count > 0 && join_phrases(phrase, count, buf, room)) {
        if (buf[0] >= 'a' && buf[0] <= 'z') buf[0] = (char)(buf[0] - 'a' + 'A');
    } else {
        snprintf(buf, room, "%s", g->k == 1 ? "All customers" : "Average");
    }
    if (number > 1) snprintf(buf + strlen(buf), NUMBER_BYTES, " %d", (int)number);
}

/* How the name of a segment is made: rounds add features, then numbers, until all names differ. */
struct naming {
    int32_t *order;   /* [k] by name */
    uint8_t *feature; /* [k] features in the name */
    int32_t *number;  /* [k] from 1, which is not written */
};

/* Of order[begin, end), which are alike, all that are automatic get a feature more, or all but the first a number. */
static void part_alike(const dm_diagnostics *g, struct naming *n, int32_t begin, int32_t end)
{
    bool grown = false, first = true;
    for (int32_t i = begin; i < end; i++) {
        const int32_t j = n->order[i];
        if (g->name_given[j]) {
            first = false; /* the user's keeps its name, all others change */
        } else if (n->feature[j] < WORDS_FEATURES) {
            n->feature[j]++;
            grown = true;
        }
    }
    for (int32_t i = begin, step = 1; i < end && !grown; i++) {
        const int32_t j = n->order[i];
        if (g->name_given[j]) continue;
        if (!first) n->number[j] += step++;
        first = false;
    }
}

demarc_status dm_segment_names_make(dm_diagnostics *g, const dm_strings *given)
{
    demarc_status st = DEMARC_OK;
    struct naming n = {0};
    bool alike = true;
    dm_strings_clear(&g->name);
    dm_free(g->name_given);
    g->name_given = NULL;
    DM_TRY(dm_alloc(n.order, g->k, "names of segments"));
    DM_TRY(dm_alloc_zero(g->name_given, g->k, "names of segments"));
    DM_TRY(dm_alloc(n.feature, g->k, "names of segments"));
    DM_TRY(dm_alloc(n.number, g->k, "names of segments"));
    for (int32_t j = 0; j < g->k; j++) {
        const char *name = j < given->count ? given->item[j] : "";
        DM_TRY(dm_strings_add(&g->name, name));
        g->name_given[j] = name[0] != 0;
        n.feature[j] = NAME_FEATURES;
        n.number[j] = 1;
    }
    while (alike) {
        char text[DM_SEGMENT_NAME_BYTES + 1];
        alike = false;
        for (int32_t j = 0; j < g->k; j++) {
            if (g->name_given[j]) continue;
            automatic_name(g, j, n.feature[j], n.number[j], text);
            DM_TRY(put_name(&g->name, j, text));
        }
        dm_strings_order(&g->name, n.order);
        for (int32_t i = 0, end = 0; i < g->k; i = end) {
            end = i + 1;
            while (end < g->k && strcmp(g->name.item[n.order[i]], g->name.item[n.order[end]]) == 0) end++;
            if (end - i > 1) {
                part_alike(g, &n, i, end);
                alike = true;
            }
        }
    }
cleanup:
    dm_free(n.order);
    dm_free(n.feature);
    dm_free(n.number);
    return st;
}

demarc_status dm_diagnostics_rename(const char *path, const dm_strings *name, const dm_strings *given, char **text)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL;
    int bad = 0;
    *text = NULL;
    DM_TRY(dm_json_load(path, &root));
    const json_t *segments = json_object_get(root, "segments");
    if ((int64_t)json_array_size(segments) != name->count) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "damaged diagnostics.json: %s has not the model's %d segments: fit again with "
                       "--force",
                       path, (int)name->count));
    }
    for (int32_t j = 0; j < name->count; j++) {
        json_t *o = json_array_get(segments, (size_t)j);
        bad |= json_object_set_new(o, "name", dm_json_text(name->item[j]));
        if (j < given->count && given->item[j][0] != 0) bad |= json_object_set_new(o, "named", json_string("given"));
        if (json_object_get(o, "named") == NULL) bad |= json_object_set_new(o, "named", json_string("automatic"));
    }
    DM_TRY(dm_json_write(bad == 0 ? json_incref(root) : NULL, "diagnostics", text));
cleanup:
    json_decref(root);
    return st;
}
