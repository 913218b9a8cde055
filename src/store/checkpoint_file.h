/*
 * Checkpoints of a long run: two generations of one piece of bytes, in a folder of their own beside the run's output.
 *
 * For the output FOLDER/NAME the folder is FOLDER/.NAME.checkpoint (mode 0700), with the files "a" and "b". A save replaces
 * the older of the two: written under a third name, fsync, rename, fsync of the folder; so a crash or a full disk at
 * any moment leaves the newest whole one as it was. Each file is a head
 *
 *   "DEMARCCK", order mark, version, generation, length, XXH3-128 of the payload and of this head
 *
 * and `length` bytes of payload, whose meaning is the caller's. A file that is not exactly that is damaged. Nothing is
 * allocated that is larger than the file. The folder is made and locked (flock) when it is opened, so that no two runs
 * share it, and goes with the run when nothing was saved; where the file system has no locks they are not held apart.
 *
 * Local: rank 0's.
 */
#ifndef DM_STORE_CHECKPOINT_FILE_H
#define DM_STORE_CHECKPOINT_FILE_H

#include "base/status.h"

typedef struct dm_checkpoint_folder dm_checkpoint_folder;

/**
 * Look for the checkpoints of the output `path`, and keep the folder; where it cannot be made, saving will say so.
 * @retval DEMARC_ERR_EXISTS  the folder is in use by another run, another user's, or no folder
 * @retval DEMARC_ERR_IO
 */
demarc_status dm_checkpoint_open(dm_checkpoint_folder **out, const char *path);
void dm_checkpoint_close(dm_checkpoint_folder **c);
/** The folder's path, whether it is there or not. */
const char *dm_checkpoint_path(const dm_checkpoint_folder *c);
/** True when the folder holds generations, whole or not. */
bool dm_checkpoint_present(const dm_checkpoint_folder *c);
/**
 * The newest whole generation.
 * @param[out] payload  malloc'd; NULL when nothing was ever saved
 * @param[out] spared   the other generation is damaged
 * @retval DEMARC_ERR_DATA  there are generations, but none is whole
 * @retval DEMARC_ERR_IO    the system does not let one be read; of one lost by the disk (EIO) the other is taken
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_checkpoint_load(dm_checkpoint_folder *c, char **payload, int64_t *bytes, bool *spared);
/**
 * Save the next generation, in a new folder where somebody removed it.
 * @retval DEMARC_ERR_IO, DEMARC_ERR_EXISTS  what was saved before stays
 */
demarc_status dm_checkpoint_save(dm_checkpoint_folder *c, const char *payload, int64_t bytes);
/** Remove all generations; the folder stays ours. @retval DEMARC_ERR_IO */
demarc_status dm_checkpoint_clear(dm_checkpoint_folder *c);
/** Remove the folder with all generations. Strangers' files in it stay, and so does it then: DEMARC_ERR_IO. */
demarc_status dm_checkpoint_remove(dm_checkpoint_folder *c);

#endif
