/* --resume of a fit that is finished: are these its results, and what are they? */
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

/* The digests are of features, weights and names; ids, outcomes and reach may be others once the file was written again. */
static bool written_since(const char *data, const char *manifest)
{
    struct stat input, made;
    if (stat(data, &input) != 0 || stat(manifest, &made) != 0) return false;
    return input.st_mtim.tv_sec > made.st_mtim.tv_sec ||
           (input.st_mtim.tv_sec == made.st_mtim.tv_sec && input.st_mtim.tv_nsec > made.st_mtim.tv_nsec);
}

/* Rank 0. */
static demarc_status compare_finished(const dm_fit_run *run, bool *same)
{
    demarc_status st = DEMARC_OK;
    dm_run_files files;
    char options[33], data[33];
    dm_manifest_facts facts = {0};
    DM_TRY(dm_run_find(&files, run->o->out));
    DM_TRY(dm_fit_digests(run, options, data));
    DM_TRY(dm_manifest_read(files.manifest, &facts));
    *same =
        strcmp(facts.data_digest, data) == 0 && facts.input_bytes == dm_customers_schema(run->customers)->file_bytes;
    if (*same && written_since(run->o->data, files.manifest)) {
        *same = false;
        if (!run->o->force) {
            st = dm_fail(
                DEMARC_ERR_EXISTS,
                "output exists: %s may be of another input: %s was written after it: choose another name or add "
                "--force",
                run->o->out, run->o->data);
        }
    } else if (!*same && !run->o->force) {
        st = dm_fail(DEMARC_ERR_EXISTS,
                     "output exists: %s was made from another input than %s is now: choose another name or add --force",
                     run->o->out, run->o->data);
    }
cleanup:
    dm_manifest_facts_clear(&facts);
    return st;
}

demarc_status dm_fit_is_finished(dm_fit_run *run, bool *finished)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    bool same = false;
    if (dm_comm_rank(comm) == 0) {
        st = compare_finished(run, &same);
        /* A checkpoint beside finished results is of the moment before they got their name, or stale. */
        if (st == DEMARC_OK && same && dm_checkpoint_present(run->resume.checkpoint.folder))
            st = dm_resume_clear_away(&run->resume);
        if (st == DEMARC_OK && same) dm_output_sweep(run->o->out, DM_OUTPUT_DIRECTORY);
    }
    DM_TRY_ALL(comm, st);
    int64_t flag = same;
    dm_comm_bcast(comm, &flag, sizeof flag, 0);
    *finished = flag != 0;
    if (*finished) {
        dm_log_line(&run->ctx->log, "already finished: %s", run->o->out);
    } else { /* --force: these are to be replaced, perhaps by a run that was interrupted */
        DM_TRY(dm_resume_look_back(&run->resume, run->o->resume, run->o->force));
    }
cleanup:
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
