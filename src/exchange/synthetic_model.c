#include "exchange/synthetic_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "exchange/portable_math.h"

/* How a latent value y in units of the column's total sd becomes a feature. */
typedef enum map_kind {
    MAP_AMOUNT, /* scale exp(slope y): log-normal */
    MAP_COUNT,  /* floor(1/2 + scale exp(slope y)): skewed counts, zeros included where scale is small */
    MAP_SHARE,  /* scale logistic(shift + slope y): in (0, scale) */
    MAP_GROUP   /* softmax of slope y within the group: shares that add up to 1 */
} map_kind;

typedef struct retail_column {
    const char *name;
    map_kind kind;
    float scale, shift, slope;
    int group_size;                /* MAP_GROUP: set on the first column of the group, 0 on the others */
    float lean[DM_SYNTHETIC_AXES]; /* how much it says of a customer's value, digital habits, hunt for bargains */
} retail_column;

static const retail_column retail[] = {
    {"recency_days", MAP_AMOUNT, 45.0F, 0.0F, 0.6F, 0, {-0.9F, -0.2F, 0.1F}},
    {"frequency_orders", MAP_COUNT, 4.0F, 0.0F, 0.6F, 0, {0.9F, 0.3F, 0.1F}},
    {"monetary_total", MAP_AMOUNT, 220.0F, 0.0F, 0.6F, 0, {0.9F, 0.1F, -0.2F}},
    {"tenure_days", MAP_SHARE, 3650.0F, -0.7F, 0.9F, 0, {0.6F, -0.5F, 0.2F}},
    {"basket_size", MAP_AMOUNT, 2.8F, 0.0F, 0.4F, 0, {0.6F, -0.2F, -0.5F}},
    {"discount_share", MAP_SHARE, 1.0F, -1.0F, 0.9F, 0, {-0.2F, 0.2F, 0.9F}},
    {"online_share", MAP_SHARE, 1.0F, 0.0F, 1.2F, 0, {0.1F, 0.9F, 0.1F}},
    {"email_open_rate", MAP_SHARE, 1.0F, -1.1F, 0.9F, 0, {0.5F, 0.6F, 0.4F}},
    {"return_rate", MAP_SHARE, 1.0F, -2.3F, 0.8F, 0, {0.1F, 0.6F, -0.5F}},
    {"category_fashion", MAP_GROUP, 1.0F, 0.0F, 0.8F, 6, {0.2F, 0.7F, -0.4F}},
    {"category_home", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.3F, -0.6F, -0.2F}},
    {"category_electronics", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.2F, 0.5F, -0.7F}},
    {"category_grocery", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.5F, -0.6F, 0.5F}},
    {"category_beauty", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.2F, 0.6F, 0.3F}},
    {"category_sports", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.1F, 0.3F, -0.4F}},
    {"visits_from_search", MAP_GROUP, 1.0F, 0.0F, 0.8F, 3, {-0.2F, 0.3F, -0.6F}},
    {"visits_from_email", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {0.5F, 0.3F, 0.6F}},
    {"visits_from_social", MAP_GROUP, 1.0F, 0.0F, 0.8F, 0, {-0.3F, 0.8F, 0.3F}},
    {"days_between_orders", MAP_AMOUNT, 38.0F, 0.0F, 0.5F, 0, {-0.9F, -0.2F, 0.1F}},
    {"average_order_value", MAP_AMOUNT, 55.0F, 0.0F, 0.5F, 0, {0.6F, 0.1F, -0.7F}},
    {"visits_per_month", MAP_AMOUNT, 3.0F, 0.0F, 0.6F, 0, {0.6F, 0.7F, 0.2F}},
    {"app_sessions", MAP_COUNT, 6.0F, 0.0F, 0.6F, 0, {0.4F, 0.9F, 0.1F}},
    {"loyalty_points", MAP_COUNT, 800.0F, 0.0F, 0.6F, 0, {0.9F, 0.1F, 0.4F}},
    {"support_contacts", MAP_COUNT, 0.7F, 0.0F, 0.6F, 0, {0.2F, 0.4F, -0.2F}},
};
enum { RETAIL_COLUMNS = DM_SYNTHETIC_RETAIL, EMAIL_OPEN_RATE = 7 };
_Static_assert(sizeof retail / sizeof retail[0] == DM_SYNTHETIC_RETAIL, "number of retail columns");

