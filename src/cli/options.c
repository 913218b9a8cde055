#include "cli/options.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/popt_table.h"
#include "cli/usage.h"
#include "cli/values.h"

void cli_line_begin(cli_line *line, const cli_command *command) { *line = (cli_line){.command = command}; }

void cli_line_add(cli_line *line, const cli_option *option, size_t count)
{
    assert((size_t)line->count + count <= CLI_MAX_OPTIONS);
    memcpy(line->option + line->count, option, count * sizeof *option);
    line->count += (int)count;
}

void cli_line_clear(cli_line *line)
{
    for (int i = 0; i < line->count; i++) free(line->given[i].text);
    for (int i = 0; i < line->arguments; i++) free(line->argument[i]);
    *line = (cli_line){0};
}

int cli_line_find(const cli_line *line, const char *name)
{
    for (int i = 0; i < line->count; i++) {
        if (strcmp(line->option[i].name, name) == 0) return i;
    }
    return -1;
}

bool cli_line_has(const cli_line *line, const char *name)
{
    int i = cli_line_find(line, name);
    return i >= 0 && line->given[i].text != NULL;
}

const char *cli_line_nearest(const cli_line *line, const char *name)
{
    const char *word[CLI_MAX_OPTIONS + 1] = {NULL};
    for (int i = 0; i < line->count; i++) word[i] = line->option[i].name;
    return cli_nearest(name, word);
}

/* ------------------------------------------------------------------------------------------------ values */

/* What the option wants, for the end of an error line. */
static void expects(const cli_option *o, char *buf, size_t size)
{
    size_t used = 0;
    switch (o->kind) {
    case CLI_INT32:
    case CLI_INT64:
        snprintf(buf, size, "give a whole number from %.0f to %.0f", o->min, o->max);
        break;
    case CLI_UINT64:
        snprintf(buf, size, "give a whole number from 0 to %" PRIu64, UINT64_MAX);
        break;
    case CLI_REAL:
        if (isinf(o->max)) {
            snprintf(buf, size, "give a number, %g or more", o->min);
        } else {
            snprintf(buf, size, "give a number from %g to %s%g", o->min, o->below_max ? "below " : "", o->max);
        }
        break;
    case CLI_SIZE:
        snprintf(buf, size, "give a size such as 512M, 1.5G or 2GiB, at least %.0fM; 0 = no limit", o->min / 0x1p20);
        break;
    case CLI_RANGE:
        snprintf(buf, size, "give K, or LO:HI with LO <= HI, from %.0f to %.0f", o->min, o->max);
        break;
    case CLI_CHAR:
        snprintf(buf, size, "give one character such as ';', or tab");
        break;
    case CLI_FLAG:
        snprintf(buf, size, "give true or false");
        break;
    case CLI_WORD:
    case CLI_CHOICE:
        for (int i = 0; o->word[i] != NULL && used < size; i++) {
            used += (size_t)snprintf(buf + used, size - used, "%s%s", i == 0 ? "give one of " : ", ", o->word[i]);
        }
        break;
    case CLI_TEXT:
    case CLI_OUTPUT:
    case CLI_LIST:
    case CLI_HELP:
        snprintf(buf, size, "give a value");
        break;
    }
}

/* "--threads", or "my.conf line 3: threads". */
static void place(const cli_line *line, int i, char *buf, size_t size)
{
    const cli_given *g = &line->given[i];
    if (g->line == 0) {
        snprintf(buf, size, "--%s", line->option[i].name);
    } else {
        snprintf(buf, size, "%.300s line %" PRId64 ": %s", line->config, g->line, line->option[i].name);
    }
}

static demarc_status bad_value(const cli_line *line, int i)
{
    char where[400], want[256], hint[64] = "";
    const cli_option *o = &line->option[i];
    place(line, i, where, sizeof where);
    expects(o, want, sizeof want);
    const char *near = o->word != NULL ? cli_nearest(line->given[i].text, o->word) : NULL;
    if (near != NULL) snprintf(hint, sizeof hint, " (did you mean %s?)", near);
    return dm_fail(DEMARC_ERR_USAGE, "bad value: %s '%.80s': %s%s", where, line->given[i].text, want, hint);
}

static bool store_word(const cli_option *o, const char *text)
{
    for (unsigned w = 0; o->word[w] != NULL; w++) {
        if (strcmp(o->word[w], text) != 0) continue;
        if (o->kind == CLI_WORD) {
            *(const char **)o->target = o->word[w];
        } else {
            memcpy(o->target, &w, sizeof w);
        }
        return true;
    }
    return false;
}

static bool within(const cli_option *o, int64_t v) { return (double)v >= o->min && (double)v <= o->max; }

