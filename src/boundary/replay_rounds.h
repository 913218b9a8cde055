/*
 * The sums of a replay, as many at a time as fit the memory.
 *
 * They are counted by outcome and segment, and an exact sum takes half a kilobyte for each thread; so hundreds of segments with
 * many outcomes and shifts take more than the customers do. A round has some outcomes and, where not even one outcome fits,
 * some segments of it; each round is a pass over the customers. A sum is made within one round, so its bits do not depend on
 * how many rounds there are.
 */
#ifndef DM_BOUNDARY_REPLAY_ROUNDS_H
#define DM_BOUNDARY_REPLAY_ROUNDS_H

#include "boundary/frozen.h"

/** Outcomes [outcome, outcome + outcomes) of segments [segment, segment + segments). */
typedef struct dm_replay_round {
    int32_t outcome, outcomes, segment, segments;
} dm_replay_round;

typedef struct dm_replay_rounds {
    int32_t outcomes, segments;           /* in all */
    int32_t outcomes_most, segments_most; /* of a round, each at least 1 */
    dm_replay_round at;
} dm_replay_rounds;

/**
 * Collective, so that all ranks make the same rounds whatever their threads.
 * @param[in] per_outcome, per_cell  exact sums of an outcome, and of an outcome in a segment
 */
dm_replay_rounds dm_replay_rounds_of(const dm_frozen *f, int32_t outcomes, int64_t per_outcome, int64_t per_cell);
/** The next round into `at`; false when there is none. */
bool dm_replay_rounds_next(dm_replay_rounds *r);

/** Name of the step that makes the sums of a round (journal.h). */
void dm_replay_round_name(const dm_replay_round *r, const char *what, char name[64]);

static inline bool dm_replay_round_has(const dm_replay_round *r, int32_t segment)
{
    return segment >= r->segment && segment < r->segment + r->segments;
}

#endif
