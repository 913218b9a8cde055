#include "report/select_json.h"

#include <string.h>

#include "report/boundary_json.h"
#include "report/recommendation_words.h"

static json_t *reasons(const dm_k_record *k, const dm_recommendation *r)
{
    char text[400];
    json_t *list = json_array();
    int bad = list == NULL;
    for (unsigned concern = 1; concern != 0 && concern <= k->concerns && !bad; concern <<= 1) {
        if ((k->concerns & concern) == 0) continue;
        dm_concern_words(k, r, (dm_concern)concern, text, sizeof text);
        bad |= json_array_append_new(list, dm_json_text(text));
    }
    return dm_json_finish(list, bad);
}

static json_t *one_k(const dm_k_record *k, const dm_recommendation *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "k", k->k);
    bad |= dm_put_real(o, "objective", k->objective);
    bad |= dm_put_real(o, "explained_share", k->explained_share);
    bad |= dm_put_real(o, "calinski_harabasz", k->calinski_harabasz);
    bad |= dm_put_real(o, "davies_bouldin", k->davies_bouldin);
    bad |= dm_put_real(o, "simplified_silhouette", k->silhouette);
    bad |= dm_put_real(o, "smallest_share", k->smallest_share);
    bad |= dm_put_real(o, "reachable_share", k->reachable_share);
    bad |= dm_put_real(o, "gap", k->gap);
    bad |= dm_put_real(o, "gap_se", k->gap_se);
    bad |= dm_put_real(o, "prediction_strength", k->prediction_strength);
    bad |= dm_put_real(o, "prediction_strength_se", k->prediction_strength_se);
    bad |= dm_put_real(o, "stability", k->stability);
    bad |= dm_put_real(o, "stability_lowest", k->stability_lowest);
    bad |= dm_put(o, "failed", k->failed[0] == 0 ? json_null() : dm_json_text(k->failed));
    bad |= dm_put_flag(o, "eligible", k->eligible);
    bad |= dm_put(o, "reasons", reasons(k, r));
    bad |= dm_put_flag(o, "chosen", k->chosen);
    return dm_json_finish(o, bad);
}

json_t *dm_select_json_per_k(const dm_k_record *record, int32_t ks, const dm_recommendation *r)
{
    json_t *list = json_array();
    int bad = list == NULL;
    for (int32_t i = 0; i < ks && !bad; i++) bad |= json_array_append_new(list, one_k(&record[i], r));
    return dm_json_finish(list, bad);
}

json_t *dm_select_json_recommendation(const dm_recommendation *r, const dm_k_record *record, int32_t ks)
{
    char text[1024];
    if (!r->made) return json_null();
    json_t *o = json_object(), *list = json_array();
    int bad = dm_put(o, "k", r->k > 0 ? json_integer(r->k) : json_null());
    bad |= dm_put_flag(o, "structure", r->structure);
    dm_recommendation_sentence(r, record, ks, text, sizeof text);
    bad |= dm_put_text(o, "sentence", text);
    bad |= dm_put_text(o, "rule", dm_recommendation_rule());
    for (int32_t i = 0; dm_recommendation_reason(r, record, ks, i, text, sizeof text); i++)
        bad |= json_array_append_new(list, dm_json_text(text));
    bad |= dm_put(o, "reasons", list);
    return dm_json_finish(o, bad);
}

/* {"customers", "of", "meaning"}. */
static json_t *sample_of(const dm_recommendation *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "customers", r->sampled);
    bad |= dm_put_integer(o, "of", r->customers);
    bad |= dm_put_text(o, "meaning",
                       "gap, prediction strength and stability are of this many customers, drawn without replacement; "
                       "all other criteria are of all customers");
    return dm_json_finish(o, bad);
}

/* {"bootstrap", "gap", "halvings"}. */
static json_t *replicates_of(const dm_recommendation *r)
{
    json_t *o = json_object();
    int bad = dm_put_integer(o, "bootstrap", r->replicates);
    bad |= dm_put_integer(o, "gap", r->gap_draws);
    bad |= dm_put_integer(o, "halvings", r->halvings);
    return dm_json_finish(o, bad);
}

demarc_status dm_select_report_json(const dm_select_report *r, char **text)
{
    json_t *o = json_object(), *segments = json_object();
    int bad = dm_put_text(o, "command", "select");
    bad |= dm_put_integer(o, "format_version", 1);
    bad |= dm_put(o, "data", dm_json_path(r->data));
    bad |= dm_put_integer(o, "n", r->n);
    bad |= dm_put_integer(o, "d", r->d);
    bad |= dm_put(o, "seed", dm_json_u64(r->seed));
    bad |= dm_put_integer(segments, "from", r->from);
    bad |= dm_put_integer(segments, "to", r->to);
    bad |= dm_put(o, "segments", segments);
    bad |= dm_put(o, "sample", sample_of(&r->recommendation));
    bad |= dm_put(o, "replicates", replicates_of(&r->recommendation));
    bad |= dm_put(o, "per_k", dm_select_json_per_k(r->record, r->ks, &r->recommendation));
    bad |= dm_put(o, "recommendation", dm_select_json_recommendation(&r->recommendation, r->record, r->ks));
    return dm_json_write(dm_json_finish(o, bad), "select", text);
}
