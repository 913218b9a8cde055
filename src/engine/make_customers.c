/* demarc_generate and demarc_import: makers of customer files. */
#include "engine/context.h"
#include "exchange/csv_import.h"
#include "exchange/generate.h"

void demarc_generate_options_default(demarc_generate_options *o)
{
    *o = (demarc_generate_options){.customers = 1000000, .features = 24, .segments = 6, .separation = 4.0};
}

demarc_status demarc_generate(demarc_context *ctx, const demarc_generate_options *o)
{
    return dm_generate(ctx->comm, &ctx->log, o, ctx->runtime.io);
}

void demarc_import_options_default(demarc_import_options *o) { *o = (demarc_import_options){.delimiter = ','}; }

demarc_status demarc_import(demarc_context *ctx, const demarc_import_options *o, demarc_import_result *r)
{
    return dm_csv_import(ctx->comm, &ctx->log, o, ctx->runtime.io, r);
}