#define FARTHEST 12.0F /* standardised latent values are cut here, far beyond what occurs, so that no map overflows */

void dm_synthetic_feature_name(int32_t j, char buf[32])
{
    if (j < RETAIL_COLUMNS) {
        snprintf(buf, 32, "%s", retail[j].name);
    } else {
        snprintf(buf, 32, "latent_%02d", j - RETAIL_COLUMNS + 1);
    }
}

/* ------------------------------------------------------------------------------------------ latent -> feature */

/* Shares of a group of `size` columns, of which `present` exist; the others count as if their latent value were 0. */
static void share_out(float *x, const float *power, int present, int size)
{
    float sum = (float)(size - present);
    for (int j = 0; j < present; j++) sum += power[j];
    for (int j = 0; j < present; j++) x[j] = power[j] / sum;
}

void dm_synthetic_map(const dm_synthetic *m, float *x)
{
    float power[RETAIL_COLUMNS];
    int columns = m->d < RETAIL_COLUMNS ? m->d : RETAIL_COLUMNS;
    for (int j = 0; j < columns; j++) {
        float y = x[j] * m->inverse_spread[j];
        y = y < -FARTHEST ? -FARTHEST : y;
        y = y > FARTHEST ? FARTHEST : y;
        power[j] = dm_portable_exp(m->map_shift[j] + m->map_slope[j] * y);
    }
    for (int j = 0; j < columns; j++) {
        const retail_column *c = &retail[j];
        switch (c->kind) {
        case MAP_AMOUNT:
            x[j] = c->scale * power[j];
            break;
        case MAP_COUNT: /* below 2^31 because of FARTHEST, so truncation to an integer is floor */
            x[j] = (float)(int32_t)(0.5F + c->scale * power[j]);
            break;
        case MAP_SHARE:
            x[j] = c->scale / (1.0F + power[j]);
            break;
        case MAP_GROUP: /* the first column deals with the whole group */
            if (c->group_size > 0)
                share_out(x + j, power + j, columns - j < c->group_size ? columns - j : c->group_size, c->group_size);
            break;
        }
    }
}

double dm_synthetic_map_column(const dm_synthetic *m, int32_t j, double latent)
{
    if (j >= RETAIL_COLUMNS) return latent;
    const retail_column *c = &retail[j];
    double y = latent / m->spread[j];
    double scale = (double)c->scale, shift = (double)c->shift, slope = (double)c->slope;
    if (c->kind == MAP_SHARE) return scale / (1.0 + exp(-(shift + slope * y)));
    double v = scale * exp(slope * y);
    return c->kind == MAP_COUNT ? floor(0.5 + v) : v;
}

/* ------------------------------------------------------------------------------------------ drawing the world */

static double normal_at(uint64_t seed, uint64_t stream, int64_t index)
{
    dm_random4 r = dm_random(seed, DM_PURPOSE_GENERATE, stream, (uint64_t)index);
    return sqrt(-2.0 * log(dm_uniform(r.v[0], r.v[1]))) *
           cos(2.0 * 3.14159265358979323846 * dm_uniform(r.v[2], r.v[3]));
}

/* Unequal shares: 40% spread evenly, 60% by Zipf's law, so that none is below 0.4 / k. */
static void draw_shares(dm_synthetic *m)
{
    double harmonic = 0.0, sum = 0.0;
    for (int32_t z = 0; z < m->k; z++) harmonic += 1.0 / (z + 1.0);
    for (int32_t z = 0; z < m->k; z++) {
        m->share[z] = 0.4 / m->k + 0.6 / ((z + 1.0) * harmonic);
        sum += m->share[z];
        m->cumulative[z] = sum;
    }
    for (int32_t z = 0; z < m->k; z++) m->cumulative[z] /= sum;
    m->cumulative[m->k - 1] = 1.0;
}

