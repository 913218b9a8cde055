#include "store/hdf5_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/hdf5_trust.h"

/* ------------------------------------------------------------------------------------------------ open */

/* Everything about the file that HDF5 would report in its own words or not at all. */
static demarc_status check_regular(const char *path, const char *remedy)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return dm_fail(DEMARC_ERR_DATA, "no such file: %s: check the path", path);
        return dm_fail(DEMARC_ERR_IO, "cannot be opened (%s): %s: check permissions and the file system",
                       strerror(errno), path);
    }
    if (S_ISDIR(info.st_mode)) return dm_fail(DEMARC_ERR_DATA, "is a directory: %s: %s", path, remedy);
    if (!S_ISREG(info.st_mode)) return dm_fail(DEMARC_ERR_DATA, "not a regular file: %s: %s", path, remedy);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return dm_fail(DEMARC_ERR_IO, "cannot be opened (%s): %s: check its permissions", strerror(errno), path);
    }
    (void)close(fd);
    if (info.st_size == 0) return dm_fail(DEMARC_ERR_DATA, "empty file: %s: %s", path, remedy);
    return DEMARC_OK;
}

static herr_t find_system(unsigned level, const H5E_error2_t *error, void *data)
{
    (void)level;
    if (error->desc != NULL && strstr(error->desc, "errno = ") != NULL) *(bool *)data = true;
    return 0;
}

demarc_status dm_hdf5_blame(void)
{
    bool system = false;
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_system, &system);
    return system ? DEMARC_ERR_IO : DEMARC_ERR_DATA;
}

static demarc_status fail_open(const char *path, const char *remedy)
{
    char reason[256];
    unsigned long long is = 0, base = 0, should = 0;
    bool known = dm_hdf5_reason(reason, sizeof reason);
    demarc_status st = dm_hdf5_blame();
    if (sscanf(reason, "truncated file: eof = %llu, sblock->base_addr = %llu, stored_eof = %llu", &is, &base,
               &should) == 3) {
        return dm_fail(st, "truncated HDF5 file: %s ends after %llu of %llu bytes: copy or write it again", path, is,
                       base + should);
    }
    if (st == DEMARC_ERR_DATA && H5Fis_hdf5(path) <= 0) return dm_fail(st, "not an HDF5 file: %s: %s", path, remedy);
    return dm_fail(st, "damaged HDF5 file (%s): %s: copy or write it again", known ? reason : "no reason given", path);
}

demarc_status dm_hdf5_open_read(hid_t *file, const char *path, const char *remedy)
{
    demarc_status st = DEMARC_OK;
    hid_t access = DM_HDF5_NONE;
    *file = DM_HDF5_NONE;
    DM_TRY(dm_hdf5_start());
    DM_TRY(check_regular(path, remedy));
    DM_TRY(dm_hdf5_file_access(&access));
    dm_hdf5_trust_filters();
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (*file < 0) {
        st = fail_open(path, remedy);
        *file = DM_HDF5_NONE;
    }
cleanup:
    dm_hdf5_close(&access);
    return st;
}

/* ------------------------------------------------------------------------------------------------ look up */

static demarc_status fail_lookup(const char *path, const char *object)
{
    const demarc_status st = dm_hdf5_refused(path, object);
    if (st != DEMARC_OK) return st;
    char reason[256];
    bool known = dm_hdf5_reason(reason, sizeof reason);
    return dm_fail(dm_hdf5_blame(),
                   "cannot be looked up (%s): %s, %s: check the name; if it is right, the file is damaged",
                   known ? reason : "no reason given", path, object);
}

/* HDF5 can only ask whether the last part of a path exists, so walk from the root. */
static htri_t walk_links(hid_t file, char *object, hid_t access)
{
    for (char *p = object; *p != 0;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char after = *p;
        *p = 0;
        bool root = object[strspn(object, "/")] == 0;
        htri_t there = root ? 1 : H5Lexists(file, object, access);
        *p = after;
        if (there <= 0) return there;
        p += strspn(p, "/");
    }
    return 1;
}

