/* The HDF5 library's version for --version and the manifest. Local. */
#ifndef DM_STORE_HDF5_VERSION_H
#define DM_STORE_HDF5_VERSION_H

/** "1.10.8 (parallel)"; static. */
const char *dm_hdf5_version(void);

#endif
