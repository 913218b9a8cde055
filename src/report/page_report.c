#include "report/page_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/boundary_json.h"
#include "report/segment_names.h"

#define EXAMPLE_FEATURES 4 /* of a segment: those that set it apart most */
#define EXACT_IN_BROWSER (INT64_C(1) << 53)

void dm_page_map_clear(dm_page_map *map)
{
    dm_free(map->loading);
    dm_free(map->correlation);
    dm_free(map->centroid);
    dm_free(map->x);
    dm_free(map->y);
    dm_free(map->segment);
    *map = (dm_page_map){0};
}

/* ------------------------------------------------------------------------------------------ documents of others */

static bool in_browser(const json_t *v)
{
    return !json_is_integer(v) ||
           (json_integer_value(v) <= EXACT_IN_BROWSER && json_integer_value(v) >= -EXACT_IN_BROWSER);
}

static json_t *digits_of(const json_t *v) { return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v)); }

/* Integers that a browser would round become their digits. The depth is what jansson let through (2048). */
static int keep_integers(json_t *v)
{
    int bad = 0;
    size_t index = 0;
    const char *key = NULL;
    void *next = NULL;
    json_t *member = NULL;
    if (json_is_object(v)) {
        json_object_foreach_safe(v, next, key, member)
        {
            bad |= in_browser(member) ? keep_integers(member) : json_object_set_new(v, key, digits_of(member));
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, index, member)
        {
            bad |= in_browser(member) ? keep_integers(member) : json_array_set_new(v, index, digits_of(member));
        }
    }
    return bad;
}

/* What identifies the run that other documents must be about. */
typedef struct run_facts {
    json_t *diagnostics;
    const char *digest;
    int64_t n, d, k;
} run_facts;

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: the page's document: free some memory on the host of rank 0");
}

/* The digest of the model or run that a document is about; NULL where it names none. */
static const char *digest_of(const json_t *root, const char *where)
{
    const json_t *v = strcmp(where, "new") == 0 ? json_object_get(json_object_get(root, where), "digest")
                                                : json_object_get(root, where);
    return json_string_value(v);
}

/* Load the answer of `command` ("boundary" stands for its four tests) and check that it is about this run. */
static demarc_status load_answer(const char *path, const char *command, const char *option, const char *where,
                                 const run_facts *run, json_t **out)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL;
    DM_TRY(dm_json_load_answer(path, &root));
    const char *found = json_string_value(json_object_get(root, "command"));
    const size_t length = strlen(command);
    if (found == NULL || strncmp(found, command, length) != 0 || (found[length] != 0 && found[length] != ' ')) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "another document: %s %s: \"command\" is %s%.60s%s: give what demarc %s prints with --json",
                       option, path, found != NULL ? "\"" : "", found != NULL ? found : "missing",
                       found != NULL ? "\"" : "", command));
    }
    if (json_integer_value(json_object_get(root, "format_version")) != 1) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "unknown format: %s %s: format_version is not 1: use the demarc that wrote it",
                       option, path));
    }
    const char *digest = digest_of(root, where);
    const json_t *n = json_object_get(root, "n"), *d = json_object_get(root, "d");
    if (digest != NULL && strcmp(digest, run->digest) != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "about another run: %s %s: its model is %.40s, this run's %s: give the result for this run",
                       option, path, digest, run->digest));
    }
    if (strcmp(command, "select") == 0 && (json_integer_value(n) != run->n || json_integer_value(d) != run->d)) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "about other customers: %s %s: %lld customers x %lld features, this run has %lld x %lld: give "
                       "the result for this run's data",
                       option, path, (long long)json_integer_value(n), (long long)json_integer_value(d),
                       (long long)run->n, (long long)run->d));
    }
    if (keep_integers(root) != 0) DM_TRY(no_memory());
    *out = root;
    root = NULL;
cleanup:
    json_decref(root);
    return st;
}

/* null for a document that was not given. */
static demarc_status put_answer(json_t *page, const char *key, const char *path, const char *option, const char *where,
                                const run_facts *run)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL;
    if (path != NULL) {
        DM_TRY(load_answer(path, key, option, where, run, &root));
    } else {
        root = json_null();
    }
    if (dm_put(page, key, root) != 0) st = no_memory();
cleanup:
    return st;
}

static demarc_status put_boundary(json_t *page, const dm_strings *path, const run_facts *run)
{
    demarc_status st = DEMARC_OK;
    json_t *list = json_array();
    for (int32_t i = 0; path != NULL && i < path->count; i++) {
        json_t *root = NULL;
        DM_TRY(load_answer(path->item[i], "boundary", "--boundary", "model_digest", run, &root));
        if (json_array_append_new(list, root) != 0) DM_TRY(no_memory());
    }
    json_incref(list);
    if (dm_put(page, "boundary", list) != 0) st = no_memory();
cleanup:
    json_decref(list);
    return st;
}

/* ------------------------------------------------------------------------------------------ the run itself */

