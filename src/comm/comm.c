#include "comm/comm.h"

#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/watchdog.h"

#define MAX_MESSAGE (INT64_C(1) << 30) /* bytes */

/* Every call that waits for other ranks is made through this, but MPI_Init: no watchdog runs before it. */
#define WATCHED(what, call)                                                                                            \
    do {                                                                                                               \
        dm_watchdog_enter(what);                                                                                       \
        call;                                                                                                          \
        dm_watchdog_leave();                                                                                           \
    } while (0)

struct dm_comm {
    MPI_Comm mpi; /* MPI_COMM_NULL for the one-rank stand-in */
    int rank, size;
    int64_t bytes, messages;
};

/* Set by Open MPI, PMIx, PMI-1/2 (srun, MPICH) and MVAPICH2 for every process they start. */
static const char *const rank_variable[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"};

bool dm_comm_launched(void)
{
    for (size_t i = 0; i < sizeof rank_variable / sizeof *rank_variable; i++) {
        if (getenv(rank_variable[i]) != NULL) return true;
    }
    return false;
}

int dm_comm_env_rank(void)
{
    for (size_t i = 0; i < sizeof rank_variable / sizeof *rank_variable; i++) {
        const char *v = getenv(rank_variable[i]);
        if (v != NULL) return (int)strtol(v, NULL, 10);
    }
    return 0;
}

static bool mpi_running(void)
{
    int started = 0, finished = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&finished);
    return started && !finished;
}

demarc_status dm_comm_start_mpi(void)
{
    if (mpi_running() || !dm_comm_launched()) return DEMARC_OK;
    int provided = 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED) {
        return dm_fail(DEMARC_ERR_SYSTEM,
                       "MPI did not start: MPI_Init_thread: check the launcher (mpirun, srun --mpi=pmix)");
    }
    return DEMARC_OK;
}

void dm_comm_stop_mpi(void)
{
    if (mpi_running()) WATCHED("MPI_Finalize", MPI_Finalize());
    dm_watchdog_stop();
}

const char *dm_comm_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING + 1];
    int len = 0;
    MPI_Get_library_version(text, &len);
    text[strcspn(text, ",\n")] = 0;
    return text;
}

/* The world itself, for as long as its caller. */
static dm_comm world(void)
{
    dm_comm c = {.mpi = MPI_COMM_NULL, .size = 1};
    if (mpi_running()) {
        c.mpi = MPI_COMM_WORLD;
        MPI_Comm_rank(c.mpi, &c.rank);
        MPI_Comm_size(c.mpi, &c.size);
    }
    return c;
}

demarc_status dm_comm_agree_world(demarc_status st)
{
    dm_comm all = world();
    return dm_comm_agree(&all, st);
}

demarc_status dm_comm_create(dm_comm **out)
{
    demarc_status st = DEMARC_OK;
    *out = NULL;
    dm_comm *c = malloc(sizeof *c);
    if (c == NULL) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: communicator: free some memory");
    DM_TRY(dm_comm_agree_world(st)); /* before the others wait for this rank in MPI_Comm_dup */
    *c = world();
    if (c->mpi != MPI_COMM_NULL) WATCHED("MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &c->mpi));
    *out = c;
    c = NULL;
cleanup:
    free(c);
    return st;
}

void dm_comm_destroy(dm_comm **comm)
{
    if (*comm == NULL) return;
    if ((*comm)->mpi != MPI_COMM_NULL && mpi_running()) WATCHED("MPI_Comm_free", MPI_Comm_free(&(*comm)->mpi));
    free(*comm);
    *comm = NULL;
}

int dm_comm_rank(const dm_comm *comm) { return comm->rank; }
int dm_comm_size(const dm_comm *comm) { return comm->size; }

int dm_comm_ranks_on_host(dm_comm *comm)
{
    if (comm->mpi == MPI_COMM_NULL) return 1;
    MPI_Comm host;
    int ranks = 1;
    WATCHED("MPI_Comm_split_type", MPI_Comm_split_type(comm->mpi, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
    MPI_Comm_size(host, &ranks);
    WATCHED("MPI_Comm_free", MPI_Comm_free(&host));
    return ranks;
}

int dm_comm_cores(void)
{
    cpu_set_t mine;
    CPU_ZERO(&mine);
    return sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) > 0 ? CPU_COUNT(&mine) : 1;
}

int dm_comm_fair_threads(dm_comm *comm)
{
    cpu_set_t mine;
    CPU_ZERO(&mine);
    (void)sched_getaffinity(0, sizeof mine, &mine); /* where it fails the set stays empty, which gives 1 below */
    if (comm->mpi == MPI_COMM_NULL) return dm_comm_cores();
    MPI_Comm host;
    WATCHED("MPI_Comm_split_type", MPI_Comm_split_type(comm->mpi, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
    int users[CPU_SETSIZE];
    for (size_t i = 0; i < CPU_SETSIZE; i++) users[i] = CPU_ISSET(i, &mine) ? 1 : 0;
    WATCHED("an all-reduce", MPI_Allreduce(MPI_IN_PLACE, users, CPU_SETSIZE, MPI_INT, MPI_SUM, host));
    WATCHED("MPI_Comm_free", MPI_Comm_free(&host));
    double share = 0.0;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &mine)) share += 1.0 / users[i];
    }
    return share >= 1.0 ? (int)(share + 1e-9) : 1;
}

/*
 * This rank's error for all to adopt. What ails one machine (disk, memory, limits) is mended there, so such a line names
 * the rank and its host, once: calls higher up agree again on the line that they have adopted.
 */
static void describe(const dm_comm *comm, demarc_status st, size_t size, char *line)
{
    const bool local = st == DEMARC_ERR_IO || st == DEMARC_ERR_MEMORY || st == DEMARC_ERR_SYSTEM;
    char host[65] = "";
    int used = snprintf(line, size, "%s", dm_error_line());
    if (!local || comm->size == 1 || used < 0 || used >= (int)size || strstr(line, "(rank ") != NULL) return;
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(line + used, size - (size_t)used, " (rank %d on %s)", comm->rank, host);
}

demarc_status dm_comm_agree(dm_comm *comm, demarc_status st)
{
    if (comm->mpi == MPI_COMM_NULL) return st;
    int first = st == DEMARC_OK ? comm->size : comm->rank;
    WATCHED("an all-reduce", MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm->mpi));
    if (first == comm->size) return DEMARC_OK;
    struct {
        int status;
        char line[1024];
    } message = {.status = (int)st};
    describe(comm, st, sizeof message.line, message.line);
    WATCHED("a broadcast", MPI_Bcast(&message, (int)sizeof message, MPI_BYTE, first, comm->mpi));
    dm_error_set(message.line);
    return (demarc_status)message.status;
}

