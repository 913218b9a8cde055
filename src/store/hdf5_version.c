#include "store/hdf5_version.h"

#include <hdf5.h>
#include <stdio.h>

#include "store/hdf5_util.h"

const char *dm_hdf5_version(void)
{
    static char text[32];
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u (parallel)", major, minor, release);
    return text;
}

demarc_status dm_hdf5_before_mpi(void) { return dm_hdf5_start(); }
