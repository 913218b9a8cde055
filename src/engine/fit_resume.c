/*
 * What an earlier run of a fit left, and whether it is of this fit.
 *
 * The result depends on the options (`options`) and on what is found in files (`data`: digest of the input, the scaling
 * that follows from it and from the names of its features, centroids of --init FILE). Both are kept as lists of names and
 * values, so that a refusal can say what differs. A checkpoint also wants the same version of the program; finished
 * results are the same whatever wrote them.
 *
 * Payload of a checkpoint: options, data, resumes so far, name of the temporary results directory, state (fit_state.h),
 * and of an interrupted final pass what it has written (final_keep.c).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/fit_run.h"
#include "stats/digest.h"
#include "store/path_tools.h"

#define MOST_LINES 64 /* of options or data in a checkpoint */

/* ------------------------------------------------------------------------------------------------ what it depends on */

__attribute__((format(printf, 3, 4))) static demarc_status add(dm_strings *list, const char *name, const char *fmt, ...)
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

static const char *or_none(const char *text) { return text == NULL ? "not given" : text; }

/* Everything that changes a result, and nothing else; the first line is the program. */
static demarc_status describe_options(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    const demarc_paths *p = &o->paths;
    dm_strings *list = &run->options;
    const bool given = dm_fit_init_of(o->init) == DM_INIT_GIVEN;
    DM_TRY(add(list, "the version of demarc", "%s (%s)", demarc_version(), dm_version_commit()));
    DM_TRY(add(list, "--segments", o->k_lo == o->k_hi ? "%d" : "%d:%d", (int)o->k_lo, (int)o->k_hi));
    DM_TRY(add(list, "--seed", "%" PRIu64, o->seed));
    DM_TRY(add(list, "--scale", "%d", (int)o->scale));
    DM_TRY(add(list, "--missing", "%d", (int)o->missing));
    DM_TRY(add(list, "--log1p", "%s", or_none(o->log1p)));
    DM_TRY(add(list, "--feature-weights", "%s", or_none(o->feature_weights)));
    DM_TRY(add(list, "--init", "%s", given ? "a file" : o->init == NULL ? "kmeans||" : o->init));
    DM_TRY(add(list, "--restarts", "%d", (int)o->restarts));
    DM_TRY(add(list, "--algorithm", "%s", o->algorithm == DEMARC_LLOYD ? "lloyd" : "minibatch"));
    DM_TRY(add(list, "--batch-size", "%" PRId64, o->batch_size));
    DM_TRY(add(list, "--max-epochs", "%d", (int)o->max_epochs));
    DM_TRY(add(list, "--max-iterations", "%d", (int)o->max_iterations));
    DM_TRY(add(list, "--tolerance", "%.17g", o->tolerance));
    DM_TRY(add(list, "--polish", "%d", (int)o->polish));
    DM_TRY(add(list, "--min-segment-share", "%.17g", o->min_segment_share));
    DM_TRY(add(list, "--features", "%s", or_none(p->features)));
    DM_TRY(add(list, "--id", "%s", or_none(p->id)));
    DM_TRY(add(list, "--weight", "%s", or_none(p->weight)));
    DM_TRY(add(list, "--outcomes", "%s", or_none(p->outcomes)));
    DM_TRY(add(list, "--reachable", "%s", or_none(p->reachable)));
cleanup:
    return st;
}

demarc_status dm_fit_describe_data(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const dm_transform *t = &run->transform;
    const size_t d = (size_t)t->d;
    const dm_schema *schema = dm_customers_schema(run->customers);
    dm_packer p = {0};
    char scaling[33], given[33] = "none";
    dm_pack(&p, t->log1p, t->d);
    dm_pack(&p, t->center, (int64_t)(d * sizeof *t->center));
    dm_pack(&p, t->factor, (int64_t)(d * sizeof *t->factor));
    dm_pack(&p, t->origin, (int64_t)(d * sizeof *t->origin));
    for (int32_t f = 0; f < t->d; f++) dm_pack_text(&p, schema->feature.item[f]);
    if (p.failed) DM_TRY(dm_fail(DEMARC_ERR_MEMORY, "out of memory: digest of the scaling: free some memory"));
    dm_hash128_hex(p.bytes, (size_t)p.count, scaling);
    if (run->given != NULL) dm_hash128_hex(run->given, (size_t)run->o->k_lo * d * sizeof *run->given, given);
    DM_TRY(add(&run->data, "the input", "%s", run->scan.digest));
    DM_TRY(add(&run->data, "the names or the scaling of the features", "%s", scaling));
    DM_TRY(add(&run->data, "the file of --init", "%s", given));
cleanup:
    dm_packer_clear(&p);
    return st;
}

