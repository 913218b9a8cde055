#include "report/recommendation_words.h"

#include <math.h>
#include <stdio.h>

static const dm_k_record *record_of(const dm_k_record *record, int32_t ks, int32_t k)
{
    for (int32_t i = 0; i < ks; i++) {
        if (record[i].k == k) return &record[i];
    }
    return NULL;
}

const char *dm_recommendation_rule(void)
{
    return "A number of segments can be recommended if its smallest segment is large enough and every segment can be "
           "reached, if it explains more than one segment does by two standard errors of the gap statistic "
           "(Tibshirani, Walther & Hastie 2001), and if it is repeatable (prediction strength + standard error >= 0.8; "
           "Tibshirani & Walther 2005) or stable (mean Jaccard >= 0.75, lowest segment >= 0.6, bootstrap; Hennig "
           "2007). "
           "Of the repeatable ones the largest is taken whose gap exceeds that of the smaller ones by a standard "
           "error; one of prediction strength 0.9 or more gives way only to another such, to a peak "
           "of the gap, or to four to eight. "
           "Four to eight segments are preferred: a stable number of them is taken instead of a number outside whose "
           "prediction strength is below 0.9, if its gap is no lower, and a highly stable one (mean Jaccard >= 0.85, "
           "lowest segment >= 0.75) instead of two or three segments of a prediction strength below 0.95, if its gap "
           "is "
           "higher by a standard error. Where nothing passes there is no structure to segment.";
}

void dm_concern_words(const dm_k_record *k, const dm_recommendation *r, dm_concern concern, char *buf, size_t size)
{
    switch (concern) {
    case DM_CONCERN_FAILED:
        snprintf(buf, size, "it cannot be fitted: %s", k->failed);
        break;
    case DM_CONCERN_ONE:
        snprintf(buf, size, "one segment is no segmentation");
        break;
    case DM_CONCERN_SMALL:
        snprintf(buf, size, "its smallest segment holds %.2f%% of the customers, less than %.2f%%",
                 100.0 * k->smallest_share, 100.0 * r->min_share);
        break;
    case DM_CONCERN_UNREACHABLE:
        snprintf(buf, size, "only %.1f%% of the customers of one segment can be reached on any channel",
                 100.0 * k->reachable_share);
        break;
    case DM_CONCERN_UNREPEATED:
        if (isnan(k->prediction_strength)) {
            snprintf(buf, size, "there are too few customers to see whether others would repeat it");
        } else {
            snprintf(buf, size, "other customers would not repeat it: prediction strength %.2f, below %.1f",
                     k->prediction_strength, DM_REPEATABLE);
        }
        break;
    case DM_CONCERN_UNSTABLE:
        if (isnan(k->stability)) {
            snprintf(buf, size, "there are too few customers in the replicates to find it again");
        } else {
            snprintf(buf, size,
                     "replicates do not find it again: mean Jaccard %.2f (wanted %.2f), lowest segment %.2f (%.1f)",
                     k->stability, DM_STABLE, k->stability_lowest, DM_STABLE_LOWEST);
        }
        break;
    case DM_CONCERN_NO_GAP:
        snprintf(buf, size,
                 "it explains no more than segments of customers without structure would: gap %.3f, of one "
                 "segment %.3f",
                 k->gap, r->gap_one);
        break;
    case DM_CONCERN_WORSE:
        snprintf(buf, size, "eligible, but %d segments are recommended", (int)r->k);
        break;
    }
}

/* ", prediction strength 0.95, mean Jaccard 0.97" as far as they are known. */
static void evidence_words(const dm_k_record *k, char *buf, size_t size)
{
    char part[3][64] = {"", "", ""};
    if (!isnan(k->prediction_strength)) snprintf(part[0], 64, ", prediction strength %.2f", k->prediction_strength);
    if (!isnan(k->stability)) snprintf(part[1], 64, ", mean Jaccard %.2f", k->stability);
    if (!isnan(k->silhouette)) snprintf(part[2], 64, ", simplified silhouette %.2f", k->silhouette);
    snprintf(buf, size, "%s%s%s", part[0], part[1], part[2]);
}

void dm_recommendation_sentence(const dm_recommendation *r, const dm_k_record *record, int32_t ks, char *buf,
                                size_t size)
{
    char evidence[200];
    const int32_t from = ks > 0 ? record[0].k : 0, to = ks > 0 ? record[ks - 1].k : 0;
    const dm_k_record *k = record_of(record, ks, r->k);
    if (!r->structure) {
        snprintf(buf, size,
                 "no structure to segment: of %d to %d segments none explains more than one segment does and "
                 "would be found again in other customers like these",
                 (int)from, (int)to);
    } else if (k == NULL) {
        snprintf(buf, size,
                 "no number of segments to recommend: there is structure, but of %d to %d segments none has "
                 "segments that are all large enough and reachable",
                 (int)from, (int)to);
    } else {
        evidence_words(k, evidence, sizeof evidence);
        snprintf(buf, size, "%d segments: the smallest holds %.1f%% of the customers%s", (int)k->k,
                 100.0 * k->smallest_share, evidence);
    }
}

bool dm_recommendation_reason(const dm_recommendation *r, const dm_k_record *record, int32_t ks, int32_t i, char *buf,
                              size_t size)
{
    const dm_k_record *k = record_of(record, ks, r->k), *best = record_of(record, ks, r->best);
    int32_t at = 0;
    int eligible = 0;
    for (int32_t j = 0; j < ks; j++) eligible += record[j].eligible;
    if (k == NULL) {
        if (i == at++) {
            snprintf(buf, size,
                     "none of the %d numbers of segments that were compared can be recommended; each says why",
                     (int)ks);
            return true;
        }
        if (best != NULL && !isnan(best->silhouette) && i == at++) {
            snprintf(buf, size, "if segments are wanted all the same, %d have the highest simplified silhouette, %.3f",
                     (int)best->k, best->silhouette);
            return true;
        }
        return false;
    }
    if (!isnan(k->gap) && i == at++) {
        snprintf(buf, size,
                 "it explains more than one segment does: gap %.3f (standard error %.3f), of one segment %.3f (%.3f)",
                 k->gap, k->gap_se, r->gap_one, r->gap_one_se);
        return true;
    }
    if (!isnan(k->prediction_strength) && (k->concerns & DM_CONCERN_UNREPEATED) == 0 && i == at++) {
        snprintf(buf, size, "one half of the customers foretells the segments of the other: prediction strength %.2f",
                 k->prediction_strength);
        return true;
    }
    if (!isnan(k->stability) && (k->concerns & DM_CONCERN_UNSTABLE) == 0 && i == at++) {
        snprintf(buf, size, "bootstrap replicates find every segment again: mean Jaccard %.2f, lowest segment %.2f",
                 k->stability, k->stability_lowest);
        return true;
    }
    for (unsigned c = DM_CONCERN_UNREPEATED; c <= DM_CONCERN_UNSTABLE; c <<= 1) {
        if ((k->concerns & c) == 0 || i != at++) continue;
        char words[300];
        dm_concern_words(k, r, (dm_concern)c, words, sizeof words);
        snprintf(buf, size, "against it: %s", words);
        return true;
    }
    if (r->preferred && i == at++) {
        snprintf(buf, size,
                 "four to eight segments are preferred: this number is stable, and so was taken before one outside");
        return true;
    }
    if (i == at++) {
        snprintf(buf, size, "%d of the %d numbers of segments that were compared can be recommended", eligible,
                 (int)ks);
        return true;
    }
    return false;
}
