#include "store/experiment_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/hdf5_read.h"
#include "store/id_column.h"
#include "store/id_layout.h"

#define REMEDY "give the experiment.h5 of a plan"
#define FORMAT_VERSION 1
#define WINDOW 65536 /* rows converted together */
/* What an analysis makes room for by the file's word alone. */
#define MOST_SEGMENTS 1000000

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------------------------------------ writing */

typedef struct experiment_writer {
    dm_comm *comm;
    dm_customers *customers;
    dm_id_layout layout;
    dm_writer *file;
    int id, row, boundary, segment, other, margin, stratum, arm, propensity;
    char *id_window;           /* [WINDOW] ids as they are written */
    double *propensity_window; /* [WINDOW] */
} experiment_writer;

static demarc_status write_attributes(dm_writer *w, const dm_experiment_facts *f)
{
    demarc_status st = DEMARC_OK;
    const int64_t version = FORMAT_VERSION, strata = f->distance_strata;
    DM_TRY(dm_writer_attribute_text(w, "/", "kind", "experiment"));
    DM_TRY(dm_writer_attribute_i64(w, "/", "format_version", 1, &version));
    DM_TRY(dm_writer_attribute_text(w, "/", "model_digest", f->model_digest));
    DM_TRY(dm_writer_attribute_text(w, "/", "salt", f->salt));
    DM_TRY(dm_writer_attribute_text(w, "/", "outcome", f->outcome));
    DM_TRY(dm_writer_attribute_u64(w, "/", "seed", f->seed));
    DM_TRY(dm_writer_attribute_i64(w, "/", "distance_strata", 1, &strata));
    DM_TRY(dm_writer_attribute_i64(w, "/", "customers", 1, &f->customers));
    DM_TRY(dm_writer_attribute_f64(w, "/", "alpha", 1, &f->alpha));
    DM_TRY(dm_writer_attribute_f64(w, "/", "power", 1, &f->power));
    DM_TRY(dm_writer_attribute_f64(w, "/", "effect", 1, &f->effect));
    DM_TRY(dm_writer_attribute_f64(w, "/", "outcome_sd", 1, &f->outcome_sd));
    DM_TRY(dm_writer_attribute_f64(w, "/", "switch_share", 1, &f->switch_share));
    DM_TRY(dm_made_write(w, f->made));
cleanup:
    return st;
}

static demarc_status lay_out(experiment_writer *e, const dm_experiment_facts *f)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = f->customers;
    DM_TRY(dm_id_layout_dataset(&e->layout, e->file, "/id", n, &e->id));
    DM_TRY(dm_writer_rows_dataset(e->file, "/row", DM_TYPE_I64, n, 0, 0, &e->row));
    DM_TRY(dm_writer_rows_dataset(e->file, "/boundary", DM_TYPE_I32, n, 0, 0, &e->boundary));
    DM_TRY(dm_writer_rows_dataset(e->file, "/segment", DM_TYPE_I32, n, 0, 0, &e->segment));
    DM_TRY(dm_writer_rows_dataset(e->file, "/other", DM_TYPE_I32, n, 0, 0, &e->other));
    DM_TRY(dm_writer_rows_dataset(e->file, "/margin", DM_TYPE_F64, n, 0, 0, &e->margin));
    DM_TRY(dm_writer_rows_dataset(e->file, "/stratum", DM_TYPE_I32, n, 0, 0, &e->stratum));
    DM_TRY(dm_writer_rows_dataset(e->file, "/arm", DM_TYPE_I32, n, 0, 0, &e->arm));
    DM_TRY(dm_writer_rows_dataset(e->file, "/propensity", DM_TYPE_F64, n, 0, 0, &e->propensity));
    DM_TRY(dm_writer_small(e->file, "/boundaries", DM_TYPE_I32, f->boundaries, 2, f->segments));
    DM_TRY(dm_writer_small(e->file, "/gap", DM_TYPE_F64, f->boundaries, 0, f->gap));
    DM_TRY(dm_writer_small(e->file, "/band", DM_TYPE_F64, f->boundaries, 0, f->band));
    DM_TRY(write_attributes(e->file, f));
