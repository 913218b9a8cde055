/*
 * Ranks: who we are, agreement on errors, exact reductions, blocks of bytes. Sole owner of mpi.h.
 *
 * When no launcher started us MPI is never touched: a communicator of one rank whose collectives are no-ops.
 * Unless it says "local" a function is collective: every rank calls it in the same order. MPI's own failures abort
 * the job (MPI_ERRORS_ARE_FATAL), so these functions return nothing. A message over 1 GiB is split.
 */
#ifndef DM_COMM_COMM_H
#define DM_COMM_COMM_H

#include "base/exact_sum.h"
#include "base/fixed_sum.h"
#include "base/status.h"

typedef struct dm_comm dm_comm;

/** Local: true when a launcher's environment (mpirun, srun) is seen. */
bool dm_comm_launched(void);
/** Local: rank by the launcher's environment, 0 without one; usable before MPI starts. */
int dm_comm_env_rank(void);
demarc_status dm_comm_start_mpi(void);
void dm_comm_stop_mpi(void);
/** Local: one line naming the MPI library. */
const char *dm_comm_library(void);

/** Duplicate of the world (or the one-rank stand-in). */
demarc_status dm_comm_create(dm_comm **out);
void dm_comm_destroy(dm_comm **comm);

int dm_comm_rank(const dm_comm *comm); /* local */
int dm_comm_size(const dm_comm *comm); /* local */

/** Ranks that share this host, and cores of the host that this rank may use, divided fairly among them. */
int dm_comm_fair_threads(dm_comm *comm);
int dm_comm_ranks_on_host(dm_comm *comm);
/** Local: cores that this process may use. */
int dm_comm_cores(void);

/**
 * All ranks learn whether anyone failed: the status and the error line of the lowest failed rank are adopted by all.
 * @return the agreed status, the same on all ranks.
 */
demarc_status dm_comm_agree(dm_comm *comm, demarc_status st);
/** The same among all ranks of the world, where there is no communicator yet; needs no memory. */
demarc_status dm_comm_agree_world(demarc_status st);
/** Evaluate `call`, agree, leave on failure: peers of a failed rank leave too. */
#define DM_TRY_ALL(comm, call) DM_TRY(dm_comm_agree((comm), (call)))

void dm_comm_barrier(dm_comm *comm);
void dm_comm_bcast(dm_comm *comm, void *bytes, int64_t count, int root);
/** In-place element-wise reductions; every rank gets the result. */
void dm_comm_sum_i64(dm_comm *comm, int64_t *v, int64_t count);
void dm_comm_min_i64(dm_comm *comm, int64_t *v, int64_t count);
void dm_comm_max_i64(dm_comm *comm, int64_t *v, int64_t count);
void dm_comm_min_f64(dm_comm *comm, double *v, int64_t count);
void dm_comm_max_f64(dm_comm *comm, double *v, int64_t count);
/** Exact sums over ranks; order of ranks does not matter. */
void dm_comm_sum_exact(dm_comm *comm, dm_exact_sum *s, int64_t count);
/** @retval DEMARC_ERR_MEMORY  agreed on all ranks */
demarc_status dm_comm_sum_fixed(dm_comm *comm, dm_int128 *v, int64_t count);

/**
 * Every rank gets the concatenation, in rank order, of each rank's `bytes`.
 * @param[out] all      allocated with dm_alloc; the caller frees with dm_free
 * @param[out] all_bytes total length
 */
demarc_status dm_comm_all_gather(dm_comm *comm, const void *bytes, int64_t count, void **all, int64_t *all_bytes);

/**
 * Each rank sends send[offset[r] .. offset[r+1]) bytes to rank r and gets what the others sent it, in rank order.
 * @param[out] received  dm_alloc'd; the caller frees with dm_free
 */
demarc_status dm_comm_exchange(dm_comm *comm, const void *send, const int64_t *offset, void **received,
                               int64_t *received_bytes);

/** Point to point, blocking, local to the two ranks. */
void dm_comm_send(dm_comm *comm, const void *bytes, int64_t count, int to);
void dm_comm_recv(dm_comm *comm, void *bytes, int64_t count, int from);

/** all[r] = rank r's v, on every rank. */
void dm_comm_gather_f64(dm_comm *comm, double v, double *all);

/** Local: bytes and messages this rank has sent through the functions above. */
void dm_comm_traffic(const dm_comm *comm, int64_t *bytes, int64_t *messages);

#endif
