#include "exchange/sqlite_export.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>

#include "base/text.h"
#include "store/id_hash.h"

#define APPLICATION "1684365667" /* "demc" in ASCII, for file(1) */

/* The only journal is the temporary name of the output: after a failure the file goes as a whole. */
static const char *const settings = "PRAGMA application_id=" APPLICATION "; PRAGMA user_version=1;"
                                    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
                                    "PRAGMA cache_size=-65536;";
static const char *const schema =
    "BEGIN;"
    "CREATE TABLE run(digest TEXT NOT NULL, objective REAL NOT NULL, customers INTEGER NOT NULL,"
    " features INTEGER NOT NULL, segments INTEGER NOT NULL, seed TEXT NOT NULL, fitted_by TEXT, exported_by TEXT NOT "
    "NULL);"
    "CREATE TABLE segments(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, share REAL);"
    "CREATE TABLE assignments(id, segment INTEGER NOT NULL REFERENCES segments(number), segment_name TEXT NOT NULL,"
    " distance REAL NOT NULL, runner_up INTEGER, margin REAL);";
static const char *const indices = "CREATE UNIQUE INDEX assignments_id ON assignments(id);"
                                   "CREATE INDEX assignments_segment ON assignments(segment);"
                                   "COMMIT;";

static demarc_status failed(sqlite3 *db, const char *what)
{
    const char *why = db == NULL ? "no memory" : sqlite3_errmsg(db);
    switch (db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff) {
    case SQLITE_NOMEM:
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: SQLite database, %s: free some memory", what);
    case SQLITE_CONSTRAINT:
        return dm_fail(DEMARC_ERR_DATA, "two customers of one id: SQLite database, %s (%s): fit again", what, why);
    default:
        return dm_fail(DEMARC_ERR_IO, "cannot write the SQLite database: %s (%s): check the space of its disk", what,
                       why);
    }
}

static demarc_status execute(sqlite3 *db, const char *sql, const char *what)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DEMARC_OK : failed(db, what);
}

/* Run a statement whose values are bound (`bad` is 0), and make it ready for the next values. */
static demarc_status step(sqlite3 *db, sqlite3_stmt *s, int bad, const char *what)
{
    if (bad != 0 || sqlite3_step(s) != SQLITE_DONE) return failed(db, what);
    (void)sqlite3_reset(s);
    return DEMARC_OK;
}

static demarc_status put_run(sqlite3 *db, const dm_export_source *from)
{
    const char *what = "table run";
    const dm_model *m = from->model;
    sqlite3_stmt *s = NULL;
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, m->seed);
    if (sqlite3_prepare_v2(db, "INSERT INTO run VALUES(?,?,?,?,?,?,?,?)", -1, &s, NULL) != SQLITE_OK)
        return failed(db, what);
    int bad = sqlite3_bind_text(s, 1, m->digest, -1, SQLITE_STATIC);
    bad |= sqlite3_bind_double(s, 2, m->objective);
    bad |= sqlite3_bind_int64(s, 3, from->n);
    bad |= sqlite3_bind_int64(s, 4, m->d);
    bad |= sqlite3_bind_int64(s, 5, m->k);
    bad |= sqlite3_bind_text(s, 6, seed, -1, SQLITE_STATIC);
    if (from->fitted_by[0] != 0) bad |= sqlite3_bind_text(s, 7, from->fitted_by, -1, SQLITE_STATIC);
    bad |= sqlite3_bind_text(s, 8, demarc_version(), -1, SQLITE_STATIC);
    const demarc_status st = step(db, s, bad, what);
    sqlite3_finalize(s);
    return st;
}