cleanup:
    return st;
}

/* Ids of the customers `row` [count], ascending, into the window: the input is read where any of them lies. Local. */
static demarc_status pack_ids(experiment_writer *e, const int64_t *row, int64_t count)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = dm_customers_schema(e->customers)->n;
    for (int64_t i = 0; i < count && st == DEMARC_OK;) {
        const int64_t begin = row[i], end = smaller(begin + WINDOW, n);
        dm_ids ids = {0};
        st = dm_customers_ids(e->customers, begin, end, &ids);
        for (; st == DEMARC_OK && i < count && row[i] < end; i++) {
            dm_id_layout_pack(&e->layout, &ids, row[i] - begin, e->id_window + i * e->layout.bytes);
        }
        dm_ids_clear(&ids);
    }
    return st;
}

/* Where this rank's customers go, and how many windows the fullest rank has. */
static demarc_status find_place(dm_comm *comm, int64_t count, int64_t *begin, int64_t *rounds)
{
    int64_t *all = NULL, bytes = 0, most = 0;
    const demarc_status st = dm_comm_all_gather(comm, &count, sizeof count, (void **)&all, &bytes);
    if (st != DEMARC_OK) return st;
    *begin = 0;
    for (int r = 0; r < dm_comm_size(comm); r++) {
        if (r < dm_comm_rank(comm)) *begin += all[r];
        if (all[r] > most) most = all[r];
    }
    *rounds = (most + WINDOW - 1) / WINDOW;
    dm_free(all);
    return DEMARC_OK;
}

static demarc_status write_rows(experiment_writer *e, int64_t count, const dm_experiment_rows *rows)
{
    demarc_status st = DEMARC_OK;
    int64_t begin = 0, rounds = 0;
    DM_TRY(find_place(e->comm, count, &begin, &rounds));
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t at = smaller(round * WINDOW, count), here = smaller(WINDOW, count - at);
        DM_TRY_ALL(e->comm, pack_ids(e, rows->row + at, here));
        DM_TRY(dm_writer_rows(e->file, e->id, begin + at, here, e->id_window));
        DM_TRY(dm_writer_rows(e->file, e->propensity, begin + at, here, e->propensity_window));
    }
    DM_TRY(dm_writer_rows(e->file, e->row, begin, count, rows->row));
    DM_TRY(dm_writer_rows(e->file, e->boundary, begin, count, rows->boundary));
    DM_TRY(dm_writer_rows(e->file, e->segment, begin, count, rows->segment));
    DM_TRY(dm_writer_rows(e->file, e->other, begin, count, rows->other));
    DM_TRY(dm_writer_rows(e->file, e->margin, begin, count, rows->margin));
    DM_TRY(dm_writer_rows(e->file, e->stratum, begin, count, rows->stratum));
    DM_TRY(dm_writer_rows(e->file, e->arm, begin, count, rows->arm));
cleanup:
    return st;
}

demarc_status dm_experiment_write(dm_comm *comm, demarc_io io, dm_customers *customers, const char *path,
                                  const dm_experiment_facts *facts, int64_t count, const dm_experiment_rows *rows)
{
    demarc_status st = DEMARC_OK, local = DEMARC_OK;
    experiment_writer e = {.comm = comm, .customers = customers};
    DM_TRY(dm_id_layout_of(comm, customers, &e.layout));
    local = dm_alloc(e.id_window, smaller(WINDOW, count) * e.layout.bytes, "ids");
    if (local == DEMARC_OK) local = dm_alloc(e.propensity_window, WINDOW, "propensities");
    DM_TRY_ALL(comm, local);
    for (int64_t i = 0; i < WINDOW; i++) e.propensity_window[i] = facts->switch_share;
    DM_TRY(dm_writer_create(&e.file, comm, io, path));
    DM_TRY(lay_out(&e, facts));
    DM_TRY(write_rows(&e, count, rows));
    DM_TRY(dm_writer_close(&e.file));
cleanup:
    dm_writer_discard(&e.file);
    dm_free(e.id_window);
    dm_free(e.propensity_window);
    return st;
}

