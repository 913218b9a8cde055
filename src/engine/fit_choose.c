/* Which k of LO:HI: criteria over a sample, a recommendation, and the k that is kept. */
#include "base/memory.h"
#include "diagnosis/recommend.h"
#include "diagnosis/sample_criteria.h"
#include "engine/fit_run.h"
#include "kmeans/sample_fits.h"
#include "report/select_report.h"

/* A fit's quick look; demarc_select looks closer. */
#define FIT_REPLICATES 20
#define FIT_GAP_DRAWS 10
#define FIT_HALVINGS 10
#define FIT_SAMPLE 8192
#define SMALLEST_SHARE 0.01 /* of a segment worth recommending, unless told */

dm_choice_options dm_fit_choice_default(const demarc_fit_options *o)
{
    return (dm_choice_options){.replicates = FIT_REPLICATES,
                               .gap_draws = FIT_GAP_DRAWS,
                               .halvings = FIT_HALVINGS,
                               .most = FIT_SAMPLE,
                               .min_share = o->min_segment_share > 0.0 ? o->min_segment_share : SMALLEST_SHARE};
}

static demarc_status edge(void *context) { return dm_checkpoint_edge(context); }

void dm_fit_recommend(dm_fit_run *run)
{
    dm_recommendation *r = &run->state.recommendation;
    const int64_t n = dm_rows_global(run->rows), sampled = dm_fit_sample_size(n, run->transform.d);
    r->customers = n;
    r->sampled = sampled < run->choice.most ? sampled : run->choice.most;
    r->replicates = run->choice.replicates;
    r->gap_draws = run->choice.gap_draws;
    r->halvings = run->choice.halvings;
    r->min_share = run->choice.min_share;
    dm_recommend(run->state.tried, run->state.ks, r);
}

demarc_status dm_fit_choose(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_fit_state *s = &run->state;
    dm_recommendation *r = &s->recommendation;
    const double **centroids = NULL;
    DM_TRY_ALL(comm, dm_alloc(centroids, s->ks, "criteria"));
    for (int32_t i = 0; i < s->ks; i++) centroids[i] = s->kept[i].centroids;
    const dm_sample_criteria_options options = {.rows = run->rows,
                                                .seed = run->o->seed,
                                                .most = run->choice.most,
                                                .replicates = run->choice.replicates,
                                                .gap_draws = run->choice.gap_draws,
                                                .halvings = run->choice.halvings,
                                                .done = &s->criteria,
                                                .edge = edge,
                                                .edge_context = &run->resume.checkpoint};
    DM_TRY(dm_sample_criteria(&options, s->ks, s->tried, centroids, r));
    dm_fit_recommend(run);
    char sentence[600];
    dm_recommendation_sentence(r, s->tried, s->ks, sentence, sizeof sentence);
    if (r->k == 0 && !run->select) {
        dm_log_warn(&run->ctx->log, "%s; %d segments, of the highest simplified silhouette, are made all the same",
                    sentence, (int)r->best);
    } else {
        dm_log_line(&run->ctx->log, "%s", sentence);
    }
    const int32_t k = r->k > 0 ? r->k : r->best;
    for (int32_t i = 0; i < s->ks; i++) {
        if (s->tried[i].k == k) s->best = i;
    }
    dm_fitted_move(&s->chosen, &s->kept[s->best]);
    dm_fit_state_drop_kept(s);
cleanup:
    dm_free(centroids);
    return st;
}