demarc_status dm_hdf5_exists(hid_t file, const char *path, const char *object, bool *exists)
{
    demarc_status st = DEMARC_OK;
    hid_t access = DM_HDF5_NONE;
    *exists = false;
    char *copy = strdup(object);
    if (copy == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: a name: free some memory");
    access = H5Pcreate(H5P_LINK_ACCESS);
    if (access < 0) DM_TRY(dm_hdf5_fail(DEMARC_ERR_SYSTEM, "HDF5 refuses link properties: %s: check HDF5", path));
    DM_TRY(dm_hdf5_guard_links(access));
    htri_t there = walk_links(file, copy, access);
    if (there < 0) DM_TRY(fail_lookup(path, object));
    if (there == 0) goto cleanup;
    there = H5Oexists_by_name(file, object, access);
    DM_TRY(dm_hdf5_refused(path, object));
    if (there < 0) DM_TRY(fail_lookup(path, object));
    if (there == 0) {
        st = dm_fail(DEMARC_ERR_DATA, "a link that leads nowhere: %s, %s: repair or remove it", path, object);
    }
    *exists = there > 0;
cleanup:
    dm_hdf5_close(&access);
    free(copy);
    return st;
}

/* ------------------------------------------------------------------------------------------------ strings */

hid_t dm_hdf5_text_type(hid_t stored)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    bool variable = H5Tis_variable_str(stored) > 0;
    if (type < 0 || H5Tset_size(type, variable ? H5T_VARIABLE : H5Tget_size(stored)) < 0 ||
        H5Tset_cset(type, H5Tget_cset(stored)) < 0 || (!variable && H5Tset_strpad(type, H5Tget_strpad(stored)) < 0)) {
        dm_hdf5_close(&type);
    }
    return type;
}

void dm_hdf5_trim_fixed(char *text, size_t size, H5T_str_t padding)
{
    size_t length = strnlen(text, size);
    if (padding == H5T_STR_SPACEPAD) {
        while (length > 0 && text[length - 1] == ' ') length--;
    }
    memset(text + length, 0, size - length);
}

static demarc_status add_variable(dm_strings *out, char **text, int64_t count)
{
    demarc_status st = DEMARC_OK;
    for (int64_t i = 0; i < count && st == DEMARC_OK; i++) st = dm_strings_add(out, text[i] != NULL ? text[i] : "");
    return st;
}

