#include "store/file_kind.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/hdf5_read.h"

/* What the attribute "kind" says; DM_KIND_CUSTOMERS where it says nothing that we know. */
static demarc_status ask(hid_t file, const char *path, dm_file_kind *kind)
{
    dm_strings word = {0};
    bool present = false;
    const demarc_status st = dm_hdf5_attribute_texts(file, path, "/", "kind", &word, &present);
    const char *text = st == DEMARC_OK && word.count == 1 ? word.item[0] : "";
    *kind = strcmp(text, "experiment") == 0         ? DM_KIND_EXPERIMENT
            : strcmp(text, "critical offsets") == 0 ? DM_KIND_OFFSETS
                                                    : DM_KIND_CUSTOMERS;
    dm_strings_clear(&word);
    /* Somebody else's attribute of that name may hold anything. */
    return st == DEMARC_ERR_DATA ? DEMARC_OK : st;
}

static bool holds(const char *folder, const char *name)
{
    struct stat s;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return false;
    const bool there = stat(path, &s) == 0;
    free(path);
    return there;
}

static demarc_status look(const char *path, dm_file_kind *kind, int64_t *bytes)
{
    demarc_status st = DEMARC_OK;
    struct stat s;
    hid_t file = DM_HDF5_NONE;
    bool transform = false, segment = false, margin = false;
    *bytes = 0;
    const bool there = stat(path, &s) == 0; /* if not, opening it says why */
    if (there && S_ISDIR(s.st_mode)) {
        *kind = holds(path, "experiment.h5") ? DM_KIND_PLAN : DM_KIND_RESULTS;
        return DEMARC_OK;
    }
    if (there) *bytes = (int64_t)s.st_size;
    DM_TRY(dm_hdf5_start());
    DM_TRY(dm_hdf5_open_read(&file, path, "give a customer file, a model, assignments or a results directory"));
    DM_TRY(ask(file, path, kind));
    if (*kind != DM_KIND_CUSTOMERS) goto cleanup;
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
