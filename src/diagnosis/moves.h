/*
 * Why did customers change their segment? The labels of the customers who are in both runs, changed in three steps, always in
 * this order:
 *   l0  old values, old scaling, old centroids: the old run's label;
 *   l1  NEW values, old scaling, old centroids;
 *   l2  new values, NEW scaling, old centroids, which keep their coordinates in scaled space;
 *   l3  new values, new scaling, NEW centroids: the new run's label, told by the old segment it is matched with.
 * A customer with l3 != l0 has moved, and is counted at the first step whose label is not l0: the customer changed, else the
 * scaling, else the model. So the three sum to all moves exactly, and a file with unchanged values gives no move by customers.
 * (A label that leaves l0 and returns by l3 is no move.) Where both runs scale alike, l2 is l1 by definition: each working
 * space is rounded about its own mean, and such rounding is nobody's change.
 *
 * Missing values are where the scaling in question puts them, at its mean.
 */
#ifndef DM_DIAGNOSIS_MOVES_H
#define DM_DIAGNOSIS_MOVES_H

#include "diagnosis/compared.h"
#include "report/compare_report.h"

/**
 * Count the moves. Collective; two passes over the new customers.
 * @param[in]  label     [rows] of the new run, this rank's
 * @param[in]  before    [rows] of the old run, -1 = was not there
 * @param[out] moves_of  [k_old]
 */
demarc_status dm_moves(const dm_compared *c, const dm_pairing *pairing, const int32_t *label, const int32_t *before,
                       dm_compare_moves *moves_of);

/**
 * Are the stored labels those that the model gives the customers of the file? One pass. Collective.
 * @retval DEMARC_ERR_DATA  no: the first row that differs is named
 */
demarc_status dm_labels_check(const dm_compared *c, int side, const int32_t *label);

#endif
