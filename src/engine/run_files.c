#include "engine/run_files.h"

#include <stdlib.h>
#include <string.h>

demarc_status dm_run_path(char out[DM_RUN_PATH], const char *dir, const char *name)
{
    const int n = snprintf(out, DM_RUN_PATH, "%s/%s", dir, name);
    if (n < 0 || n >= DM_RUN_PATH) return dm_fail(DEMARC_ERR_USAGE, "path too long: %s: use a shorter one", dir);
    return DEMARC_OK;
}

demarc_status dm_run_manifest(demarc_context *ctx, const char *path, dm_manifest_facts *f)
{
    demarc_status st = DEMARC_OK;
    const bool root = dm_comm_rank(ctx->comm) == 0;
    const char **text[] = {(const char **)&f->input_path,
                           &f->paths.features,
                           &f->paths.id,
                           &f->paths.weight,
                           &f->paths.outcomes,
                           &f->paths.arm,
                           &f->paths.propensity,
                           &f->paths.reachable};
    if (root) st = dm_manifest_read(path, f);
    DM_TRY_ALL(ctx->comm, st);
    dm_comm_bcast(ctx->comm, f->digest, sizeof f->digest, 0);
    dm_comm_bcast(ctx->comm, f->input_digest, sizeof f->input_digest, 0);
    dm_comm_bcast(ctx->comm, &f->objective, sizeof f->objective, 0);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        int64_t length = root && *text[i] != NULL ? (int64_t)strlen(*text[i]) + 1 : 0;
        dm_comm_bcast(ctx->comm, &length, sizeof length, 0);
        if (length == 0) continue;
        char *copy = root ? (char *)(uintptr_t)*text[i] : malloc((size_t)length);
        DM_TRY_ALL(ctx->comm,
                   copy != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: paths: free some memory"));
        dm_comm_bcast(ctx->comm, copy, length, 0);
        *text[i] = copy;
    }
cleanup:
    return st;
}
