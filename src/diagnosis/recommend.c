#include "diagnosis/recommend.h"

#include <math.h>

#define EVIDENCE (DM_CONCERN_NO_GAP | DM_CONCERN_UNREPEATED | DM_CONCERN_UNSTABLE)

static bool is_wanted(int32_t k) { return k >= DM_WANTED_LEAST && k <= DM_WANTED_MOST; }

/* Does the gap of b exceed that of a by `errors` standard errors of the difference? True where there is no gap to compare. */
static bool is_above(double a, double a_se, double b, double b_se, double errors)
{
    if (isnan(a) || isnan(b)) return true;
    return b > a + errors * sqrt(a_se * a_se + b_se * b_se);
}

static bool gains(const dm_k_record *a, const dm_k_record *b, double errors)
{
    return is_above(a->gap, a->gap_se, b->gap, b->gap_se, errors);
}

static bool is_repeatable(const dm_k_record *k)
{
    const double se = isnan(k->prediction_strength_se) ? 0.0 : k->prediction_strength_se;
    return k->prediction_strength + se >= DM_REPEATABLE;
}

static bool is_clearly_repeatable(const dm_k_record *k) { return k->prediction_strength >= DM_CLEARLY_REPEATABLE; }

/* Tibshirani, Walther & Hastie's own rule: one segment more does not gain what the draws leave uncertain. */
static bool is_peak(const dm_k_record *k, const dm_k_record *next)
{
    return next != NULL && next->k == k->k + 1 && k->gap >= next->gap - next->gap_se;
}

static bool is_stable(const dm_k_record *k)
{
    return k->stability >= DM_STABLE && k->stability_lowest >= DM_STABLE_LOWEST;
}

/* Everything that speaks against a k by itself. */
static unsigned concerns_of(const dm_k_record *k, const dm_recommendation *r)
{
    unsigned c = 0;
    if (k->failed[0] != 0) return DM_CONCERN_FAILED;
    if (k->k < 2) return DM_CONCERN_ONE;
    if (k->smallest_share < r->min_share) c |= DM_CONCERN_SMALL;
    if (k->reachable_share < DM_REACHABLE) c |= DM_CONCERN_UNREACHABLE;
    if (r->gap_draws > 0 && !is_above(r->gap_one, r->gap_one_se, k->gap, k->gap_se, 2.0)) c |= DM_CONCERN_NO_GAP;
    if (r->halvings > 0 && !is_repeatable(k)) c |= DM_CONCERN_UNREPEATED;
    if (r->replicates > 0 && !is_stable(k)) c |= DM_CONCERN_UNSTABLE;
    return c;
}

/* The evidence alone: is there something to segment with this k? */
static bool is_supported(unsigned c, const dm_recommendation *r)
{
    if ((c & (DM_CONCERN_FAILED | DM_CONCERN_ONE | DM_CONCERN_NO_GAP)) != 0) return false;
    if (r->halvings == 0 && r->replicates == 0) return true;
    return (r->halvings > 0 && (c & DM_CONCERN_UNREPEATED) == 0) ||
           (r->replicates > 0 && (c & DM_CONCERN_UNSTABLE) == 0);
}

/* Rule 2. */
static dm_k_record *choose_repeatable(dm_k_record *record, int32_t ks, const dm_recommendation *r)
{
    dm_k_record *taken = NULL;
    for (int32_t i = 0; i < ks; i++) {
        dm_k_record *k = &record[i];
        if (!k->eligible || r->halvings == 0 || (k->concerns & DM_CONCERN_UNREPEATED) != 0) continue;
        if (taken != NULL && is_clearly_repeatable(taken) && !is_clearly_repeatable(k) &&
            !is_peak(k, i + 1 < ks ? k + 1 : NULL) && (is_wanted(taken->k) || !is_wanted(k->k))) {
            continue;
        }
        const bool wanted = taken != NULL && taken->k < DM_WANTED_LEAST && is_wanted(k->k) && !gains(k, taken, 1.0);
        if (taken == NULL || wanted || gains(taken, k, 1.0)) taken = k;
    }
    return taken;
}

