/* Opening a customer file on all ranks, and reading its columns but the ids (customer_ids.c). */
#include "store/customer_file.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/customer_internal.h"
#include "store/hdf5_read.h"

#define PIECE_ROWS 65536      /* rows that are checked at a time */
#define PROPENSITY_SLACK 1e-5 /* probabilities kept as float32 sum to 1 within this */

/* ------------------------------------------------------------------------------------------------ open */

static demarc_status copy_text(char **dst, const char *src)
{
    *dst = strdup(src);
    return *dst != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: a name: free some memory");
}

static demarc_status take_names(dm_customers *c, const demarc_paths *paths)
{
    static const char *const usual[DM_PARTS] = {"/features", "/id",         "/weight",   "/outcomes",
                                                "/arm",      "/propensity", "/reachable"};
    static const demarc_paths none = {0};
    const demarc_paths *p = paths != NULL ? paths : &none;
    const char *const given[DM_PARTS] = {p->features, p->id,         p->weight,   p->outcomes,
                                         p->arm,      p->propensity, p->reachable};
    for (int i = 0; i < DM_PARTS; i++) {
        c->asked[i] = given[i] != NULL;
        if (c->asked[i] && given[i][0] == 0) {
            return dm_fail(DEMARC_ERR_USAGE, "empty dataset path: --%s: name a dataset such as %s", usual[i] + 1,
                           usual[i]);
        }
        demarc_status st = copy_text(&c->name[i], c->asked[i] ? given[i] : usual[i]);
        if (st != DEMARC_OK) return st;
    }
    return DEMARC_OK;
}

/* An error on a rank other than 0, which has opened the same path well: the hosts see different files. */
static demarc_status name_rank(demarc_status st, int rank)
{
    char line[1024], host[256] = "";
    snprintf(line, sizeof line, "%s", dm_error_line());
    if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    return dm_fail(st, "%s (rank %d on %s; rank 0 could read it: use a file system that all hosts share)", line, rank,
                   host);
}

static demarc_status open_and_describe(dm_customers *c)
{
    demarc_status st =
        dm_hdf5_open_read(&c->file, c->path, "give a customer file (HDF5), or make one with demarc import");
    return st == DEMARC_OK ? dm_customers_describe(c) : st;
}

/* Ranks that look at different files of one name would answer nonsense together. */
static demarc_status check_same_file(const dm_customers *c, dm_comm *comm)
{
    const dm_schema *s = &c->schema;
    int64_t low[4] = {s->n, s->d, s->file_bytes, (int64_t)s->id}, high[4];
    memcpy(high, low, sizeof high);
    dm_comm_min_i64(comm, low, 4);
    dm_comm_max_i64(comm, high, 4);
    if (memcmp(low, high, sizeof low) == 0) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA, "ranks see different files: %s: use a file system that all hosts share", c->path);
}