static bool store_integer(const cli_option *o, const char *text)
{
    int64_t v = 0;
    if (!(o->kind == CLI_SIZE ? cli_parse_size(text, &v) : cli_parse_count(text, &v))) return false;
    if (!within(o, v) && !(o->kind == CLI_SIZE && v == 0)) return false;
    if (o->kind == CLI_INT32) {
        *(int32_t *)o->target = (int32_t)v;
    } else {
        *(int64_t *)o->target = v;
    }
    return true;
}

static bool store_range(const cli_option *o, const char *text)
{
    int64_t lo = 0, hi = 0;
    if (!cli_parse_range(text, &lo, &hi) || lo > hi || !within(o, lo) || !within(o, hi)) return false;
    *(int32_t *)o->target = (int32_t)lo;
    *(int32_t *)o->target_high = (int32_t)hi;
    return true;
}

static bool store_real(const cli_option *o, const char *text)
{
    double v = 0.0;
    if (!cli_parse_real(text, &v) || !(v >= o->min) || !(o->below_max ? v < o->max : v <= o->max)) return false;
    *(double *)o->target = v;
    return true;
}

static bool store(const cli_option *o, const char *text)
{
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->target = strcmp(text, "true") == 0;
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    case CLI_TEXT:
    case CLI_OUTPUT:
    case CLI_LIST:
        *(const char **)o->target = text;
        return text[0] != 0;
    case CLI_WORD:
    case CLI_CHOICE:
        return store_word(o, text);
    case CLI_CHAR:
        return cli_parse_char(text, o->target);
    case CLI_INT32:
    case CLI_INT64:
    case CLI_SIZE:
        return store_integer(o, text);
    case CLI_UINT64:
        return cli_parse_u64(text, o->target);
    case CLI_REAL:
        return store_real(o, text);
    case CLI_RANGE:
        return store_range(o, text);
    case CLI_HELP:
        return true;
    }
    return false;
}

/* A path or name that is another option's name is far more likely a value forgotten: --out --force. */
static bool looks_like_option(const cli_line *line, int i)
{
    const char *text = line->given[i].text;
    return line->given[i].line == 0 && strncmp(text, "--", 2) == 0 && cli_line_find(line, text + 2) >= 0;
}

static demarc_status store_all(const cli_line *line)
{
    for (int i = 0; i < line->count; i++) {
        const cli_option *o = &line->option[i];
        if (line->given[i].text == NULL) {
            if (!o->required) continue;
            return dm_fail(DEMARC_ERR_USAGE, "missing option: demarc %s: give --%s %s", line->command->name, o->name,
                           o->value);
        }
        if (looks_like_option(line, i)) {
            return dm_fail(DEMARC_ERR_USAGE, "missing value: --%s: give --%s %s", o->name, o->name, o->value);
        }
        if (!store(o, line->given[i].text)) return bad_value(line, i);
    }
    return DEMARC_OK;
}

/* The config file is an input of every command. */
static demarc_status spare_config(const cli_line *line)
{
    demarc_status st = DEMARC_OK;
    if (line->command->writes_last) DM_TRY(demarc_output_spare(line->argument[line->arguments - 1], line->config));
    for (int i = 0; i < line->count; i++) {
        if (line->option[i].kind == CLI_OUTPUT) DM_TRY(demarc_output_spare(line->given[i].text, line->config));
    }
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ command line */

static demarc_status give(cli_given *g, char *text)
{
    if (text == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: command line: free some memory");
    free(g->text);
    g->text = text;
    return DEMARC_OK;
}

/* "before,text"; `text` is freed. NULL when memory is short. */
static char *joined(const char *before, char *text)
{
    char *both = NULL;
    if (asprintf(&both, "%s,%s", before, text) < 0) both = NULL;
    free(text);
    return both;
}

static demarc_status take_option(cli_line *line, poptContext con, int value)
{
    const bool no = value > CLI_POPT_NO;
    const int i = value - CLI_POPT_VALUE(0) - (no ? CLI_POPT_NO : 0);
    const cli_option *o = &line->option[i];
    if (o->kind == CLI_HELP) {
        line->help = true;
        return DEMARC_OK;
    }
    if (o->kind == CLI_FLAG) return give(&line->given[i], strdup(no ? "false" : "true"));
    if (strcmp(o->name, "config") == 0 && line->given[i].text != NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "option given twice: --config: put all options in one file");
    }
    char *text = poptGetOptArg(con);
    if (o->kind == CLI_LIST && line->given[i].text != NULL && text != NULL) text = joined(line->given[i].text, text);
    return give(&line->given[i], text);
}

static demarc_status refuse_option(const cli_line *line, poptContext con, int error)
{
    const char *command = line->command->name;
    char bad[100], bare[100];
    snprintf(bad, sizeof bad, "%.80s", poptBadOption(con, 0));
    bad[strcspn(bad, "=")] = 0;
    snprintf(bare, sizeof bare, "%s", bad + strspn(bad, "-"));
    int known = cli_line_find(line, bare);
    if (error == POPT_ERROR_NOARG && known >= 0) {
        return dm_fail(DEMARC_ERR_USAGE, "missing value: --%s: give --%s %s", bare, bare, line->option[known].value);
    }
    if (error == POPT_ERROR_UNWANTEDARG) {
        return dm_fail(DEMARC_ERR_USAGE, "unwanted value: %s: write %s alone", bad, bad);
    }
    if (error == POPT_ERROR_MALLOC) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: command line: free some memory");
    const char *near = known >= 0 ? bare : cli_line_nearest(line, bare); /* known, but with one dash */
    if (near != NULL) {
        return dm_fail(DEMARC_ERR_USAGE, "unknown option: demarc %s '%s': did you mean --%s?", command, bad, near);
    }
    return dm_fail(DEMARC_ERR_USAGE, "unknown option: demarc %s '%s': see demarc %s --help", command, bad, command);
}

/* What is not an option: as many as the command names, none empty. */
static demarc_status take_arguments(cli_line *line, poptContext con)
{
    const cli_command *c = line->command;
    const char *text = NULL;
    while ((text = poptGetArg(con)) != NULL) {
        if (line->arguments == CLI_MAX_ARGUMENTS || c->argument[line->arguments] == NULL) {
            return dm_fail(DEMARC_ERR_USAGE, "unexpected argument: demarc %s '%.80s': usage: demarc %s %s", c->name,
                           text, c->name, c->arguments);
        }
        if (text[0] == 0) {
            return dm_fail(DEMARC_ERR_USAGE, "empty argument: demarc %s: give %s", c->name,
                           c->argument[line->arguments]);
        }
        char *copy = strdup(text);
        if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: command line: free some memory");
        line->argument[line->arguments++] = copy;
    }
    return DEMARC_OK;
}

static demarc_status check_arguments(const cli_line *line)
{
    const cli_command *c = line->command;
    if (c->argument[line->arguments] == NULL) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE, "missing argument: demarc %s: give %s (see demarc %s --help)", c->name,
                   c->argument[line->arguments], c->name);
}