void dm_comm_barrier(dm_comm *comm)
{
    if (comm->mpi != MPI_COMM_NULL) WATCHED("a barrier", MPI_Barrier(comm->mpi));
}

static int part(int64_t count, int64_t done, int64_t most) { return (int)(count - done < most ? count - done : most); }

static void count_traffic(dm_comm *comm, int64_t bytes)
{
    comm->bytes += bytes;
    comm->messages++;
}

void dm_comm_bcast(dm_comm *comm, void *bytes, int64_t count, int root)
{
    if (comm->mpi == MPI_COMM_NULL) return;
    for (int64_t done = 0; done < count; done += MAX_MESSAGE) {
        int n = part(count, done, MAX_MESSAGE);
        WATCHED("a broadcast", MPI_Bcast((char *)bytes + done, n, MPI_BYTE, root, comm->mpi));
        count_traffic(comm, n);
    }
}

static void reduce(dm_comm *comm, void *v, int64_t count, MPI_Datatype type, MPI_Op op)
{
    if (comm->mpi == MPI_COMM_NULL) return;
    for (int64_t done = 0; done < count; done += MAX_MESSAGE / 8) {
        int n = part(count, done, MAX_MESSAGE / 8);
        WATCHED("an all-reduce", MPI_Allreduce(MPI_IN_PLACE, (char *)v + 8 * done, n, type, op, comm->mpi));
        count_traffic(comm, 8 * (int64_t)n);
    }
}

void dm_comm_sum_i64(dm_comm *comm, int64_t *v, int64_t count) { reduce(comm, v, count, MPI_INT64_T, MPI_SUM); }
void dm_comm_min_i64(dm_comm *comm, int64_t *v, int64_t count) { reduce(comm, v, count, MPI_INT64_T, MPI_MIN); }
void dm_comm_max_i64(dm_comm *comm, int64_t *v, int64_t count) { reduce(comm, v, count, MPI_INT64_T, MPI_MAX); }
void dm_comm_min_f64(dm_comm *comm, double *v, int64_t count) { reduce(comm, v, count, MPI_DOUBLE, MPI_MIN); }
void dm_comm_max_f64(dm_comm *comm, double *v, int64_t count) { reduce(comm, v, count, MPI_DOUBLE, MPI_MAX); }

void dm_comm_sum_exact(dm_comm *comm, dm_exact_sum *s, int64_t count)
{
    if (comm->mpi == MPI_COMM_NULL) return;
    for (int64_t i = 0; i < count; i++) dm_exact_sum_normalize(&s[i]);
    dm_comm_sum_i64(comm, (int64_t *)s, count * (int64_t)(sizeof *s / sizeof(int64_t)));
    for (int64_t i = 0; i < count; i++) dm_exact_sum_normalize(&s[i]);
}

demarc_status dm_comm_sum_fixed(dm_comm *comm, dm_int128 *v, int64_t count)
{
    if (comm->mpi == MPI_COMM_NULL) return DEMARC_OK;
    int64_t *limb = NULL;
    demarc_status st = dm_comm_agree(comm, dm_alloc(limb, 3 * count, "reduction of segment sums"));
    if (st == DEMARC_OK) {
        for (int64_t i = 0; i < count; i++) dm_fixed_split(limb + 3 * i, v[i]);
        dm_comm_sum_i64(comm, limb, 3 * count);
        for (int64_t i = 0; i < count; i++) v[i] = dm_fixed_join(limb + 3 * i);
    }
    dm_free(limb);
    return st;
}

