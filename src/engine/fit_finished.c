/* --resume of a fit that is finished: are these its results, and what are they? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/fit_run.h"
#include "engine/run_files.h"
#include "engine/text_file.h"
#include "report/diagnostics_read.h"

demarc_status dm_fit_same_options(const dm_fit_run *run, bool *same)
{
    demarc_status st = DEMARC_OK;
    dm_run_files files;
    char options[33], data[33];
    dm_manifest_facts facts = {0};
    *same = false;
    DM_TRY(dm_run_find(&files, run->o->out));
    DM_TRY(dm_fit_digests(run, options, data));
    if (access(files.manifest, R_OK) != 0) goto cleanup;
    st = dm_manifest_read(files.manifest, &facts);
    if (st == DEMARC_OK) *same = strcmp(facts.options_digest, options) == 0;
    if (st == DEMARC_ERR_DATA) st = DEMARC_OK; /* what is there is no result of any fit */
cleanup:
    dm_manifest_facts_clear(&facts);
    return st;
}

/* For manifests that do not tell the input's time. */
static bool written_since(const char *data, const char *manifest)
{
    struct stat input, made;
    if (stat(data, &input) != 0 || stat(manifest, &made) != 0) return false;
    return input.st_mtim.tv_sec > made.st_mtim.tv_sec ||
           (input.st_mtim.tv_sec == made.st_mtim.tv_sec && input.st_mtim.tv_nsec > made.st_mtim.tv_nsec);
}

/*
 * The digests are of features, weights and names; ids, outcomes and reach may be others in a file of another time, be it
 * earlier (mv, cp -p) or later.
 */
static demarc_status compare_times(const dm_fit_run *run, const dm_run_files *files, const dm_manifest_facts *facts,
                                   bool *same)
{
    const demarc_fit_options *o = run->o;
    const char *was = facts->input_modified, *is = run->input_modified;
    *same = was[0] == 0 ? !written_since(o->data, files->manifest) : strcmp(was, is) == 0;
    if (*same || o->force) return DEMARC_OK;
    if (was[0] == 0) {
        return dm_fail(DEMARC_ERR_EXISTS,
                       "output exists: %s may be of another input: %s was written after it: choose another name or add "
                       "--force",
                       o->out, o->data);
    }
    return dm_fail(
        DEMARC_ERR_EXISTS,
        "output exists: %s may be of another input: the time of %s is %s, was %s: choose another name or add "
        "--force to make it again",
        o->out, o->data, is, was);
}

/* Rank 0. */
static demarc_status compare_finished(const dm_fit_run *run, const dm_run_files *files, dm_manifest_facts *facts,
                                      bool *same)
{
    demarc_status st = DEMARC_OK;
    char options[33], data[33];
    DM_TRY(dm_fit_digests(run, options, data));
    DM_TRY(dm_manifest_read(files->manifest, facts));
    *same =
        strcmp(facts->data_digest, data) == 0 && facts->input_bytes == dm_customers_schema(run->customers)->file_bytes;
    if (*same) {
        st = compare_times(run, files, facts, same);
    } else if (!run->o->force) {
        st = dm_fail(DEMARC_ERR_EXISTS,
                     "output exists: %s was made from another input than %s is now: choose another name or add --force",
                     run->o->out, run->o->data);
    }
cleanup:
    return st;
}

static demarc_status not_whole(const dm_fit_run *run, const char *path, const char *how)
{
    return dm_fail(DEMARC_ERR_DATA, "results are not whole: %s %s: %s", path, how,
                   run->o->force ? "they are made again" : "add --force to make them again");
}

/* A reader's verdict on `path`; what it said is a detail. Without memory nothing is known. */
static demarc_status judge(const dm_fit_run *run, demarc_status st, const char *path)
{
    if (st == DEMARC_OK || st == DEMARC_ERR_MEMORY) return st;
    dm_log_detail(&run->ctx->log, "%s", dm_error_line());
    return not_whole(run, path, "is damaged");
}

static demarc_status is_readable(const dm_fit_run *run, const char *path)
{
    if (access(path, R_OK) == 0) return DEMARC_OK;
    return not_whole(run, path, errno == ENOENT ? "is missing" : "cannot be read");
}