/* Loadings of the factors: random directions of length sqrt(rho). */
static void draw_loadings(dm_synthetic *m)
{
    for (int32_t j = 0; j < m->d; j++) {
        double v[DM_SYNTHETIC_FACTORS] = {0.0}, norm = 0.0;
        for (int f = 0; f < m->factors; f++) {
            v[f] = normal_at(m->seed, DM_STREAM_LOADING, (int64_t)j * DM_SYNTHETIC_FACTORS + f);
            norm += v[f] * v[f];
        }
        for (int f = 0; f < m->factors; f++) m->loading[(int64_t)f * m->d + j] = v[f] * sqrt(m->rho / norm);
    }
}

static double dot(const double *a, const double *b, int64_t d)
{
    double s = 0.0;
    for (int64_t j = 0; j < d; j++) s += a[j] * b[j];
    return s;
}

/*
 * v := v minus its parts along `count` orthonormal vectors, then length 1 (Gram-Schmidt, twice is enough).
 * Returns what was left of the length: tiny means that v was in their span and is of no use.
 */
static double orthonormalize(double *v, const double *basis, int count, int64_t d)
{
    double before = sqrt(dot(v, v, d));
    for (int pass = 0; pass < 2; pass++) {
        for (int b = 0; b < count; b++) {
            const double *q = basis + b * d;
            double along = dot(v, q, d);
            for (int64_t j = 0; j < d; j++) v[j] -= along * q[j];
        }
    }
    double left = sqrt(dot(v, v, d));
    for (int64_t j = 0; j < d && left > 0.0; j++) v[j] /= left;
    return before > 0.0 ? left / before : 0.0;
}

/* The axes: the leanings of the retail columns and chance, made orthonormal and orthogonal to all loadings. */
static demarc_status draw_axes(dm_synthetic *m)
{
    demarc_status st = DEMARC_OK;
    double *basis = NULL; /* an orthonormal basis of the loadings, then the axes */
    int count = 0;
    const int64_t d = m->d;
    DM_TRY(dm_alloc(basis, (DM_SYNTHETIC_FACTORS + DM_SYNTHETIC_AXES) * d, "axes of the segments"));
    for (int f = 0; f < m->factors; f++) {
        memcpy(basis + count * d, m->loading + f * d, (size_t)d * sizeof *basis);
        if (orthonormalize(basis + count * d, basis, count, d) > 1e-6) count++;
    }
    for (int a = 0; a < m->axes; a++) {
        double *v = basis + count * d, left = 0.0;
        for (uint64_t attempt = 0; left < 1e-4; attempt++) {
            uint64_t stream = DM_STREAM_AXIS + (uint64_t)a + DM_SYNTHETIC_AXES * attempt;
            for (int64_t j = 0; j < d; j++) {
                double chance = normal_at(m->seed, stream, j);
                v[j] = j < RETAIL_COLUMNS ? (double)retail[j].lean[a] + 0.2 * chance : 0.6 * chance;
            }
            left = orthonormalize(v, basis, count, d);
        }
        memcpy(m->axis + a * d, v, (size_t)d * sizeof *v);
        count++;
    }
cleanup:
    dm_free(basis);
    return st;
}

/* Cells of an integer grid in the order of their digits: the cell of z > 0 has a neighbour among those before it. */
static void place_centers(dm_synthetic *m)
{
    int64_t side = 1;
    while (m->axes > 0 && pow((double)side, m->axes) < (double)m->k) side++;
    double mean[DM_SYNTHETIC_AXES] = {0.0};
    for (int32_t z = 0; z < m->k; z++) {
        int64_t rest = z;
        for (int a = 0; a < m->axes; a++) {
            m->segment[z].coordinate[a] = (double)(rest % side);
            mean[a] += m->share[z] * (double)(rest % side);
            rest /= side;
        }
    }
    for (int32_t z = 0; z < m->k; z++) {
        for (int a = 0; a < m->axes; a++)
            m->segment[z].coordinate[a] = m->step * (m->segment[z].coordinate[a] - mean[a]);
    }
}

