/* demarc_info: what a file holds. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engine/context.h"
#include "engine/run_files.h"
#include "report/info_report.h"
#include "store/assignments_file.h"
#include "store/experiment_file.h"
#include "store/file_kind.h"
#include "store/offsets_file.h"

#define ID_CHECK_BYTES (INT64_C(256) << 20)
#define WINDOW 262144

void demarc_info_options_default(demarc_info_options *o) { *o = (demarc_info_options){0}; }

static demarc_status describe_customers(demarc_context *ctx, const demarc_info_options *o, char **json)
{
    static const char *const id_words[] = {"row", "int64", "uint64", "string", "string"};
    demarc_status st = DEMARC_OK;
    dm_customers *file = NULL;
    dm_rows *rows = NULL;
    dm_scan scan = {0};
    dm_info_column *column = NULL;
    int32_t arms = 0;
    int64_t *arm_size = NULL;
    char duplicate[1024] = "";
    DM_TRY(dm_customers_open(&file, ctx->comm, o->path, &o->paths));
    const dm_schema *s = dm_customers_schema(file);
    demarc_status unique = dm_customers_check_ids(file, ctx->comm, ctx->threads, ID_CHECK_BYTES);
    if (unique == DEMARC_ERR_DATA) {
        snprintf(duplicate, sizeof duplicate, "%s", dm_error_line());
    } else {
        DM_TRY(unique);
    }
    DM_TRY(dm_context_rows(ctx, file, s->d, NULL, true, DEMARC_STORE_AUTO, &rows));
    DM_TRY(dm_rows_scan(rows, NULL, &scan));
    if (s->arm) DM_TRY(dm_customers_count_arms(file, ctx->comm, DM_ARMS_MAX, &arms, &arm_size));
    if (dm_comm_rank(ctx->comm) == 0) {
        st = dm_alloc(column, s->d, "columns");
        for (int32_t f = 0; f < s->d && st == DEMARC_OK; f++) {
            const bool any = scan.count[f] > 0;
            column[f] = (dm_info_column){.count = scan.count[f],
                                         .missing = scan.missing[f],
                                         .non_finite = scan.infinite[f],
                                         .min = any ? scan.low[f] : (double)NAN,
                                         .max = any ? scan.high[f] : (double)NAN,
                                         .mean = any ? scan.mean[f] : (double)NAN,
                                         .sd = any ? sqrt(scan.variance[f]) : (double)NAN};
        }
        const dm_info_customers c = {.path = o->path,
                                     .bytes = s->file_bytes,
                                     .type = s->stored_type,
                                     .storage = s->storage,
                                     .n = s->n,
                                     .d = s->d,
                                     .feature = &s->feature,
                                     .column = column,
                                     .id_kind = id_words[s->id],
                                     .id_unique = duplicate[0] == 0,
                                     .id_duplicate = duplicate[0] == 0 ? NULL : duplicate,
                                     .weight = s->weight,
                                     .outcome = &s->outcome,
                                     .arm = s->arm,
                                     .arms = arms,
                                     .arm_size = arm_size,
                                     .arm_name = &s->arm_name,
                                     .control = s->control,
                                     .propensity = s->propensity,
                                     .channel = &s->channel};
        if (st == DEMARC_OK) st = dm_info_customers_json(&c, json);
    }
    DM_TRY_ALL(ctx->comm, st);
cleanup:
    dm_free(column);
    dm_free(arm_size);
    dm_scan_destroy(&scan);
    dm_rows_close(&rows);
    dm_customers_close(&file);
    return st;
}

/* Model as the report wants it; strings and arrays are borrowed from m or owned by the struct below. */
typedef struct model_view {
    dm_model m;
    dm_strings log1p;
    double *original;
    dm_info_model info;
} model_view;

static void model_view_clear(model_view *v)
{
    dm_strings_clear(&v->log1p);
    dm_free(v->original);
    dm_model_destroy(&v->m);
}

static demarc_status model_view_open(demarc_context *ctx, model_view *v, const char *path, int64_t bytes)
{
    static const char *const scale_words[] = {"zscore", "robust", "minmax", "none"};
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_model_read(ctx->comm, &v->m, path, DEMARC_ERR_DATA));
    const int64_t kd = (int64_t)v->m.k * v->m.d;
    st = dm_alloc(v->original, kd, "model");
    for (int64_t i = 0; i < kd && st == DEMARC_OK; i++) {
        v->original[i] = dm_transform_to_original(&v->m.transform, (int32_t)(i % v->m.d), v->m.centroids[i]);
    }
    for (int32_t f = 0; f < v->m.d && st == DEMARC_OK; f++) {
        if (v->m.transform.log1p[f]) st = dm_strings_add(&v->log1p, v->m.feature.item[f]);
    }
    DM_TRY_ALL(ctx->comm, st);
    v->info = (dm_info_model){.path = path,
                              .bytes = bytes,
                              .k = v->m.k,
                              .d = v->m.d,
                              .feature = &v->m.feature,
                              .scale = scale_words[v->m.transform.scale],
                              .log1p = &v->log1p,
                              .objective = v->m.objective,
                              .digest = v->m.digest,
                              .seed = v->m.seed,
                              .iterations = v->m.iterations,
                              .created_utc = v->m.created_utc,
                              .name = &v->m.segment,
                              .size = v->m.size,
                              .centroid = v->original};
