#include "exchange/import_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "exchange/csv_number.h"
#include "store/customer_file.h"

#define BLOCK_BYTES (INT64_C(8) << 20)
#define BLOCK_ROWS_MAX 65536

static const char *name_of(const dm_import_rows *rows, const dm_slot *slot)
{
    return rows->columns.name.item[slot->column];
}

/* ------------------------------------------------------------------------------------------------ features */

/* One feature "column=level" per level, in byte order. */
static demarc_status expand_category(dm_import_layout *l, dm_import_rows *rows, dm_slot *slot, const char *file)
{
    demarc_status st = DEMARC_OK;
    const dm_levels *levels = &rows->columns.levels[slot->levels];
    int32_t *sorted = NULL;
    char *text = NULL;
    if (levels->count == 0) {
        return dm_fail(DEMARC_ERR_DATA, "no value in any row: %s, categorical column '%s': leave it out with --exclude",
                       file, name_of(rows, slot));
    }
    DM_TRY(dm_levels_sort(levels, &sorted));
    DM_TRY(dm_alloc(l->rank[slot->levels], levels->count, "levels of a text column"));
    for (int32_t i = 0; i < levels->count; i++) {
        l->rank[slot->levels][sorted[i]] = i;
        if (asprintf(&text, "%s=%s", name_of(rows, slot), levels->level[sorted[i]]->text) < 0) {
            text = NULL;
            DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: feature names: free some memory"));
        }
        DM_TRY(dm_strings_add(&l->feature, text));
        free(text);
        text = NULL;
    }
cleanup:
    free(text);
    dm_free(sorted);
    return st;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* A column "x=1" beside a categorical x with a level 1 would make two features of one name. */
static demarc_status check_unique(const dm_strings *name, const char *file)
{
    demarc_status st = DEMARC_OK;
    char **sorted = NULL;
    DM_TRY(dm_alloc(sorted, name->count, "feature names"));
    memcpy(sorted, name->item, (size_t)name->count * sizeof *sorted);
    qsort(sorted, (size_t)name->count, sizeof *sorted, by_text);
    for (int32_t i = 1; i < name->count; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) != 0) continue;
        st = dm_fail(DEMARC_ERR_DATA, "two features of one name: %s, '%s': rename a column", file, sorted[i]);
        break;
    }
cleanup:
    dm_free(sorted);
    return st;
}

static demarc_status check_count(const dm_import_rows *rows, const char *file)
{
    int64_t total = 0;
    for (int32_t i = 0; i < rows->columns.slots; i++) {
        const dm_slot *slot = &rows->columns.slot[i];
        if (slot->kind == DM_SLOT_NUMBER) total++;
        if (slot->kind == DM_SLOT_CATEGORY) total += rows->columns.levels[slot->levels].count;
    }
    if (total <= 1 << 20) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA,
                   "more than %d features: %s, %lld with all levels: name fewer columns in --categorical", 1 << 20,
                   file, (long long)total);
}

static demarc_status name_features(dm_import_layout *l, dm_import_rows *rows, const char *file)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(check_count(rows, file));
    for (int32_t i = 0; i < rows->columns.slots; i++) {
        dm_slot *slot = &rows->columns.slot[i];
        if (slot->kind == DM_SLOT_NUMBER || slot->kind == DM_SLOT_CATEGORY) slot->first = l->feature.count;
        if (slot->kind == DM_SLOT_NUMBER) DM_TRY(dm_strings_add(&l->feature, name_of(rows, slot)));
        if (slot->kind == DM_SLOT_CATEGORY) DM_TRY(expand_category(l, rows, slot, file));
    }
    DM_TRY(check_unique(&l->feature, file));
    l->shape.features = l->feature.count;
cleanup:
    return st;
}

