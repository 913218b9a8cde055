/* Telling our files apart by what they hold. */
#ifndef DM_STORE_FILE_KIND_H
#define DM_STORE_FILE_KIND_H

#include "comm/comm.h"

typedef enum dm_file_kind {
    DM_KIND_CUSTOMERS,
    DM_KIND_MODEL,
    DM_KIND_ASSIGNMENTS,
    DM_KIND_RESULTS, /* directory of a fit */
    DM_KIND_PLAN,    /* directory of a plan */
    DM_KIND_EXPERIMENT,
    DM_KIND_OFFSETS /* critical offsets of a sweep */
} dm_file_kind;

/**
 * A directory with experiment.h5 is a plan, another one holds results; an HDF5 file is what its attribute "kind" says, with /transform a model, with /segment
 * and /margin assignments, anything else a customer file (whose own checks follow). Collective; rank 0 looks.
 * @param[out] bytes  size of the file; 0 for a directory
 */
demarc_status dm_file_kind_of(dm_comm *comm, const char *path, dm_file_kind *kind, int64_t *bytes);

#endif