cleanup:
    return st;
}

/* Sizes and mean distance of an assignments file; rank 0 reads alone: 4 bytes a customer and column. */
static demarc_status summarise_assignments(dm_assignments *a, int64_t n, dm_info_assignments *info, int64_t **size)
{
    demarc_status st = DEMARC_OK;
    dm_assignment_rows rows = {0};
    int64_t room = 0;
    dm_exact_sum distance = {0};
    DM_TRY(dm_alloc(rows.segment, WINDOW, "assignments"));
    DM_TRY(dm_alloc(rows.runner_up, WINDOW, "assignments"));
    DM_TRY(dm_alloc(rows.distance, WINDOW, "assignments"));
    DM_TRY(dm_alloc(rows.margin, WINDOW, "assignments"));
    for (int64_t at = 0; at < n; at += WINDOW) {
        const int64_t count = n - at < WINDOW ? n - at : WINDOW;
        DM_TRY(dm_assignments_read(a, at, count, &rows));
        for (int64_t i = 0; i < count; i++) {
            const int32_t j = rows.segment[i];
            if (j < 0 || j >= 1000000) {
                DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged assignments: %s /segment of row %lld is %d: fit again",
                               info->path, (long long)(at + i), (int)j));
            }
            if (j >= room) {
                int64_t *grown = NULL;
                DM_TRY(dm_alloc_zero(grown, 2 * (int64_t)j + 16, "segments"));
                if (room > 0) memcpy(grown, *size, (size_t)room * sizeof *grown);
                dm_free(*size);
                *size = grown;
                room = 2 * (int64_t)j + 16;
            }
            (*size)[j]++;
            if (j + 1 > info->k) info->k = j + 1;
            dm_exact_sum_add(&distance, (double)rows.distance[i]);
        }
    }
    info->n = n;
    info->size = *size;
    info->mean_distance = n > 0 ? dm_exact_sum_value(&distance) / (double)n : (double)NAN;
cleanup:
    dm_free(rows.segment);
    dm_free(rows.runner_up);
    dm_free(rows.distance);
    dm_free(rows.margin);
    return st;
}

static demarc_status open_assignments(demarc_context *ctx, const char *path, int64_t bytes, dm_info_assignments *info,
                                      int64_t **size)
{
    demarc_status st = DEMARC_OK;
    dm_assignments *a = NULL;
    int64_t n = 0;
    *info = (dm_info_assignments){.path = path, .bytes = bytes};
    DM_TRY(dm_assignments_open(&a, ctx->comm, path, &n));
    if (dm_comm_rank(ctx->comm) == 0) st = summarise_assignments(a, n, info, size);
    DM_TRY_ALL(ctx->comm, st);
cleanup:
    dm_assignments_shut(&a);
    return st;
}

static demarc_status describe_results(demarc_context *ctx, const char *dir, char **json)
{
    demarc_status st = DEMARC_OK;
    dm_run_files files;
    model_view v = {0};
    dm_info_assignments a = {0};
    int64_t *size = NULL, model_bytes = 0, assignment_bytes = 0;
    dm_file_kind kind = DM_KIND_RESULTS;
    DM_TRY_ALL(ctx->comm, dm_run_find(&files, dir));
    DM_TRY(dm_file_kind_of(ctx->comm, files.model, &kind, &model_bytes));
    DM_TRY(dm_file_kind_of(ctx->comm, files.assignments, &kind, &assignment_bytes));
    DM_TRY(model_view_open(ctx, &v, files.model, model_bytes));
    DM_TRY(open_assignments(ctx, files.assignments, assignment_bytes, &a, &size));
    if (dm_comm_rank(ctx->comm) == 0) {
        const dm_info_results r = {.path = dir, .model = &v.info, .assignments = &a, .manifest_path = files.manifest};
        st = dm_info_results_json(&r, json);
    }
    DM_TRY_ALL(ctx->comm, st);
cleanup:
    dm_free(size);
    model_view_clear(&v);
    return st;
}

/* Customers of each boundary by arm; rank 0 reads alone: 8 bytes a customer. */
static demarc_status count_experiment(dm_experiment *e, dm_info_boundary *boundary)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = dm_experiment_facts_of(e)->customers;
    dm_experiment_rows rows = {0};
    DM_TRY(dm_alloc(rows.boundary, WINDOW, "experiment"));
    DM_TRY(dm_alloc(rows.arm, WINDOW, "experiment"));
    for (int64_t at = 0; at < n; at += WINDOW) {
        const int64_t count = n - at < WINDOW ? n - at : WINDOW;
        DM_TRY(dm_experiment_read(e, at, count, &rows));
        for (int64_t i = 0; i < count; i++) {
            dm_info_boundary *b = &boundary[rows.boundary[i]];
            *(rows.arm[i] == 0 ? &b->keep : &b->switched) += 1;
        }
    }
cleanup:
    dm_free(rows.boundary);
    dm_free(rows.arm);
    return st;
}

