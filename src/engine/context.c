#include "engine/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "comm/watchdog.h"
#include "engine/guard_rails.h"
#include "linalg/distance.h"
#include "store/hdf5_version.h"

void demarc_runtime_default(demarc_runtime *rt)
{
    *rt = (demarc_runtime){.verbosity = DEMARC_NORMAL, .progress = DEMARC_PROGRESS_AUTO, .io = DEMARC_IO_MPIO};
}

demarc_status demarc_mpi_init(void)
{
    const demarc_status st = dm_comm_launched() ? dm_hdf5_before_mpi() : DEMARC_OK;
    return st == DEMARC_OK ? dm_comm_start_mpi() : st;
}
void demarc_mpi_finalize(void) { dm_comm_stop_mpi(); }
int demarc_mpi_rank(void) { return dm_comm_env_rank(); }

demarc_status demarc_mpi_agree(demarc_status st) { return dm_comm_agree_world(st); }

void demarc_stop_request(int signal_number) { dm_stop_request(signal_number); }

const char *demarc_blas_core_advice(void) { return dm_blas_core_advice(); }

/* The variant that all ranks can run: forced, or the best one that every rank's CPU has. */
static demarc_status choose_kernel(demarc_context *ctx)
{
    const char *name = ctx->runtime.kernel;
    if (name == NULL || strcmp(name, "auto") == 0) {
        const char *forced = getenv("DEMARC_KERNEL");
        if (forced != NULL && forced[0] != 0) name = forced;
    }
    const bool blas = name != NULL && strcmp(name, "blas") == 0;
    const bool automatic = blas || name == NULL || strcmp(name, "auto") == 0;
    int64_t index = dmk_variant_find(automatic ? NULL : name);
    demarc_status st = DEMARC_OK;
    if (index < 0) {
        st = dm_fail(DEMARC_ERR_USAGE,
                     "unknown kernel '%s': --kernel or DEMARC_KERNEL: use auto, ref, avx2, avx512 or blas", name);
    } else if (!dmk_variant_supported((int)index)) {
        st = dm_fail(DEMARC_ERR_USAGE, "kernel %s needs a CPU feature that is missing here: --kernel: use auto", name);
    }
    if ((st = dm_comm_agree(ctx->comm, st)) != DEMARC_OK) return st;
    /* Variants are listed best first: the largest index is one that the weakest CPU supports too. */
    if (automatic) dm_comm_max_i64(ctx->comm, &index, 1);
    ctx->kernel = dmk_variant((int)index);
    if (blas) {
        ctx->blas = *ctx->kernel;
        ctx->blas.name = "blas";
        ctx->blas.nearest = NULL;
        ctx->blas.nearest_two = NULL;
        ctx->kernel = &ctx->blas;
    }
    return DEMARC_OK;
}

demarc_status demarc_context_create(demarc_context **out, const demarc_runtime *rt)
{
    demarc_status st = DEMARC_OK;
    demarc_context *ctx = calloc(1, sizeof *ctx);
    *out = NULL;
    if (ctx == NULL) st = dm_fail(DEMARC_ERR_MEMORY, "out of memory: context: free some memory");
    DM_TRY(dm_comm_agree_world(st));
    ctx->runtime = *rt;
    DM_TRY(dm_comm_create(&ctx->comm));
    if (rt->threads < 0 || rt->threads > 4096) {
        st = dm_fail(DEMARC_ERR_USAGE, "%d threads: --threads: use 1 to 4096", rt->threads);
    } else if (!(rt->stall_timeout >= 0.0)) {
        st = dm_fail(DEMARC_ERR_USAGE, "%g seconds: --stall-timeout: use a positive number, or 0 for none",
                     rt->stall_timeout);
    } else {
        st = dm_watchdog_start(dm_comm_size(ctx->comm) > 1 ? rt->stall_timeout : 0.0, dm_comm_rank(ctx->comm));
    }
    DM_TRY_ALL(ctx->comm, st);
    DM_TRY(choose_kernel(ctx));
    const int fair = dm_comm_fair_threads(ctx->comm);
    ctx->threads = rt->threads > 0 ? rt->threads : fair;
    dm_blas_init();
    const bool root = dm_comm_rank(ctx->comm) == 0;
    ctx->log = (dm_log){.stream = root ? (rt->log != NULL ? rt->log : stderr) : NULL,
                        .verbosity = rt->verbosity,
                        .progress = rt->progress};
    DM_TRY(dm_guard_start(ctx));
    *out = ctx;
    ctx = NULL;
cleanup:
    demarc_context_destroy(&ctx);
    return st;
}

void demarc_context_destroy(demarc_context **ctx)
{
    if (*ctx == NULL) return;
    dm_checkpoint_close(&(*ctx)->awaiting);
    dm_comm_destroy(&(*ctx)->comm);
    free(*ctx);
    *ctx = NULL;
}

void demarc_report_arrived(demarc_context *ctx)
{
    if (ctx->awaiting == NULL) return;
    if (dm_checkpoint_remove(ctx->awaiting) != DEMARC_OK) dm_log_warn(&ctx->log, "%s", dm_error_line());
    dm_checkpoint_close(&ctx->awaiting);
}

int demarc_context_rank(const demarc_context *ctx) { return dm_comm_rank(ctx->comm); }
int demarc_context_size(const demarc_context *ctx) { return dm_comm_size(ctx->comm); }
int demarc_context_threads(const demarc_context *ctx) { return ctx->threads; }

demarc_status dm_context_rows(demarc_context *ctx, dm_customers *file, int32_t d, const int32_t *column, bool stream,
                              demarc_store store, dm_rows **rows)
{
    int64_t most = ctx->threads;
    dm_comm_max_i64(ctx->comm, &most, 1);
    const dm_rows_options o = {.comm = ctx->comm,
                               .log = &ctx->log,
                               .file = file,
                               .kernel = ctx->kernel,
                               .threads = ctx->threads,
                               .most_threads = (int)most,
                               .memory_limit = ctx->runtime.memory_limit,
                               .stream = stream,
                               .d = d,
                               .column = column,
                               .store = store};
    const demarc_status st = dm_comm_agree(ctx->comm, dm_rows_open(rows, &o));
    return st == DEMARC_OK && !stream ? dm_guard_memory(ctx, *rows) : st;
}

const char *demarc_version(void) { return DEMARC_VERSION; }
const char *dm_version_commit(void) { return DEMARC_COMMIT; }
#ifdef __clang__
const char *dm_version_compiler(void) { return __VERSION__; } /* "Debian Clang 14.0.6": it names itself */
#else
const char *dm_version_compiler(void) { return "gcc " __VERSION__; }
#endif
const char *dm_version_hdf5(void) { return dm_hdf5_version(); }

const char *demarc_version_text(void)
{
    static char text[1024];
    int used =
        snprintf(text, sizeof text,
                 "demarc %s (commit %s)\ncompiler %s\nMPI      %s\nHDF5     %s\nBLAS     %s, core type %s\nkernels ",
                 demarc_version(), dm_version_commit(), dm_version_compiler(), dm_comm_library(), dm_version_hdf5(),
                 dm_blas_version(), dm_blas_core());
    for (int i = 0; i < dmk_variant_count() && used > 0 && used < (int)sizeof text; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, " %s%s", dmk_variant(i)->name,
                         dmk_variant_supported(i) ? "" : " (not on this CPU)");
    }
    if (used > 0 && used < (int)sizeof text) (void)snprintf(text + used, sizeof text - (size_t)used, " blas\n");
    return text;
}
