#include "report/compare_report.h"

#include <stdlib.h>

#include "base/memory.h"
#include "report/boundary_json.h"

#define ORDER                                                                                                          \
    "old label; new values under the old scaling and centroids; then the new scaling with the old centroids in "       \
    "scaled "                                                                                                          \
    "space; then the new centroids. A customer counts at the first step that leaves the old segment"

void dm_compare_report_clear(dm_compare_report *r)
{
    for (int32_t i = 0; i < r->advices; i++) free(r->advice[i].why);
    dm_free(r->segment);
    dm_free(r->count);
    dm_free(r->entered_in);
    dm_free(r->left_from);
    dm_free(r->moves_of);
    dm_free(r->pair_segment);
    dm_free(r->drift);
    dm_free(r->margin_of);
    dm_free(r->expectation);
    dm_free(r->advice);
    dm_strings_clear(&r->outcome);
    dm_strings_clear(&r->label);
    *r = (dm_compare_report){0};
}

static json_t *side(const dm_compare_side *s)
{
    json_t *o = json_object();
    int bad = dm_put(o, "run", dm_json_path(s->run));
    bad |= dm_put_integer(o, "n", s->n);
    bad |= dm_put_integer(o, "d", s->d);
    bad |= dm_put_integer(o, "k", s->k);
    bad |= dm_put_text(o, "digest", s->digest);
    bad |= dm_put_real(o, "objective", s->objective);
    return dm_json_finish(o, bad);
}

static json_t *customers(const dm_compare_report *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "common", r->common);
    bad |= dm_put_integer(o, "entered", r->entered);
    bad |= dm_put_integer(o, "left", r->left);
    return dm_json_finish(o, bad);
}

static json_t *segments(const dm_compare_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->segments && !bad; i++) {
        const dm_compare_segment *s = &r->segment[i];
        json_t *o = json_object();
        bad |= dm_put_index(o, "old", s->old_segment);
        bad |= dm_put_index(o, "new", s->new_segment);
        bad |= dm_put(o, "name", dm_json_path(s->name));
        bad |= dm_put_integer(o, "colour", s->colour);
        bad |= dm_put_text(o, "status", s->status);
        bad |= dm_put_integer(o, "common", s->common);
        bad |= dm_put_real(o, "jaccard", s->jaccard);
        bad |= dm_put_integer(o, "old_size", s->old_size);
        bad |= dm_put_integer(o, "new_size", s->new_size);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

/* Shares of a row's (along 1) or a column's (along 0) customers; null where there are none. */
static json_t *share_rows(const dm_compare_report *r, int along)
{
    const int32_t a = r->side[0].k, b = r->side[1].k;
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < a && !bad; i++) {
        json_t *row = json_array();
        for (int32_t j = 0; j < b && !bad; j++) {
            int64_t sum = 0;
            for (int32_t l = 0; l < (along == 1 ? b : a); l++)
                sum += along == 1 ? r->count[(int64_t)i * b + l] : r->count[(int64_t)l * b + j];
            bad |= json_array_append_new(row, dm_json_real((double)r->count[(int64_t)i * b + j] / (double)sum));
        }
        bad |= json_array_append_new(list, row);
    }
    return dm_json_finish(list, bad);
}

static json_t *migration(const dm_compare_report *r)
{
    const int32_t a = r->side[0].k, b = r->side[1].k;
    json_t *o = json_object(), *counts = json_array();
    int bad = counts == NULL;
    for (int32_t i = 0; i < a && !bad; i++)
        bad |= json_array_append_new(counts, dm_json_integers(r->count + (int64_t)i * b, b));
    bad |= dm_put(o, "counts", counts);
    bad |= dm_put(o, "row_share", share_rows(r, 1));
    bad |= dm_put(o, "column_share", share_rows(r, 0));
    bad |= dm_put(o, "entered", dm_json_integers(r->entered_in, b));
    bad |= dm_put(o, "left", dm_json_integers(r->left_from, a));
    bad |= dm_put_integer(o, "moved", r->moves.moved);
    bad |= dm_put_real(o, "moved_share", (double)r->moves.moved / (double)r->common);
    return dm_json_finish(o, bad);
}