static demarc_status put_segments(sqlite3 *db, const dm_export_source *from)
{
    demarc_status st = DEMARC_OK;
    const char *what = "table segments";
    const dm_model *m = from->model;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, "INSERT INTO segments VALUES(?,?,?,?)", -1, &s, NULL) != SQLITE_OK)
        return failed(db, what);
    for (int32_t j = 0; j < m->k && st == DEMARC_OK; j++) {
        int bad = sqlite3_bind_int64(s, 1, j);
        bad |= sqlite3_bind_text(s, 2, from->name->item[j], -1, SQLITE_STATIC);
        bad |= sqlite3_bind_int64(s, 3, m->size[j]);
        if (from->n > 0) bad |= sqlite3_bind_double(s, 4, (double)m->size[j] / (double)from->n);
        st = step(db, s, bad, what);
    }
    sqlite3_finalize(s);
    return st;
}

static int bind_id(sqlite3_stmt *s, const dm_ids *ids, int64_t i, char *scratch, size_t scratch_size)
{
    if (ids->kind == DM_ID_U64 && ids->integer[i] < 0) {
        snprintf(scratch, scratch_size, "%" PRIu64, (uint64_t)ids->integer[i]);
        return sqlite3_bind_text(s, 1, scratch, -1, SQLITE_STATIC);
    }
    if (ids->kind != DM_ID_FIXED && ids->kind != DM_ID_VARIABLE) return sqlite3_bind_int64(s, 1, ids->integer[i]);
    size_t length = 0;
    const char *id = dm_id_bytes(ids, i, &length);
    return dm_text_utf8(id, length) ? sqlite3_bind_text(s, 1, id, (int)length, SQLITE_STATIC)
                                    : sqlite3_bind_blob(s, 1, id, (int)length, SQLITE_STATIC);
}

static demarc_status put_window(sqlite3 *db, sqlite3_stmt *s, const dm_export_rows *r)
{
    demarc_status st = DEMARC_OK;
    char scratch[32];
    for (int64_t i = 0; i < r->count && st == DEMARC_OK; i++) {
        const int32_t j = r->rows.segment[i], next = r->rows.runner_up[i];
        int bad = bind_id(s, &r->ids, i, scratch, sizeof scratch);
        bad |= sqlite3_bind_int(s, 2, j);
        bad |= sqlite3_bind_text(s, 3, r->from->name->item[j], -1, SQLITE_STATIC);
        bad |= sqlite3_bind_double(s, 4, (double)r->rows.distance[i]);
        bad |= next < 0 ? sqlite3_bind_null(s, 5) : sqlite3_bind_int(s, 5, next);
        bad |= next < 0 ? sqlite3_bind_null(s, 6) : sqlite3_bind_double(s, 6, (double)r->rows.margin[i]);
        st = step(db, s, bad, "table assignments");
    }
    return st;
}

static demarc_status put_assignments(sqlite3 *db, const dm_export_source *from)
{
    demarc_status st = DEMARC_OK;
    dm_export_rows r = {0};
    sqlite3_stmt *s = NULL;
    bool more = true;
    DM_TRY(dm_export_rows_begin(&r, from));
    if (sqlite3_prepare_v2(db, "INSERT INTO assignments VALUES(?,?,?,?,?,?)", -1, &s, NULL) != SQLITE_OK) {
        DM_TRY(failed(db, "table assignments"));
    }
    for (;;) {
        DM_TRY(dm_export_rows_next(&r, &more));
        if (!more) break;
        DM_TRY(put_window(db, s, &r));
    }
cleanup:
    sqlite3_finalize(s);
    dm_export_rows_clear(&r);
    return st;
}

demarc_status dm_sqlite_export(const dm_export_source *from, const char *path)
{
    demarc_status st = DEMARC_OK;
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        DM_TRY(failed(db, "opening it"));
    }
    DM_TRY(execute(db, settings, "settings"));
    DM_TRY(execute(db, schema, "tables"));
    DM_TRY(put_run(db, from));
    DM_TRY(put_segments(db, from));
    DM_TRY(put_assignments(db, from));
    DM_TRY(execute(db, indices, "indices"));
cleanup:
    if (sqlite3_close(db) != SQLITE_OK && st == DEMARC_OK) st = failed(db, "closing it");
    return st;
}
