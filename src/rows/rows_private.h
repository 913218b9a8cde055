/* What the files of this room share: the struct and the raw pass under everything. */
#ifndef DM_ROWS_ROWS_PRIVATE_H
#define DM_ROWS_ROWS_PRIVATE_H

#include "rows/rows.h"

struct dm_rows {
    dm_rows_options o;
    int64_t n;
    dm_row_range range;
    int32_t d, stored; /* features used, columns in the file */
    bool weighted, streamed;
    int width;        /* bytes of a stored value as read: 2 half, 4 float32 (exactly), 8 double */
    bool keep_half;   /* the shard stays as stored halves, every pass scales them anew */
    bool have_raw;    /* shard or half holds stored values, not scaled */
    bool have_scaled; /* shard holds working-space values */
    float *shard;     /* [n_local, d] or NULL */
    uint16_t *half;   /* [n_local, d] or NULL, keep_half only */
    float *weight;    /* [n_local] or NULL */
    dm_transform transform;
    struct dm_scaler *scaler; /* for passes that scale as they go, from dm_rows_scale() on */
    int64_t slab_rows;        /* rows read at once, a multiple of DM_BLOCK_ROWS */
    int64_t tile_rows;        /* rows converted at once by a thread */
    bool direct;              /* threads read their blocks themselves, past HDF5 */
    int64_t bytes_read;
    double read_seconds;
};

/** Stored values of one block: exactly one of f16, f32, f64 is set, [rows, stored]. */
typedef struct dm_raw_block {
    int64_t begin, rows;
    const uint16_t *f16;
    const float *f32;
    const double *f64;
    const float *w;
} dm_raw_block;
typedef void (*dm_raw_fn)(void *context, int thread, const dm_raw_block *block);

/** Give every block of stored values in [begin, end) to fn. Local. */
demarc_status dm_rows_raw_pass(dm_rows *rows, int64_t begin, int64_t end, dm_raw_fn fn, void *context);

/** The flags [d], or NULL when none is set: what dm_rows_plain() and dm_rows_convert() take. */
const uint8_t *dm_rows_flags(const dm_rows *rows, const uint8_t *log1p);

/** True when stored values are the features used as they are: kernels may take them without dm_rows_convert(). */
bool dm_rows_plain(const dm_rows *rows, const uint8_t *log1p);
/** Stored value i of a raw block, counted over [rows, stored]. */
double dm_rows_stored(const dm_rows *rows, const dm_raw_block *block, int64_t i);

/**
 * Rows [from, from + rows) of a raw block as doubles of the features used, T applied: out [rows, d].
 * Values T cannot take (log1p of <= -1) become -infinity.
 */
void dm_rows_convert(const dm_rows *rows, const dm_raw_block *block, int64_t from, int64_t count, const uint8_t *log1p,
                     double *out);

#endif
