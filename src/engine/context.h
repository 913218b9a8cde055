/* The context behind every public call: ranks, threads, kernels, log. */
#ifndef DM_ENGINE_CONTEXT_H
#define DM_ENGINE_CONTEXT_H

#include "base/log.h"
#include "comm/comm.h"
#include "dmk.h"
#include "rows/rows.h"
#include "store/checkpoint_file.h"
#include "store/external.h"

struct demarc_context {
    dm_comm *comm;
    dm_log log;
    demarc_runtime runtime;
    const dmk_table *kernel;
    dmk_table blas; /* --kernel blas: the best variant but for its fused search */
    int threads;
    dm_checkpoint_folder *awaiting; /* checkpoints of a report that has not arrived yet; NULL = none; rank 0 */
};

/** Rows of `file` as this context reads them. */
demarc_status dm_context_rows(demarc_context *ctx, dm_customers *file, int32_t d, const int32_t *column, bool stream,
                              demarc_store store, dm_rows **rows);

/** Names of what we run on, for the manifest and --version. Static strings. */
const char *dm_version_commit(void);
const char *dm_version_compiler(void);
const char *dm_version_hdf5(void);

#endif
