/*
 * What `demarc info` says of a file, as plain numbers, and its JSON form (schema/info.schema.json).
 *
 * The engine fills the structs on rank 0; all pointers are borrowed for the call. Undefined numbers are NaN and become
 * null. Functions are local and return malloc'd JSON text that ends in a newline, to be freed by free(); after an error
 * (DEMARC_ERR_MEMORY unless said otherwise) *text is NULL.
 */
#ifndef DM_REPORT_INFO_REPORT_H
#define DM_REPORT_INFO_REPORT_H

#include "base/text.h"

/** Audit of one feature, original units; min ... sd are over the `count` finite values and NaN when count is 0. */
typedef struct dm_info_column {
    int64_t count;      /* finite values */
    int64_t missing;    /* NaN */
    int64_t non_finite; /* +Inf, -Inf; count + missing + non_finite = n */
    double min, max, mean;
    double sd; /* divided by count (population) */
} dm_info_column;

typedef struct dm_info_customers {
    const char *path;    /* as given */
    int64_t bytes;       /* of the file */
    const char *type;    /* of /features: "float32", "int64", ... */
    const char *storage; /* "contiguous", "chunked 4096 x 32, deflate" */
    int64_t n;
    int32_t d;
    const dm_strings *feature;    /* [d] */
    const dm_info_column *column; /* [d] */
    const char *id_kind;          /* "row" (no /id: the row number), "int64", "uint64", "string" */
    bool id_unique;
    const char *id_duplicate;   /* the line that names the first duplicate; NULL when unique */
    bool weight;                /* /weight is present */
    const dm_strings *outcome;  /* NULL or empty = no /outcomes */
    bool arm;                   /* /arm is present */
    int32_t arms;               /* arms 0 ... arms - 1 */
    const int64_t *arm_size;    /* [arms] customers */
    const dm_strings *arm_name; /* NULL or fewer than `arms` names: the others have none */
    const char *control;        /* the control's name; "" = the file names none; NULL = it does not say */
    int32_t propensity;         /* columns of /propensity; 0 = absent */
    const dm_strings *channel;  /* NULL or empty = no /reachable */
} dm_info_customers;

typedef struct dm_info_model {
    const char *path;
    int64_t bytes;
    int32_t k, d;
    const dm_strings *feature; /* [d] */
    const char *scale;         /* "zscore", "robust", "minmax", "none" */
    const dm_strings *log1p;   /* features transformed by log(1 + x); NULL = none */
    double objective;          /* scaled space */
    const char *digest;
    uint64_t seed;
    int32_t iterations;
    const char *created_utc;
    const dm_strings *name; /* [k] of the segments */
    const int64_t *size;    /* [k] customers */
    const double *centroid; /* [k, d], original units */
} dm_info_model;

typedef struct dm_info_assignments {
    const char *path;
    int64_t bytes;
    int64_t n;
    int32_t k;            /* highest segment + 1 */
    const int64_t *size;  /* [k] customers */
    double mean_distance; /* to the own centroid, scaled space, unweighted */
} dm_info_assignments;

/** A boundary of an experiment: customers of the lower and the higher segment by arm. */
typedef struct dm_info_boundary {
    int32_t segment, other; /* the lower one first */
    double gap, band;       /* scaled units */
    int64_t keep, switched;
} dm_info_boundary;

typedef struct dm_info_experiment {
    const char *path;
    int64_t bytes, n;
    const char *model_digest, *salt;
    const char *outcome; /* NULL = none named */
    uint64_t seed;
    double alpha, power, effect, outcome_sd, switch_share;
    int32_t distance_strata, boundaries;
    const dm_info_boundary *boundary; /* [boundaries] */
} dm_info_experiment;

/** Critical offsets of a sweep, [n, k]. */
typedef struct dm_info_offsets {
    const char *path;
    int64_t bytes, n, k;
    const char *model_digest;
} dm_info_offsets;

typedef struct dm_info_results {
    const char *path; /* the directory */
    const dm_info_model *model;
    const dm_info_assignments *assignments;
    const char *manifest_path; /* read by dm_info_results_json() */
} dm_info_results;

demarc_status dm_info_customers_json(const dm_info_customers *c, char **text);
demarc_status dm_info_model_json(const dm_info_model *m, char **text);
demarc_status dm_info_assignments_json(const dm_info_assignments *a, char **text);
demarc_status dm_info_experiment_json(const dm_info_experiment *e, char **text);
demarc_status dm_info_offsets_json(const dm_info_offsets *o, char **text);
/** @retval DEMARC_ERR_DATA  the manifest is missing, unreadable or not one */
demarc_status dm_info_results_json(const dm_info_results *r, char **text);

#endif
