#include "boundary/cuts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "boundary/order_select.h"
#include "boundary/segment_sizes.h"

struct dm_cuts {
    const dm_cut *cut;
    dm_order *order;
    int32_t *query; /* [cuts] -1 = impossible */
};

/* Segments that have a cut, each a group of keys. */
typedef struct cut_groups {
    int32_t count;
    int32_t *segment; /* [count] ascending */
    int32_t *group;   /* [k] -1 = no cut */
} cut_groups;

static dm_order_key key_of(const dm_frozen_block *b, int64_t r, int32_t segment, int32_t group)
{
    return (dm_order_key){.group = group, .late = b->segment[r] != segment, .key = dm_critical_offset(b, r, segment)};
}

static int32_t keys_of(void *context, const dm_frozen_block *b, int64_t r, dm_order_key *out)
{
    const cut_groups *g = context;
    for (int32_t i = 0; i < g->count; i++) out[i] = key_of(b, r, g->segment[i], i);
    return g->count;
}

/*
 * The offset between two critical offsets. Beside one that has no neighbour it stays away by 2^-30 of it, so that the
 * rounding of a distance does not decide; two neighbours without a number between them leave the outer one.
 */
static double offset_between(double inside, double outside)
{
    const double away = 0x1p-30;
    if (isinf(inside)) return outside - away * (fabs(outside) + 1.0);
    if (isinf(outside)) return inside + away * (fabs(inside) + 1.0);
    const double middle = inside + (outside - inside) / 2.0;
    return middle > inside ? middle : outside;
}

static void plan_cuts(dm_cuts *c, const cut_groups *g, int64_t n, const int64_t *present, int32_t cuts, dm_cut *cut,
                      dm_order_query *query, int32_t *queries)
{
    *queries = 0;
    for (int32_t i = 0; i < cuts; i++) {
        cut[i].present = present[cut[i].segment];
        cut[i].count = llround((1.0 + cut[i].shift) * (double)cut[i].present);
        cut[i].possible = cut[i].count <= n;
        c->query[i] = cut[i].possible ? *queries : -1;
        if (cut[i].possible)
            query[(*queries)++] = (dm_order_query){.group = g->group[cut[i].segment], .count = cut[i].count};
    }
}

static void take_answers(const dm_cuts *c, int32_t cuts, dm_cut *cut, const dm_order_query *query)
{
    for (int32_t i = 0; i < cuts; i++) {
        if (!cut[i].possible) continue;
        const dm_order_query *q = &query[c->query[i]];
        cut[i].inside = q->last;
        cut[i].outside = q->next;
        cut[i].tied = q->tied;
        cut[i].offset = q->tied > 0 ? q->last : offset_between(q->last, q->next);
    }
}

static demarc_status check_cuts(const dm_frozen *f, int32_t cuts, const dm_cut *cut)
{
    if (f->model->k < 2) {
        return dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "one segment: model with digest %s: it has no boundaries, fit at least 2 segments",
                       f->model->digest);
    }
    for (int32_t i = 0; i < cuts; i++) {
        if (cut[i].segment < 0 || cut[i].segment >= f->model->k || !(cut[i].shift > -1.0) || !isfinite(cut[i].shift) ||
            cut[i].shift > 0x1p52)
            return dm_fail(DEMARC_ERR_ARG, "cut %d: segment %d, shift %g: give a segment below %d and a share > -1",
                           (int)i, (int)cut[i].segment, cut[i].shift, (int)f->model->k);
    }
    return DEMARC_OK;
}