/* ------------------------------------------------------------------------------------------------ reading */

enum { ROW, BOUNDARY, SEGMENT, OTHER, STRATUM, ARM, MARGIN, PROPENSITY, ID, COLUMNS };

static const char *const column_name[COLUMNS] = {
    [ROW] = "/row",         [BOUNDARY] = "/boundary", [SEGMENT] = "/segment",       [OTHER] = "/other",  [ID] = "/id",
    [STRATUM] = "/stratum", [ARM] = "/arm",           [PROPENSITY] = "/propensity", [MARGIN] = "/margin"};

struct dm_experiment {
    char *path;
    hid_t file;
    dm_column column[COLUMNS];
    dm_id_kind id;
    int64_t id_size;
    dm_experiment_facts facts;
    dm_strings text; /* model_digest, salt, outcome */
    int64_t *bits;   /* [WINDOW] */
};

static demarc_status damaged(const dm_experiment *e, const char *object)
{
    return dm_fail(DEMARC_ERR_DATA, "damaged experiment: %s, %s holds what no plan writes: plan again", e->path,
                   object);
}

static demarc_status read_text(dm_experiment *e, const char *name)
{
    dm_strings s = {0};
    bool present = false;
    demarc_status st = dm_hdf5_attribute_texts(e->file, e->path, "/", name, &s, &present);
    if (st == DEMARC_OK && (!present || s.count != 1)) {
        st = dm_fail(DEMARC_ERR_DATA, "damaged experiment: %s has no attribute %s: " REMEDY, e->path, name);
    }
    if (st == DEMARC_OK) st = dm_strings_add(&e->text, s.item[0]);
    dm_strings_clear(&s);
    return st;
}

static demarc_status check_kind(const dm_experiment *e)
{
    demarc_status st = DEMARC_OK;
    dm_strings kind = {0};
    bool present = false;
    int64_t version = 0;
    DM_TRY(dm_hdf5_attribute_texts(e->file, e->path, "/", "kind", &kind, &present));
    if (!present || kind.count != 1 || strcmp(kind.item[0], "experiment") != 0) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "not an experiment: %s has no attribute kind = experiment: " REMEDY, e->path));
    }
    DM_TRY(dm_hdf5_attribute_i64(e->file, e->path, "/", "format_version", 1, &version));
    if (version != FORMAT_VERSION) {
        st = dm_fail(DEMARC_ERR_DATA, "experiment of format %lld: %s: this demarc reads format %d", (long long)version,
                     e->path, FORMAT_VERSION);
    }
cleanup:
    dm_strings_clear(&kind);
    return st;
}