static demarc_status add_fixed(dm_strings *out, char *text, int64_t count, size_t size, H5T_str_t padding)
{
    demarc_status st = DEMARC_OK;
    char *one = malloc(size + 1);
    if (one == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: list of names: free some memory");
    for (int64_t i = 0; i < count && st == DEMARC_OK; i++) {
        memcpy(one, text + (size_t)i * size, size);
        one[size] = 0;
        dm_hdf5_trim_fixed(one, size, padding);
        st = dm_strings_add(out, one);
    }
    free(one);
    return st;
}

/* An open attribute or dataset, whichever is valid, and how error lines call it. */
typedef struct text_source {
    hid_t attribute, dataset;
    const char *where;
} text_source;

static herr_t read_whole(const text_source *s, hid_t type, void *out)
{
    return s->attribute >= 0 ? H5Aread(s->attribute, type, out)
                             : H5Dread(s->dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
}

static demarc_status fail_read(const text_source *s)
{
    char reason[256];
    bool known = dm_hdf5_reason(reason, sizeof reason);
    return dm_fail(dm_hdf5_blame(), "cannot be read (%s): %s: the file is damaged, write it again",
                   known ? reason : "no reason given", s->where);
}

static demarc_status read_texts(const text_source *s, hid_t stored, hid_t space, dm_strings *out)
{
    demarc_status st = DEMARC_OK;
    char *bytes = NULL;
    hssize_t count = H5Sget_simple_extent_npoints(space);
    hid_t type = DM_HDF5_NONE;
    if (H5Tget_class(stored) != H5T_STRING) {
        return dm_fail(DEMARC_ERR_DATA, "not strings: %s: store names as fixed or variable-length strings", s->where);
    }
    if (count < 0 || count > INT32_MAX) return dm_fail(DEMARC_ERR_DATA, "too many strings: %s: store fewer", s->where);
    bool variable = H5Tis_variable_str(stored) > 0;
    type = dm_hdf5_text_type(stored);
    size_t size = type < 0 ? 0 : H5Tget_size(type);
    if (size == 0) return fail_read(s);
    DM_TRY(dm_alloc_bytes((void **)&bytes, count, size, true, "names"));
    if (count > 0 && read_whole(s, type, bytes) < 0) {
        st = fail_read(s);
    } else {
        st = variable ? add_variable(out, (char **)(void *)bytes, count)
                      : add_fixed(out, bytes, count, size, H5Tget_strpad(type));
    }
    if (variable) (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, bytes);
cleanup:
    dm_free(bytes);
    dm_hdf5_close(&type);
    return st;
}

demarc_status dm_hdf5_attribute_texts(hid_t object, const char *path, const char *object_path, const char *name,
                                      dm_strings *out, bool *present)
{
    demarc_status st = DEMARC_OK;
    char where[900];
    snprintf(where, sizeof where, "%s, %s, attribute %s", path, object_path, name);
    text_source s = {DM_HDF5_NONE, DM_HDF5_NONE, where};
    hid_t stored = DM_HDF5_NONE, space = DM_HDF5_NONE;
    dm_strings_clear(out);
    htri_t there = H5Aexists(object, name);
    *present = there > 0;
    if (there == 0) return DEMARC_OK;
    if (there < 0 || (s.attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 ||
        (stored = H5Aget_type(s.attribute)) < 0 || (space = H5Aget_space(s.attribute)) < 0) {
        st = fail_read(&s);
    } else {
        st = read_texts(&s, stored, space, out);
    }
    if (st != DEMARC_OK) dm_strings_clear(out);
    dm_hdf5_close(&space);
    dm_hdf5_close(&stored);
    dm_hdf5_close(&s.attribute);
    return st;
}

demarc_status dm_hdf5_dataset_texts(hid_t file, const char *path, const char *object, dm_strings *out)
{
    demarc_status st = DEMARC_OK;
    char where[900];
    snprintf(where, sizeof where, "%s, %s", path, object);
    text_source s = {DM_HDF5_NONE, DM_HDF5_NONE, where};
    hid_t stored = DM_HDF5_NONE, space = DM_HDF5_NONE;
    dm_strings_clear(out);
    DM_TRY(dm_hdf5_object_open(&s.dataset, file, path, object));
    if (H5Iget_type(s.dataset) != H5I_DATASET) {
        st = dm_fail(DEMARC_ERR_DATA, "not a dataset: %s: write the file again", where);
    } else if ((stored = H5Dget_type(s.dataset)) < 0 || (space = H5Dget_space(s.dataset)) < 0) {
        st = fail_read(&s);
    } else if ((st = dm_hdf5_check_storage(s.dataset, path, object)) == DEMARC_OK) {
        st = read_texts(&s, stored, space, out);
    }
cleanup:
    if (st != DEMARC_OK) dm_strings_clear(out);
    dm_hdf5_close(&space);
    dm_hdf5_close(&stored);
    dm_hdf5_close(&s.dataset);
    return st;
}

/* ------------------------------------------------------------------------------------------------ numbers in attributes */

static demarc_status attribute_numbers(hid_t object, const char *path, const char *object_path, const char *name,
                                       hid_t type, int64_t count, void *out)
{
    demarc_status st = DEMARC_OK;
    char where[900];
    snprintf(where, sizeof where, "%s, %s, attribute %s", path, object_path, name);
    text_source s = {DM_HDF5_NONE, DM_HDF5_NONE, where};
    hid_t stored = DM_HDF5_NONE, space = DM_HDF5_NONE;
    if (H5Aexists(object, name) == 0) return dm_fail(DEMARC_ERR_DATA, "missing: %s: write the file again", where);
    if ((s.attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 || (stored = H5Aget_type(s.attribute)) < 0 ||
        (space = H5Aget_space(s.attribute)) < 0) {
        st = fail_read(&s);
    } else if ((H5Tget_class(stored) != H5T_INTEGER && H5Tget_class(stored) != H5T_FLOAT) ||
               H5Sget_simple_extent_npoints(space) != count) {
        st = dm_fail(DEMARC_ERR_DATA, "not %lld number%s: %s: write the file again", (long long)count,
                     count == 1 ? "" : "s", where);
    } else if (H5Aread(s.attribute, type, out) < 0) {
        st = fail_read(&s);
    }
    dm_hdf5_close(&space);
    dm_hdf5_close(&stored);
    dm_hdf5_close(&s.attribute);
    return st;
}

demarc_status dm_hdf5_attribute_f64(hid_t object, const char *path, const char *object_path, const char *name,
                                    int64_t count, double *out)
{
    return attribute_numbers(object, path, object_path, name, H5T_NATIVE_DOUBLE, count, out);
}

demarc_status dm_hdf5_attribute_i64(hid_t object, const char *path, const char *object_path, const char *name,
                                    int64_t count, int64_t *out)
{
    return attribute_numbers(object, path, object_path, name, H5T_NATIVE_INT64, count, out);
}

demarc_status dm_hdf5_attribute_u64(hid_t object, const char *path, const char *object_path, const char *name,
                                    uint64_t *out)
{
    return attribute_numbers(object, path, object_path, name, H5T_NATIVE_UINT64, 1, out);
}

/* ------------------------------------------------------------------------------------------------ names */

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

demarc_status dm_hdf5_check_names(const dm_strings *names, const char *path, const char *object_path, const char *kind)
{
    demarc_status st = DEMARC_OK;
    char **sorted = NULL;
    DM_TRY(dm_alloc(sorted, names->count, "sorted names"));
    for (int32_t i = 0; i < names->count; i++) {
        sorted[i] = names->item[i];
        if (names->item[i][0] == 0) {
            st = dm_fail(DEMARC_ERR_DATA, "empty name: %s, %s, %s %d (counted from 0): name it", path, object_path,
                         kind, (int)i);
            goto cleanup;
        }
    }
    if (names->count > 1) qsort(sorted, (size_t)names->count, sizeof *sorted, compare_names);
    for (int32_t i = 1; i < names->count && st == DEMARC_OK; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            st = dm_fail(DEMARC_ERR_DATA, "name used twice: %s, %s, %s '%s': make the names unique", path, object_path,
                         kind, sorted[i]);
        }
    }
cleanup:
    dm_free(sorted);
    return st;
}