demarc_status dm_comm_all_gather(dm_comm *comm, const void *bytes, int64_t count, void **all, int64_t *all_bytes)
{
    demarc_status st = DEMARC_OK;
    int64_t *length = NULL;
    char *joined = NULL;
    *all = NULL;
    *all_bytes = 0;
    DM_TRY_ALL(comm, dm_alloc_zero(length, comm->size, "lengths of gathered parts"));
    length[comm->rank] = count;
    dm_comm_sum_i64(comm, length, comm->size);
    int64_t total = 0;
    for (int r = 0; r < comm->size; r++) total += length[r];
    DM_TRY_ALL(comm, dm_alloc(joined, total, "gathered parts"));
    int64_t at = 0;
    for (int r = 0; r < comm->size; r++) {
        if (r == comm->rank && count > 0) memcpy(joined + at, bytes, (size_t)count);
        dm_comm_bcast(comm, joined + at, length[r], r);
        at += length[r];
    }
    *all = joined;
    *all_bytes = total;
    joined = NULL;
cleanup:
    dm_free(length);
    dm_free(joined);
    return st;
}

demarc_status dm_comm_exchange(dm_comm *comm, const void *send, const int64_t *offset, void **received,
                               int64_t *received_bytes)
{
    demarc_status st = DEMARC_OK;
    int64_t *in = NULL, *out = NULL;
    char *joined = NULL;
    MPI_Request *request = NULL;
    *received = NULL;
    *received_bytes = 0;
    const int size = comm->size;
    DM_TRY_ALL(comm, dm_alloc(in, size, "lengths of exchanged parts"));
    DM_TRY_ALL(comm, dm_alloc(out, size, "lengths of exchanged parts"));
    for (int r = 0; r < size; r++) in[r] = out[r] = offset[r + 1] - offset[r];
    if (comm->mpi != MPI_COMM_NULL)
        WATCHED("an all-to-all", MPI_Alltoall(out, 1, MPI_INT64_T, in, 1, MPI_INT64_T, comm->mpi));
    int64_t total = 0, parts = 0;
    for (int r = 0; r < size; r++) {
        total += in[r];
        parts += in[r] / MAX_MESSAGE + out[r] / MAX_MESSAGE + 2;
    }
    DM_TRY_ALL(comm, dm_alloc(joined, total, "exchanged parts"));
    DM_TRY_ALL(comm, dm_alloc(request, parts, "requests of an exchange"));
    int pending = 0;
    int64_t at = 0;
    for (int r = 0; r < size; r++) {
        if (r == comm->rank) {
            if (in[r] > 0) memcpy(joined + at, (const char *)send + offset[r], (size_t)in[r]);
        } else {
            for (int64_t done = 0; done < in[r]; done += MAX_MESSAGE) {
                MPI_Irecv(joined + at + done, part(in[r], done, MAX_MESSAGE), MPI_BYTE, r, 1, comm->mpi,
                          &request[pending++]);
            }
        }
        at += in[r];
    }
    for (int r = 0; r < size; r++) {
        if (r == comm->rank) continue;
        for (int64_t done = 0; done < out[r]; done += MAX_MESSAGE) {
            int n = part(out[r], done, MAX_MESSAGE);
            MPI_Isend((const char *)send + offset[r] + done, n, MPI_BYTE, r, 1, comm->mpi, &request[pending++]);
            count_traffic(comm, n);
        }
    }
    if (pending > 0) WATCHED("an exchange", MPI_Waitall(pending, request, MPI_STATUSES_IGNORE));
    *received = joined;
    *received_bytes = total;
    joined = NULL;
cleanup:
    dm_free(in);
    dm_free(out);
    dm_free(request);
    dm_free(joined);
    return st;
}

void dm_comm_send(dm_comm *comm, const void *bytes, int64_t count, int to)
{
    for (int64_t done = 0; done < count; done += MAX_MESSAGE) {
        int n = part(count, done, MAX_MESSAGE);
        WATCHED("a send", MPI_Send((const char *)bytes + done, n, MPI_BYTE, to, 2, comm->mpi));
        count_traffic(comm, n);
    }
}

void dm_comm_recv(dm_comm *comm, void *bytes, int64_t count, int from)
{
    for (int64_t done = 0; done < count; done += MAX_MESSAGE) {
        WATCHED("a receive", MPI_Recv((char *)bytes + done, part(count, done, MAX_MESSAGE), MPI_BYTE, from, 2,
                                      comm->mpi, MPI_STATUS_IGNORE));
    }
}

void dm_comm_gather_f64(dm_comm *comm, double v, double *all)
{
    all[0] = v;
    if (comm->mpi == MPI_COMM_NULL) return;
    WATCHED("an all-gather", MPI_Allgather(&v, 1, MPI_DOUBLE, all, 1, MPI_DOUBLE, comm->mpi));
    count_traffic(comm, 8);
}

void dm_comm_traffic(const dm_comm *comm, int64_t *bytes, int64_t *messages)
{
    *bytes = comm->bytes;
    *messages = comm->messages;
}
