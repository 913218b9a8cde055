#include "store/hdf5_column.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "store/hdf5_read.h"
#include "store/hdf5_trust.h"

#define SLAB_BYTES (INT64_C(32) << 20)
#define MIN_CACHE_BYTES (INT64_C(1) << 20)
#define MAX_CACHE_BYTES (INT64_C(256) << 20)

static demarc_status fail_set(const dm_column *c)
{
    char reason[256];
    bool known = dm_hdf5_reason(reason, sizeof reason);
    return dm_fail(dm_hdf5_blame(), "cannot be opened (%s): %s, %s: the file is damaged, copy or write it again",
                   known ? reason : "no reason given", c->file, c->path);
}

/* ------------------------------------------------------------------------------------------------ type */

static const char *class_name(H5T_class_t class)
{
    switch (class) {
    case H5T_TIME:
        return "time";
    case H5T_BITFIELD:
        return "bit field";
    case H5T_OPAQUE:
        return "opaque";
    case H5T_COMPOUND:
        return "compound";
    case H5T_REFERENCE:
        return "reference";
    case H5T_ENUM:
        return "enum";
    case H5T_VLEN:
        return "variable-length array";
    case H5T_ARRAY:
        return "array";
    default:
        return "unknown type";
    }
}

/* h5py: FALSE = 0, TRUE = 1 in an int8; hdf5r the same in upper case. */
static bool is_bool(hid_t type)
{
    if (H5Tget_nmembers(type) != 2) return false;
    bool good = true;
    for (unsigned i = 0; i < 2; i++) {
        char *name = H5Tget_member_name(type, i);
        if (name == NULL) return false;
        hid_t base = H5Tget_super(type);
        unsigned char value[16] = {0}; /* H5Tconvert works in place */
        good = good && base >= 0 && H5Tget_size(base) <= 8 && H5Tget_member_value(type, i, value) >= 0 &&
               H5Tconvert(base, H5T_NATIVE_INT64, 1, value, NULL, H5P_DEFAULT) >= 0;
        int64_t number = 0;
        memcpy(&number, value, sizeof number);
        good =
            good && ((strcasecmp(name, "false") == 0 && number == 0) || (strcasecmp(name, "true") == 0 && number == 1));
        H5free_memory(name);
        dm_hdf5_close(&base);
    }
    return good;
}

static hid_t native_integer(int64_t bytes, bool is_signed)
{
    switch (bytes) {
    case 1:
        return is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8;
    case 2:
        return is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16;
    case 4:
        return is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32;
    default:
        return is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64;
    }
}

static const char *order_text(hid_t type)
{
    return H5Tget_size(type) > 1 && H5Tget_order(type) == H5T_ORDER_BE ? " big-endian" : "";
}

static void note_integer(dm_column *c, hid_t type)
{
    c->is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
    if (c->stored_bytes < 1 || c->stored_bytes > 8) {
        snprintf(c->type_text, sizeof c->type_text, "integer of %lld bytes", (long long)c->stored_bytes);
        return;
    }
    c->kind = DM_VALUE_INTEGER;
    c->bytes = 1;
    while (c->bytes < c->stored_bytes) c->bytes *= 2;
    c->native = native_integer(c->bytes, c->is_signed);
    c->convert = H5Tequal(type, c->native) <= 0;
    snprintf(c->type_text, sizeof c->type_text, "%sint%d%s", c->is_signed ? "" : "u", (int)(8 * c->stored_bytes),
             order_text(type));
}

/* Half precision by its fields: HDF5 1.10 has no predefined type. bfloat16 has as many bytes, but other fields. */
static bool is_half(hid_t type)
{
    size_t sign = 0, exponent = 0, exponent_bits = 0, fraction = 0, fraction_bits = 0;
    const H5T_order_t order = H5Tget_order(type);
    return H5Tget_size(type) == 2 && (order == H5T_ORDER_LE || order == H5T_ORDER_BE) && H5Tget_precision(type) == 16 &&
           H5Tget_offset(type) == 0 && H5Tget_ebias(type) == 15 && H5Tget_norm(type) == H5T_NORM_IMPLIED &&
           H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) >= 0 && sign == 15 &&
           exponent == 10 && exponent_bits == 5 && fraction == 0 && fraction_bits == 10;
}