demarc_status dm_cuts_find(dm_cuts **out, const dm_frozen *f, int32_t cuts, dm_cut *cut)
{
    demarc_status st = DEMARC_OK;
    const int32_t k = f->model->k;
    dm_cuts *c = NULL;
    cut_groups g = {0};
    int64_t *size = NULL;
    dm_order_query *query = NULL;
    int32_t queries = 0;
    *out = NULL;
    DM_TRY(check_cuts(f, cuts, cut));
    st = dm_alloc_zero(c, 1, "cuts");
    if (st == DEMARC_OK) st = dm_alloc(c->query, cuts, "cuts");
    if (st == DEMARC_OK) st = dm_alloc(query, cuts, "cuts");
    if (st == DEMARC_OK) st = dm_alloc(g.segment, k, "cuts");
    if (st == DEMARC_OK) st = dm_alloc(g.group, k, "cuts");
    if (st == DEMARC_OK) st = dm_alloc(size, k, "cuts");
    DM_TRY_ALL(f->comm, st);
    for (int32_t j = 0; j < k; j++) g.group[j] = -1;
    for (int32_t i = 0; i < cuts; i++) g.group[cut[i].segment] = 0;
    for (int32_t j = 0; j < k; j++) {
        if (g.group[j] < 0) continue;
        g.group[j] = g.count;
        g.segment[g.count++] = j;
    }
    DM_TRY(dm_segment_sizes(f, NULL, size));
    c->cut = cut;
    plan_cuts(c, &g, dm_rows_global(f->rows), size, cuts, cut, query, &queries);
    if (queries > 0) DM_TRY(dm_order_find(&c->order, f, g.count, g.count, keys_of, &g, queries, query));
    take_answers(c, cuts, cut, query);
    *out = c;
    c = NULL;
cleanup:
    dm_cuts_destroy(&c);
    dm_free(query);
    dm_free(g.segment);
    dm_free(g.group);
    dm_free(size);
    return st;
}

void dm_cuts_destroy(dm_cuts **cuts)
{
    if (*cuts == NULL) return;
    dm_order_destroy(&(*cuts)->order);
    dm_free((*cuts)->query);
    dm_free(*cuts);
    *cuts = NULL;
}

bool dm_cuts_inside(const dm_cuts *cuts, int32_t c, const dm_frozen_block *b, int64_t r)
{
    const dm_order_key key = key_of(b, r, cuts->cut[c].segment, 0); /* the query knows its group */
    return dm_order_among(cuts->order, cuts->query[c], &key, b->begin + r);
}

/* ------------------------------------------------------------------------------------------------ shifts */

static const double usual_shift[] = {-0.2, -0.1, -0.05, 0.05, 0.1, 0.2};

static demarc_status parse_shift(const char *item, double *v)
{
    char *end = NULL;
    *v = strtod(item, &end);
    /* strtod takes blanks, hexadecimals and words such as inf, which are no shares. */
    const bool plain = item[strspn(item, "+-.0123456789eE")] == 0 && end != item && *end == 0;
    if (plain && isfinite(*v) && *v > -1.0 && *v != 0.0 && *v <= 1e9) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE,
                   "bad share: '%.80s' in --shifts: give shares such as -0.1,0.2, each > -1 and not 0", item);
}

demarc_status dm_shifts_parse(const char *text, double **shift, int32_t *count)
{
    demarc_status st = DEMARC_OK;
    dm_strings list = {0};
    *shift = NULL;
    *count = 0;
    const int32_t usual = (int32_t)(sizeof usual_shift / sizeof *usual_shift);
    if (text != NULL) {
        DM_TRY(dm_strings_split(&list, text, "shifts"));
        if (list.count == 0) DM_TRY(dm_fail(DEMARC_ERR_USAGE, "no shares: --shifts: give shares such as -0.1,0.2"));
    }
    DM_TRY(dm_alloc(*shift, text != NULL ? list.count : usual, "shifts"));
    if (text == NULL) memcpy(*shift, usual_shift, sizeof usual_shift);
    for (int32_t i = 0; i < list.count; i++) {
        DM_TRY(parse_shift(list.item[i], &(*shift)[i]));
        for (int32_t j = 0; j < i; j++) {
            if ((*shift)[j] == (*shift)[i])
                DM_TRY(dm_fail(DEMARC_ERR_USAGE, "repeated share: %g in --shifts: give each once", (*shift)[i]));
        }
    }
    *count = text != NULL ? list.count : usual;
cleanup:
    dm_strings_clear(&list);
    if (st != DEMARC_OK) {
        dm_free(*shift);
        *shift = NULL;
    }
    return st;
}
