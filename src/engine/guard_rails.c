#include "engine/guard_rails.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

#define SPARE_SHARE 0.95 /* of what is available: the rest is for buffers, the page cache and everybody else */

/*
 * srun without PMI starts each task as a rank of its own. Slurm tells a step's tasks in SLURM_STEP_NUM_TASKS; SLURM_NTASKS
 * stands in batch scripts and salloc's shells too, where a command without a launcher is one process as anywhere else.
 */
static demarc_status check_copies(const demarc_context *ctx)
{
    const char *name = "SLURM_STEP_NUM_TASKS", *tasks = getenv(name);
    if (tasks == NULL && getenv("SLURM_JOB_ID") == NULL) tasks = getenv(name = "SLURM_NTASKS");
    if (tasks == NULL || dm_comm_launched()) return DEMARC_OK;
    const long wanted = strtol(tasks, NULL, 10);
    if (wanted <= dm_comm_size(ctx->comm)) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_USAGE,
                   "%ld separate copies instead of one job: %s is %ld, but this process is alone: start with "
                   "srun --mpi=pmix (srun --mpi=list shows what there is) or mpirun, or ask for --ntasks=1",
                   wanted, name, wanted);
}

demarc_status dm_guard_start(demarc_context *ctx) { return dm_comm_agree(ctx->comm, check_copies(ctx)); }

void dm_guard_threads(demarc_context *ctx)
{
    const int64_t cores = ctx->threads > dm_comm_cores() ? dm_comm_cores() : INT64_MAX;
    int64_t fewest = cores, threads = ctx->threads;
    dm_comm_min_i64(ctx->comm, &fewest, 1);
    if (fewest == INT64_MAX) return;
    if (cores != fewest) threads = 0;
    dm_comm_max_i64(ctx->comm, &threads, 1); /* of the rank with the fewest cores */
    dm_log_warn(
        &ctx->log,
        "%d threads share %lld core%s: mpirun --bind-to none on one machine, --map-by numa:PE=%d --bind-to core "
        "on many, srun --cpus-per-task=%d, or --threads %lld",
        (int)threads, (long long)fewest, fewest == 1 ? "" : "s", (int)threads, (int)threads, (long long)fewest);
}

void dm_guard_host(demarc_context *ctx)
{
    const int threads = ctx->threads, ranks = dm_comm_ranks_on_host(ctx->comm);
    const long host = sysconf(_SC_NPROCESSORS_ONLN);
    if (host <= 0 || (int64_t)ranks * threads <= host) return;
    dm_log_warn(&ctx->log, "oversubscribed: %d ranks x %d threads on %ld cores of this host: use fewer of either",
                ranks, threads, host);
}

demarc_status dm_guard_memory(demarc_context *ctx, const dm_rows *rows)
{
    demarc_status st = DEMARC_OK;
    const int ranks = dm_comm_ranks_on_host(ctx->comm);
    const int64_t available = dm_memory_available(), shard = dm_rows_shard_bytes(rows);
    if (!dm_rows_streamed(rows) && available > 0 && (double)shard * ranks > SPARE_SHARE * (double)available) {
        char need[32], have[32], limit[32];
        dm_text_bytes(need, (double)shard);
        dm_text_bytes(have, (double)available);
        dm_text_bytes(limit, 0.5 * (double)available / ranks);
        st = dm_fail(DEMARC_ERR_MEMORY,
                     "not enough memory: %s a rank x %d rank%s of this host, %s available: use more hosts, or "
                     "--memory-limit (about %s) to stream",
                     need, ranks, ranks == 1 ? "" : "s", have, limit);
    }
    return dm_comm_agree(ctx->comm, st);
}
