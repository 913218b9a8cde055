#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

demarc_status dm_alloc_bytes(void **out, int64_t count, size_t size, bool zero, const char *what)
{
    *out = NULL;
    size_t bytes = 0;
    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) || bytes > SIZE_MAX - 64) {
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %lld x %zu bytes for %s: use more ranks", (long long)count,
                       size, what);
    }
    bytes = (bytes + 63) / 64 * 64;
    if (bytes == 0) bytes = 64;
    void *p = aligned_alloc(64, bytes);
    if (p == NULL) {
        char text[32];
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s for %s: use more ranks or --memory-limit",
                       dm_text_bytes(text, (double)bytes), what);
    }
    if (zero) memset(p, 0, bytes);
    *out = p;
    return DEMARC_OK;
}

void dm_free(void *p) { free(p); }

int64_t dm_memory_peak(void)
{
    /* Not getrusage(): its maximum outlives exec and so would name a parent's memory. */
    long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoll(line + 6, NULL, 10);
    }
    if (f != NULL) fclose(f);
    return (int64_t)kib * 1024;
}
