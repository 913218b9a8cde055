#include "report/stability_report.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "report/boundary_json.h"

const char *dm_stability_word(double jaccard)
{
    if (isnan(jaccard)) return NULL;
    if (jaccard >= 0.85) return "highly stable";
    if (jaccard >= 0.75) return "stable";
    if (jaccard >= 0.6) return "pattern";
    return jaccard >= 0.5 ? "unstable" : "dissolved";
}

void dm_stability_report_clear(dm_stability_report *r)
{
    for (int32_t j = 0; r->segment != NULL && j < r->k; j++) dm_free(r->segment[j].across);
    for (int32_t i = 0; r->solution != NULL && i < r->solutions; i++) {
        dm_free(r->solution[i].size);
        dm_free(r->solution[i].value);
        dm_free(r->solution[i].origin);
    }
    dm_free(r->segment);
    dm_free(r->solution);
    dm_free(r->rand);
    *r = (dm_stability_report){0};
}

static json_t *figure(const dm_stability_figure *f, bool sd)
{
    json_t *o = json_object();
    int bad = dm_put_real(o, "mean", f->mean);
    if (sd) bad |= dm_put_real(o, "sd", f->sd);
    bad |= dm_put_real(o, "low", f->low);
    bad |= dm_put_real(o, "high", f->high);
    return dm_json_finish(o, bad);
}

static json_t *across_of(const dm_stability_report *r, const dm_stability_segment *s)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->solutions && !bad; i++) {
        json_t *o = json_object();
        bad |= dm_put_integer(o, "k", r->solution[i].k);
        bad |= dm_put_real(o, "value", s->across[i]);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *segments(const dm_stability_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < r->k && !bad; j++) {
        const dm_stability_segment *s = &r->segment[j];
        json_t *o = json_object();
        bad |= dm_put_integer(o, "segment", j);
        bad |= dm_put(o, "name", dm_json_path(s->name));
        bad |= dm_put_integer(o, "size", s->size);
        bad |= dm_put_real(o, "share", s->share);
        bad |= dm_put(o, "jaccard", figure(&s->jaccard, true));
        bad |= dm_put_real(o, "recovered_share", s->recovered_share);
        bad |= dm_put_real(o, "dissolved_share", s->dissolved_share);
        bad |= dm_put_text(o, "word", s->word);
        bad |= dm_put(o, "within", figure(&s->within, false));
        bad |= dm_put(o, "across", across_of(r, s));
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *adjusted_rand(const dm_stability_report *r)
{
    json_t *o = figure(&r->adjusted_rand, false);
    return dm_json_finish(o, dm_put(o, "replicates", dm_json_reals(r->rand, r->replicates)));
}

static json_t *solution_segments(const dm_stability_report *r, int32_t i)
{
    const dm_stability_solution *s = &r->solution[i];
    const int32_t before = i > 0 ? s[-1].k : 0;
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t j = 0; j < s->k && !bad; j++) {
        json_t *o = json_object(), *from = i > 0 ? json_array() : json_null();
        for (int32_t a = 0; a < before; a++)
            bad |= json_array_append_new(from, json_integer(s->origin[(int64_t)a * s->k + j]));
        bad |= dm_put_integer(o, "segment", j);
        bad |= dm_put_integer(o, "size", s->size[j]);
        bad |= dm_put_real(o, "value", i > 0 ? s->value[j] : (double)NAN);
        bad |= dm_put(o, "from", from);
        bad |= json_array_append_new(list, o);
    }
    return dm_json_finish(list, bad);
}

static json_t *across(const dm_stability_report *r)
{
    if (r->solutions == 0) return json_null();
    json_t *list = json_array(), *o = json_object();
    int bad = list == NULL;
    for (int32_t i = 0; i < r->solutions && !bad; i++) {
        const dm_stability_solution *s = &r->solution[i];
        json_t *v = json_object();
        bad |= dm_put_integer(v, "k", s->k);
        bad |= dm_put_flag(v, "model", s->model);
        bad |= dm_put_real(v, "objective", s->objective);
        bad |= dm_put(v, "segments", solution_segments(r, i));
        bad |= json_array_append_new(list, v);
    }
    bad |= dm_put_integer(o, "from", r->solution[0].k);
    bad |= dm_put_integer(o, "to", r->solution[r->solutions - 1].k);
    bad |= dm_put(o, "solutions", list);
    return dm_json_finish(o, bad);
}

static json_t *sample(const dm_stability_report *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "customers", r->sample);
    bad |= dm_put_integer(o, "of", r->n);
    bad |=
        dm_put_text(o, "meaning",
                    r->sample == r->n ? "each replicate is refitted from all customers"
                                      : "each replicate is seeded and searched on the sample, then refined by passes "
                                        "over all customers; figures are of all customers");
    return dm_json_finish(o, bad);
}

static json_t *notes(const dm_stability_report *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    bad |= json_array_append_new(
        list, dm_json_text("low and high: percentile interval over replicates (for within, over pairs of them): where "
                           "single replicates lie, not how well the mean is known"));
    bad |= json_array_append_new(
        list, dm_json_text("jaccard: largest Jaccard similarity of the segment with any segment of the replicate, over "
                           "the customers drawn, each once (Hennig 2007); recovered above 0.75, dissolved at 0.5 or "
                           "below; the word goes by the mean"));
    bad |= json_array_append_new(
        list, dm_json_text("within: the same over all customers, mean of the replicates of a pair (2b, 2b + 1) "
                           "(SLSW, Dolnicar & Leisch 2017)"));
    if (r->solutions > 0) {
        bad |= json_array_append_new(
            list,
            dm_json_text("across: 1 - H / log k, H the entropy of the segment's customers over the k segments of "
                         "that solution; in solutions, over those of the solution before (SLSA, Dolnicar & Leisch "
                         "2017); the model stands for its own number of segments"));
    }
    return dm_json_finish(list, bad);
}

demarc_status dm_stability_report_json(const dm_stability_report *r, char **text)
{
    json_t *o = json_object();
    int bad = dm_put_text(o, "command", "stability");
    bad |= dm_put_integer(o, "format_version", 1);
    bad |= dm_put(o, "data", dm_json_path(r->data));
    bad |= dm_put_text(o, "model_digest", r->model_digest);
    bad |= dm_put_integer(o, "n", r->n);
    bad |= dm_put_integer(o, "d", r->d);
    bad |= dm_put_integer(o, "k", r->k);
    bad |= dm_put_integer(o, "replicates", r->replicates);
    bad |= dm_put(o, "seed", dm_json_u64(r->seed));
    bad |= dm_put_real(o, "level", r->level);
    bad |= dm_put(o, "sample", sample(r));
    bad |= dm_put_integer(o, "polish", r->polish);
    bad |= dm_put(o, "segments", segments(r));
    bad |= dm_put(o, "adjusted_rand", adjusted_rand(r));
    bad |= dm_put(o, "across", across(r));
    bad |= dm_put(o, "notes", notes(r));
    return dm_json_write(dm_json_finish(o, bad), "result of stability", text);
}
