#include "exchange/synthetic_rows.h"

#include <math.h>
#include <string.h>

#include "exchange/portable_math.h"

/* Columns whose noise is drawn at once: words first, then one loop that the compiler vectorises. */
#define NOISE_COLUMNS 128

void dm_synthetic_normal4(float out[4], dm_random4 r)
{
    dm_portable_normal2(r.v[0], r.v[1], &out[0], &out[1]);
    dm_portable_normal2(r.v[2], r.v[3], &out[2], &out[3]);
}

static dm_random4 words(const dm_synthetic *m, uint64_t stream, int64_t row)
{
    return dm_random(m->seed, DM_PURPOSE_GENERATE, stream, (uint64_t)row);
}

/* Uniform in (0, 1) from one word. */
static double uniform(uint32_t word) { return ((double)word + 0.5) * 0x1p-32; }

int64_t dm_synthetic_id(uint64_t seed, int64_t row)
{
    /* Each step is a bijection of 44-bit numbers: adding, multiplying by an odd number, xor with the upper half. */
    const uint64_t mask = (UINT64_C(1) << 44) - 1;
    dm_random4 r = dm_random(seed, DM_PURPOSE_GENERATE, DM_STREAM_ID, 0);
    uint64_t v = ((uint64_t)row + (((uint64_t)r.v[0] << 32) | r.v[1])) & mask;
    for (int round = 0; round < 2; round++) {
        v = (v * UINT64_C(0x9E3779B97F5)) & mask;
        v ^= v >> 22;
    }
    return (int64_t)v + 1;
}

/* First segment whose cumulative share exceeds u. */
static int32_t pick_segment(const dm_synthetic *m, double u)
{
    int32_t lo = 0, hi = m->k - 1;
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2;
        if (m->cumulative[mid] > u) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

dm_synthetic_customer dm_synthetic_draw(const dm_synthetic *m, int64_t row)
{
    dm_synthetic_customer c;
    dm_random4 r = words(m, DM_STREAM_CUSTOMER, row);
    c.segment = pick_segment(m, dm_uniform(r.v[0], r.v[1]));
    c.arm = m->arms > 0 ? (int32_t)dm_random_below(r.v[2], r.v[3], m->arms) : 0;
    dm_synthetic_normal4(c.factor, words(m, DM_STREAM_FACTORS, row));
    return c;
}

/* Standard normals for columns [first, first + count), first a multiple of 4; g has room for a multiple of 4. */
static void draw_noise(const dm_synthetic *m, int64_t row, int64_t first, int count, float g[NOISE_COLUMNS])
{
    uint32_t length[NOISE_COLUMNS / 2], angle[NOISE_COLUMNS / 2];
    int pairs = (count + 3) / 4 * 2;
    for (int p = 0; p < pairs; p += 2) {
        dm_random4 r = words(m, DM_STREAM_NOISE + (uint64_t)(first / 4 + p / 2), row);
        length[p] = r.v[0];
        angle[p] = r.v[1];
        length[p + 1] = r.v[2];
        angle[p + 1] = r.v[3];
    }
    for (int p = 0; p < pairs; p++) dm_portable_normal2(length[p], angle[p], &g[2 * p], &g[2 * p + 1]);
}

void dm_synthetic_latent(const dm_synthetic *m, int64_t row, const dm_synthetic_customer *c, float *x)
{
    const int64_t d = m->d;
    for (int64_t j = 0; j < d; j += NOISE_COLUMNS) {
        float g[NOISE_COLUMNS];
        int count = (int)(d - j < NOISE_COLUMNS ? d - j : NOISE_COLUMNS);
        draw_noise(m, row, j, count, g);
        memcpy(x + j, g, (size_t)count * sizeof *g);
    }
    const dm_synthetic_segment *z = &m->segment[c->segment];
    const float w0 = (float)z->coordinate[0], w1 = (float)z->coordinate[1], w2 = (float)z->coordinate[2];
    const float w3 = c->factor[0], w4 = c->factor[1], w5 = c->factor[2], own = (float)m->own_sd;
    const float *b = m->basis;
    for (int64_t j = 0; j < d; j++) {
        float center = w0 * b[j] + w1 * b[d + j] + w2 * b[2 * d + j];
        float common = w3 * b[3 * d + j] + w4 * b[4 * d + j] + w5 * b[5 * d + j];
        x[j] = center + (common + own * x[j]);
    }
}

static void draw_missing(const dm_synthetic *m, int64_t row, float *x)
{
    const double limit = m->missing_share * 0x1p32;
    for (int64_t j = 0; j < m->d; j += 4) {
        dm_random4 r = words(m, DM_STREAM_MISSING + (uint64_t)j / 4, row);
        for (int64_t i = 0; i < 4 && j + i < m->d; i++) {
            if ((double)r.v[i] < limit) x[j + i] = NAN;
        }
    }
}

static void draw_outcome(const dm_synthetic *m, int64_t row, const dm_synthetic_customer *c, double effect_latent,
                         float *outcome)
{
    const dm_synthetic_segment *z = &m->segment[c->segment];
    dm_random4 buy = words(m, DM_STREAM_BUY, row);
    float noise[4];
    dm_synthetic_normal4(noise, words(m, DM_STREAM_SPEND, row));
    double f0 = (double)c->factor[0], level = z->spend + 0.6 * f0;
    double conversion = 1.0 / (1.0 + exp(-(z->conversion + 0.5 * f0)));
    bool visited = uniform(buy.v[0]) < dm_synthetic_visit(m, c->segment, c->arm, f0, effect_latent);
    bool converted = visited && uniform(buy.v[1]) < conversion;
    outcome[0] = (float)exp(level + 0.4 * (double)noise[0]);
    outcome[1] = visited ? 1.0F : 0.0F;
    outcome[2] = converted ? 1.0F : 0.0F;
    outcome[3] = converted ? (float)exp(level + 0.5 * (double)noise[1]) : 0.0F;
}

static void draw_reach(const dm_synthetic *m, int64_t row, int32_t segment, uint8_t *reach)
{
    dm_random4 r = words(m, DM_STREAM_REACH, row);
    for (int c = 0; c < DM_SYNTHETIC_CHANNELS; c++) reach[c] = uniform(r.v[c]) < m->segment[segment].reach[c] ? 1 : 0;
}

void dm_synthetic_rows(const dm_synthetic *m, int64_t begin, int64_t count, const dm_synthetic_buffers *out)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = begin + i;
        float *x = out->feature + i * m->d;
        dm_synthetic_customer c = dm_synthetic_draw(m, row);
        dm_synthetic_latent(m, row, &c, x);
        double effect_latent = (double)x[m->effect_column];
        dm_synthetic_map(m, x);
        if (m->missing_share > 0.0) draw_missing(m, row, x);
        out->id[i] = dm_synthetic_id(m->seed, row);
        out->segment[i] = c.segment;
        if (out->arm != NULL) out->arm[i] = c.arm;
        if (out->outcome != NULL) draw_outcome(m, row, &c, effect_latent, out->outcome + i * DM_SYNTHETIC_OUTCOMES);
        draw_reach(m, row, c.segment, out->reach + i * DM_SYNTHETIC_CHANNELS);
    }
}