static demarc_status read_attributes(dm_experiment *e)
{
    demarc_status st = DEMARC_OK;
    dm_experiment_facts *f = &e->facts;
    int64_t strata = 0;
    DM_TRY(read_text(e, "model_digest"));
    DM_TRY(read_text(e, "salt"));
    DM_TRY(read_text(e, "outcome"));
    f->model_digest = e->text.item[0];
    f->salt = e->text.item[1];
    f->outcome = e->text.item[2];
    DM_TRY(dm_hdf5_attribute_u64(e->file, e->path, "/", "seed", &f->seed));
    DM_TRY(dm_hdf5_attribute_i64(e->file, e->path, "/", "distance_strata", 1, &strata));
    DM_TRY(dm_hdf5_attribute_i64(e->file, e->path, "/", "customers", 1, &f->customers));
    DM_TRY(dm_hdf5_attribute_f64(e->file, e->path, "/", "alpha", 1, &f->alpha));
    DM_TRY(dm_hdf5_attribute_f64(e->file, e->path, "/", "power", 1, &f->power));
    DM_TRY(dm_hdf5_attribute_f64(e->file, e->path, "/", "effect", 1, &f->effect));
    DM_TRY(dm_hdf5_attribute_f64(e->file, e->path, "/", "outcome_sd", 1, &f->outcome_sd));
    DM_TRY(dm_hdf5_attribute_f64(e->file, e->path, "/", "switch_share", 1, &f->switch_share));
    if (strata < 1 || strata > INT32_MAX) DM_TRY(damaged(e, "attribute distance_strata"));
    if (!(f->alpha > 0.0 && f->alpha < 1.0)) DM_TRY(damaged(e, "attribute alpha"));
    if (!(f->power > 0.0 && f->power < 1.0)) DM_TRY(damaged(e, "attribute power"));
    if (!(f->switch_share > 0.0 && f->switch_share < 1.0)) DM_TRY(damaged(e, "attribute switch_share"));
    f->distance_strata = (int32_t)strata;
cleanup:
    return st;
}

/* A dataset of numbers of a known shape; closed by the caller. `floats`: of a float type, else of an integer one. */
static demarc_status open_numbers(dm_experiment *e, dm_column *c, const char *name, bool floats, int64_t rows,
                                  int64_t columns)
{
    demarc_status st = dm_column_open(c, e->file, e->path, name, columns == 1);
    if (st != DEMARC_OK) return st;
    if (c->kind == (floats ? DM_VALUE_FLOAT : DM_VALUE_INTEGER) && c->dimensions >= 1 && c->dimensions <= 2 &&
        c->rows == rows && c->columns == columns) {
        return DEMARC_OK;
    }
    return dm_fail(DEMARC_ERR_DATA, "damaged experiment: %s, %s is %s of %s, expected %s, %lld x %lld: " REMEDY,
                   e->path, name, c->shape_text, c->type_text, floats ? "floats" : "integers", (long long)rows,
                   (long long)columns);
}

static demarc_status read_boundaries(dm_experiment *e)
{
    demarc_status st = DEMARC_OK;
    dm_experiment_facts *f = &e->facts;
    dm_column pairs = {0}, gap = {0}, band = {0};
    int64_t *pair = NULL;
    DM_TRY(dm_column_open(&pairs, e->file, e->path, "/boundaries", false));
    const int64_t count = pairs.rows;
    dm_column_close(&pairs);
    DM_TRY(open_numbers(e, &pairs, "/boundaries", false, count, 2));
    if (count < 1 || count > INT32_MAX / 2 / f->distance_strata) DM_TRY(damaged(e, "/boundaries"));
    const int64_t strata = 2 * count * f->distance_strata;
    if (strata > DM_STRATA_FREE && strata > f->customers) DM_TRY(damaged(e, "attribute distance_strata"));
    DM_TRY(open_numbers(e, &gap, "/gap", true, count, 1));
    DM_TRY(open_numbers(e, &band, "/band", true, count, 1));
    DM_TRY(dm_alloc(pair, 2 * count, "boundaries"));
    DM_TRY(dm_alloc(f->segments, 2 * count, "boundaries"));
    DM_TRY(dm_alloc(f->gap, count, "boundaries"));
    DM_TRY(dm_alloc(f->band, count, "boundaries"));
    DM_TRY(dm_column_read(&pairs, 0, count, DM_TARGET_BITS64, pair));
    DM_TRY(dm_column_read(&gap, 0, count, DM_TARGET_F64, f->gap));
    DM_TRY(dm_column_read(&band, 0, count, DM_TARGET_F64, f->band));
    for (int64_t b = 0; b < count; b++) {
        if (pair[2 * b] < 0 || pair[2 * b] >= pair[2 * b + 1] || pair[2 * b + 1] >= MOST_SEGMENTS) {
            DM_TRY(damaged(e, "/boundaries"));
        }
        if (!(f->gap[b] > 0.0) || !isfinite(f->gap[b])) DM_TRY(damaged(e, "/gap"));
        if (!(f->band[b] >= 0.0) || !isfinite(f->band[b])) DM_TRY(damaged(e, "/band"));
        f->segments[2 * b] = (int32_t)pair[2 * b];
        f->segments[2 * b + 1] = (int32_t)pair[2 * b + 1];
    }
    f->boundaries = (int32_t)count;
cleanup:
    dm_free(pair);
    dm_column_close(&pairs);
    dm_column_close(&gap);
    dm_column_close(&band);
    return st;
}