static void note_float(dm_column *c, hid_t type)
{
    bool f32 = H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0;
    bool f64 = H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0;
    if (f32 || f64) {
        c->kind = DM_VALUE_FLOAT;
        c->is_signed = true;
        c->bytes = c->stored_bytes;
        c->native = f32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
        c->convert = H5Tequal(type, c->native) <= 0;
    } else if (is_half(type)) {
        c->kind = DM_VALUE_FLOAT;
        c->is_signed = true;
        c->bytes = 2;
        c->convert = H5Tget_order(type) != H5Tget_order(H5T_NATIVE_FLOAT);
    }
    snprintf(c->type_text, sizeof c->type_text, "float%d%s%s", (int)(8 * c->stored_bytes), order_text(type),
             c->kind == DM_VALUE_OTHER && (c->stored_bytes == 2 || c->stored_bytes == 4 || c->stored_bytes == 8)
                 ? " (not IEEE 754)"
                 : "");
}

static void note_string(dm_column *c)
{
    bool variable = H5Tis_variable_str(c->stored) > 0;
    c->kind = variable ? DM_VALUE_VARIABLE : DM_VALUE_FIXED;
    c->bytes = variable ? (int64_t)sizeof(char *) : c->stored_bytes;
    if (variable) {
        snprintf(c->type_text, sizeof c->type_text, "variable-length strings");
    } else {
        snprintf(c->type_text, sizeof c->type_text, "strings of %lld byte%s", (long long)c->bytes,
                 c->bytes == 1 ? "" : "s");
    }
}

static demarc_status note_type(dm_column *c)
{
    H5T_class_t class = H5Tget_class(c->stored);
    bool truth = class == H5T_ENUM && is_bool(c->stored);
    c->base = truth ? H5Tget_super(c->stored) : H5Tcopy(c->stored);
    c->stored_bytes = (int64_t)H5Tget_size(c->stored);
    if (class == H5T_NO_CLASS || c->base < 0 || c->stored_bytes <= 0) return fail_set(c);
    if (class == H5T_INTEGER || truth) {
        note_integer(c, c->base);
    } else if (class == H5T_FLOAT) {
        note_float(c, c->base);
    } else if (class == H5T_STRING) {
        note_string(c);
    } else {
        snprintf(c->type_text, sizeof c->type_text, "%s", class_name(class));
    }
    if (truth && c->kind == DM_VALUE_INTEGER) {
        c->kind = DM_VALUE_BOOL;
        snprintf(c->type_text, sizeof c->type_text, "bool");
    }
    return DEMARC_OK;
}

/* ------------------------------------------------------------------------------------------------ shape */

