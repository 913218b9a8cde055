/* --apply: a model whose offsets were moved, for assign. Collective. */
#ifndef DM_ENGINE_MOVED_MODEL_H
#define DM_ENGINE_MOVED_MODEL_H

#include "engine/context.h"
#include "store/made.h"

/**
 * Write `model` with other offsets as a model of its own, whole or not at all. Its digest is of the old digest and the new
 * offsets, and it names the old one as moved_from; objective and iterations stay those of the fit.
 * @param[in] offsets  [k] scaled units squared
 * @param[in] size     [k] customers after the move; NULL = not known: those of the fit stay
 * @param[in] made     NULL = not told
 * @retval DEMARC_ERR_EXISTS, DEMARC_ERR_IO
 */
demarc_status dm_moved_model_write(demarc_context *ctx, const dm_model *model, const double *offsets,
                                   const int64_t *size, const dm_made *made, const char *path, bool force);

#endif