static demarc_status open_local(dm_experiment *e)
{
    demarc_status st = DEMARC_OK;
    dm_column *id = &e->column[ID];
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&e->file, e->path, REMEDY));
    DM_TRY(check_kind(e));
    DM_TRY(read_attributes(e));
    DM_TRY(read_boundaries(e));
    for (int c = 0; c < ID; c++) {
        DM_TRY(open_numbers(e, &e->column[c], column_name[c], c == MARGIN || c == PROPENSITY, e->facts.customers, 1));
    }
    DM_TRY(dm_column_open(id, e->file, e->path, column_name[ID], true));
    e->id = dm_id_kind_of(id, &e->id_size);
    if (e->id == DM_ID_NONE || id->columns != 1 || id->rows != e->facts.customers) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA,
                       "damaged experiment: %s, /id is %s of %s, expected %lld integers or strings: " REMEDY, e->path,
                       id->shape_text, id->type_text, (long long)e->facts.customers));
    }
    DM_TRY(dm_alloc(e->bits, WINDOW, "experiment"));
cleanup:
    return st;
}

demarc_status dm_experiment_open(dm_experiment **out, dm_comm *comm, const char *path)
{
    demarc_status st = DEMARC_OK;
    *out = NULL;
    dm_experiment *e = calloc(1, sizeof *e);
    if (e != NULL) e->path = strdup(path);
    if (e == NULL || e->path == NULL) {
        free(e);
        e = NULL;
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: experiment: free some memory");
    } else {
        e->file = DM_HDF5_NONE;
        st = open_local(e);
    }
    DM_TRY_ALL(comm, st);
    *out = e;
    e = NULL;
cleanup:
    dm_experiment_close(&e);
    return st;
}

void dm_experiment_close(dm_experiment **e)
{
    if (*e == NULL) return;
    for (int c = 0; c < COLUMNS; c++) dm_column_close(&(*e)->column[c]);
    dm_hdf5_close(&(*e)->file);
    dm_free((*e)->facts.segments);
    dm_free((*e)->facts.gap);
    dm_free((*e)->facts.band);
    dm_strings_clear(&(*e)->text);
    dm_free((*e)->bits);
    free((*e)->path);
    free(*e);
    *e = NULL;
}

const dm_experiment_facts *dm_experiment_facts_of(const dm_experiment *e) { return &e->facts; }
const char *dm_experiment_path(const dm_experiment *e) { return e->path; }

demarc_status dm_experiment_ids(dm_experiment *e, int64_t begin, int64_t end, dm_ids *out)
{
    *out = (dm_ids){0};
    if (begin < 0 || end < begin || end > e->facts.customers) {
        return dm_fail(DEMARC_ERR_ARG, "ids of rows %lld to %lld: %s: ask for rows it has", (long long)begin,
                       (long long)end - 1, e->path);
    }
    return dm_id_column_read(&e->column[ID], e->id, e->id_size, begin, end, out);
}

