/*
 * What we believe of a file that a stranger may have written.
 *
 * Three doors lead out of an HDF5 file: external links, values in other files (external raw storage, virtual datasets) and
 * filters that HDF5 loads as plugins. All are shut unless --allow-external (external.h). Even then a source that is not
 * there is an error, because HDF5 would read it as zeros in silence.
 *
 * A claimed size is believed as far as the file's length can back it: bytes that are stored cannot outgrow the file, and
 * deflate packs at most 1032 to 1 (Deutsch 1996, RFC 1951: a match of 258 bytes takes 2 bits at least). So nothing is
 * allocated that a small file merely asks for. What szip, n-bit and scale-offset pack has no such bound, so there each chunk
 * that is stored may have its full size, 4 GiB at most. Local.
 */
#ifndef DM_STORE_HDF5_TRUST_H
#define DM_STORE_HDF5_TRUST_H

#include "store/external.h"
#include "store/hdf5_util.h"

/** Let HDF5 load filter plugins where that is allowed, and not elsewhere. Loaded ones stay. */
void dm_hdf5_trust_filters(void);

/** Make a link or dataset access list refuse to leave the file where that is not allowed. */
demarc_status dm_hdf5_guard_links(hid_t access);

/** If the last look-up was refused by the guard: that error, naming where the link leads. Else DEMARC_OK. */
demarc_status dm_hdf5_refused(const char *path, const char *object);

/** Open an object by its path, over links inside the file (and out of it where allowed). Closed by the caller. */
demarc_status dm_hdf5_object_open(hid_t *out, hid_t file, const char *path, const char *object);

/**
 * Refuse values in other files, or, where they are allowed, sources that are missing or too short; refuse a size that the
 * file is too short for.
 * @retval DEMARC_ERR_DATA  the line names file, object and what is wrong
 */
demarc_status dm_hdf5_check_storage(hid_t set, const char *path, const char *object);

#endif
