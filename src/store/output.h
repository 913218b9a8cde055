/*
 * Output that appears whole or not at all: a temporary name beside the final one, fsync, rename.
 *
 * Collective; rank 0 touches the file system, all ranks learn the outcome and the temporary path.
 */
#ifndef DM_STORE_OUTPUT_H
#define DM_STORE_OUTPUT_H

#include <sys/types.h>

#include "comm/comm.h"

typedef enum dm_output_kind {
    DM_OUTPUT_FILE,
    DM_OUTPUT_DIRECTORY, /* results of a fit: model.h5, assignments.h5, diagnostics.json, manifest.json */
    DM_OUTPUT_PLAN       /* a directory too: experiment.h5, plan.json */
} dm_output_kind;

typedef struct dm_output {
    dm_output_kind kind;
    bool force;
    bool active;      /* a temporary exists that commit or abandon must deal with */
    char *final_path; /* as the user wrote it, without trailing slashes */
    char *temp_path;  /* where to write; a file or a directory that exists (all ranks see it) */
    int lock;         /* of the temporary, held until it is committed or abandoned (store/temporary.h); rank 0 */
    mode_t
        mode; /* of the temporary as it was made; while it is to replace something only its owner may look in; rank 0 */
} dm_output;

/**
 * Refuse or accept `path`, then create the temporary. Everything that can be refused early is refused here, before
 * hours of work: an existing output without force, a missing or read-only parent, a directory that holds other
 * people's files (force replaces only a directory of its own kind, so neither a fit nor a plan is lost to the other).
 * @retval DEMARC_ERR_EXISTS  exists and !force
 * @retval DEMARC_ERR_IO      parent missing, not writable, ...
 */
demarc_status dm_output_begin(dm_output *o, dm_comm *comm, const char *path, dm_output_kind kind, bool force);

/**
 * Refuse an output that is `input` or a directory that holds it: inputs are never changed. Collective; rank 0 looks.
 * @param[in] out, input  NULL (or an input that does not exist) is nothing to refuse
 * @retval DEMARC_ERR_USAGE
 */
demarc_status dm_output_spare_input(dm_comm *comm, const char *out, const char *input);

/** dst = temp_path (+ "/" + name for a directory); freed by free(). Local. */
demarc_status dm_output_path(const dm_output *o, const char *name, char **dst);

/**
 * fsync all that was written, rename to the final name, fsync the parent. On failure the temporary is removed and an
 * output that was to be replaced is as it was (but for file systems that cannot exchange two names).
 */
demarc_status dm_output_commit(dm_output *o, dm_comm *comm);

/** Remove the temporary if there is one; free. Safe on a zeroed struct and after commit. Local work on rank 0. */
void dm_output_abandon(dm_output *o, dm_comm *comm);

/**
 * Remove the temporary `name` (last part of its path) that a dead run into `path` left behind; nothing happens where the
 * name is not one that dm_output_begin() gives, or the temporary is another user's or gone. Local.
 * @retval DEMARC_ERR_MEMORY  nothing was done
 */
demarc_status dm_output_remove_dead(const char *path, const char *name);

/**
 * Take the temporary `name` that a dead run into the same output left, with all that is in it, instead of the one that
 * dm_output_begin() made, which is removed. Collective.
 * @param[out] adopted  false: there is no such directory of ours, nothing has changed
 */
demarc_status dm_output_adopt(dm_output *o, dm_comm *comm, const char *name, bool *adopted);

/**
 * Remove the temporaries that dead runs into `path` left behind, those of runs at work excepted; of files dm_output_begin()
 * does it. Local.
 */
void dm_output_sweep(const char *path, dm_output_kind kind);

/** From now on the temporary stays where it is when it is abandoned, for a later run to adopt. Local. */
void dm_output_leave(dm_output *o);

/** DEMARC_OK if the file system of `path` has room for `bytes` more; else the line says how much is free. Local. */
demarc_status dm_output_room(const char *path, int64_t bytes);

#endif