static demarc_status hash_lines(const dm_strings *list, int32_t from, char hex[33])
{
    dm_packer p = {0};
    for (int32_t i = from; i < list->count; i++) dm_pack_text(&p, list->item[i]);
    const bool failed = p.failed;
    if (!failed) dm_hash128_hex(p.bytes, (size_t)p.count, hex);
    dm_packer_clear(&p);
    return failed ? dm_fail(DEMARC_ERR_MEMORY, "out of memory: digest of options: free some memory") : DEMARC_OK;
}

demarc_status dm_fit_digests(const dm_fit_run *run, char options[33], char data[33])
{
    demarc_status st = hash_lines(&run->options, 1, options);
    return st == DEMARC_OK ? hash_lines(&run->data, 0, data) : st;
}

/* "NAME was OLD, is NEW" of the first line that differs, or nothing. */
static bool differs(const dm_strings *was, const dm_strings *is, char *buf, size_t size)
{
    for (int32_t i = 0; i < is->count; i++) {
        const char *old = i < was->count ? was->item[i] : "", *now = is->item[i];
        if (strcmp(old, now) == 0) continue;
        const size_t name = strcspn(now, "\t");
        const bool same_name = strncmp(old, now, name + 1) == 0;
        snprintf(buf, size, "%.*s was %.100s, is %.100s", (int)name, now, same_name ? old + name + 1 : "unknown",
                 now + name + 1);
        return true;
    }
    return was->count != is->count;
}

