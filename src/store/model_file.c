#include "store/model_file.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "store/hdf5_column.h"
#include "store/hdf5_read.h"
#include "store/hdf5_trust.h"

#define FORMAT_VERSION 1
#define MOST_CUSTOMERS 0x1p53
#define REMEDY "give the model.h5 of a results directory"
#define INIT_REMEDY "--init takes kmeans||, kmeans++, random or an HDF5 file with /centroids"
#define FARTHEST 1e30 /* offsets move a boundary by less than so many spans of the centroids */
#define DIGEST_DIGITS 32

demarc_status dm_transform_create(dm_transform *t, int32_t d)
{
    demarc_status st = DEMARC_OK;
    *t = (dm_transform){.d = d, .unit = 1.0};
    DM_TRY(dm_alloc_zero(t->log1p, d, "transform"));
    DM_TRY(dm_alloc_zero(t->center, d, "transform"));
    DM_TRY(dm_alloc_zero(t->factor, d, "transform"));
    DM_TRY(dm_alloc_zero(t->origin, d, "transform"));
cleanup:
    if (st != DEMARC_OK) dm_transform_destroy(t);
    return st;
}

void dm_transform_destroy(dm_transform *t)
{
    dm_free(t->log1p);
    dm_free(t->center);
    dm_free(t->factor);
    dm_free(t->origin);
    *t = (dm_transform){0};
}

double dm_transform_to_scaled(const dm_transform *t, int32_t f, double working)
{
    return working * t->unit + (t->origin[f] - t->center[f]) * t->factor[f];
}

double dm_transform_to_original(const dm_transform *t, int32_t f, double working)
{
    /* A feature without weight has lost its place: its mean stands for it. */
    const double v = t->factor[f] > 0.0 ? t->origin[f] + working * t->unit / t->factor[f] : t->origin[f];
    return t->log1p[f] ? expm1(v) : v;
}

double dm_transform_to_working(const dm_transform *t, int32_t f, double original)
{
    const double v = t->log1p[f] ? log1p(original) : original;
    return (v - t->origin[f]) * t->factor[f] / t->unit;
}

demarc_status dm_model_create(dm_model *m, int32_t k, int32_t d)
{
    demarc_status st = DEMARC_OK;
    *m = (dm_model){.k = k, .d = d};
    DM_TRY(dm_transform_create(&m->transform, d));
    DM_TRY(dm_alloc_zero(m->centroids, (int64_t)k * d, "model"));
    DM_TRY(dm_alloc_zero(m->offsets, k, "model"));
    DM_TRY(dm_alloc_zero(m->size, k, "model"));
cleanup:
    if (st != DEMARC_OK) dm_model_destroy(m);
    return st;
}

void dm_model_destroy(dm_model *m)
{
    dm_strings_clear(&m->feature);
    dm_strings_clear(&m->segment);
    dm_transform_destroy(&m->transform);
    dm_free(m->centroids);
    dm_free(m->offsets);
    dm_free(m->size);
    *m = (dm_model){0};
}

static demarc_status write_transform(dm_writer *w, const dm_model *m)
{
    static const char *const scale_name[] = {"zscore", "robust", "minmax", "none"};
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &m->transform;
    DM_TRY(dm_writer_group(w, "/transform"));
    DM_TRY(dm_writer_small(w, "/transform/log1p", DM_TYPE_U8, m->d, 0, t->log1p));
    DM_TRY(dm_writer_small(w, "/transform/center", DM_TYPE_F64, m->d, 0, t->center));
    DM_TRY(dm_writer_small(w, "/transform/factor", DM_TYPE_F64, m->d, 0, t->factor));
    DM_TRY(dm_writer_small(w, "/transform/origin", DM_TYPE_F64, m->d, 0, t->origin));
    DM_TRY(dm_writer_small(w, "/transform/centroids", DM_TYPE_F64, m->k, m->d, m->centroids));
    DM_TRY(dm_writer_attribute_f64(w, "/transform", "unit", 1, &t->unit));
    DM_TRY(dm_writer_attribute_text(w, "/transform", "scale", scale_name[t->scale]));
    DM_TRY(dm_writer_attribute_text(w, "/transform", "missing", t->impute ? "mean" : "error"));
    DM_TRY(dm_writer_attribute_text(
        w, "/transform", "meaning",
        "scaled = (T(v) - center) * factor, T = log(1 + v) where log1p; "
        "working (float32) = (T(v) - origin) * factor / unit; centroids are in working space"));
cleanup:
    return st;
}

