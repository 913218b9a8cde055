/*
 * demarc: distributed customer segmentation whose boundaries are proved by experiment.
 *
 * The public API of libdemarc. Every command of the `demarc` program is one function here; the program only
 * parses options and prints.
 *
 * Conventions
 *  - Rows are global, 0-based, int64_t; ranges are half-open [begin, end).
 *  - Every function that takes a demarc_context is collective over the context's ranks unless it says "local":
 *    all ranks call it with the same options, and all ranks return the same status.
 *  - The library never prints to stdout, never exits and never aborts (but see demarc_runtime.stall_timeout). Log and progress lines go to the context's
 *    log stream (rank 0, stderr by default).
 *  - After an error demarc_error() holds one line (of this thread): what, where, what to do.
 *  - Strings in option structs are borrowed for the duration of the call.
 */
#ifndef DEMARC_DEMARC_H
#define DEMARC_DEMARC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DEMARC_API __attribute__((visibility("default")))
#else
#define DEMARC_API
#endif

/** One list gives the name, the process exit code and the text of every status. */
#define DEMARC_STATUS_LIST(X)                                                                                          \
    X(DEMARC_OK, 0, "ok")                                                                                              \
    X(DEMARC_ERR_ARG, 2, "invalid argument")                                                                           \
    X(DEMARC_ERR_USAGE, 2, "wrong usage")                                                                              \
    X(DEMARC_ERR_EXISTS, 2, "output exists")                                                                           \
    X(DEMARC_ERR_DATA, 3, "bad input data or file")                                                                    \
    X(DEMARC_ERR_IMPOSSIBLE, 4, "cannot do what was asked")                                                            \
    X(DEMARC_ERR_IO, 5, "input/output error")                                                                          \
    X(DEMARC_ERR_MEMORY, 5, "out of memory")                                                                           \
    X(DEMARC_ERR_SYSTEM, 5, "system error")                                                                            \
    X(DEMARC_ERR_VERIFY, 6, "verification failed")                                                                     \
    X(DEMARC_STOPPED, 75, "stopped by a signal")

typedef enum demarc_status {
#define DEMARC_STATUS_ENUM(name, exit_code, text) name,
    DEMARC_STATUS_LIST(DEMARC_STATUS_ENUM)
#undef DEMARC_STATUS_ENUM
} demarc_status;

/** Local. Short English text of a status; never NULL. */
DEMARC_API const char *demarc_status_text(demarc_status st);
/** Local. Process exit code of a status (0, 2, 3, 4, 5, 6, 75). */
DEMARC_API int demarc_status_exit_code(demarc_status st);

/* ------------------------------------------------------------------------------------------------ context */

typedef struct demarc_context demarc_context;

typedef enum demarc_verbosity { DEMARC_QUIET = 0, DEMARC_NORMAL = 1, DEMARC_VERBOSE = 2 } demarc_verbosity;
typedef enum demarc_progress { DEMARC_PROGRESS_AUTO, DEMARC_PROGRESS_ALWAYS, DEMARC_PROGRESS_NEVER } demarc_progress;
typedef enum demarc_io { DEMARC_IO_MPIO, DEMARC_IO_FUNNEL } demarc_io;

typedef struct demarc_runtime {
    int threads;          /**< OpenMP threads per rank; 0 = the cores this rank may use, divided fairly */
    int64_t memory_limit; /**< bytes per rank; 0 = none. Below the shard the fit streams from the file */
    demarc_io io;         /**< parallel results: every rank writes (mpio) or rank 0 writes (funnel) */
    demarc_verbosity verbosity;
    demarc_progress progress;
    bool allow_external; /**< follow an input's links to other files, values in other files and filter plugins */
    const char *kernel;  /**< kernel variant to force ("ref", "avx2", "avx512", "blas"), NULL or "auto" = best */
    FILE *log;           /**< NULL = stderr */
    /** Seconds that a rank may wait inside one collective; 0 = for ever. Longer: it says so on stderr and ends the
     *  process with exit code 5, the one case in which the library prints and exits, since the call cannot return.
     *  Holds from demarc_context_create() to demarc_mpi_finalize(). Only on two ranks or more. */
    double stall_timeout;
    /** A boundary test that writes no file keeps its checkpoint until demarc_report_arrived(): its report is all it has. */
    bool await_report;
} demarc_runtime;

