/*
 * The record of how a result came about: options, input, versions, layout, time and memory.
 * schema/manifest.schema.json says what each field means.
 */
#include <stdlib.h>
#include <string.h>

#include "report/diagnostics.h"
#include "report/json_tools.h"

const char *dm_scale_word(demarc_scale v)
{
    switch (v) {
    case DEMARC_SCALE_ZSCORE:
        return "zscore";
    case DEMARC_SCALE_ROBUST:
        return "robust";
    case DEMARC_SCALE_MINMAX:
        return "minmax";
    case DEMARC_SCALE_NONE:
        return "none";
    }
    return NULL;
}

const char *dm_missing_word(demarc_missing v) { return v == DEMARC_MISSING_MEAN ? "mean" : "error"; }

static const char *store_word(demarc_store store)
{
    return store == DEMARC_STORE_F16 ? "f16" : store == DEMARC_STORE_F32 ? "f32" : "auto";
}

static json_t *segments(const demarc_fit_options *f)
{
    return f->k_lo == f->k_hi ? json_integer(f->k_lo) : json_sprintf("%d:%d", (int)f->k_lo, (int)f->k_hi);
}

static json_t *options(const dm_manifest *m)
{
    const demarc_fit_options *f = m->options;
    json_t *o = json_object();
    int bad = dm_put_path(o, "data", f->data);
    bad |= dm_put_path(o, "out", f->out);
    bad |= dm_put(o, "force", json_boolean(f->force));
    bad |= dm_put(o, "dry-run", json_boolean(f->dry_run));
    bad |= dm_put(o, "segments", segments(f));
    bad |= dm_put(o, "seed", dm_json_u64(f->seed));
    bad |= dm_put_text(o, "scale", dm_scale_word(f->scale));
    bad |= dm_put_text(o, "missing", dm_missing_word(f->missing));
    bad |= dm_put_text(o, "store", store_word(f->store));
    bad |= dm_put_text(o, "log1p", f->log1p);
    bad |= dm_put_text(o, "feature-weights", f->feature_weights);
    bad |= dm_put_path(o, "init", f->init != NULL ? f->init : "kmeans||");
    bad |= dm_put_integer(o, "restarts", f->restarts);
    bad |= dm_put_text(o, "algorithm", f->algorithm == DEMARC_LLOYD ? "lloyd" : "minibatch");
    bad |= dm_put_integer(o, "batch-size", m->batch_size);
    bad |= dm_put_integer(o, "max-epochs", f->max_epochs);
    bad |= dm_put_integer(o, "max-iterations", f->max_iterations);
    bad |= dm_put_real(o, "tolerance", f->tolerance);
    bad |= dm_put_integer(o, "polish", f->polish);
    bad |= dm_put_real(o, "min-segment-share", f->min_segment_share);
    bad |= dm_put_text(o, "names", f->names);
    bad |= dm_put_real(o, "checkpoint-every", f->checkpoint_every);
    bad |= dm_put(o, "resume", json_boolean(f->resume));
    return dm_json_finish(o, bad);
}

/* Name and place of each path of the customer file, for writing and reading alike. */
#define PATHS(X) X(features) X(id) X(weight) X(outcomes) X(arm) X(propensity) X(reachable)

static json_t *paths(const demarc_paths *p)
{
    json_t *o = json_object();
    int bad = 0;
#define PUT_PATH(name) bad |= dm_put_path(o, #name, p->name);
    PATHS(PUT_PATH)
#undef PUT_PATH
    return dm_json_finish(o, bad);
}

static json_t *input(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_path(o, "path", m->input_path);
    bad |= dm_put_integer(o, "bytes", m->input_bytes);
    bad |= dm_put_text(o, "modified", m->input_modified);
    bad |= dm_put_text(o, "digest", m->input_digest);
    bad |= dm_put(o, "allow_external", json_boolean(m->allow_external));
    return dm_json_finish(o, bad);
}

static json_t *identity(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "options_digest", m->options_digest);
    bad |= dm_put_text(o, "data_digest", m->data_digest);
    return dm_json_finish(o, bad);
}

