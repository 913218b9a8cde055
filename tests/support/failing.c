/*
 * Failing allocations and writes, by LD_PRELOAD: the n-th call of a kind fails on one rank, every other goes through.
 *
 * An allocation is counted when demarc, libdemarc, jansson or libcsv asks for it: the return address tells whose call it
 * is. What Open MPI, HDF5, OpenBLAS, libgomp and popt allocate is theirs and always granted: libgomp, popt and parts of
 * Open MPI end the process when they get nothing. A write is counted when it is into a file below FAILING_PATH, whoever
 * calls, so that HDF5's and MPI-IO's are among them; a file's creation, rename, sync and close count as writes.
 * A failing fclose() or close() does close; a failing write writes nothing.
 *
 *   FAILING        alloc | write | slow: every fsync() takes FAILING_AT seconds longer
 *   FAILING_AT     n = 1, 2, ...; 0 = only list the calls
 *   FAILING_ONWARD the n-th and all later ones fail (a disk stays full) instead of the n-th alone
 *   FAILING_ERRNO  of a write; default ENOSPC
 *   FAILING_RANK   rank that fails, default 0
 *   FAILING_PATH   folder whose files count as output
 *   FAILING_LOG    file that gets a line "n function trail" for each call listed, or the first failed one: the trail is
 *                  the chain of callers inside the program, as offsets that addr2line understands
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fts.h>
#include <link.h>
#include <locale.h>
#include <pthread.h>
#include <search.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_RANGES = 16, MOST_FRAMES = 24 };

typedef struct range {
    uintptr_t begin, end, base;
} range;

static range ours[MOST_RANGES];
static int ranges;
static bool alloc_fails, write_fails, slow, onward;
static long fail_at;
static int reason = ENOSPC, journal = -1;
static const char *folder;
static atomic_long calls;
static _Thread_local bool inside;

static int note_object(struct dl_phdr_info *info, size_t size, void *unused)
{
    static const char *const name[] = {"libdemarc.", "libjansson.", "libcsv."};
    (void)size;
    (void)unused;
    bool wanted = info->dlpi_name[0] == 0 && ranges == 0; /* the program itself comes first */
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) wanted = wanted || strstr(info->dlpi_name, name[i]) != NULL;
    for (int i = 0; wanted && i < info->dlpi_phnum && ranges < MOST_RANGES; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0) continue;
        const uintptr_t begin = info->dlpi_addr + p->p_vaddr;
        ours[ranges++] = (range){.begin = begin, .end = begin + p->p_memsz, .base = info->dlpi_addr};
    }
    return 0;
}

static long number(const char *name, long otherwise)
{
    const char *v = getenv(name);
    return v == NULL ? otherwise : strtol(v, NULL, 10);
}

__attribute__((constructor)) static void begin(void)
{
    void *prime[2];
    const char *kind = getenv("FAILING"), *log = getenv("FAILING_LOG");
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (kind == NULL || (rank == NULL ? 0 : strtol(rank, NULL, 10)) != number("FAILING_RANK", 0)) return;
    (void)backtrace(prime, 2); /* loads the unwinder, which allocates */
    dl_iterate_phdr(note_object, NULL);
    fail_at = number("FAILING_AT", 0);
    reason = (int)number("FAILING_ERRNO", ENOSPC);
    onward = number("FAILING_ONWARD", 0) != 0;
    folder = getenv("FAILING_PATH");
    if (log != NULL) journal = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    alloc_fails = strcmp(kind, "alloc") == 0;
    write_fails = strcmp(kind, "write") == 0 && folder != NULL;
    slow = strcmp(kind, "slow") == 0;
}

static const range *range_of(const void *address)
{
    for (int i = 0; i < ranges; i++) {
        if ((uintptr_t)address >= ours[i].begin && (uintptr_t)address < ours[i].end) return &ours[i];
    }
    return NULL;
}

static void record(long n, const char *function)
{
    void *frame[MOST_FRAMES];
    char line[1024];
    const int frames = backtrace(frame, MOST_FRAMES);
    int used = snprintf(line, sizeof line, "%ld %s", n, function);
    for (int i = 0; i < frames && used < (int)sizeof line - 32; i++) {
        const range *r = range_of(frame[i]);
        if (r != &ours[0]) continue; /* the program's own frames tell the way */
        used += snprintf(line + used, sizeof line - (size_t)used, " %lx",
                         (unsigned long)((uintptr_t)frame[i] - 1 - r->base));
    }
    line[used++] = '\n';
    (void)!syscall(SYS_write, journal, line, (size_t)used);
}

