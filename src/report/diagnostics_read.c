#include "report/diagnostics_read.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "report/json_tools.h"

static demarc_status no_memory(const char *path)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: reading diagnostics.json: %s: free some memory", path);
}

static double real_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static demarc_status integer_of(const json_t *o, const char *path, const char *key, int64_t low, int64_t high,
                                int64_t *value)
{
    const json_t *v = json_object_get(o, key);
    *value = json_is_integer(v) ? json_integer_value(v) : low - 1;
    if (*value >= low && *value <= high) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA, "damaged diagnostics.json: %s, %s: run demarc fit again with --force", path, key);
}

static demarc_status create(dm_diagnostics *g)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(g->size, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->within, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->mean_margin, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->near_boundary, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->nearest, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->name_given, g->k, "diagnostics"));
    DM_TRY(dm_alloc(g->difference, (int64_t)g->k * g->d, "diagnostics"));
cleanup:
    return st;
}

/* Names to `feature`, and where each of them is to `place`. */
static demarc_status read_names(const json_t *root, const char *path, int32_t d, dm_strings *feature, json_t *place)
{
    demarc_status st = DEMARC_OK;
    const json_t *names = json_object_get(root, "features");
    for (int32_t f = 0; f < d; f++) {
        const char *name = json_string_value(json_array_get(names, (size_t)f));
        if (name == NULL) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged diagnostics.json: %s, features: run demarc fit again with --force",
                           path));
        }
        if (json_object_set_new(place, name, json_integer(f)) != 0) DM_TRY(no_memory(path));
        DM_TRY(dm_strings_add(feature, name));
    }
cleanup:
    return st;
}

/* Diagnostics from before segments had names: "segment J". */
static demarc_status read_name(const json_t *s, dm_diagnostics *g, int32_t j)
{
    const char *name = json_string_value(json_object_get(s, "name"));
    const char *named = json_string_value(json_object_get(s, "named"));
    char made[32];
    snprintf(made, sizeof made, "segment %d", (int)j);
    g->name_given[j] = name != NULL && named != NULL && strcmp(named, "given") == 0;
    return dm_strings_add(&g->name, name != NULL ? name : made);
}

static demarc_status read_segment(const json_t *s, const char *path, const json_t *place, dm_diagnostics *g, int32_t j)
{
    demarc_status st = DEMARC_OK;
    const json_t *nearest = json_object_get(s, "nearest_segment"), *features = json_object_get(s, "features");
    double *difference = g->difference + (int64_t)j * g->d;
    DM_TRY(integer_of(s, path, "size", 0, g->n, &g->size[j]));
    DM_TRY(read_name(s, g, j));
    g->within[j] = real_of(s, "objective");
    g->mean_margin[j] = real_of(s, "mean_margin");
    g->near_boundary[j] = real_of(s, "near_boundary_share");
    g->nearest[j] = json_is_integer(nearest) ? (int32_t)json_integer_value(nearest) : -1;
    for (int32_t f = 0; f < g->d; f++) difference[f] = (double)NAN;
    for (size_t i = 0; i < json_array_size(features); i++) {
        const json_t *feature = json_array_get(features, i);
        const char *name = json_string_value(json_object_get(feature, "name"));
        const json_t *at = name == NULL ? NULL : json_object_get(place, name);
        if (at != NULL) difference[json_integer_value(at)] = real_of(feature, "difference");
    }
cleanup:
    return st;
}

demarc_status dm_diagnostics_parse(const char *text, const char *path, dm_diagnostics *g, dm_strings *feature,
                                   int32_t *iterations)
{
    demarc_status st = DEMARC_OK;
    int64_t k = 0, d = 0, passes = 0;
    json_error_t e = {.text = ""};
    json_t *root = dm_json_read(text, strlen(text), 0, &e), *place = json_object();
    *g = (dm_diagnostics){.feature = feature};
    if (place == NULL || (root == NULL && e.text[0] == 0)) DM_TRY(no_memory(path));
    DM_TRY(integer_of(root, path, "k", 1, INT32_MAX, &k));
    DM_TRY(integer_of(root, path, "d", 1, INT32_MAX, &d));
    DM_TRY(integer_of(root, path, "n", 1, INT64_MAX, &g->n));
    DM_TRY(integer_of(root, path, "iterations", 0, INT32_MAX, &passes));
    DM_TRY(dm_json_digest(root, path, NULL, g->digest));
    const json_t *segments = json_object_get(root, "segments");
    if ((int64_t)json_array_size(segments) != k || (int64_t)json_array_size(json_object_get(root, "features")) != d) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged diagnostics.json: %s, segments: run demarc fit again with --force",
                       path));
    }
    g->k = (int32_t)k;
    g->d = (int32_t)d;
    *iterations = (int32_t)passes;
    g->objective = real_of(root, "objective");
    g->total = real_of(root, "total");
    DM_TRY(create(g));
    DM_TRY(read_names(root, path, g->d, feature, place));
    for (int32_t j = 0; j < g->k; j++) {
        DM_TRY(read_segment(json_array_get(segments, (size_t)j), path, place, g, j));
    }
cleanup:
    json_decref(place);
    json_decref(root);
    return st;
}
