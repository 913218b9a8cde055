#include "report/info_report.h"

#include "report/json_tools.h"

/* What every kind begins with. */
static json_t *head(const char *kind, const char *path, int64_t bytes)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "format_version", 1);
    bad |= dm_put_text(o, "kind", kind);
    bad |= dm_put(o, "path", dm_json_path(path));
    bad |= dm_put_integer(o, "bytes", bytes);
    return dm_json_finish(o, bad);
}

/* ------------------------------------------------------------------------------------------------ customer file */

static json_t *id(const dm_info_customers *c)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "kind", c->id_kind);
    bad |= dm_put(o, "unique", json_boolean(c->id_unique));
    bad |= dm_put_text(o, "duplicate", c->id_duplicate);
    return dm_json_finish(o, bad);
}

static json_t *arms(const dm_info_customers *c)
{
    if (!c->arm) return json_null();
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t a = 0; a < c->arms && !bad; a++) {
        json_t *o = json_object();
        bad |= dm_put_integer(o, "arm", a);
        bad |= dm_put_text(o, "name", c->arm_name != NULL && a < c->arm_name->count ? c->arm_name->item[a] : NULL);
        bad |= dm_put_integer(o, "count", c->arm_size[a]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *columns(const dm_info_customers *c)
{
    json_t *list = json_array(), *names = dm_json_names(c->feature);
    int bad = list == NULL || names == NULL;
    for (int32_t i = 0; i < c->d && !bad; i++) {
        const dm_info_column *v = &c->column[i];
        json_t *o = json_object();
        bad |= json_object_set(o, "name", json_array_get(names, (size_t)i));
        bad |= dm_put_integer(o, "count", v->count);
        bad |= dm_put_integer(o, "missing", v->missing);
        bad |= dm_put_integer(o, "non_finite", v->non_finite);
        bad |= dm_put_real(o, "min", v->min);
        bad |= dm_put_real(o, "max", v->max);
        bad |= dm_put_real(o, "mean", v->mean);
        bad |= dm_put_real(o, "sd", v->sd);
        bad |= json_array_append_new(list, o);
    }
    json_decref(names);
    return dm_json_finish(list, bad);
}

demarc_status dm_info_customers_json(const dm_info_customers *c, char **text)
{
    json_t *o = head("customers", c->path, c->bytes);
    int bad = dm_put_text(o, "type", c->type);
    bad |= dm_put_text(o, "storage", c->storage);
    bad |= dm_put_integer(o, "n", c->n);
    bad |= dm_put_integer(o, "d", c->d);
    bad |= dm_put(o, "id", id(c));
    bad |= dm_put(o, "weight", json_boolean(c->weight));
    bad |= dm_put(o, "outcomes", dm_json_names(c->outcome));
    bad |= dm_put(o, "arms", arms(c));
    bad |= dm_put_text(o, "control", c->control);
    bad |= dm_put_integer(o, "propensity_columns", c->propensity);
    bad |= dm_put(o, "channels", dm_json_names(c->channel));
    bad |= dm_put(o, "features", columns(c));
    return dm_json_write(dm_json_finish(o, bad), "description of a customer file", text);
}

/* ------------------------------------------------------------------------------------- model, assignments */

static json_t *centroids(const dm_info_model *m)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < m->k && !bad; j++) {
        json_t *row = json_array();
        for (int32_t f = 0; f < m->d && !bad; f++) {
            bad |= json_array_append_new(row, dm_json_real(m->centroid[(int64_t)j * m->d + f]));
        }
        bad |= json_array_append_new(list, row);
    }
    return dm_json_finish(list, bad);
}

static json_t *model(const dm_info_model *m)
{
    json_t *o = head("model", m->path, m->bytes);
    int bad = dm_put_integer(o, "k", m->k);
    bad |= dm_put_integer(o, "d", m->d);
    bad |= dm_put(o, "features", dm_json_names(m->feature));
    bad |= dm_put_text(o, "scale", m->scale);
    bad |= dm_put(o, "log1p", dm_json_names(m->log1p));
    bad |= dm_put_real(o, "objective", m->objective);
    bad |= dm_put_text(o, "digest", m->digest);
    bad |= dm_put(o, "seed", dm_json_u64(m->seed));
    bad |= dm_put_integer(o, "iterations", m->iterations);
    bad |= dm_put_text(o, "created_utc", m->created_utc);
    bad |= dm_put(o, "names", dm_json_names(m->name));
    bad |= dm_put(o, "sizes", dm_json_integers(m->size, m->k));
    bad |= dm_put(o, "centroids", centroids(m));
    return dm_json_finish(o, bad);
}

demarc_status dm_info_model_json(const dm_info_model *m, char **text)
{
    return dm_json_write(model(m), "description of a model", text);
}

static json_t *assignments(const dm_info_assignments *a)
{
    json_t *o = head("assignments", a->path, a->bytes);
    int bad = dm_put_integer(o, "n", a->n);
    bad |= dm_put_integer(o, "k", a->k);
    bad |= dm_put(o, "sizes", dm_json_integers(a->size, a->k));
    bad |= dm_put_real(o, "mean_distance", a->mean_distance);
    return dm_json_finish(o, bad);
}

demarc_status dm_info_assignments_json(const dm_info_assignments *a, char **text)
{
    return dm_json_write(assignments(a), "description of assignments", text);
}