static demarc_status write_objects(dm_writer *w, const dm_model *m, const double *original, const double *scaled)
{
    demarc_status st = DEMARC_OK;
    const int64_t version = FORMAT_VERSION, iterations = m->iterations;
    DM_TRY(dm_writer_small(w, "/centroids", DM_TYPE_F64, m->k, m->d, original));
    DM_TRY(dm_writer_small(w, "/centroids_scaled", DM_TYPE_F64, m->k, m->d, scaled));
    DM_TRY(dm_writer_small(w, "/offsets", DM_TYPE_F64, m->k, 0, m->offsets));
    DM_TRY(dm_writer_small(w, "/size", DM_TYPE_I64, m->k, 0, m->size));
    DM_TRY(dm_writer_strings(w, "/feature_names", m->d, (const char *const *)m->feature.item));
    const int64_t named = m->named;
    DM_TRY(dm_writer_attribute_i64(w, "/feature_names", "from_input", 1, &named));
    if (m->segments_told) {
        DM_TRY(dm_writer_strings(w, "/segment_name", m->k, (const char *const *)m->segment.item));
    }
    DM_TRY(write_transform(w, m));
    DM_TRY(dm_writer_attribute_i64(w, "/", "format_version", 1, &version));
    DM_TRY(dm_writer_attribute_f64(w, "/", "objective", 1, &m->objective));
    DM_TRY(dm_writer_attribute_text(w, "/", "digest", m->digest));
    DM_TRY(dm_writer_attribute_u64(w, "/", "seed", m->seed));
    DM_TRY(dm_writer_attribute_i64(w, "/", "iterations", 1, &iterations));
    DM_TRY(dm_writer_attribute_text(w, "/", "created_utc", m->created_utc));
    /* Rank 0's model decides: the call is collective, and every rank holds the same model. */
    if (m->moved_from[0] != 0) DM_TRY(dm_writer_attribute_text(w, "/", "moved_from", m->moved_from));
cleanup:
    return st;
}

demarc_status dm_model_write(dm_comm *comm, const dm_model *m, const dm_made *made, const char *path)
{
    demarc_status st = DEMARC_OK;
    dm_writer *w = NULL;
    double *original = NULL, *scaled = NULL;
    const int64_t kd = (int64_t)m->k * m->d;
    st = dm_alloc(original, kd, "model");
    if (st == DEMARC_OK) st = dm_alloc(scaled, kd, "model");
    DM_TRY_ALL(comm, st);
    for (int64_t i = 0; i < kd; i++) {
        original[i] = dm_transform_to_original(&m->transform, (int32_t)(i % m->d), m->centroids[i]);
        scaled[i] = dm_transform_to_scaled(&m->transform, (int32_t)(i % m->d), m->centroids[i]);
    }
    DM_TRY(dm_writer_create(&w, comm, DEMARC_IO_FUNNEL, path));
    DM_TRY(write_objects(w, m, original, scaled));
    DM_TRY(dm_made_write(w, made));
    DM_TRY(dm_writer_close(&w));
cleanup:
    dm_writer_discard(&w);
    dm_free(original);
    dm_free(scaled);
    return st;
}

/* ---- reading: rank 0 ---- */

/* A numeric dataset of exactly [rows] or [rows, columns]. */
static demarc_status read_numbers(hid_t file, const char *path, const char *name, int64_t rows, int64_t columns,
                                  double *out)
{
    dm_column c = {0};
    demarc_status st = dm_column_open(&c, file, path, name, columns == 1);
    const bool numeric = c.kind == DM_VALUE_FLOAT || c.kind == DM_VALUE_INTEGER;
    if (st == DEMARC_OK && (!numeric || c.rows != rows || c.columns != columns)) {
        st = dm_fail(DEMARC_ERR_DATA, "damaged model: %s %s is %s %s, expected numbers %lld x %lld: " REMEDY, path,
                     name, c.type_text, c.shape_text, (long long)rows, (long long)columns);
    }
    if (st == DEMARC_OK) st = dm_column_read(&c, 0, rows, DM_TARGET_F64, out);
    dm_column_close(&c);
    return st;
}

