#include "exchange/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/row_blocks.h"
#include "base/text.h"
#include "exchange/synthetic_rows.h"
#include "store/output.h"
#include "store/writer.h"

#define WINDOW_BLOCKS 16                 /* rows made and written at once: at most this many blocks ... */
#define WINDOW_BYTES (INT64_C(64) << 20) /* ... and, when rows are wide, about this much of features */
#define LAYOUT_BYTES (INT64_C(64) << 10) /* room for headers, attributes and the datasets' alignment */
#define LARGEST_SEPARATION 1e6

static const char *const outcome_names[DM_SYNTHETIC_OUTCOMES] = {"pre_spend", "visit", "conversion", "spend"};
static const char *const channel_names[DM_SYNTHETIC_CHANNELS] = {"email", "app", "post"};

/* ------------------------------------------------------------------------------------------ options */

static demarc_status check_options(const demarc_generate_options *o)
{
    if (o->out == NULL || o->out[0] == 0) {
        return dm_fail(DEMARC_ERR_USAGE, "no output file: OUT.h5: name the file to write");
    }
    if (o->customers < 1 || o->customers > DM_SYNTHETIC_MAX_CUSTOMERS) {
        return dm_fail(DEMARC_ERR_USAGE, "out of range: --customers %lld: give 1 to %lld", (long long)o->customers,
                       (long long)DM_SYNTHETIC_MAX_CUSTOMERS);
    }
    if (o->features < 1) {
        return dm_fail(DEMARC_ERR_USAGE, "out of range: --features %d: give at least 1", o->features);
    }
    if (o->segments < 1 || o->segments > o->customers) {
        return dm_fail(DEMARC_ERR_USAGE, "out of range: --segments %d: give 1 to the number of customers, %lld",
                       o->segments, (long long)o->customers);
    }
    if (o->arms != 0 && (o->arms < 2 || o->arms > DM_SYNTHETIC_MAX_ARMS)) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "out of range: --arms %d: give 2 to %d, the control included, or 0 for no campaign", o->arms,
                       DM_SYNTHETIC_MAX_ARMS);
    }
    if (!(o->separation >= 0.0 && o->separation <= LARGEST_SEPARATION)) {
        return dm_fail(DEMARC_ERR_USAGE, "out of range: --separation %g: give 0 to %g", o->separation,
                       LARGEST_SEPARATION);
    }
    if (!(o->missing_share >= 0.0 && o->missing_share < 1.0)) {
        return dm_fail(DEMARC_ERR_USAGE, "out of range: --missing-share %g: give 0 or more and less than 1",
                       o->missing_share);
    }
    return DEMARC_OK;
}

/* Bytes of the file; a double because n x d may pass 2^63. */
static double file_bytes(const demarc_generate_options *o)
{
    double row = 4.0 * o->features + (double)(sizeof(int64_t) + sizeof(int32_t)) + DM_SYNTHETIC_CHANNELS;
    if (o->outcomes) row += 4.0 * DM_SYNTHETIC_OUTCOMES;
    if (o->arms > 0) row += 4.0;
    double truth = 8.0 * o->segments * (2.0 * o->features + 1.0 + o->arms) +
                   8.0 * o->features * (1.0 + DM_SYNTHETIC_AXES + DM_SYNTHETIC_FACTORS) + 32.0 * o->features;
    return row * (double)o->customers + truth + (double)LAYOUT_BYTES;
}

static demarc_status check_room(dm_comm *comm, const demarc_generate_options *o)
{
    demarc_status st = DEMARC_OK;
    double bytes = file_bytes(o);
    if (dm_comm_rank(comm) == 0) st = dm_output_room(o->out, bytes < 0x1p63 ? (int64_t)bytes : INT64_MAX);
    return dm_comm_agree(comm, st);
}

static void log_plan(dm_log *log, const demarc_generate_options *o, const char *verb)
{
    char size[32];
    dm_log_line(log, "%s %s: %lld customers x %d features in %d segments, %s", verb, o->out, (long long)o->customers,
                o->features, o->segments, dm_text_bytes(size, file_bytes(o)));
    dm_log_detail(log, "  /features float32 [%lld, %d], /id, /reachable [%d]%s%s, /truth", (long long)o->customers,
                  o->features, DM_SYNTHETIC_CHANNELS, o->outcomes ? ", /outcomes [4]" : "",
                  o->arms > 0 ? ", /arm" : "");
}

/* ------------------------------------------------------------------------------------------ layout of the file */