/** Local. Defaults: all zero, DEMARC_NORMAL, log to stderr. */
DEMARC_API void demarc_runtime_default(demarc_runtime *rt);

/**
 * Create a context over all ranks of MPI_COMM_WORLD when MPI is initialised, else over one rank without MPI.
 *
 * Collective. The context is not thread-safe: one call at a time.
 *
 * @param[out] out     New context, owned by the caller; NULL after an error.
 * @param[in]  rt      Borrowed; copied.
 * @retval DEMARC_ERR_USAGE   unknown or unsupported kernel, threads or stall_timeout out of range; or SLURM_NTASKS says
 *                            that there should be more ranks and no launcher of MPI was seen: separate copies of one job
 * @retval DEMARC_ERR_MEMORY
 * @retval DEMARC_ERR_SYSTEM  the thread that watches for stalls does not start
 */
DEMARC_API demarc_status demarc_context_create(demarc_context **out, const demarc_runtime *rt);
/** Collective. Frees and sets NULL; NULL is a no-op. */
DEMARC_API void demarc_context_destroy(demarc_context **ctx);
/**
 * Local. What the last call returned has arrived where it is to stay: a checkpoint that was kept for it goes. See
 * demarc_runtime.await_report; without a call the checkpoint stays, and --resume gives the report again.
 */
DEMARC_API void demarc_report_arrived(demarc_context *ctx);
/** Local. One line describing the last error of this thread ("" if none): WHAT: WHERE: WHAT TO DO. No prefix, no newline. */
DEMARC_API const char *demarc_error(void);
/** Local. */
DEMARC_API int demarc_context_rank(const demarc_context *ctx);
DEMARC_API int demarc_context_size(const demarc_context *ctx);
DEMARC_API int demarc_context_threads(const demarc_context *ctx);

/**
 * Initialise / finalise MPI when this process was started by a launcher (mpirun, srun); otherwise do nothing.
 * Collective. `demarc_mpi_finalize` is safe to call twice.
 */
DEMARC_API demarc_status demarc_mpi_init(void);
DEMARC_API void demarc_mpi_finalize(void);
/** Local, before or after MPI starts: this process's rank (0 without a launcher). */
DEMARC_API int demarc_mpi_rank(void);
/**
 * All ranks learn whether anyone failed, when there is no context yet (or none any more): the status and the error line
 * of the lowest failed rank are adopted by all. Collective over the world after demarc_mpi_init(); without MPI it
 * returns `st`.
 */
DEMARC_API demarc_status demarc_mpi_agree(demarc_status st);

/**
 * Local. Refuse an output that is `input`, a file the caller reads, or a directory that holds it. The commands do this
 * for their own inputs; it is for those they do not know, such as a file of options.
 *
 * @param[in] out, input  NULL, or a name of nothing that exists, is nothing to refuse
 * @retval DEMARC_ERR_USAGE
 */
DEMARC_API demarc_status demarc_output_spare(const char *out, const char *input);

/**
 * Local. The OpenBLAS core type that suits this CPU better than the one OpenBLAS chose, for the environment variable
 * OPENBLAS_CORETYPE (read once, when OpenBLAS is loaded); NULL when its own choice is good or the variable is set.
 * Results do not depend on it, only speed. @return static string
 */
DEMARC_API const char *demarc_blas_core_advice(void);

/** Local. Multi-line text for --version: version, commit, compiler, MPI, HDF5, BLAS with core type, kernels.
 *  @return string owned by the library. */
DEMARC_API const char *demarc_version_text(void);
DEMARC_API const char *demarc_version(void);

/* ------------------------------------------------------------------------------------------------ customer file */

/**
 * Where to find things in a customer file. NULL = the contract's path, "" is invalid. A weight is 0 or from 1.4e-45 to
 * 3.4e38 (kept as float32), an outcome a number up to 1e100 in size or NaN where it is missing: else DEMARC_ERR_DATA.
 */
typedef struct demarc_paths {
    const char *features, *id, *weight, *outcomes, *arm, *propensity, *reachable;
} demarc_paths;

/* ------------------------------------------------------------------------------------------------ fit */