static json_t *result(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "n", m->n);
    bad |= dm_put_integer(o, "d", m->d);
    bad |= dm_put_integer(o, "k", m->k);
    bad |= dm_put_text(o, "digest", m->digest);
    bad |= dm_put_real(o, "objective", m->objective);
    return dm_json_finish(o, bad);
}

static json_t *versions(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "demarc", m->version);
    bad |= dm_put_text(o, "commit", m->commit);
    bad |= dm_put_text(o, "compiler", m->compiler);
    bad |= dm_put_text(o, "mpi", m->mpi);
    bad |= dm_put_text(o, "hdf5", m->hdf5);
    bad |= dm_put_text(o, "blas", m->blas);
    bad |= dm_put_text(o, "blas_core", m->blas_core);
    bad |= dm_put_text(o, "kernel", m->kernel);
    return dm_json_finish(o, bad);
}

static json_t *layout(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "ranks", m->ranks);
    bad |= dm_put_integer(o, "threads_per_rank", m->threads);
    bad |= dm_put_text(o, "io", m->io);
    bad |= dm_put(o, "streamed", json_boolean(m->streamed));
    bad |= dm_put_text(o, "store", m->streamed ? NULL : store_word(m->store));
    bad |= dm_put(o, "memory_limit", m->memory_limit > 0 ? json_integer(m->memory_limit) : json_null());
    return dm_json_finish(o, bad);
}

static json_t *phases(const dm_manifest *m)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < m->phases && !bad; i++) {
        const dm_phase_record *p = &m->phase[i];
        json_t *o = json_object();
        bad |= dm_put_text(o, "name", p->name);
        bad |= dm_put_real(o, "seconds", p->seconds);
        bad |= dm_put_integer(o, "bytes", p->bytes);
        /* a phase too short for the clock gives an infinity, hence null */
        bad |= dm_put_real(o, "bytes_per_second", (double)p->bytes / p->seconds);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *peak_memory(const dm_manifest *m)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < m->ranks && !bad; i++) bad |= json_array_append_new(list, dm_json_bytes(m->peak_memory[i]));
    return dm_json_finish(list, bad);
}

static json_t *messages(const dm_manifest *m)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "count", m->messages);
    bad |= dm_put_integer(o, "bytes", m->message_bytes);
    return dm_json_finish(o, bad);
}

demarc_status dm_manifest_json(const dm_manifest *m, char **text)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "format_version", 1);
    bad |= dm_put_text(o, "command", m->command);
    bad |= dm_put_text(o, "command_line", m->command_line);
    bad |= dm_put(o, "options", options(m));
    bad |= dm_put(o, "paths", paths(&m->options->paths));
    bad |= dm_put(o, "input", input(m));
    bad |= dm_put(o, "identity", identity(m));
    bad |= dm_put_integer(o, "resumes", m->resumes);
    bad |= dm_put(o, "result", result(m));
    bad |= dm_put(o, "versions", versions(m));
    bad |= dm_put(o, "layout", layout(m));
    bad |= dm_put_text(o, "started_utc", m->started_utc);
    bad |= dm_put_text(o, "finished_utc", m->finished_utc);
    bad |= dm_put_real(o, "seconds", m->seconds);
    bad |= dm_put(o, "phases", phases(m));
    bad |= dm_put(o, "peak_memory_bytes_per_rank", peak_memory(m));
    bad |= dm_put(o, "messages", messages(m));
    return dm_json_write(dm_json_finish(o, bad), "manifest", text);
}

/* ------------------------------------------------------------------------------------------------ reading back */

/* *out = copy of the string at section.key; NULL for null, which `kind` may allow. */
static demarc_status read_text(const json_t *root, const char *path, const char *section, const char *key,
                               dm_json_kind kind, const char **out)
{
    const json_t *v = NULL;
    *out = NULL;
    demarc_status st = dm_json_want(root, path, section, key, kind, &v);
    if (st != DEMARC_OK || json_is_null(v)) return st;
    *out = strdup(json_string_value(v));
    return *out != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: reading %s: free some memory", path);
}