typedef struct target {
    dm_comm *comm;
    dm_writer *writer;
    int feature, id, segment, arm, outcome, reach; /* handles of the datasets of rows; -1 = not written */
} target;

/* Attribute of `count` texts made by `name_of`; the list is made on every rank, written by rank 0. */
static demarc_status write_names(const target *t, const char *on, const char *attribute, int32_t count,
                                 void (*name_of)(int32_t, char[32]))
{
    demarc_status st = DEMARC_OK;
    dm_strings names = {0};
    char name[32];
    for (int32_t i = 0; i < count && st == DEMARC_OK; i++) {
        name_of(i, name);
        st = dm_strings_add(&names, name);
    }
    DM_TRY_ALL(t->comm, st);
    DM_TRY(dm_writer_attribute_texts(t->writer, on, attribute, count, (const char *const *)names.item));
cleanup:
    dm_strings_clear(&names);
    return st;
}

static void arm_name(int32_t arm, char buf[32])
{
    if (arm == 0) {
        snprintf(buf, 32, "control");
    } else {
        snprintf(buf, 32, "arm%d", arm);
    }
}

static demarc_status lay_out_rows(target *t, const demarc_generate_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = t->writer;
    const int64_t n = o->customers;
    DM_TRY(dm_writer_rows_dataset(w, "/features", DM_TYPE_F32, n, o->features, 0, &t->feature));
    DM_TRY(write_names(t, "/features", "feature_names", o->features, dm_synthetic_feature_name));
    DM_TRY(dm_writer_rows_dataset(w, "/id", DM_TYPE_I64, n, 0, 0, &t->id));
    DM_TRY(dm_writer_rows_dataset(w, "/reachable", DM_TYPE_U8, n, DM_SYNTHETIC_CHANNELS, 0, &t->reach));
    DM_TRY(dm_writer_attribute_texts(w, "/reachable", "channel_names", DM_SYNTHETIC_CHANNELS, channel_names));
    if (o->arms > 0) {
        DM_TRY(dm_writer_rows_dataset(w, "/arm", DM_TYPE_I32, n, 0, 0, &t->arm));
        DM_TRY(write_names(t, "/arm", "arm_names", o->arms, arm_name));
        DM_TRY(dm_writer_attribute_text(w, "/arm", "control", "control"));
    }
    if (o->outcomes) {
        DM_TRY(dm_writer_rows_dataset(w, "/outcomes", DM_TYPE_F32, n, DM_SYNTHETIC_OUTCOMES, 0, &t->outcome));
        DM_TRY(dm_writer_attribute_texts(w, "/outcomes", "outcome_names", DM_SYNTHETIC_OUTCOMES, outcome_names));
    }
    DM_TRY(dm_writer_rows_dataset(w, "/truth/segment", DM_TYPE_I32, n, 0, 0, &t->segment));
cleanup:
    return st;
}

