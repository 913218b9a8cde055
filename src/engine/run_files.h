/* The files of a results directory, and what its manifest says, on every rank. */
#ifndef DM_ENGINE_RUN_FILES_H
#define DM_ENGINE_RUN_FILES_H

#include "engine/context.h"
#include "report/diagnostics.h"

#define DM_RUN_PATH 4096

/** out = dir/name. Local. @retval DEMARC_ERR_USAGE  too long */
demarc_status dm_run_path(char out[DM_RUN_PATH], const char *dir, const char *name);

/**
 * Rank 0 reads the manifest; the others get the input's path and what was recorded. Collective.
 * @param[out] f  cleared by dm_manifest_facts_clear() also after an error
 */
demarc_status dm_run_manifest(demarc_context *ctx, const char *path, dm_manifest_facts *f);

#endif