typedef enum demarc_scale {
    DEMARC_SCALE_ZSCORE,
    DEMARC_SCALE_ROBUST,
    DEMARC_SCALE_MINMAX,
    DEMARC_SCALE_NONE
} demarc_scale;
typedef enum demarc_missing { DEMARC_MISSING_ERROR, DEMARC_MISSING_MEAN } demarc_missing;
/** How a rank keeps its features: as halves, scaled anew by every pass, or as scaled float32. Results do not depend on it. */
typedef enum demarc_store { DEMARC_STORE_AUTO, DEMARC_STORE_F16, DEMARC_STORE_F32 } demarc_store;
typedef enum demarc_algorithm { DEMARC_MINIBATCH, DEMARC_LLOYD } demarc_algorithm;

typedef struct demarc_fit_options {
    const char *data; /**< customer file */
    demarc_paths paths;
    const char *out;    /**< results directory to create */
    bool force;         /**< replace an existing results directory */
    bool dry_run;       /**< check input and room for the results, log shard plan, memory and passes; write nothing */
    int32_t k_lo, k_hi; /**< segments; k_lo == k_hi for one fit; 1 <= k_lo <= k_hi */
    uint64_t seed;      /**< default 0 */
    demarc_scale scale;
    demarc_missing missing;
    demarc_store store; /**< AUTO: F16 where the file is float16; F16 is refused (DEMARC_ERR_USAGE) where it is not */
    const char *log1p;  /**< comma-separated feature names to transform by log(1 + x); NULL = none */
    const char *feature_weights; /**< NAME=W,...; multiplies the scaled feature; W >= 0; NULL = all 1 */
    const char *init;            /**< "kmeans||", "kmeans++", "random" or a file with /centroids; NULL = kmeans|| */
    int32_t restarts;            /**< >= 1; the best objective is kept */
    demarc_algorithm algorithm;
    int64_t batch_size;       /**< 0 = automatic */
    int32_t max_epochs;       /**< mini-batch: at most this many times n rows drawn */
    int32_t max_iterations;   /**< passes over all rows at most, exchanges of centroids among them */
    double tolerance;         /**< stop when the squared centroid shift <= tolerance x mean feature variance */
    int32_t polish;           /**< the same after mini-batch; -1 = until converged */
    double min_segment_share; /**< smallest share of customers a segment may hold; 0 = none */
    /** SEGMENT=NAME,...: names of segments, at most 80 bytes of UTF-8 each, all different; a comma in a name is written
     *  twice. NULL or the others: named by what sets them apart. Results and digests do not depend on it; with `resume`
     *  they may be other ones, also those of a fit that is done: its model.h5 and diagnostics.json get them. */
    const char *names;
    double checkpoint_every;  /**< seconds between checkpoints, >= 0; 0 = only when asked to stop */
    bool resume;              /**< go on from the checkpoint of an interrupted run, if there is one */
    const char *command_line; /**< recorded in the manifest; may be NULL */
} demarc_fit_options;

DEMARC_API void demarc_fit_options_default(demarc_fit_options *o);

/** One segment of a finished fit, for printing. */
typedef struct demarc_segment_row {
    int64_t size;
    double share, objective, mean_margin, near_boundary;
    int32_t nearest; /**< nearest other segment, -1 if k == 1 */
    char name[84];   /**< given or automatic */
    char top[160];   /**< the features that set it apart most, in words */
} demarc_segment_row;

typedef struct demarc_fit_result {
    int64_t n;
    int32_t d, k;
    double objective, explained;
    int32_t iterations;
    char digest[40];
    demarc_segment_row *segment; /**< [k], owned by the result */
    char *diagnostics_json;      /**< owned by the result; rank 0 only, NULL elsewhere */
} demarc_fit_result;

/** Local. Frees what the result owns and zeroes it. */
DEMARC_API void demarc_fit_result_clear(demarc_fit_result *r);

/**
 * Ask the fit or boundary test that is running in this process, or else the next one, to save a checkpoint and stop. Local;
 * safe in a signal handler, which is what it is for: the library itself handles no signals. All ranks stop when one is asked.
 * demarc_stability stops, too, but keeps nothing.
 * @param[in] signal_number  > 0; named in the error line
 */
DEMARC_API void demarc_stop_request(int signal_number);

