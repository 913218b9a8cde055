/* The schema of a customer file: which datasets are there, and whether their types, shapes and names fit together. */
#include <string.h>

#include "base/memory.h"
#include "store/customer_internal.h"
#include "store/hdf5_read.h"
#include "store/id_column.h"

/* One sentence a part: what belongs there, for error lines. */
static const char *const expected[DM_PARTS] = {
    [DM_PART_FEATURES] = "float16, float32, float64, bool or integers as [customers, features]",
    [DM_PART_ID] = "integers or strings as [customers]",
    [DM_PART_WEIGHT] = "floats or integers as [customers]",
    [DM_PART_OUTCOMES] = "floats or integers as [customers, outcomes]",
    [DM_PART_ARM] = "integers as [customers]",
    [DM_PART_PROPENSITY] = "floats as [customers, arms]",
    [DM_PART_REACHABLE] = "0 and 1 as uint8 or bool, [customers, channels]",
};

/* ------------------------------------------------------------------------------------------------ types and shapes */

static bool good_type(dm_part part, dm_value_kind kind)
{
    bool integer = kind == DM_VALUE_INTEGER, truth = kind == DM_VALUE_BOOL, real = kind == DM_VALUE_FLOAT;
    switch (part) {
    case DM_PART_ID:
        return integer || kind == DM_VALUE_FIXED || kind == DM_VALUE_VARIABLE;
    case DM_PART_ARM:
    case DM_PART_REACHABLE:
        return integer || truth;
    case DM_PART_PROPENSITY:
        return real;
    default:
        return integer || truth || real;
    }
}

static bool is_list(dm_part part) { return part == DM_PART_ID || part == DM_PART_WEIGHT || part == DM_PART_ARM; }

/* [n, 1] and [1, n] stand for [n] where a list is wanted, and [n] for [n, 1] where a table of few columns is. */
static bool good_shape(dm_part part, const dm_column *c)
{
    if (is_list(part)) return c->dimensions == 1 || (c->dimensions == 2 && c->columns == 1);
    switch (part) {
    case DM_PART_OUTCOMES:
    case DM_PART_REACHABLE:
        return (c->dimensions == 1 || c->dimensions == 2) && c->columns >= 1;
    default:
        return c->dimensions == 2 && c->columns >= 1;
    }
}