/* Every product of sizes that follows fits an int64 after this. */
static demarc_status note_shape(dm_column *c, bool list)
{
    demarc_status st = DEMARC_OK;
    hsize_t size[H5S_MAX_RANK] = {0};
    hid_t space = H5Dget_space(c->set);
    int dimensions = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (dimensions < 0 || H5Sget_simple_extent_dims(space, size, NULL) < 0) {
        st = fail_set(c);
        goto cleanup;
    }
    bool null = H5Sget_simple_extent_type(space) == H5S_NULL;
    c->dimensions = null ? 0 : dimensions;
    size_t used = 0;
    for (int i = 0; i < c->dimensions && used < sizeof c->shape_text; i++) {
        used += (size_t)snprintf(c->shape_text + used, sizeof c->shape_text - used, "%s%llu", i == 0 ? "[" : ", ",
                                 (unsigned long long)size[i]);
    }
    if (used < sizeof c->shape_text)
        snprintf(c->shape_text + used, sizeof c->shape_text - used,
                 c->dimensions ? "]"
                 : null        ? "empty"
                               : "a single value");
    if (c->dimensions != 1 && c->dimensions != 2) goto cleanup;
    hsize_t columns = c->dimensions == 2 ? size[1] : 1, bytes = 0, width = (hsize_t)c->stored_bytes;
    if (width < 8) width = 8;
    if (columns > INT64_MAX / 64 || __builtin_mul_overflow(size[0], columns, &bytes) ||
        __builtin_mul_overflow(bytes, width, &bytes) || bytes > INT64_MAX / 4 ||
        columns > (hsize_t)INT64_MAX / 4 / width) {
        st = dm_fail(DEMARC_ERR_DATA, "impossible size: %s, %s is %s: the file is damaged, write it again", c->file,
                     c->path, c->shape_text);
        goto cleanup;
    }
    c->lying = list && c->dimensions == 2 && size[0] == 1;
    c->rows = (int64_t)(c->lying ? columns : size[0]);
    c->columns = c->lying ? 1 : (int64_t)columns;
cleanup:
    dm_hdf5_close(&space);
    return st;
}

/* ------------------------------------------------------------------------------------------------ storage */

static const char *filter_name(H5Z_filter_t id, const char *stored_name)
{
    switch (id) {
    case H5Z_FILTER_DEFLATE:
        return "deflate";
    case H5Z_FILTER_SHUFFLE:
        return "shuffle";
    case H5Z_FILTER_FLETCHER32:
        return "fletcher32";
    case H5Z_FILTER_SZIP:
        return "szip";
    case H5Z_FILTER_NBIT:
        return "nbit";
    case H5Z_FILTER_SCALEOFFSET:
        return "scaleoffset";
    default:
        return stored_name[0] != 0 ? stored_name : "an unnamed filter";
    }
}

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", more);
}

static demarc_status note_filters(dm_column *c, hid_t plist)
{
    int count = H5Pget_nfilters(plist);
    if (count < 0) return fail_set(c);
    for (int i = 0; i < count; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        char stored_name[64] = "", clean[64];
        H5Z_filter_t id =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, sizeof stored_name, stored_name, &config);
        if (id < 0) return fail_set(c);
        stored_name[sizeof stored_name - 1] = 0;
        dm_text_escape(clean, sizeof clean, stored_name);
        const char *name = filter_name(id, clean);
        if (H5Zfilter_avail(id) <= 0 ||
            (H5Zget_filter_info(id, &config) >= 0 && (config & H5Z_FILTER_CONFIG_DECODE_ENABLED) == 0)) {
            return dm_fail(DEMARC_ERR_DATA,
                           "filter not available: %s, %s is stored with filter %d (%s): rewrite the file with h5repack "
                           "-f GZIP=4, or %s",
                           c->file, c->path, (int)id, name,
                           dm_external_allowed() ? "install its HDF5 plugin"
                                                 : "install its HDF5 plugin and give --allow-external");
        }
        append(c->storage_text, sizeof c->storage_text, ", ");
        append(c->storage_text, sizeof c->storage_text, name);
    }
    return DEMARC_OK;
}

/* A prime of about ten slots a chunk, so that chunks in use rarely push each other out of the cache's hash table. */
static size_t cache_slots(int64_t chunks)
{
    static const size_t prime[] = {521, 2053, 8209, 32771, 131101, 524309};
    size_t i = 0;
    while (i + 1 < sizeof prime / sizeof *prime && (int64_t)prime[i] / 10 < chunks) i++;
    return prime[i];
}

/*
 * A chunk cache of two bands: reading in order, one piece may begin in one band and end in the next. Chunks that were
 * read whole are dropped first (w0 = 1), which keeps the band that is still needed.
 */