/**
 * Scale, seed, mini-batch, polish, assign; write the results directory `out` whole or not at all.
 *
 * While it runs, checkpoints go to `.NAME.checkpoint` beside `out` (FOLDER/NAME); they are gone when it has succeeded. With
 * `resume` it goes on from there on any layout, to the same bytes; without a checkpoint it begins; and where `out` is
 * already the result of the same options and data it says so and gives that.
 *
 * Collective. The same input, options and seed give the same bytes in /segment, /centroids, objective and digest for
 * every number of ranks and threads, kernel variant and memory limit.
 *
 * @param[out] result  May be NULL. Cleared by demarc_fit_result_clear().
 * @retval DEMARC_ERR_USAGE       an option is out of range or names an unknown feature; the checkpoint is of other options
 *                                or data
 * @retval DEMARC_ERR_EXISTS      `out` exists and force is false; or a checkpoint does, and neither resume nor force is set
 * @retval DEMARC_ERR_DATA        the customer file is unreadable or holds bad values; no checkpoint is whole, or (resume
 *                                without force) a file of the finished results is missing or damaged
 * @retval DEMARC_ERR_IMPOSSIBLE  fewer distinct customers than segments
 * @retval DEMARC_ERR_IO          reading or writing failed; nothing is left behind but a checkpoint, if one was saved
 * @retval DEMARC_STOPPED         by demarc_stop_request(): the line says whether a checkpoint was saved, or that there was
 *                                nothing to save yet
 */
DEMARC_API demarc_status demarc_fit(demarc_context *ctx, const demarc_fit_options *o, demarc_fit_result *result);

/* ------------------------------------------------------------------------------------------------ select */

typedef struct demarc_select_options {
    /** How every k of fit.k_lo to fit.k_hi is searched, as in a fit; fit.min_segment_share only counts in the recommendation
     *  (0: 0.01); out, force, dry_run, resume and the checkpoints of it do not count. */
    demarc_fit_options fit;
    int32_t replicates; /**< Poisson-bootstrap replicates of each k, over a sample; 0 = no stability */
    int32_t gap_draws;  /**< reference draws of the gap statistic, 0 = no gap, else >= 2 */
    int32_t halvings;   /**< of the prediction strength; 0 = none */
    const char *out;    /**< file for the document; NULL = none */
    bool force, dry_run;
} demarc_select_options;

DEMARC_API void demarc_select_options_default(demarc_select_options *o);
/**
 * How many segments: fits every k, measures it over all customers and, by replicates, over a sample of them, and recommends
 * one, or none where nothing speaks for segments.
 *
 * Collective. The document does not depend on the layout.
 * @param[out] json  rank 0: malloc'd, the caller frees; NULL elsewhere and with dry_run
 * Errors as demarc_fit; DEMARC_ERR_IMPOSSIBLE where no k at all can be fitted.
 */
DEMARC_API demarc_status demarc_select(demarc_context *ctx, const demarc_select_options *o, char **json);

/* ------------------------------------------------------------------------------------------------ assign, verify */

typedef struct demarc_assign_options {
    const char *data;
    demarc_paths paths;
    const char *model; /**< model.h5 */
    const char *out;   /**< assignments file to create */
    bool force, dry_run;
} demarc_assign_options;

typedef struct demarc_assign_result {
    int64_t n;
    int32_t d, k;
    double objective;
    char digest[40]; /**< as in a fit: of labels, distances, centroids and objective */
    int64_t *size;   /**< [k], owned by the result */
    char **name;     /**< [k] names of the segments, owned by the result */
} demarc_assign_result;

DEMARC_API void demarc_assign_options_default(demarc_assign_options *o);
DEMARC_API void demarc_assign_result_clear(demarc_assign_result *r);
/**
 * Exact assignment of any customer file with a saved model. Features are matched by name when both sides have names
 * (any order; extra ones are ignored), by position otherwise.
 * Collective. Errors as demarc_fit; DEMARC_ERR_DATA also for a missing feature or a model of another width.
 */
DEMARC_API demarc_status demarc_assign(demarc_context *ctx, const demarc_assign_options *o, demarc_assign_result *r);

typedef struct demarc_verify_options {
    const char *run;  /**< results directory */
    const char *data; /**< NULL = the input path in its manifest */
} demarc_verify_options;

typedef struct demarc_verify_result {
    int64_t n;
    int32_t k;
    double objective;
    char digest[40];
} demarc_verify_result;

DEMARC_API void demarc_verify_options_default(demarc_verify_options *o);
/**
 * Recompute labels, runner-ups, distances, margins, sizes, objective and digest from the input by brute force in
 * double precision (no BLAS) and compare with what is stored.
 * Collective. @retval DEMARC_ERR_VERIFY  something differs: the first row or figure is named.
 */
