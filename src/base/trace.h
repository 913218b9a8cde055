/* The record of a fit: what each pass reached. Filled by kmeans and engine, printed by report. Local. */
#ifndef DM_BASE_TRACE_H
#define DM_BASE_TRACE_H

#include "base/status.h"

/** One pass of the fit, for the trace. */
typedef struct dm_pass_record {
    const char *phase; /* "seed", "minibatch", "exchange", "lloyd" (static strings) */
    int32_t iteration;
    double objective; /* mini-batch: its objective x total weight / its weight */
    double shift;     /* squared centroid shift, NaN where undefined */
} dm_pass_record;

/** One row per k of a fit over LO:HI, or of a selection. NaN = undefined or not computed. */
typedef struct dm_k_record {
    int32_t k;
    double objective, calinski_harabasz, davies_bouldin, silhouette, smallest_share; /* of all customers */
    bool chosen;
    double explained_share, reachable_share; /* of all customers; lowest of any segment */
    /* of a sample (src/diagnosis) */
    double gap, gap_se, prediction_strength, prediction_strength_se, stability, stability_lowest;
    char failed[240];  /* why it could not be fitted; "" = it was */
    bool eligible;     /* may be recommended; else */
    unsigned concerns; /* dm_concern flags: why not, or what speaks against it */
} dm_k_record;

/** Limits of the recommendation (src/diagnosis/recommend.h says why). */
#define DM_REPEATABLE 0.8         /* prediction strength */
#define DM_CLEARLY_REPEATABLE 0.9 /* the same, where four to eight segments are not to be preferred */
#define DM_UNMISTAKABLE 0.95  /* the same, where highly stable ones of four to eight are no reason to look further */
#define DM_STABLE 0.75        /* mean Jaccard over segments */
#define DM_HIGHLY_STABLE 0.85 /* the same, where it speaks against fewer than four */
#define DM_STABLE_LOWEST 0.6  /* of the lowest segment */
#define DM_REACHABLE 0.1      /* share of a segment that some channel must reach */
#define DM_WANTED_LEAST 4
#define DM_WANTED_MOST 8

/** What speaks against a number of segments. */
typedef enum dm_concern {
    DM_CONCERN_FAILED = 1,      /* cannot be fitted */
    DM_CONCERN_ONE = 2,         /* one segment is no segmentation */
    DM_CONCERN_SMALL = 4,       /* a segment is too small */
    DM_CONCERN_UNREACHABLE = 8, /* a segment cannot be reached on any channel */
    DM_CONCERN_UNREPEATED = 16, /* prediction strength */
    DM_CONCERN_UNSTABLE = 32,   /* bootstrap */
    DM_CONCERN_NO_GAP = 64,     /* explains no more than it would without structure */
    DM_CONCERN_WORSE = 128      /* another is recommended */
} dm_concern;

/** How many segments to have. Texts are made of it by report/select_report.h. */
typedef struct dm_recommendation {
    bool made;                  /* false: a fit of one k */
    int32_t k;                  /* 0 = none */
    bool structure;             /* false: nothing speaks for segments */
    bool preferred;             /* it is within four to eight, and taken for that before one that is more repeatable */
    int32_t best;               /* k of the highest simplified silhouette of all that could be fitted; 0 = none */
    double gap_one, gap_one_se; /* gap statistic of one segment */
    double min_share;           /* smallest segment wanted, share of the customers */
    int64_t sampled, customers; /* customers in the sample, of */
    int32_t replicates, gap_draws, halvings;
} dm_recommendation;

typedef struct dm_trace {
    int32_t passes, ks;
    dm_pass_record *pass;
    dm_k_record *tried; /* [ks]; ks == 0 without LO:HI */
    int32_t iterations; /* passes over all customers: exchanges and Lloyd */
    int64_t batches;
    bool converged;
    int32_t restarts, best_restart;
    dm_recommendation recommendation; /* with LO:HI */
} dm_trace;

/** Append a pass; grows by doubling. */
demarc_status dm_trace_add(dm_trace *t, const char *phase, int32_t iteration, double objective, double shift);
void dm_trace_clear(dm_trace *t);

#endif
