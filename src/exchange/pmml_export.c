#include "exchange/pmml_export.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "exchange/number_text.h"

#define NAMESPACE "http://www.dmg.org/PMML-4_4"
enum { OUTPUTS = 3 };

/* The document under way; `bad` keeps any failure until the end. */
struct pmml {
    const dm_export_source *from;
    const dm_model *m;
    xmlTextWriterPtr w;
    dm_strings name; /* [2 d + OUTPUTS]: fields, derived fields, outputs; all different */
    int bad;
};

static void begin(struct pmml *p, const char *element)
{
    p->bad |= xmlTextWriterStartElement(p->w, BAD_CAST element) < 0;
}

static void end(struct pmml *p) { p->bad |= xmlTextWriterEndElement(p->w) < 0; }

static void attribute(struct pmml *p, const char *name, const char *value)
{
    p->bad |= xmlTextWriterWriteAttribute(p->w, BAD_CAST name, BAD_CAST value) < 0;
}

static void text(struct pmml *p, const char *s) { p->bad |= xmlTextWriterWriteString(p->w, BAD_CAST s) < 0; }

static void attribute_real(struct pmml *p, const char *name, double value)
{
    char buf[DM_NUMBER_TEXT];
    (void)dm_number_text_f64(buf, value);
    attribute(p, name, buf);
}

static void attribute_integer(struct pmml *p, const char *name, int64_t value)
{
    char buf[32];
    snprintf(buf, sizeof buf, "%lld", (long long)value);
    attribute(p, name, buf);
}

/* ------------------------------------------------------------------------------------------------ names */

/* `s` for XML: control characters and what is not UTF-8 escaped, U+FFFE and U+FFFF (EF BF BE, EF BF BF) as U+FFFD. */
static char *xml_text(const char *s)
{
    const size_t room = 4 * strlen(s) + 1;
    char *out = malloc(room);
    if (out == NULL) return NULL;
    dm_text_escape(out, room, s);
    for (char *at = out; (at = strstr(at, "\xef\xbf")) != NULL; at += 3) {
        if (at[2] == '\xbe' || at[2] == '\xbf') at[2] = '\xbd';
    }
    return out;
}

/* Of equal names all but the first get "#index", until all differ. */
static demarc_status make_distinct(dm_strings *s)
{
    demarc_status st = DEMARC_OK;
    int32_t *order = NULL;
    DM_TRY(dm_alloc(order, s->count, "PMML"));
    for (bool alike = true; alike;) {
        alike = false;
        dm_strings_order(s, order);
        for (int32_t i = s->count - 1; i > 0; i--) {
            char **name = &s->item[order[i]], *longer = NULL;
            if (strcmp(*name, s->item[order[i - 1]]) != 0) continue;
            if (asprintf(&longer, "%s#%d", *name, (int)order[i]) < 0) {
                DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: PMML: free some memory"));
            }
            free(*name);
            *name = longer;
            alike = true;
        }
    }
cleanup:
    dm_free(order);
    return st;
}

static demarc_status make_names(struct pmml *p)
{
    static const char *const output[OUTPUTS] = {"segment", "segment_name", "squared_distance"};
    demarc_status st = DEMARC_OK;
    for (int part = 0; part < 2; part++) {
        for (int32_t f = 0; f < p->m->d && st == DEMARC_OK; f++) {
            char *plain = xml_text(p->m->feature.item[f]), *name = NULL;
            if (plain == NULL || asprintf(&name, part == 0 ? "%s" : "scaled(%s)", plain) < 0) {
                name = NULL;
                st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: PMML: free some memory");
            } else {
                st = dm_strings_add(&p->name, name);
            }
            free(plain);
            free(name);
        }
    }
    for (int i = 0; i < OUTPUTS && st == DEMARC_OK; i++) st = dm_strings_add(&p->name, output[i]);
    return st == DEMARC_OK ? make_distinct(&p->name) : st;
}

static const char *field(const struct pmml *p, int32_t f) { return p->name.item[f]; }
static const char *derived(const struct pmml *p, int32_t f) { return p->name.item[p->m->d + f]; }
static const char *output_name(const struct pmml *p, int i) { return p->name.item[2 * p->m->d + i]; }