static demarc_status refuse_other(const dm_fit_run *run, const dm_strings *was, const dm_strings *is)
{
    char how[400] = "more options were given";
    if (!differs(was, is, how, sizeof how)) return DEMARC_OK;
    const char *folder = run->checkpoint.folder == NULL ? "" : dm_checkpoint_path(run->checkpoint.folder);
    return dm_fail(DEMARC_ERR_USAGE,
                   "the checkpoint is of another fit: %s: %s: give what it was, another --out, or --force without "
                   "--resume to start anew",
                   folder, how);
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

enum { STAMP = 4 };

/*
 * What is kept of the final pass is of these files only: size and time of the input, whose digest is of features and
 * weights while ids, outcomes and reach count here, too; size of the assignments in the temporary directory `name`.
 */
static void stamp_of(const dm_fit_run *run, const char *name, int64_t stamp[STAMP])
{
    struct stat s;
    char *final = dm_path_trimmed(run->o->out), *path = NULL;
    memset(stamp, 0, STAMP * sizeof *stamp);
    if (stat(run->o->data, &s) == 0) {
        stamp[0] = s.st_size;
        stamp[1] = s.st_mtim.tv_sec;
        stamp[2] = s.st_mtim.tv_nsec;
    }
    if (final != NULL &&
        asprintf(&path, "%.*s%s/assignments.h5", (int)(dm_path_base(final) - final), final, name) >= 0) {
        stamp[3] = stat(path, &s) == 0 ? s.st_size : -1;
        free(path);
    }
    free(final);
}

/* The rows of the final pass that are done, after a mark that says so; or the mark alone. */
static demarc_status pack_final(dm_fit_run *run, dm_packer *p)
{
    demarc_status st = DEMARC_OK;
    dm_packer kept = {0};
    bool some = false;
    int64_t stamp[STAMP];
    if (run->final != NULL) DM_TRY(dm_final_pack(run->final, &kept, &some));
    stamp_of(run, dm_path_base(run->output.temp_path), stamp);
    dm_pack_i64(p, some);
    if (some) {
        dm_pack(p, stamp, sizeof stamp);
        dm_pack(p, kept.bytes, kept.count);
    }
    if (kept.failed) p->failed = true;
    run->leave = some;
cleanup:
    dm_packer_clear(&kept);
    return st;
}

static demarc_status pack(void *context, dm_packer *p)
{
    dm_fit_run *run = context;
    pack_lines(p, &run->options);
    pack_lines(p, &run->data);
    dm_pack_i64(p, run->resumes);
    dm_pack_text(p, dm_path_base(run->output.temp_path));
    dm_fit_state_pack(&run->state, &run->km.at, p);
    return pack_final(run, p);
}

/* What comes before the state; `old_options` is the caller's. */
static demarc_status unpack_head(dm_fit_run *run, int64_t bytes, dm_strings *old_options)
{
    dm_unpacker *u = &run->left;
    *u = (dm_unpacker){.bytes = run->payload, .left = bytes};
    unpack_lines(u, old_options);
    unpack_lines(u, &run->old_data);
    run->resumes = (int32_t)dm_unpack_within(u, 0, INT32_MAX - 1) + 1;
    run->old_temporary = dm_unpack_text(u);
    return dm_unpack_verdict(u, "its head");
}

static void drop_payload(dm_fit_run *run)
{
    free(run->payload);
    free(run->old_temporary);
    dm_strings_clear(&run->old_data);
    run->payload = run->old_temporary = NULL;
    run->left = (dm_unpacker){0};
    run->resumes = 0;
}

/* All ranks get rank 0's payload. */
static demarc_status share_payload(dm_fit_run *run, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    int64_t size = run->payload == NULL ? -1 : *bytes;
    dm_comm_bcast(comm, &size, sizeof size, 0);
    *bytes = size;
    if (size < 0) return DEMARC_OK;
    if (dm_comm_rank(comm) != 0) {
        run->payload = malloc((size_t)size + 1);
        if (run->payload == NULL) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory");
    }
    DM_TRY_ALL(comm, st);
    dm_comm_bcast(comm, run->payload, size, 0);
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ looking back */

demarc_status dm_fit_clear_away(dm_fit_run *run)
{
    int64_t bytes = 0;
    bool spared = false;
    dm_strings options = {0};
    demarc_status st = dm_checkpoint_load(run->checkpoint.folder, &run->payload, &bytes, &spared);
    if (st == DEMARC_OK && run->payload != NULL) {
        st = unpack_head(run, bytes, &options);
        if (st == DEMARC_OK) st = dm_output_remove_dead(run->o->out, run->old_temporary);
    }
    dm_strings_clear(&options);
    drop_payload(run);
    /* Without memory nothing is known: the checkpoint is damaged for sure only when it was read. */
    return st == DEMARC_ERR_MEMORY ? st : dm_checkpoint_remove(run->checkpoint.folder);
}

/* Rank 0. @param[out] bytes  of the payload, if there is one to go on from */
static demarc_status look_on_root(dm_fit_run *run, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    dm_checkpoint_folder *folder = run->checkpoint.folder;
    bool spared = false;
    if (run->o->resume) {
        DM_TRY(dm_fit_same_options(run, &run->maybe_finished));
        if (run->maybe_finished) return DEMARC_OK;
    }
    if (!dm_checkpoint_present(folder)) {
        if (run->o->resume) dm_log_line(&run->ctx->log, "no checkpoint: %s: starting from the beginning", run->o->out);
        return DEMARC_OK;
    }
    if (!run->o->resume) {
        if (run->o->force) return dm_fit_clear_away(run);
        return dm_fail(DEMARC_ERR_EXISTS,
                       "an interrupted run left a checkpoint: %s: add --resume to go on from it, or --force to start "
                       "anew",
                       dm_checkpoint_path(folder));
    }
    st = dm_checkpoint_load(folder, &run->payload, bytes, &spared);
    if (st == DEMARC_ERR_DATA && run->o->force) {
        dm_log_warn(&run->ctx->log, "%s", dm_error_line());
        return dm_fit_clear_away(run);
    }
    DM_TRY(st);
    if (spared) {
        dm_log_warn(&run->ctx->log, "damaged checkpoint: %s: going on from the other generation",
                    dm_checkpoint_path(folder));
    }
    if (run->payload == NULL) {
        dm_log_line(&run->ctx->log, "empty checkpoint: %s: starting from the beginning", run->o->out);
    }
cleanup:
    return st;
}

demarc_status dm_fit_look_back(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_strings old = {0};
    int64_t bytes = 0, finished = 0;
    DM_TRY_ALL(comm, describe_options(run));
    st = DEMARC_OK;
    if (dm_comm_rank(comm) == 0) st = look_on_root(run, &bytes);
    DM_TRY_ALL(comm, st);
    finished = run->maybe_finished;
    dm_comm_bcast(comm, &finished, sizeof finished, 0);
    run->maybe_finished = finished != 0;
    DM_TRY(share_payload(run, &bytes));
    if (run->payload != NULL) {
        DM_TRY_ALL(comm, unpack_head(run, bytes, &old));
        DM_TRY_ALL(comm, refuse_other(run, &old, &run->options));
    }
cleanup:
    dm_strings_clear(&old);
    return st;
}

/* ------------------------------------------------------------------------------------------------ going on */

static const char *const step_name[DM_STEPS] = {"seeding", "mini-batches", "full passes"};

static void log_resumed(const dm_fit_run *run)
{
    dm_log *log = &run->ctx->log;
    const dm_fit_state *s = &run->state;
    const dm_position *at = &run->km.at;
    if (s->phase == DM_FIT_ASSIGN) {
        dm_log_line(log, "resumed: the %d segments are found, customers are assigned%s", (int)s->k,
                    run->adopted ? ", from where that was stopped" : "");
    } else if (s->phase == DM_FIT_MEASURE) {
        dm_log_line(log, "resumed: %d segments, their criteria", (int)s->k);
    } else if (at->k != 0) {
        dm_log_line(log, "resumed: %d segments, restart %d, %s, %d passes done", (int)s->k, (int)at->restart + 1,
                    step_name[at->step], at->step == DM_STEP_SEED ? 0 : (int)at->trace.passes);
    } else {
        dm_log_line(log, "resumed: %d segments, at their beginning", (int)s->k);
    }
}

/* The dead run's temporary results serve if the checkpoint counts on them and the input's file is the same; else they go. */
static demarc_status adopt_results(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_unpacker *u = &run->left;
    int64_t old[STAMP] = {0}, now[STAMP], serves = 0;
    if (dm_unpack_within(u, 0, 1) == 1) {
        (void)dm_unpack(u, old, sizeof old);
        stamp_of(run, run->old_temporary, now);
        serves = memcmp(old, now, sizeof now) == 0;
    }
    DM_TRY_ALL(comm, dm_unpack_verdict(u, "its end"));
    dm_comm_bcast(comm, &serves, sizeof serves, 0);
    if (serves != 0) DM_TRY(dm_output_adopt(&run->output, comm, run->old_temporary, &run->adopted));
    if (!run->adopted && dm_comm_rank(comm) == 0) st = dm_output_remove_dead(run->o->out, run->old_temporary);
    st = dm_comm_agree(comm, st);
cleanup:
    return st;
}

demarc_status dm_fit_restore(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const demarc_fit_options *o = run->o;
    if (run->payload == NULL) {
        DM_TRY_ALL(comm, dm_fit_state_start(&run->state, o->k_lo, o->k_hi));
    } else {
        DM_TRY_ALL(comm, refuse_other(run, &run->old_data, &run->data));
        DM_TRY_ALL(comm, dm_fit_state_unpack(&run->state, &run->km.at, &run->left, o->k_lo, o->k_hi, run->transform.d));
        DM_TRY(adopt_results(run));
        log_resumed(run);
    }
    /* Runs that died before their first checkpoint; select has no output. */
    if (dm_comm_rank(comm) == 0 && o->out != NULL) dm_output_sweep(o->out);
    run->checkpoint.pack = pack;
    run->checkpoint.context = run;
    run->checkpoint.ready = true;
cleanup:
    return st;
}

void dm_fit_forget(dm_fit_run *run)
{
    dm_checkpoint_folder *folder = run->checkpoint.folder;
    if (folder == NULL || !run->checkpoint.ready) return;
    if (dm_checkpoint_remove(folder) != DEMARC_OK) dm_log_warn(&run->ctx->log, "%s", dm_error_line());
}

void dm_fit_resume_clear(dm_fit_run *run)
{
    drop_payload(run);
    dm_strings_clear(&run->options);
    dm_strings_clear(&run->data);
}