/* The stable k of the highest mean Jaccard, of those wanted or of all. */
static dm_k_record *choose_stable(dm_k_record *record, int32_t ks, const dm_recommendation *r, bool wanted)
{
    dm_k_record *taken = NULL;
    for (int32_t i = 0; i < ks; i++) {
        dm_k_record *k = &record[i];
        if (!k->eligible || r->replicates == 0 || (k->concerns & DM_CONCERN_UNSTABLE) != 0) continue;
        if (wanted && !is_wanted(k->k)) continue;
        if (taken == NULL || k->stability > taken->stability) taken = k;
    }
    return taken;
}

/* The k of the highest simplified silhouette; one segment, which has none, only alone. */
static dm_k_record *choose_separated(dm_k_record *record, int32_t ks, bool eligible)
{
    dm_k_record *taken = NULL;
    for (int32_t i = 0; i < ks; i++) {
        dm_k_record *k = &record[i];
        if (k->failed[0] != 0 || (eligible && !k->eligible)) continue;
        const bool better =
            taken != NULL && ((isnan(taken->silhouette) && !isnan(k->silhouette)) || k->silhouette > taken->silhouette);
        if (taken == NULL || better) taken = k;
    }
    return taken;
}

/* Four to eight that explain more than `taken`, of fewer than four, and that replicates find again for certain. */
static dm_k_record *choose_finer(dm_k_record *record, int32_t ks, const dm_recommendation *r, const dm_k_record *taken)
{
    dm_k_record *finer = NULL;
    for (int32_t i = 0; i < ks; i++) {
        dm_k_record *k = &record[i];
        if (!k->eligible || r->replicates == 0 || !is_wanted(k->k) || isnan(k->gap) || !gains(taken, k, 1.0)) continue;
        if (!(k->stability >= DM_HIGHLY_STABLE && k->stability_lowest >= DM_STABLE)) continue;
        if (finer == NULL || k->stability > finer->stability) finer = k;
    }
    return finer;
}

static const dm_k_record *choose(dm_k_record *record, int32_t ks, dm_recommendation *r)
{
    if (r->halvings == 0 && r->replicates == 0) return choose_separated(record, ks, true);
    const dm_k_record *taken = choose_repeatable(record, ks, r);
    if (taken == NULL || (!is_wanted(taken->k) && !is_clearly_repeatable(taken))) {
        const dm_k_record *wanted = choose_stable(record, ks, r, true);
        if (wanted != NULL && (taken == NULL || isnan(taken->gap) || isnan(wanted->gap) || wanted->gap >= taken->gap)) {
            r->preferred = taken != NULL;
            return wanted;
        }
    }
    if (taken != NULL && taken->k < DM_WANTED_LEAST && taken->prediction_strength < DM_UNMISTAKABLE) {
        const dm_k_record *finer = choose_finer(record, ks, r, taken);
        r->preferred = finer != NULL;
        if (finer != NULL) return finer;
    }
    return taken != NULL ? taken : choose_stable(record, ks, r, false);
}

void dm_recommend(dm_k_record *record, int32_t ks, dm_recommendation *r)
{
    r->made = true;
    r->preferred = r->structure = false;
    for (int32_t i = 0; i < ks; i++) {
        dm_k_record *k = &record[i];
        k->concerns = concerns_of(k, r);
        const bool supported = is_supported(k->concerns, r);
        k->eligible = supported && (k->concerns & (DM_CONCERN_SMALL | DM_CONCERN_UNREACHABLE)) == 0;
        r->structure |= supported;
    }
    const dm_k_record *chosen = choose(record, ks, r), *best = choose_separated(record, ks, false);
    r->k = chosen == NULL ? 0 : chosen->k;
    r->best = best == NULL ? 0 : best->k;
    for (int32_t i = 0; i < ks; i++) {
        if (record[i].eligible && record[i].k != r->k) record[i].concerns |= DM_CONCERN_WORSE;
    }
}
