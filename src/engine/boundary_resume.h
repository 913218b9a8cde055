/*
 * Checkpoints of the boundary commands: where they lie, what they depend on, and what of the command they hold, which is its
 * journal (boundary/journal.h).
 *
 * They lie beside the output that --checkpoint names, or else --out, or else --apply, as those of a fit do
 * (store/checkpoint_file.h). A command without any of them writes no file, and so keeps none. Collective.
 *
 * With --resume, outputs that are there already may be this command's own: by the same options and data (store/made.h). All
 * of them: it is finished, and its report is in them. Some: it died between two renames, and makes them again.
 */
#ifndef DM_ENGINE_BOUNDARY_RESUME_H
#define DM_ENGINE_BOUNDARY_RESUME_H

#include "engine/frozen_model.h"
#include "engine/resume.h"
#include "store/made.h"
#include "store/output.h"

/** Everything borrowed. */
typedef struct dm_boundary_resume_options {
    const char *what;       /* "boundary sweep" */
    const char *checkpoint; /* --checkpoint, NULL = not given */
    const char *out, *apply;
    const char *inside; /* --out is a directory: its HDF5 file, which has no report, and that of the report, */
    const char *report; /* or NULL both */
    double every;
    bool resume, force;
    bool campaign;           /* the test reads /arm and /propensity */
    bool dry_run;            /* nothing is looked for or kept */
    const dm_output *output; /* its temporary goes when the run that made it is dead; NULL = none */
} dm_boundary_resume_options;

typedef struct dm_boundary_resume {
    const dm_boundary_resume_options *o;
    demarc_context *ctx;
    dm_resume resume;
    dm_journal *journal; /* NULL = nothing is kept */
    dm_made made;        /* what is to be told in outputs; its report comes from the command */
    char found[33];      /* digest of the data of outputs that are there */
    bool own;            /* outputs that are there are this command's own, and may be made again */
    bool finished;       /* all of them are there: nothing is left to do */
} dm_boundary_resume;

/** Local. @retval DEMARC_ERR_USAGE  resume without a place, or not a number of seconds */
demarc_status dm_boundary_resume_check(const dm_boundary_resume_options *o);
/**
 * First of all, before any output is begun; then r->resume.options are listed.
 * @param[in] o  borrowed until dm_boundary_resume_end()
 */
demarc_status dm_boundary_resume_begin(dm_boundary_resume *r, demarc_context *ctx, const dm_boundary_resume_options *o);
/** The paths of the customer file, as options. Local. */
demarc_status dm_boundary_resume_paths(dm_boundary_resume *r, const demarc_paths *p);
/** Then: what is left, see dm_resume_look_back(); sets `own`, before outputs are begun. */
demarc_status dm_boundary_resume_look_back(dm_boundary_resume *r);
/** Whether outputs that are there may be replaced. Local. */
bool dm_boundary_resume_replaces(const dm_boundary_resume *r);
/** dm_frozen_model_open(), which a signal may stop. */
demarc_status dm_boundary_resume_open(dm_boundary_resume *r, dm_frozen_model *m, demarc_context *ctx, const char *model,
                                      const char *data, const demarc_paths *paths);
/**
 * Refuse other data; sets `finished`. If it is not, r->journal is there from now on, and belongs into the dm_frozen.
 * @retval DEMARC_ERR_USAGE   the checkpoint is of other data
 * @retval DEMARC_ERR_EXISTS  the finished output is of other data
 */
demarc_status dm_boundary_resume_restore(dm_boundary_resume *r, const dm_frozen_model *m);
/** The report of a finished command, malloc'd, on rank 0; NULL on others. */
demarc_status dm_boundary_resume_report(const dm_boundary_resume *r, char **json);
/** What made the output; `json` is its report on rank 0. NULL where nothing is told. Borrowed from r. Local. */
const dm_made *dm_boundary_resume_made(dm_boundary_resume *r, const char *json);
/** All is done: the checkpoints go. @param[in] kept  the report is in a file; otherwise they may wait for it to arrive */
void dm_boundary_resume_forget(dm_boundary_resume *r, bool kept);
/** Of a run that ended with `st`: where it can never end otherwise, its checkpoints go, too. Safe on a zeroed struct. */
void dm_boundary_resume_end(dm_boundary_resume *r, demarc_status st);

#endif
