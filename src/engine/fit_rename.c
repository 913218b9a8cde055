/*
 * Names of the segments of a fit that is finished: --resume with --names gives them, and nothing is fitted again. No digest
 * covers names, so the run stays the run it was; its manifest keeps the names that the fit was told.
 *
 * Two files change, each at once: a crash between the two leaves both whole, and the same command again ends the work.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/fit_run.h"
#include "engine/run_files.h"
#include "engine/text_file.h"
#include "report/segment_names.h"

void dm_fit_warn_of_names(const dm_fit_run *run, int32_t k)
{
    for (int32_t j = k; j < run->names.count; j++) {
        if (run->names.item[j][0] == 0) continue;
        dm_log_warn(&run->ctx->log, "%d segments were chosen: --names of segment %d, '%s', is not used", (int)k, (int)j,
                    run->names.item[j]);
    }
}

static demarc_status write_both(dm_fit_run *run, const dm_model *m, const dm_run_files *files, const char *text)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_output model = {0}, diagnostics = {0};
    DM_TRY(dm_output_begin(&diagnostics, comm, files->diagnostics, DM_OUTPUT_FILE, true));
    DM_TRY(dm_output_begin(&model, comm, files->model, DM_OUTPUT_FILE, true));
    if (dm_comm_rank(comm) == 0) st = dm_text_file_write(&diagnostics, NULL, text);
    DM_TRY_ALL(comm, st);
    DM_TRY(dm_model_write(comm, m, NULL, model.temp_path));
    DM_TRY(dm_output_commit(&diagnostics, comm));
    DM_TRY(dm_output_commit(&model, comm));
cleanup:
    dm_output_abandon(&diagnostics, comm);
    dm_output_abandon(&model, comm);
    return st;
}

demarc_status dm_fit_rename(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    dm_model m = {0};
    dm_run_files files;
    char *text = NULL;
    if (run->names.count == 0) return DEMARC_OK;
    DM_TRY_ALL(comm, dm_run_find(&files, run->o->out));
    DM_TRY(dm_model_read(comm, &m, files.model, DEMARC_ERR_DATA));
    dm_fit_warn_of_names(run, m.k);
    DM_TRY_ALL(comm, dm_segment_names_replace(&m.segment, &run->names));
    m.segments_told = true;
    if (dm_comm_rank(comm) == 0) st = dm_diagnostics_rename(files.diagnostics, &m.segment, &run->names, &text);
    DM_TRY_ALL(comm, st);
    DM_TRY(write_both(run, &m, &files, text));
cleanup:
    free(text);
    dm_model_destroy(&m);
    return st;
}
