/*
 * Rows of the synthetic population: each depends only on (seed, options, row), never on the layout or the number of
 * customers, so a longer file begins with the rows of a shorter one.
 */
#ifndef DM_EXCHANGE_SYNTHETIC_ROWS_H
#define DM_EXCHANGE_SYNTHETIC_ROWS_H

#include "exchange/synthetic_model.h"

/** Ids are a bijection of [0, 2^44), so there can be no more customers than this. */
#define DM_SYNTHETIC_MAX_CUSTOMERS (INT64_C(1) << 44)

/** Buffers of the caller for `count` rows; arm and outcome may be NULL (not wanted). */
typedef struct dm_synthetic_buffers {
    float *feature;   /* [count, d] */
    int64_t *id;      /* [count] */
    int32_t *segment; /* [count] */
    int32_t *arm;     /* [count] */
    float *outcome;   /* [count, 4]: pre_spend, visit, conversion, spend */
    uint8_t *reach;   /* [count, 3] */
} dm_synthetic_buffers;

/** Fill rows [begin, begin + count), OpenMP-parallel over rows. Local. */
void dm_synthetic_rows(const dm_synthetic *m, int64_t begin, int64_t count, const dm_synthetic_buffers *out);

/** What is drawn once for a customer. */
typedef struct dm_synthetic_customer {
    int32_t segment, arm;
    float factor[4]; /* the fourth is spare */
} dm_synthetic_customer;

/** Local. */
dm_synthetic_customer dm_synthetic_draw(const dm_synthetic *m, int64_t row);
/** Latent values of a row, x[d]. Local. */
void dm_synthetic_latent(const dm_synthetic *m, int64_t row, const dm_synthetic_customer *c, float *x);
/** Id of a row: unique, in [1, 2^44], not in row order. Local. */
int64_t dm_synthetic_id(uint64_t seed, int64_t row);

/** Four standard normals from four words by Box & Muller (1958); |value| < 6.8. */
void dm_synthetic_normal4(float out[4], dm_random4 r);

#endif
