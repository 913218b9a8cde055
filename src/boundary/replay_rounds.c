#include "boundary/replay_rounds.h"

#include <stdio.h>

#include "base/exact_sum.h"

#define SUM_BYTES (INT64_C(256) << 20) /* for sums without a memory limit */

void dm_replay_round_name(const dm_replay_round *r, const char *what, char name[64])
{
    snprintf(name, 64, "%.15s %d+%d, %d+%d", what, (int)r->outcome, (int)r->outcomes, (int)r->segment,
             (int)r->segments);
}

static int32_t clamp(int64_t v, int32_t most) { return v < 1 ? 1 : v < most ? (int32_t)v : most; }

dm_replay_rounds dm_replay_rounds_of(const dm_frozen *f, int32_t outcomes, int64_t per_outcome, int64_t per_cell)
{
    const int32_t k = f->model->k;
    const int64_t budget = f->memory_limit > 0 ? f->memory_limit / 4 : SUM_BYTES;
    int64_t each = (int64_t)(sizeof(dm_exact_sum) + sizeof(double)) * f->threads;
    dm_comm_max_i64(f->comm, &each, 1);
    const int64_t sums = budget / each;
    return (dm_replay_rounds){.outcomes = outcomes,
                              .segments = k,
                              .outcomes_most = clamp(sums / (per_outcome + k * per_cell), outcomes),
                              .segments_most = clamp((sums - per_outcome) / per_cell, k)};
}

bool dm_replay_rounds_next(dm_replay_rounds *r)
{
    dm_replay_round *at = &r->at;
    if (at->outcomes > 0) at->segment += at->segments;
    if (at->segment >= r->segments) {
        at->segment = 0;
        at->outcome += at->outcomes;
    }
    if (at->outcome >= r->outcomes) return false;
    const int32_t outcomes = r->outcomes - at->outcome, segments = r->segments - at->segment;
    at->outcomes = outcomes < r->outcomes_most ? outcomes : r->outcomes_most;
    at->segments = segments < r->segments_most ? segments : r->segments_most;
    return true;
}
