/*
 * What a policy is worth, and what moving a boundary would change, on the customers who did not choose it.
 *
 * Score of row i of half f in segment j for arm a, mu learnt on the other half (replay_policy.h):
 *     IPW   G_i(a) = 1{A_i = a} y_i / e_i(a)                                  (D. G. Horvitz & D. J. Thompson 1952)
 *     AIPW  G_i(a) = mu(j, a) + 1{A_i = a} (y_i - mu(j, a)) / e_i(a)          (J. M. Robins, A. Rotnitzky & L. P. Zhao 1994)
 * Both have the mean of y under arm a as their expectation, because e_i is the probability of a randomisation. Where arms have
 * costs, that of a is taken off G_i(a), so all values and changes below are net of them; means of arms are not. The value of a
 * rule is the weighted mean of G_i(rule(i)); that of a move the weighted mean of G_i(arm after) - G_i(arm before), which is
 * 0 for all but the movers whose segments get different arms.
 */
#ifndef DM_BOUNDARY_REPLAY_VALUE_H
#define DM_BOUNDARY_REPLAY_VALUE_H

#include "boundary/cuts.h"
#include "boundary/replay_policy.h"
#include "stats/weighted_mean.h"

typedef struct dm_rule_value {
    dm_mean ipw, aipw;
} dm_rule_value;

/** A cut and an outcome; rows are those that have the outcome. */
typedef struct dm_move_value {
    int64_t changing;           /* movers whose arm changes */
    int64_t had_old, had_new;   /* of them had the arm they leave, the one they get */
    int64_t events, non_events; /* of those two: outcome 1, any other */
    dm_mean ipw, aipw;          /* change of the policy's value */
    double per_mover;           /* sum w delta / sum w over the movers, by AIPW; NaN without any */
} dm_move_value;

typedef struct dm_replay_value {
    dm_mean *arm;                     /* [arms, outcomes] of the customers who had it */
    dm_mean *cell;                    /* [k, arms, outcomes] */
    dm_rule_value *policy, *constant; /* [outcomes], [arms, outcomes] */
    dm_mean *gain;       /* [outcomes] AIPW score of the policy minus that of the control; NaN without one */
    int64_t *movers;     /* [cuts] */
    dm_move_value *move; /* [cuts, outcomes] */
} dm_replay_value;

/** One pass over the customers, or a few (replay_rounds.h). Collective. @param[in] cut  of `cuts`: [k, shifts] by segment */
demarc_status dm_replay_value_find(dm_replay_value *v, const dm_frozen *f, const dm_policy *policy, const dm_cuts *cuts,
                                   int32_t shifts, const dm_cut *cut);
void dm_replay_value_destroy(dm_replay_value *v);

#endif