static demarc_status read_text(hid_t object, const char *path, const char *where, const char *name, char *buf,
                               size_t size)
{
    dm_strings s = {0};
    bool present = false;
    demarc_status st = dm_hdf5_attribute_texts(object, path, where, name, &s, &present);
    if (st == DEMARC_OK && (!present || s.count != 1)) {
        st = dm_fail(DEMARC_ERR_DATA, "not a model: %s has no attribute %s: " REMEDY, path, name);
    }
    if (st == DEMARC_OK) snprintf(buf, size, "%s", s.item[0]);
    dm_strings_clear(&s);
    return st;
}

/* "" where there is no such attribute. */
static demarc_status read_optional_text(hid_t object, const char *path, const char *name, char *buf, size_t size)
{
    dm_strings s = {0};
    bool present = false;
    demarc_status st = dm_hdf5_attribute_texts(object, path, "/", name, &s, &present);
    if (st == DEMARC_OK) snprintf(buf, size, "%s", present && s.count == 1 ? s.item[0] : "");
    dm_strings_clear(&s);
    return st;
}

static demarc_status finite_numbers(const double *v, int64_t count, bool non_negative, const char *path,
                                    const char *name)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(v[i]) || (non_negative && v[i] < 0.0)) {
            return dm_fail(DEMARC_ERR_DATA, "damaged model: %s %s holds %g at position %lld: " REMEDY, path, name, v[i],
                           (long long)i);
        }
    }
    return DEMARC_OK;
}

static demarc_status read_transform(hid_t file, dm_model *m, const char *path)
{
    demarc_status st = DEMARC_OK;
    dm_transform *t = &m->transform;
    double *flags = NULL;
    char word[32] = "";
    hid_t group = DM_HDF5_NONE;
    DM_TRY(dm_hdf5_object_open(&group, file, path, "/transform"));
    DM_TRY(dm_alloc(flags, m->d, "model"));
    DM_TRY(read_numbers(file, path, "/transform/log1p", m->d, 1, flags));
    for (int32_t f = 0; f < m->d; f++) t->log1p[f] = flags[f] != 0.0;
    DM_TRY(read_numbers(file, path, "/transform/center", m->d, 1, t->center));
    DM_TRY(read_numbers(file, path, "/transform/factor", m->d, 1, t->factor));
    DM_TRY(read_numbers(file, path, "/transform/origin", m->d, 1, t->origin));
    DM_TRY(read_numbers(file, path, "/transform/centroids", m->k, m->d, m->centroids));
    DM_TRY(finite_numbers(t->center, m->d, false, path, "/transform/center"));
    DM_TRY(finite_numbers(t->factor, m->d, true, path, "/transform/factor"));
    DM_TRY(finite_numbers(t->origin, m->d, false, path, "/transform/origin"));
    DM_TRY(finite_numbers(m->centroids, (int64_t)m->k * m->d, false, path, "/transform/centroids"));
    DM_TRY(dm_hdf5_attribute_f64(group, path, "/transform", "unit", 1, &t->unit));
    int e = 0;
    if (!(t->unit > 0.0) || !isfinite(t->unit) || frexp(t->unit, &e) != 0.5) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged model: %s /transform unit %g is no power of two: " REMEDY, path,
                       t->unit));
    }
    DM_TRY(read_text(group, path, "/transform", "missing", word, sizeof word));
    t->impute = strcmp(word, "mean") == 0;
    DM_TRY(read_text(group, path, "/transform", "scale", word, sizeof word));
    t->scale = strcmp(word, "robust") == 0   ? DEMARC_SCALE_ROBUST
               : strcmp(word, "minmax") == 0 ? DEMARC_SCALE_MINMAX
               : strcmp(word, "none") == 0   ? DEMARC_SCALE_NONE
                                             : DEMARC_SCALE_ZSCORE;
cleanup:
    dm_free(flags);
    dm_hdf5_close(&group);
    return st;
}

