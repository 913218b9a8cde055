/*
 * What a fit has found so far: all that it takes, with the input and the options, to go on from here. Its bytes are the
 * payload of a checkpoint. Local; the same on all ranks.
 *
 *   search    k segments are being fitted: the position (kmeans/position.h) says how far
 *   measure   LO:HI only: they are fitted, `candidate`, and their criteria are being measured
 *   choose    LO:HI only: all are fitted, `kept`, and a sample is asked which to choose
 *   assign    `chosen` are the segments; customers are being assigned and results written
 */
#ifndef DM_ENGINE_FIT_STATE_H
#define DM_ENGINE_FIT_STATE_H

#include "base/packing.h"
#include "kmeans/position.h"

typedef enum dm_fit_phase { DM_FIT_SEARCH, DM_FIT_MEASURE, DM_FIT_CHOOSE, DM_FIT_ASSIGN, DM_FIT_PHASES } dm_fit_phase;

/** Segments that were fitted. */
typedef struct dm_fitted {
    int32_t k, d;      /* k == 0: none */
    double *centroids; /* [k, d] working space */
    dm_trace trace;
} dm_fitted;

typedef struct dm_fit_state {
    dm_fit_phase phase;
    int32_t k; /* being fitted or measured */
    dm_fitted candidate, chosen;
    /* LO:HI */
    int32_t ks, best;   /* records, and which of them `chosen` has; -1 = none yet */
    int32_t criteria;   /* DM_FIT_CHOOSE: what dm_sample_criteria has done */
    dm_k_record *tried; /* [at least ks]; owned */
    dm_fitted *kept;    /* [at least ks] what they are of, until one is chosen; k == 0: failed */
    dm_recommendation recommendation;
    int32_t records; /* room in tried and kept */
    char first_failure[512];
} dm_fit_state;

/** @retval DEMARC_ERR_MEMORY */
demarc_status dm_fitted_create(dm_fitted *f, int32_t k, int32_t d);
void dm_fitted_clear(dm_fitted *f);
/** `from` becomes `to`. */
void dm_fitted_move(dm_fitted *to, dm_fitted *from);

/** The beginning of a fit of lo to hi segments. */
demarc_status dm_fit_state_start(dm_fit_state *s, int32_t lo, int32_t hi);
void dm_fit_state_clear(dm_fit_state *s);
/** Forget `kept`: one is chosen. */
void dm_fit_state_drop_kept(dm_fit_state *s);

/** @param[in] at  read in phase search only */
void dm_fit_state_pack(const dm_fit_state *s, const dm_position *at, dm_packer *p);
/**
 * The reverse, for a fit of lo to hi segments of d features.
 * @param[out] s   started; cleared by the caller also after an error
 * @param[out] at  zeroed before; where it is not of this phase it stays so
 * @retval DEMARC_ERR_DATA  these bytes are no such state
 */
demarc_status dm_fit_state_unpack(dm_fit_state *s, dm_position *at, dm_unpacker *u, int32_t lo, int32_t hi, int32_t d);

#endif
