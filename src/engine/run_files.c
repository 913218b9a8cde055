#include "engine/run_files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/path_tools.h"

demarc_status dm_run_find(dm_run_files *files, const char *dir)
{
    char *const path[] = {files->model, files->assignments, files->manifest, files->diagnostics};
    static const char *const name[] = {"model.h5", "assignments.h5", "manifest.json", "diagnostics.json"};
    for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
        const int n = snprintf(path[i], DM_RUN_PATH, "%s/%s", dir, name[i]);
        if (n < 0 || n >= DM_RUN_PATH) return dm_fail(DEMARC_ERR_USAGE, "path too long: %s: use a shorter one", dir);
    }
    return DEMARC_OK;
}

demarc_status dm_run_spare(dm_comm *comm, const char *output, const dm_run_files *files)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_output_spare_input(comm, output, files->model));
    DM_TRY(dm_output_spare_input(comm, output, files->assignments));
    DM_TRY(dm_output_spare_input(comm, output, files->manifest));
    DM_TRY(dm_output_spare_input(comm, output, files->diagnostics));
cleanup:
    return st;
}

static demarc_status room_beside(const char *path, int64_t bytes)
{
    demarc_status st = DEMARC_OK;
    char *trimmed = dm_path_trimmed(path), *parent = trimmed == NULL ? NULL : dm_path_parent(trimmed);
    if (parent == NULL) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: paths: free some memory");
    } else if (access(parent, F_OK) == 0) {
        st = dm_output_room(trimmed, bytes);
    }
    free(parent);
    free(trimmed);
    return st;
}

demarc_status dm_run_room(dm_comm *comm, const dm_output *output, const char *path, int64_t bytes)
{
    demarc_status st = DEMARC_OK;
    if (dm_comm_rank(comm) == 0) {
        if (output->active) {
            st = dm_output_room(output->temp_path, bytes);
        } else if (path != NULL) {
            st = room_beside(path, bytes);
        }
    }
    return dm_comm_agree(comm, st);
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
        *text[i] = copy;
        DM_TRY_ALL(ctx->comm,
                   copy != NULL ? DEMARC_OK : dm_fail(DEMARC_ERR_MEMORY, "out of memory: paths: free some memory"));
        dm_comm_bcast(ctx->comm, copy, length, 0);
    }
cleanup:
    return st;
}