static demarc_status set_cache(dm_column *c, hid_t access, const hsize_t *chunk)
{
    int64_t across = 1;
    double chunk_bytes = (double)c->stored_bytes * (double)chunk[0];
    if (c->dimensions == 2 && !c->lying) {
        across = (c->columns + (int64_t)chunk[1] - 1) / (int64_t)chunk[1];
    }
    if (c->dimensions == 2) chunk_bytes *= (double)chunk[1];
    double wanted = 2.0 * chunk_bytes * (double)across;
    int64_t bytes = wanted > (double)MAX_CACHE_BYTES ? MAX_CACHE_BYTES : (int64_t)wanted;
    if (bytes < MIN_CACHE_BYTES) bytes = MIN_CACHE_BYTES;
    size_t slots = cache_slots((int64_t)((double)bytes / chunk_bytes) + 1);
    return H5Pset_chunk_cache(access, slots, (size_t)bytes, 1.0) < 0 ? fail_set(c) : DEMARC_OK;
}

static demarc_status note_chunks(dm_column *c, hid_t plist, hid_t access)
{
    hsize_t chunk[H5S_MAX_RANK] = {0};
    int rank = H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
    if (rank < 1 || chunk[0] < 1 || chunk[0] > (hsize_t)INT64_MAX / 4) return fail_set(c);
    if (c->dimensions == 1) {
        snprintf(c->storage_text, sizeof c->storage_text, "chunked %llu", (unsigned long long)chunk[0]);
    } else if (c->dimensions == 2 && rank == 2 && chunk[1] >= 1 && chunk[1] <= (hsize_t)INT64_MAX / 4) {
        snprintf(c->storage_text, sizeof c->storage_text, "chunked %llu x %llu", (unsigned long long)chunk[0],
                 (unsigned long long)chunk[1]);
    } else {
        return DEMARC_OK; /* a shape that is never read */
    }
    c->chunk_rows = (int64_t)chunk[c->lying ? 1 : 0];
    demarc_status st = note_filters(c, plist);
    return st != DEMARC_OK ? st : set_cache(c, access, chunk);
}

/*
 * Where the values lie, if nothing but their bytes is between us and them. Whatever is unusual (another driver, a file
 * behind an external link, values not all there) is left to HDF5 and its errors.
 */
static void note_place(dm_column *c, hid_t file)
{
    if (c->kind != DM_VALUE_FLOAT || c->convert || c->dimensions < 1 || c->dimensions > 2) return;
    const haddr_t offset = H5Dget_offset(c->set);
    const int64_t bytes = c->rows * c->columns * c->bytes;
    H5O_info_t of_file, of_set;
    hid_t access = H5Fget_access_plist(file);
    void *handle = NULL;
    struct stat info;
    if (access >= 0 && H5Pget_driver(access) == H5FD_SEC2 && H5Oget_info2(file, &of_file, H5O_INFO_BASIC) >= 0 &&
        H5Oget_info2(c->set, &of_set, H5O_INFO_BASIC) >= 0 && of_file.fileno == of_set.fileno &&
        offset != HADDR_UNDEF && H5Dget_storage_size(c->set) == (hsize_t)bytes &&
        H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && handle != NULL && fstat(*(int *)handle, &info) == 0 &&
        (int64_t)offset <= (int64_t)info.st_size - bytes) {
        c->fd = *(int *)handle;
        c->offset = (int64_t)offset;
    }
    dm_hdf5_close(&access);
}

static demarc_status note_storage(dm_column *c, hid_t file, hid_t access)
{
    demarc_status st = DEMARC_OK;
    H5D_space_status_t allocated = H5D_SPACE_STATUS_NOT_ALLOCATED;
    hid_t plist = H5Dget_create_plist(c->set);
    if (plist < 0 || H5Dget_space_status(c->set, &allocated) < 0) {
        st = fail_set(c);
        goto cleanup;
    }
    c->written = allocated != H5D_SPACE_STATUS_NOT_ALLOCATED;
    H5D_layout_t layout = H5Pget_layout(plist);
    DM_TRY(dm_hdf5_check_storage(c->set, c->file, c->path));
    if (layout == H5D_VIRTUAL || H5Pget_external_count(plist) > 0) {
        c->written = true; /* its sources are there */
        snprintf(c->storage_text, sizeof c->storage_text, layout == H5D_VIRTUAL ? "virtual" : "external");
    } else if (layout == H5D_CHUNKED) {
        DM_TRY(note_chunks(c, plist, access));
    } else {
        snprintf(c->storage_text, sizeof c->storage_text, layout == H5D_COMPACT ? "compact" : "contiguous");
        if (layout == H5D_CONTIGUOUS) note_place(c, file);
    }
cleanup:
    dm_hdf5_close(&plist);
    return st;
}

