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

/* What a memory.stat counts as pages of files, which go when memory is short. */
static int64_t file_pages(const char *path)
{
    static const char *const word[] = {"inactive_file ", "active_file ", "total_inactive_file ", "total_active_file "};
    int64_t own = 0, total = -1; /* version 1 has both: of the group, and with the groups below it */
    char line[256];
    FILE *f = fopen(path, "r");
    if (f == NULL) return 0;
    while (fgets(line, sizeof line, f) != NULL) {
        for (int i = 0; i < 4; i++) {
            const size_t length = strlen(word[i]);
            if (strncmp(line, word[i], length) != 0) continue;
            const int64_t bytes = strtoll(line + length, NULL, 10);
            if (i < 2) {
                own += bytes;
            } else {
                total = (total < 0 ? 0 : total) + bytes;
            }
        }
    }
    fclose(f);
    return total < 0 ? own : total;
}

/* What a control group may still have; INT64_MAX where it has no limit. */
static int64_t left_in(const char *root, const char *group, const char *most_name, const char *used_name)
{
    char path[3][4096];
    const char *const name[] = {most_name, used_name, "memory.stat"};
    for (int i = 0; i < 3; i++) (void)snprintf(path[i], sizeof path[i], "%s%s/%s", root, group, name[i]);
    const int64_t most = number_in(path[0]), used = number_in(path[1]);
    if (most <= 0 || used < 0) return INT64_MAX;
    const int64_t held = used - file_pages(path[2]), left = most - (held > 0 ? held : 0);
    return left > 0 ? left : 1;
}

/* Of this process's group and of all above it: "/a/b" of a line "0::/a/b", or "4:memory:/a/b" in version 1. */
static int64_t left_in_groups(void)
{
    static const struct {
        const char *mark, *root, *most, *used;
    } version[] = {{"0::/", "/sys/fs/cgroup", "memory.max", "memory.current"},
                   {":memory:/", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"}};
    int64_t least = INT64_MAX;
    char line[4096];
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        for (int i = 0; i < 2; i++) {
            char *group = strstr(line, version[i].mark);
            if (group == NULL || (i == 0 && group != line)) continue;
            group += strlen(version[i].mark) - 1;
            for (char *end = group + strlen(group); end != NULL; end = strrchr(group, '/')) {
                *end = 0; /* a container sees its own group as the root, which is "" */
                const int64_t left = left_in(version[i].root, group, version[i].most, version[i].used);
                if (left < least) least = left;
            }
        }
    }
    if (f != NULL) fclose(f);
    return least;
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
    const int64_t host = (int64_t)kib * 1024, groups = left_in_groups();
    return groups < host || host == 0 ? (groups == INT64_MAX ? 0 : groups) : host;
}
