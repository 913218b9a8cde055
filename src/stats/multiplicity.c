#include "stats/multiplicity.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

typedef struct ranked {
    double p;
    int64_t index;
} ranked;

const char *dm_adjust_name(dm_adjust how) { return how == DM_ADJUST_HOLM ? "holm" : "bh"; }

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

demarc_status dm_adjust_p(dm_adjust how, const double *p, int64_t count, double *adjusted, int64_t *made)
{
    demarc_status st = DEMARC_OK;
    ranked *r = NULL;
    int64_t m = 0;
    DM_TRY(dm_alloc(r, count, "p-values"));
    for (int64_t i = 0; i < count; i++) {
        if (!isnan(p[i])) r[m++] = (ranked){p[i], i};
        adjusted[i] = (double)NAN;
    }
    qsort(r, (size_t)m, sizeof *r, by_p);
    if (how == DM_ADJUST_HOLM) {
        double running = 0.0;
        for (int64_t i = 0; i < m; i++) {
            running = fmax(running, fmin(1.0, (double)(m - i) * r[i].p));
            adjusted[r[i].index] = running;
        }
    } else {
        double running = 1.0;
        for (int64_t i = m - 1; i >= 0; i--) {
            running = fmin(running, (double)m / (double)(i + 1) * r[i].p);
            adjusted[r[i].index] = running;
        }
    }
    if (made != NULL) *made = m;
cleanup:
    dm_free(r);
    return st;
}