/* ------------------------------------------------------------------------------------------------ open */

static demarc_status open_set(dm_column *c, hid_t file)
{
    const demarc_status st = dm_hdf5_object_open(&c->set, file, c->file, c->path);
    if (st != DEMARC_OK) return st;
    if (H5Iget_type(c->set) != H5I_DATASET) {
        return dm_fail(DEMARC_ERR_DATA, "not a dataset: %s, %s is a %s: name a dataset", c->file, c->path,
                       H5Iget_type(c->set) == H5I_GROUP ? "group" : "named type");
    }
    return DEMARC_OK;
}

demarc_status dm_column_open(dm_column *c, hid_t file, const char *file_name, const char *path, bool list)
{
    demarc_status st = DEMARC_OK;
    hid_t access = DM_HDF5_NONE;
    *c = (dm_column){.file = file_name,
                     .path = path,
                     .set = DM_HDF5_NONE,
                     .stored = DM_HDF5_NONE,
                     .base = DM_HDF5_NONE,
                     .native = DM_HDF5_NONE,
                     .fd = -1,
                     .offset = -1};
    DM_TRY(open_set(c, file));
    c->stored = H5Dget_type(c->set);
    access = H5Pcreate(H5P_DATASET_ACCESS);
    if (c->stored < 0 || access < 0) {
        st = fail_set(c);
        goto cleanup;
    }
    DM_TRY(note_type(c));
    DM_TRY(note_shape(c, list));
    DM_TRY(note_storage(c, file, access));
    int64_t width = c->bytes > c->stored_bytes ? c->bytes : c->stored_bytes;
    c->slab_rows = c->columns > 0 ? SLAB_BYTES / (width * c->columns) : 1;
    if (c->slab_rows < 1) c->slab_rows = 1;
    if (c->chunk_rows > 0 && c->slab_rows >= c->chunk_rows) c->slab_rows -= c->slab_rows % c->chunk_rows;
    if (c->chunk_rows > 0) { /* the chunk cache can only be chosen when the dataset is opened */
        dm_hdf5_close(&c->set);
        DM_TRY(dm_hdf5_guard_links(access));
        c->set = H5Dopen2(file, path, access);
        if (c->set < 0) st = fail_set(c);
    }
cleanup:
    dm_hdf5_close(&access);
    if (st != DEMARC_OK) dm_column_close(c);
    return st;
}

void dm_column_close(dm_column *c)
{
    if (c->file == NULL) return;
    dm_hdf5_close(&c->set);
    dm_hdf5_close(&c->stored);
    dm_hdf5_close(&c->base); /* `native` is HDF5's own */
    dm_free(c->slab);
    *c = (dm_column){0};
}

/* ------------------------------------------------------------------------------------------------ read */

