/* The record of a fit: what each pass reached. Filled by kmeans and engine, printed by report. Local. */
#ifndef DM_BASE_TRACE_H
#define DM_BASE_TRACE_H

#include "base/status.h"

/** One pass of the fit, for the trace. */
typedef struct dm_pass_record {
    const char *phase; /* "seed", "minibatch", "lloyd" (static strings) */
    int32_t iteration;
    double objective; /* mini-batch: its objective x total weight / its weight */
    double shift;     /* squared centroid shift, NaN where undefined */
} dm_pass_record;

/** One row per k of a fit over LO:HI. */
typedef struct dm_k_record {
    int32_t k;
    double objective, calinski_harabasz, davies_bouldin, silhouette, smallest_share;
    bool chosen;
} dm_k_record;

typedef struct dm_trace {
    int32_t passes, ks;
    dm_pass_record *pass;
    dm_k_record *tried; /* [ks]; ks == 0 without LO:HI */
    int32_t iterations; /* full Lloyd passes */
    int64_t batches;
    bool converged;
    int32_t restarts, best_restart;
} dm_trace;

/** Append a pass; grows by doubling. */
demarc_status dm_trace_add(dm_trace *t, const char *phase, int32_t iteration, double objective, double shift);
void dm_trace_clear(dm_trace *t);

#endif
