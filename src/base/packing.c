#include "base/packing.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void grow(dm_packer *p, int64_t room)
{
    char *grown = realloc(p->bytes, (size_t)room);
    if (grown == NULL) {
        p->failed = true;
        return;
    }
    p->bytes = grown;
    p->room = room;
}

void dm_packer_room(dm_packer *p, int64_t bytes)
{
    if (!p->failed && bytes > p->room - p->count) grow(p, p->count + bytes);
}

void dm_pack(dm_packer *p, const void *bytes, int64_t count)
{
    if (p->failed || count == 0) return;
    if (count > p->room - p->count) grow(p, 2 * (p->count + count));
    if (p->failed) return;
    memcpy(p->bytes + p->count, bytes, (size_t)count);
    p->count += count;
}

void dm_pack_i64(dm_packer *p, int64_t v) { dm_pack(p, &v, sizeof v); }
void dm_pack_f64(dm_packer *p, double v) { dm_pack(p, &v, sizeof v); }

void dm_pack_text(dm_packer *p, const char *text)
{
    const int64_t length = text == NULL ? 0 : (int64_t)strlen(text);
    dm_pack_i64(p, length);
    dm_pack(p, text, length);
}

/* First chunk that is not 0, number of chunks up to the last such, the chunks. */
void dm_pack_exact(dm_packer *p, dm_exact_sum *s, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t first = 0, end = DM_EXACT_CHUNKS;
        dm_exact_sum_normalize(&s[i]);
        while (end > 0 && s[i].chunk[end - 1] == 0) end--;
        while (first < end && s[i].chunk[first] == 0) first++;
        dm_pack_i64(p, first);
        dm_pack_i64(p, end - first);
        dm_pack(p, s[i].chunk + first, (end - first) * (int64_t)sizeof *s[i].chunk);
    }
}

void dm_pack_int128(dm_packer *p, const dm_int128 *v, int64_t count) { dm_pack(p, v, count * (int64_t)sizeof *v); }

void dm_packer_clear(dm_packer *p)
{
    free(p->bytes);
    *p = (dm_packer){0};
}

bool dm_unpack(dm_unpacker *u, void *to, int64_t count)
{
    if (u->bad || count < 0 || count > u->left) {
        u->bad = true;
        if (count > 0) memset(to, 0, (size_t)count);
        return false;
    }
    if (count > 0) memcpy(to, u->bytes, (size_t)count);
    u->bytes += count;
    u->left -= count;
    return true;
}

int64_t dm_unpack_i64(dm_unpacker *u)
{
    int64_t v = 0;
    (void)dm_unpack(u, &v, sizeof v);
    return v;
}

int64_t dm_unpack_within(dm_unpacker *u, int64_t low, int64_t high)
{
    const int64_t v = dm_unpack_i64(u);
    if (!u->bad && v >= low && v <= high) return v;
    u->bad = true;
    return low;
}

double dm_unpack_f64(dm_unpacker *u)
{
    double v = 0.0;
    (void)dm_unpack(u, &v, sizeof v);
    return v;
}

char *dm_unpack_text(dm_unpacker *u)
{
    const int64_t length = dm_unpack_within(u, 0, u->left);
    if (u->bad) return NULL;
    char *text = malloc((size_t)length + 1);
    if (text == NULL) {
        dm_unpack_no_memory(u);
        return NULL;
    }
    if (dm_unpack(u, text, length) && memchr(text, 0, (size_t)length) == NULL) {
        text[length] = 0;
        return text;
    }
    free(text);
    u->bad = true;
    return NULL;
}

void dm_unpack_exact(dm_unpacker *u, dm_exact_sum *s, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        s[i] = (dm_exact_sum){0};
        const int64_t first = dm_unpack_within(u, 0, DM_EXACT_CHUNKS);
        const int64_t chunks = dm_unpack_within(u, 0, DM_EXACT_CHUNKS - first);
        if (u->bad) continue;
        (void)dm_unpack(u, s[i].chunk + first, chunks * (int64_t)sizeof *s[i].chunk);
        for (int64_t c = 0; c < DM_EXACT_CHUNKS; c++) { /* as normalized, so that they can be added */
            if (s[i].chunk[c] > (INT64_C(1) << 32) || s[i].chunk[c] < -(INT64_C(1) << 32)) u->bad = true;
        }
    }
}

void dm_unpack_int128(dm_unpacker *u, dm_int128 *v, int64_t count)
{
    (void)dm_unpack(u, v, count * (int64_t)sizeof *v);
}

double *dm_unpack_f64s(dm_unpacker *u, int64_t count)
{
    double *v = NULL;
    if (count < 0 || count > u->left / 8) u->bad = true;
    if (u->bad) return NULL;
    if (dm_alloc(v, count, "checkpoint") == DEMARC_OK) {
        (void)dm_unpack(u, v, 8 * count);
    } else {
        dm_unpack_no_memory(u);
    }
    return v;
}

void dm_unpack_no_memory(dm_unpacker *u) { u->bad = u->no_memory = true; }

demarc_status dm_unpack_verdict(const dm_unpacker *u, const char *what)
{
    if (!u->bad) return DEMARC_OK;
    if (u->no_memory) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory");
    return dm_fail(DEMARC_ERR_DATA, "the checkpoint contradicts itself: %s: add --force to start anew", what);
}