/* Names of the slots of one kind by their index. */
static demarc_status name_indexed(dm_strings *out, const dm_import_rows *rows, dm_slot_kind kind, int32_t count)
{
    demarc_status st = DEMARC_OK;
    for (int32_t k = 0; k < count; k++) {
        for (int32_t i = 0; i < rows->columns.slots; i++) {
            const dm_slot *slot = &rows->columns.slot[i];
            if (slot->kind == kind && slot->first == k) DM_TRY(dm_strings_add(out, name_of(rows, slot)));
        }
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ arms */

/* The code that a level's text spells ("2", also "2.0"), -1 if it is something else or no code that can be read back. */
static int32_t arm_number(const char *text)
{
    double v = NAN;
    bool letter = strpbrk(text, "tTfFyYnN") != NULL; /* TRUE and no are names of arms here */
    if (letter || dm_csv_number(text, &v) != DM_CSV_NUMBER) return -1;
    return v >= 0.0 && v < (double)DM_ARMS_MAX && v == floor(v) ? (int32_t)v : -1;
}

static bool use_numbers(const dm_levels *levels, int32_t *rank)
{
    for (int32_t i = 0; i < levels->count; i++) {
        rank[i] = arm_number(levels->level[i]->text);
        if (rank[i] < 0) return false;
    }
    return true;
}

/* Levels by byte order, the control before all others. */
static demarc_status use_levels(dm_import_layout *l, const dm_levels *levels, int32_t control, int32_t *rank)
{
    demarc_status st = DEMARC_OK;
    int32_t *sorted = NULL;
    DM_TRY(dm_levels_sort(levels, &sorted));
    if (control >= 0) {
        rank[control] = l->arm.count;
        DM_TRY(dm_strings_add(&l->arm, levels->level[control]->text));
    }
    for (int32_t i = 0; i < levels->count; i++) {
        if (sorted[i] == control) continue;
        rank[sorted[i]] = l->arm.count;
        DM_TRY(dm_strings_add(&l->arm, levels->level[sorted[i]]->text));
    }
cleanup:
    dm_free(sorted);
    return st;
}

static demarc_status no_control(const dm_levels *levels, const demarc_import_options *o)
{
    char seen[300] = "";
    size_t used = 0;
    for (int32_t i = 0; i < levels->count && used + 40 < sizeof seen; i++) {
        used += (size_t)snprintf(seen + used, 40, "%s'%.30s'", i > 0 ? ", " : "", levels->level[i]->text);
    }
    return dm_fail(DEMARC_ERR_USAGE, "no such arm: --control '%s': %s, column '%s' has %s%s: name one of them",
                   o->control, dm_import_name(o), o->arm, seen, levels->count > 7 ? ", ..." : "");
}

static demarc_status number_arms(dm_import_layout *l, dm_import_rows *rows, const dm_slot *slot,
                                 const demarc_import_options *o)
{
    demarc_status st = DEMARC_OK;
    const dm_levels *levels = &rows->columns.levels[slot->levels];
    int32_t control = -1;
    DM_TRY(dm_alloc(l->rank[slot->levels], levels->count, "arms"));
    if (o->control != NULL) {
        control = dm_levels_find(levels, o->control);
        if (control < 0) return no_control(levels, o);
    } else if (use_numbers(levels, l->rank[slot->levels])) {
        return DEMARC_OK;
    }
    DM_TRY(use_levels(l, levels, control, l->rank[slot->levels]));
    l->shape.arm_names = l->arm.count;
    l->shape.control = o->control != NULL;
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ all of it */

/* Bytes of a row in all datasets, to choose how many rows to copy at a time. */
static int64_t row_bytes(const dm_import_shape *s)
{
    int64_t id = !s->id ? 0 : s->id_size == 0 ? 8 : s->id_size;
    return (int64_t)s->features * (s->float32 ? 4 : 8) + 8 * (int64_t)s->outcomes + s->channels + (s->weight ? 8 : 0) +
           (s->arm ? 4 : 0) + id;
}

demarc_status dm_import_layout_make(dm_import_layout *l, dm_import_rows *rows, const demarc_import_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_import_columns *c = &rows->columns;
    dm_import_shape *s = &l->shape;
    *s = (dm_import_shape){.n = rows->rows,
                           .missing = rows->missing,
                           .outcomes = c->outcomes,
                           .channels = c->channels,
                           .id_size = c->id && !rows->id_integer ? rows->id_longest : 0,
                           .id = c->id,
                           .weight = c->weight,
                           .arm = c->arm,
                           .float32 = o->float32};
    DM_TRY(dm_alloc_zero(l->rank, c->level_sets, "levels of text columns"));
    l->level_sets = c->level_sets;
    DM_TRY(name_features(l, rows, dm_import_name(o)));
    DM_TRY(name_indexed(&l->outcome, rows, DM_SLOT_OUTCOME, c->outcomes));
    DM_TRY(name_indexed(&l->channel, rows, DM_SLOT_REACHABLE, c->channels));
    for (int32_t i = 0; i < c->slots; i++) {
        if (c->slot[i].kind == DM_SLOT_ARM) DM_TRY(number_arms(l, rows, &c->slot[i], o));
    }
    s->block_rows = BLOCK_BYTES / row_bytes(s);
    if (s->block_rows < 1) s->block_rows = 1;
    if (s->block_rows > BLOCK_ROWS_MAX) s->block_rows = BLOCK_ROWS_MAX;
cleanup:
    return st;
}

void dm_import_layout_clear(dm_import_layout *l)
{
    for (int32_t i = 0; l->rank != NULL && i < l->level_sets; i++) dm_free(l->rank[i]);
    dm_free(l->rank);
    dm_strings_clear(&l->feature);
    dm_strings_clear(&l->outcome);
    dm_strings_clear(&l->channel);
    dm_strings_clear(&l->arm);
    *l = (dm_import_layout){0};
}

/* ------------------------------------------------------------------------------------------------ blocks of rows */

demarc_status dm_import_block_create(dm_import_block *b, const dm_import_layout *l, const dm_import_rows *rows)
{
    const dm_import_shape *s = &l->shape;
    int64_t n = s->block_rows < s->n ? s->block_rows : s->n;
    size_t id_bytes = s->id_size == 0 ? sizeof(int64_t) : (size_t)s->id_size;
    demarc_status st = DEMARC_OK;
    *b = (dm_import_block){0};
    DM_TRY(
        dm_alloc_bytes(&b->features, n * s->features, s->float32 ? sizeof(float) : sizeof(double), false, "features"));
    if (s->outcomes > 0) DM_TRY(dm_alloc(b->outcomes, n * s->outcomes, "outcomes"));
    if (s->weight) DM_TRY(dm_alloc(b->weight, n, "weights"));
    if (s->arm) DM_TRY(dm_alloc(b->arm, n, "arms"));
    if (s->channels > 0) DM_TRY(dm_alloc(b->reachable, n * s->channels, "reachable channels"));
    if (s->id) DM_TRY(dm_alloc_bytes(&b->id, n, id_bytes, false, "ids"));
    DM_TRY(dm_alloc(b->row, rows->columns.row_bytes, "a row"));
    DM_TRY(dm_alloc(b->text, rows->id_longest + 1, "an id"));
cleanup:
    return st;
}

void dm_import_block_clear(dm_import_block *b)
{
    dm_free(b->features);
    dm_free(b->outcomes);
    dm_free(b->weight);
    dm_free(b->arm);
    dm_free(b->reachable);
    dm_free(b->id);
    dm_free(b->row);
    dm_free(b->text);
    *b = (dm_import_block){0};
}

static void put_feature(dm_import_block *b, const dm_import_shape *s, int64_t row, int32_t feature, double v)
{
    int64_t at = row * s->features + feature;
    if (s->float32) {
        ((float *)b->features)[at] = (float)v;
    } else {
        ((double *)b->features)[at] = v;
    }
}

static void put_one_hot(dm_import_block *b, const dm_import_layout *l, const dm_import_rows *rows, const dm_slot *slot,
                        int64_t row, int32_t code)
{
    int32_t count = rows->columns.levels[slot->levels].count;
    for (int32_t i = 0; i < count; i++) put_feature(b, &l->shape, row, slot->first + i, code < 0 ? (double)NAN : 0.0);
    if (code >= 0) put_feature(b, &l->shape, row, slot->first + l->rank[slot->levels][code], 1.0);
}

static void unpack_id(dm_import_block *b, const dm_import_shape *s, int64_t row)
{
    if (s->id_size == 0) {
        (void)dm_csv_integer(b->text, (int64_t *)b->id + row); /* every id was seen to be one */
        return;
    }
    char *to = (char *)b->id + row * s->id_size;
    size_t length = strlen(b->text);
    memcpy(to, b->text, length);
    memset(to + length, 0, (size_t)s->id_size - length);
}

static void unpack_slot(dm_import_block *b, const dm_import_layout *l, const dm_import_rows *rows, const dm_slot *slot,
                        int64_t row)
{
    const dm_import_shape *s = &l->shape;
    const char *from = b->row + slot->at;
    double v = 0.0;
    int32_t code = 0;
    switch (slot->kind) {
    case DM_SLOT_NUMBER:
        memcpy(&v, from, sizeof v);
        put_feature(b, s, row, slot->first, v);
        break;
    case DM_SLOT_CATEGORY:
        memcpy(&code, from, sizeof code);
        put_one_hot(b, l, rows, slot, row, code);
        break;
    case DM_SLOT_OUTCOME:
        memcpy(b->outcomes + row * s->outcomes + slot->first, from, sizeof v);
        break;
    case DM_SLOT_WEIGHT:
        memcpy(b->weight + row, from, sizeof v);
        break;
    case DM_SLOT_ARM:
        memcpy(&code, from, sizeof code);
        b->arm[row] = l->rank[slot->levels][code];
        break;
    case DM_SLOT_REACHABLE:
        b->reachable[row * s->channels + slot->first] = (uint8_t)*from;
        break;
    case DM_SLOT_ID:
        unpack_id(b, s, row);
        break;
    }
}

demarc_status dm_import_block_fill(dm_import_block *b, const dm_import_layout *l, dm_import_rows *rows, int64_t count)
{
    for (int64_t row = 0; row < count; row++) {
        demarc_status st = dm_spool_get(&rows->spool, b->row, b->text);
        if (st != DEMARC_OK) return st;
        for (int32_t i = 0; i < rows->columns.slots; i++) unpack_slot(b, l, rows, &rows->columns.slot[i], row);
    }
    return DEMARC_OK;
}
