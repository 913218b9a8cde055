#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"

#define GAP 2         /* blanks between columns */
#define LEAST_WRAP 24 /* never wrap to a column narrower than this */

void cli_table_begin(cli_table *t, const char *align)
{
    *t = (cli_table){.columns = (int32_t)strlen(align), .align = align};
}

void cli_table_clear(cli_table *t)
{
    dm_strings_clear(&t->heading);
    dm_strings_clear(&t->cell);
}

/* Foreign text may hold control characters: a cell never moves the cursor. */
static demarc_status add_escaped(dm_strings *list, const char *text)
{
    size_t room = 4 * strlen(text) + 8;
    char *clean = malloc(room);
    if (clean == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: table: free some memory");
    dm_text_escape(clean, room, text);
    demarc_status st = dm_strings_add(list, clean);
    free(clean);
    return st;
}

demarc_status cli_table_heading(cli_table *t, const char *text) { return add_escaped(&t->heading, text); }
demarc_status cli_table_cell(cli_table *t, const char *text) { return add_escaped(&t->cell, text); }

demarc_status cli_table_cellf(cli_table *t, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cli_table_cell(t, text);
}

/*
 * mpirun gives its ranks a pseudo-terminal even when its own output goes to a file; but that is never the controlling
 * terminal, which tcgetpgrp() tells apart.
 */
static bool on_terminal(void) { return isatty(STDOUT_FILENO) && tcgetpgrp(STDOUT_FILENO) != -1; }

bool cli_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no != NULL && no[0] != 0) return false;
    return on_terminal() && term != NULL && term[0] != 0 && strcmp(term, "dumb") != 0;
}

/* Columns of the terminal, 0 when stdout is none: then nothing is wrapped. */
static size_t terminal_width(void)
{
    struct winsize size;
    if (!on_terminal() || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

/* Characters, not bytes: UTF-8 continuation bytes do not count. */
static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s != 0; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void blanks(size_t n)
{
    for (size_t i = 0; i < n; i++) putchar(' ');
}

/* Bytes of s that fit into `width` characters, cut at the last blank if there is one. */
static size_t fitting(const char *s, size_t width)
{
    size_t bytes = 0, seen = 0, blank = 0;
    while (s[bytes] != 0) {
        if (((unsigned char)s[bytes] & 0xc0) != 0x80 && seen++ == width) break;
        if (s[bytes] == ' ') blank = bytes;
        bytes++;
    }
    return s[bytes] == 0 || blank == 0 ? bytes : blank;
}

/* The last cell, continued on lines of its own when it is too wide. */
static void print_wrapped(const char *s, size_t at, size_t terminal)
{
    size_t width = terminal > at + LEAST_WRAP ? terminal - at : 0;
    while (width != 0 && characters(s) > width) {
        size_t bytes = fitting(s, width);
        printf("%.*s\n", (int)bytes, s);
        blanks(at);
        s += bytes;
        while (*s == ' ') s++;
    }
    fputs(s, stdout);
}

static void print_line(const cli_table *t, char *const *cell, const size_t *width, size_t terminal)
{
    size_t at = t->indent != NULL ? strlen(t->indent) : 0;
    if (t->indent != NULL) fputs(t->indent, stdout);
    for (int32_t c = 0; c < t->columns; c++) {
        size_t pad = width[c] - characters(cell[c]);
        bool last = c == t->columns - 1;
        if (t->align[c] == 'r') blanks(pad);
        if (last) {
            print_wrapped(cell[c], at, terminal);
        } else {
            fputs(cell[c], stdout);
            blanks((t->align[c] == 'r' ? 0 : pad) + GAP);
        }
        at += width[c] + GAP;
    }
}

demarc_status cli_table_print(cli_table *t)
{
    demarc_status st = DEMARC_OK;
    size_t *width = NULL, terminal = terminal_width();
    DM_TRY(dm_alloc_zero(width, t->columns, "table"));
    for (int32_t i = 0; i < t->heading.count; i++) width[i] = characters(t->heading.item[i]);
    for (int32_t i = 0; i < t->cell.count; i++) {
        size_t w = characters(t->cell.item[i]);
        if (w > width[i % t->columns]) width[i % t->columns] = w;
    }
    if (t->heading.count == t->columns) {
        bool colour = cli_colour();
        if (colour) fputs("\033[1m", stdout);
        print_line(t, t->heading.item, width, terminal);
        puts(colour ? "\033[0m" : "");
    }
    for (int32_t i = 0; i + t->columns <= t->cell.count; i += t->columns) {
        print_line(t, t->cell.item + i, width, terminal);
        putchar('\n');
    }
cleanup:
    dm_free(width);
    cli_table_clear(t);
    return st;
}
