#include "engine/resume.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/context.h"
#include "stats/digest.h"
#include "store/output.h"

#define MOST_LINES 64 /* of options or data in a checkpoint */
#define COMMAND 1     /* place of it among the options */
#define SHOWN 100     /* most bytes of a value in a refusal */
#define BEFORE 30     /* of them before what differs */

static const char command_name[] = "the command";

/* ------------------------------------------------------------------------------------------------ what it depends on */

demarc_status dm_resume_add(dm_strings *list, const char *name, const char *fmt, ...)
{
    char *value = NULL, *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    const bool made = vasprintf(&value, fmt, ap) >= 0 && asprintf(&line, "%s\t%s", name, value) >= 0;
    va_end(ap);
    demarc_status st = made ? dm_strings_add(list, line)
                            : dm_fail(DEMARC_ERR_MEMORY, "out of memory: list of options: free some memory");
    if (made) free(line);
    free(value);
    return st;
}

demarc_status dm_resume_add_program(dm_resume *r)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_resume_add(&r->options, "the version of demarc", "%s (%s)", demarc_version(), dm_version_commit()));
    DM_TRY(dm_resume_add(&r->options, command_name, "%s", r->what));
cleanup:
    return st;
}

demarc_status dm_resume_add_sorted(dm_strings *list, const char *option, const char *given)
{
    demarc_status st = DEMARC_OK;
    dm_strings items = {0};
    int32_t *order = NULL;
    dm_packer text = {0};
    if (given == NULL || dm_strings_split(&items, given, option) != DEMARC_OK) {
        st = dm_resume_add(list, option, "%s", dm_resume_or_none(given));
        goto cleanup;
    }
    DM_TRY(dm_alloc(order, items.count, "list of options"));
    dm_strings_order(&items, order);
    for (int32_t i = 0; i < items.count; i++) {
        if (i > 0) dm_pack(&text, ",", 1);
        for (const char *c = items.item[order[i]]; *c != 0; c++)
            dm_pack(&text, *c == ',' ? ",," : c, *c == ',' ? 2 : 1);
    }
    dm_pack(&text, "", 1);
    st = text.failed ? dm_fail(DEMARC_ERR_MEMORY, "out of memory: list of options: free some memory")
                     : dm_resume_add(list, option, "%s", text.bytes);
cleanup:
    dm_packer_clear(&text);
    dm_free(order);
    dm_strings_clear(&items);
    return st;
}

const char *dm_resume_value(const char *line, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && line[length] == '\t' ? line + length + 1 : NULL;
}

const char *dm_resume_or_none(const char *text) { return text == NULL ? "not given" : text; }

const char *dm_resume_dataset(const char *given, const char *usual)
{
    const bool same = given != NULL && (strcmp(given, usual) == 0 || strcmp(given, usual + 1) == 0);
    return dm_resume_or_none(same ? NULL : given);
}

/* ------------------------------------------------------------------------------------------------ what differs */

/* Back to where a character of UTF-8 begins. */
static size_t character_at(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
    return at;
}

/* At most SHOWN bytes of `text` from `from` on, with "..." where more are. */
static void cut_out(char buf[SHOWN + 8], const char *text, size_t from)
{
    size_t end = strlen(text);
    if (end - from > SHOWN) end = character_at(text, from + SHOWN);
    snprintf(buf, SHOWN + 8, "%s%.*s%s", from > 0 ? "..." : "", (int)(end - from), text + from,
             text[end] != 0 ? "..." : "");
}

void dm_resume_tell(char *buf, size_t size, const char *name, const char *was, const char *is)
{
    char old[SHOWN + 8], now[SHOWN + 8];
    size_t from = 0;
    if (strlen(was) > SHOWN || strlen(is) > SHOWN) {
        while (was[from] != 0 && was[from] == is[from]) from++;
        from = from > BEFORE ? character_at(is, from - BEFORE) : 0;
    }
    cut_out(old, was, from);
    cut_out(now, is, from);
    snprintf(buf, size, "%s was %s, is %s", name, old, now);
}