/* Integers in [0, limit). */
static demarc_status read_codes(dm_experiment *e, int c, int64_t begin, int64_t count, int64_t limit, int32_t *out)
{
    demarc_status st = DEMARC_OK;
    for (int64_t at = 0; at < count && out != NULL; at += WINDOW) {
        const int64_t here = smaller(WINDOW, count - at);
        DM_TRY(dm_column_read(&e->column[c], begin + at, begin + at + here, DM_TARGET_BITS64, e->bits));
        for (int64_t i = 0; i < here; i++) {
            if (e->bits[i] < 0 || e->bits[i] >= limit) {
                DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged experiment: %s, %s is %lld at row %lld: plan again", e->path,
                               column_name[c], (long long)e->bits[i], (long long)(begin + at + i)));
            }
            out[at + i] = (int32_t)e->bits[i];
        }
    }
cleanup:
    return st;
}

static demarc_status read_reals(dm_experiment *e, int c, int64_t begin, int64_t count, double *out)
{
    demarc_status st = DEMARC_OK;
    if (out == NULL) return DEMARC_OK;
    DM_TRY(dm_column_read(&e->column[c], begin, begin + count, DM_TARGET_F64, out));
    for (int64_t i = 0; i < count; i++) {
        const bool good = c == MARGIN ? out[i] >= 0.0 && isfinite(out[i]) : out[i] > 0.0 && out[i] < 1.0;
        if (!good) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged experiment: %s, %s is %g at row %lld: plan again", e->path,
                           column_name[c], out[i], (long long)(begin + i)));
        }
    }
cleanup:
    return st;
}

/* The two segments are those of the boundary, and the stratum is one of its side. */
static demarc_status check_sides(const dm_experiment *e, int64_t begin, int64_t count, const dm_experiment_rows *rows)
{
    const dm_experiment_facts *f = &e->facts;
    for (int64_t i = 0; i < count; i++) {
        const int32_t *pair = f->segments + 2 * (int64_t)rows->boundary[i];
        const int32_t side = rows->segment[i] == pair[1];
        if (rows->segment[i] != pair[side] || rows->other[i] != pair[1 - side] ||
            rows->stratum[i] / f->distance_strata != 2 * rows->boundary[i] + side) {
            return dm_fail(
                DEMARC_ERR_DATA,
                "damaged experiment: %s, /segment, /other and /stratum contradict /boundary at row %lld: plan "
                "again",
                e->path, (long long)(begin + i));
        }
    }
    return DEMARC_OK;
}

demarc_status dm_experiment_read(dm_experiment *e, int64_t begin, int64_t count, const dm_experiment_rows *rows)
{
    demarc_status st = DEMARC_OK;
    const int64_t strata = 2 * (int64_t)e->facts.boundaries * e->facts.distance_strata;
    if (begin < 0 || count < 0 || begin > e->facts.customers - count) {
        return dm_fail(DEMARC_ERR_ARG, "rows %lld to %lld: %s: ask for rows it has", (long long)begin,
                       (long long)(begin + count) - 1, e->path);
    }
    if (rows->row != NULL) DM_TRY(dm_column_read(&e->column[ROW], begin, begin + count, DM_TARGET_BITS64, rows->row));
    DM_TRY(read_codes(e, BOUNDARY, begin, count, e->facts.boundaries, rows->boundary));
    DM_TRY(read_codes(e, SEGMENT, begin, count, INT32_MAX, rows->segment));
    DM_TRY(read_codes(e, OTHER, begin, count, INT32_MAX, rows->other));
    DM_TRY(read_codes(e, STRATUM, begin, count, strata, rows->stratum));
    DM_TRY(read_codes(e, ARM, begin, count, 2, rows->arm));
    DM_TRY(read_reals(e, MARGIN, begin, count, rows->margin));
    DM_TRY(read_reals(e, PROPENSITY, begin, count, rows->propensity));
    if (rows->boundary != NULL && rows->segment != NULL && rows->other != NULL && rows->stratum != NULL) {
        st = check_sides(e, begin, count, rows);
    }
cleanup:
    return st;
}