DEMARC_API demarc_status demarc_verify(demarc_context *ctx, const demarc_verify_options *o, demarc_verify_result *r);

/* ------------------------------------------------------------------------------------------------ export */

typedef enum demarc_export_format { DEMARC_EXPORT_CSV, DEMARC_EXPORT_SQLITE, DEMARC_EXPORT_PMML } demarc_export_format;

typedef struct demarc_export_options {
    const char *run; /**< results directory of a fit */
    demarc_export_format format;
    const char *out;   /**< file to create */
    const char *names; /**< SEGMENT=NAME,... as in a fit, for this file; NULL = the run's */
    bool force, dry_run;
} demarc_export_options;

typedef struct demarc_export_result {
    int64_t rows; /**< customers written; 0 for PMML */
    int32_t d, k;
    int64_t bytes;    /**< of the file */
    int64_t formulas; /**< CSV: ids and names that a spreadsheet may take for formulas; written as they are */
    char digest[40];  /**< of the run */
} demarc_export_result;

DEMARC_API void demarc_export_options_default(demarc_export_options *o);
/**
 * Write the results of a fit for other programs: every customer with id, segment, name, distance, runner-up and margin as
 * CSV (RFC 4180) or as an SQLite database, or the model as PMML 4.4. Equal results give equal bytes on any layout.
 * Collective; rank 0 writes.
 * @param[out] result  May be NULL.
 * @retval DEMARC_ERR_DATA        a file of the run is missing or damaged, or they are not of one run
 * @retval DEMARC_ERR_IMPOSSIBLE  PMML of a model whose boundaries were moved
 */
DEMARC_API demarc_status demarc_export(demarc_context *ctx, const demarc_export_options *o,
                                       demarc_export_result *result);

/* ------------------------------------------------------------------------------------------------ boundary tests */

/*
 * Boundary tests over a frozen model. Common rules: collective; the customer file is read, never changed; results are one
 * JSON document (rank 0: malloc'd, the caller frees; NULL elsewhere) whose bytes do not depend on the layout.
 * Errors of all: DEMARC_ERR_USAGE an option is out of range, DEMARC_ERR_EXISTS an output exists and force is false,
 * DEMARC_ERR_DATA a file is unreadable, holds bad values, or does not fit the model (other width, missing features, another
 * model's digest), DEMARC_ERR_IO reading or writing failed; then nothing is left behind.
 *
 * Sweep, replay and plan keep checkpoints as a fit does where their options give a place for them, and then heed
 * demarc_stop_request(): DEMARC_STOPPED, the line says whether a checkpoint was saved, and with `resume` the same call goes
 * on, on any layout, to the same bytes. Then DEMARC_ERR_USAGE is also a checkpoint of other options or data,
 * DEMARC_ERR_EXISTS one that neither resume nor force was given for, DEMARC_ERR_DATA one of which no generation is whole.
 * With `resume`, outputs that the same call has made already are found finished, and their report is given again.
 * An analysis reads only the customers of an experiment: it is not stopped.
 */

typedef enum demarc_adjust { DEMARC_ADJUST_HOLM, DEMARC_ADJUST_BH } demarc_adjust;

typedef struct demarc_sweep_options {
    const char *data; /**< customer file with /outcomes (without: members and objective only) */
    demarc_paths paths;
    const char *model;  /**< model.h5 */
    const char *shifts; /**< comma-separated shares, each > -1, not 0; NULL = -0.2,-0.1,-0.05,0.05,0.1,0.2 */
    int32_t replicates; /**< Poisson-bootstrap replicates, >= 0; 0 = no intervals and no verdicts */
    double alpha;       /**< family-wise level, also of the intervals: 1 - alpha; (0, 1) */
    demarc_adjust adjust;
    int64_t min_cell;   /**< fewer movers than this: "not enough data"; also of the customers they are held against */
    int64_t min_events; /**< a binary outcome needs this many ones and zeros among the movers */
    uint64_t seed;
    const char *out;       /**< HDF5 file of /id, /segment, /critical_offset [n, k]; NULL = none */
    const char *apply;     /**< model.h5 to write with segment apply_segment moved by apply_shift; NULL = none */
    int32_t apply_segment; /**< default -1: with apply it must be given */
    double apply_shift;    /**< > -1, not 0; need not be one of `shifts` */
    const char *
        checkpoint; /**< checkpoints are kept in .NAME.checkpoint beside this name; NULL = beside `out`, else `apply`, else nowhere */
    double checkpoint_every; /**< seconds between two, >= 0; 0 = only when asked to stop */
    bool resume;             /**< go on from the checkpoint of an interrupted run, if there is one */
    bool force, dry_run;     /**< dry_run: check, log the plan; *json is NULL */
} demarc_sweep_options;