demarc_status dm_resume_digest(const dm_strings *list, int32_t from, char hex[33])
{
    dm_packer p = {0};
    for (int32_t i = from; i < list->count; i++) dm_pack_text(&p, list->item[i]);
    const bool failed = p.failed;
    if (!failed) dm_hash128_hex(p.bytes, (size_t)p.count, hex);
    dm_packer_clear(&p);
    return failed ? dm_fail(DEMARC_ERR_MEMORY, "out of memory: digest of options: free some memory") : DEMARC_OK;
}

/* "NAME was OLD, is NEW" of the first line that differs, or nothing. */
static bool differs(const dm_strings *was, const dm_strings *is, char *buf, size_t size)
{
    for (int32_t i = 0; i < is->count; i++) {
        const char *old = i < was->count ? was->item[i] : "", *now = is->item[i];
        if (strcmp(old, now) == 0) continue;
        char name[64];
        const size_t length = strcspn(now, "\t");
        const bool same_name = strncmp(old, now, length + 1) == 0;
        snprintf(name, sizeof name, "%.*s", (int)length, now);
        dm_resume_tell(buf, size, name, same_name ? old + length + 1 : "unknown", now + length + 1);
        return true;
    }
    return was->count != is->count;
}

static const char *folder_of(const dm_resume *r)
{
    return r->checkpoint.folder == NULL ? "" : dm_checkpoint_path(r->checkpoint.folder);
}

static demarc_status refuse_other_command(const dm_resume *r, const dm_strings *was)
{
    const char *command = was->count > COMMAND ? dm_resume_value(was->item[COMMAND], command_name) : NULL;
    if (command == NULL || strcmp(command, r->what) == 0) return DEMARC_OK;
    return dm_fail(
        DEMARC_ERR_USAGE,
        "the checkpoint is of another command: %s: demarc %s left it, this is %s: go on with that one, choose "
        "another --out, or add --force without --resume to start anew",
        folder_of(r), command, r->what);
}

static demarc_status refuse_other(const dm_resume *r, const dm_strings *was, const dm_strings *is)
{
    char how[400] = "more options were given";
    if (!differs(was, is, how, sizeof how)) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE,
                   "the checkpoint is of another %s: %s: %s: give what it was, another --out, or --force without "
                   "--resume to start anew",
                   r->what, folder_of(r), how);
}

/* ------------------------------------------------------------------------------------------------ the payload */

static void pack_lines(dm_packer *p, const dm_strings *list)
{
    dm_pack_i64(p, list->count);
    for (int32_t i = 0; i < list->count; i++) dm_pack_text(p, list->item[i]);
}

static void unpack_lines(dm_unpacker *u, dm_strings *list)
{
    const int64_t count = dm_unpack_within(u, 0, MOST_LINES);
    for (int64_t i = 0; i < count && !u->bad; i++) {
        char *line = dm_unpack_text(u);
        if (line != NULL && dm_strings_add(list, line) != DEMARC_OK) dm_unpack_no_memory(u);
        free(line);
    }
}

void dm_resume_pack_head(const dm_resume *r, dm_packer *p, const char *temporary)
{
    pack_lines(p, &r->options);
    pack_lines(p, &r->data);
    dm_pack_i64(p, r->count);
    dm_pack_text(p, temporary);
}

/* The head; `old_options` is the caller's. */
static demarc_status unpack_head(dm_resume *r, int64_t bytes, dm_strings *old_options)
{
    dm_unpacker *u = &r->left;
    *u = (dm_unpacker){.bytes = r->payload, .left = bytes};
    unpack_lines(u, old_options);
    unpack_lines(u, &r->old_data);
    r->count = (int32_t)dm_unpack_within(u, 0, INT32_MAX - 1) + 1;
    r->old_temporary = dm_unpack_text(u);
    return dm_unpack_verdict(u, "its head");
}

static void drop_payload(dm_resume *r)
{
    free(r->payload);
    free(r->old_temporary);
    dm_strings_clear(&r->old_data);
    r->payload = r->old_temporary = NULL;
    r->left = (dm_unpacker){0};
    r->count = 0;
}

