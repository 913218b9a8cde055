/*
 * A saved model over a customer file, checked and scaled: what assign, verify and the boundary tests begin with.
 * Collective.
 */
#ifndef DM_ENGINE_FROZEN_MODEL_H
#define DM_ENGINE_FROZEN_MODEL_H

#include "boundary/frozen.h"
#include "engine/context.h"

typedef struct dm_frozen_model {
    dm_model model;
    dm_customers *customers;
    dm_rows *rows;
    int32_t *column; /* [d] of the file for each feature of the model */
    bool identity;   /* which is the same */
    dm_scan scan;
} dm_frozen_model;

/**
 * Open both, match the features, check ids and values, scale.
 * @param[in] stream         never hold the rows (one pass is to come); else they are held where memory allows
 * @param[in] contradiction  status of a model that contradicts itself (store/model_file.h)
 */
demarc_status dm_frozen_model_open(dm_frozen_model *m, demarc_context *ctx, const char *model, const char *data,
                                   const demarc_paths *paths, bool stream, demarc_status contradiction);
/** The same in two steps: what needs no values; then their checks and scaling, as in dm_frozen_model_open(). */
demarc_status dm_frozen_model_find(dm_frozen_model *m, demarc_context *ctx, const char *model, const char *data,
                                   const demarc_paths *paths, demarc_status contradiction);
demarc_status dm_frozen_model_load(dm_frozen_model *m, demarc_context *ctx, bool stream);
/** Safe on a zeroed struct. */
void dm_frozen_model_close(dm_frozen_model *m);
/** The same as boundary tests see it; borrows from both. */
dm_frozen dm_frozen_model_view(dm_frozen_model *m, demarc_context *ctx);

#endif
