/*
 * A fit under way: what the parts of demarc_fit share. All functions are collective and internal to the engine.
 *
 *   fit.c           options, input, order of phases
 *   fit_search.c    the search for segments: one k or LO:HI
 *   fit_choose.c    which k of LO:HI
 *   fit_resume.c    checkpoints: what a fit depends on, what is saved (resume.h)
 *   fit_finished.c  results that are there already
 *   fit_rename.c    new names for the segments of results that are there already
 *   fit_report.c    results: assignments, model, diagnostics, manifest
 */
#ifndef DM_ENGINE_FIT_RUN_H
#define DM_ENGINE_FIT_RUN_H

#include "engine/context.h"
#include "engine/final_pass.h"
#include "engine/fit_state.h"
#include "engine/resume.h"
#include "kmeans/kmeans.h"
#include "report/diagnostics.h"
#include "rows/scaling.h"
#include "store/assignments_file.h"
#include "store/output.h"

enum {
    DM_PHASE_READ,
    DM_PHASE_SCAN,
    DM_PHASE_SEED,
    DM_PHASE_MINIBATCH,
    DM_PHASE_POLISH,
    DM_PHASE_ASSIGN,
    DM_PHASE_WRITE,
    DM_FIT_TIMES
};

/* How closely a k of LO:HI is looked at before it is chosen. */
typedef struct dm_choice_options {
    int32_t replicates, gap_draws, halvings; /* 0 = not computed */
    int64_t most;                            /* customers in the sample */
    double min_share;
} dm_choice_options;

/* All that a fit owns; zero is empty. */
typedef struct dm_fit_run {
    demarc_context *ctx;
    const demarc_fit_options *o;
    dm_output output;
    dm_customers *customers;
    dm_rows *rows;
    dm_transform transform;
    dm_scan scan;
    double *bound;
    dm_kmeans km;
    bool have_km;
    double *given; /* --init FILE in working space, [k_lo, d] */
    bool select;   /* only which k: the search may be of one k, too, and nothing is written */
    dm_choice_options choice;
    dm_fit_state state;
    dm_model model; /* of state.chosen */
    dm_diagnostics g;
    dm_strings names; /* --names */
    dm_assignments_writer writer;
    /* what an earlier run left */
    dm_resume resume; /* what it depends on is listed here; left: the state, then what is kept of the final pass */
    bool adopted;     /* the dead run's temporary results are gone on with */
    const dm_final_run *final; /* the final pass at its edge; NULL elsewhere */
    bool leave;                /* the last checkpoint counts on the temporary results */
    bool maybe_finished;       /* the output is there, of the same options */
    /* figures */
    double seconds[DM_FIT_TIMES];
    int64_t bytes[DM_FIT_TIMES];
    double *peak; /* [ranks] */
    double start;
    char started_utc[32];
    char input_modified[48]; /* when the input was last changed, before it was read; rank 0, "" elsewhere */
} dm_fit_run;

/* ---- fit_search.c ---- */

/** What --init asks for. */
dm_init dm_fit_init_of(const char *word);
/** Read --init FILE into run->given. */
demarc_status dm_fit_load_init(dm_fit_run *run);
/** Model of `f` without what only the final pass knows; destroyed by the caller also after an error. Local. */
demarc_status dm_fit_make_model(const dm_fit_run *run, const dm_fitted *f, dm_model *m);
/** From run->state on until state.chosen holds the segments and the phase is assign. */
demarc_status dm_fit_search(dm_fit_run *run);

/* ---- fit_choose.c ---- */

/** What a fit of LO:HI does unless told otherwise: a quicker look than demarc_select's. Local. */
dm_choice_options dm_fit_choice_default(const demarc_fit_options *o);
/** Complete the records of state.tried over a sample, recommend, and move one of state.kept to state.chosen. */
demarc_status dm_fit_choose(dm_fit_run *run);
/** The recommendation alone, which follows from the records and is not in checkpoints. Local. */
void dm_fit_recommend(dm_fit_run *run);

/* ---- fit.c ---- */

/** Refuse options that no fit can have; `out` may be NULL where nothing is written. Local. */
demarc_status dm_fit_check_options(const demarc_fit_options *o);
/** Everything up to the search: input, what an earlier run left (o->out not NULL), rows. */
demarc_status dm_fit_prepare(dm_fit_run *run, bool *finished);
/** Is there room for the results? Nothing is asked of temporary results that were adopted. @retval DEMARC_ERR_IO */
demarc_status dm_fit_check_room(const dm_fit_run *run);
void dm_fit_run_clear(dm_fit_run *run);

/* ---- fit_resume.c ---- */

/**
 * Early: look for a checkpoint and for finished results, and refuse what does not go with these options.
 * @retval DEMARC_ERR_EXISTS  a checkpoint is there, but neither --resume nor --force was given
 * @retval DEMARC_ERR_USAGE   it is of another fit
 */
demarc_status dm_fit_look_back(dm_fit_run *run);
/** Once the input is scanned and scaled: list run->resume.data. */
demarc_status dm_fit_describe_data(dm_fit_run *run);
/** Go on from the checkpoint, or begin; run->state is filled and can be saved from now on. */
demarc_status dm_fit_restore(dm_fit_run *run);
/** Hexadecimal digests of the options without the program's version, and of the data. Local. */
demarc_status dm_fit_digests(const dm_fit_run *run, char options[33], char data[33]);

/* ---- fit_finished.c ---- */

/** Rank 0: are there results of the same options under the output's name? Local. @retval DEMARC_ERR_MEMORY */
demarc_status dm_fit_same_options(const dm_fit_run *run, bool *same);
/** Rank 0: refuse what is there under the output's name, saying why it is not this fit's; nothing if no fit made it. Local. */
demarc_status dm_fit_refuse_others(const dm_fit_run *run);
/**
 * Were the results that are there made from the same data, and are they whole? Needs run->resume.data and maybe_finished.
 * @param[out] finished  false: they are to be replaced (--force)
 * @retval DEMARC_ERR_EXISTS  the input is another one and --force was not given
 * @retval DEMARC_ERR_DATA    a file is missing or damaged and --force was not given
 */
demarc_status dm_fit_is_finished(dm_fit_run *run, bool *finished);
/** The result of the finished run, as far as it is read back: k == 0 where diagnostics.json is too large for that. */
demarc_status dm_fit_read_finished(dm_fit_run *run, demarc_fit_result *r);

/* ---- fit_rename.c ---- */

/**
 * Write --names into the finished run's model.h5 and diagnostics.json; other names stay as they are.
 * @retval DEMARC_ERR_USAGE  two segments would have one name
 */
demarc_status dm_fit_rename(dm_fit_run *run);
/** Tell of --names for segments that k has not got: a range was asked for, and they are not used. */
void dm_fit_warn_of_names(const dm_fit_run *run, int32_t k);

/* ---- fit_report.c ---- */

demarc_status dm_fit_write_assignments(dm_fit_run *run);
/** @param[out] diagnostics  text of diagnostics.json on rank 0, malloc'd */
demarc_status dm_fit_write_reports(dm_fit_run *run, char **diagnostics);
/** Local. @param[in,out] diagnostics  taken over */
demarc_status dm_fit_fill_result(const dm_diagnostics *g, int32_t iterations, demarc_fit_result *r, char **diagnostics);

#endif
