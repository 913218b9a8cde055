#include "diagnosis/sample_criteria.h"

#include <math.h>

#include "base/clock.h"
#include "base/memory.h"
#include "diagnosis/gap.h"
#include "diagnosis/resampling.h"

/* Gap of every k that could be fitted, and of one segment, which costs nothing. */
static demarc_status add_gaps(const dm_sample_work *work, int32_t draws, int32_t ks, dm_k_record *record,
                              dm_recommendation *r)
{
    demarc_status st = DEMARC_OK;
    int32_t *k = NULL, count = 1;
    double *gap = NULL, *se = NULL;
    st = dm_alloc(k, ks + 1, "gap statistic");
    if (st == DEMARC_OK) st = dm_alloc(gap, ks + 1, "gap statistic");
    if (st == DEMARC_OK) st = dm_alloc(se, ks + 1, "gap statistic");
    DM_TRY_ALL(work->comm, st);
    k[0] = 1;
    for (int32_t i = 0; i < ks; i++) {
        if (record[i].failed[0] == 0 && record[i].k > 1 && record[i].k <= work->sample->m) k[count++] = record[i].k;
    }
    DM_TRY(dm_gap(work, draws, count, k, gap, se));
    r->gap_one = gap[0];
    r->gap_one_se = se[0];
    for (int32_t i = 0, at = 0; i < ks && at < count; i++) {
        while (at < count && k[at] < record[i].k) at++;
        if (record[i].failed[0] != 0 || at == count || k[at] != record[i].k) continue;
        record[i].gap = gap[at];
        record[i].gap_se = se[at];
    }
cleanup:
    dm_free(k);
    dm_free(gap);
    dm_free(se);
    return st;
}

/* Would another sample give the same k segments? */
static demarc_status add_resampling(const dm_sample_work *work, const dm_sample_criteria_options *o,
                                    dm_k_record *record, const double *centroids)
{
    demarc_status st = DEMARC_OK;
    double *jaccard = NULL;
    if (o->halvings > 0 && work->sample->m / 2 >= record->k) {
        DM_TRY(dm_prediction_strength(work, o->halvings, record->k, &record->prediction_strength,
                                      &record->prediction_strength_se));
    }
    if (o->replicates > 0) {
        int32_t counted = 0;
        DM_TRY_ALL(work->comm, dm_alloc(jaccard, record->k, "bootstrap"));
        DM_TRY(dm_bootstrap_jaccard(work, o->replicates, record->k, centroids, jaccard));
        double sum = 0.0, least = INFINITY;
        for (int32_t j = 0; j < record->k; j++) {
            if (isnan(jaccard[j])) continue;
            sum += jaccard[j];
            least = fmin(least, jaccard[j]);
            counted++;
        }
        record->stability = counted > 0 ? sum / counted : (double)NAN;
        record->stability_lowest = counted > 0 ? least : (double)NAN;
    }
cleanup:
    dm_free(jaccard);
    return st;
}

static demarc_status edge(const dm_sample_criteria_options *o)
{
    return o->edge == NULL ? DEMARC_OK : o->edge(o->edge_context);
}

demarc_status dm_sample_criteria(const dm_sample_criteria_options *o, int32_t ks, dm_k_record *record,
                                 const double *const *centroids, dm_recommendation *r)
{
    demarc_status st = DEMARC_OK;
    const dm_rows_options *opened = dm_rows_opened_with(o->rows);
    dm_fit_sample sample = {0};
    double *weight = NULL;
    dm_sample_work work = {opened->comm, opened->kernel, opened->threads, o->seed, &sample, NULL};
    const double start = dm_clock();
    if (*o->done == 0) r->gap_one = r->gap_one_se = (double)NAN;
    DM_TRY(dm_fit_sample_draw_most(&sample, o->rows, o->seed, o->most));
    DM_TRY_ALL(opened->comm, dm_alloc(weight, sample.m, "sample"));
    for (int64_t i = 0; i < sample.m; i++) weight[i] = sample.w == NULL ? 1.0 : (double)sample.w[i];
    work.weight = weight;
    if (*o->done == 0) {
        if (o->gap_draws > 0) DM_TRY(add_gaps(&work, o->gap_draws, ks, record, r));
        *o->done = 1;
        DM_TRY(edge(o));
    }
    for (int32_t i = *o->done - 1; i < ks; i++) {
        if (record[i].failed[0] == 0 && record[i].k > 1) DM_TRY(add_resampling(&work, o, &record[i], centroids[i]));
        dm_log_progress(opened->log, "replicates", i + 1, ks, start);
        *o->done = i + 2;
        DM_TRY(edge(o));
    }
cleanup:
    dm_fit_sample_clear(&sample);
    dm_free(weight);
    return st;
}