/* /centroids and /centroids_scaled are for people; assignment uses /transform/centroids: they must say the same. */
static demarc_status check_copies(hid_t file, const dm_model *m, const char *path, demarc_status contradiction)
{
    demarc_status st = DEMARC_OK;
    const int64_t kd = (int64_t)m->k * m->d;
    double *copy = NULL;
    DM_TRY(dm_alloc(copy, kd, "model"));
    DM_TRY(read_numbers(file, path, "/centroids", m->k, m->d, copy));
    for (int64_t i = 0; i < kd; i++) {
        if (copy[i] != dm_transform_to_original(&m->transform, (int32_t)(i % m->d), m->centroids[i])) {
            DM_TRY(dm_fail(contradiction,
                           "damaged model: %s /centroids of segment %lld contradict /transform: fit again", path,
                           (long long)(i / m->d)));
        }
    }
    DM_TRY(read_numbers(file, path, "/centroids_scaled", m->k, m->d, copy));
    for (int64_t i = 0; i < kd; i++) {
        if (copy[i] != dm_transform_to_scaled(&m->transform, (int32_t)(i % m->d), m->centroids[i])) {
            DM_TRY(dm_fail(contradiction,
                           "damaged model: %s /centroids_scaled of segment %lld contradict /transform: fit again", path,
                           (long long)(i / m->d)));
        }
    }
cleanup:
    dm_free(copy);
    return st;
}

/* Names of the segments; files from before they had names get "segment J". */
static demarc_status read_segment_names(hid_t file, dm_model *m, const char *path)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_hdf5_exists(file, path, "/segment_name", &m->segments_told));
    if (m->segments_told) DM_TRY(dm_hdf5_dataset_texts(file, path, "/segment_name", &m->segment));
    for (int32_t j = 0; j < m->k && !m->segments_told; j++) {
        char name[32];
        snprintf(name, sizeof name, "segment %d", (int)j);
        DM_TRY(dm_strings_add(&m->segment, name));
    }
    if (m->segment.count != m->k) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged model: %s has %d segments and %d names for them: " REMEDY, path,
                       (int)m->k, (int)m->segment.count));
    }
    for (int32_t j = 0; j < m->k; j++) {
        const char *name = m->segment.item[j];
        if (name[0] != 0 && strlen(name) <= DM_SEGMENT_NAME_BYTES && dm_text_plain(name)) continue;
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "damaged model: %s /segment_name of segment %d is empty, longer than %d bytes or no plain "
                       "text: " REMEDY,
                       path, (int)j, DM_SEGMENT_NAME_BYTES));
    }
cleanup:
    return st;
}

/* An offset over twice the distance of two centroids moves their boundary; one that leads out of all numbers is noise. */
static demarc_status check_offsets(const dm_model *m, const char *path)
{
    double square = 0.0; /* of the diagonal of the box around the centroids */
    for (int32_t f = 0; f < m->d; f++) {
        double low = m->centroids[f], high = low;
        for (int32_t j = 1; j < m->k; j++) {
            low = fmin(low, m->centroids[(int64_t)j * m->d + f]);
            high = fmax(high, m->centroids[(int64_t)j * m->d + f]);
        }
        square += (high - low) * m->transform.unit * (high - low) * m->transform.unit;
    }
    for (int32_t j = 0; j < m->k && square > 0.0; j++) {
        if (fabs(m->offsets[j]) / square < FARTHEST) continue;
        return dm_fail(DEMARC_ERR_DATA,
                       "damaged model: %s /offsets of segment %d is %g, far beyond all customers: " REMEDY, path,
                       (int)j, m->offsets[j]);
    }
    return DEMARC_OK;
}

static demarc_status check_attributes(const dm_model *m, const char *path)
{
    if (!isfinite(m->objective) || m->objective < 0.0) {
        return dm_fail(DEMARC_ERR_DATA, "damaged model: %s attribute objective is %g: " REMEDY, path, m->objective);
    }
    if (strlen(m->digest) != DIGEST_DIGITS || strspn(m->digest, "0123456789abcdef") != DIGEST_DIGITS) {
        return dm_fail(DEMARC_ERR_DATA, "damaged model: %s attribute digest is no %d hexadecimal digits: " REMEDY, path,
                       DIGEST_DIGITS);
    }
    return DEMARC_OK;
}