DEMARC_API void demarc_sweep_options_default(demarc_sweep_options *o);
/** What would change if each segment held more or fewer customers. Observational. */
DEMARC_API demarc_status demarc_boundary_sweep(demarc_context *ctx, const demarc_sweep_options *o, char **json);

typedef struct demarc_replay_options {
    const char *data; /**< customer file with /outcomes and /arm */
    demarc_paths paths;
    const char *model;
    const char *shifts;  /**< as in a sweep */
    const char *outcome; /**< comma-separated names; NULL = all */
    const char *arms;    /**< arms that the policy may give, comma-separated names or numbers; NULL = all */
    const char *
        control; /**< name or number of the control arm, "none"; NULL = as the file says, else the arm named control, else arm 0 */
    const char
        *arm_shares; /**< shares that the campaign was designed with, comma-separated; NULL = equal (or /propensity) */
    const char
        *policy; /**< SEGMENT=ARM,...: the policy to value, every segment once, not with arms; NULL = it is learnt */
    /** ARM=COST,...: what giving an arm to a customer costs, units of the one outcome asked for; NULL = nothing. Policies
     *  are learnt, and values and changes told, net of it; effects are told gross. */
    const char *arm_costs;
    double alpha;
    demarc_adjust adjust;
    double srm_alpha;   /**< a sample-ratio p-value below this stops the verdicts */
    int64_t min_cell;   /**< customers per cell needed to choose an arm or to judge */
    int64_t min_events; /**< of a 0/1 outcome, how many of each value are needed to judge */
    uint64_t seed;      /**< of the halves */
    /** model.h5 to write with the one boundary moved that gains most, among the significant gains of the first outcome
     *  asked for; NULL = none. Where nothing gains a warning is logged and nothing is written. */
    const char *apply;
    const char *
        checkpoint; /**< checkpoints are kept in .NAME.checkpoint beside this name; NULL = beside `apply`, else nowhere */
    double checkpoint_every; /**< seconds between two, >= 0; 0 = only when asked to stop */
    bool resume;             /**< go on from the checkpoint of an interrupted run, if there is one */
    bool force, dry_run;
} demarc_replay_options;

DEMARC_API void demarc_replay_options_default(demarc_replay_options *o);
/** Value of giving each segment its arm, and of moving boundaries, from a past randomised campaign. *json stays NULL with dry_run. */
DEMARC_API demarc_status demarc_boundary_replay(demarc_context *ctx, const demarc_replay_options *o, char **json);

typedef struct demarc_plan_options {
    const char *data;
    demarc_paths paths;
    const char *model;
    const char *out;         /**< directory to create: experiment.h5, plan.json */
    const char *boundaries;  /**< A-B,...: pairs of segments; NULL = all that have customers in the band */
    double band;             /**< largest margin of a customer in the experiment, scaled units; 0 = by band_share */
    double band_share;       /**< share of the two segments' customers that share the facet, nearest first; (0, 1] */
    int32_t distance_strata; /**< quantiles of the margin per boundary and side, >= 1 */
    double switch_share;     /**< probability to be switched, (0, 1) */
    const char *salt;        /**< key of the hash that assigns; NULL = drawn from the model's digest and the seed */
    const char *outcome;     /**< /outcomes column whose spread sizes the test; NULL = the first */
    double outcome_sd;       /**< its standard deviation where there is no such column; 0 = from the column */
    double effect;           /**< smallest effect worth finding, in units of the outcome; 0 = 0.1 standard deviations */
    double alpha, power;
    int64_t min_cell;
    uint64_t seed;
    double checkpoint_every; /**< seconds between checkpoints beside `out`, >= 0; 0 = only when asked to stop */
    bool resume;             /**< go on from the checkpoint of an interrupted run, if there is one */
    bool force,
        dry_run; /**< force also accepts a design that is too small; a dry run makes the design and writes nothing */
} demarc_plan_options;