demarc_status dm_json_digest(const json_t *root, const char *path, const char *section, char digest[40])
{
    const json_t *v = NULL;
    demarc_status st = dm_json_want(root, path, section, "digest", DM_JSON_STRING, &v);
    if (st != DEMARC_OK) return st;
    size_t length = json_string_length(v);
    if (length == 0 || length >= 40 || strspn(json_string_value(v), "0123456789abcdef") != length) {
        return dm_fail(DEMARC_ERR_DATA,
                       "bad digest: %s, %s%sdigest: expected 1 to 39 hexadecimal digits: run demarc fit again", path,
                       section == NULL ? "" : section, section == NULL ? "" : ".");
    }
    memcpy(digest, json_string_value(v), length + 1);
    return DEMARC_OK;
}

/* Older manifests have none. */
static void read_identity(const json_t *root, dm_manifest_facts *facts)
{
    const json_t *o = json_object_get(root, "identity");
    const char *options = json_string_value(json_object_get(o, "options_digest"));
    const char *data = json_string_value(json_object_get(o, "data_digest"));
    const json_t *input = json_object_get(root, "input");
    const char *stored = json_string_value(json_object_get(input, "digest"));
    const char *modified = json_string_value(json_object_get(input, "modified"));
    facts->input_bytes = json_integer_value(json_object_get(input, "bytes"));
    if (modified != NULL) snprintf(facts->input_modified, sizeof facts->input_modified, "%s", modified);
    if (stored != NULL) snprintf(facts->input_digest, sizeof facts->input_digest, "%s", stored);
    const char *version = json_string_value(json_object_get(json_object_get(root, "versions"), "demarc"));
    snprintf(facts->version, sizeof facts->version, "%s", version == NULL ? "" : version);
    if (options == NULL || data == NULL) return;
    snprintf(facts->options_digest, sizeof facts->options_digest, "%s", options);
    snprintf(facts->data_digest, sizeof facts->data_digest, "%s", data);
}

demarc_status dm_manifest_read(const char *path, dm_manifest_facts *facts)
{
    demarc_status st = DEMARC_OK;
    json_t *root = NULL;
    const json_t *objective = NULL;
    const char *input_path = NULL;
    *facts = (dm_manifest_facts){0};
    DM_TRY(dm_manifest_load(path, &root));
    DM_TRY(read_text(root, path, "input", "path", DM_JSON_STRING, &input_path));
    facts->input_path = (char *)input_path;
    read_identity(root, facts);
#define READ_PATH(name) DM_TRY(read_text(root, path, "paths", #name, DM_JSON_STRING_OR_NULL, &facts->paths.name));
    PATHS(READ_PATH)
#undef READ_PATH
    DM_TRY(dm_json_digest(root, path, "result", facts->digest));
    DM_TRY(dm_json_want(root, path, "result", "objective", DM_JSON_NUMBER, &objective));
    facts->objective = json_number_value(objective);
cleanup:
    json_decref(root);
    if (st != DEMARC_OK) dm_manifest_facts_clear(facts);
    return st;
}

static demarc_status add_options(json_t *options, dm_strings *list)
{
    demarc_status st = DEMARC_OK;
    const char *name = NULL;
    json_t *v = NULL;
    json_object_foreach(options, name, v)
    {
        char number[32], *line = NULL;
        const char *value = json_is_string(v) ? json_string_value(v) : json_is_null(v) ? "not given" : number;
        snprintf(number, sizeof number, "%.17g", json_number_value(v));
        if (json_is_integer(v)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        if (asprintf(&line, "--%s\t%s", name, value) < 0)
            return dm_fail(DEMARC_ERR_MEMORY, "out of memory: reading a manifest: free some memory");
        st = dm_strings_add(list, line);
        free(line);
        if (st != DEMARC_OK) break;
    }
    return st;
}

demarc_status dm_manifest_options(const char *path, dm_strings *list)
{
    json_t *root = NULL;
    demarc_status st = dm_manifest_load(path, &root);
    if (st == DEMARC_OK) st = add_options(json_object_get(root, "options"), list);
    if (st == DEMARC_OK) st = add_options(json_object_get(root, "paths"), list);
    json_decref(root);
    return st;
}

void dm_manifest_facts_clear(dm_manifest_facts *facts)
{
    free(facts->input_path);
#define FREE_PATH(name) free((char *)facts->paths.name);
    PATHS(FREE_PATH)
#undef FREE_PATH
    *facts = (dm_manifest_facts){0};
}