/* ------------------------------------------------------------------------------------ experiment, critical offsets */

static json_t *boundaries(const dm_info_experiment *e)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < e->boundaries && !bad; i++) {
        const dm_info_boundary *b = &e->boundary[i];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "boundary", i);
        bad |= dm_put_integer(o, "segment", b->segment);
        bad |= dm_put_integer(o, "other", b->other);
        bad |= dm_put_real(o, "gap", b->gap);
        bad |= dm_put_real(o, "band", b->band);
        bad |= dm_put_integer(o, "customers", b->keep + b->switched);
        bad |= dm_put_integer(o, "keep", b->keep);
        bad |= dm_put_integer(o, "switch", b->switched);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

demarc_status dm_info_experiment_json(const dm_info_experiment *e, char **text)
{
    json_t *o = head("experiment", e->path, e->bytes);
    int bad = dm_put_integer(o, "n", e->n);
    bad |= dm_put_text(o, "model_digest", e->model_digest);
    bad |= dm_put_text(o, "salt", e->salt);
    bad |= dm_put(o, "seed", dm_json_u64(e->seed));
    bad |= dm_put_text(o, "outcome", e->outcome);
    bad |= dm_put_real(o, "outcome_sd", e->outcome_sd);
    bad |= dm_put_real(o, "effect", e->effect);
    bad |= dm_put_real(o, "alpha", e->alpha);
    bad |= dm_put_real(o, "power", e->power);
    bad |= dm_put_real(o, "switch_share", e->switch_share);
    bad |= dm_put_integer(o, "distance_strata", e->distance_strata);
    bad |= dm_put(o, "boundaries", boundaries(e));
    return dm_json_write(dm_json_finish(o, bad), "description of an experiment", text);
}

demarc_status dm_info_offsets_json(const dm_info_offsets *f, char **text)
{
    json_t *o = head("critical offsets", f->path, f->bytes);
    int bad = dm_put_integer(o, "n", f->n);
    bad |= dm_put_integer(o, "k", f->k);
    bad |= dm_put_text(o, "model_digest", f->model_digest);
    return dm_json_write(dm_json_finish(o, bad), "description of critical offsets", text);
}

/* ------------------------------------------------------------------------------------------------ results directory */

/* What is copied from a manifest, under which name. */
static const struct essential {
    const char *name, *section, *key;
    dm_json_kind kind;
} essential[] = {
    {"command", NULL, "command", DM_JSON_STRING},
    {"command_line", NULL, "command_line", DM_JSON_STRING_OR_NULL},
    {"input_path", "input", "path", DM_JSON_STRING},
    {"input_bytes", "input", "bytes", DM_JSON_INTEGER},
    {"input_digest", "input", "digest", DM_JSON_STRING},
    {"n", "result", "n", DM_JSON_INTEGER},
    {"d", "result", "d", DM_JSON_INTEGER},
    {"k", "result", "k", DM_JSON_INTEGER},
    {"digest", "result", "digest", DM_JSON_STRING},
    {"objective", "result", "objective", DM_JSON_NUMBER},
    {"version", "versions", "demarc", DM_JSON_STRING},
    {"commit", "versions", "commit", DM_JSON_STRING},
    {"kernel", "versions", "kernel", DM_JSON_STRING},
    {"ranks", "layout", "ranks", DM_JSON_INTEGER},
    {"threads_per_rank", "layout", "threads_per_rank", DM_JSON_INTEGER},
    {"started_utc", NULL, "started_utc", DM_JSON_STRING},
    {"finished_utc", NULL, "finished_utc", DM_JSON_STRING},
    {"seconds", NULL, "seconds", DM_JSON_NUMBER},
};

/* *out = essentials of the manifest at `path`; NULL with DEMARC_OK means memory is short (told by dm_json_write). */
static demarc_status essentials(const char *path, json_t **out)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL, *o = NULL;
    int bad = 0;
    *out = NULL;
    DM_TRY(dm_manifest_load(path, &root));
    o = json_object();
    for (size_t i = 0; i < sizeof essential / sizeof *essential; i++) {
        const struct essential *e = &essential[i];
        const json_t *v = NULL;
        DM_TRY(dm_json_want(root, path, e->section, e->key, e->kind, &v));
        bad |= dm_put(o, e->name, json_copy((json_t *)v)); /* casts const away; a copy of a scalar is its own */
    }
    *out = dm_json_finish(json_incref(o), bad);
cleanup:
    json_decref(o);
    json_decref(root);
    return st;
}

demarc_status dm_info_results_json(const dm_info_results *r, char **text)
{
    demarc_status st = DEMARC_OK;
    json_t *manifest = NULL;
    *text = NULL;
    DM_TRY(essentials(r->manifest_path, &manifest));
    json_t *o = json_object();
    int bad = dm_put_integer(o, "format_version", 1);
    bad |= dm_put_text(o, "kind", "results");
    bad |= dm_put(o, "path", dm_json_path(r->path));
    bad |= dm_put(o, "manifest", manifest);
    bad |= dm_put(o, "model", model(r->model));
    bad |= dm_put(o, "assignments", assignments(r->assignments));
    DM_TRY(dm_json_write(dm_json_finish(o, bad), "description of a results directory", text));
cleanup:
    return st;
}
