#include "kmeans/row_state.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define TRY_SHARE 0.01 /* bounds are made once fewer labels than this change in a pass */
#define GIVE_UP 0.4    /* and given up when more rows than this have to be looked at all the same */
#define PATIENCE 2     /* passes until the next attempt, doubled each time up to */
#define MOST_PATIENCE 16

int64_t dm_row_state_bytes(bool bounds) { return bounds ? 8 : 4; }

void dm_row_state_destroy(dm_row_state *s)
{
    dm_free(s->label);
    dm_free(s->until);
    dm_free(s->limit);
    dm_free(s->last);
    dm_segment_sums_destroy(&s->sums);
    *s = (dm_row_state){0};
}

demarc_status dm_row_state_start(dm_row_state *s, int64_t rows, int32_t k, int32_t d, bool bounds)
{
    demarc_status st = DEMARC_OK;
    if (s->rows != rows || s->k != k || s->d != d || (s->until != NULL) != bounds) {
        dm_row_state_destroy(s);
        DM_TRY(dm_alloc(s->label, rows, "labels"));
        if (bounds) DM_TRY(dm_alloc(s->until, rows, "bounds"));
        DM_TRY(dm_alloc(s->limit, k, "bounds"));
        DM_TRY(dm_alloc(s->last, (int64_t)k * d, "centroids"));
        DM_TRY(dm_segment_sums_create(&s->sums, k, d, 1));
        s->rows = rows;
        s->k = k;
        s->d = d;
    }
    for (int64_t r = 0; r < rows; r++) s->label[r] = -1;
    dm_segment_sums_start(&s->sums, k);
    s->on = true;
    s->any = false;
    s->use = DM_BOUNDS_OFF;
    s->wait = 0;
    s->patience = PATIENCE;
cleanup:
    if (st != DEMARC_OK) dm_row_state_destroy(s);
    return st;
}

demarc_status dm_row_state_grow(dm_row_state *s, int64_t rows)
{
    demarc_status st = DEMARC_OK;
    int32_t *label = NULL;
    float *until = NULL;
    DM_TRY(dm_alloc(label, rows, "labels"));
    if (s->until != NULL) DM_TRY(dm_alloc(until, rows, "bounds"));
    if (s->rows > 0) memcpy(label, s->label, (size_t)s->rows * sizeof *label);
    if (s->rows > 0 && until != NULL) memcpy(until, s->until, (size_t)s->rows * sizeof *until);
    for (int64_t r = s->rows; r < rows; r++) label[r] = -1;
    for (int64_t r = s->rows; r < rows && until != NULL; r++) until[r] = 0.0f;
    dm_free(s->label);
    dm_free(s->until);
    s->label = label;
    s->until = until;
    s->rows = rows;
    label = NULL;
    until = NULL;
cleanup:
    dm_free(label);
    dm_free(until);
    return st;
}

static float up(double v)
{
    const float f = (float)v;
    return (double)f < v ? nextafterf(f, INFINITY) : f;
}

void dm_row_state_begin(dm_row_state *s, const dm_centers *c)
{
    const int64_t d = s->d;
    if (s->use == DM_BOUNDS_MAKE || !s->any) memset(s->limit, 0, (size_t)s->k * sizeof *s->limit);
    if (s->use == DM_BOUNDS_USE) {
        double first = 0.0, second = 0.0; /* largest two moves */
        int32_t fastest = -1;
        /* The definition of a label rounds distances up to norm_max + ||x||; ||x||'s share is in the gap. */
        const double rounding = (double)(d + 16) * 0x1p-50 * c->norm_max;
        for (int pass = 0; pass < 2; pass++) {
            for (int32_t j = 0; j < s->k; j++) {
                double move = 0.0;
                for (int64_t f = 0; f < d; f++) {
                    const double t = c->c[j * d + f] - s->last[j * d + f];
                    move += t * t;
                }
                move = sqrt(move) * (1.0 + 1e-9);
                if (pass == 0) {
                    if (move > first) {
                        second = first;
                        first = move;
                        fastest = j;
                    } else if (move > second) {
                        second = move;
                    }
                } else {
                    s->limit[j] = up((double)s->limit[j] + move + (j == fastest ? second : first) + rounding);
                }
            }
        }
    }
    memcpy(s->last, c->c, (size_t)(s->k * d) * sizeof *s->last);
    s->any = true;
}

void dm_row_state_end(dm_row_state *s, int64_t changed, int64_t seen)
{
    if (s->until == NULL || s->rows == 0) return;
    switch (s->use) {
    case DM_BOUNDS_OFF:
        if (s->wait > 0) {
            s->wait--;
        } else if ((double)changed < TRY_SHARE * (double)s->rows) {
            s->use = DM_BOUNDS_MAKE;
        }
        break;
    case DM_BOUNDS_MAKE:
        s->use = DM_BOUNDS_USE;
        break;
    case DM_BOUNDS_USE:
        if ((double)seen > GIVE_UP * (double)s->rows) {
            s->use = DM_BOUNDS_OFF;
            s->wait = s->patience;
            if (s->patience < MOST_PATIENCE) s->patience *= 2;
        }
        break;
    }
}
