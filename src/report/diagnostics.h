/*
 * What is known of a finished fit, as plain numbers; and its JSON forms (src/report/schema holds their schemas).
 *
 * The engine fills the structs (collective reductions happen there); everything here is local to rank 0.
 */
#ifndef DM_REPORT_DIAGNOSTICS_H
#define DM_REPORT_DIAGNOSTICS_H

#include "base/text.h"
#include "base/trace.h"

/** Undefined numbers are NaN and become null in JSON. Arrays are owned by the struct unless said otherwise. */
typedef struct dm_diagnostics {
    int64_t n;
    int32_t d, k, outcomes, channels;
    const dm_strings *feature, *outcome, *channel; /* borrowed names, [d], [outcomes], [channels] */
    double total_weight;
    double objective, total;   /* within and total sum of squares, scaled space */
    double calinski_harabasz;  /* Calinski & Harabasz 1974 */
    double davies_bouldin;     /* Davies & Bouldin 1979, mean distance to centroid as scatter */
    double silhouette;         /* simplified silhouette (Hruschka et al. 2006): centroids stand for segments */
    double near_boundary_rule; /* a customer is near a boundary when margin < rule x half the centroids' distance */
    bool weighted;
    char digest[40];
    /* per segment [k] */
    dm_strings name;     /* of dm_segment_names_make() */
    uint8_t *name_given; /* 1 = by the user, 0 = automatic */
    int64_t *size;
    double *weight, *within, *mean_distance, *mean_margin, *near_boundary, *segment_silhouette;
    int32_t *nearest;     /* nearest other centroid; -1 if k == 1 */
    double *centroid_gap; /* distance to it, scaled space */
    /* per segment and feature [k, d], original units (weighted) */
    double *mean, *sd;
    double *difference;                /* (mean of the segment - mean of all other customers) / sd over all customers */
    double *overall_mean, *overall_sd; /* [d] */
    /* per segment and outcome [k, outcomes]; customers with the outcome present */
    double *outcome_mean;
    int64_t *outcome_count;
    /* reach: share of the segment's customers, [k, channels] and [k] */
    double *reach, *reach_any;
} dm_diagnostics;

void dm_diagnostics_clear(dm_diagnostics *g);

/**
 * diagnostics.json. @param[out] text  malloc'd, NUL-terminated, ends in a newline; freed by free().
 */
demarc_status dm_diagnostics_json(const dm_diagnostics *g, const dm_trace *t, char **text);

/**
 * Read back what verify compares from a diagnostics.json.
 * @param[out] checked  false when the file is larger than what is read back (64 MiB): nothing was compared
 * @retval DEMARC_ERR_DATA  missing, not JSON, or without objective or digest
 */
demarc_status dm_diagnostics_read(const char *path, double *objective, char digest[40], bool *checked);

/** Phases of a run, in order: name, seconds (max over ranks), bytes (sum over ranks). */
typedef struct dm_phase_record {
    const char *name; /* "read", "scan", "seed", "minibatch", "polish", "assign", "write" */
    double seconds;
    int64_t bytes;
} dm_phase_record;

typedef struct dm_manifest {
    const char *command;               /* "fit" */
    const char *command_line;          /* may be NULL */
    const demarc_fit_options *options; /* effective options */
    int64_t batch_size;                /* effective */
    const char *input_path;            /* absolute */
    int64_t input_bytes;
    const char *input_modified; /* dm_clock_utc_exact(), before it was read; NULL = not known */
    const char *input_digest;   /* hex */
    /* Hex: of the options that results depend on, of what they found in files. The same two, the same results. */
    const char *options_digest, *data_digest;
    int32_t resumes;
    int64_t n;
    int32_t d, k;
    const char *digest;
    double objective;
    int32_t ranks, threads;
    const char *kernel, *blas, *blas_core, *mpi, *hdf5, *compiler, *version, *commit;
    const char *io; /* "mpio", "funnel" */
    bool streamed;
    demarc_store store; /* of a shard that is held */
    bool allow_external;
    int64_t memory_limit;
    const char *started_utc, *finished_utc;
    double seconds;
    int32_t phases;
    const dm_phase_record *phase;
    const double *peak_memory;       /* [ranks], bytes */
    int64_t messages, message_bytes; /* sent by all ranks */
} dm_manifest;

/** The words of --scale and --missing. */
const char *dm_scale_word(demarc_scale scale);
const char *dm_missing_word(demarc_missing missing);

/** manifest.json. As dm_diagnostics_json. */
demarc_status dm_manifest_json(const dm_manifest *m, char **text);

/** Read back what verify needs from a manifest. @param[out] input_path malloc'd. @retval DEMARC_ERR_DATA */
typedef struct dm_manifest_facts {
    char *input_path;
    int64_t input_bytes;     /* 0 = not told */
    char input_modified[48]; /* "" = not told */
    char digest[40];
    char options_digest[40], data_digest[40]; /* "" in manifests that have none */
    char input_digest[40];                    /* of the stored values; "" where it is not told */
    char version[64];                         /* of the program that fitted; "" = not told */
    double objective;
    demarc_paths paths; /* owned strings */
} dm_manifest_facts;
demarc_status dm_manifest_read(const char *path, dm_manifest_facts *facts);
/** The effective options and the paths of datasets, "--name<TAB>value" each; "not given" for null. As dm_manifest_read. */
demarc_status dm_manifest_options(const char *path, dm_strings *list);
void dm_manifest_facts_clear(dm_manifest_facts *facts);

#endif
