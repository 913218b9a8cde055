#include "exchange/import_columns.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "exchange/csv_number.h"

/* A column's options as a set of bits. */
enum role {
    ROLE_ID,
    ROLE_WEIGHT,
    ROLE_ARM,
    ROLE_FEATURE,
    ROLE_CATEGORICAL,
    ROLE_OUTCOME,
    ROLE_REACHABLE,
    ROLE_EXCLUDE,
    ROLES
};
#define BIT(role) (1u << (role))

static const char *const option_name[ROLES] = {"--id",          "--weight",   "--arm",       "--features",
                                               "--categorical", "--outcomes", "--reachable", "--exclude"};

/* The plan while it is made. */
typedef struct planner {
    dm_import_columns *c;
    const char *file;
    dm_strings list[ROLES]; /* what each option names */
    unsigned *roles;        /* [columns] */
    int32_t *sorted;        /* [columns] by name, then position */
    bool default_features;
} planner;

static demarc_status read_names(dm_import_columns *c, const dm_csv_record *header)
{
    char buf[32];
    for (int32_t i = 0; i < header->count; i++) {
        const char *text = dm_csv_field(header, i);
        text += strspn(text, " \t\r\n");
        char *name = strdup(text);
        if (name == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: column names: free some memory");
        size_t length = strlen(name);
        while (length > 0 && strchr(" \t\r\n", name[length - 1]) != NULL) name[--length] = 0;
        snprintf(buf, sizeof buf, "column_%d", i + 1);
        demarc_status st = dm_strings_add(&c->name, length > 0 ? name : buf);
        free(name);
        if (st != DEMARC_OK) return st;
    }
    return DEMARC_OK;
}

static int by_name(const void *a, const void *b, void *names)
{
    char *const *name = names;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    int order = strcmp(name[i], name[j]);
    return order != 0 ? order : (i > j) - (i < j);
}

/* First position in `sorted` whose name is not below `name`. */
static int32_t lower_bound(const planner *p, const char *name)
{
    int32_t low = 0, high = p->c->name.count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (strcmp(p->c->name.item[p->sorted[middle]], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* "a, b, c, ..." cut to a sensible length, as help for a wrong name. */
static void list_columns(const dm_strings *name, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = 0;
    for (int32_t i = 0; i < name->count; i++) {
        size_t need = strlen(name->item[i]) + 2;
        if (used + need + 32 > size) {
            snprintf(buf + used, size - used, ", ... (%d in all)", name->count);
            return;
        }
        used += (size_t)snprintf(buf + used, size - used, "%s%s", i > 0 ? ", " : "", name->item[i]);
    }
}

static demarc_status unknown_column(const planner *p, const char *option, const char *name)
{
    char columns[400];
    list_columns(&p->c->name, columns, sizeof columns);
    return dm_fail(DEMARC_ERR_USAGE, "no such column: %s '%s': %s has %s: check the name and --delimiter", option, name,
                   p->file, columns);
}

static demarc_status same_name(const planner *p, int32_t first, int32_t second)
{
    return dm_fail(DEMARC_ERR_DATA,
                   "two columns of the same name: %s line 1, columns %d and %d, '%s': rename one, or leave "
                   "them out with --exclude",
                   p->file, first + 1, second + 1, p->c->name.item[first]);
}

/* Mark the column that an option names; --exclude may name several at once. */
static demarc_status mark(planner *p, enum role role, const char *name)
{
    int32_t at = lower_bound(p, name), end = at;
    char *const *names = p->c->name.item;
    while (end < p->c->name.count && strcmp(names[p->sorted[end]], name) == 0) end++;
    if (at == end) return unknown_column(p, option_name[role], name);
    if (end - at > 1 && role != ROLE_EXCLUDE) return same_name(p, p->sorted[at], p->sorted[at + 1]);
    for (; at < end; at++) p->roles[p->sorted[at]] |= BIT(role);
    return DEMARC_OK;
}

static demarc_status mark_all(planner *p, const demarc_import_options *o)
{
    const char *const single[] = {o->id, o->weight, o->arm};
    const char *const list[] = {o->features, o->categorical, o->outcomes, o->reachable, o->exclude};
    demarc_status st = DEMARC_OK;
    for (int i = 0; i < 3; i++) {
        if (single[i] != NULL) DM_TRY(dm_strings_add(&p->list[ROLE_ID + i], single[i]));
    }
    for (int i = 0; i < 5; i++)
        DM_TRY(dm_strings_split(&p->list[ROLE_FEATURE + i], list[i], option_name[ROLE_FEATURE + i]));
    p->default_features = p->list[ROLE_FEATURE].count == 0;
    for (int role = 0; role < ROLES; role++) {
        for (int32_t i = 0; i < p->list[role].count; i++) DM_TRY(mark(p, (enum role)role, p->list[role].item[i]));
    }
cleanup:
    return st;
}

/* A column has one role, except that a feature that is named as such may also be an outcome. */
static demarc_status check_roles(const planner *p, int32_t column)
{
    unsigned roles = p->roles[column], rest = roles;
    if ((roles & ~(BIT(ROLE_FEATURE) | BIT(ROLE_CATEGORICAL) | BIT(ROLE_OUTCOME))) == 0) return DEMARC_OK;
    int first = __builtin_ctz(rest);
    rest &= rest - 1;
    if (rest == 0) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE, "column has two roles: '%s' is in %s and %s: name it in one of them",
                   p->c->name.item[column], option_name[first], option_name[__builtin_ctz(rest)]);
}

/* Give the columns without a role theirs, and refuse columns in use that cannot be told apart or have no name. */
static demarc_status settle_roles(planner *p, const dm_csv_record *header)
{
    demarc_status st = DEMARC_OK;
    for (int32_t i = 0; i < p->c->name.count; i++) {
        DM_TRY(check_roles(p, i));
        if (p->roles[i] != 0 || !p->default_features) continue;
        const char *text = dm_csv_field(header, i);
        if (text[strspn(text, " \t\r\n")] == 0) {
            return dm_fail(DEMARC_ERR_DATA,
                           "column without a name: %s line 1, column %d: leave it out with --exclude "
                           "column_%d, or use it by that name",
                           p->file, i + 1, i + 1);
        }
        p->roles[i] = BIT(ROLE_FEATURE);
    }
    for (int32_t k = 1; k < p->c->name.count; k++) {
        int32_t a = p->sorted[k - 1], b = p->sorted[k];
        bool used = ((p->roles[a] | p->roles[b]) & ~BIT(ROLE_EXCLUDE)) != 0;
        if (used && strcmp(p->c->name.item[a], p->c->name.item[b]) == 0) return same_name(p, a, b);
    }
cleanup:
    return st;
}

static void add_slot(dm_import_columns *c, dm_slot_kind kind, int32_t column, int32_t first)
{
    bool leveled = kind == DM_SLOT_CATEGORY || kind == DM_SLOT_ARM;
    c->slot[c->slots++] =
        (dm_slot){.kind = kind, .column = column, .first = first, .levels = leveled ? c->level_sets++ : -1};
}

static void add_slots_of(planner *p, int32_t column)
{
    static const struct {
        enum role role;
        dm_slot_kind kind;
    } simple[] = {{ROLE_ID, DM_SLOT_ID}, {ROLE_WEIGHT, DM_SLOT_WEIGHT}, {ROLE_ARM, DM_SLOT_ARM}};
    dm_import_columns *c = p->c;
    unsigned roles = p->roles[column];
    const char *name = c->name.item[column];
    if ((roles & BIT(ROLE_CATEGORICAL)) != 0) {
        add_slot(c, DM_SLOT_CATEGORY, column, 0);
    } else if ((roles & BIT(ROLE_FEATURE)) != 0) {
        add_slot(c, DM_SLOT_NUMBER, column, 0);
    }
    if ((roles & BIT(ROLE_OUTCOME)) != 0) {
        add_slot(c, DM_SLOT_OUTCOME, column, dm_strings_find(&p->list[ROLE_OUTCOME], name));
    }
    if ((roles & BIT(ROLE_REACHABLE)) != 0) {
        add_slot(c, DM_SLOT_REACHABLE, column, dm_strings_find(&p->list[ROLE_REACHABLE], name));
    }
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        if ((roles & BIT(simple[i].role)) != 0) add_slot(c, simple[i].kind, column, 0);
    }
}

/* Byte offsets: wide values first, so that the packed row has no holes. */
static void place_slots(dm_import_columns *c)
{
    static const int64_t width[] = {
        [DM_SLOT_NUMBER] = 8, [DM_SLOT_CATEGORY] = 4,  [DM_SLOT_OUTCOME] = 8, [DM_SLOT_WEIGHT] = 8,
        [DM_SLOT_ARM] = 4,    [DM_SLOT_REACHABLE] = 1, [DM_SLOT_ID] = 0};
    for (int64_t size = 8; size > 0; size /= 2) {
        for (int32_t i = 0; i < c->slots; i++) {
            if (width[c->slot[i].kind] != size) continue;
            c->slot[i].at = c->row_bytes;
            c->row_bytes += size;
        }
    }
}

static demarc_status make_slots(planner *p, const demarc_import_options *o)
{
    dm_import_columns *c = p->c;
    demarc_status st = DEMARC_OK;
    bool any = false;
    DM_TRY(dm_alloc_zero(c->slot, 2 * (int64_t)c->name.count, "columns of a CSV file"));
    for (int32_t i = 0; i < c->name.count; i++) {
        any = any || (p->roles[i] & (BIT(ROLE_FEATURE) | BIT(ROLE_CATEGORICAL))) != 0;
        add_slots_of(p, i);
    }
    if (!any) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "no feature left: %s: name some in --features, or use fewer of the %d columns for "
                       "other things",
                       p->file, c->name.count);
    }
    place_slots(c);
    DM_TRY(dm_alloc_zero(c->levels, c->level_sets, "levels of text columns"));
    c->outcomes = p->list[ROLE_OUTCOME].count;
    c->channels = p->list[ROLE_REACHABLE].count;
    c->id = o->id != NULL;
    c->weight = o->weight != NULL;
    c->arm = o->arm != NULL;
cleanup:
    return st;
}

