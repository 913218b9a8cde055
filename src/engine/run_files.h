/* The files of a results directory, and what its manifest says, on every rank. */
#ifndef DM_ENGINE_RUN_FILES_H
#define DM_ENGINE_RUN_FILES_H

#include "engine/context.h"
#include "report/diagnostics.h"
#include "store/output.h"

#define DM_RUN_PATH 4096

/** Paths of what is in a results directory. */
typedef struct dm_run_files {
    char model[DM_RUN_PATH], assignments[DM_RUN_PATH], manifest[DM_RUN_PATH], diagnostics[DM_RUN_PATH];
} dm_run_files;

/** Local. @retval DEMARC_ERR_USAGE  too long */
demarc_status dm_run_find(dm_run_files *files, const char *dir);
/** An output must not take the place of one of them (dm_output_spare_input). Collective. */
demarc_status dm_run_spare(dm_comm *comm, const char *output, const dm_run_files *files);

/**
 * Is there room for `bytes` where `output` is being made, or, on a dry run, where `path` would be? Collective.
 * @param[in] path  as the user named it; NULL, or in a folder that is not there: nothing is asked
 * @retval DEMARC_ERR_IO  no
 */
demarc_status dm_run_room(dm_comm *comm, const dm_output *output, const char *path, int64_t bytes);

/**
 * Rank 0 reads the manifest; the others get the input's path, the names of its datasets, the digests of result and input, and the
 * objective. Collective.
 * @param[out] f  cleared by dm_manifest_facts_clear() also after an error
 */
demarc_status dm_run_manifest(demarc_context *ctx, const char *path, dm_manifest_facts *f);

#endif
