/*
 * The file of bootstrap membership probabilities: /id (as results hold ids), /segment int32 [n], the model's; /probability
 * float32 [n, k], share of the replicates in which the customer is in each segment (stability.h). Attributes of "/": kind =
 * "membership probabilities", format_version, model_digest, replicates, seed. Rows in input order.
 */
#ifndef DM_DIAGNOSIS_MEMBERSHIP_FILE_H
#define DM_DIAGNOSIS_MEMBERSHIP_FILE_H

#include "diagnosis/stability.h"

/** Bytes of the file, about. Local. */
int64_t dm_membership_file_bytes(const dm_solution_data *data);
/** Window by window, one pass. Collective. @param[in] path  a temporary. @retval DEMARC_STOPPED */
demarc_status dm_membership_file_write(const dm_solution_data *data, const dm_memberships *members, demarc_io io,
                                       const char *path);

#endif