static demarc_status split(cli_line *line, poptContext con)
{
    int value = 0;
    while (!line->help && (value = poptGetNextOpt(con)) > 0) {
        demarc_status st = take_option(line, con, value);
        if (st != DEMARC_OK) return st;
    }
    if (line->help) return DEMARC_OK;
    if (value < -1) return refuse_option(line, con, value);
    return take_arguments(line, con);
}

/* popt 1.19 replaces "!#:+" in a value by the next argument (meant for its aliases) and can loop for ever doing so. */
static demarc_status check_popt_escape(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strstr(argv[i], "!#:+") == NULL) continue;
        return dm_fail(DEMARC_ERR_USAGE,
                       "unusable argument: '%.80s' holds !#:+: rename it, or give the option in a --config file",
                       argv[i]);
    }
    return DEMARC_OK;
}

demarc_status cli_line_parse(cli_line *line, int argc, char *const *argv)
{
    demarc_status st = DEMARC_OK;
    cli_popt table = {0};
    poptContext con = NULL;
    DM_TRY(check_popt_escape(argc, argv));
    DM_TRY(cli_popt_create(&table, line));
    /* Options may follow the file names, as in the usage line, whatever this variable says. */
    unsetenv("POSIXLY_CORRECT");
    con = poptGetContext("demarc", argc, (const char **)argv, table.top, 0);
    if (con == NULL) {
        st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: command line: free some memory");
        goto cleanup;
    }
    DM_TRY(split(line, con));
    if (line->help) {
        if (demarc_mpi_rank() == 0) st = cli_usage_command(line);
        goto cleanup;
    }
    DM_TRY(check_arguments(line));
    int config = cli_line_find(line, "config");
    if (config >= 0 && line->given[config].text != NULL && !looks_like_option(line, config)) {
        line->config = line->given[config].text;
        DM_TRY(cli_config_read(line, line->config));
    }
    DM_TRY(store_all(line));
    st = spare_config(line);
cleanup:
    poptFreeContext(con);
    cli_popt_clear(&table);
    return st;
}

char *cli_command_line(int argc, char *const *argv)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    if (f == NULL) return NULL;
    fputs("demarc", f);
    for (int i = 0; i < argc; i++) {
        bool plain = argv[i][0] != 0;
        for (const char *p = argv[i]; *p != 0; p++) {
            plain = plain && (*p & 0x80) == 0 && strchr(" \t\n\"'\\|&;<>()$`*?[]#~!{}", *p) == NULL;
        }
        fputs(plain ? " " : " '", f);
        for (const char *p = argv[i]; *p != 0; p++) {
            if (*p == '\'') {
                fputs("'\\''", f);
            } else {
                fputc(*p, f);
            }
        }
        if (!plain) fputc('\'', f);
    }
    if (fclose(f) != 0) {
        free(out);
        return NULL;
    }
    return out;
}