/* Total sd of each latent column: unit noise plus the centres' variance in the population. */
static void measure_spread(dm_synthetic *m)
{
    double cov[DM_SYNTHETIC_AXES][DM_SYNTHETIC_AXES] = {{0.0}};
    for (int32_t z = 0; z < m->k; z++) {
        const double *c = m->segment[z].coordinate;
        for (int a = 0; a < m->axes; a++) {
            for (int b = 0; b < m->axes; b++) cov[a][b] += m->share[z] * c[a] * c[b];
        }
    }
    for (int64_t j = 0; j < m->d; j++) {
        double v = 1.0;
        for (int a = 0; a < m->axes; a++) {
            for (int b = 0; b < m->axes; b++)
                v += m->axis[a * (int64_t)m->d + j] * cov[a][b] * m->axis[b * (int64_t)m->d + j];
        }
        m->spread[j] = sqrt(v);
        m->inverse_spread[j] = (float)(1.0 / m->spread[j]);
    }
}

static double between(double lo, double hi, uint32_t word) { return lo + (hi - lo) * ((double)word + 0.5) * 0x1p-32; }

static void draw_traits(dm_synthetic *m)
{
    for (int32_t z = 0; z < m->k; z++) {
        dm_random4 r = dm_random(m->seed, DM_PURPOSE_GENERATE, DM_STREAM_TRAITS, 2 * (uint64_t)z);
        m->segment[z].visit = between(-1.3, -0.3, r.v[0]);
        m->segment[z].conversion = between(-1.2, -0.2, r.v[1]);
        m->segment[z].spend = between(3.2, 4.2, r.v[2]);
        r = dm_random(m->seed, DM_PURPOSE_GENERATE, DM_STREAM_TRAITS, 2 * (uint64_t)z + 1);
        static const double lowest[DM_SYNTHETIC_CHANNELS] = {0.5, 0.2, 0.8}; /* email, app, post */
        static const double highest[DM_SYNTHETIC_CHANNELS] = {0.95, 0.8, 0.99};
        for (int c = 0; c < DM_SYNTHETIC_CHANNELS; c++) m->segment[z].reach[c] = between(lowest[c], highest[c], r.v[c]);
    }
}

/*
 * Thresholds within 0.25 total sd of the mean: many customers, and as a rule whole segments, on either side. Slopes of
 * either sign.
 */
static void draw_effects(dm_synthetic *m)
{
    m->effect_column = m->d > EMAIL_OPEN_RATE ? EMAIL_OPEN_RATE : 0;
    double spread = m->spread[m->effect_column];
    m->effect_threshold[0] = NAN;
    m->effect_slope[0] = 0.0;
    for (int32_t a = 1; a < m->arms; a++) {
        dm_random4 r = dm_random(m->seed, DM_PURPOSE_GENERATE, DM_STREAM_EFFECT, (uint64_t)a);
        m->effect_threshold[a] = spread * between(-0.25, 0.25, r.v[0]);
        m->effect_slope[a] = (a % 2 == 1 ? -1.0 : 1.0) * between(0.06, 0.1, r.v[1]) / spread;
    }
}

/* The model as float32 for the row loop: axes and loadings side by side, and the exponents of the maps. */
static void pack(dm_synthetic *m)
{
    const int64_t d = m->d;
    for (int64_t i = 0; i < m->axes * d; i++) m->basis[i] = (float)m->axis[i];
    for (int64_t i = 0; i < m->factors * d; i++) m->basis[DM_SYNTHETIC_AXES * d + i] = (float)m->loading[i];
    for (int j = 0; j < RETAIL_COLUMNS; j++) {
        float sign = retail[j].kind == MAP_SHARE ? -1.0F : 1.0F; /* logistic(v) = 1 / (1 + exp(-v)) */
        m->map_shift[j] = sign * retail[j].shift;
        m->map_slope[j] = sign * retail[j].slope;
    }
}

static demarc_status allocate(dm_synthetic *m)
{
    demarc_status st = DEMARC_OK;
    const char *what = "truth about the segments";
    DM_TRY(dm_alloc(m->share, m->k, what));
    DM_TRY(dm_alloc(m->cumulative, m->k, what));
    DM_TRY(dm_alloc_zero(m->segment, m->k, what));
    DM_TRY(dm_alloc(m->axis, (int64_t)m->axes * m->d, what));
    DM_TRY(dm_alloc(m->loading, (int64_t)m->factors * m->d, what));
    DM_TRY(dm_alloc(m->spread, m->d, what));
    DM_TRY(dm_alloc(m->inverse_spread, m->d, what));
    DM_TRY(dm_alloc_zero(m->basis, (DM_SYNTHETIC_AXES + DM_SYNTHETIC_FACTORS) * (int64_t)m->d, what));
cleanup:
    return st;
}

