#include "store/offsets_file.h"

#include "store/hdf5_column.h"
#include "store/hdf5_read.h"

#define REMEDY "give the file that demarc boundary sweep --out wrote"

demarc_status dm_offsets_shape(const char *path, int64_t *n, int64_t *k, dm_strings *digest)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE;
    dm_column offset = {0};
    bool present = false;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, REMEDY));
    DM_TRY(dm_column_open(&offset, file, path, "/critical_offset", false));
    if (offset.kind != DM_VALUE_FLOAT || offset.dimensions != 2 || offset.rows < 1 || offset.columns < 1) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged critical offsets: %s, /critical_offset is %s of %s: " REMEDY, path,
                       offset.shape_text, offset.type_text));
    }
    DM_TRY(dm_hdf5_attribute_texts(file, path, "/", "model_digest", digest, &present));
    if (!present || digest->count != 1) {
        DM_TRY(dm_fail(DEMARC_ERR_DATA, "damaged critical offsets: %s has no attribute model_digest: " REMEDY, path));
    }
    *n = offset.rows;
    *k = offset.columns;
cleanup:
    dm_column_close(&offset);
    dm_hdf5_close(&file);
    return st;
}
