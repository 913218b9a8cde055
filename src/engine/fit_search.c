/* The search for segments: one fit of k, or one for each k of LO:HI and the choice among them. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engine/final_pass.h"
#include "engine/fit_run.h"

dm_init dm_fit_init_of(const char *word)
{
    if (word == NULL || strcmp(word, "kmeans||") == 0) return DM_INIT_PARALLEL;
    if (strcmp(word, "kmeans++") == 0) return DM_INIT_PLUS_PLUS;
    if (strcmp(word, "random") == 0) return DM_INIT_RANDOM;
    return DM_INIT_GIVEN;
}

demarc_status dm_fit_load_init(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const int32_t k = run->o->k_lo, d = run->transform.d;
    DM_TRY_ALL(run->ctx->comm, dm_alloc(run->given, (int64_t)k * d, "initial centroids"));
    DM_TRY(dm_centroids_read(run->ctx->comm, run->o->init, k, d, run->given));
    for (int64_t i = 0; i < (int64_t)k * d; i++) {
        run->given[i] = dm_transform_to_working(&run->transform, (int32_t)(i % d), run->given[i]);
        if (!(fabs(run->given[i]) <= DM_SCALED_MOST * fmin(1.0 / run->transform.unit, 1.0))) {
            DM_TRY(dm_fail(DEMARC_ERR_DATA,
                           "bad centroid: %s /centroids row %lld column %lld cannot be scaled: give values the "
                           "features can take",
                           run->o->init, (long long)(i / d), (long long)(i % d)));
        }
    }
cleanup:
    return st;
}

demarc_status dm_fit_make_model(const dm_fit_run *run, const dm_fitted *f, dm_model *m)
{
    demarc_status st = DEMARC_OK;
    const int32_t d = run->transform.d;
    const dm_schema *schema = dm_customers_schema(run->customers);
    DM_TRY(dm_model_create(m, f->k, d));
    memcpy(m->centroids, f->centroids, (size_t)f->k * (size_t)d * sizeof *f->centroids);
    m->iterations = f->trace.iterations;
    m->transform.scale = run->transform.scale;
    m->transform.impute = run->transform.impute;
    m->transform.unit = run->transform.unit;
    memcpy(m->transform.log1p, run->transform.log1p, (size_t)d);
    memcpy(m->transform.center, run->transform.center, (size_t)d * 8);
    memcpy(m->transform.factor, run->transform.factor, (size_t)d * 8);
    memcpy(m->transform.origin, run->transform.origin, (size_t)d * 8);
    for (int32_t i = 0; i < d; i++) DM_TRY(dm_strings_add(&m->feature, schema->feature.item[i]));
    m->named = schema->named;
    m->seed = run->o->seed;
    snprintf(m->created_utc, sizeof m->created_utc, "%s", run->started_utc);
cleanup:
    return st;
}

/* Fit state.k segments, from where run->km stands, to state.candidate. */
static demarc_status fit_one(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    dm_fit_state *s = &run->state;
    dm_fitted found = {0};
    dm_kmeans_options ko = {.k = s->k,
                            .init = dm_fit_init_of(o->init),
                            .given = run->given,
                            .restarts = o->restarts,
                            .algorithm = o->algorithm,
                            .batch_size =
                                o->batch_size > 0 ? o->batch_size : dm_kmeans_batch_size(s->k, run->transform.d),
                            .max_epochs = o->max_epochs,
                            .max_iterations = o->max_iterations,
                            .tolerance = o->tolerance,
                            .polish = o->polish,
                            .min_segment_share = o->min_segment_share};
    /* Lloyd from given centroids has one answer. */
    if (ko.init == DM_INIT_GIVEN && o->algorithm == DEMARC_LLOYD) ko.restarts = 1;
    DM_TRY_ALL(run->ctx->comm, dm_fitted_create(&found, s->k, run->transform.d));
    DM_TRY(dm_kmeans_fit(&run->km, &ko, found.centroids, &found.trace));
    dm_fitted_move(&s->candidate, &found);
cleanup:
    dm_fitted_clear(&found);
    return st;
}

static demarc_status edge(void *context) { return dm_checkpoint_edge(context); }
static demarc_status final_edge(void *context, const dm_final_run *at)
{
    (void)at; /* this pass writes nothing and is made again */
    return dm_checkpoint_edge(context);
}

/* Criteria of the candidate, by labels that are not written. */
static demarc_status measure(dm_fit_run *run, dm_diagnostics *g)
{
    demarc_status st = DEMARC_OK;
    dm_model m = {0};
    char digest[40];
    DM_TRY_ALL(run->ctx->comm, dm_fit_make_model(run, &run->state.candidate, &m));
    const dm_final_options fo = {.rows = run->rows,
                                 .customers = run->customers,
                                 .model = &m,
                                 .scan = dm_customers_schema(run->customers)->channel.count > 0 ? &run->scan : NULL,
                                 .reach_only = true,
                                 .edge = final_edge,
                                 .edge_context = &run->resume.checkpoint};
    DM_TRY(dm_final_pass(&fo, g, digest, NULL));
cleanup:
    dm_model_destroy(&m);
    return st;
}

