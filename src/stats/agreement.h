/*
 * How alike two partitions of the same customers are, from the table that counts customers by both. Local, pure.
 *
 * count[i, j] >= 0 customers lie in block i of the one and j of the other; n_i, n_j are its row and column sums, n the total.
 * Blocks may be empty. All sums of counts are integers, so partitions that are equal up to their numbers give exactly 1
 * (Rand, Jaccard) and exactly 0 (variation of information).
 */
#ifndef DM_STATS_AGREEMENT_H
#define DM_STATS_AGREEMENT_H

#include <stdint.h>

/**
 * Adjusted Rand index (L. Hubert and P. Arabie, "Comparing partitions", Journal of Classification 2, 1985): with S pairs of
 * customers together in both, A in the one, B in the other, of T pairs, (S - A B / T) / ((A + B) / 2 - A B / T). 1 where
 * neither separates or joins what the other does not (both are one block, or all blocks hold one customer); 0 expected by
 * chance. NaN without customers. @param[in] count  [a, b] row-major
 */
double dm_adjusted_rand(const int64_t *count, int32_t a, int32_t b);

/**
 * Variation of information (M. Meila, "Comparing clusterings - an information based distance", Journal of Multivariate
 * Analysis 98, 2007) in nats: sum of n_ij / n (log(n_i / n_ij) + log(n_j / n_ij)), in [0, log n]. NaN without customers.
 */
double dm_variation_of_information(const int64_t *count, int32_t a, int32_t b);

/**
 * jaccard[i, j] = n_ij / (n_i + n_j - n_ij): customers in both of all in either; 0 where both blocks are empty.
 * @param[out] jaccard  [a, b]; the caller allocates
 */
void dm_jaccard(const int64_t *count, int32_t a, int32_t b, double *jaccard);

#endif