DEMARC_API void demarc_plan_options_default(demarc_plan_options *o);
/** Design a randomised experiment around boundaries. @retval DEMARC_ERR_IMPOSSIBLE  underpowered and not forced */
DEMARC_API demarc_status demarc_boundary_plan(demarc_context *ctx, const demarc_plan_options *o, char **json);

typedef struct demarc_analyze_options {
    const char *experiment; /**< experiment.h5 of a plan */
    const char *results;    /**< HDF5 file with /id and /outcomes of the customers in it; further rows are an error */
    demarc_paths paths;     /**< in `results` */
    const char *model;      /**< the frozen model; NULL allowed without apply */
    const char *outcome;    /**< column to analyse; NULL = the plan's */
    const char *pre;        /**< pre-period column for CUPED; NULL = none */
    double alpha;           /**< 0 = the plan's */
    demarc_adjust adjust;
    double srm_alpha, max_attrition;
    int64_t min_cell, min_events;
    const char *apply; /**< model.h5 to write with the moved offsets; NULL = none */
    bool force, dry_run;
} demarc_analyze_options;

DEMARC_API void demarc_analyze_options_default(demarc_analyze_options *o);
/** Effect of switching per boundary, where it crosses zero, and what to do. */
DEMARC_API demarc_status demarc_boundary_analyze(demarc_context *ctx, const demarc_analyze_options *o, char **json);

/* ------------------------------------------------------------------------------------------------ compare */

typedef struct demarc_compare_options {
    const char *old_run, *new_run;   /**< results directories of two fits */
    const char *old_data, *new_data; /**< customer files; NULL = as their manifests say */
    double alpha;                    /**< level of all tests of a family together; intervals have 1 - alpha each */
    int32_t bins;                    /**< of the population stability index, at the quantiles of the old values */
    double equivalence;              /**< margin of "as expected", standard deviations of the outcome */
    const char *out;                 /**< JSON file to write; NULL = none */
    bool force, dry_run;             /**< dry_run: check, log the plan; *json is NULL */
} demarc_compare_options;

DEMARC_API void demarc_compare_options_default(demarc_compare_options *o);
/**
 * Two runs over the same or different customers, joined by id: which segment is which, who moved and whether the customer,
 * the scaling or the model changed, how features drifted, whether segments bring what they brought. Collective.
 *
 * @param[out] json  Rank 0: one document (src/report/schema/compare.schema.json), malloc'd, the caller frees; NULL elsewhere.
 * @retval DEMARC_ERR_DATA        runs of other features or widths, ids of different kinds, a damaged run, a file that is not
 *                                the one that was fitted
 * @retval DEMARC_ERR_IMPOSSIBLE  no customer is in both runs
 */
DEMARC_API demarc_status demarc_compare(demarc_context *ctx, const demarc_compare_options *o, char **json);

/* ------------------------------------------------------------------------------------------------ info */

typedef struct demarc_info_options {
    const char *path; /**< customer file, model, assignments, results directory, experiment or critical offsets */
    demarc_paths paths;
} demarc_info_options;

DEMARC_API void demarc_info_options_default(demarc_info_options *o);
/**
 * Describe a file. Collective.
 * @param[out] json  Rank 0: one JSON document (see src/report/schema), malloc'd, the caller frees; NULL elsewhere.
 */
DEMARC_API demarc_status demarc_info(demarc_context *ctx, const demarc_info_options *o, char **json);

/* ------------------------------------------------------------------------------------------------ report */

typedef struct demarc_report_options {
    const char *run;       /**< results directory of a fit */
    const char *out;       /**< HTML file to create */
    const char *boundary;  /**< FILE,...: answers of boundary sweep, replay, plan and analyze (--json); NULL = none */
    const char *select;    /**< answer of select; NULL = none */
    const char *stability; /**< answer of stability; NULL = none */
    const char *compare;   /**< answer of compare whose NEW is this run; NULL = none */
    const char *names;     /**< SEGMENT=NAME,...: in the place of the run's; NULL = the run's */
    const char *data;      /**< customer file of the run; NULL = as the manifest names it */
    bool no_map;           /**< leave out what needs the customer file: the map, the values of example customers */
    bool force, dry_run;
} demarc_report_options;

