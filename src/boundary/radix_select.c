#include "boundary/radix_select.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DIGIT_BITS 16      /* most in a pass over the rows: a pass is dear */
#define KEPT_DIGIT_BITS 11 /* most over kept items: a step is cheap, its counters travel */

struct dm_radix {
    dm_radix_options o;
    int32_t word;     /* being decided */
    int done;         /* bits of it that are decided */
    int bits, shift;  /* digit of this step */
    int32_t *order;   /* [targets] by (set, rank): prefixes never fall in this order */
    bool *found;      /* [targets] nothing left to decide */
    uint64_t *answer; /* [targets, words] */
    int32_t *leaf_of; /* [targets] */
    int32_t leaves;   /* prefixes that hold a target; of one set they stand together, in order */
    int32_t *begin;   /* [sets + 1] leaves of a set */
    uint64_t *prefix; /* [leaves, words] */
    int64_t *local;   /* [leaves] items of this rank, where known */
    bool local_known;
    int64_t **count; /* [threads][leaves << bits] */
    bool collecting;
    bool resumed, moved; /* see dm_radix_resumed(); the counts of this step are with rank 0 */
    uint64_t *item;      /* [items, 1 + words]: set, words; NULL = not kept */
    int64_t items, room;
};

static int width_of(const dm_radix *r, int32_t word) { return word == 0 ? r->o.first_bits : 64; }

/* < 0, 0, > 0 as the item's decided digits are before, in or after the leaf. */
static int against_leaf(const dm_radix *r, const uint64_t *word, int32_t leaf)
{
    const uint64_t *prefix = r->prefix + (int64_t)leaf * r->o.words;
    for (int32_t w = 0; w < r->word; w++) {
        if (word[w] != prefix[w]) return word[w] < prefix[w] ? -1 : 1;
    }
    if (r->done == 0) return 0;
    const int below = 64 - r->done;
    const uint64_t a = word[r->word] >> below, b = prefix[r->word] >> below;
    return a < b ? -1 : a > b;
}

