/* Which column of a customer file holds each feature of a model. Local. */
#ifndef DM_ENGINE_MATCH_FEATURES_H
#define DM_ENGINE_MATCH_FEATURES_H

#include "store/customer_file.h"
#include "store/model_file.h"

/**
 * By name when both sides have names (any order, extra columns ignored), else by position (same number of columns).
 * @param[out] column  [model->d]
 * @param[out] identity  true when column[f] == f for all and the file has no other columns
 * @retval DEMARC_ERR_DATA  a feature of the model is missing, or the widths differ
 */
demarc_status dm_match_features(const dm_customers *file, const dm_model *model, int32_t *column, bool *identity);

#endif
