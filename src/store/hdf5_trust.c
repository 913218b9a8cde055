#include "store/hdf5_trust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/hdf5_read.h"

#define DEFLATE_MOST 1032.0     /* bytes out of one byte in */
#define CHUNK_MOST 4294967295.0 /* bytes; HDF5's own limit */
#define INDEX_LEAST 8.0         /* bytes that the index of chunks spends on each, at least */

static bool allowed;

void dm_external_allow(bool yes) { allowed = yes; }
bool dm_external_allowed(void) { return allowed; }

void dm_hdf5_trust_filters(void)
{
    static unsigned before;
    static bool known;
    if (!known) known = H5PLget_loading_state(&before) >= 0;
    if (known) (void)H5PLset_loading_state(allowed ? before : before & ~(unsigned)H5PL_FILTER_PLUGIN);
}

/* ------------------------------------------------------------------------------------------------ links */

static char refused[512]; /* where the last link out of a file led; "" = none was met */

static herr_t refuse_link(const char *parent, const char *group, const char *file, const char *object, unsigned *flags,
                          hid_t access, void *data)
{
    (void)parent;
    (void)group;
    (void)flags;
    (void)access;
    (void)data;
    snprintf(refused, sizeof refused, "%.200s in file %.200s", object, file);
    return -1;
}

demarc_status dm_hdf5_guard_links(hid_t access)
{
    refused[0] = 0;
    if (allowed || H5Pset_elink_cb(access, refuse_link, NULL) >= 0) return DEMARC_OK;
    return dm_hdf5_fail(DEMARC_ERR_SYSTEM, "HDF5 refuses link properties: this system: check its version");
}

demarc_status dm_hdf5_refused(const char *path, const char *object)
{
    if (refused[0] == 0) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA,
                   "link to another file: %s, %s leads to %s: copy the data into one file, or give --allow-external if "
                   "you trust it",
                   path, object, refused);
}

demarc_status dm_hdf5_object_open(hid_t *out, hid_t file, const char *path, const char *object)
{
    demarc_status st = DEMARC_OK;
    hid_t access = H5Pcreate(H5P_LINK_ACCESS);
    *out = DM_HDF5_NONE;
    if (access < 0) return dm_hdf5_fail(DEMARC_ERR_SYSTEM, "HDF5 refuses link properties: %s: check its version", path);
    DM_TRY(dm_hdf5_guard_links(access));
    *out = H5Oopen(file, object, access);
    if (*out < 0) {
        *out = DM_HDF5_NONE;
        DM_TRY(dm_hdf5_refused(path, object));
        char reason[256];
        const bool known = dm_hdf5_reason(reason, sizeof reason);
        const demarc_status blame = dm_hdf5_blame();
        bool there = true;
        DM_TRY(dm_hdf5_exists(file, path, object, &there));
        if (!there) DM_TRY(dm_fail(DEMARC_ERR_DATA, "no such dataset: %s, %s: give a file that has it", path, object));
        st = dm_fail(blame, "cannot be opened (%s): %s, %s: the file is damaged, copy or write it again",
                     known ? reason : "no reason given", path, object);
    }
cleanup:
    dm_hdf5_close(&access);
    return st;
}

/* ------------------------------------------------------------------------------------------------ values elsewhere */

static demarc_status fail_elsewhere(const char *path, const char *object, const char *how, const char *source)
{
    return dm_fail(DEMARC_ERR_DATA,
                   "values lie in other files: %s, %s is %s, of %.200s: copy it into one dataset, or give "
                   "--allow-external if you trust it",
                   path, object, how, source);
}

