/*
 * Philox4x32 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, section 4.3) for counters
 * (row low, row high, step, fourth): the constants, and what rounds 1 and 2 need of the row alone.
 *
 * Not by Random123, which src/base owns: what compilers make of its text shuffles lanes in every round and takes 2.5 times
 * as long. The tests hold the two against each other.
 */
#ifndef DMK_PHILOX_H
#define DMK_PHILOX_H

#include "dmk.h"

#define DMK_PHILOX_M0 0xd2511f53u /* multipliers */
#define DMK_PHILOX_M1 0xcd9e8d57u
#define DMK_PHILOX_W0 0x9e3779b9u /* what the key grows by in a round */
#define DMK_PHILOX_W1 0xbb67ae85u

/*
 * With s = step * M1, the same for all rows, the words after round 1 are {high(s) ^ first, low(s), -, -}, and after round 2
 * {low(s) ^ second[0], second[1], high(t) ^ second[2], low(t)} where t = M0 * (the first of them).
 */
typedef struct dmk_philox_row {
    uint32_t first, second[3];
} dmk_philox_row;

static inline dmk_philox_row dmk_philox_begin(const dmk_counts *c, int64_t row)
{
    const uint64_t p = (uint64_t)DMK_PHILOX_M0 * (uint32_t)row;
    const uint64_t q = (uint64_t)DMK_PHILOX_M1 * ((uint32_t)(p >> 32) ^ c->fourth ^ c->key[1]);
    return (dmk_philox_row){
        (uint32_t)((uint64_t)row >> 32) ^ c->key[0],
        {(uint32_t)(q >> 32) ^ (c->key[0] + DMK_PHILOX_W0), (uint32_t)q, (uint32_t)p ^ (c->key[1] + DMK_PHILOX_W1)}};
}

#endif
