/*
 * When a run is saved and stopped.
 *
 * At an edge (kmeans: between two passes; final pass and boundary tests: between two windows of rows) the ranks agree
 * whether anyone was asked to stop (base/stop.h) and whether rank 0's clock says that a checkpoint is due. If so all call
 * `pack`, and rank 0 saves what it packed (store/checkpoint_file.h). Saving gets at most a twentieth of the time, however
 * often it is asked for. A checkpoint that was only due and cannot be saved costs a warning.
 */
#ifndef DM_ENGINE_CHECKPOINT_H
#define DM_ENGINE_CHECKPOINT_H

#include "base/log.h"
#include "base/packing.h"
#include "comm/comm.h"
#include "store/checkpoint_file.h"

typedef struct dm_checkpoint {
    dm_comm *comm;
    dm_log *log;
    dm_checkpoint_folder *folder; /* rank 0; NULL elsewhere, and where nothing is to be saved (a dry run) */
    double every, due;            /* seconds between two, 0 = only when stopping; when the next is due */
    double unsaved;               /* clock at the last save, or when there was something to save first */
    int64_t edges_left;           /* DEMARC_STOP_AFTER; -1 = not set */
    bool ready;                   /* there is a state to save; else a stop only stops */
    /* Collective; what rank 0 has put into p is saved. The status is the same on all ranks. */
    demarc_status (*pack)(void *context, dm_packer *p);
    void *context;
} dm_checkpoint;

/**
 * Prepare; looks for the folder of the output `path` (NULL = none). Collective. Closed by dm_checkpoint_end().
 * DEMARC_STOP_AFTER=N in the environment stops at the N-th edge as a signal would (for tests).
 */
demarc_status dm_checkpoint_begin(dm_checkpoint *c, dm_comm *comm, dm_log *log, const char *path, double every);
/** Collective. @retval DEMARC_STOPPED  asked to stop; the error line names the signal and the checkpoint */
demarc_status dm_checkpoint_edge(dm_checkpoint *c);
/**
 * What was reached is saved before a step that may well fail (a disk may fill), if it took more than two seconds and
 * checkpoints are saved by the clock at all; no edge. One that cannot be saved costs a warning. Collective.
 */
void dm_checkpoint_milestone(dm_checkpoint *c);
/**
 * Reading, before there is something to save, may be stopped by dm_stop_look() between these two. `st` is what the reading
 * gave, the same on all ranks; a stop gets its error line. Collective.
 */
void dm_checkpoint_reading(void);
demarc_status dm_checkpoint_read(dm_checkpoint *c, demarc_status st);
/** Safe on a zeroed struct. Checkpoints on disk stay. */
void dm_checkpoint_end(dm_checkpoint *c);

#endif