static int32_t find_leaf(const dm_radix *r, int32_t set, const uint64_t *word)
{
    int32_t low = r->begin[set], high = r->begin[set + 1];
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const int side = against_leaf(r, word, middle);
        if (side == 0) return middle;
        if (side < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

int32_t dm_radix_words_needed(const dm_radix *r) { return r->collecting ? r->o.words : r->word + 1; }

void dm_radix_offer(dm_radix *r, int thread, int32_t set, const uint64_t *word)
{
    const int32_t leaf = find_leaf(r, set, word);
    if (leaf < 0) return;
    if (r->collecting) {
        const int64_t at = __atomic_fetch_add(&r->items, 1, __ATOMIC_RELAXED);
        if (at >= r->room) return; /* the pass that counted saw fewer: told by collect() */
        uint64_t *item = r->item + at * (1 + r->o.words);
        item[0] = (uint64_t)set;
        memcpy(item + 1, word, (size_t)r->o.words * sizeof *word);
        return;
    }
    const uint64_t digit = (word[r->word] >> r->shift) & ((UINT64_C(1) << r->bits) - 1);
    r->count[thread][((int64_t)leaf << r->bits) + (int64_t)digit]++;
}

/* Leaves of the targets that are not found, from what is decided of their answers. */
static void grow_leaves(dm_radix *r)
{
    const int32_t words = r->o.words;
    int32_t set = 0;
    r->leaves = 0;
    r->begin[0] = 0;
    for (int32_t i = 0; i < r->o.targets; i++) {
        const int32_t t = r->order[i];
        if (r->found[t]) continue;
        const uint64_t *answer = r->answer + (int64_t)t * words;
        while (set < r->o.target[t].set) r->begin[++set] = r->leaves;
        const int32_t last = r->leaves - 1;
        if (last < r->begin[set] || memcmp(r->prefix + (int64_t)last * words, answer, (size_t)words * 8) != 0) {
            memcpy(r->prefix + (int64_t)r->leaves * words, answer, (size_t)words * 8);
            r->local[r->leaves++] = r->o.target[t].local;
        }
        r->leaf_of[t] = r->leaves - 1;
    }
    while (set < r->o.sets) r->begin[++set] = r->leaves;
}

static int by_set_and_rank(const void *a, const void *b, void *targets)
{
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const dm_radix_target *p = (const dm_radix_target *)targets + i, *q = (const dm_radix_target *)targets + j;
    if (p->set != q->set) return p->set < q->set ? -1 : 1;
    if (p->rank != q->rank) return p->rank < q->rank ? -1 : 1;
    return i < j ? -1 : i > j;
}

demarc_status dm_radix_create(dm_radix **out, const dm_radix_options *o)
{
    demarc_status st = DEMARC_OK;
    dm_radix *r = NULL;
    *out = NULL;
    st = dm_alloc_zero(r, 1, "selection");
    if (st == DEMARC_OK) {
        r->o = *o;
        st = dm_alloc(r->order, o->targets, "selection");
        if (st == DEMARC_OK) st = dm_alloc_zero(r->found, o->targets, "selection");
        if (st == DEMARC_OK) st = dm_alloc_zero(r->answer, (int64_t)o->targets * o->words, "selection");
        if (st == DEMARC_OK) st = dm_alloc(r->leaf_of, o->targets, "selection");
        if (st == DEMARC_OK) st = dm_alloc(r->begin, (int64_t)o->sets + 1, "selection");
        if (st == DEMARC_OK) st = dm_alloc(r->prefix, (int64_t)o->targets * o->words, "selection");
        if (st == DEMARC_OK) st = dm_alloc(r->local, o->targets, "selection");
        if (st == DEMARC_OK) st = dm_alloc_zero(r->count, o->threads, "selection");
    }
    DM_TRY_ALL(o->comm, st);
    dm_comm_min_i64(o->comm, &r->o.count_bytes, 1);
    int64_t widest = o->threads;
    dm_comm_max_i64(o->comm, &widest, 1);
    r->o.count_bytes /= widest + 1;
    for (int32_t t = 0; t < o->targets; t++) {
        dm_radix_target *target = &o->target[t];
        target->beyond = false;
        target->equal = 0;
        target->local = o->local != NULL ? o->local[target->set] : 0;
        target->word = r->answer + (int64_t)t * o->words;
        r->order[t] = t;
    }
    r->local_known = o->local != NULL;
    qsort_r(r->order, (size_t)o->targets, sizeof *r->order, by_set_and_rank, o->target);
    grow_leaves(r);
    *out = r;
    r = NULL;
cleanup:
    dm_radix_destroy(&r);
    return st;
}

void dm_radix_destroy(dm_radix **radix)
{
    dm_radix *r = *radix;
    if (r == NULL) return;
    for (int t = 0; t < r->o.threads && r->count != NULL; t++) dm_free(r->count[t]);
    dm_free(r->count);
    dm_free(r->order);
    dm_free(r->found);
    dm_free(r->answer);
    dm_free(r->leaf_of);
    dm_free(r->begin);
    dm_free(r->prefix);
    dm_free(r->local);
    dm_free(r->item);
    dm_free(r);
    *radix = NULL;
}

static demarc_status changed(void)
{
    return dm_fail(DEMARC_ERR_DATA, "changed while it was read: customer file: run again when nobody writes to it");
}

/* Keep the items of all leaves if every rank has room for its own. Collective. */
static demarc_status collect(dm_radix *r, dm_radix_pass pass, void *context)
{
    demarc_status st = DEMARC_OK;
    int64_t items = 0;
    for (int32_t i = 0; i < r->leaves; i++) items += r->local[i];
    const int64_t bytes = 8 * (1 + (int64_t)r->o.words);
    int64_t fits = items <= r->o.item_bytes / bytes;
    dm_comm_min_i64(r->o.comm, &fits, 1);
    if (!fits) return DEMARC_OK;
    DM_TRY_ALL(r->o.comm, dm_alloc(r->item, items * (1 + (int64_t)r->o.words), "selection"));
    r->room = items;
    r->items = 0;
    r->collecting = true;
    st = pass(context, r, NULL);
    r->collecting = false;
    if (st == DEMARC_OK && r->items != r->room) {
        st = changed();
    }
    DM_TRY_ALL(r->o.comm, st);
cleanup:
    return st;
}

static void choose_digit(dm_radix *r)
{
    const int left = width_of(r, r->word) - r->done, most = r->item != NULL ? KEPT_DIGIT_BITS : DIGIT_BITS;
    r->bits = left < most ? left : most;
    while (r->bits > 1 && ((int64_t)r->leaves << r->bits) * 8 > r->o.count_bytes) r->bits--;
    r->shift = 64 - r->done - r->bits;
}

/* Go on into the digit that holds the target's rank. The same on all ranks. */
static demarc_status advance(dm_radix *r, int32_t t, const int64_t *all, const int64_t *mine, bool first)
{
    dm_radix_target *target = &r->o.target[t];
    const int64_t at = (int64_t)r->leaf_of[t] << r->bits, digits = INT64_C(1) << r->bits;
    if (first) {
        int64_t total = 0;
        for (int64_t i = 0; i < digits; i++) total += all[at + i];
        target->beyond = target->rank >= total;
        r->found[t] = target->beyond;
        if (target->beyond) return DEMARC_OK;
    }
    int64_t digit = 0;
    while (digit < digits && target->rank >= all[at + digit]) target->rank -= all[at + digit++];
    if (digit == digits) return changed();
    target->equal = all[at + digit];
    target->local = mine[at + digit];
    target->word[r->word] |= (uint64_t)digit << r->shift;
    if (r->o.bound_only && target->rank + 1 == target->equal) {
        r->found[t] = true;
        target->word[r->word] |= (UINT64_C(1) << r->shift) - 1;
        for (int32_t w = r->word + 1; w < r->o.words; w++) target->word[w] = UINT64_MAX;
    }
    return DEMARC_OK;
}

/* One digit of all targets. Collective. */
static demarc_status step(dm_radix *r, dm_radix_pass pass, void *context)
{
    demarc_status st = DEMARC_OK;
    const int counting = r->item != NULL ? 1 : r->o.threads;
    const bool first = r->word == 0 && r->done == 0;
    int64_t *all = NULL;
    choose_digit(r);
    const int64_t cells = (int64_t)r->leaves << r->bits;
    st = dm_alloc(all, cells, "selection");
    for (int t = 0; t < counting && st == DEMARC_OK; t++) st = dm_alloc_zero(r->count[t], cells, "selection");
    DM_TRY_ALL(r->o.comm, st);
    if (r->item != NULL) {
        for (int64_t i = 0; i < r->items; i++) {
            const uint64_t *item = r->item + i * (1 + r->o.words);
            dm_radix_offer(r, 0, (int32_t)item[0], item + 1);
        }
    } else {
        char name[64];
        snprintf(name, sizeof name, "%.20s, digit %d at %d.%d", r->o.name, r->bits, (int)r->word, r->done);
        r->moved = false;
        DM_TRY(pass(context, r, name));
    }
    int64_t *mine = r->count[0];
    for (int t = 1; t < counting; t++) {
        for (int64_t i = 0; i < cells; i++) mine[i] += r->count[t][i];
    }
    memcpy(all, mine, (size_t)cells * sizeof *all);
    dm_comm_sum_i64(r->o.comm, all, cells);
    for (int32_t t = 0; t < r->o.targets; t++) {
        if (!r->found[t]) DM_TRY(advance(r, t, all, mine, first));
    }
    r->done += r->bits;
    r->local_known = !r->moved;
    if (r->done == width_of(r, r->word)) {
        r->word++;
        r->done = 0;
    }
    grow_leaves(r);
cleanup:
    dm_free(all);
    for (int t = 0; t < counting; t++) {
        dm_free(r->count[t]);
        r->count[t] = NULL;
    }
    return st;
}

/* ------------------------------------------------------------------------------------------------ saved and gone on with */

bool dm_radix_resumed(const dm_radix *r) { return r->resumed; }

static int64_t count_bytes(const dm_radix *r) { return ((int64_t)r->leaves << r->bits) * (int64_t)sizeof **r->count; }

void dm_radix_gather(void *radix, dm_packer *p)
{
    dm_radix *r = radix;
    const int64_t cells = (int64_t)r->leaves << r->bits;
    int64_t *mine = r->count[0];
    for (int t = 1; t < r->o.threads; t++) {
        for (int64_t i = 0; i < cells; i++) mine[i] += r->count[t][i];
        memset(r->count[t], 0, (size_t)count_bytes(r));
    }
    dm_comm_sum_i64(r->o.comm, mine, cells);
    if (dm_comm_rank(r->o.comm) == 0) {
        dm_pack(p, mine, count_bytes(r));
    } else {
        memset(mine, 0, (size_t)count_bytes(r));
    }
    r->resumed = r->moved = true;
}

void dm_radix_restore(void *radix, dm_unpacker *u)
{
    dm_radix *r = radix;
    r->resumed = r->moved = true;
    if (u != NULL) (void)dm_unpack(u, r->count[0], count_bytes(r));
}

/* Between two digits; the same on all ranks. */
static demarc_status pack_state(void *context, dm_packer *p)
{
    const dm_radix *r = context;
    dm_pack_i64(p, r->word);
    dm_pack_i64(p, r->done);
    for (int32_t t = 0; t < r->o.targets; t++) {
        const dm_radix_target *target = &r->o.target[t];
        dm_pack_i64(p, target->rank);
        dm_pack_i64(p, target->equal);
        dm_pack_i64(p, target->beyond);
        dm_pack_i64(p, r->found[t]);
    }
    dm_pack(p, r->answer, (int64_t)r->o.targets * r->o.words * (int64_t)sizeof *r->answer);
    return DEMARC_OK;
}

static demarc_status unpack_state(dm_radix *r, dm_unpacker *u)
{
    r->word = (int32_t)dm_unpack_within(u, 0, r->o.words);
    r->done = (int)dm_unpack_within(u, 0, r->word < r->o.words ? width_of(r, r->word) - 1 : 0);
    for (int32_t t = 0; t < r->o.targets; t++) {
        dm_radix_target *target = &r->o.target[t];
        target->rank = dm_unpack_within(u, 0, INT64_MAX);
        target->equal = dm_unpack_within(u, 0, INT64_MAX);
        target->beyond = dm_unpack_within(u, 0, 1) != 0;
        r->found[t] = dm_unpack_within(u, 0, 1) != 0;
    }
    (void)dm_unpack(u, r->answer, (int64_t)r->o.targets * r->o.words * (int64_t)sizeof *r->answer);
    r->resumed = true;
    r->local_known = false;
    grow_leaves(r);
    return dm_journal_read(u);
}

/* ------------------------------------------------------------------------------------------------ the run */

demarc_status dm_radix_run(dm_radix *r, dm_radix_pass pass, void *context)
{
    demarc_status st = DEMARC_OK;
    dm_journal *j = r->o.journal;
    const int32_t mark = dm_journal_mark(j);
    dm_unpacker u;
    dm_packer p = {0};
    if (dm_journal_find(j, r->o.name, &u)) st = unpack_state(r, &u);
    if (st == DEMARC_OK) st = dm_journal_open(j, r->o.name, pack_state, r);
    DM_TRY_ALL(r->o.comm, st);
    while (r->leaves > 0 && r->word < r->o.words) {
        if (r->item == NULL && r->local_known) DM_TRY(collect(r, pass, context));
        DM_TRY(step(r, pass, context));
    }
    dm_journal_drop(j, mark);
    if (j != NULL) st = pack_state(r, &p);
    if (st == DEMARC_OK) st = dm_journal_note(j, r->o.name, &p);
    DM_TRY_ALL(r->o.comm, st);
cleanup:
    dm_journal_drop(j, mark + (st == DEMARC_OK));
    dm_packer_clear(&p);
    return st;
}