/* ------------------------------------------------------------------------------------------------ parts */

static void extension(struct pmml *p, const char *name, const char *value)
{
    begin(p, "Extension");
    attribute(p, "extender", "demarc");
    attribute(p, "name", name);
    attribute(p, "value", value);
    end(p);
}

static void header(struct pmml *p)
{
    char objective[DM_NUMBER_TEXT];
    (void)dm_number_text_f64(objective, p->m->objective);
    begin(p, "Header");
    attribute(p, "description", "customer segments: k-means centroids over scaled features");
    extension(p, "digest", p->m->digest);
    extension(p, "objective", objective);
    begin(p, "Application");
    attribute(p, "name", "demarc");
    attribute(p, "version", demarc_version());
    end(p);
    begin(p, "Timestamp");
    text(p, p->m->created_utc);
    end(p);
    end(p);
}

static void dictionary(struct pmml *p)
{
    begin(p, "DataDictionary");
    attribute_integer(p, "numberOfFields", p->m->d);
    for (int32_t f = 0; f < p->m->d; f++) {
        begin(p, "DataField");
        attribute(p, "name", field(p, f));
        attribute(p, "optype", "continuous");
        attribute(p, "dataType", "double");
        if (p->m->transform.log1p[f]) {
            begin(p, "Interval");
            attribute(p, "closure", "openOpen");
            attribute(p, "leftMargin", "-1");
            end(p);
        }
        end(p);
    }
    end(p);
}

static void mining_schema(struct pmml *p)
{
    const dm_transform *t = &p->m->transform;
    begin(p, "MiningSchema");
    for (int32_t f = 0; f < p->m->d; f++) {
        begin(p, "MiningField");
        attribute(p, "name", field(p, f));
        attribute(p, "usageType", "active");
        if (t->impute) {
            attribute_real(p, "missingValueReplacement", t->log1p[f] ? expm1(t->origin[f]) : t->origin[f]);
            attribute(p, "missingValueTreatment", t->log1p[f] ? "asValue" : "asMean");
        } else {
            attribute(p, "missingValueTreatment", "returnInvalid");
        }
        end(p);
    }
    end(p);
}

static void output(struct pmml *p)
{
    static const char *const shape[OUTPUTS][3] = {{"categorical", "string", "predictedValue"},
                                                  {"categorical", "string", "predictedDisplayValue"},
                                                  {"continuous", "double", "affinity"}};
    begin(p, "Output");
    for (int i = 0; i < OUTPUTS; i++) {
        begin(p, "OutputField");
        attribute(p, "name", output_name(p, i));
        attribute(p, "optype", shape[i][0]);
        attribute(p, "dataType", shape[i][1]);
        attribute(p, "feature", shape[i][2]);
        end(p);
    }
    end(p);
}

static void constant(struct pmml *p, double value)
{
    char buf[DM_NUMBER_TEXT];
    (void)dm_number_text_f64(buf, value);
    begin(p, "Constant");
    attribute(p, "dataType", "double");
    text(p, buf);
    end(p);
}

static void apply(struct pmml *p, const char *function)
{
    begin(p, "Apply");
    attribute(p, "function", function);
}

static void transformations(struct pmml *p)
{
    const dm_transform *t = &p->m->transform;
    begin(p, "LocalTransformations");
    for (int32_t f = 0; f < p->m->d; f++) {
        begin(p, "DerivedField");
        attribute(p, "name", derived(p, f));
        attribute(p, "optype", "continuous");
        attribute(p, "dataType", "float");
        apply(p, "*");
        apply(p, "-");
        if (t->log1p[f]) apply(p, "ln1p");
        begin(p, "FieldRef");
        attribute(p, "field", field(p, f));
        end(p);
        if (t->log1p[f]) end(p);
        constant(p, t->origin[f]);
        end(p);
        constant(p, t->factor[f] / t->unit);
        end(p);
        end(p);
    }
    end(p);
}

