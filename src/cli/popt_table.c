#include "cli/popt_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Format into memory owned by p; NULL when it is short. */
__attribute__((format(printf, 2, 3))) static const char *keep(cli_popt *p, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int length = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (length < 0) return NULL;
    return p->text[p->texts++] = s;
}

/* The target's present value in words; "" when there is nothing to show. */
static void default_text(const cli_option *o, char *buf, size_t size)
{
    const char *const *text = o->target;
    unsigned choice = 0;
    buf[0] = 0;
    if (!o->show_default) return;
    switch (o->kind) {
    case CLI_TEXT:
    case CLI_OUTPUT:
    case CLI_LIST:
    case CLI_WORD:
        if (*text != NULL) snprintf(buf, size, "%s", *text);
        break;
    case CLI_CHOICE:
        memcpy(&choice, o->target, sizeof choice);
        snprintf(buf, size, "%s", o->word[choice]);
        break;
    case CLI_CHAR:
        snprintf(buf, size, "%c", *(const char *)o->target);
        break;
    case CLI_INT32:
        snprintf(buf, size, "%" PRId32, *(const int32_t *)o->target);
        break;
    case CLI_INT64:
    case CLI_SIZE:
        snprintf(buf, size, "%" PRId64, *(const int64_t *)o->target);
        break;
    case CLI_UINT64:
        snprintf(buf, size, "%" PRIu64, *(const uint64_t *)o->target);
        break;
    case CLI_REAL:
        snprintf(buf, size, "%g", *(const double *)o->target);
        break;
    case CLI_FLAG:
    case CLI_HELP:
    case CLI_RANGE:
        break;
    }
}

static bool add_option(cli_popt *p, struct poptOption **at, const cli_option *o, int index)
{
    char value[64];
    default_text(o, value, sizeof value);
    bool flag = o->kind == CLI_FLAG || o->kind == CLI_HELP;
    struct poptOption *e = (*at)++;
    e->longName = o->name;
    e->shortName = o->kind == CLI_HELP ? 'h' : '\0';
    e->argInfo = flag ? POPT_ARG_NONE : POPT_ARG_STRING;
    e->val = CLI_POPT_VALUE(index);
    e->descrip = value[0] != 0 ? keep(p, "%s (default %s)", o->help, value) : o->help;
    e->argDescrip = o->value;
    if (e->descrip == NULL) return false;
    if (o->kind != CLI_FLAG) return true;
    struct poptOption *no = (*at)++;
    no->longName = keep(p, "no-%s", o->name);
    no->argInfo = POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN;
    no->val = CLI_POPT_NO + CLI_POPT_VALUE(index);
    return no->longName != NULL;
}

demarc_status cli_popt_create(cli_popt *p, const cli_line *line)
{
    demarc_status st = DEMARC_OK;
    *p = (cli_popt){0};
    const int64_t count = line->count;
    DM_TRY(dm_alloc_zero(p->top, count + 1, "option table"));
    DM_TRY(dm_alloc_zero(p->entry, 3 * count + 1, "option table")); /* option, negation, end of group */
    DM_TRY(dm_alloc_zero(p->text, 3 * count, "option table"));      /* help, negated name, title */
    struct poptOption *at = p->entry, *group = p->top;
    bool ok = true;
    for (int i = 0; i < line->count; i++) {
        const cli_option *o = &line->option[i];
        if (i == 0 || strcmp(o->group, line->option[i - 1].group) != 0) {
            if (i != 0) at++; /* the zero entry that ends the group before */
            group->argInfo = POPT_ARG_INCLUDE_TABLE;
            group->arg = at;
            group->descrip = keep(p, "%s:", o->group);
            ok = ok && group->descrip != NULL;
            group++;
        }
        ok = ok && add_option(p, &at, o, i);
    }
    if (!ok) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: option table: free some memory");
cleanup:
    if (st != DEMARC_OK) cli_popt_clear(p);
    return st;
}

void cli_popt_clear(cli_popt *p)
{
    for (int i = 0; i < p->texts; i++) free(p->text[i]);
    dm_free(p->text);
    dm_free(p->entry);
    dm_free(p->top);
    *p = (cli_popt){0};
}
