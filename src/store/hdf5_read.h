/*
 * Reading HDF5 files that others wrote: open, look up, names and numbers in attributes. Read-only, for this room.
 *
 * Local; every error line names the file and the object. A wrong file is DEMARC_ERR_DATA, a failing system
 * (permission, I/O error) DEMARC_ERR_IO.
 */
#ifndef DM_STORE_HDF5_READ_H
#define DM_STORE_HDF5_READ_H

#include "base/text.h"
#include "store/hdf5_util.h"

/**
 * Open `path` read-only with the POSIX driver and without a lock, so that read-only media and Lustre work.
 * @param[in]  remedy  last part of the error line when it is no such file, e.g. "give a customer file"
 */
demarc_status dm_hdf5_open_read(hid_t *file, const char *path, const char *remedy);

/** Whether `object` exists; a link that leads nowhere is an error. */
demarc_status dm_hdf5_exists(hid_t file, const char *path, const char *object, bool *exists);

/** DEMARC_ERR_IO when HDF5's error stack tells of a failed system call, else DEMARC_ERR_DATA. */
demarc_status dm_hdf5_blame(void);

/**
 * Strings of attribute `name`, fixed or variable length, any shape, in storage order; padding is removed.
 * @param[out] out      zeroed or filled; to be cleared by the caller
 * @param[out] present  false and `out` empty when there is no such attribute
 */
demarc_status dm_hdf5_attribute_texts(hid_t object, const char *path, const char *object_path, const char *name,
                                      dm_strings *out, bool *present);
/** Numbers of an attribute that must exist and hold `count` of them. */
demarc_status dm_hdf5_attribute_f64(hid_t object, const char *path, const char *object_path, const char *name,
                                    int64_t count, double *out);
demarc_status dm_hdf5_attribute_i64(hid_t object, const char *path, const char *object_path, const char *name,
                                    int64_t count, int64_t *out);
demarc_status dm_hdf5_attribute_u64(hid_t object, const char *path, const char *object_path, const char *name,
                                    uint64_t *out);
/** Strings of a dataset that must exist (feature names of a model, ...). */
demarc_status dm_hdf5_dataset_texts(hid_t file, const char *path, const char *object, dm_strings *out);

/** A memory type for strings that are stored as `stored` (variable or fixed length); closed by the caller. */
hid_t dm_hdf5_text_type(hid_t stored);
/** Cut the padding of one fixed-length string: the bytes from the first NUL, or trailing spaces, become NUL. */
void dm_hdf5_trim_fixed(char *text, size_t size, H5T_str_t padding);

/** @retval DEMARC_ERR_DATA  an empty or a repeated name; `kind` is what a name is for ("feature", "outcome", ...) */
demarc_status dm_hdf5_check_names(const dm_strings *names, const char *path, const char *object_path, const char *kind);

#endif