static void clusters(struct pmml *p)
{
    const dm_model *m = p->m;
    const double weight = m->transform.unit * m->transform.unit;
    begin(p, "ComparisonMeasure");
    attribute(p, "kind", "distance");
    attribute(p, "compareFunction", "absDiff");
    begin(p, "squaredEuclidean");
    end(p);
    end(p);
    for (int32_t f = 0; f < m->d; f++) {
        begin(p, "ClusteringField");
        attribute(p, "field", derived(p, f));
        /* Beyond double's range all weights are 1: segments are the same, affinities are in working space. */
        if (weight != 1.0 && weight > 0.0 && isfinite(weight)) attribute_real(p, "fieldWeight", weight);
        end(p);
    }
    for (int32_t j = 0; j < m->k; j++) {
        char *name = xml_text(p->from->name->item[j]);
        p->bad |= name == NULL;
        begin(p, "Cluster");
        attribute_integer(p, "id", j);
        if (name != NULL) attribute(p, "name", name);
        attribute_integer(p, "size", m->size[j]);
        begin(p, "Array");
        attribute_integer(p, "n", m->d);
        attribute(p, "type", "real");
        for (int32_t f = 0; f < m->d; f++) {
            char buf[DM_NUMBER_TEXT];
            (void)dm_number_text_f64(buf, m->centroids[(int64_t)j * m->d + f]);
            if (f > 0) text(p, " ");
            text(p, buf);
        }
        end(p);
        end(p);
        free(name);
    }
}

static void document(struct pmml *p)
{
    p->bad |= xmlTextWriterSetIndent(p->w, 1) < 0;
    p->bad |= xmlTextWriterStartDocument(p->w, "1.0", "UTF-8", NULL) < 0;
    begin(p, "PMML");
    attribute(p, "xmlns", NAMESPACE);
    attribute(p, "version", "4.4");
    header(p);
    dictionary(p);
    begin(p, "ClusteringModel");
    attribute(p, "modelName", "demarc");
    attribute(p, "functionName", "clustering");
    attribute(p, "algorithmName", "k-means");
    attribute(p, "modelClass", "centerBased");
    attribute_integer(p, "numberOfClusters", p->m->k);
    mining_schema(p);
    output(p);
    transformations(p);
    clusters(p);
    end(p);
    end(p);
    p->bad |= xmlTextWriterEndDocument(p->w) < 0;
}

static demarc_status check_offsets(const dm_export_source *from)
{
    for (int32_t j = 0; j < from->model->k; j++) {
        if (from->model->offsets[j] == 0.0) continue;
        return dm_fail(
            DEMARC_ERR_IMPOSSIBLE,
            "moved boundaries in PMML: %s/model.h5 has offset %g for segment %d: PMML knows centres alone (no "
            "power diagram): export the model as it was fitted, or csv or sqlite",
            from->run, from->model->offsets[j], (int)j);
    }
    return DEMARC_OK;
}

demarc_status dm_pmml_export(const dm_export_source *from, const char *path)
{
    demarc_status st = DEMARC_OK;
    struct pmml p = {.from = from, .m = from->model};
    FILE *f = NULL;
    DM_TRY(check_offsets(from));
    DM_TRY(make_names(&p));
    f = fopen(path, "wb");
    if (f == NULL) DM_TRY(dm_fail_errno(errno, "cannot create %s: check its directory", path));
    xmlOutputBufferPtr out = xmlOutputBufferCreateFile(f, NULL);
    p.w = out == NULL ? NULL : xmlNewTextWriter(out); /* takes `out` over */
    if (p.w == NULL) {
        if (out != NULL) (void)xmlOutputBufferClose(out);
        DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: PMML: free some memory"));
    }
    document(&p);
    if (p.bad != 0) DM_TRY(dm_fail_errno(errno, "cannot write the PMML file: check memory and the space of its disk"));
cleanup:
    if (p.w != NULL) xmlFreeTextWriter(p.w);
    if (f != NULL) {
        const bool wrong = ferror(f) != 0;
        if ((fclose(f) != 0 || wrong) && st == DEMARC_OK) {
            st = dm_fail_errno(errno != 0 ? errno : EIO, "cannot write the PMML file: check the space of its disk");
        }
    }
    dm_strings_clear(&p.name);
    return st;
}
