/*
 * What a fit depends on and what is saved of it (resume.h looks for what an earlier run left).
 *
 * Found in files are the digest of the input, the scaling that follows from it and from the names of its features, and
 * the centroids of --init FILE. A checkpoint also wants the same version of the program; finished results are the same
 * whatever wrote them. After the head the payload has the state (fit_state.h), and of an interrupted final pass what it
 * has written (final_keep.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "engine/fit_run.h"
#include "stats/digest.h"
#include "store/path_tools.h"

/* ------------------------------------------------------------------------------------------------ what it depends on */

/* Everything that changes a result, and nothing else; the first lines are the program. */
static demarc_status describe_options(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    const demarc_fit_options *o = run->o;
    const demarc_paths *p = &o->paths;
    dm_strings *list = &run->resume.options;
    const bool given = dm_fit_init_of(o->init) == DM_INIT_GIVEN;
    DM_TRY(dm_resume_add_program(&run->resume));
    DM_TRY(dm_resume_add(list, "--segments", o->k_lo == o->k_hi ? "%d" : "%d:%d", (int)o->k_lo, (int)o->k_hi));
    DM_TRY(dm_resume_add(list, "--seed", "%" PRIu64, o->seed));
    DM_TRY(dm_resume_add(list, "--scale", "%s", dm_scale_word(o->scale)));
    DM_TRY(dm_resume_add(list, "--missing", "%s", dm_missing_word(o->missing)));
    DM_TRY(dm_resume_add_sorted(list, "--log1p", o->log1p));
    DM_TRY(dm_resume_add_sorted(list, "--feature-weights", o->feature_weights));
    DM_TRY(dm_resume_add(list, "--init", "%s", given ? "a file" : o->init == NULL ? "kmeans||" : o->init));
    DM_TRY(dm_resume_add(list, "--restarts", "%d", (int)o->restarts));
    DM_TRY(dm_resume_add(list, "--algorithm", "%s", o->algorithm == DEMARC_LLOYD ? "lloyd" : "minibatch"));
    DM_TRY(dm_resume_add(list, "--batch-size", "%" PRId64, o->batch_size));
    DM_TRY(dm_resume_add(list, "--max-epochs", "%d", (int)o->max_epochs));
    DM_TRY(dm_resume_add(list, "--max-iterations", "%d", (int)o->max_iterations));
    DM_TRY(dm_resume_add(list, "--tolerance", "%.17g", o->tolerance));
    DM_TRY(dm_resume_add(list, "--polish", "%d", (int)o->polish));
    DM_TRY(dm_resume_add(list, "--min-segment-share", "%.17g", o->min_segment_share));
    DM_TRY(dm_resume_add(list, "--features", "%s", dm_resume_dataset(p->features, "/features")));
    DM_TRY(dm_resume_add(list, "--id", "%s", dm_resume_dataset(p->id, "/id")));
    DM_TRY(dm_resume_add(list, "--weight", "%s", dm_resume_dataset(p->weight, "/weight")));
    DM_TRY(dm_resume_add(list, "--outcomes", "%s", dm_resume_dataset(p->outcomes, "/outcomes")));
    DM_TRY(dm_resume_add(list, "--reachable", "%s", dm_resume_dataset(p->reachable, "/reachable")));
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
    DM_TRY(dm_resume_add(&run->resume.data, "the input", "%s", run->scan.digest));
    DM_TRY(dm_resume_add(&run->resume.data, "the names or the scaling of the features", "%s", scaling));
    DM_TRY(dm_resume_add(&run->resume.data, "the file of --init", "%s", given));
cleanup:
    dm_packer_clear(&p);
    return st;
}

demarc_status dm_fit_digests(const dm_fit_run *run, char options[33], char data[33])
{
    const demarc_status st = dm_resume_digest(&run->resume.options, DM_RESUME_ASKED, options);
    return st == DEMARC_OK ? dm_resume_digest(&run->resume.data, 0, data) : st;
}

/* ------------------------------------------------------------------------------------------------ the payload */

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
    dm_resume_pack_head(&run->resume, p, dm_path_base(run->output.temp_path));
    dm_fit_state_pack(&run->state, &run->km.at, p);
    return pack_final(run, p);
}

/* ------------------------------------------------------------------------------------------------ looking back */

demarc_status dm_fit_look_back(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const demarc_fit_options *o = run->o;
    DM_TRY_ALL(comm, describe_options(run));
    if (dm_comm_rank(comm) == 0 && o->resume) {
        st = dm_fit_same_options(run, &run->maybe_finished);
        if (st == DEMARC_OK && !run->maybe_finished && !o->force) st = dm_fit_refuse_others(run);
    }
    DM_TRY_ALL(comm, st);
    int64_t finished = run->maybe_finished;
    dm_comm_bcast(comm, &finished, sizeof finished, 0);
    run->maybe_finished = finished != 0;
    if (!run->maybe_finished) DM_TRY(dm_resume_look_back(&run->resume, o->resume, o->force));
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ going on */

static const char *const step_name[DM_STEPS] = {"seeding", "mini-batches", "full passes", "exchanges"};

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
    dm_unpacker *u = &run->resume.left;
    int64_t old[STAMP] = {0}, now[STAMP], serves = 0;
    if (dm_unpack_within(u, 0, 1) == 1) {
        (void)dm_unpack(u, old, sizeof old);
        stamp_of(run, run->resume.old_temporary, now);
        serves = memcmp(old, now, sizeof now) == 0;
    }
    DM_TRY_ALL(comm, dm_unpack_verdict(u, "its end"));
    dm_comm_bcast(comm, &serves, sizeof serves, 0);
    if (serves != 0) DM_TRY(dm_output_adopt(&run->output, comm, run->resume.old_temporary, &run->adopted));
    if (!run->adopted && dm_comm_rank(comm) == 0) st = dm_output_remove_dead(run->o->out, run->resume.old_temporary);
    st = dm_comm_agree(comm, st);
cleanup:
    return st;
}

demarc_status dm_fit_restore(dm_fit_run *run)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = run->ctx->comm;
    const demarc_fit_options *o = run->o;
    DM_TRY(dm_resume_begin_anew(&run->resume));
    if (run->resume.payload == NULL) {
        DM_TRY_ALL(comm, dm_fit_state_start(&run->state, o->k_lo, o->k_hi));
    } else {
        DM_TRY(dm_resume_check_data(&run->resume));
        DM_TRY_ALL(
            comm, dm_fit_state_unpack(&run->state, &run->km.at, &run->resume.left, o->k_lo, o->k_hi, run->transform.d));
        DM_TRY(adopt_results(run));
        log_resumed(run);
    }
    /* Runs that died before their first checkpoint; select has no output. */
    if (dm_comm_rank(comm) == 0 && o->out != NULL) dm_output_sweep(o->out, DM_OUTPUT_DIRECTORY);
    run->resume.checkpoint.pack = pack;
    run->resume.checkpoint.context = run;
    run->resume.checkpoint.ready = !run->select; /* which keeps nothing */
    run->resume.checkpoint.unsaved = dm_clock();
cleanup:
    return st;
}
