#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/text.h"

#define HUGE_PAGE ((size_t)2 << 20)

demarc_status dm_alloc_bytes(void **out, int64_t count, size_t size, bool zero, const char *what)
{
    *out = NULL;
    size_t bytes = 0;
    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) || bytes > SIZE_MAX - HUGE_PAGE) {
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %lld x %zu bytes for %s: use more ranks", (long long)count,
                       size, what);
    }
    /* Large memory on huge pages, where the system grants them: fewer page faults and address look-ups. */
    const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (bytes == 0) bytes = alignment;
    void *p = aligned_alloc(alignment, bytes);
    if (p == NULL) {
        char text[32];
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %s for %s: use more ranks or --memory-limit",
                       dm_text_bytes(text, (double)bytes), what);
    }
    if (alignment == HUGE_PAGE) (void)madvise(p, bytes, MADV_HUGEPAGE);
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

/* The number in a one-line file, -1 where there is none ("max" is none). */
static int64_t number_in(const char *path)
{
    long long v = -1;
    FILE *f = fopen(path, "r");
    if (f == NULL) return -1;
    if (fscanf(f, "%lld", &v) != 1) v = -1;
    fclose(f);
    return (int64_t)v;
}

int64_t dm_memory_available(void)
{
    long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "MemAvailable:", 13) == 0) kib = strtoll(line + 13, NULL, 10);
    }
    if (f != NULL) fclose(f);
    int64_t bytes = (int64_t)kib * 1024;
    /* In a container the group's files stand at the root of its own tree: version 2, then 1. */
    static const char *const group[2][2] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
    for (int i = 0; i < 2; i++) {
        const int64_t most = number_in(group[i][0]), used = number_in(group[i][1]);
        if (most > 0 && used >= 0 && most > used && (bytes == 0 || most - used < bytes)) bytes = most - used;
    }
    return bytes;
}
