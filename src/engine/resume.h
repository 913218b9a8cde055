/*
 * What an earlier run of a command left, and whether it is of this one.
 *
 * The result depends on the options (`options`) and on what is found in files (`data`). Both are kept as lists of names and
 * values, so that a refusal can say what differs.
 *
 * Payload of a checkpoint: options, data, resumes so far, name of the temporary output (the head); then the command's own.
 * Collective unless it says "local".
 */
#ifndef DM_ENGINE_RESUME_H
#define DM_ENGINE_RESUME_H

#include "base/text.h"
#include "engine/checkpoint.h"

typedef struct dm_resume {
    dm_checkpoint checkpoint;
    const char *what;         /* "fit" */
    const char *out;          /* output that the checkpoints lie beside */
    const char *temporary_of; /* output whose temporary the head names; NULL = none */
    dm_strings options, data; /* what the result depends on, a "name<TAB>value" each: as asked, as found in files */
    char *payload;            /* of the checkpoint to go on from; NULL = none */
    dm_unpacker left;         /* of the payload, after the head */
    dm_strings old_data;      /* `data` in it */
    char *old_temporary;      /* temporary output of the dead run (last part of the path) */
    int32_t count;            /* times this run was resumed */
    bool results;             /* it seems finished: that there is no checkpoint is not worth a line */
    bool anew;                /* --force: what an earlier run left goes when this one is sure to begin; rank 0 */
} dm_resume;

/** Add a name and its value. Local. */
__attribute__((format(printf, 3, 4))) demarc_status dm_resume_add(dm_strings *list, const char *name, const char *fmt,
                                                                  ...);
/** The value of a line that is of `name`, else NULL. Local. */
const char *dm_resume_value(const char *line, const char *name);
/** Of "a,b" or "a=1,b=2", NULL = not given: the same line in whichever order the items were given. Local. */
demarc_status dm_resume_add_sorted(dm_strings *list, const char *name, const char *given);
/** The first lines of r->options, which are not asked for: version of the program, command (r->what). Local. */
demarc_status dm_resume_add_program(dm_resume *r);
#define DM_RESUME_ASKED 2 /* how many they are */
/** "not given" for NULL. Local. */
const char *dm_resume_or_none(const char *text);
/** Of a dataset that is `usual` ("/id") unless another is given: "not given" where it is that. Local. */
const char *dm_resume_dataset(const char *given, const char *usual);
/** "NAME was OLD, is NEW"; of long values what lies around the first difference. Local. */
void dm_resume_tell(char *buf, size_t size, const char *name, const char *was, const char *is);
/** Hexadecimal digest of the lines from `from` on. Local. */
demarc_status dm_resume_digest(const dm_strings *list, int32_t from, char hex[33]);

/**
 * Early: look for a checkpoint beside r->out, and refuse what does not go with r->options.
 * @retval DEMARC_ERR_EXISTS  a checkpoint is there, but neither resume nor force was given
 * @retval DEMARC_ERR_USAGE   it is of other options
 */
demarc_status dm_resume_look_back(dm_resume *r, bool resume, bool force);
/** The input is read and good: what --force throws away goes now. */
demarc_status dm_resume_begin_anew(dm_resume *r);
/** Once r->data is listed. @retval DEMARC_ERR_USAGE  the checkpoint is of other data */
demarc_status dm_resume_check_data(const dm_resume *r);
/** The head. Local. @param[in] temporary  last part of the path of the temporary output; NULL = none */
void dm_resume_pack_head(const dm_resume *r, dm_packer *p, const char *temporary);
/** What a dead run left goes; where its checkpoint cannot be read its temporary output stays. Local, rank 0. */
demarc_status dm_resume_clear_away(dm_resume *r);
/** The end: checkpoints of a run that is done, or can never be done, are of no use. Local, rank 0. */
void dm_resume_forget(dm_resume *r);
/** Frees all; the checkpoints on disk stay. Safe on a zeroed struct. */
void dm_resume_end(dm_resume *r);

#endif
