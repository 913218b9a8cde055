/*
 * What goes wrong most often when a job is started on a cluster, told before it costs hours. Collective.
 *
 * - N copies instead of one job: srun without a PMI that MPI understands starts N programs that each think they are alone
 *   and write the same output. Refused.
 * - More threads than cores: mpirun's default binding gives a rank one core or two, and the threads share it. Warned of,
 *   with the flags that help.
 * - More rows than memory: the kernel would kill the job in the middle. Refused.
 */
#ifndef DM_ENGINE_GUARD_RAILS_H
#define DM_ENGINE_GUARD_RAILS_H

#include "engine/context.h"

/** @retval DEMARC_ERR_USAGE  SLURM_NTASKS says that there should be more ranks, and no launcher of MPI was seen */
demarc_status dm_guard_start(demarc_context *ctx);

/** Warns of threads that share cores. */
void dm_guard_threads(demarc_context *ctx);
/** Warns of more ranks and threads on this host than it has cores; when all is done, so that an error stays the only line. */
void dm_guard_host(demarc_context *ctx);

/**
 * Held rows against the memory that the host can give (or its control group allows), all ranks of the host together.
 * @retval DEMARC_ERR_MEMORY  they cannot fit
 */
demarc_status dm_guard_memory(demarc_context *ctx, const dm_rows *rows);

#endif
