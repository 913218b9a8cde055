#include "kmeans/position.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

demarc_status dm_position_start(dm_position *p, int32_t k, int32_t d)
{
    demarc_status st = DEMARC_OK;
    dm_position_clear(p);
    *p = (dm_position){.k = k, .d = d, .best_restart = -1, .best_objective = INFINITY};
    DM_TRY(dm_alloc(p->centroids, (int64_t)k * d, "centroids"));
    DM_TRY(dm_alloc(p->best, (int64_t)k * d, "centroids"));
cleanup:
    if (st != DEMARC_OK) dm_position_clear(p);
    return st;
}

void dm_position_next_restart(dm_position *p, double objective)
{
    if (p->best_restart < 0 || objective < p->best_objective) {
        p->best_objective = objective;
        p->best_restart = p->restart;
        memcpy(p->best, p->centroids, (size_t)p->k * (size_t)p->d * sizeof *p->best);
        dm_trace_clear(&p->best_trace);
        p->best_trace = p->trace;
        p->trace = (dm_trace){0};
    }
    dm_trace_clear(&p->trace);
    p->restart++;
    p->step = DM_STEP_SEED;
    p->level = p->pass = p->attempt = 0;
    p->passed = 0.0;
}

void dm_position_clear(dm_position *p)
{
    dm_free(p->centroids);
    dm_free(p->best);
    dm_trace_clear(&p->trace);
    dm_trace_clear(&p->best_trace);
    *p = (dm_position){0};
}
