/*
 * Values one after another in a piece of memory, and back. Numbers as this machine holds them. Reading is bounded: a length
 * is believed only as far as there are bytes, so nothing is allocated that is larger than what came. Local.
 */
#ifndef DM_BASE_PACKING_H
#define DM_BASE_PACKING_H

#include "base/exact_sum.h"
#include "base/fixed_sum.h"
#include "base/status.h"

/** Grows as it is filled. Zero is empty. A failure to get memory is kept in `failed`. */
typedef struct dm_packer {
    char *bytes;
    int64_t count, room;
    bool failed;
} dm_packer;

void dm_pack(dm_packer *p, const void *bytes, int64_t count);
/** Make room for so many bytes more at once: without it a packer takes up to twice what it holds. */
void dm_packer_room(dm_packer *p, int64_t bytes);
void dm_pack_i64(dm_packer *p, int64_t v);
void dm_pack_f64(dm_packer *p, double v);
/** Length and bytes; NULL is packed as "". */
void dm_pack_text(dm_packer *p, const char *text);
/** count exact sums, without their zeros; they are normalized. */
void dm_pack_exact(dm_packer *p, dm_exact_sum *s, int64_t count);
void dm_pack_int128(dm_packer *p, const dm_int128 *v, int64_t count);
void dm_packer_clear(dm_packer *p);

/**
 * Reads `bytes` (borrowed). Once something did not fit, or there was no memory for it, `bad` stays true and every read
 * gives 0 or nothing.
 */
typedef struct dm_unpacker {
    const char *bytes;
    int64_t left;
    bool bad, no_memory;
} dm_unpacker;

/** Copy the next `count` bytes to `to`; false, and `to` zeroed, if there are not so many. */
bool dm_unpack(dm_unpacker *u, void *to, int64_t count);
int64_t dm_unpack_i64(dm_unpacker *u);
/** The same for a value that must lie in [low, high]; `low` and bad if it does not. */
int64_t dm_unpack_within(dm_unpacker *u, int64_t low, int64_t high);
double dm_unpack_f64(dm_unpacker *u);
/** A text without NUL in it, malloc'd; NULL (and bad) if there is none such or no memory. */
char *dm_unpack_text(dm_unpacker *u);
/** count exact sums or integers into the caller's array. */
void dm_unpack_exact(dm_unpacker *u, dm_exact_sum *s, int64_t count);
void dm_unpack_int128(dm_unpacker *u, dm_int128 *v, int64_t count);
/** count doubles, dm_alloc'd; NULL (and bad) if there are not so many or no memory. */
double *dm_unpack_f64s(dm_unpacker *u, int64_t count);
/** Memory for what was read was refused elsewhere: bad, for that reason. */
void dm_unpack_no_memory(dm_unpacker *u);
/**
 * DEMARC_OK unless `bad`. @param[in] what  part of a checkpoint, for the error line
 * @retval DEMARC_ERR_DATA    the bytes are not what they should be
 * @retval DEMARC_ERR_MEMORY  they may be
 */
demarc_status dm_unpack_verdict(const dm_unpacker *u, const char *what);

#endif
