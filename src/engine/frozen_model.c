#include "engine/frozen_model.h"

#include "base/memory.h"
#include "engine/guard_rails.h"
#include "engine/match_features.h"
#include "rows/scaling.h"

#define ID_CHECK_BYTES (INT64_C(64) << 20)

demarc_status dm_frozen_model_find(dm_frozen_model *m, demarc_context *ctx, const char *model, const char *data,
                                   const demarc_paths *paths, demarc_status contradiction)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_model_read(ctx->comm, &m->model, model, contradiction));
    DM_TRY(dm_customers_open(&m->customers, ctx->comm, data, paths));
    DM_TRY_ALL(ctx->comm, dm_alloc(m->column, m->model.d, "features"));
    DM_TRY_ALL(ctx->comm, dm_match_features(m->customers, &m->model, m->column, &m->identity));
cleanup:
    return st;
}

demarc_status dm_frozen_model_load(dm_frozen_model *m, demarc_context *ctx, bool stream)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_customers_check_ids(m->customers, ctx->comm, ctx->threads, ID_CHECK_BYTES));
    DM_TRY(dm_context_rows(ctx, m->customers, m->model.d, m->identity ? NULL : m->column, stream, DEMARC_STORE_AUTO,
                           &m->rows));
    DM_TRY(dm_rows_scan(m->rows, m->model.transform.log1p, &m->scan));
    DM_TRY_ALL(ctx->comm, dm_scaling_check_values(m->rows, &m->scan, m->model.transform.impute));
    DM_TRY_ALL(ctx->comm, dm_scaling_check_range(m->rows, &m->scan, &m->model.transform));
    DM_TRY(dm_rows_scale(m->rows, &m->model.transform));
    dm_guard_threads(ctx);
cleanup:
    return st;
}

demarc_status dm_frozen_model_open(dm_frozen_model *m, demarc_context *ctx, const char *model, const char *data,
                                   const demarc_paths *paths, bool stream, demarc_status contradiction)
{
    const demarc_status st = dm_frozen_model_find(m, ctx, model, data, paths, contradiction);
    return st == DEMARC_OK ? dm_frozen_model_load(m, ctx, stream) : st;
}

void dm_frozen_model_close(dm_frozen_model *m)
{
    dm_rows_close(&m->rows);
    dm_customers_close(&m->customers);
    dm_scan_destroy(&m->scan);
    dm_free(m->column);
    dm_model_destroy(&m->model);
    *m = (dm_frozen_model){0};
}

dm_frozen dm_frozen_model_view(dm_frozen_model *m, demarc_context *ctx)
{
    return (dm_frozen){.comm = ctx->comm,
                       .log = &ctx->log,
                       .kernel = ctx->kernel,
                       .threads = ctx->threads,
                       .memory_limit = ctx->runtime.memory_limit,
                       .rows = m->rows,
                       .customers = m->customers,
                       .model = &m->model};
}