static demarc_status describe_options(dm_writer *w, const demarc_generate_options *o)
{
    demarc_status st = DEMARC_OK;
    const int64_t customers = o->customers, features = o->features, segments = o->segments, arms = o->arms;
    const int64_t outcomes = o->outcomes ? 1 : 0;
    DM_TRY(dm_writer_attribute_text(w, "/", "created_by", "demarc generate"));
    DM_TRY(dm_writer_attribute_u64(w, "/", "seed", o->seed));
    DM_TRY(dm_writer_attribute_i64(w, "/", "customers", 1, &customers));
    DM_TRY(dm_writer_attribute_i64(w, "/", "features", 1, &features));
    DM_TRY(dm_writer_attribute_i64(w, "/", "segments", 1, &segments));
    DM_TRY(dm_writer_attribute_i64(w, "/", "arms", 1, &arms));
    DM_TRY(dm_writer_attribute_i64(w, "/", "outcomes", 1, &outcomes));
    DM_TRY(dm_writer_attribute_f64(w, "/", "separation", 1, &o->separation));
    DM_TRY(dm_writer_attribute_f64(w, "/", "missing_share", 1, &o->missing_share));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------ truth */

/* A customer who sits on the centre: his features. */
static void center_features(const dm_synthetic *m, const double *center, float *x, double *feature)
{
    for (int32_t j = 0; j < m->d; j++) x[j] = (float)center[j];
    dm_synthetic_map(m, x);
    for (int32_t j = 0; j < m->d; j++) feature[j] = (double)x[j];
}

/* Two [k, d] tables, made by rank 0 and written one after the other. */
static demarc_status write_centers(const target *t, const dm_synthetic *m)
{
    demarc_status st = DEMARC_OK;
    double *center = NULL;
    float *x = NULL;
    const int64_t d = m->d;
    const bool root = dm_comm_rank(t->comm) == 0;
    if (root) {
        st = dm_alloc(center, m->k * d, "centres of the segments");
        if (st == DEMARC_OK) st = dm_alloc(x, d, "centres of the segments");
    }
    DM_TRY_ALL(t->comm, st);
    for (int32_t z = 0; root && z < m->k; z++) dm_synthetic_center(m, z, center + z * d);
    DM_TRY(dm_writer_small(t->writer, "/truth/latent_centers", DM_TYPE_F64, m->k, m->d, center));
    for (int32_t z = 0; root && z < m->k; z++) center_features(m, center + z * d, x, center + z * d);
    DM_TRY(dm_writer_small(t->writer, "/truth/center_features", DM_TYPE_F64, m->k, m->d, center));
cleanup:
    dm_free(x);
    dm_free(center);
    return st;
}

static demarc_status write_segment_effect(const target *t, const dm_synthetic *m)
{
    demarc_status st = DEMARC_OK;
    double *effect = NULL;
    const int64_t arms = m->arms;
    const bool root = dm_comm_rank(t->comm) == 0;
    if (root) st = dm_alloc(effect, m->k * arms, "effects per segment");
    DM_TRY_ALL(t->comm, st);
    if (root) {
#pragma omp parallel for schedule(static)
        for (int32_t z = 0; z < m->k; z++) dm_synthetic_segment_effect(m, z, effect + z * arms);
    }
    DM_TRY(dm_writer_small(t->writer, "/truth/segment_effect", DM_TYPE_F64, m->k, m->arms, effect));
cleanup:
    dm_free(effect);
    return st;
}

static demarc_status write_effects(const target *t, const dm_synthetic *m)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = t->writer;
    const int64_t column = m->effect_column;
    double threshold[DM_SYNTHETIC_MAX_ARMS];
    char name[32];
    for (int32_t a = 0; a < m->arms; a++) {
        threshold[a] = a == 0 ? NAN : dm_synthetic_map_column(m, m->effect_column, m->effect_threshold[a]);
    }
    dm_synthetic_feature_name(m->effect_column, name);
    DM_TRY(dm_writer_attribute_text(w, "/truth", "effect_feature", name));
    DM_TRY(dm_writer_attribute_i64(w, "/truth", "effect_column", 1, &column));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "effect_threshold", m->arms, threshold));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "effect_threshold_latent", m->arms, m->effect_threshold));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "effect_slope", m->arms, m->effect_slope));
    DM_TRY(write_segment_effect(t, m));
cleanup:
    return st;
}

static demarc_status write_truth(const target *t, const dm_synthetic *m, double separation)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = t->writer;
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "separation", 1, &separation));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "neighbour_distance", 1, &m->step));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "noise_sd", 1, &m->own_sd));
    DM_TRY(dm_writer_attribute_f64(w, "/truth", "common_variance", 1, &m->rho));
    DM_TRY(dm_writer_small(w, "/truth/segment_share", DM_TYPE_F64, m->k, 0, m->share));
    DM_TRY(dm_writer_small(w, "/truth/column_spread", DM_TYPE_F64, m->d, 0, m->spread));
    DM_TRY(write_centers(t, m));
    if (m->axes > 0) DM_TRY(dm_writer_small(w, "/truth/axes", DM_TYPE_F64, m->axes, m->d, m->axis));
    if (m->factors > 0) DM_TRY(dm_writer_small(w, "/truth/loadings", DM_TYPE_F64, m->factors, m->d, m->loading));
    if (m->arms > 0) DM_TRY(write_effects(t, m));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------ rows */

static int64_t window_rows(int32_t d)
{
    int64_t rows = WINDOW_BLOCKS * DM_BLOCK_ROWS, fit = WINDOW_BYTES / (4 * (int64_t)d);
    return fit >= rows ? rows : fit >= 1 ? fit : 1;
}

static demarc_status allocate_window(dm_synthetic_buffers *b, const target *t, int64_t rows, int32_t d)
{
    demarc_status st = DEMARC_OK;
    const char *what = "a window of rows";
    DM_TRY(dm_alloc(b->feature, rows * d, what));
    DM_TRY(dm_alloc(b->id, rows, what));
    DM_TRY(dm_alloc(b->segment, rows, what));
    DM_TRY(dm_alloc(b->reach, rows * DM_SYNTHETIC_CHANNELS, what));
    if (t->arm >= 0) DM_TRY(dm_alloc(b->arm, rows, what));
    if (t->outcome >= 0) DM_TRY(dm_alloc(b->outcome, rows * DM_SYNTHETIC_OUTCOMES, what));
cleanup:
    return st;
}