static demarc_status read_local(dm_model *m, const char *path, demarc_status contradiction)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE, names = DM_HDF5_NONE;
    dm_column centroids = {0};
    dm_strings feature = {0};
    double *size = NULL;
    int64_t version = 0, iterations = 0, named = 0;
    bool exists = false;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, REMEDY));
    DM_TRY(dm_hdf5_exists(file, path, "/transform", &exists));
    if (!exists) DM_TRY(dm_fail(DEMARC_ERR_DATA, "not a model: %s has no /transform: " REMEDY, path));
    DM_TRY(dm_hdf5_attribute_i64(file, path, "/", "format_version", 1, &version));
    if (version != FORMAT_VERSION) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "model of format %lld: %s: this demarc reads format %d", (long long)version,
                       path, FORMAT_VERSION));
    }
    DM_TRY(dm_column_open(&centroids, file, path, "/centroids", false));
    if (centroids.dimensions != 2 || centroids.rows < 1 || centroids.columns < 1 || centroids.rows > INT32_MAX ||
        centroids.columns > INT32_MAX || centroids.rows * centroids.columns > (INT64_C(1) << 33)) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged model: %s /centroids is %s: " REMEDY, path, centroids.shape_text));
    }
    DM_TRY(dm_model_create(m, (int32_t)centroids.rows, (int32_t)centroids.columns));
    DM_TRY(dm_hdf5_dataset_texts(file, path, "/feature_names", &feature));
    if (feature.count != m->d) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged model: %s has %d features and %d names: " REMEDY, path, (int)m->d,
                       (int)feature.count));
    }
    DM_TRY(dm_hdf5_check_names(&feature, path, "/feature_names", "feature"));
    DM_TRY(dm_hdf5_object_open(&names, file, path, "/feature_names"));
    DM_TRY(dm_hdf5_attribute_i64(names, path, "/feature_names", "from_input", 1, &named));
    m->feature = feature;
    feature = (dm_strings){0};
    m->named = named != 0;
    DM_TRY(read_segment_names(file, m, path));
    DM_TRY(read_transform(file, m, path));
    DM_TRY(check_copies(file, m, path, contradiction));
    DM_TRY(read_numbers(file, path, "/offsets", m->k, 1, m->offsets));
    DM_TRY(finite_numbers(m->offsets, m->k, false, path, "/offsets"));
    DM_TRY(check_offsets(m, path));
    DM_TRY(dm_alloc(size, m->k, "model"));
    DM_TRY(read_numbers(file, path, "/size", m->k, 1, size));
    DM_TRY(finite_numbers(size, m->k, true, path, "/size"));
    for (int32_t j = 0; j < m->k; j++) {
        if (size[j] > MOST_CUSTOMERS) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged model: %s /size of segment %d is %g: " REMEDY, path, (int)j,
                           size[j]));
        }
        m->size[j] = (int64_t)size[j];
    }
    DM_TRY(dm_hdf5_attribute_f64(file, path, "/", "objective", 1, &m->objective));
    DM_TRY(dm_hdf5_attribute_u64(file, path, "/", "seed", &m->seed));
    DM_TRY(dm_hdf5_attribute_i64(file, path, "/", "iterations", 1, &iterations));
    m->iterations = (int32_t)iterations;
    DM_TRY(read_text(file, path, "/", "digest", m->digest, sizeof m->digest));
    DM_TRY(read_text(file, path, "/", "created_utc", m->created_utc, sizeof m->created_utc));
    DM_TRY(read_optional_text(file, path, "moved_from", m->moved_from, sizeof m->moved_from));
    st = check_attributes(m, path);
cleanup:
    dm_strings_clear(&feature);
    dm_free(size);
    dm_column_close(&centroids);
    dm_hdf5_close(&names);
    dm_hdf5_close(&file);
    return st;
}

/* Names travel as one block of NUL-terminated strings. */
static demarc_status share_names(dm_comm *comm, dm_strings *s, int32_t count, const char *what)
{
    demarc_status st = DEMARC_OK;
    int64_t bytes = 0;
    char *block = NULL;
    const bool root = dm_comm_rank(comm) == 0;
    for (int32_t i = 0; root && i < count; i++) bytes += (int64_t)strlen(s->item[i]) + 1;
    dm_comm_bcast(comm, &bytes, sizeof bytes, 0);
    DM_TRY_ALL(comm, dm_alloc(block, bytes, what));
    char *at = block;
    for (int32_t i = 0; root && i < count; i++) at = stpcpy(at, s->item[i]) + 1;
    dm_comm_bcast(comm, block, bytes, 0);
    at = block;
    for (int32_t i = 0; !root && i < count && st == DEMARC_OK; i++) {
        st = dm_strings_add(s, at);
        at += strlen(at) + 1;
    }
    DM_TRY_ALL(comm, st);
cleanup:
    dm_free(block);
    return st;
}

