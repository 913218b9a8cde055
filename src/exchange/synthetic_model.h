/*
 * The world behind `demarc generate`: a population whose segments, correlations and campaign effects are known.
 *
 * Latent space. Customer i of segment z has latent values x_i = c_z + e_i, one per feature column. The noise
 *     e_ij = a_j . f_i + s g_ij,   f_i ~ N(0, I_F),  g_ij ~ N(0, 1),  |a_j|^2 = rho,  s^2 = 1 - rho
 * has unit variance in every column and F <= 3 common factors, so columns are correlated within a segment too.
 * rho = min(0.4, F / d): the variance along a factor stays near 2 whatever d is, so that a segment is never longer than
 * the distance to its neighbours at the default separation. The noise covariance is A A' + s^2 I.
 *
 * Centres. c_z = step x (cell_z - mean cell) . axes: cells of an integer grid in M <= 3 dimensions (1 for K = 2, 2 for
 * K <= 4, else 3, at most d), laid into latent space by M orthonormal axes that lean to value (many orders, much money,
 * recent), digital and bargain hunting, and are orthogonal to the factors (F = min(3, d - M) leaves room for them).
 * step = separation x s, and s is the sd of the noise along every line in the span of the axes. So `separation` means
 * exactly this: every segment has a neighbour at that distance, none is closer, and two neighbours overlap like two
 * unit normals that far apart; of two equally large ones, a share Phi(-separation / 2) of the customers lies beyond the
 * mid-plane. As the axes are orthogonal to the factors that plane is also the Bayes boundary, that is, Euclidean
 * nearest-centre is the right rule in latent space.
 *
 * Features. The first columns look like a retailer's: a monotone map of the latent value divided by the column's total
 * sd `spread` (log-normal amounts, logistic shares, rounded counts; two groups of shares by a softmax of their latent
 * values). All further columns, latent_01 and on, are the latent values themselves.
 *
 * Outcomes. pre_spend (before the campaign), visit, conversion, spend, from the segment and the first common factor:
 *     base = logistic(visit_z + 0.35 f_0)
 *     P(visit | arm a) = base + effect_a, clipped to [0.005, 0.995], with effect_a = slope_a (threshold_a - x_e)
 * where x_e is the latent value of the column `effect_column` (email_open_rate; with fewer than 8 columns
 * recency_days). So the effect of arm a changes sign at x_e = threshold_a and nowhere else. Conversion follows from a
 * visit, spend from a conversion, with chances that do not depend on the arm: their effects change sign there too.
 */
#ifndef DM_EXCHANGE_SYNTHETIC_MODEL_H
#define DM_EXCHANGE_SYNTHETIC_MODEL_H

#include "base/counter_rng.h"
#include "base/status.h"

#define DM_SYNTHETIC_AXES 3
#define DM_SYNTHETIC_FACTORS 3
#define DM_SYNTHETIC_CHANNELS 3
#define DM_SYNTHETIC_OUTCOMES 4
#define DM_SYNTHETIC_MAX_ARMS 64
#define DM_SYNTHETIC_RETAIL 24 /* retail-like columns; the others are latent_01, ... */

/** Streams: the `step` of dm_random. Those above STREAM_COLUMNS hold four columns a step. */
enum {
    DM_STREAM_CUSTOMER = 0, /* index = row: segment, arm */
    DM_STREAM_FACTORS = 1,  /* index = row */
    DM_STREAM_REACH = 2,    /* index = row */
    DM_STREAM_BUY = 3,      /* index = row: visit, conversion */
    DM_STREAM_SPEND = 4,    /* index = row */
    DM_STREAM_ID = 5,
    DM_STREAM_TRAITS = 6,  /* index = segment */
    DM_STREAM_EFFECT = 7,  /* index = arm */
    DM_STREAM_LOADING = 8, /* index = 3 x column + factor */
    DM_STREAM_AXIS = 9     /* + axis + 3 x attempt; index = column */
};
#define DM_STREAM_NOISE (UINT64_C(1) << 32)   /* + column / 4; index = row */
#define DM_STREAM_MISSING (UINT64_C(1) << 33) /* + column / 4; index = row */

/** What is the same for all customers of a segment. */
typedef struct dm_synthetic_segment {
    double coordinate[DM_SYNTHETIC_AXES]; /* of the centre along the axes, latent units */
    double visit, conversion, spend;      /* shifts of the two logits and of log spend */
    double reach[DM_SYNTHETIC_CHANNELS];  /* chance that a customer may be contacted */
} dm_synthetic_segment;

typedef struct dm_synthetic {
    uint64_t seed;
    int32_t d, k, arms;       /* arms 0 = no campaign */
    int32_t factors, axes;    /* F, M */
    double rho, own_sd, step; /* see above; own_sd = s */
    double missing_share;
    double *share;                 /* [k], falls with the segment, smallest >= 0.4 / k */
    double *cumulative;            /* [k], last = 1 */
    dm_synthetic_segment *segment; /* [k] */
    double *axis;                  /* [axes, d] orthonormal */
    double *loading;               /* [factors, d] */
    double *spread;                /* [d] sd of the latent column over the whole population (which has mean 0) */
    float *basis;                  /* [6, d]: the axes, then the loadings, zero where there are fewer */
    float *inverse_spread;         /* [d] */
    float map_shift[DM_SYNTHETIC_RETAIL], map_slope[DM_SYNTHETIC_RETAIL]; /* exponent of a map = shift + slope y */
    int32_t effect_column;
    double effect_threshold[DM_SYNTHETIC_MAX_ARMS]; /* latent units; NaN for the control */
    double effect_slope[DM_SYNTHETIC_MAX_ARMS];     /* change of P(visit) per latent unit; 0 for the control */
} dm_synthetic;

/**
 * Draw the world from options that have been checked. Local; the same on every rank.
 * @retval DEMARC_ERR_MEMORY  then *m is cleared
 */
demarc_status dm_synthetic_create(dm_synthetic *m, const demarc_generate_options *o);
void dm_synthetic_clear(dm_synthetic *m);

/** Name of column j ("recency_days", ..., "latent_01", ...) into buf. */
void dm_synthetic_feature_name(int32_t j, char buf[32]);

/** Features of one row from its latent values, in place: x [d] latent -> feature units. */
void dm_synthetic_map(const dm_synthetic *m, float *x);

/** Latent value (of a retail column that is not in a softmax group, or any generic one) -> feature units. */
double dm_synthetic_map_column(const dm_synthetic *m, int32_t j, double latent);

/** Centre of segment z in latent space, [d]. */
void dm_synthetic_center(const dm_synthetic *m, int32_t z, double *center);

/** P(visit) of a customer of segment z with first factor f0 and latent value x of the effect column, under `arm`. */
double dm_synthetic_visit(const dm_synthetic *m, int32_t z, int32_t arm, double f0, double x);

/**
 * Mean effect of each arm on P(visit) within segment z, effect[arms]; effect[0] = 0.
 *
 * The pair (f_0, x_e) is bivariate normal within a segment; trapezoid rule on [-6, 6]^2 with step 1/4. Without the
 * clipping the value would be slope_a (threshold_a - c_z,e).
 */
void dm_synthetic_segment_effect(const dm_synthetic *m, int32_t z, double *effect);

#endif
