#include "engine/moved_model.h"

#include <string.h>

#include "base/memory.h"
#include "stats/digest.h"
#include "store/output.h"

static demarc_status moved_digest(const dm_model *model, const double *offsets, char digest[40])
{
    const size_t text = sizeof model->digest, bytes = (size_t)model->k * sizeof *offsets;
    char *all = NULL, hex[33];
    demarc_status st = dm_alloc_zero(all, (int64_t)(text + bytes), "digest");
    if (st != DEMARC_OK) return st;
    memcpy(all, model->digest, strlen(model->digest));
    memcpy(all + text, offsets, bytes);
    dm_hash128_hex(all, text + bytes, hex);
    snprintf(digest, 40, "%s", hex);
    dm_free(all);
    return DEMARC_OK;
}

demarc_status dm_moved_model_write(demarc_context *ctx, const dm_model *model, const double *offsets,
                                   const int64_t *size, const dm_made *made, const char *path, bool force)
{
    demarc_status st = DEMARC_OK;
    dm_output output = {0};
    dm_model moved = *model; /* borrows all arrays but the two that differ */
    DM_TRY(dm_output_begin(&output, ctx->comm, path, DM_OUTPUT_FILE, force));
    DM_TRY_ALL(ctx->comm, moved_digest(model, offsets, moved.digest));
    memcpy(moved.moved_from, model->digest, sizeof moved.moved_from);
    moved.offsets = (double *)(uintptr_t)offsets;
    if (size != NULL) moved.size = (int64_t *)(uintptr_t)size;
    DM_TRY(dm_model_write(ctx->comm, &moved, made, output.temp_path));
    DM_TRY(dm_output_commit(&output, ctx->comm));
cleanup:
    dm_output_abandon(&output, ctx->comm);
    return st;
}