/* Counts a call; true = it fails. */
static bool fails(const char *function)
{
    if (inside) return false;
    inside = true;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    const bool now = fail_at > 0 && (n == fail_at || (onward && n > fail_at));
    if (journal >= 0 && (fail_at == 0 || n == fail_at)) record(n, function);
    inside = false;
    return now;
}

static bool alloc_call(const void *caller, const char *function)
{
    return alloc_fails && range_of(caller) != NULL && fails(function);
}

static bool in_folder(const char *path)
{
    const size_t length = strlen(folder);
    if (strncmp(path, "/memfd:demarc", 13) == 0) return true; /* output on its way */
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static bool fd_path(int fd, char path[1024])
{
    char link[32];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, 1023);
    path[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static bool fd_call(int fd, const char *function)
{
    char path[1024];
    if (!write_fails || inside) return false;
    const int kept = errno;
    const bool counts = fd_path(fd, path) && in_folder(path);
    errno = kept;
    return counts && fails(function);
}

/* A name relative to a folder, which may be the working one. */
static bool name_call(int at, const char *name, const char *function)
{
    char path[2048];
    if (!write_fails || inside) return false;
    if (name[0] == '/') return in_folder(name) && fails(function);
    const bool known = at == AT_FDCWD ? getcwd(path, 1024) != NULL : fd_path(at, path);
    return known && in_folder(path) && fails(function);
}

#define REAL(function)                                                                                                 \
    static __typeof__(function) *real;                                                                                 \
    if (real == NULL) real = (__typeof__(function) *)dlsym(RTLD_NEXT, #function)
#define CALLER __builtin_return_address(0)
#define NO_MEMORY(result)                                                                                              \
    do {                                                                                                               \
        if (alloc_call(CALLER, __func__)) {                                                                            \
            errno = ENOMEM;                                                                                            \
            return result;                                                                                             \
        }                                                                                                              \
    } while (0)
#define REFUSED(call, result)                                                                                          \
    do {                                                                                                               \
        if (call) {                                                                                                    \
            errno = reason;                                                                                            \
            return result;                                                                                             \
        }                                                                                                              \
    } while (0)

/* ------------------------------------------------------------------------------------------------ allocations */

void *malloc(size_t size)
{
    REAL(malloc);
    NO_MEMORY(NULL);
    return real(size);
}

void *calloc(size_t count, size_t size)
{
    REAL(calloc);
    NO_MEMORY(NULL);
    return real(count, size);
}

void *realloc(void *p, size_t size)
{
    REAL(realloc);
    NO_MEMORY(NULL);
    return real(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    REAL(aligned_alloc);
    NO_MEMORY(NULL);
    return real(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    REAL(posix_memalign);
    NO_MEMORY(ENOMEM);
    return real(p, alignment, size);
}

char *strdup(const char *s)
{
    REAL(strdup);
    NO_MEMORY(NULL);
    return real(s);
}

char *strndup(const char *s, size_t n)
{
    REAL(strndup);
    NO_MEMORY(NULL);
    return real(s, n);
}

int vasprintf(char **to, const char *format, va_list ap)
{
    REAL(vasprintf);
    NO_MEMORY(-1);
    return real(to, format, ap);
}

int asprintf(char **to, const char *format, ...)
{
    va_list ap;
    NO_MEMORY(-1);
    va_start(ap, format);
    const int n = vasprintf(to, format, ap);
    va_end(ap);
    return n;
}

int __vasprintf_chk(char **to, int flag, const char *format, va_list ap);
int __vasprintf_chk(char **to, int flag, const char *format, va_list ap)
{
    (void)flag;
    NO_MEMORY(-1);
    return vasprintf(to, format, ap);
}

int __asprintf_chk(char **to, int flag, const char *format, ...);
int __asprintf_chk(char **to, int flag, const char *format, ...)
{
    va_list ap;
    (void)flag;
    NO_MEMORY(-1);
    va_start(ap, format);
    const int n = vasprintf(to, format, ap);
    va_end(ap);
    return n;
}

char *realpath(const char *name, char *to)
{
    REAL(realpath);
    NO_MEMORY(NULL);
    return real(name, to);
}

DIR *opendir(const char *name)
{
    REAL(opendir);
    NO_MEMORY(NULL);
    return real(name);
}

FTS *fts_open(char *const *roots, int options, int (*compare)(const FTSENT **, const FTSENT **))
{
    REAL(fts_open);
    NO_MEMORY(NULL);
    return real(roots, options, compare);
}

FILE *open_memstream(char **to, size_t *size)
{
    REAL(open_memstream);
    NO_MEMORY(NULL);
    return real(to, size);
}

void *tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
    REAL(tsearch);
    NO_MEMORY(NULL);
    return real(key, root, compare);
}

locale_t newlocale(int mask, const char *name, locale_t base)
{
    REAL(newlocale);
    NO_MEMORY((locale_t)0);
    return real(mask, name, base);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    REAL(pthread_create);
    NO_MEMORY(EAGAIN);
    return real(thread, attributes, routine, argument);
}

FILE *fdopen(int fd, const char *mode)
{
    REAL(fdopen);
    NO_MEMORY(NULL);
    return real(fd, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(fopen);
    NO_MEMORY(NULL);
    REFUSED(strpbrk(mode, "wa+") != NULL && name_call(AT_FDCWD, path, __func__), NULL);
    return real(path, mode);
}

/* ------------------------------------------------------------------------------------------------ writes */

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    REAL(pwrite);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, bytes, count, at);
}

ssize_t writev(int fd, const struct iovec *part, int parts)
{
    REAL(writev);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, part, parts);
}

ssize_t pwritev(int fd, const struct iovec *part, int parts, off_t at)
{
    REAL(pwritev);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, part, parts, at);
}

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *f)
{
    REAL(fwrite);
    REFUSED(write_fails && fd_call(fileno(f), __func__), 0);
    return real(bytes, size, count, f);
}

