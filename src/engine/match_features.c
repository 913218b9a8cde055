#include "engine/match_features.h"

demarc_status dm_match_features(const dm_customers *file, const dm_model *model, int32_t *column, bool *identity)
{
    const dm_schema *s = dm_customers_schema(file);
    const bool by_name = s->named && model->named;
    if (!by_name && s->d != model->d) {
        return dm_fail(DEMARC_ERR_DATA,
                       "model of another width: %s has %d features, the model %d, and names to match them by are "
                       "missing: give a file with the model's features",
                       dm_customers_path(file), (int)s->d, (int)model->d);
    }
    *identity = s->d == model->d;
    for (int32_t f = 0; f < model->d; f++) {
        column[f] = by_name ? dm_strings_find(&s->feature, model->feature.item[f]) : f;
        if (column[f] < 0) {
            return dm_fail(DEMARC_ERR_DATA, "feature missing: %s has no feature '%s', which the model needs: add it",
                           dm_customers_path(file), model->feature.item[f]);
        }
        if (column[f] != f) *identity = false;
    }
    return DEMARC_OK;
}
