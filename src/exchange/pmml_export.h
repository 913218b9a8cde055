/*
 * A model as PMML 4.4: ClusteringModel, center-based, squared Euclidean distance (Data Mining Group 2019,
 * dmg.org/pmml/v4-4). Local: rank 0.
 *
 * Inputs are the features in original units; DerivedFields bring them into working space (model_file.h), where the
 * centroids stand:
 *
 *   derived = (T(v) - origin) * factor / unit    T(v) = ln1p(v) where asked, else v; kept as float, as demarc does
 *
 * and fieldWeight = unit^2, so that a distance is in scaled space. The arithmetic is demarc's own, step by step, so a
 * scorer in double precision that honours dataType="float" finds the same segments but for exact ties.
 *
 *   - Missing values: replaced (--missing mean) by what T carries to its mean, or the record is invalid (error).
 *   - ln1p fields are valid above -1.
 *   - Names: repeated ones get "#index", as in diagnostics.json; characters that XML cannot hold read \\xNN.
 *   - Outputs: segment (predictedValue), segment_name (predictedDisplayValue), squared_distance (affinity).
 *
 * PMML compares a record with centres alone: a model whose boundaries were moved (offsets, a power diagram) is refused.
 */
#ifndef DM_EXCHANGE_PMML_EXPORT_H
#define DM_EXCHANGE_PMML_EXPORT_H

#include "exchange/export_rows.h"

/**
 * @param[in] path  file to write, replaced; removed by the caller after an error
 * @retval DEMARC_ERR_IMPOSSIBLE  an offset is not 0
 */
demarc_status dm_pmml_export(const dm_export_source *from, const char *path);

#endif
