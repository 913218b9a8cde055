/* Checked, 64-byte aligned allocation: the only way the library gets large memory. Local. */
#ifndef DM_BASE_MEMORY_H
#define DM_BASE_MEMORY_H

#include "base/status.h"

/**
 * Allocate `count` objects of `size` bytes, zeroed when `zero`, aligned to 64 bytes (2 MiB from there on); freed by dm_free.
 *
 * @param[out] out    Set to the memory, or NULL after an error. count == 0 gives a valid pointer.
 * @param[in]  what   Says in the error what the memory was for.
 * @retval DEMARC_ERR_MEMORY  the system has no such memory, or count * size overflows
 */
demarc_status dm_alloc_bytes(void **out, int64_t count, size_t size, bool zero, const char *what);
void dm_free(void *p);

/** ptr = count objects of *ptr, uninitialised. */
#define dm_alloc(ptr, count, what) dm_alloc_bytes((void **)&(ptr), (count), sizeof *(ptr), false, (what))
/** ptr = count zeroed objects of *ptr. */
#define dm_alloc_zero(ptr, count, what) dm_alloc_bytes((void **)&(ptr), (count), sizeof *(ptr), true, (what))

/** Peak resident set of this process, bytes; 0 where /proc does not tell. */
int64_t dm_memory_peak(void);

/**
 * Bytes that this process can get before the system runs out: what the kernel calls available, or what its control group
 * leaves if that is less. 0 where neither is told.
 */
int64_t dm_memory_available(void);

#endif