static demarc_status check_part(dm_customers *c, dm_part part)
{
    const dm_column *column = &c->part[part];
    if (!good_type(part, column->kind)) {
        return dm_fail(DEMARC_ERR_DATA, "wrong type: %s, %s holds %s: store %s", c->path, c->name[part],
                       column->type_text, expected[part]);
    }
    if (!good_shape(part, column)) {
        return dm_fail(DEMARC_ERR_DATA, "wrong shape: %s, %s is %s: store %s", c->path, c->name[part],
                       column->shape_text, expected[part]);
    }
    if (column->columns > INT32_MAX) {
        return dm_fail(DEMARC_ERR_DATA, "too many columns: %s, %s is %s: at most %d are possible", c->path,
                       c->name[part], column->shape_text, (int)INT32_MAX);
    }
    if (part != c->base && column->rows != c->schema.n) {
        return dm_fail(DEMARC_ERR_DATA, "lengths differ: %s, %s has %lld rows but %s has %lld: give one row a customer",
                       c->path, c->name[part], (long long)column->rows, c->name[c->base], (long long)c->schema.n);
    }
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ presence */

typedef struct name_list {
    char text[256];
    int shown, more;
} name_list;

static herr_t note_link(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group;
    (void)info;
    name_list *list = data;
    size_t used = strlen(list->text), need = strlen(name) + 4;
    if (list->more > 0 || used + need >= sizeof list->text) {
        list->more++;
        return 0;
    }
    snprintf(list->text + used, sizeof list->text - used, "%s/%s", list->shown == 0 ? "" : ", ", name);
    list->shown++;
    return 0;
}

static demarc_status fail_missing(const dm_customers *c, dm_part part)
{
    name_list list = {0};
    (void)H5Literate(c->file, H5_INDEX_NAME, H5_ITER_INC, NULL, note_link, &list);
    if (list.shown == 0)
        return dm_fail(DEMARC_ERR_DATA, "no dataset %s: %s: the file has none at all", c->name[part], c->path);
    return dm_fail(DEMARC_ERR_DATA, "no dataset %s: %s: name one that is there (%s%s)", c->name[part], c->path,
                   list.text, list.more > 0 ? ", ..." : "");
}

static demarc_status open_part(dm_customers *c, dm_part part)
{
    bool exists = false;
    demarc_status st = dm_hdf5_exists(c->file, c->path, c->name[part], &exists);
    if (st != DEMARC_OK) return st;
    if (!exists) return c->asked[part] || part == c->base ? fail_missing(c, part) : DEMARC_OK;
    st = dm_column_open(&c->part[part], c->file, c->path, c->name[part], is_list(part));
    if (st == DEMARC_OK) c->present[part] = true;
    return st;
}

/* ------------------------------------------------------------------------------------------------ names */

static demarc_status made_up_names(dm_strings *out, const char *stem, int64_t count)
{
    demarc_status st = DEMARC_OK;
    for (int64_t i = 0; i < count && st == DEMARC_OK; i++) {
        char name[48];
        snprintf(name, sizeof name, "%s%lld", stem, (long long)i);
        st = dm_strings_add(out, name);
    }
    return st;
}

/* Names from the attribute, which must fit and be unique; count < 0 accepts any number of them. */
static demarc_status read_names(const dm_customers *c, dm_part part, const char *attribute, const char *kind,
                                int64_t count, dm_strings *out, bool *present)
{
    const char *where = c->name[part];
    demarc_status st = dm_hdf5_attribute_texts(c->part[part].set, c->path, where, attribute, out, present);
    if (st != DEMARC_OK || !*present) return st;
    if (count >= 0 && out->count != count) {
        return dm_fail(DEMARC_ERR_DATA,
                       "wrong number of names: %s, %s, attribute %s has %d for %lld columns: name each %s once",
                       c->path, where, attribute, (int)out->count, (long long)count, kind);
    }
    return dm_hdf5_check_names(out, c->path, where, kind);
}

static demarc_status names_or_numbers(const dm_customers *c, dm_part part, const char *attribute, const char *kind,
                                      const char *stem, dm_strings *out, bool *present)
{
    int64_t count = c->part[part].columns;
    demarc_status st = read_names(c, part, attribute, kind, count, out, present);
    return st == DEMARC_OK && !*present ? made_up_names(out, stem, count) : st;
}

/* ------------------------------------------------------------------------------------------------ schema */

/* The dataset that must be there, whose rows are the customers. */
static demarc_status describe_base(dm_customers *c)
{
    const dm_column *base = &c->part[c->base];
    demarc_status st = open_part(c, c->base);
    if (st == DEMARC_OK) st = check_part(c, c->base);
    if (st != DEMARC_OK) return st;
    if (base->rows == 0) {
        return dm_fail(DEMARC_ERR_DATA, "no customers: %s, %s is %s: store at least one row", c->path, base->path,
                       base->shape_text);
    }
    if (!base->written) {
        return dm_fail(DEMARC_ERR_DATA, "no values: %s, %s was created but never written: write the file again",
                       c->path, base->path);
    }
    c->schema.n = base->rows;
    return DEMARC_OK;
}

static demarc_status describe_features(dm_customers *c)
{
    dm_schema *s = &c->schema;
    const dm_column *f = &c->part[DM_PART_FEATURES];
    s->d = (int32_t)f->columns;
    s->exact_f16 = f->kind == DM_VALUE_FLOAT && f->bytes == 2;
    s->exact_f32 = f->kind == DM_VALUE_FLOAT ? f->bytes <= 4 : f->kind == DM_VALUE_BOOL || f->bytes <= 2;
    snprintf(s->stored_type, sizeof s->stored_type, "%s", f->type_text);
    snprintf(s->storage, sizeof s->storage, "%s", f->storage_text);
    s->chunk_rows = f->chunk_rows;
    return names_or_numbers(c, DM_PART_FEATURES, "feature_names", "feature", "f", &s->feature, &s->named);
}

/* Which arm is the control is somebody's word, and a file may say that nobody gave it. */
static demarc_status read_control(dm_customers *c)
{
    demarc_status st = DEMARC_OK;
    dm_strings text = {0};
    bool present = false;
    DM_TRY(
        dm_hdf5_attribute_texts(c->part[DM_PART_ARM].set, c->path, c->name[DM_PART_ARM], "control", &text, &present));
    if (!present) goto cleanup;
    if (text.count != 1) {
        st = dm_fail(DEMARC_ERR_DATA,
                     "wrong number of names: %s, %s, attribute control has %d: name one arm, or give it an empty text",
                     c->path, c->name[DM_PART_ARM], (int)text.count);
        goto cleanup;
    }
    c->schema.control = text.item[0];
    text.item[0] = NULL;
cleanup:
    dm_strings_clear(&text);
    return st;
}

static demarc_status describe_arms(dm_customers *c)
{
    demarc_status st = DEMARC_OK;
    dm_schema *s = &c->schema;
    bool named = false;
    s->arm = c->present[DM_PART_ARM];
    if (s->arm) st = read_names(c, DM_PART_ARM, "arm_names", "arm", -1, &s->arm_name, &named);
    if (st == DEMARC_OK && s->arm) st = read_control(c);
    if (st != DEMARC_OK || !c->present[DM_PART_PROPENSITY]) return st;
    s->propensity = (int32_t)c->part[DM_PART_PROPENSITY].columns;
    if (named && s->arm_name.count != s->propensity) {
        return dm_fail(
            DEMARC_ERR_DATA, "numbers of arms differ: %s, %s has %d columns but %s names %d arms: give a column an arm",
            c->path, c->name[DM_PART_PROPENSITY], (int)s->propensity, c->name[DM_PART_ARM], (int)s->arm_name.count);
    }
    return DEMARC_OK;
}

demarc_status dm_customers_describe(dm_customers *c)
{
    demarc_status st = DEMARC_OK;
    dm_schema *s = &c->schema;
    hsize_t bytes = 0;
    bool named = false;
    if (H5Fget_filesize(c->file, &bytes) >= 0) s->file_bytes = (int64_t)bytes;
    DM_TRY(describe_base(c));
    if (c->base == DM_PART_FEATURES) DM_TRY(describe_features(c));
    for (int part = 0; part < DM_PARTS; part++) {
        if (part == (int)c->base) continue;
        DM_TRY(open_part(c, (dm_part)part));
        if (c->present[part]) DM_TRY(check_part(c, (dm_part)part));
    }
    if (c->present[DM_PART_ID]) s->id = dm_id_kind_of(&c->part[DM_PART_ID], &s->id_size);
    s->weight = c->present[DM_PART_WEIGHT];
    if (c->present[DM_PART_OUTCOMES]) {
        DM_TRY(names_or_numbers(c, DM_PART_OUTCOMES, "outcome_names", "outcome", "outcome", &s->outcome, &named));
    }
    DM_TRY(describe_arms(c));
    if (c->present[DM_PART_REACHABLE]) {
        DM_TRY(names_or_numbers(c, DM_PART_REACHABLE, "channel_names", "channel", "channel", &s->channel, &named));
    }
cleanup:
    return st;
}
