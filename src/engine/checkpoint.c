#include "engine/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stop.h"

#define SAVE_SHARE 20.0      /* a run does not spend more than one part in so many on saving */
#define WORTH 2.0            /* seconds of work that are worth a checkpoint at a milestone */
#define STOP_AFTER INT32_MAX /* no signal has this number */

demarc_status dm_checkpoint_begin(dm_checkpoint *c, dm_comm *comm, dm_log *log, const char *path, double every)
{
    demarc_status st = DEMARC_OK;
    const char *stop_after = getenv("DEMARC_STOP_AFTER");
    *c = (dm_checkpoint){.comm = comm, .log = log, .every = every, .due = dm_clock() + every, .edges_left = -1};
    if (stop_after != NULL && stop_after[0] != 0) c->edges_left = strtoll(stop_after, NULL, 10);
    if (path != NULL && dm_comm_rank(comm) == 0) st = dm_checkpoint_open(&c->folder, path);
    return dm_comm_agree(comm, st);
}

void dm_checkpoint_end(dm_checkpoint *c)
{
    dm_checkpoint_close(&c->folder);
    *c = (dm_checkpoint){0};
}

/* Rank 0 knows the folder; the others get its line by the agreement. */
static demarc_status stopped(const dm_checkpoint *c, const char *by)
{
    demarc_status st = DEMARC_STOPPED;
    if (dm_comm_rank(c->comm) == 0) {
        if (c->folder == NULL || (!c->ready && !dm_checkpoint_present(c->folder))) {
            st = dm_fail(DEMARC_STOPPED, "%s: there was nothing to save yet: run again", by);
        } else {
            st = dm_fail(DEMARC_STOPPED, "%s, checkpoint %s: %s: run again with --resume", by,
                         c->ready ? "saved" : "kept", dm_checkpoint_path(c->folder));
        }
    }
    return dm_comm_agree(c->comm, st);
}

static demarc_status stopped_by(const dm_checkpoint *c, int signal_number)
{
    char name[32], by[64];
    snprintf(by, sizeof by, "stopped by %s",
             signal_number == STOP_AFTER ? "DEMARC_STOP_AFTER" : dm_stop_name(name, signal_number));
    return stopped(c, by);
}

void dm_checkpoint_reading(void) { dm_stop_heed(true); }

demarc_status dm_checkpoint_read(dm_checkpoint *c, demarc_status st)
{
    char by[64];
    dm_stop_heed(false);
    if (st != DEMARC_STOPPED) return st;
    snprintf(by, sizeof by, "%s", dm_error_line());
    return stopped(c, by);
}

static demarc_status save(dm_checkpoint *c)
{
    demarc_status st = DEMARC_OK;
    dm_packer p = {0};
    const double start = dm_clock();
    DM_TRY(c->pack(c->context, &p));
    if (c->folder != NULL) {
        st = p.failed ? dm_fail(DEMARC_ERR_MEMORY, "out of memory: checkpoint: free some memory")
                      : dm_checkpoint_save(c->folder, p.bytes, p.count);
        const double now = dm_clock();
        if (st == DEMARC_OK) c->unsaved = now;
        c->due = now + fmax(c->every, SAVE_SHARE * (now - start));
    }
    DM_TRY_ALL(c->comm, st);
cleanup:
    dm_packer_clear(&p);
    return st;
}

demarc_status dm_checkpoint_edge(dm_checkpoint *c)
{
    demarc_status st = DEMARC_OK;
    int64_t wish[2] = {dm_stop_requested(), c->folder != NULL && c->ready && c->every > 0.0 && dm_clock() >= c->due};
    if (c->edges_left > 0 && --c->edges_left == 0) wish[0] = STOP_AFTER;
    dm_comm_max_i64(c->comm, wish, 2);
    if (wish[0] == 0 && wish[1] == 0) return DEMARC_OK;
    if (c->ready) st = save(c);
    if (wish[0] != 0) return st == DEMARC_OK ? stopped_by(c, (int)wish[0]) : st;
    if (st != DEMARC_OK) dm_log_warn(c->log, "%s", dm_error_line());
    return DEMARC_OK;
}

void dm_checkpoint_milestone(dm_checkpoint *c)
{
    int64_t wish = c->folder != NULL && c->ready && c->every > 0.0 && dm_clock() - c->unsaved > WORTH;
    dm_comm_max_i64(c->comm, &wish, 1);
    if (wish != 0 && save(c) != DEMARC_OK) dm_log_warn(c->log, "%s", dm_error_line());
}
