/*
 * `demarc generate`: synthetic customers with known truth, written in parallel.
 *
 * The file: /features with feature_names, /id, /reachable with channel_names (email, app, post); with arms /arm with
 * arm_names (control, arm1, ...) and control, equal chances; with outcomes /outcomes with outcome_names.
 *
 * The truth (see synthetic_model.h for the formulas):
 *   /truth/segment          int32 [n]
 *   /truth/segment_share    float64 [k]       chance of each segment
 *   /truth/latent_centers   float64 [k, d]    centres in latent space
 *   /truth/center_features  float64 [k, d]    the features of a customer who sits on the centre: the segment's median
 *                                             in every column except the shares that add up to 1
 *   /truth/column_spread    float64 [d]       total sd of each latent column
 *   /truth/axes             float64 [m, d]    directions in which the centres lie (absent when k = 1)
 *   /truth/loadings         float64 [f, d]    of the common factors (absent when there are none)
 *   /truth/segment_effect   float64 [k, arms] mean effect of each arm on the chance of a visit (with arms)
 *   attributes of /truth: separation, neighbour_distance (latent units), noise_sd (along the line between two centres),
 *   common_variance (rho), and with arms effect_feature, effect_column, effect_threshold [arms] in feature units,
 *   effect_threshold_latent [arms], effect_slope [arms] (per latent unit; positive = helps customers below the
 *   threshold); the control has NaN, NaN, 0.
 *
 * --separation X: distance between neighbouring segment centres in latent space, in units of the within-segment sd
 * along the line that joins them: two neighbours overlap like two unit normals X apart.
 */
#ifndef DM_EXCHANGE_GENERATE_H
#define DM_EXCHANGE_GENERATE_H

#include "base/log.h"
#include "comm/comm.h"

/**
 * Write the file `o->out` whole or not at all; with o->dry_run only check and log.
 *
 * Collective. Row contents depend only on (seed, options other than customers, row).
 *
 * @retval DEMARC_ERR_USAGE   an option is out of range
 * @retval DEMARC_ERR_EXISTS  the file exists and force is false
 * @retval DEMARC_ERR_IO      no room, or writing failed; nothing is left behind
 */
demarc_status dm_generate(dm_comm *comm, dm_log *log, const demarc_generate_options *o, demarc_io io);

#endif