static demarc_status read_rows(const dm_column *c, hid_t type, int64_t begin, int64_t end, void *out)
{
    demarc_status st = DEMARC_OK;
    int row = c->lying ? 1 : 0;
    hsize_t start[2] = {0, 0}, count[2] = {(hsize_t)c->columns, (hsize_t)c->columns};
    start[row] = (hsize_t)begin;
    count[row] = (hsize_t)(end - begin);
    hid_t from = H5Dget_space(c->set);
    /* Memory of the same rank as the file: HDF5 maps chunks element by element otherwise. */
    hid_t to = H5Screate_simple(c->dimensions, count, NULL);
    if (from < 0 || to < 0 || H5Sselect_hyperslab(from, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(c->set, type, to, from, H5P_DEFAULT, out) < 0) {
        char reason[256];
        bool known = dm_hdf5_reason(reason, sizeof reason);
        st = dm_fail(dm_hdf5_blame(), "cannot be read (%s): %s, %s, rows %lld to %lld: copy or write the file again",
                     known ? reason : "no reason given", c->file, c->path, (long long)begin, (long long)end - 1);
    }
    dm_hdf5_close(&from);
    dm_hdf5_close(&to);
    return st;
}

/* After a failure read again band by band, so that the error names the rows of the bad chunks only. */
static demarc_status read_or_narrow(const dm_column *c, hid_t type, int64_t begin, int64_t end, char *out,
                                    int64_t row_bytes)
{
    demarc_status st = read_rows(c, type, begin, end, out);
    if (st == DEMARC_OK || c->chunk_rows == 0) return st;
    st = DEMARC_OK;
    for (int64_t row = begin; row < end && st == DEMARC_OK;) {
        int64_t next = (row / c->chunk_rows + 1) * c->chunk_rows;
        if (next > end) next = end;
        st = read_rows(c, type, row, next, out + (row - begin) * row_bytes);
        row = next;
    }
    return st;
}

/* Where the slab that holds `row` ends: on a multiple of slab_rows, which is a chunk border when chunks are small. */
static int64_t slab_end(const dm_column *c, int64_t row, int64_t end)
{
    int64_t next = (row / c->slab_rows + 1) * c->slab_rows;
    return next < end ? next : end;
}

#define CONVERT(from_type, to_type)                                                                                    \
    do {                                                                                                               \
        const from_type *from = (const from_type *)in;                                                                 \
        to_type *to = (to_type *)out;                                                                                  \
        for (int64_t i = 0; i < count; i++) to[i] = (to_type)from[i];                                                  \
    } while (0)

#define CONVERT_INTEGER(to_type)                                                                                       \
    switch (c->bytes * (c->is_signed ? -1 : 1)) {                                                                      \
    case 1:                                                                                                            \
        CONVERT(uint8_t, to_type);                                                                                     \
        break;                                                                                                         \
    case 2:                                                                                                            \
        CONVERT(uint16_t, to_type);                                                                                    \
        break;                                                                                                         \
    case 4:                                                                                                            \
        CONVERT(uint32_t, to_type);                                                                                    \
        break;                                                                                                         \
    case 8:                                                                                                            \
        CONVERT(uint64_t, to_type);                                                                                    \
        break;                                                                                                         \
    case -1:                                                                                                           \
        CONVERT(int8_t, to_type);                                                                                      \
        break;                                                                                                         \
    case -2:                                                                                                           \
        CONVERT(int16_t, to_type);                                                                                     \
        break;                                                                                                         \
    case -4:                                                                                                           \
        CONVERT(int32_t, to_type);                                                                                     \
        break;                                                                                                         \
    default:                                                                                                           \
        CONVERT(int64_t, to_type);                                                                                     \
        break;                                                                                                         \
    }

/* The value of a half; every one is a float. */
static float half_to_float(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const float size = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                       : exponent == 0 ? ldexpf((float)fraction, -24)
                                       : ldexpf((float)(1024 + fraction), exponent - 25);
    return half >> 15 != 0 ? -size : size;
}

#define CONVERT_HALVES()                                                                                               \
    do {                                                                                                               \
        const uint16_t *from = (const uint16_t *)in;                                                                   \
        for (int64_t i = 0; i < count; i++) out[i] = half_to_float(from[i]);                                           \
    } while (0)

static void convert_to_f32(const dm_column *c, const void *in, int64_t count, float *out)
{
    if (c->kind != DM_VALUE_FLOAT) {
        CONVERT_INTEGER(float);
    } else if (c->bytes == 2) {
        CONVERT_HALVES();
    } else if (c->bytes == 4) {
        CONVERT(float, float);
    } else {
        CONVERT(double, float);
    }
}

static void convert_to_f64(const dm_column *c, const void *in, int64_t count, double *out)
{
    if (c->kind != DM_VALUE_FLOAT) {
        CONVERT_INTEGER(double);
    } else if (c->bytes == 2) {
        CONVERT_HALVES();
    } else if (c->bytes == 4) {
        CONVERT(float, double);
    } else {
        CONVERT(double, double);
    }
}

static void convert_to_bits(const dm_column *c, const void *in, int64_t count, int64_t *out)
{
    CONVERT_INTEGER(int64_t);
}

static int64_t target_bytes(const dm_column *c, dm_target target)
{
    switch (target) {
    case DM_TARGET_FIXED:
        return c->bytes;
    case DM_TARGET_F16:
        return 2;
    case DM_TARGET_F32:
        return 4;
    default:
        return 8;
    }
}

/* The native integer or float type of the stored one is what the target asks for: no slab, no conversion. */
static bool is_direct(const dm_column *c, dm_target target)
{
    if (target == DM_TARGET_FIXED) return true;
    if (c->convert || c->kind == DM_VALUE_BOOL) return false;
    if (target == DM_TARGET_BITS64) return c->bytes == 8;
    return c->kind == DM_VALUE_FLOAT && c->bytes == target_bytes(c, target);
}

static demarc_status check_request(const dm_column *c, int64_t begin, int64_t end, dm_target target)
{
    bool integer = c->kind == DM_VALUE_INTEGER || c->kind == DM_VALUE_BOOL;
    bool fits = target == DM_TARGET_FIXED    ? c->kind == DM_VALUE_FIXED
                : target == DM_TARGET_BITS64 ? integer
                : target == DM_TARGET_F16    ? c->kind == DM_VALUE_FLOAT && c->bytes == 2
                                             : integer || c->kind == DM_VALUE_FLOAT;
    if (!fits || c->dimensions < 1 || c->dimensions > 2 || begin < 0 || end < begin || end > c->rows) {
        return dm_fail(DEMARC_ERR_ARG,
                       "rows %lld to %lld cannot be read: %s, %s is %s of %s: ask for rows and a type it has",
                       (long long)begin, (long long)end - 1, c->file, c->path, c->shape_text, c->type_text);
    }
    return DEMARC_OK;
}

static demarc_status grow_slab(dm_column *c, int64_t bytes)
{
    if (bytes <= c->slab_bytes) return DEMARC_OK;
    dm_free(c->slab);
    c->slab = NULL;
    c->slab_bytes = 0;
    demarc_status st = dm_alloc(c->slab, bytes, "a slab of input rows");
    if (st == DEMARC_OK) c->slab_bytes = bytes;
    return st;
}

static void swap_halves(uint16_t *half, int64_t count)
{
    for (int64_t i = 0; i < count; i++) half[i] = __builtin_bswap16(half[i]);
}

/* One slab through our buffer: read as stored, make byte order and width native in place, convert. */
static demarc_status read_converted(dm_column *c, int64_t begin, int64_t end, dm_target target, void *out)
{
    int64_t count = (end - begin) * c->columns;
    int64_t width = c->bytes > c->stored_bytes ? c->bytes : c->stored_bytes;
    demarc_status st = grow_slab(c, count * width);
    if (st != DEMARC_OK) return st;
    st = read_or_narrow(c, c->stored, begin, end, c->slab, c->columns * c->stored_bytes);
    if (st != DEMARC_OK) return st;
    if (c->convert && c->kind == DM_VALUE_FLOAT && c->bytes == 2) {
        swap_halves((uint16_t *)(void *)c->slab, count);
    } else if (c->convert && H5Tconvert(c->base, c->native, (size_t)count, c->slab, NULL, H5P_DEFAULT) < 0) {
        return dm_hdf5_fail(DEMARC_ERR_SYSTEM, "cannot be converted: %s, %s from %s", c->file, c->path, c->type_text);
    }
    if (target == DM_TARGET_F16) memcpy(out, c->slab, (size_t)count * 2);
    if (target == DM_TARGET_F32) convert_to_f32(c, c->slab, count, out);
    if (target == DM_TARGET_F64) convert_to_f64(c, c->slab, count, out);
    if (target == DM_TARGET_BITS64) convert_to_bits(c, c->slab, count, out);
    return DEMARC_OK;
}

demarc_status dm_column_read(dm_column *c, int64_t begin, int64_t end, dm_target target, void *out)
{
    demarc_status st = check_request(c, begin, end, target);
    int64_t row_bytes = c->columns * target_bytes(c, target);
    bool direct = is_direct(c, target);
    for (int64_t row = begin; row < end && st == DEMARC_OK;) {
        int64_t next = slab_end(c, row, end);
        char *to = (char *)out + (row - begin) * row_bytes;
        st = direct ? read_or_narrow(c, c->stored, row, next, to, row_bytes) : read_converted(c, row, next, target, to);
        row = next;
    }
    if (st == DEMARC_OK && target == DM_TARGET_FIXED) {
        H5T_str_t padding = H5Tget_strpad(c->stored);
        for (int64_t i = 0; i < (end - begin) * c->columns; i++) {
            dm_hdf5_trim_fixed((char *)out + i * c->bytes, (size_t)c->bytes, padding);
        }
    }
    return st;
}

bool dm_column_is_direct(const dm_column *c) { return c->offset >= 0; }

demarc_status dm_column_pread(const dm_column *c, int64_t begin, int64_t end, void *out)
{
    const int64_t row_bytes = c->columns * c->bytes;
    int64_t at = c->offset + begin * row_bytes, left = (end - begin) * row_bytes;
    char *to = out;
    while (left > 0) {
        const ssize_t got = pread(c->fd, to, (size_t)left, at); /* gives 2 GiB at most */
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            char reason[128];
            return dm_fail(DEMARC_ERR_IO, "cannot be read (%s): %s, %s, rows %lld to %lld: check the file system",
                           strerror_r(errno, reason, sizeof reason), c->file, c->path, (long long)begin,
                           (long long)end - 1);
        }
        if (got == 0) {
            return dm_fail(DEMARC_ERR_DATA,
                           "truncated while it was read: %s, %s, rows %lld to %lld: leave the file alone, copy or "
                           "write it again",
                           c->file, c->path, (long long)begin, (long long)end - 1);
        }
        to += got;
        at += got;
        left -= got;
    }
    return DEMARC_OK;
}

