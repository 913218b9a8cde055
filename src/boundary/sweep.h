/*
 * What would change if each segment held more or fewer customers: `demarc boundary sweep`. Observational.
 *
 * For each segment and share a cut (cuts.h) says who moves. What the movers are like is held against the segment they leave
 * and the one they join (sweep_figures.h), with percentile intervals from Poisson-bootstrap replicates in which the cuts, the
 * centroids and who moves stay as they are.
 *
 * Verdict. With D = joined - left and C = 2 movers - left - joined, movers are nearer to the segment they join when C and D
 * have one sign, nearer to the one they leave when they have not; both claims need D and C to differ from 0. So p is the
 * larger of the two p-values of z = value / se (intersection-union test: R. L. Berger, "Multiparameter hypothesis testing and
 * acceptance sampling", Technometrics 24, 1982), and all p of the command are adjusted together.
 */
#ifndef DM_BOUNDARY_SWEEP_H
#define DM_BOUNDARY_SWEEP_H

#include "boundary/cuts.h"
#include "report/sweep_report.h"

typedef struct dm_sweep_options {
    int32_t shifts;
    const double *shift; /* [shifts] */
    int32_t replicates;  /* >= 0 */
    double alpha;
    dm_adjust adjust;
    int64_t min_cell, min_events;
    uint64_t seed;
    dm_cut *also; /* one more cut to find, which the report does not tell of; NULL = none */
} dm_sweep_options;

/**
 * Collective.
 * @param[out] report  rank 0: everything but head.command; elsewhere nothing of use. dm_sweep_report_clear() it on all ranks,
 *                     before the customers and the model are closed
 * @retval DEMARC_ERR_IMPOSSIBLE  a model of one segment
 */
demarc_status dm_sweep_run(dm_sweep_report *report, const dm_frozen *f, const dm_sweep_options *o);

#endif
