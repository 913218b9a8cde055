/*
 * Manners for HDF5, for the files of this room only: it neither prints nor loops at exit, its reason for a failure
 * goes into our error line, and any handle is closed by one call.
 *
 * Local. HDF5 is not thread-safe here: call it from one thread of a rank at a time.
 */
#ifndef DM_STORE_HDF5_UTIL_H
#define DM_STORE_HDF5_UTIL_H

#include <hdf5.h>

#include "base/status.h"

/** No handle: what closed and not yet opened handles hold. */
#define DM_HDF5_NONE ((hid_t)-1)

/**
 * Start HDF5 without its exit handler and silence its error stack for this thread; call before any other H5 call of a
 * public function of this room. Cheap and idempotent.
 */
demarc_status dm_hdf5_start(void);

/**
 * New file access properties for the POSIX driver with what all our files share: strong close (H5Fclose closes what was
 * forgotten) and no file lock, which hangs on some network file systems.
 * The caller closes it by dm_hdf5_close().
 */
demarc_status dm_hdf5_file_access(hid_t *fapl);

/**
 * Record "FMT: REASON" with the deepest message of HDF5's error stack as the reason (the system's words, such as
 * "No space left on device", when there are any) and return `st`. Nothing is appended when the stack is empty.
 * Call it right after the call that failed.
 */
__attribute__((format(printf, 2, 3))) demarc_status dm_hdf5_fail(demarc_status st, const char *fmt, ...);

/** The reason alone into buf, "" if none; true if there is one. */
bool dm_hdf5_reason(char *buf, size_t buf_size);

/** Close a handle of any kind (file, dataset, space, type, property list, ...) and set it to DM_HDF5_NONE; failures are
 *  ignored, so a file that was written is closed by H5Fclose() instead. Safe on DM_HDF5_NONE and predefined types. */
void dm_hdf5_close(hid_t *id);

#endif
