/*
 * The model: centroids, offsets, and all that is needed to bring a new row into scaled space. model.h5.
 *
 * Three coordinate systems
 *  - original: what the customer file holds.
 *  - scaled (contract): scaled = (T(v) - center) * factor, T = log1p where asked, factor = feature weight / scale.
 *  - working: working = (T(v) - origin) * factor / unit, float32. Origin is the mean, so values keep their differences
 *    when rounded to float32; unit is a power of two (1 unless the data are extremely large or small). Distances in
 *    working space times unit are distances in scaled space.
 * Centroids are kept in working space as the fit used them, so that assigning again gives the same bits.
 */
#ifndef DM_STORE_MODEL_FILE_H
#define DM_STORE_MODEL_FILE_H

#include "base/text.h"
#include "store/made.h"

typedef struct dm_transform {
    int32_t d;
    demarc_scale scale;
    bool impute;    /* missing values become `fill` */
    uint8_t *log1p; /* [d] 1 = T is log1p */
    double *center; /* [d] */
    double *factor; /* [d] >= 0; 0 = the feature does not count */
    double *origin; /* [d] mean of T(v) */
    double unit;    /* power of two */
} dm_transform;

/**
 * A transform of d features that is all zero but for `unit`, which is 1. Local; dm_transform_destroy() frees it.
 * @retval DEMARC_ERR_MEMORY  *t is all zero
 */
demarc_status dm_transform_create(dm_transform *t, int32_t d);
void dm_transform_destroy(dm_transform *t);
/** Working to scaled and original units, and back; local. `f` is a feature. */
double dm_transform_to_scaled(const dm_transform *t, int32_t f, double working);
double dm_transform_to_original(const dm_transform *t, int32_t f, double working);
double dm_transform_to_working(const dm_transform *t, int32_t f, double original);

typedef struct dm_model {
    int32_t k, d;
    dm_strings feature; /* [d] */
    bool named;         /* false: names were made up, match by position */
    dm_strings segment; /* [k] names of the segments; a model read from a file always has them */
    bool segments_told; /* false: the file has none ("segment J" stands for them), and none are written */
    dm_transform transform;
    double *centroids; /* [k, d] working space */
    double *offsets;   /* [k] scaled units squared */
    int64_t *size;     /* [k] */
    double objective;  /* scaled space */
    char digest[40];
    uint64_t seed;
    int32_t iterations;
    char created_utc[32];
    char
        moved_from[40]; /* digest of the model whose offsets were moved to make this one; "" = it is as it was fitted */
} dm_model;

/**
 * A model of k segments and d features without names; its transform as dm_transform_create() makes it, all else zero.
 * Local; dm_model_destroy() frees it, the names that were added since too.
 * @retval DEMARC_ERR_MEMORY  *m is all zero
 */
demarc_status dm_model_create(dm_model *m, int32_t k, int32_t d);
void dm_model_destroy(dm_model *m);

/** Write model.h5 at `path`. Collective over comm; rank 0 writes. @param[in] made  NULL = not told */
demarc_status dm_model_write(dm_comm *comm, const dm_model *m, const dm_made *made, const char *path);

/**
 * Read a model on every rank (rank 0 reads, the others receive). Collective.
 * @param[in] contradiction  status when /centroids or /centroids_scaled, which are for people, do not say what
 *                           /transform says: DEMARC_ERR_DATA, or DEMARC_ERR_VERIFY for verify
 * @retval DEMARC_ERR_DATA  missing, not HDF5, damaged or contradictory; the line names the file and what is wrong
 */
demarc_status dm_model_read(dm_comm *comm, dm_model *m, const char *path, demarc_status contradiction);

/**
 * /centroids [k, d] in original units from any HDF5 file (--init FILE), on every rank. Collective.
 * @param[out] centroids  [k, d]
 * @retval DEMARC_ERR_DATA  another shape, not numbers, not finite
 */
demarc_status dm_centroids_read(dm_comm *comm, const char *path, int32_t k, int32_t d, double *centroids);

#endif
