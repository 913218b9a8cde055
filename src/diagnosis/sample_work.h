/* What the criteria that need replicates have in common: the sample and who works on it. Everything borrowed. */
#ifndef DM_DIAGNOSIS_SAMPLE_WORK_H
#define DM_DIAGNOSIS_SAMPLE_WORK_H

#include "kmeans/sample_fits.h"

typedef struct dm_sample_work {
    dm_comm *comm;
    const dmk_table *kernel;
    int threads;
    uint64_t seed;
    const dm_fit_sample *sample;
    const double *weight; /* [m] of the sample, all 1 where the file has none */
} dm_sample_work;

/** Random numbers of small fits, one range for each use; replicate < 2^20, k < 2^20. */
typedef enum dm_fit_use { DM_FIT_OBSERVED, DM_FIT_REFERENCE, DM_FIT_HALF, DM_FIT_BOOTSTRAP } dm_fit_use;
static inline uint64_t dm_fit_stream(dm_fit_use use, int32_t replicate, int32_t k)
{
    return ((uint64_t)use << 41) | ((uint64_t)replicate << 20) | (uint64_t)k;
}

/** Tasks of this work with up to k segments. Local. */
static inline dm_fit_tasks dm_sample_tasks(const dm_sample_work *work, int32_t k, dm_fit_task_fn fn, void *context)
{
    return (dm_fit_tasks){.comm = work->comm,
                          .kernel = work->kernel,
                          .threads = work->threads,
                          .most = work->sample->m,
                          .d = work->sample->d,
                          .most_k = k,
                          .seed = work->seed,
                          .fn = fn,
                          .context = context};
}

#endif