/* HDF5 looks for raw files in the current folder, and reads what a file lacks as zeros. */
static demarc_status check_raw(hid_t plist, const char *path, const char *object, double bytes)
{
    const int files = H5Pget_external_count(plist);
    for (int i = 0; i < files; i++) {
        char name[1024] = "";
        off_t offset = 0;
        hsize_t size = 0;
        struct stat info;
        if (H5Pget_external(plist, (unsigned)i, sizeof name - 1, name, &offset, &size) < 0)
            return dm_hdf5_fail(DEMARC_ERR_DATA, "cannot be read: %s, %s: write the file again", path, object);
        if (!allowed) return fail_elsewhere(path, object, "external", name);
        const double needed = size == H5F_UNLIMITED || (double)size > bytes ? bytes : (double)size;
        if (stat(name, &info) != 0 || (double)info.st_size < (double)offset + needed) {
            return dm_fail(DEMARC_ERR_DATA, "values are missing: %s, %s needs %.200s, which %s: put it in its place",
                           path, object, name, "is not there or too short");
        }
        bytes -= needed;
    }
    return DEMARC_OK;
}

/* A source of a virtual dataset, beside the file or in the current folder as HDF5 looks for it. */
static demarc_status check_source(const char *path, const char *object, const char *name, const char *set)
{
    demarc_status st = DEMARC_OK;
    hid_t file = DM_HDF5_NONE;
    char *beside = NULL;
    bool exists = false;
    struct stat info;
    const char *slash = strrchr(path, '/');
    const bool relative = name[0] != '/' && slash != NULL;
    if (asprintf(&beside, "%.*s%s", relative ? (int)(slash - path) + 1 : 0, path, name) < 0)
        return dm_fail(DEMARC_ERR_MEMORY, "out of memory: a path: free some memory");
    const char *found = strcmp(name, ".") == 0 ? path : stat(beside, &info) == 0 ? beside : name;
    if (strchr(name, '%') != NULL || strchr(set, '%') != NULL) {
        st = dm_fail(DEMARC_ERR_DATA,
                     "values lie in numbered files: %s, %s is virtual, of %.200s: copy it into one "
                     "dataset",
                     path, object, name);
    } else {
        st = dm_hdf5_open_read(&file, found, "a source of a virtual dataset");
        if (st == DEMARC_OK) st = dm_hdf5_exists(file, found, set, &exists);
        if (st == DEMARC_OK && !exists) {
            st = dm_fail(DEMARC_ERR_DATA, "values are missing: %s, %s needs %s of %.200s: put it in its place", path,
                         object, set, found);
        }
    }
    dm_hdf5_close(&file);
    free(beside);
    return st;
}

static demarc_status check_virtual(hid_t plist, const char *path, const char *object)
{
    size_t sources = 0;
    if (H5Pget_virtual_count(plist, &sources) < 0)
        return dm_hdf5_fail(DEMARC_ERR_DATA, "cannot be read: %s, %s: write the file again", path, object);
    if (sources == 0) return fail_elsewhere(path, object, "virtual", "no file at all");
    for (size_t i = 0; i < sources; i++) {
        char name[1024] = "", set[1024] = "";
        if (H5Pget_virtual_filename(plist, i, name, sizeof name) < 0 ||
            H5Pget_virtual_dsetname(plist, i, set, sizeof set) < 0)
            return dm_hdf5_fail(DEMARC_ERR_DATA, "cannot be read: %s, %s: write the file again", path, object);
        if (!allowed) return fail_elsewhere(path, object, "virtual", name);
        const demarc_status st = check_source(path, object, name, set);
        if (st != DEMARC_OK) return st;
    }
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ sizes */

static double file_bytes(hid_t set)
{
    hid_t file = H5Iget_file_id(set);
    hsize_t bytes = 0;
    if (file < 0 || H5Fget_filesize(file, &bytes) < 0) bytes = 0;
    dm_hdf5_close(&file);
    return (double)bytes;
}

/* Most bytes that chunks in a file of `file` bytes can unfold to; infinity where a filter has no bound. */
static double unfolded(hid_t plist, double file)
{
    double ratio = DEFLATE_MOST; /* also without deflate: chunks may be left out */
    const int count = H5Pget_nfilters(plist);
    for (int i = 0, deflates = 0; i < count; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        const H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (id == H5Z_FILTER_DEFLATE && deflates++ > 0) ratio *= DEFLATE_MOST;
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32) return INFINITY;
    }
    return ratio * file;
}