/* The names that end up in the customer file must be text. */
static demarc_status check_names(const planner *p)
{
    for (int32_t i = 0; i < p->c->slots; i++) {
        int32_t column = p->c->slot[i].column;
        if (dm_text_utf8(p->c->name.item[column], strlen(p->c->name.item[column]))) continue;
        return dm_fail(DEMARC_ERR_DATA,
                       "name not in UTF-8: %s line 1, column %d, '%s': convert the file with iconv -t UTF-8", p->file,
                       column + 1, p->c->name.item[column]);
    }
    return DEMARC_OK;
}

/* A header of one field that holds another common delimiter was read with the wrong one. */
static demarc_status check_delimiter(const planner *p, char delimiter)
{
    static const char *const common[] = {";", "\t", "|", ","};
    const char *name = p->c->name.item[0];
    if (p->c->name.count != 1) return DEMARC_OK;
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        if (common[i][0] == delimiter || strchr(name, common[i][0]) == NULL) continue;
        return dm_fail(DEMARC_ERR_USAGE, "only one column: %s line 1, '%.60s': try --delimiter '%s'", p->file, name,
                       common[i][0] == '\t' ? "\\t" : common[i]);
    }
    return DEMARC_OK;
}

demarc_status dm_import_columns_plan(dm_import_columns *c, const dm_csv_record *header, const demarc_import_options *o,
                                     const char *file)
{
    demarc_status st = DEMARC_OK;
    planner p = {.c = c, .file = file};
    *c = (dm_import_columns){0};
    DM_TRY(read_names(c, header));
    DM_TRY(check_delimiter(&p, o->delimiter));
    DM_TRY(dm_alloc_zero(p.roles, c->name.count, "columns of a CSV file"));
    DM_TRY(dm_alloc(p.sorted, c->name.count, "columns of a CSV file"));
    for (int32_t i = 0; i < c->name.count; i++) p.sorted[i] = i;
    qsort_r(p.sorted, (size_t)c->name.count, sizeof *p.sorted, by_name, c->name.item);
    DM_TRY(mark_all(&p, o));
    DM_TRY(settle_roles(&p, header));
    DM_TRY(make_slots(&p, o));
    DM_TRY(check_names(&p));
cleanup:
    for (int role = 0; role < ROLES; role++) dm_strings_clear(&p.list[role]);
    dm_free(p.roles);
    dm_free(p.sorted);
    return st;
}

void dm_import_columns_clear(dm_import_columns *c)
{
    for (int32_t i = 0; c->levels != NULL && i < c->level_sets; i++) dm_levels_clear(&c->levels[i]);
    dm_free(c->levels);
    dm_free(c->slot);
    dm_strings_clear(&c->name);
    *c = (dm_import_columns){0};
}