/* All ranks get rank 0's payload. */
static demarc_status share_payload(dm_resume *r, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = r->checkpoint.comm;
    int64_t size = r->payload == NULL ? -1 : *bytes;
    dm_comm_bcast(comm, &size, sizeof size, 0);
    *bytes = size;
    if (size < 0) return DEMARC_OK;
    if (dm_comm_rank(comm) != 0) {
        r->payload = malloc((size_t)size + 1);
        if (r->payload == NULL) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory");
    }
    DM_TRY_ALL(comm, st);
    dm_comm_bcast(comm, r->payload, size, 0);
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ looking back */

demarc_status dm_resume_clear_away(dm_resume *r)
{
    int64_t bytes = 0;
    bool spared = false;
    dm_strings options = {0};
    demarc_status st = dm_checkpoint_load(r->checkpoint.folder, &r->payload, &bytes, &spared);
    if (st == DEMARC_OK && r->payload != NULL) {
        st = unpack_head(r, bytes, &options);
        if (st == DEMARC_OK && r->temporary_of != NULL) st = dm_output_remove_dead(r->temporary_of, r->old_temporary);
    }
    dm_strings_clear(&options);
    drop_payload(r);
    /* Without memory nothing is known: the checkpoint is damaged for sure only when it was read. */
    return st == DEMARC_ERR_MEMORY ? st : dm_checkpoint_clear(r->checkpoint.folder);
}

/* Rank 0. @param[out] bytes  of the payload, if there is one to go on from */
static demarc_status look_on_root(dm_resume *r, bool resume, bool force, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    dm_checkpoint_folder *folder = r->checkpoint.folder;
    bool spared = false;
    if (!dm_checkpoint_present(folder)) {
        if (resume && !r->results && (force || access(r->out, F_OK) != 0)) /* else a refusal follows */
            dm_log_line(r->checkpoint.log, "no checkpoint: %s: starting from the beginning", r->out);
        return DEMARC_OK;
    }
    if (!resume) {
        r->anew = force;
        if (force) return DEMARC_OK;
        return dm_fail(DEMARC_ERR_EXISTS,
                       "an interrupted run left a checkpoint: %s: add --resume to go on from it, or --force to start "
                       "anew",
                       dm_checkpoint_path(folder));
    }
    st = dm_checkpoint_load(folder, &r->payload, bytes, &spared);
    if (st == DEMARC_ERR_DATA && force) {
        dm_log_warn(r->checkpoint.log, "%s", dm_error_line());
        r->anew = true;
        return DEMARC_OK;
    }
    DM_TRY(st);
    if (spared) {
        dm_log_warn(r->checkpoint.log, "damaged checkpoint: %s: going on from the other generation",
                    dm_checkpoint_path(folder));
    }
cleanup:
    return st;
}

demarc_status dm_resume_look_back(dm_resume *r, bool resume, bool force)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = r->checkpoint.comm;
    dm_strings old = {0};
    int64_t bytes = 0;
    if (dm_comm_rank(comm) == 0) st = look_on_root(r, resume, force, &bytes);
    DM_TRY_ALL(comm, st);
    DM_TRY(share_payload(r, &bytes));
    if (r->payload != NULL) {
        DM_TRY_ALL(comm, unpack_head(r, bytes, &old));
        DM_TRY_ALL(comm, refuse_other_command(r, &old));
        DM_TRY_ALL(comm, refuse_other(r, &old, &r->options));
    }
cleanup:
    dm_strings_clear(&old);
    return st;
}

demarc_status dm_resume_begin_anew(dm_resume *r)
{
    const demarc_status st = r->anew ? dm_resume_clear_away(r) : DEMARC_OK;
    r->anew = false;
    return dm_comm_agree(r->checkpoint.comm, st);
}

demarc_status dm_resume_check_data(const dm_resume *r)
{
    if (r->payload == NULL) return DEMARC_OK;
    return dm_comm_agree(r->checkpoint.comm, refuse_other(r, &r->old_data, &r->data));
}

void dm_resume_forget(dm_resume *r)
{
    dm_checkpoint_folder *folder = r->checkpoint.folder;
    if (folder == NULL || !r->checkpoint.ready) return;
    if (dm_checkpoint_remove(folder) != DEMARC_OK) dm_log_warn(r->checkpoint.log, "%s", dm_error_line());
}

void dm_resume_end(dm_resume *r)
{
    drop_payload(r);
    dm_strings_clear(&r->options);
    dm_strings_clear(&r->data);
    dm_checkpoint_end(&r->checkpoint);
}