void dm_column_expect(const dm_column *c, int64_t begin, int64_t end)
{
    const int64_t row_bytes = c->columns * c->bytes;
    /* Advice only: a file system that does not take it is read all the same. */
    (void)posix_fadvise(c->fd, c->offset + begin * row_bytes, (end - begin) * row_bytes, POSIX_FADV_WILLNEED);
}

demarc_status dm_column_read_text(dm_column *c, int64_t begin, int64_t end, char **out)
{
    if (c->kind != DM_VALUE_VARIABLE || c->columns != 1 || c->dimensions < 1 || begin < 0 || end < begin ||
        end > c->rows) {
        return dm_fail(DEMARC_ERR_ARG, "strings cannot be read: %s, %s is %s of %s: ask for rows it has", c->file,
                       c->path, c->shape_text, c->type_text);
    }
    demarc_status st = DEMARC_OK;
    hid_t type = dm_hdf5_text_type(c->stored);
    if (type < 0) return fail_set(c);
    for (int64_t row = begin; row < end && st == DEMARC_OK;) {
        int64_t next = slab_end(c, row, end);
        st = read_rows(c, type, row, next, out + (row - begin));
        row = next;
    }
    dm_hdf5_close(&type);
    return st;
}

void dm_column_text_free(char **text, int64_t count)
{
    if (text == NULL || count <= 0) return;
    hsize_t size = (hsize_t)count;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &size, NULL);
    if (type >= 0 && space >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0) {
        (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, text);
    }
    dm_hdf5_close(&type);
    dm_hdf5_close(&space);
}
