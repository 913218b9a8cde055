/*
 * Diagnostics of a fit as JSON and in words. schema/diagnostics.schema.json says what each field means.
 */
#include "report/diagnostics.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "report/segment_names.h"
#include "report/select_json.h"

void dm_diagnostics_clear(dm_diagnostics *g)
{
    void *const owned[] = {g->size,
                           g->weight,
                           g->within,
                           g->mean_distance,
                           g->mean_margin,
                           g->near_boundary,
                           g->segment_silhouette,
                           g->nearest,
                           g->name_given,
                           g->centroid_gap,
                           g->mean,
                           g->sd,
                           g->difference,
                           g->overall_mean,
                           g->overall_sd,
                           g->outcome_mean,
                           g->outcome_count,
                           g->reach,
                           g->reach_any};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) dm_free(owned[i]);
    dm_strings_clear(&g->name);
    *g = (dm_diagnostics){0};
}

/* ------------------------------------------------------------------------------------------------ JSON */

/* Names as JSON strings, shared by all segments. */
struct names {
    json_t *feature, *outcome, *channel;
};

static int put_name(json_t *o, const json_t *names, int32_t i)
{
    return json_object_set(o, "name", json_array_get(names, (size_t)i));
}

static json_t *criteria(double calinski_harabasz, double davies_bouldin, double silhouette)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "calinski_harabasz", calinski_harabasz);
    bad |= dm_put_real(o, "davies_bouldin", davies_bouldin);
    bad |= dm_put_real(o, "simplified_silhouette", silhouette);
    return dm_json_finish(o, bad);
}

static json_t *boundary_rule(double rule)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "share", rule);
    bad |= json_object_set_new(o, "meaning",
                               json_string("a customer is near a boundary when the margin is below this share of half "
                                           "the distance between the two centroids"));
    return dm_json_finish(o, bad);
}

static json_t *passes(const dm_trace *t)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < t->passes && !bad; i++) {
        json_t *o = json_object();
        bad |= json_object_set_new(o, "phase", json_string(t->pass[i].phase));
        bad |= dm_put_integer(o, "iteration", t->pass[i].iteration);
        bad |= dm_put_real(o, "objective", t->pass[i].objective);
        bad |= dm_put_real(o, "shift", t->pass[i].shift);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

/* {name: v[i], ...}; dm_json_names() made the names distinct. */
static json_t *by_name(const json_t *names, const double *v, int32_t count)
{
    json_t *o = json_object();
    int bad = o == NULL;
    for (int32_t i = 0; i < count && !bad; i++) {
        bad |= dm_put_real(o, json_string_value(json_array_get(names, (size_t)i)), v[i]);
    }
    return dm_json_finish(o, bad);
}

static json_t *overall(const dm_diagnostics *g, const struct names *names)
{
    json_t *o = json_object();
    int bad = json_object_set_new(o, "mean", by_name(names->feature, g->overall_mean, g->d));
    bad |= json_object_set_new(o, "sd", by_name(names->feature, g->overall_sd, g->d));
    return dm_json_finish(o, bad);
}

static json_t *segment_features(const dm_diagnostics *g, int32_t j, const int32_t *order, const struct names *names)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < g->d && !bad; i++) {
        int64_t at = (int64_t)j * g->d + order[i];
        json_t *o = json_object();
        bad |= put_name(o, names->feature, order[i]);
        bad |= dm_put_real(o, "mean", g->mean[at]);
        bad |= dm_put_real(o, "sd", g->sd[at]);
        bad |= dm_put_real(o, "difference", g->difference[at]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *segment_outcomes(const dm_diagnostics *g, int32_t j, const struct names *names)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < g->outcomes && !bad; i++) {
        int64_t at = (int64_t)j * g->outcomes + i;
        json_t *o = json_object();
        bad |= put_name(o, names->outcome, i);
        bad |= dm_put_real(o, "mean", g->outcome_mean[at]);
        bad |= dm_put_integer(o, "count", g->outcome_count[at]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *segment_reach(const dm_diagnostics *g, int32_t j, const struct names *names)
{
    if (g->channels == 0) return json_null();
    json_t *reach = json_object(), *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < g->channels && !bad; i++) {
        json_t *o = json_object();
        bad |= put_name(o, names->channel, i);
        bad |= dm_put_real(o, "share", g->reach[(int64_t)j * g->channels + i]);
        bad |= json_array_append_new(list, o);
    }
    bad |= json_object_set_new(reach, "channels", list);
    bad |= dm_put_real(reach, "any", g->reach_any[j]);
    return dm_json_finish(reach, bad);
}

/* a / b, undefined for b == 0. */
static double share(double a, double b) { return b > 0.0 ? a / b : NAN; }

static json_t *segment(const dm_diagnostics *g, int32_t j, int32_t *order, const struct names *names)
{
    char words[512];
    json_t *o = json_object();
    dm_diagnostics_order(g, j, order);
    dm_diagnostics_words(g, j, words, sizeof words);
    int bad = dm_put_integer(o, "segment", j);
    bad |= json_object_set_new(o, "name", dm_json_text(g->name.item[j]));
    bad |= json_object_set_new(o, "named", json_string(g->name_given[j] ? "given" : "automatic"));
    bad |= dm_put_integer(o, "size", g->size[j]);
    bad |= dm_put_real(o, "share", share((double)g->size[j], (double)g->n));
    bad |= dm_put_real(o, "weight", g->weight[j]);
    bad |= dm_put_real(o, "weight_share", share(g->weight[j], g->total_weight));
    bad |= dm_put_real(o, "objective", g->within[j]);
    bad |= dm_put_real(o, "objective_share", share(g->within[j], g->objective));
    bad |= dm_put_real(o, "mean_distance", g->mean_distance[j]);
    bad |= dm_put_real(o, "mean_margin", g->mean_margin[j]);
    bad |= dm_put_real(o, "near_boundary_share", g->near_boundary[j]);
    bad |= dm_put_real(o, "simplified_silhouette", g->segment_silhouette[j]);
    bad |= json_object_set_new(o, "nearest_segment", g->nearest[j] >= 0 ? json_integer(g->nearest[j]) : json_null());
    bad |= dm_put_real(o, "nearest_distance", g->nearest[j] >= 0 ? g->centroid_gap[j] : NAN);
    bad |= json_object_set_new(o, "description", dm_json_text(words));
    bad |= json_object_set_new(o, "features", segment_features(g, j, order, names));
    bad |= json_object_set_new(o, "outcomes", segment_outcomes(g, j, names));
    bad |= json_object_set_new(o, "reach", segment_reach(g, j, names));
    return dm_json_finish(o, bad);
}

static json_t *segments(const dm_diagnostics *g, int32_t *order, const struct names *names)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < g->k && !bad; j++) bad |= json_array_append_new(list, segment(g, j, order, names));
    return dm_json_finish(list, bad);
}