int fsync(int fd)
{
    REAL(fsync);
    if (slow) sleep((unsigned)fail_at);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd);
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
    REAL(fallocate);
    REFUSED(fd_call(fd, __func__), -1);
    return real(fd, mode, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    REAL(posix_fallocate);
    REFUSED(fd_call(fd, __func__), reason);
    return real(fd, at, size);
}

/* Only of files that may be written: what was read needs no good close. */
int close(int fd)
{
    REAL(close);
    const int mode = write_fails && !inside ? fcntl(fd, F_GETFL) : -1;
    const bool refused = mode >= 0 && (mode & O_ACCMODE) != O_RDONLY && fd_call(fd, __func__);
    const int rc = real(fd);
    REFUSED(refused, -1);
    return rc;
}

int fclose(FILE *f)
{
    REAL(fclose);
    const int fd = write_fails && !inside ? fileno(f) : -1;
    const int mode = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    const bool refused = mode >= 0 && (mode & O_ACCMODE) != O_RDONLY && fd_call(fd, __func__);
    const int rc = real(f);
    REFUSED(refused, EOF);
    return rc;
}

static mode_t mode_of(int flags, va_list ap) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0; }

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = mode_of(flags, ap);
    va_end(ap);
    REFUSED((flags & O_CREAT) != 0 && name_call(AT_FDCWD, path, __func__), -1);
    return real(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    REAL(openat);
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = mode_of(flags, ap);
    va_end(ap);
    REFUSED((flags & O_CREAT) != 0 && name_call(at, path, __func__), -1);
    return real(at, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    REFUSED(name_call(AT_FDCWD, path, __func__), -1);
    return real(path, mode);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    REFUSED(name_call(AT_FDCWD, to, __func__), -1);
    return real(from, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    REAL(renameat);
    REFUSED(name_call(to_at, to, __func__), -1);
    return real(from_at, from, to_at, to);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    REAL(renameat2);
    REFUSED(name_call(to_at, to, __func__), -1);
    return real(from_at, from, to_at, to, flags);
}

/* glibc's names for the same calls with 64-bit offsets. */
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));
int fallocate64(int, int, off_t, off_t) __attribute__((alias("fallocate")));
int posix_fallocate64(int, off_t, off_t) __attribute__((alias("posix_fallocate")));
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
FILE *fopen64(const char *, const char *) __attribute__((alias("fopen")));
