/*
 * Radix selection over threads and ranks: which item has rank r in its set, for many sets and ranks together.
 *
 * An item is a row of 64-bit words, compared word by word. Selection from the most significant digit down (Hoare's quickselect
 * with digits for pivots): in each step the items that share the digits found so far with a target are counted by their next
 * digit, counts add up exactly over threads and ranks, and every target goes on into the digit that holds its rank. Items come
 * from a function that offers all of them, in any order; once those that still matter fit a budget of memory on every rank
 * they are kept, and the remaining steps need no further pass.
 */
#ifndef DM_BOUNDARY_RADIX_SELECT_H
#define DM_BOUNDARY_RADIX_SELECT_H

#include "boundary/journal.h"

typedef struct dm_radix dm_radix;

typedef struct dm_radix_target {
    int32_t set;
    int64_t rank; /* in its set, from 0; afterwards: among the `equal` items */
    /* The answer. */
    bool beyond;    /* the set has no more than `rank` items: nothing below is filled */
    int64_t equal;  /* items of the set that share the words found, over all ranks */
    int64_t local;  /* of them this rank's; see dm_radix_resumed() */
    uint64_t *word; /* [words], owned by the dm_radix */
} dm_radix_target;

/** Everything borrowed. The same on all ranks but for `threads`, the budgets and `local`. */
typedef struct dm_radix_options {
    dm_comm *comm;
    int threads;
    int32_t words;
    int first_bits; /* of word[0], the highest ones; the others are 0. Later words have 64 */
    int32_t sets, targets;
    dm_radix_target *target;
    /* Stop at a digit whose items all have ranks <= the target's: `word` is then padded by ones, so that exactly the items
     * up to the target's are <= word. Otherwise every digit is found. */
    bool bound_only;
    const int64_t *local; /* [sets] this rank's items where known beforehand; NULL = not known */
    int64_t count_bytes;  /* for counters, of this rank */
    int64_t item_bytes;   /* for items that are kept, of this rank */
    dm_journal *journal;
    const char *name; /* of the step of the journal */
} dm_radix_options;

/**
 * Offer every item of every rank once by dm_radix_offer(), several threads at a time. Collective.
 * @param[in] name  of the pass, whose state is what dm_radix_gather() packs; NULL = nothing that can be saved
 */
typedef demarc_status (*dm_radix_pass)(void *context, dm_radix *r, const char *name);

/** Collective. */
demarc_status dm_radix_create(dm_radix **out, const dm_radix_options *o);
demarc_status dm_radix_run(dm_radix *r, dm_radix_pass pass, void *context);
void dm_radix_destroy(dm_radix **r);

/** Some of the work was done by an earlier run or has been saved by this one, so that `local` of the answers is not known. */
bool dm_radix_resumed(const dm_radix *r);
/** Of a pass that has a name; `radix` is a dm_radix. See dm_pass_state. */
void dm_radix_gather(void *radix, dm_packer *p);
void dm_radix_restore(void *radix, dm_unpacker *u);

/** Words that dm_radix_offer() looks at in this pass; the others may be anything. Local. */
int32_t dm_radix_words_needed(const dm_radix *r);
/** Thread-safe with one `thread` in [0, threads) a caller. */
void dm_radix_offer(dm_radix *r, int thread, int32_t set, const uint64_t *word);

#endif