/* An option of the manifest as describe_options() would list it. */
static demarc_status add_as_here(dm_strings *list, const char *name, const char *value)
{
    char usual[64];
    if (strcmp(name, "--log1p") == 0 || strcmp(name, "--feature-weights") == 0) {
        const bool given = strcmp(value, dm_resume_or_none(NULL)) != 0;
        return dm_resume_add_sorted(list, name, given ? value : NULL);
    }
    snprintf(usual, sizeof usual, "/%s", name + 2);
    return dm_resume_add(list, name, "%s", dm_resume_dataset(value, usual));
}

/* Is it not known from the manifest whether the two are the same? It has the batch that was chosen and the name of a file. */
static bool is_open(const char *name, const char *was, const char *is)
{
    if (strcmp(name, "--batch-size") == 0) return strcmp(is, "0") == 0;
    return strcmp(name, "--init") == 0 && strcmp(is, "a file") == 0 && dm_fit_init_of(was) == DM_INIT_GIVEN;
}

/* The first option that the manifest has otherwise than this fit, into `how`; "" where none can be named. */
static demarc_status tell_difference(const dm_fit_run *run, const dm_strings *manifest, char *how, size_t size)
{
    demarc_status st = DEMARC_OK;
    const dm_strings *options = &run->resume.options;
    dm_strings was = {0};
    char name[64];
    how[0] = 0;
    for (int32_t i = 0; i < manifest->count; i++) {
        const size_t length = strcspn(manifest->item[i], "\t");
        snprintf(name, sizeof name, "%.*s", (int)length, manifest->item[i]);
        DM_TRY(add_as_here(&was, name, manifest->item[i] + length + 1));
    }
    for (int32_t i = DM_RESUME_ASKED; i < options->count; i++) {
        const char *old = NULL, *now = NULL;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(options->item[i], "\t"), options->item[i]);
        now = dm_resume_value(options->item[i], name);
        for (int32_t j = 0; j < was.count && old == NULL; j++) old = dm_resume_value(was.item[j], name);
        if (old == NULL || strcmp(old, now) == 0 || is_open(name, old, now)) continue;
        dm_resume_tell(how, size, name, old, now);
        break;
    }
cleanup:
    dm_strings_clear(&was);
    return st;
}

demarc_status dm_fit_refuse_others(const dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_run_files files;
    dm_manifest_facts facts = {0};
    dm_strings was = {0};
    char how[400];
    DM_TRY(dm_run_find(&files, run->o->out));
    if (access(files.model, F_OK) != 0 && access(files.manifest, F_OK) != 0) goto cleanup;
    DM_TRY(is_readable(run, files.manifest));
    DM_TRY(judge(run, dm_manifest_read(files.manifest, &facts), files.manifest));
    DM_TRY(dm_manifest_options(files.manifest, &was));
    DM_TRY(tell_difference(run, &was, how, sizeof how));
    st = dm_fail(DEMARC_ERR_EXISTS,
                 "output exists: %s was made with other options%s%s: choose another name or add --force", run->o->out,
                 how[0] == 0 ? "" : ": ", how);
cleanup:
    dm_strings_clear(&was);
    dm_manifest_facts_clear(&facts);
    return st;
}

/* Rank 0. */
static demarc_status check_diagnostics(dm_fit_run *run, const char *path, const char *digest)
{
    demarc_status st = DEMARC_OK;
    char *text = NULL;
    int64_t length = 0;
    int32_t iterations = 0;
    dm_strings names = {0};
    dm_diagnostics g = {0};
    DM_TRY(judge(run, dm_text_file_read(path, &text, &length), path));
    if (length > DM_DIAGNOSTICS_MOST) goto cleanup;
    DM_TRY(judge(run, dm_diagnostics_parse(text, path, &g, &names, &iterations), path));
    if (strcmp(g.digest, digest) != 0) st = not_whole(run, path, "is of another fit");
cleanup:
    free(text);
    dm_strings_clear(&names);
    dm_diagnostics_clear(&g);
    return st;
}

