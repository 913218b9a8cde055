/*
 * Which arm each segment should get, learnt on one half of the customers for the other.
 *
 * The half of a customer is the lowest bit of a keyed hash of the id, so it depends on the seed and the id alone. A
 * half's mean outcome in segment j under arm a is Hajek's ratio (J. Hajek 1971)
 *     mu(j, a) = sum w y / e(a) / sum w / e(a) over its customers of j who had a,
 * e(a) = their probability to get it; where none are, that of all segments. The policy for the customers of half f gives
 * segment j the candidate arm of largest mu less its cost on the other half, among those with enough customers there; so nobody's
 * own outcome chooses the arm that it is then used to value (sample splitting and cross-fitting: V. Chernozhukov et al.,
 * "Double/debiased machine learning", Econometrics Journal 21, 2018). A policy that the user gives needs no choice; its
 * means are learnt on the other half all the same, for the scores that value it.
 */
#ifndef DM_BOUNDARY_REPLAY_POLICY_H
#define DM_BOUNDARY_REPLAY_POLICY_H

#include "stats/block_sums.h"
#include "boundary/campaign.h"

/** Of one half, one segment, one arm, one outcome. */
typedef struct dm_replay_cell {
    int64_t n, events; /* rows with the outcome; of them with outcome 1 */
    double w, wy;      /* sum w, sum w y */
    double wp, wyp;    /* sum w / e, sum w y / e; e = probability of the arm that the customer had */
} dm_replay_cell;

typedef struct dm_policy {
    const dm_campaign *campaign; /* borrowed */
    int32_t k, arms, outcomes;
    const int32_t *outcome; /* [outcomes] columns of the file; borrowed */
    uint64_t half_key;
    int64_t *size;        /* [k] customers */
    double *expected;     /* [arms] customers by the design */
    int64_t *others;      /* [outcomes] values besides 0 and 1 */
    dm_replay_cell *cell; /* [2, k, arms, outcomes], see dm_policy_cell() */
    double *mu;           /* the same shape */
    int32_t *choice;      /* [2, k, outcomes] arm for the customers of that half */
} dm_policy;

static inline int64_t dm_policy_cell(const dm_policy *p, int32_t half, int32_t j, int32_t a, int32_t o)
{
    return (((int64_t)half * p->k + j) * p->arms + a) * p->outcomes + o;
}
static inline int32_t dm_policy_choice(const dm_policy *p, int32_t half, int32_t j, int32_t o)
{
    return p->choice[((int64_t)half * p->k + j) * p->outcomes + o];
}
/** a += b. */
void dm_replay_cell_add(dm_replay_cell *a, const dm_replay_cell *b);

/** Every value of the outcome is 0 or 1. */
static inline bool dm_policy_binary(const dm_policy *p, int32_t o) { return p->others[o] == 0; }

/** What a pass of a replay asks for. */
unsigned dm_policy_want(const dm_policy *p);
/** Half of row r of a block. Local. */
int32_t dm_policy_half(const dm_policy *p, const dm_frozen_block *b, int64_t r);
/** Probability of the arm that row r had. Local. */
static inline double dm_policy_propensity(const dm_policy *p, const dm_frozen_block *b, int64_t r)
{
    const int32_t a = b->arm[r];
    return b->propensity != NULL ? b->propensity[r * b->arms + a] : p->campaign->share[a];
}

/**
 * One pass over the customers, or a few (replay_rounds.h). Collective.
 * @param[in] min_cell  customers with the outcome that an arm needs in a segment to be chosen there
 * @retval DEMARC_ERR_DATA  an arm given with probability 0: the row is named
 */
demarc_status dm_policy_learn(dm_policy *p, const dm_frozen *f, const dm_campaign *campaign, int32_t outcomes,
                              const int32_t *outcome, uint64_t seed, int64_t min_cell);
void dm_policy_destroy(dm_policy *p);

#endif
