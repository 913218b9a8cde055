/*
 * The customer file: schema, features, ids and the optional columns. Read-only.
 *
 * Opening is collective and agrees; reads are local to the rank (each rank opens the file with the plain POSIX driver,
 * so any filter and any layout works) and return errors that the caller agrees on.
 */
#ifndef DM_STORE_CUSTOMER_FILE_H
#define DM_STORE_CUSTOMER_FILE_H

#include "base/text.h"
#include "comm/comm.h"

typedef struct dm_customers dm_customers;

typedef enum dm_id_kind { DM_ID_NONE, DM_ID_I64, DM_ID_U64, DM_ID_FIXED, DM_ID_VARIABLE } dm_id_kind;

typedef struct dm_schema {
    int64_t n;
    int32_t d;
    bool named;           /* feature_names present; otherwise names are f0, f1, ... */
    dm_strings feature;   /* [d] */
    bool exact_f32;       /* every stored value is exactly a float32 */
    bool exact_f16;       /* and stored as a half */
    char stored_type[64]; /* for people: "float32", "int64", ... */
    char storage[96];     /* for people: "contiguous", "chunked 4096 x 32, deflate, shuffle" */
    int64_t chunk_rows;   /* 0 = contiguous */
    int64_t file_bytes;
    dm_id_kind id;
    int64_t id_size; /* DM_ID_FIXED: bytes per string */
    bool weight;
    dm_strings outcome; /* [m]; empty = no /outcomes */
    bool arm;
    dm_strings arm_name; /* empty = not named */
    char *control; /* attribute `control` of /arm: the control's name, "" = none is named; NULL = no such attribute */
    int32_t propensity; /* columns; 0 = none */
    dm_strings channel; /* [c]; empty = no /reachable */
} dm_schema;

/**
 * Open and check the schema. Every dataset that is present is checked for type and shape even if it is not read later.
 * @retval DEMARC_ERR_DATA  missing, not HDF5, truncated, wrong type or shape; the line names file and dataset
 */
demarc_status dm_customers_open(dm_customers **out, dm_comm *comm, const char *path, const demarc_paths *paths);
/**
 * The same for a file of what became of customers: it must have /id, and need not have /features (d is 0, and they cannot be
 * read).
 */
demarc_status dm_customers_open_results(dm_customers **out, dm_comm *comm, const char *path, const demarc_paths *paths);
void dm_customers_close(dm_customers **c);
const dm_schema *dm_customers_schema(const dm_customers *c);
const char *dm_customers_path(const dm_customers *c);
/** The dataset's path inside the file, for error lines ("/features", "/id", ...). */
const char *dm_customers_features_path(const dm_customers *c);
const char *dm_customers_id_path(const dm_customers *c);

/** Features of rows [begin, end) as halves (exact_f16 only), float32 or double [rows, d]. Local. */
demarc_status dm_customers_features_f16(dm_customers *c, int64_t begin, int64_t end, uint16_t *out);
demarc_status dm_customers_features_f32(dm_customers *c, int64_t begin, int64_t end, float *out);
demarc_status dm_customers_features_f64(dm_customers *c, int64_t begin, int64_t end, double *out);

/**
 * Whether dm_customers_features_direct() serves: the values lie in one piece of the file as floats of this machine. It
 * delivers rows [begin, end) as stored (halves where exact_f16, else float where exact_f32, else double) and makes no
 * HDF5 call, so any number of threads may call it at a time, beside one that is inside HDF5. Local.
 * @retval DEMARC_ERR_DATA  the file has become shorter
 */
bool dm_customers_features_are_direct(const dm_customers *c);
demarc_status dm_customers_features_direct(const dm_customers *c, int64_t begin, int64_t end, void *out);
/** Tell the system that these rows will be asked for soon; where features are direct only. Thread rule as above. */
void dm_customers_features_expect(const dm_customers *c, int64_t begin, int64_t end);

/** /weight [rows]; @retval DEMARC_ERR_DATA a weight that is not 0 and no positive float32, row named. Local. */
demarc_status dm_customers_weight(dm_customers *c, int64_t begin, int64_t end, float *out);
/** Largest magnitude of an outcome: its square and the sums of squares of all customers stay finite. */
#define DM_OUTCOME_MAX 1e100
/**
 * Which columns of /outcomes matter; all of them until this is called. Local.
 * @param[in] column  [count] indices into the schema's outcomes; copied
 */
demarc_status dm_customers_use_outcomes(dm_customers *c, int32_t count, const int32_t *column);
/** All of them again. Local. */
void dm_customers_use_all_outcomes(dm_customers *c);
/**
 * /outcomes [rows, m] as double (NaN = missing). Local.
 * @retval DEMARC_ERR_DATA  a value that is infinite or beyond DM_OUTCOME_MAX in a column that matters: the first of these rows
 *                          is named with its column. In other columns such a value is read as missing.
 */
demarc_status dm_customers_outcomes(dm_customers *c, int64_t begin, int64_t end, double *out);
/** Look at the outcomes of rows [begin, end), piece by piece. Local; errors as above. */
demarc_status dm_customers_check_outcomes(dm_customers *c, int64_t begin, int64_t end);
/** /propensity [rows, arms]; @retval DEMARC_ERR_DATA not within [0, 1], or a row does not sum to 1. Local. */
demarc_status dm_customers_propensity(dm_customers *c, int64_t begin, int64_t end, double *out);
/** /arm [rows]. Local. */
demarc_status dm_customers_arm(dm_customers *c, int64_t begin, int64_t end, int32_t *out);
/** Most arms that a campaign may have. */
#define DM_ARMS_MAX 4096
/**
 * Customers of each arm. Collective.
 * @param[in]  limit  codes must be below it
 * @param[out] arms   highest code with customers + 1
 * @param[out] size   [limit] dm_alloc'd
 * @retval DEMARC_ERR_DATA  a code too large; the first row that has one is named
 */
demarc_status dm_customers_count_arms(dm_customers *c, dm_comm *comm, int32_t limit, int32_t *arms, int64_t **size);
/** /reachable [rows, c]. Local. */
demarc_status dm_customers_reachable(dm_customers *c, int64_t begin, int64_t end, uint8_t *out);

/** Ids of a range of rows. */
typedef struct dm_ids {
    dm_id_kind kind;
    int64_t count;
    int64_t *integer; /* I64, U64 (same bits) and NONE (row numbers) */
    char *fixed;      /* FIXED: count x size bytes */
    int64_t size;
    char **variable; /* VARIABLE: NUL-terminated, NULL entries read as "" */
} dm_ids;
demarc_status dm_customers_ids(dm_customers *c, int64_t begin, int64_t end, dm_ids *out);
void dm_ids_clear(dm_ids *ids);
/** Text of one id into buf, for messages. */
void dm_ids_text(const dm_ids *ids, int64_t i, char *buf, size_t buf_size);

/**
 * Check that ids are unique. Collective: exact, distributed by hash, in as many sweeps over /id as `budget` bytes per
 * rank demand; increasing integer ids are settled by one sweep without memory. The calling thread reads, `threads` work.
 * @retval DEMARC_ERR_DATA  names the id and the two lowest rows that share it
 */
demarc_status dm_customers_check_ids(dm_customers *c, dm_comm *comm, int threads, int64_t budget);

#endif
