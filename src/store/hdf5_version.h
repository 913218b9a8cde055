/* The HDF5 library as a whole, for rooms that do not see hdf5.h. Local. */
#ifndef DM_STORE_HDF5_VERSION_H
#define DM_STORE_HDF5_VERSION_H

#include "base/status.h"

/** "1.10.8 (parallel)"; static. */
const char *dm_hdf5_version(void);

/**
 * Start HDF5; to be called before MPI starts. HDF5 1.10 that starts under MPI shuts itself down in MPI_Finalize, and there
 * crashes over a file that could not be closed because a write failed: the rank would end by a signal after its error line.
 */
demarc_status dm_hdf5_before_mpi(void);

#endif