DEMARC_API void demarc_report_options_default(demarc_report_options *o);
/**
 * Write one self-contained HTML page about a run. Collective; the page's bytes do not depend on the layout.
 * @param[out] json  Rank 0: what was written (schema/report.schema.json), malloc'd, the caller frees; NULL elsewhere and
 *                   with dry_run.
 * @retval DEMARC_ERR_DATA        a file is missing, damaged or about another run
 * @retval DEMARC_ERR_IMPOSSIBLE  built without the page
 */
DEMARC_API demarc_status demarc_report(demarc_context *ctx, const demarc_report_options *o, char **json);
/* ------------------------------------------------------------------------------------------------ diagnosis */

typedef struct demarc_stability_options {
    const char *data;
    demarc_paths paths;
    const char *model;  /**< model.h5 */
    int32_t replicates; /**< >= 2 */
    int32_t polish;     /**< passes of Lloyd over all customers; -1 = 0 where the sample is everybody, else 2 */
    double level;       /**< of the percentile intervals, (0, 1) */
    int32_t across_lo, across_hi; /**< numbers of segments to compare with; 0, 0 = none */
    const char *probabilities;    /**< file of membership probabilities to write, or NULL */
    const char *out;              /**< file to write the document to, or NULL */
    uint64_t seed;
    bool force, dry_run;
} demarc_stability_options;

DEMARC_API void demarc_stability_options_default(demarc_stability_options *o);
/**
 * How stable the segments of a model are: Poisson-bootstrap replicates keyed by customer id are fitted anew and held against
 * the model (Hennig 2007; Dolnicar & Leisch 2017). Features are matched as by demarc_assign.
 *
 * Collective. The same bytes for every number of ranks and threads, kernel variant, memory limit and order of rows. Stops
 * on demarc_stop_request() within one pass.
 *
 * @param[out] json  Rank 0: one JSON document (see src/report/schema), malloc'd, the caller frees; NULL elsewhere and for a
 *                   dry run.
 * @retval DEMARC_ERR_IMPOSSIBLE  a replicate with fewer customers than segments
 * @retval DEMARC_STOPPED         nothing is left behind
 */
DEMARC_API demarc_status demarc_stability(demarc_context *ctx, const demarc_stability_options *o, char **json);

/* ------------------------------------------------------------------------------------------------ generate, import */

typedef struct demarc_generate_options {
    const char *out;
    bool force, dry_run;
    int64_t customers;
    int32_t features, segments;
    uint64_t seed;
    double separation;    /**< distance between segment centres in units of the within-segment sd */
    int32_t arms;         /**< arms of a randomised campaign, control included; 0 = no campaign */
    bool outcomes;        /**< write /outcomes */
    double missing_share; /**< share of feature values that are missing, [0, 1) */
} demarc_generate_options;

DEMARC_API void demarc_generate_options_default(demarc_generate_options *o);
/** Write synthetic customers with known truth. Collective; rows depend only on (seed, row). */
DEMARC_API demarc_status demarc_generate(demarc_context *ctx, const demarc_generate_options *o);

typedef struct demarc_import_options {
    const char *in; /**< CSV path, "-" = stdin */
    const char *out;
    bool force, dry_run;
    char delimiter;          /**< default ',' */
    const char *id;          /**< column name or NULL */
    const char *weight;      /**< column name or NULL */
    const char *features;    /**< comma-separated names; NULL = every column not used otherwise */
    const char *exclude;     /**< comma-separated names to leave out */
    const char *categorical; /**< comma-separated names to one-hot encode */
    const char *outcomes;    /**< comma-separated names or NULL */
    const char *arm;         /**< column name or NULL */
    const char *control;     /**< value of the arm column that is arm 0, or NULL */
    const char *reachable;   /**< comma-separated names or NULL */
    bool float32;            /**< store features as float32 (default float64: what the text says) */
} demarc_import_options;

typedef struct demarc_import_result {
    int64_t rows;
    int32_t features;
    int64_t missing; /**< feature values that were empty */
} demarc_import_result;

DEMARC_API void demarc_import_options_default(demarc_import_options *o);
/** CSV (RFC 4180, header row) to customer file, streaming. Collective; rank 0 does the work. */
DEMARC_API demarc_status demarc_import(demarc_context *ctx, const demarc_import_options *o, demarc_import_result *r);

#ifdef __cplusplus
}
#endif
#endif