static json_t *document(const dm_diagnostics *g, const dm_trace *t, int32_t *order, const struct names *names)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "format_version", 1);
    bad |= dm_put_integer(o, "n", g->n);
    bad |= dm_put_integer(o, "d", g->d);
    bad |= dm_put_integer(o, "k", g->k);
    bad |= dm_put_real(o, "objective", g->objective);
    bad |= dm_put_real(o, "total", g->total);
    bad |= dm_put_real(o, "explained_share", g->total > 0.0 ? 1.0 - g->objective / g->total : NAN);
    bad |= json_object_set_new(o, "weighted", json_boolean(g->weighted));
    bad |= json_object_set_new(o, "digest", dm_json_text(g->digest));
    bad |= dm_put_integer(o, "iterations", t->iterations);
    bad |= dm_put_integer(o, "batches", t->batches);
    bad |= json_object_set_new(o, "converged", json_boolean(t->converged));
    bad |= dm_put_integer(o, "restarts", t->restarts);
    bad |= dm_put_integer(o, "best_restart", t->best_restart);
    bad |= json_object_set_new(o, "criteria", criteria(g->calinski_harabasz, g->davies_bouldin, g->silhouette));
    bad |= json_object_set_new(o, "near_boundary_rule", boundary_rule(g->near_boundary_rule));
    bad |= json_object_set(o, "features", names->feature);
    bad |= json_object_set_new(o, "passes", passes(t));
    bad |= json_object_set_new(o, "per_k", dm_select_json_per_k(t->tried, t->ks, &t->recommendation));
    bad |= json_object_set_new(o, "recommendation", dm_select_json_recommendation(&t->recommendation, t->tried, t->ks));
    bad |= json_object_set_new(o, "overall", overall(g, names));
    bad |= json_object_set_new(o, "segments", segments(g, order, names));
    return dm_json_finish(o, bad);
}

demarc_status dm_diagnostics_json(const dm_diagnostics *g, const dm_trace *t, char **text)
{
    demarc_status st = DEMARC_OK;
    int32_t *order = NULL;
    struct names names = {0};
    *text = NULL;
    DM_TRY(dm_alloc(order, g->d, "order of features"));
    names.feature = dm_json_names(g->feature);
    names.outcome = dm_json_names(g->outcome);
    names.channel = dm_json_names(g->channel);
    bool named = names.feature != NULL && names.outcome != NULL && names.channel != NULL;
    DM_TRY(dm_json_write(named ? document(g, t, order, &names) : NULL, "diagnostics", text));
cleanup:
    json_decref(names.feature);
    json_decref(names.outcome);
    json_decref(names.channel);
    dm_free(order);
    return st;
}

demarc_status dm_diagnostics_read(const char *path, double *objective, char digest[40], bool *checked)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL;
    const json_t *value = NULL;
    struct stat file;
    *checked = stat(path, &file) != 0 || (int64_t)file.st_size <= DM_JSON_MAX_BYTES;
    if (!*checked) return DEMARC_OK;
    DM_TRY(dm_json_load(path, &root));
    DM_TRY(dm_json_want(root, path, NULL, "objective", DM_JSON_NUMBER, &value));
    *objective = json_number_value(value);
    DM_TRY(dm_json_digest(root, path, NULL, digest));
cleanup:
    json_decref(root);
    return st;
}