demarc_status dm_synthetic_create(dm_synthetic *m, const demarc_generate_options *o)
{
    demarc_status st = DEMARC_OK;
    *m = (dm_synthetic){
        .seed = o->seed, .d = o->features, .k = o->segments, .arms = o->arms, .missing_share = o->missing_share};
    int wanted = m->k == 1 ? 0 : m->k == 2 ? 1 : m->k <= 4 ? 2 : DM_SYNTHETIC_AXES;
    m->axes = wanted < m->d ? wanted : m->d;
    m->factors = m->d - m->axes < DM_SYNTHETIC_FACTORS ? m->d - m->axes : DM_SYNTHETIC_FACTORS;
    m->rho = fmin(0.4, (double)m->factors / m->d);
    m->own_sd = sqrt(1.0 - m->rho);
    m->step = o->separation * m->own_sd;
    DM_TRY(allocate(m));
    draw_shares(m);
    draw_loadings(m);
    DM_TRY(draw_axes(m));
    place_centers(m);
    measure_spread(m);
    draw_traits(m);
    draw_effects(m);
    pack(m);
cleanup:
    if (st != DEMARC_OK) dm_synthetic_clear(m);
    return st;
}

void dm_synthetic_clear(dm_synthetic *m)
{
    dm_free(m->share);
    dm_free(m->cumulative);
    dm_free(m->segment);
    dm_free(m->axis);
    dm_free(m->loading);
    dm_free(m->spread);
    dm_free(m->inverse_spread);
    dm_free(m->basis);
    *m = (dm_synthetic){0};
}

/* ------------------------------------------------------------------------------------------ truth */

void dm_synthetic_center(const dm_synthetic *m, int32_t z, double *center)
{
    for (int64_t j = 0; j < m->d; j++) {
        center[j] = 0.0;
        for (int a = 0; a < m->axes; a++) center[j] += m->segment[z].coordinate[a] * m->axis[a * (int64_t)m->d + j];
    }
}

static double visit_base(const dm_synthetic *m, int32_t z, double f0)
{
    return 1.0 / (1.0 + exp(-(m->segment[z].visit + 0.35 * f0)));
}

static double clip(double p) { return p < 0.005 ? 0.005 : p > 0.995 ? 0.995 : p; }

double dm_synthetic_visit(const dm_synthetic *m, int32_t z, int32_t arm, double f0, double x)
{
    double effect = arm > 0 ? m->effect_slope[arm] * (m->effect_threshold[arm] - x) : 0.0;
    return clip(visit_base(m, z, f0) + effect);
}

void dm_synthetic_segment_effect(const dm_synthetic *m, int32_t z, double *effect)
{
    enum { HALF = 24 };
    const double h = 0.25;
    double center = 0.0, weight[2 * HALF + 1], total = 0.0;
    for (int a = 0; a < m->axes; a++) {
        center += m->segment[z].coordinate[a] * m->axis[a * (int64_t)m->d + m->effect_column];
    }
    for (int i = -HALF; i <= HALF; i++) total += weight[i + HALF] = exp(-0.5 * h * h * i * i);
    /* x_e = centre + lean f_0 + rest, rest independent of f_0; the sum has unit variance */
    double lean = m->factors > 0 ? m->loading[m->effect_column] : 0.0, rest = sqrt(1.0 - lean * lean);
    for (int32_t a = 0; a < m->arms; a++) effect[a] = 0.0;
    for (int i = -HALF; i <= HALF; i++) {
        double f0 = h * i, base = visit_base(m, z, f0);
        for (int j = -HALF; j <= HALF; j++) {
            double x = center + lean * f0 + rest * h * j, w = weight[i + HALF] * weight[j + HALF] / (total * total);
            for (int32_t a = 1; a < m->arms; a++) {
                effect[a] += w * (clip(base + m->effect_slope[a] * (m->effect_threshold[a] - x)) - clip(base));
            }
        }
    }
}