static demarc_status load_run(json_t *page, const dm_page_sources *s, run_facts *run)
{
    demarc_status st = DEMARC_OK;
    const json_t *n = NULL, *d = NULL, *k = NULL;
    json_t *manifest = NULL;
    DM_TRY(dm_json_load(s->diagnostics, &run->diagnostics));
    if (dm_put(page, "diagnostics", run->diagnostics) != 0) DM_TRY(no_memory()); /* the page owns it from here */
    DM_TRY(dm_json_want(run->diagnostics, s->diagnostics, NULL, "n", DM_JSON_INTEGER, &n));
    DM_TRY(dm_json_want(run->diagnostics, s->diagnostics, NULL, "d", DM_JSON_INTEGER, &d));
    DM_TRY(dm_json_want(run->diagnostics, s->diagnostics, NULL, "k", DM_JSON_INTEGER, &k));
    run->digest = json_string_value(json_object_get(run->diagnostics, "digest"));
    run->n = json_integer_value(n), run->d = json_integer_value(d), run->k = json_integer_value(k);
    const json_t *segments = json_object_get(run->diagnostics, "segments");
    if (run->digest == NULL || run->k != s->k || run->d != s->d || json_array_size(segments) != (size_t)s->k ||
        json_array_size(json_object_get(run->diagnostics, "features")) != (size_t)s->d) {
        DM_TRY(
            dm_fail(DEMARC_ERR_DATA,
                    "another fit's: %s: it does not go with model.h5 (%d segments, %d features): run demarc fit again",
                    s->diagnostics, (int)s->k, (int)s->d));
    }
    DM_TRY(dm_manifest_load(s->manifest, &manifest));
    if (dm_put(page, "manifest", manifest) != 0) DM_TRY(no_memory());
    if (keep_integers(run->diagnostics) != 0 || keep_integers(manifest) != 0) st = no_memory();
cleanup:
    return st;
}

/* The name that segment j has from an earlier run, by compare; NULL where there is none. */
static const char *carried_name(const json_t *page, int32_t j)
{
    size_t index = 0;
    const json_t *s = NULL;
    json_array_foreach(json_object_get(json_object_get(page, "compare"), "segments"), index, s)
    {
        const json_t *number = json_object_get(s, "new");
        if (json_is_integer(number) && json_integer_value(number) == j)
            return json_string_value(json_object_get(s, "name"));
    }
    return NULL;
}

/* What the run calls segment j: as it was told to, else as in an earlier run, else automatically or by number. */
static demarc_status add_name(const json_t *page, const json_t *segment, int32_t j, dm_strings *name)
{
    char number[32];
    const char *own = json_string_value(json_object_get(segment, "name")), *carried = carried_name(page, j);
    const char *named = json_string_value(json_object_get(segment, "named"));
    const bool given = named != NULL && strcmp(named, "given") == 0;
    snprintf(number, sizeof number, "Segment %d", (int)j);
    const char *chosen = own != NULL ? own : number;
    if (!given && carried != NULL && dm_strings_find(name, carried) < 0) chosen = carried;
    return dm_strings_add(name, dm_strings_find(name, chosen) < 0 ? chosen : number);
}

/* Names of the run, some replaced by the user's. */
static demarc_status put_names(json_t *page, const dm_page_sources *s, const run_facts *run)
{
    demarc_status st = DEMARC_OK;
    dm_strings name = {0}, given = {0};
    json_t *list = json_array();
    const json_t *segments = json_object_get(run->diagnostics, "segments");
    for (int32_t j = 0; j < s->k; j++) {
        DM_TRY(add_name(page, json_array_get(segments, (size_t)j), j, &name));
    }
    DM_TRY(dm_segment_names_parse(s->names, s->k, &given));
    DM_TRY(dm_segment_names_replace(&name, &given));
    for (int32_t j = 0; j < s->k; j++) {
        if (json_array_append_new(list, dm_json_path(name.item[j])) != 0) DM_TRY(no_memory());
    }
    json_incref(list);
    if (dm_put(page, "names", list) != 0) st = no_memory();
cleanup:
    json_decref(list);
    dm_strings_clear(&name);
    dm_strings_clear(&given);
    return st;
}

/* ------------------------------------------------------------------------------------------ examples, map */

/* Position of a feature among the columns, by its name in the diagnostics. */
static int32_t column_of(const json_t *features, const char *name)
{
    size_t index = 0;
    const json_t *v = NULL;
    json_array_foreach(features, index, v)
    {
        if (name != NULL && strcmp(json_string_value(v) != NULL ? json_string_value(v) : "", name) == 0)
            return (int32_t)index;
    }
    return -1;
}