static json_t *agreement(const dm_compare_report *r)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "adjusted_rand", r->adjusted_rand);
    bad |= dm_put_real(o, "variation_of_information", r->variation);
    bad |= dm_put_real(o, "variation_of_information_max", r->variation_max);
    return dm_json_finish(o, bad);
}

static int put_moves(json_t *o, const dm_compare_moves *m)
{
    int bad = dm_put_integer(o, "moved", m->moved);
    bad |= dm_put_integer(o, "customer_changed", m->customer);
    bad |= dm_put_integer(o, "scaling_changed", m->scaling);
    return bad | dm_put_integer(o, "model_changed", m->model);
}

static json_t *decomposition(const dm_compare_report *r)
{
    json_t *o = json_object(), *list = json_array();
    int bad = dm_put_text(o, "order", ORDER);
    bad |= put_moves(o, &r->moves);
    for (int32_t j = 0; j < r->side[0].k && !bad; j++) {
        json_t *s = json_object();
        bad |= dm_put_integer(s, "old", j);
        bad |= put_moves(s, &r->moves_of[j]);
        bad |= json_array_append_new(list, s);
    }
    bad |= dm_put(o, "segments", list);
    return dm_json_finish(o, bad);
}

static json_t *drift_features(const dm_compare_report *r, int64_t set)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t f = 0; f < r->feature->count && !bad; f++) {
        const dm_drift_figure *g = &r->drift[set * r->feature->count + f];
        json_t *o = json_object();
        bad |= dm_put_text(o, "feature", r->feature->item[f]);
        bad |= dm_put_integer(o, "bins", g->bins);
        bad |= dm_put_real(o, "psi", g->psi);
        bad |= dm_put_real(o, "psi_p", g->psi_p);
        bad |= dm_put_real(o, "psi_p_adjusted", g->psi_p_adjusted);
        bad |= dm_put_text(o, "word", g->word);
        bad |= dm_put_real(o, "ks", g->ks);
        bad |= dm_put_real(o, "ks_p", g->ks_p);
        bad |= dm_put_real(o, "ks_p_adjusted", g->ks_p_adjusted);
        bad |= dm_put_real(o, "wasserstein", g->wasserstein);
        bad |= dm_put_real(o, "wasserstein_sd", g->wasserstein_sd);
        bad |= dm_put_real(o, "old_mean", g->old_mean);
        bad |= dm_put_real(o, "new_mean", g->new_mean);
        bad |= dm_put_integer(o, "old_count", g->old_count);
        bad |= dm_put_integer(o, "new_count", g->new_count);
        bad |= dm_put_integer(o, "old_missing", g->old_missing);
        bad |= dm_put_integer(o, "new_missing", g->new_missing);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static const char *name_of(const dm_compare_report *r, int32_t new)
{
    for (int32_t i = 0; i < r->segments; i++) {
        if (r->segment[i].new_segment == new) return r->segment[i].name;
    }
    return NULL;
}

static json_t *drift(const dm_compare_report *r)
{
    json_t *o = json_object(), *list = json_array();
    int bad = dm_put_integer(o, "tests", r->drift_tests);
    bad |= dm_put_text(o, "adjust", "holm");
    bad |= dm_put_real(o, "alpha", r->alpha);
    bad |= dm_put_integer(o, "bins", r->bins);
    bad |= dm_put(o, "features", drift_features(r, 0));
    for (int32_t p = 0; p < r->pairs && !bad; p++) {
        json_t *s = json_object();
        bad |= dm_put_integer(s, "segment", r->pair_segment[p]);
        bad |= dm_put(s, "name", dm_json_path(name_of(r, r->pair_segment[p])));
        bad |= dm_put(s, "features", drift_features(r, 1 + p));
        bad |= json_array_append_new(list, s);
    }
    bad |= dm_put(o, "segments", list);
    return dm_json_finish(o, bad);
}

static json_t *expectation(const dm_compare_report *r, int32_t pair, int32_t outcome)
{
    const dm_compare_expectation *e = &r->expectation[(int64_t)pair * r->outcome.count + outcome];
    json_t *o = json_object(), *stayers = json_object();
    int bad = dm_put_integer(o, "segment", r->pair_segment[pair]);
    bad |= dm_put(o, "name", dm_json_path(name_of(r, r->pair_segment[pair])));
    bad |= dm_put_text(o, "outcome", r->outcome.item[outcome]);
    bad |= dm_put_real(o, "expected", e->expected);
    bad |= dm_put_real(o, "actual", e->actual);
    bad |= dm_put_real(o, "difference", e->difference);
    bad |= dm_put_real(o, "low", e->low);
    bad |= dm_put_real(o, "high", e->high);
    bad |= dm_put_integer(o, "expected_customers", e->expected_customers);
    bad |= dm_put_integer(o, "customers", e->customers);
    bad |= dm_put_real(o, "margin", r->margin_of[outcome]);
    bad |= dm_put_real(o, "p", e->p);
    bad |= dm_put_real(o, "p_adjusted", e->p_adjusted);
    bad |= dm_put_real(o, "equivalence_p", e->equivalence_p);
    bad |= dm_put_real(o, "equivalence_p_adjusted", e->equivalence_p_adjusted);
    bad |= dm_put_text(o, "word", e->word);
    bad |= dm_put_integer(stayers, "customers", e->stayers);
    bad |= dm_put_real(stayers, "actual", e->stayers_actual);
    bad |= dm_put(o, "stayers", stayers);
    return dm_json_finish(o, bad);
}

static json_t *advice(const dm_compare_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->advices && !bad; i++) {
        const dm_compare_advice *v = &r->advice[i];
        const int64_t both[] = {v->segment, v->other};
        json_t *o = json_object();
        bad |= dm_put(o, "segments", dm_json_integers(both, v->other < 0 ? 1 : 2));
        bad |= dm_put_text(o, "advice", v->advice);
        bad |= dm_put_real(o, "p_adjusted", v->p_adjusted);
        bad |= dm_put_text(o, "why", v->why);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *calibration(const dm_compare_report *r)
{
    if (r->outcome.count == 0) return json_null();
    json_t *o = json_object(), *list = json_array();
    int bad = dm_put_text(o, "meaning", "observational: nobody was randomised to a segment");
    bad |= dm_put_real(o, "margin", r->margin);
    bad |= dm_put_integer(o, "tests", r->calibration_tests);
    bad |= dm_put_integer(o, "merge_tests", r->merge_tests);
    bad |= dm_put_text(o, "adjust", "holm");
    bad |= dm_put_real(o, "alpha", r->alpha);
    for (int32_t p = 0; p < r->pairs && !bad; p++) {
        for (int32_t i = 0; i < r->outcome.count && !bad; i++) bad |= json_array_append_new(list, expectation(r, p, i));
    }
    bad |= dm_put(o, "segments", list);
    bad |= dm_put(o, "advice", advice(r));
    return dm_json_finish(o, bad);
}

demarc_status dm_compare_json(const dm_compare_report *r, char **text)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "command", "compare");
    bad |= dm_put_integer(o, "format_version", 1);
    bad |= dm_put(o, "old", side(&r->side[0]));
    bad |= dm_put(o, "new", side(&r->side[1]));
    bad |= dm_put(o, "customers", customers(r));
    bad |= dm_put(o, "segments", segments(r));
    bad |= dm_put(o, "migration", migration(r));
    bad |= dm_put(o, "agreement", agreement(r));
    bad |= dm_put(o, "decomposition", decomposition(r));
    bad |= dm_put(o, "drift", drift(r));
    bad |= dm_put(o, "calibration", calibration(r));
    return dm_json_write(dm_json_finish(o, bad), "comparison", text);
}
