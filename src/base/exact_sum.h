/*
 * Exactly associative sums of doubles.
 *
 * A superaccumulator (Kulisch & Snyder 2011; Neal 2015, "Fast exact summation using small and large
 * superaccumulators") holds a sum of doubles as a fixed-point number wide enough for every finite double. Adding is
 * exact, so any order of adding and merging gives the same bits; only dm_exact_sum_value() rounds, once, to nearest
 * even. Callers add one double per row block (or per row where rows are few), so the cost stays small.
 */
#ifndef DM_BASE_EXACT_SUM_H
#define DM_BASE_EXACT_SUM_H

#include <stdint.h>

#define DM_EXACT_CHUNKS 68

/** Value = sum of chunk[i] 2^(32 i - 1075). All zero is a valid empty sum. Safe to add 2^10 times per normalisation. */
typedef struct dm_exact_sum {
    int64_t chunk[DM_EXACT_CHUNKS];
    int64_t pending; /* additions since the last carry propagation; an int64 so that the struct is an array of int64 */
} dm_exact_sum;

/** Add a finite double. A NaN or infinity is the caller's error and poisons nothing: it is ignored. */
void dm_exact_sum_add(dm_exact_sum *s, double x);
/** s += t. */
void dm_exact_sum_merge(dm_exact_sum *s, const dm_exact_sum *t);
/** Propagate carries: afterwards |chunk[i]| < 2^32, so up to 2^31 such structs may be added chunk by chunk. */
void dm_exact_sum_normalize(dm_exact_sum *s);
/** The sum rounded once to the nearest double (ties to even; overflow gives an infinity). */
double dm_exact_sum_value(const dm_exact_sum *s);

#endif