static dm_k_record empty_record(int32_t k)
{
    const double none = (double)NAN;
    return (dm_k_record){.k = k,
                         .objective = none,
                         .calinski_harabasz = none,
                         .davies_bouldin = none,
                         .silhouette = none,
                         .smallest_share = none,
                         .explained_share = none,
                         .reachable_share = none,
                         .gap = none,
                         .gap_se = none,
                         .prediction_strength = none,
                         .prediction_strength_se = none,
                         .stability = none,
                         .stability_lowest = none};
}

/* The record of a k that could be fitted; its segments are kept until one k is chosen. */
static void keep_record(dm_fit_run *run, const dm_diagnostics *g)
{
    dm_fit_state *s = &run->state;
    dm_k_record *r = &s->tried[s->ks];
    int64_t least = g->n;
    *r = empty_record(s->k);
    r->objective = g->objective;
    r->calinski_harabasz = g->calinski_harabasz;
    r->davies_bouldin = g->davies_bouldin;
    r->silhouette = g->silhouette;
    r->explained_share = g->total > 0.0 ? 1.0 - g->objective / g->total : (double)NAN;
    for (int32_t j = 0; j < g->k; j++) {
        least = g->size[j] < least ? g->size[j] : least;
        if (g->channels > 0 && !(g->reach_any[j] >= r->reachable_share)) r->reachable_share = g->reach_any[j];
    }
    r->smallest_share = (double)least / (double)g->n;
    dm_log_line(&run->ctx->log, "k %d: objective %.9g, silhouette %.4f, smallest segment %.2f%%", (int)s->k,
                g->objective, g->silhouette, 100.0 * r->smallest_share);
    dm_fitted_move(&s->kept[s->ks++], &s->candidate);
}

static void keep_failure(dm_fit_run *run)
{
    dm_fit_state *s = &run->state;
    dm_k_record *r = &s->tried[s->ks++];
    *r = empty_record(s->k);
    dm_text_abbreviate(r->failed, sizeof r->failed, dm_error_line());
    if (s->first_failure[0] == 0) dm_text_abbreviate(s->first_failure, sizeof s->first_failure, dm_error_line());
    dm_log_line(&run->ctx->log, "k %d: %s", (int)s->k, dm_error_line());
    dm_position_clear(&run->km.at);
}

/*
 * LO:HI: every k is fitted and measured, then one is chosen (fit_choose.c). A k whose segments cannot have
 * --min-segment-share, or that has more segments than distinct customers, is passed over.
 */
static demarc_status search_range(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_fit_state *s = &run->state;
    for (; s->ks <= run->o->k_hi - run->o->k_lo; s->phase = DM_FIT_SEARCH) {
        dm_diagnostics g = {0};
        s->k = run->o->k_lo + s->ks;
        if (s->phase == DM_FIT_SEARCH) st = fit_one(run);
        if (st == DEMARC_OK) {
            s->phase = DM_FIT_MEASURE;
            st = measure(run, &g);
        }
        if (st == DEMARC_OK) {
            keep_record(run, &g);
        } else if (st == DEMARC_ERR_IMPOSSIBLE) {
            keep_failure(run);
            st = DEMARC_OK;
        }
        dm_fitted_clear(&s->candidate);
        dm_diagnostics_clear(&g);
        DM_TRY(st);
    }
    bool any = false;
    for (int32_t i = 0; i < s->ks; i++) any |= s->kept[i].k != 0;
    if (!any) DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE, "no k can be fitted: %s", s->first_failure));
    s->phase = DM_FIT_CHOOSE;
    DM_TRY(edge(&run->resume.checkpoint));
    DM_TRY(dm_fit_choose(run));
cleanup:
    return st;
}

demarc_status dm_fit_search(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_fit_state *s = &run->state;
    if (s->phase == DM_FIT_ASSIGN) return DEMARC_OK;
    run->km.edge = edge;
    run->km.edge_context = &run->resume.checkpoint;
    if (run->o->k_lo == run->o->k_hi && !run->select) {
        DM_TRY(fit_one(run));
        dm_fitted_move(&s->chosen, &s->candidate);
    } else {
        DM_TRY(search_range(run));
    }
    s->k = s->chosen.k;
    s->phase = DM_FIT_ASSIGN;
    dm_checkpoint_milestone(&run->resume.checkpoint);
cleanup:
    return st;
}