static demarc_status open_by(dm_customers **out, dm_comm *comm, const char *path, const demarc_paths *paths,
                             dm_part base)
{
    demarc_status st = DEMARC_OK;
    int rank = dm_comm_rank(comm);
    *out = NULL;
    dm_customers *c = calloc(1, sizeof *c);
    DM_TRY_ALL(comm,
               c != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: customer file: free some memory"));
    c->file = DM_HDF5_NONE;
    c->base = base;
    DM_TRY_ALL(comm, path != NULL && path[0] != 0
                         ? DEMARC_OK
                         : dm_fail(DEMARC_ERR_USAGE, "no customer file: empty path: name an HDF5 file"));
    DM_TRY_ALL(comm, copy_text(&c->path, path));
    DM_TRY_ALL(comm, take_names(c, paths));
    /* Rank 0 first: a bad file is then found once, and thousands of ranks do not open it in vain. */
    DM_TRY_ALL(comm, rank == 0 ? open_and_describe(c) : DEMARC_OK);
    if (rank != 0) {
        st = open_and_describe(c);
        if (st != DEMARC_OK) st = name_rank(st, rank);
    }
    DM_TRY_ALL(comm, st);
    DM_TRY_ALL(comm, check_same_file(c, comm));
    *out = c;
    c = NULL;
cleanup:
    dm_customers_close(&c);
    return st;
}

demarc_status dm_customers_open(dm_customers **out, dm_comm *comm, const char *path, const demarc_paths *paths)
{
    return open_by(out, comm, path, paths, DM_PART_FEATURES);
}

demarc_status dm_customers_open_results(dm_customers **out, dm_comm *comm, const char *path, const demarc_paths *paths)
{
    return open_by(out, comm, path, paths, DM_PART_ID);
}

void dm_customers_close(dm_customers **customers)
{
    dm_customers *c = *customers;
    if (c == NULL) return;
    for (int i = 0; i < DM_PARTS; i++) {
        dm_column_close(&c->part[i]);
        free(c->name[i]);
    }
    dm_hdf5_close(&c->file);
    free(c->path);
    dm_strings_clear(&c->schema.feature);
    dm_strings_clear(&c->schema.outcome);
    dm_strings_clear(&c->schema.arm_name);
    free(c->schema.control);
    dm_strings_clear(&c->schema.channel);
    dm_free(c->outcome_used);
    free(c);
    *customers = NULL;
}

const dm_schema *dm_customers_schema(const dm_customers *c) { return &c->schema; }
const char *dm_customers_path(const dm_customers *c) { return c->path; }
const char *dm_customers_features_path(const dm_customers *c) { return c->name[DM_PART_FEATURES]; }
const char *dm_customers_id_path(const dm_customers *c) { return c->name[DM_PART_ID]; }

/* ------------------------------------------------------------------------------------------------ columns */

static demarc_status read_part(dm_customers *c, dm_part part, int64_t begin, int64_t end, dm_target target, void *out)
{
    if (!c->present[part]) {
        return dm_fail(DEMARC_ERR_ARG, "no dataset %s: %s: ask only for what the schema shows", c->name[part], c->path);
    }
    return dm_column_read(&c->part[part], begin, end, target, out);
}

demarc_status dm_customers_features_f16(dm_customers *c, int64_t begin, int64_t end, uint16_t *out)
{
    return read_part(c, DM_PART_FEATURES, begin, end, DM_TARGET_F16, out);
}

demarc_status dm_customers_features_f32(dm_customers *c, int64_t begin, int64_t end, float *out)
{
    return read_part(c, DM_PART_FEATURES, begin, end, DM_TARGET_F32, out);
}

demarc_status dm_customers_features_f64(dm_customers *c, int64_t begin, int64_t end, double *out)
{
    return read_part(c, DM_PART_FEATURES, begin, end, DM_TARGET_F64, out);
}

bool dm_customers_features_are_direct(const dm_customers *c) { return dm_column_is_direct(&c->part[DM_PART_FEATURES]); }

demarc_status dm_customers_features_direct(const dm_customers *c, int64_t begin, int64_t end, void *out)
{
    return dm_column_pread(&c->part[DM_PART_FEATURES], begin, end, out);
}

void dm_customers_features_expect(const dm_customers *c, int64_t begin, int64_t end)
{
    dm_column_expect(&c->part[DM_PART_FEATURES], begin, end);
}

demarc_status dm_customers_use_outcomes(dm_customers *c, int32_t count, const int32_t *column)
{
    demarc_status st = DEMARC_OK;
    dm_free(c->outcome_used);
    DM_TRY(dm_alloc_zero(c->outcome_used, c->schema.outcome.count, "outcomes"));
    for (int32_t i = 0; i < count; i++) c->outcome_used[column[i]] = 1;
cleanup:
    return st;
}

void dm_customers_use_all_outcomes(dm_customers *c)
{
    dm_free(c->outcome_used);
    c->outcome_used = NULL;
}

demarc_status dm_customers_outcomes(dm_customers *c, int64_t begin, int64_t end, double *out)
{
    const int32_t m = c->schema.outcome.count;
    demarc_status st = read_part(c, DM_PART_OUTCOMES, begin, end, DM_TARGET_F64, out);
    for (int64_t i = 0; i < (end - begin) * m && st == DEMARC_OK; i++) {
        if (isnan(out[i]) || fabs(out[i]) <= DM_OUTCOME_MAX) continue;
        const int32_t column = (int32_t)(i % m);
        if (c->outcome_used != NULL && c->outcome_used[column] == 0) {
            out[i] = (double)NAN;
            continue;
        }
        st = dm_fail(
            DEMARC_ERR_DATA,
            "bad outcome: %s, %s, row %lld column %d (%s): it is %g: store a number up to 1e100, or NaN where it is "
            "missing",
            c->path, c->name[DM_PART_OUTCOMES], (long long)(begin + i / m), (int)column, c->schema.outcome.item[column],
            out[i]);
    }
    return st;
}

demarc_status dm_customers_check_outcomes(dm_customers *c, int64_t begin, int64_t end)
{
    demarc_status st = DEMARC_OK;
    const int32_t m = c->schema.outcome.count;
    double *piece = NULL;
    if (m == 0) return DEMARC_OK;
    const int64_t rows = m < PIECE_ROWS ? PIECE_ROWS / m : 1;
    DM_TRY(dm_alloc(piece, rows * m, "outcomes"));
    for (int64_t row = begin; row < end; row += rows) {
        DM_TRY(dm_customers_outcomes(c, row, end - row < rows ? end : row + rows, piece));
    }
cleanup:
    dm_free(piece);
    return st;
}

demarc_status dm_customers_propensity(dm_customers *c, int64_t begin, int64_t end, double *out)
{
    const int32_t arms = c->schema.propensity;
    demarc_status st = read_part(c, DM_PART_PROPENSITY, begin, end, DM_TARGET_F64, out);
    for (int64_t row = begin; row < end && st == DEMARC_OK; row++) {
        const double *p = out + (row - begin) * arms;
        double sum = 0.0;
        int32_t bad = -1;
        for (int32_t a = arms - 1; a >= 0; a--) {
            if (!(p[a] >= 0.0 && p[a] <= 1.0)) bad = a;
        }
        if (bad >= 0) {
            return dm_fail(DEMARC_ERR_DATA,
                           "bad propensity: %s, %s, row %lld, arm %d: %g: a probability is from 0 to 1, correct it",
                           c->path, c->name[DM_PART_PROPENSITY], (long long)row, (int)bad, p[bad]);
        }
        for (int32_t a = 0; a < arms; a++) sum += p[a];
        if (sum > 1.0 - PROPENSITY_SLACK && sum < 1.0 + PROPENSITY_SLACK) continue;
        st = dm_fail(
            DEMARC_ERR_DATA,
            "bad propensities: %s, %s, row %lld: they sum to %g: store a probability for each arm that sum to 1",
            c->path, c->name[DM_PART_PROPENSITY], (long long)row, sum);
    }
    return st;
}

static int64_t piece_end(int64_t row, int64_t end) { return end - row < PIECE_ROWS ? end : row + PIECE_ROWS; }

demarc_status dm_customers_weight(dm_customers *c, int64_t begin, int64_t end, float *out)
{
    demarc_status st = DEMARC_OK;
    double *piece = NULL;
    DM_TRY(dm_alloc(piece, PIECE_ROWS, "weights"));
    for (int64_t row = begin; row < end; row = piece_end(row, end)) {
        int64_t next = piece_end(row, end);
        DM_TRY(read_part(c, DM_PART_WEIGHT, row, next, DM_TARGET_F64, piece));
        for (int64_t i = 0; i < next - row; i++) {
            const double w = piece[i];
            if (w != 0.0 && !(w >= (double)FLT_TRUE_MIN && w <= (double)FLT_MAX)) {
                st =
                    dm_fail(DEMARC_ERR_DATA,
                            "bad weight %g: %s, %s, row %lld: store 0, or a number from 1.4e-45 to 3.4e38 (weights are "
                            "kept as float32)",
                            w, c->path, c->name[DM_PART_WEIGHT], (long long)(row + i));
                goto cleanup;
            }
            out[row - begin + i] = (float)w;
        }
    }
cleanup:
    dm_free(piece);
    return st;
}

/* A 64-bit value of a column in words: the sign is the column's. */
static const char *integer_text(char buf[32], int64_t bits, bool is_signed)
{
    if (is_signed) {
        snprintf(buf, 32, "%lld", (long long)bits);
    } else {
        snprintf(buf, 32, "%llu", (unsigned long long)bits);
    }
    return buf;
}

demarc_status dm_customers_arm(dm_customers *c, int64_t begin, int64_t end, int32_t *out)
{
    demarc_status st = DEMARC_OK;
    int64_t *piece = NULL;
    DM_TRY(dm_alloc(piece, PIECE_ROWS, "arms"));
    for (int64_t row = begin; row < end; row = piece_end(row, end)) {
        int64_t next = piece_end(row, end);
        DM_TRY(read_part(c, DM_PART_ARM, row, next, DM_TARGET_BITS64, piece));
        for (int64_t i = 0; i < next - row; i++) {
            /* An unsigned value of 2^63 and more looks negative here, and is refused as well. */
            if (piece[i] < 0 || piece[i] > INT32_MAX) {
                char text[32];
                st = dm_fail(DEMARC_ERR_DATA, "bad arm %s: %s, %s, row %lld: number the arms 0 (control), 1, 2, ...",
                             integer_text(text, piece[i], c->part[DM_PART_ARM].is_signed), c->path,
                             c->name[DM_PART_ARM], (long long)(row + i));
                goto cleanup;
            }
            out[row - begin + i] = (int32_t)piece[i];
        }
    }
cleanup:
    dm_free(piece);
    return st;
}

demarc_status dm_customers_reachable(dm_customers *c, int64_t begin, int64_t end, uint8_t *out)
{
    demarc_status st = DEMARC_OK;
    int64_t *piece = NULL;
    int64_t columns = c->schema.channel.count, rows = PIECE_ROWS / (columns > 0 ? columns : 1);
    if (rows < 1) rows = 1;
    DM_TRY(dm_alloc(piece, rows * columns, "reachability"));
    for (int64_t row = begin; row < end; row += rows) {
        int64_t next = end - row < rows ? end : row + rows;
        DM_TRY(read_part(c, DM_PART_REACHABLE, row, next, DM_TARGET_BITS64, piece));
        for (int64_t i = 0; i < (next - row) * columns; i++) {
            if (piece[i] != 0 && piece[i] != 1) {
                char text[32];
                st = dm_fail(
                    DEMARC_ERR_DATA, "bad value %s: %s, %s, row %lld, channel '%s': store 1 (may be contacted) or 0",
                    integer_text(text, piece[i], c->part[DM_PART_REACHABLE].is_signed), c->path,
                    c->name[DM_PART_REACHABLE], (long long)(row + i / columns), c->schema.channel.item[i % columns]);
                goto cleanup;
            }
            out[(row - begin) * columns + i] = (uint8_t)piece[i];
        }
    }
cleanup:
    dm_free(piece);
    return st;
}