/* The values of an example in the features that set its segment apart. */
static json_t *example_values(const dm_page_sources *s, const json_t *features, const json_t *segment, int64_t example)
{
    json_t *list = json_array();
    int bad = list == NULL;
    const json_t *order = json_object_get(segment, "features");
    for (size_t i = 0; i < EXAMPLE_FEATURES && i < json_array_size(order); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(order, i), "name"));
        const int32_t f = column_of(features, name);
        if (f < 0) continue;
        json_t *o = json_object();
        bad |= dm_put(o, "name", dm_json_path(name));
        bad |= dm_put_real(o, "value", s->example_value[example * s->d + f]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *examples(const dm_page_sources *s, const run_facts *run)
{
    json_t *list = json_array();
    int bad = list == NULL;
    const json_t *features = json_object_get(run->diagnostics, "features");
    const json_t *segments = json_object_get(run->diagnostics, "segments");
    for (int64_t j = 0; j < s->k; j++) {
        json_t *these = json_array();
        for (int64_t e = j * DM_PAGE_EXAMPLES; e < (j + 1) * DM_PAGE_EXAMPLES; e++) {
            const dm_page_example *x = &s->example[e];
            if (x->row < 0) continue;
            json_t *o = json_object();
            bad |= dm_put_text(o, "id", x->id);
            bad |= dm_put_integer(o, "row", x->row);
            bad |= dm_put_real(o, "distance", (double)x->distance);
            bad |=
                dm_put(o, "values",
                       s->example_value == NULL ? json_null()
                                                : example_values(s, features, json_array_get(segments, (size_t)j), e));
            bad |= json_array_append_new(these, o);
        }
        bad |= json_array_append_new(list, these);
    }
    return dm_json_finish(list, bad);
}

static json_t *integers(const int32_t *v, int64_t count)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int64_t i = 0; i < count; i++) bad |= json_array_append_new(list, json_integer(v[i]));
    return dm_json_finish(list, bad);
}

static json_t *axis(const dm_page_map *m, int32_t d, int a)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "share", m->share[a]);
    bad |= dm_put(o, "correlation", dm_json_reals(m->correlation + (int64_t)a * d, d));
    bad |= dm_put(o, "loading", dm_json_reals(m->loading + (int64_t)a * d, d));
    return dm_json_finish(o, bad);
}

static json_t *map_json(const dm_page_map *m, int32_t k, int32_t d)
{
    if (m == NULL) return json_null();
    json_t *o = json_object(), *axes = json_array();
    int bad = json_array_append_new(axes, axis(m, d, 0));
    bad |= json_array_append_new(axes, axis(m, d, 1));
    bad |= dm_put_integer(o, "of", m->of);
    bad |= dm_put(o, "axes", axes);
    bad |= dm_put_real(o, "step", m->step);
    bad |= dm_put(o, "centroids", integers(m->centroid, 2 * (int64_t)k));
    bad |= dm_put(o, "x", integers(m->x, m->customers));
    bad |= dm_put(o, "y", integers(m->y, m->customers));
    bad |= dm_put(o, "segment", integers(m->segment, m->customers));
    return dm_json_finish(o, bad);
}

demarc_status dm_page_document(const dm_page_sources *s, char **text, dm_page_facts *facts)
{
    demarc_status st = DEMARC_OK;
    run_facts run = {0};
    json_t *page = json_object();
    *text = NULL;
    int bad = dm_put_integer(page, "format_version", 1);
    bad |= dm_put(page, "run", dm_json_path(s->run));
    if (bad != 0) DM_TRY(no_memory());
    DM_TRY(load_run(page, s, &run));
    DM_TRY(put_boundary(page, s->boundary, &run));
    DM_TRY(put_answer(page, "select", s->select, "--select", "digest", &run));
    DM_TRY(put_answer(page, "stability", s->stability, "--stability", "model_digest", &run));
    DM_TRY(put_answer(page, "compare", s->compare, "--compare", "new", &run));
    DM_TRY(put_names(page, s, &run));
    bad |= dm_put(page, "examples", examples(s, &run));
    bad |= dm_put(page, "map", map_json(s->map, s->k, s->d));
    bad |= dm_put_text(page, "map_left_out", s->map_left_out);
    if (bad == 0) *text = dm_json_dump(page, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    if (*text == NULL) DM_TRY(no_memory());
    *facts = (dm_page_facts){.n = run.n,
                             .boundary = s->boundary != NULL ? s->boundary->count : 0,
                             .select = s->select != NULL,
                             .stability = s->stability != NULL,
                             .compare = s->compare != NULL,
                             .map = s->map != NULL};
cleanup:
    json_decref(page);
    return st;
}

demarc_status dm_page_answer_json(const dm_page_facts *facts, const dm_page_sources *s, const char *out, int64_t bytes,
                                  char **text)
{
    json_t *o = json_object(), *parts = json_object();
    int bad = dm_put_text(o, "command", "report");
    bad |= dm_put_integer(o, "format_version", 1);
    bad |= dm_put(o, "run", dm_json_path(s->run));
    bad |= dm_put_integer(o, "n", facts->n);
    bad |= dm_put_integer(o, "d", s->d);
    bad |= dm_put_integer(o, "k", s->k);
    bad |= dm_put_flag(parts, "map", facts->map);
    bad |= dm_put_integer(parts, "boundary", facts->boundary);
    bad |= dm_put_flag(parts, "select", facts->select);
    bad |= dm_put_flag(parts, "stability", facts->stability);
    bad |= dm_put_flag(parts, "compare", facts->compare);
    bad |= dm_put(o, "parts", parts);
    bad |= dm_put(o, "out", dm_json_path(out));
    bad |= dm_put_integer(o, "bytes", bytes);
    return dm_json_write(dm_json_finish(o, bad), "answer of report", text);
}