static demarc_status summarise_experiment(dm_experiment *e, const char *path, int64_t bytes, char **json)
{
    demarc_status st = DEMARC_OK;
    const dm_experiment_facts *f = dm_experiment_facts_of(e);
    dm_info_boundary *boundary = NULL;
    DM_TRY(dm_alloc(boundary, f->boundaries, "experiment"));
    for (int32_t i = 0; i < f->boundaries; i++) {
        boundary[i] = (dm_info_boundary){.segment = f->segments[2 * (int64_t)i],
                                         .other = f->segments[2 * (int64_t)i + 1],
                                         .gap = f->gap[i],
                                         .band = f->band[i]};
    }
    DM_TRY(count_experiment(e, boundary));
    const dm_info_experiment info = {.path = path,
                                     .bytes = bytes,
                                     .n = f->customers,
                                     .model_digest = f->model_digest,
                                     .salt = f->salt,
                                     .outcome = f->outcome[0] != 0 ? f->outcome : NULL,
                                     .seed = f->seed,
                                     .alpha = f->alpha,
                                     .power = f->power,
                                     .effect = f->effect,
                                     .outcome_sd = f->outcome_sd,
                                     .switch_share = f->switch_share,
                                     .distance_strata = f->distance_strata,
                                     .boundaries = f->boundaries,
                                     .boundary = boundary};
    DM_TRY(dm_info_experiment_json(&info, json));
cleanup:
    dm_free(boundary);
    return st;
}

static demarc_status describe_experiment(demarc_context *ctx, const char *path, int64_t bytes, char **json)
{
    demarc_status st = DEMARC_OK;
    dm_experiment *e = NULL;
    DM_TRY(dm_experiment_open(&e, ctx->comm, path));
    if (dm_comm_rank(ctx->comm) == 0) st = summarise_experiment(e, path, bytes, json);
    DM_TRY_ALL(ctx->comm, st);
cleanup:
    dm_experiment_close(&e);
    return st;
}

static demarc_status describe_plan(demarc_context *ctx, const char *dir, char **json)
{
    demarc_status st = DEMARC_OK;
    char path[4096];
    dm_file_kind kind = DM_KIND_EXPERIMENT;
    int64_t bytes = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/experiment.h5", dir) >= sizeof path) {
        return dm_fail(DEMARC_ERR_USAGE, "path too long: %s: use a shorter one", dir);
    }
    DM_TRY(dm_file_kind_of(ctx->comm, path, &kind, &bytes));
    DM_TRY(describe_experiment(ctx, path, bytes, json));
cleanup:
    return st;
}

static demarc_status describe_offsets(demarc_context *ctx, const char *path, int64_t bytes, char **json)
{
    demarc_status st = DEMARC_OK;
    if (dm_comm_rank(ctx->comm) == 0) {
        dm_info_offsets info = {.path = path, .bytes = bytes};
        dm_strings digest = {0};
        st = dm_offsets_shape(path, &info.n, &info.k, &digest);
        if (st == DEMARC_OK) {
            info.model_digest = digest.item[0];
            st = dm_info_offsets_json(&info, json);
        }
        dm_strings_clear(&digest);
    }
    return dm_comm_agree(ctx->comm, st);
}

demarc_status demarc_info(demarc_context *ctx, const demarc_info_options *o, char **json)
{
    dm_external_allow(ctx->runtime.allow_external);
    demarc_status st = DEMARC_OK;
    dm_file_kind kind = DM_KIND_CUSTOMERS;
    int64_t bytes = 0;
    model_view v = {0};
    dm_info_assignments a = {0};
    int64_t *size = NULL;
    *json = NULL;
    if (o->path == NULL) return dm_fail(DEMARC_ERR_USAGE, "no file: info: name a file or a results directory");
    DM_TRY(dm_file_kind_of(ctx->comm, o->path, &kind, &bytes));
    switch (kind) {
    case DM_KIND_RESULTS:
        DM_TRY(describe_results(ctx, o->path, json));
        break;
    case DM_KIND_CUSTOMERS:
        DM_TRY(describe_customers(ctx, o, json));
        break;
    case DM_KIND_MODEL:
        DM_TRY(model_view_open(ctx, &v, o->path, bytes));
        if (dm_comm_rank(ctx->comm) == 0) st = dm_info_model_json(&v.info, json);
        break;
    case DM_KIND_ASSIGNMENTS:
        DM_TRY(open_assignments(ctx, o->path, bytes, &a, &size));
        if (dm_comm_rank(ctx->comm) == 0) st = dm_info_assignments_json(&a, json);
        break;
    case DM_KIND_PLAN:
        DM_TRY(describe_plan(ctx, o->path, json));
        break;
    case DM_KIND_EXPERIMENT:
        DM_TRY(describe_experiment(ctx, o->path, bytes, json));
        break;
    case DM_KIND_OFFSETS:
        DM_TRY(describe_offsets(ctx, o->path, bytes, json));
        break;
    }
    DM_TRY_ALL(ctx->comm, st);
cleanup:
    dm_free(size);
    model_view_clear(&v);
    return st;
}