/* Chunks that are in the file, infinity if that cannot be told. */
static double chunks_stored(hid_t set, hid_t space)
{
    hsize_t count = 0;
    return H5Dget_num_chunks(set, space, &count) < 0 ? INFINITY : (double)count;
}

static bool chunks_fit(hid_t set, hid_t plist, hid_t space, const hsize_t *size, double width, double bytes,
                       double file)
{
    const int rank = H5Sget_simple_extent_ndims(space);
    hsize_t chunk[H5S_MAX_RANK] = {0};
    double count = 1.0, chunk_bytes = width;
    if (H5Pget_chunk(plist, H5S_MAX_RANK, chunk) != rank) return false;
    for (int i = 0; i < rank; i++) {
        if (chunk[i] == 0) return false;
        count *= ceil((double)size[i] / (double)chunk[i]);
        chunk_bytes *= (double)chunk[i];
    }
    double most = unfolded(plist, file);
    /* What szip, n-bit and scale-offset make of a few bytes has no bound but the chunk; chunks left out do not add to it. */
    if (isinf(most)) most = chunks_stored(set, space) * chunk_bytes + DEFLATE_MOST * file;
    return chunk_bytes <= CHUNK_MOST && count * INDEX_LEAST <= file && bytes <= most &&
           (count == 0.0 || chunk_bytes <= most);
}

/* In one piece: as many bytes as the shape needs, which HDF5 1.10 takes for granted when it reads; or none yet, if they
   do not lie in the header. */
static bool piece_fits(hid_t set, hid_t type, bool contiguous, double bytes, double file)
{
    const hsize_t stored = H5Dget_storage_size(set);
    const H5T_class_t class = H5Tget_class(type); /* others are larger or smaller in memory than in the file */
    const bool plain = class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_ENUM ||
                       (class == H5T_STRING && H5Tis_variable_str(type) == 0);
    return bytes <= file && ((contiguous && stored == 0) || !plain || (double)stored == bytes);
}

static demarc_status check_size(hid_t set, hid_t plist, const char *path, const char *object)
{
    demarc_status st = DEMARC_OK;
    hsize_t size[H5S_MAX_RANK] = {0};
    hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    const int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, size, NULL);
    const double width = type < 0 ? 0.0 : (double)H5Tget_size(type), file = file_bytes(set);
    double bytes = width;
    char text[32];
    for (int i = 0; i < rank; i++) bytes *= (double)size[i];
    const H5D_layout_t layout = H5Pget_layout(plist);
    const bool elsewhere = layout == H5D_VIRTUAL || H5Pget_external_count(plist) > 0;
    if (rank < 0 || !(width > 0.0)) {
        st = dm_hdf5_fail(DEMARC_ERR_DATA, "cannot be read: %s, %s: the file is damaged, write it again", path, object);
    } else if (elsewhere) {
        st = layout == H5D_VIRTUAL ? check_virtual(plist, path, object) : check_raw(plist, path, object, bytes);
    } else if (layout == H5D_CHUNKED ? !chunks_fit(set, plist, space, size, width, bytes, file)
                                     : H5Sget_simple_extent_type(space) != H5S_NULL &&
                                           !piece_fits(set, type, layout == H5D_CONTIGUOUS, bytes, file)) {
        st = dm_fail(
            DEMARC_ERR_DATA,
            "impossible size: %s, %s claims %s of values in a file of %.0f bytes: the file is damaged or was not "
            "written to its end, write it again",
            path, object, dm_text_bytes(text, bytes), file);
    }
    dm_hdf5_close(&space);
    dm_hdf5_close(&type);
    return st;
}

demarc_status dm_hdf5_check_storage(hid_t set, const char *path, const char *object)
{
    hid_t plist = H5Dget_create_plist(set);
    const demarc_status st =
        plist >= 0 ? check_size(set, plist, path, object)
                   : dm_hdf5_fail(DEMARC_ERR_DATA, "cannot be read: %s, %s: the file is damaged, write it again", path,
                                  object);
    dm_hdf5_close(&plist);
    return st;
}