demarc_status dm_model_read(dm_comm *comm, dm_model *m, const char *path, demarc_status contradiction)
{
    demarc_status st = DEMARC_OK;
    const bool root = dm_comm_rank(comm) == 0;
    *m = (dm_model){0};
    if (root) st = read_local(m, path, contradiction);
    DM_TRY_ALL(comm, st);
    int32_t shape[2] = {m->k, m->d};
    dm_comm_bcast(comm, shape, sizeof shape, 0);
    if (!root) st = dm_model_create(m, shape[0], shape[1]);
    DM_TRY_ALL(comm, st);
    const int64_t k = m->k, d = m->d;
    DM_TRY(share_names(comm, &m->feature, m->d, "feature names"));
    DM_TRY(share_names(comm, &m->segment, m->k, "names of segments"));
    dm_comm_bcast(comm, &m->segments_told, sizeof m->segments_told, 0);
    dm_comm_bcast(comm, &m->named, sizeof m->named, 0);
    dm_comm_bcast(comm, &m->transform.scale, sizeof m->transform.scale, 0);
    dm_comm_bcast(comm, &m->transform.impute, sizeof m->transform.impute, 0);
    dm_comm_bcast(comm, &m->transform.unit, sizeof m->transform.unit, 0);
    dm_comm_bcast(comm, m->transform.log1p, d, 0);
    dm_comm_bcast(comm, m->transform.center, d * 8, 0);
    dm_comm_bcast(comm, m->transform.factor, d * 8, 0);
    dm_comm_bcast(comm, m->transform.origin, d * 8, 0);
    dm_comm_bcast(comm, m->centroids, k * d * 8, 0);
    dm_comm_bcast(comm, m->offsets, k * 8, 0);
    dm_comm_bcast(comm, m->size, k * 8, 0);
    dm_comm_bcast(comm, &m->objective, sizeof m->objective, 0);
    dm_comm_bcast(comm, m->digest, sizeof m->digest, 0);
    dm_comm_bcast(comm, &m->seed, sizeof m->seed, 0);
    dm_comm_bcast(comm, &m->iterations, sizeof m->iterations, 0);
    dm_comm_bcast(comm, m->created_utc, sizeof m->created_utc, 0);
    dm_comm_bcast(comm, m->moved_from, sizeof m->moved_from, 0);
cleanup:
    if (st != DEMARC_OK) dm_model_destroy(m);
    return st;
}

static demarc_status read_centroids_local(const char *path, int32_t k, int32_t d, double *centroids)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE;
    dm_column c = {0};
    bool there = false;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, INIT_REMEDY));
    DM_TRY(dm_hdf5_exists(file, path, "/centroids", &there));
    if (!there) DM_TRY(dm_fail(DEMARC_ERR_DATA, "no such dataset: %s, /centroids: " INIT_REMEDY, path));
    DM_TRY(dm_column_open(&c, file, path, "/centroids", false));
    const bool numeric = c.kind == DM_VALUE_FLOAT || c.kind == DM_VALUE_INTEGER;
    if (!numeric || c.dimensions != 2 || c.rows != k || c.columns != d) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "centroids do not fit: %s /centroids is %s %s: --init needs %d segments x %d features", path,
                       c.type_text, c.shape_text, (int)k, (int)d));
    }
    DM_TRY(dm_column_read(&c, 0, k, DM_TARGET_F64, centroids));
    for (int64_t i = 0; i < (int64_t)k * d; i++) {
        if (!isfinite(centroids[i])) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA,
                           "bad centroid: %s /centroids row %lld column %lld is %g: give finite numbers", path,
                           (long long)(i / d), (long long)(i % d), centroids[i]));
        }
    }
cleanup:
    dm_column_close(&c);
    dm_hdf5_close(&file);
    return st;
}

demarc_status dm_centroids_read(dm_comm *comm, const char *path, int32_t k, int32_t d, double *centroids)
{
    demarc_status st = DEMARC_OK;
    if (dm_comm_rank(comm) == 0) st = read_centroids_local(path, k, d, centroids);
    st = dm_comm_agree(comm, st);
    if (st == DEMARC_OK) dm_comm_bcast(comm, centroids, (int64_t)k * d * 8, 0);
    return st;
}