static void free_window(dm_synthetic_buffers *b)
{
    dm_free(b->feature);
    dm_free(b->id);
    dm_free(b->segment);
    dm_free(b->reach);
    dm_free(b->arm);
    dm_free(b->outcome);
}

static demarc_status write_window(const target *t, int64_t begin, int64_t count, const dm_synthetic_buffers *b)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = t->writer;
    DM_TRY(dm_writer_rows(w, t->feature, begin, count, b->feature));
    DM_TRY(dm_writer_rows(w, t->id, begin, count, b->id));
    DM_TRY(dm_writer_rows(w, t->reach, begin, count, b->reach));
    if (t->arm >= 0) DM_TRY(dm_writer_rows(w, t->arm, begin, count, b->arm));
    if (t->outcome >= 0) DM_TRY(dm_writer_rows(w, t->outcome, begin, count, b->outcome));
    DM_TRY(dm_writer_rows(w, t->segment, begin, count, b->segment));
cleanup:
    return st;
}

/* Every rank makes and writes its rows window by window, equally many windows on all ranks. */
static demarc_status write_rows(const target *t, dm_log *log, const dm_synthetic *m, int64_t n, double start)
{
    demarc_status st = DEMARC_OK;
    dm_synthetic_buffers b = {0};
    const dm_row_range mine = dm_row_range_of(n, dm_comm_rank(t->comm), dm_comm_size(t->comm));
    int64_t most = mine.end - mine.begin;
    dm_comm_max_i64(t->comm, &most, 1);
    const int64_t rows = window_rows(m->d) < most ? window_rows(m->d) : most;
    DM_TRY_ALL(t->comm, allocate_window(&b, t, rows, m->d));
    for (int64_t done = 0; done < most; done += rows) {
        int64_t begin = mine.begin + done < mine.end ? mine.begin + done : mine.end;
        int64_t count = mine.end - begin < rows ? mine.end - begin : rows;
        dm_synthetic_rows(m, begin, count, &b);
        DM_TRY(write_window(t, begin, count, &b));
        dm_log_progress(log, "generate", (int64_t)((double)n * ((double)(done + rows) / (double)most)), n, start);
    }
cleanup:
    free_window(&b);
    return st;
}

/* ------------------------------------------------------------------------------------------ the command */

static demarc_status write_file(dm_comm *comm, dm_log *log, const demarc_generate_options *o, demarc_io io,
                                const dm_synthetic *m, const char *path, double start)
{
    demarc_status st = DEMARC_OK;
    target t = {.comm = comm, .feature = -1, .id = -1, .segment = -1, .arm = -1, .outcome = -1, .reach = -1};
    DM_TRY(dm_writer_create(&t.writer, comm, io, path));
    DM_TRY(lay_out_rows(&t, o));
    DM_TRY(describe_options(t.writer, o));
    DM_TRY(write_truth(&t, m, o->separation));
    DM_TRY(write_rows(&t, log, m, o->customers, start));
    DM_TRY(dm_writer_close(&t.writer));
cleanup:
    dm_writer_discard(&t.writer);
    return st;
}

demarc_status dm_generate(dm_comm *comm, dm_log *log, const demarc_generate_options *o, demarc_io io)
{
    demarc_status st = DEMARC_OK;
    const double start = dm_clock();
    dm_synthetic m = {0};
    dm_output out = {0};
    char *path = NULL, size[32];
    DM_TRY_ALL(comm, check_options(o));
    DM_TRY(dm_output_begin(&out, comm, o->out, DM_OUTPUT_FILE, o->force));
    DM_TRY(check_room(comm, o));
    if (o->dry_run) {
        log_plan(log, o, "would write");
        goto cleanup;
    }
    DM_TRY_ALL(comm, dm_synthetic_create(&m, o));
    DM_TRY_ALL(comm, dm_output_path(&out, NULL, &path));
    DM_TRY(write_file(comm, log, o, io, &m, path, start));
    DM_TRY(dm_output_commit(&out, comm));
    log_plan(log, o, "wrote");
    dm_log_line(log, "%.1f s, %s/s", dm_clock() - start, dm_text_bytes(size, file_bytes(o) / (dm_clock() - start)));
cleanup:
    free(path);
    dm_output_abandon(&out, comm);
    dm_synthetic_clear(&m);
    return st;
}
