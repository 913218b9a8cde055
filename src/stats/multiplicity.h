/*
 * Adjustment of p-values for the number of tests. Local.
 *
 * Holm: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979):
 * sorted p(1) <= ... <= p(M), adjusted p(i) = max over l <= i of min(1, (M - l + 1) p(l)); controls the family-wise error
 * under any dependence.
 * BH: Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995):
 * adjusted p(i) = min over l >= i of min(1, M p(l) / l); controls the false discovery rate under independence or positive
 * regression dependence.
 *
 * The same numbers as R's p.adjust(). A NaN is a test that was not made: it stays NaN and does not count.
 */
#ifndef DM_STATS_MULTIPLICITY_H
#define DM_STATS_MULTIPLICITY_H

#include <stdint.h>

#include "base/status.h"

typedef enum dm_adjust { DM_ADJUST_HOLM, DM_ADJUST_BH } dm_adjust;

/** "holm", "bh". Static. */
const char *dm_adjust_name(dm_adjust how);

/**
 * adjusted[i] for p[i], i in [0, count). `adjusted` may be `p`.
 * @param[out] made  number of tests that count (may be NULL)
 * @retval DEMARC_ERR_MEMORY
 */
demarc_status dm_adjust_p(dm_adjust how, const double *p, int64_t count, double *adjusted, int64_t *made);

#endif