/* Are the four files there, readable and of one fit? `facts` on rank 0. */
static demarc_status check_whole(dm_fit_run *run, const dm_run_files *files, const dm_manifest_facts *facts)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const bool root = dm_comm_rank(comm) == 0;
    const char *const path[] = {files->model, files->assignments, files->diagnostics};
    dm_model m = {0};
    dm_assignments *assignments = NULL;
    int64_t rows = 0;
    for (size_t i = 0; root && i < sizeof path / sizeof *path && st == DEMARC_OK; i++) st = is_readable(run, path[i]);
    DM_TRY_ALL(comm, st);
    DM_TRY_ALL(comm, judge(run, dm_model_read(comm, &m, files->model, DEMARC_ERR_DATA), files->model));
    if (root && strcmp(m.digest, facts->digest) != 0) st = not_whole(run, files->model, "is of another fit");
    DM_TRY_ALL(comm, st);
    DM_TRY_ALL(comm,
               judge(run, dm_assignments_open(&assignments, comm, files->assignments, &rows), files->assignments));
    if (rows != dm_customers_schema(run->customers)->n) st = not_whole(run, files->assignments, "is of another fit");
    if (st == DEMARC_OK && root) st = check_diagnostics(run, files->diagnostics, facts->digest);
    DM_TRY_ALL(comm, st);
cleanup:
    dm_assignments_shut(&assignments);
    dm_model_destroy(&m);
    return st;
}

demarc_status dm_fit_is_finished(dm_fit_run *run, bool *finished)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const bool root = dm_comm_rank(comm) == 0;
    bool same = false;
    dm_run_files files;
    dm_manifest_facts facts = {0};
    DM_TRY_ALL(comm, dm_run_find(&files, run->o->out));
    DM_TRY_ALL(comm, root ? compare_finished(run, &files, &facts, &same) : DEMARC_OK);
    int64_t flag = same;
    dm_comm_bcast(comm, &flag, sizeof flag, 0);
    if (flag != 0) {
        st = check_whole(run, &files, &facts);
        if (st == DEMARC_ERR_DATA && run->o->force) {
            dm_log_warn(&run->ctx->log, "%s", dm_error_line());
            st = DEMARC_OK;
            flag = 0;
        }
        DM_TRY(st);
    }
    *finished = flag != 0;
    if (!*finished) { /* --force: these are to be replaced, perhaps by a run that was interrupted */
        DM_TRY(dm_resume_look_back(&run->resume, run->o->resume, run->o->force));
        goto cleanup;
    }
    if (root) {
        /* A checkpoint beside finished results is of the moment before they got their name, or stale. */
        if (dm_checkpoint_present(run->resume.checkpoint.folder)) st = dm_resume_clear_away(&run->resume);
        if (st == DEMARC_OK) dm_output_sweep(run->o->out, DM_OUTPUT_DIRECTORY);
    }
    DM_TRY_ALL(comm, st);
    dm_log_line(&run->ctx->log, "already finished: %s", run->o->out);
cleanup:
    dm_manifest_facts_clear(&facts);
    return st;
}

demarc_status dm_fit_read_finished(dm_fit_run *run, demarc_fit_result *r)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const bool root = dm_comm_rank(comm) == 0;
    char *text = NULL;
    dm_run_files files;
    int64_t length = 0;
    int32_t iterations = 0;
    dm_strings names = {0};
    dm_diagnostics g = {0};
    DM_TRY_ALL(comm, dm_run_find(&files, run->o->out));
    DM_TRY_ALL(comm, root ? dm_text_file_read(files.diagnostics, &text, &length) : DEMARC_OK);
    dm_comm_bcast(comm, &length, sizeof length, 0);
    if (length <= DM_DIAGNOSTICS_MOST) {
        if (!root && (text = malloc((size_t)length + 1)) == NULL) {
            st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: finished results: free some memory");
        }
        DM_TRY_ALL(comm, st);
        dm_comm_bcast(comm, text, length + 1, 0);
        DM_TRY_ALL(comm, dm_diagnostics_parse(text, run->o->out, &g, &names, &iterations));
        if (!root) {
            free(text);
            text = NULL;
        }
        DM_TRY_ALL(comm, dm_fit_fill_result(&g, iterations, r, &text));
    } else {
        r->diagnostics_json = text;
        text = NULL;
    }
cleanup:
    free(text);
    dm_strings_clear(&names);
    dm_diagnostics_clear(&g);
    return st;
}
