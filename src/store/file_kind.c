#include "store/file_kind.h"

#include <errno.h>
#include <sys/stat.h>

#include "store/hdf5_read.h"

static demarc_status look(const char *path, dm_file_kind *kind, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    struct stat s;
    hid_t file = DM_HDF5_NONE;
    bool transform = false, segment = false, margin = false;
    if (stat(path, &s) != 0) {
        const int reason = errno;
        (void)dm_fail_errno(reason, "cannot open %s: check the name and its permissions", path);
        return reason == ENOENT || reason == ENOTDIR ? DEMARC_ERR_DATA : DEMARC_ERR_IO;
    }
    *bytes = 0;
    *kind = DM_KIND_RESULTS;
    if (S_ISDIR(s.st_mode)) return DEMARC_OK;
    *bytes = (int64_t)s.st_size;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, "give a customer file, a model, assignments or a results directory"));
    DM_TRY(dm_hdf5_exists(file, path, "/transform", &transform));
    DM_TRY(dm_hdf5_exists(file, path, "/segment", &segment));
    DM_TRY(dm_hdf5_exists(file, path, "/margin", &margin));
    *kind = transform ? DM_KIND_MODEL : segment && margin ? DM_KIND_ASSIGNMENTS : DM_KIND_CUSTOMERS;
cleanup:
    dm_hdf5_close(&file);
    return st;
}

demarc_status dm_file_kind_of(dm_comm *comm, const char *path, dm_file_kind *kind, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    if (dm_comm_rank(comm) == 0) st = look(path, kind, bytes);
    if ((st = dm_comm_agree(comm, st)) != DEMARC_OK) return st;
    dm_comm_bcast(comm, kind, sizeof *kind, 0);
    dm_comm_bcast(comm, bytes, sizeof *bytes, 0);
    return DEMARC_OK;
}
