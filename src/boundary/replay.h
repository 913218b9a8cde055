/*
 * Replay of a past randomised campaign under a frozen model: what each arm did, which arm each segment should get, what that
 * policy is worth, and whether it would be worth more with a boundary moved.
 *
 * Order: arms and design (campaign.h), sample ratio; a pass that learns the policies of the two halves (replay_policy.h);
 * exact cuts for all segments and shifts (cuts.h); a pass that values policy and moves (replay_value.h). The p-values of all
 * effects and all moves, over all outcomes, are adjusted together. When the sample ratio fails nothing is judged: the
 * estimates stay, p-values and verdicts are undefined.
 *
 * A segment is to be widened (narrowed) when some shift outward (inward) is a gain; it keeps its boundary when every
 * direction that was asked for has a loss or changes nobody's arm; else it is undecided.
 */
#ifndef DM_BOUNDARY_REPLAY_H
#define DM_BOUNDARY_REPLAY_H

#include "boundary/frozen.h"
#include "report/replay_report.h"

typedef struct dm_replay dm_replay;

/**
 * All passes and all judgements. Collective; the same on all ranks.
 * @param[in] o  borrowed for the life of `out`; data, model and apply are not looked at
 * @retval DEMARC_ERR_USAGE, DEMARC_ERR_DATA  as the headers above, and an unknown outcome
 */
demarc_status dm_replay_run(dm_replay **out, const dm_frozen *f, const demarc_replay_options *o);
void dm_replay_destroy(dm_replay **r);

/** Local; borrowed. */
const dm_replay_report *dm_replay_result(const dm_replay *r);

/** The significant gain of the first outcome that is largest by AIPW: index of its cut, -1 = none. Local. */
int32_t dm_replay_best(const dm_replay *r);

/** Options and files are looked at, nothing is computed (--dry-run). Collective. @param[out] cuts  that would be made */
demarc_status dm_replay_check(const dm_frozen *f, const demarc_replay_options *o, int32_t *cuts);

#endif
