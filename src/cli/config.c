/*
 * --config FILE: the command's options, one `name = value` a line.
 *
 * Blank lines and comments (# at the start of a line or after a blank) are skipped; a value in double quotes is taken
 * as it stands. Names may be written with their dashes. The command line wins over the file; within the file a name
 * stands once, so that nobody edits the wrong one of two.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/open_read.h"
#include "cli/options.h"

#define MAX_LINE 65536 /* bytes; a longer line is no option, and /dev/zero must not fill the memory */

static char *trim(char *s)
{
    s += strspn(s, " \t\r\n");
    size_t length = strlen(s);
    while (length > 0 && strchr(" \t\r\n", s[length - 1]) != NULL) s[--length] = 0;
    return s;
}

/* The value without comment and quotes; NULL when the quotes are not closed or text follows them. */
static char *value_of(char *s)
{
    s = trim(s);
    if (s[0] == '"') {
        char *end = strchr(s + 1, '"');
        if (end == NULL) return NULL;
        const char *rest = end + 1 + strspn(end + 1, " \t");
        if (*rest != 0 && *rest != '#') return NULL;
        *end = 0;
        return s + 1;
    }
    for (char *p = s; *p != 0; p++) {
        if (*p == '#' && (p == s || p[-1] == ' ' || p[-1] == '\t')) {
            *p = 0;
            break;
        }
    }
    return trim(s);
}

static demarc_status unknown_name(const cli_line *line, const char *path, int64_t number, const char *name)
{
    const char *near = cli_line_nearest(line, name), *command = line->command->name;
    if (near != NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "unknown option: %.300s line %" PRId64 ": '%.80s': did you mean %s?", path,
                       number, name, near);
    }
    return dm_fail(DEMARC_ERR_USAGE, "unknown option: %.300s line %" PRId64 ": '%.80s': see demarc %s --help", path,
                   number, name, command);
}

/* One line; seen[i] is the line that named option i, 0 if none did. */
static demarc_status take_line(cli_line *line, const char *path, int64_t number, char *text, int64_t *seen)
{
    char *name = trim(text);
    if (name[0] == 0 || name[0] == '#') return DEMARC_OK;
    char *equals = strchr(name, '=');
    char *value = equals != NULL ? value_of(equals + 1) : NULL;
    if (equals != NULL) *equals = 0;
    name = trim(name);
    if (strncmp(name, "--", 2) == 0) name += 2;
    if (value == NULL || name[0] == 0) {
        return dm_fail(DEMARC_ERR_USAGE, "bad line: %.300s line %" PRId64 ": write name = value, a flag as name = true",
                       path, number);
    }
    int i = cli_line_find(line, name);
    if (i < 0) return unknown_name(line, path, number, name);
    if (line->option[i].kind == CLI_HELP || strcmp(name, "config") == 0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "option of the command line only: %.300s line %" PRId64 ": '%s': remove the line", path, number,
                       name);
    }
    if (seen[i] != 0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "option given twice: %.300s lines %" PRId64 " and %" PRId64 ": '%s': remove one", path, seen[i],
                       number, name);
    }
    seen[i] = number;
    if (line->given[i].text != NULL) return DEMARC_OK; /* the command line wins */
    line->given[i].text = strdup(value);
    line->given[i].line = number;
    if (line->given[i].text == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %.300s: free some memory", path);
    return DEMARC_OK;
}

/* Reads one line of at most MAX_LINE bytes. *bytes is its length with the line end, 0 at the end of the file. */
static demarc_status read_line(FILE *f, const char *path, int64_t number, char *buf, size_t *bytes)
{
    *bytes = 0;
    for (int c = 0; (c = getc_unlocked(f)) != EOF;) {
        if (c == 0) {
            return dm_fail(DEMARC_ERR_USAGE, "bad line: %.300s line %" PRId64 " holds a zero byte: give a text file",
                           path, number);
        }
        if (*bytes + 1 >= MAX_LINE) {
            return dm_fail(DEMARC_ERR_USAGE, "bad line: %.300s line %" PRId64 " is longer than %d bytes: shorten it",
                           path, number, MAX_LINE);
        }
        buf[(*bytes)++] = (char)c;
        if (c == '\n') break;
    }
    buf[*bytes] = 0;
    if (ferror(f)) return dm_fail_errno(errno, "cannot read: %.300s line %" PRId64 ": check the file", path, number);
    return DEMARC_OK;
}

/* A file that is not there or not a file is bad input; one that may not be read is a matter of the system. */
static demarc_status open_config(const char *path, FILE **f)
{
    struct stat info;
    *f = NULL;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return dm_fail(DEMARC_ERR_DATA, "cannot read: --config '%.300s' is a directory: give a text file", path);
    }
    const int fd = dm_open_read(path);
    if (fd >= 0 && (*f = fdopen(fd, "r")) != NULL) return DEMARC_OK;
    const int reason = errno;
    if (fd >= 0) close(fd);
    if (reason == ENOENT || reason == ENOTDIR) {
        return dm_fail(DEMARC_ERR_DATA, "no such file: --config '%.300s': check the path", path);
    }
    if (reason == ENXIO) {
        return dm_fail(DEMARC_ERR_DATA, "nobody writes to the pipe: --config '%.300s': give a text file", path);
    }
    return dm_fail_errno(reason, "cannot read: --config '%.300s': check the file and its permissions", path);
}

demarc_status cli_config_read(cli_line *line, const char *path)
{
    demarc_status st = DEMARC_OK;
    FILE *f = NULL;
    int64_t seen[CLI_MAX_OPTIONS] = {0};
    char *buf = malloc(MAX_LINE);
    if (buf == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: %.300s: free some memory", path);
    DM_TRY(open_config(path, &f));
    for (int64_t number = 1;; number++) {
        size_t bytes = 0;
        DM_TRY(read_line(f, path, number, buf, &bytes));
        if (bytes == 0) break;
        /* A byte order mark is no part of the first name. */
        char *text = number == 1 && strncmp(buf, "\xef\xbb\xbf", 3) == 0 ? buf + 3 : buf;
        DM_TRY(take_line(line, path, number, text, seen));
    }
cleanup:
    if (f != NULL) fclose(f);
    free(buf);
    return st;
}
