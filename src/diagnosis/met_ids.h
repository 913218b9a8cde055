/*
 * Customers of one file met in another by id: every row of `here` learns the value that its customer brought from `there`.
 *
 * Every id has an owner among the ranks by its hash. Rows of `there` travel to their owners and are put into a table; rows
 * of `here` follow batch by batch as questions, and the answers travel back. Hashes only say where to look: ids are compared
 * byte by byte (integers by value), so a collision joins nobody wrongly. A rank holds its share of the table and one batch;
 * where even that is more than `budget`, ids are met in several sweeps over both columns, each with a part of the hashes.
 * What a row learns depends on the ids alone.
 */
#ifndef DM_DIAGNOSIS_MET_IDS_H
#define DM_DIAGNOSIS_MET_IDS_H

#include "base/row_blocks.h"
#include "comm/comm.h"
#include "store/customer_file.h"

/**
 * Meet. Collective. Ids are unique in each file (dm_customers_check_ids).
 * @param[in]  value   [this rank's rows of `there`] >= 0
 * @param[in]  budget  bytes of the table on a rank
 * @param[out] met     [this rank's rows of `here`] the value, -1 = `there` has no such customer; the caller allocates
 * @retval DEMARC_ERR_DATA  ids of different kinds
 */
demarc_status dm_met_values(dm_comm *comm, dm_customers *there, const int32_t *value, dm_customers *here,
                            int64_t budget, int32_t *met);

#endif
