#include "boundary/journal.h"

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 96
#define MAGIC INT64_C(0x4c414e52554f4a44)

typedef struct item {
    char name[NAME_BYTES];
    dm_packer bytes;         /* of an entry, on rank 0 */
    dm_journal_pack_fn pack; /* of a frame; NULL = an entry */
    void *context;
} item;

struct dm_journal {
    dm_comm *comm;
    demarc_status (*edge)(void *context);
    void *edge_context;
    int64_t window_blocks;
    item *item;
    int32_t count, room;
    dm_unpacker left; /* items of an earlier run that were not found yet */
};

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory");
}

demarc_status dm_journal_create(dm_journal **out, dm_comm *comm, demarc_status (*edge)(void *context), void *context,
                                int64_t window_blocks)
{
    dm_journal *j = calloc(1, sizeof *j);
    *out = j;
    if (j == NULL) return no_memory();
    *j = (dm_journal){.comm = comm, .edge = edge, .edge_context = context, .window_blocks = window_blocks};
    return DEMARC_OK;
}

void dm_journal_destroy(dm_journal **journal)
{
    if (*journal == NULL) return;
    dm_journal_drop(*journal, 0);
    free((*journal)->item);
    free(*journal);
    *journal = NULL;
}

demarc_status dm_journal_edge(dm_journal *j)
{
    return j == NULL || j->edge == NULL ? DEMARC_OK : j->edge(j->edge_context);
}

int64_t dm_journal_window(const dm_journal *j) { return j->window_blocks; }

int32_t dm_journal_mark(const dm_journal *j) { return j == NULL ? 0 : j->count; }

void dm_journal_drop(dm_journal *j, int32_t mark)
{
    if (j == NULL) return;
    while (j->count > mark) dm_packer_clear(&j->item[--j->count].bytes);
}

static demarc_status add(dm_journal *j, const char *name, item **added)
{
    if (j->count == j->room) {
        const int32_t room = j->room == 0 ? 16 : 2 * j->room;
        item *grown = realloc(j->item, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory();
        j->item = grown;
        j->room = room;
    }
    *added = &j->item[j->count++];
    **added = (item){0};
    snprintf((*added)->name, NAME_BYTES, "%s", name);
    return DEMARC_OK;
}

demarc_status dm_journal_note(dm_journal *j, const char *name, dm_packer *p)
{
    item *entry = NULL;
    if (j == NULL) {
        dm_packer_clear(p);
        return DEMARC_OK;
    }
    if (p->failed) return no_memory();
    const demarc_status st = add(j, name, &entry);
    if (st == DEMARC_OK && dm_comm_rank(j->comm) == 0) {
        entry->bytes = *p;
        *p = (dm_packer){0};
    }
    dm_packer_clear(p);
    return st;
}

demarc_status dm_journal_open(dm_journal *j, const char *name, dm_journal_pack_fn pack, void *context)
{
    item *frame = NULL;
    if (j == NULL) return DEMARC_OK;
    const demarc_status st = add(j, name, &frame);
    if (st != DEMARC_OK) return st;
    frame->pack = pack;
    frame->context = context;
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ saved and found */

/* Name, length, bytes; a frame packs them where they are to be, since they may be many. */
static demarc_status pack_item(const item *it, dm_packer *p)
{
    demarc_status st = DEMARC_OK;
    dm_pack_text(p, it->name);
    dm_pack_i64(p, it->bytes.count);
    const int64_t begin = p->count;
    if (it->pack == NULL) {
        dm_pack(p, it->bytes.bytes, it->bytes.count);
        return DEMARC_OK;
    }
    st = it->pack(it->context, p);
    const int64_t length = p->count - begin;
    if (!p->failed) memcpy(p->bytes + begin - sizeof length, &length, sizeof length);
    return st;
}

demarc_status dm_journal_pack(dm_journal *j, dm_packer *p)
{
    demarc_status st = DEMARC_OK;
    dm_pack_i64(p, MAGIC);
    for (int32_t i = 0; i < j->count && st == DEMARC_OK; i++) st = pack_item(&j->item[i], p);
    /* What an earlier run left and this one has not come to yet is saved again behind the rest. */
    dm_pack(p, j->left.bytes, j->left.left);
    return st;
}

/* Name and bytes of the next item of `u`; false (and bad) if there is none such. */
static bool next_item(dm_unpacker *u, char name[NAME_BYTES], dm_unpacker *bytes)
{
    const int64_t length = dm_unpack_within(u, 0, NAME_BYTES - 1);
    if (u->bad || !dm_unpack(u, name, length)) return false;
    name[length] = 0;
    const int64_t count = dm_unpack_within(u, 0, u->left);
    if (u->bad || count > u->left) {
        u->bad = true;
        return false;
    }
    *bytes = (dm_unpacker){.bytes = u->bytes, .left = count};
    u->bytes += count;
    u->left -= count;
    return true;
}

static demarc_status contradiction(void)
{
    return dm_fail(DEMARC_ERR_DATA, "the checkpoint contradicts itself: its steps: add --force to start anew");
}

demarc_status dm_journal_unpack(dm_journal *j, dm_unpacker *u)
{
    char name[NAME_BYTES];
    dm_unpacker bytes;
    if (dm_unpack_i64(u) != MAGIC) return contradiction();
    j->left = *u;
    while (u->left > 0) {
        if (next_item(u, name, &bytes)) continue;
        j->left = (dm_unpacker){0};
        return contradiction();
    }
    return DEMARC_OK;
}

bool dm_journal_find(dm_journal *j, const char *name, dm_unpacker *u)
{
    char found[NAME_BYTES], cut[NAME_BYTES];
    if (j == NULL) return false;
    snprintf(cut, sizeof cut, "%s", name);
    for (dm_unpacker at = j->left; at.left > 0 && next_item(&at, found, u);) {
        if (strcmp(found, cut) != 0) continue;
        j->left = at;
        return true;
    }
    return false;
}

demarc_status dm_journal_read(const dm_unpacker *u)
{
    if (u->no_memory) return no_memory();
    return u->bad || u->left != 0 ? contradiction() : DEMARC_OK;
}
