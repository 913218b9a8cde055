/*
 * Two phases. Layout: rank 0 alone makes every object through the POSIX driver; datasets of rows are contiguous and
 * allocated early, so their places are fixed and nothing of the file's structure changes later. Rows: only raw data are
 * written then, by rank 0 alone, which opens the file again (funnel), or by a thread of each rank, which puts them at
 * their places by plain system calls; it may go on while the caller computes (dm_writer_rows_later), since it calls
 * neither HDF5 nor MPI. Both ways put the same bytes at the same places. The threads want the page of every row to belong
 * to one rank, or file systems that cache pages per host could mix up old and new; where datasets are too small to start
 * on a page rank 0 writes for all, and later is now.
 *
 * HDF5's own way, MPI-IO, is not used: it closes a file in step, and when the writes of one rank fail (its quota, its
 * host's disk) that rank leaves the step and the others wait for it for ever.
 *
 * HDF5 1.10 cannot let go of a file whose structure it could not write: on a full disk H5Fclose fails and the library's
 * shutdown inside MPI_Finalize crashes (unless dm_hdf5_before_mpi() was called). So once HDF5 has created the file, its
 * descriptor is pointed at memory (a memfd, as sparse as the file: rows take nothing), where no write fails; this module
 * then writes the layout to disk itself, after it has reserved the space of the whole file.
 */
#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/meanwhile.h"
#include "store/hdf5_util.h"
#include "store/output.h"
#include "store/path_tools.h"
#include "store/write_thread.h"

#define MAX_WRITE (INT64_C(1) << 30)    /* bytes per H5Dwrite */
#define MAX_PIECE (INT64_C(64) << 20)   /* bytes per funnelled message; at least one row */
#define LITTLE_ROOM (INT64_C(64) << 10) /* less free space than this is called a full disk */
#define COPY_BYTES 65536                /* piece of the layout on its way from memory to disk */
#define ALIGN_FROM (INT64_C(64) << 10)  /* datasets of this size and more start on a page, so that ranks, whose */
#define ALIGNMENT 4096                  /* shares are whole blocks of 4096 rows, never write to the same page */

typedef struct row_dataset {
    char *name;
    hid_t id;                      /* open where this process writes to it */
    hid_t memory_type;             /* as in memory; equals the file's type on little-endian machines */
    int64_t n, columns, row_bytes; /* columns 0 = 1-D */
    int64_t place;                 /* of row 0 in the file; 0 = unknown, or bytes in memory and on disk differ */
} row_dataset;

typedef enum writer_phase { PHASE_LAYOUT, PHASE_ROWS } writer_phase;

struct dm_writer {
    dm_comm *comm;
    bool parallel; /* every rank writes its rows, if their places allow it */
    bool keep;     /* the file is there with some of its rows */
    bool broken;   /* a call failed: the file must not pass for whole */
    writer_phase phase;
    dm_write_thread *thread; /* writes the rows, to `rows_disk`; NULL: they go through HDF5 */
    int rows_disk;
    int disk;   /* rank 0, layout: the file at `path`, still empty */
    int memory; /* rank 0, layout: the memory that HDF5 lays the file out in */
    hid_t file; /* DM_HDF5_NONE where this process does not have it open */
    row_dataset *rows;
    int row_datasets;
    int64_t planned; /* bytes of all datasets so far, the same on all ranks */
    char *piece;     /* rank 0, funnel: a peer's rows in transit */
    int64_t piece_bytes;
    char path[]; /* of the file, allocated with the struct */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static demarc_status no_memory(void)
{
    return dm_fail(DEMARC_ERR_MEMORY, "out of memory: description of the output: free some memory");
}

static demarc_status cannot_write(const dm_writer *w, const char *name)
{
    return dm_hdf5_fail(DEMARC_ERR_IO, "cannot write the output: %s (%s): check the disk", w->path, name);
}

static demarc_status cannot_write_errno(const dm_writer *w, int reason)
{
    return dm_fail_errno(reason, "cannot write the output: %s: check space and permissions", w->path);
}

/* The ranks' common status; a failure is remembered until close. */
static demarc_status agree(dm_writer *w, demarc_status local)
{
    demarc_status st = dm_comm_agree(w->comm, local);
    if (st != DEMARC_OK) w->broken = true;
    return st;
}

/* ------------------------------------------------------------------------------------------------ types, spaces */

/* Size in memory and on disk; 0 for an unknown type. */
static int64_t type_bytes(dm_type type, int64_t string_size)
{
    switch (type) {
    case DM_TYPE_U8:
        return 1;
    case DM_TYPE_F32:
    case DM_TYPE_I32:
        return 4;
    case DM_TYPE_F64:
    case DM_TYPE_I64:
    case DM_TYPE_U64:
        return 8;
    case DM_TYPE_STRING:
        return string_size;
    }
    return 0;
}

/* A copy that the caller closes. `on_disk`: little-endian whatever the machine, so that equal data are equal bytes. */
static hid_t make_type(dm_type type, int64_t string_size, bool on_disk)
{
    switch (type) {
    case DM_TYPE_F32:
        return H5Tcopy(on_disk ? H5T_IEEE_F32LE : H5T_NATIVE_FLOAT);
    case DM_TYPE_F64:
        return H5Tcopy(on_disk ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE);
    case DM_TYPE_U8:
        return H5Tcopy(on_disk ? H5T_STD_U8LE : H5T_NATIVE_UINT8);
    case DM_TYPE_I32:
        return H5Tcopy(on_disk ? H5T_STD_I32LE : H5T_NATIVE_INT32);
    case DM_TYPE_I64:
        return H5Tcopy(on_disk ? H5T_STD_I64LE : H5T_NATIVE_INT64);
    case DM_TYPE_U64:
        return H5Tcopy(on_disk ? H5T_STD_U64LE : H5T_NATIVE_UINT64);
    case DM_TYPE_STRING:
        break;
    }
    hid_t t = H5Tcopy(H5T_C_S1);
    if (H5Tset_size(t, (size_t)string_size) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(t, H5T_CSET_UTF8) < 0) {
        dm_hdf5_close(&t);
    }
    return t;
}

static hid_t make_text_type(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    if (H5Tset_size(t, H5T_VARIABLE) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0) dm_hdf5_close(&t);
    return t;
}

static hid_t make_space(int64_t n, int64_t columns)
{
    hsize_t dim[2] = {(hsize_t)n, (hsize_t)columns};
    return H5Screate_simple(columns == 0 ? 1 : 2, dim, NULL);
}

/* ------------------------------------------------------------------------------------------------ the file */

/*
 * Equal data give equal bytes: no time stamps, one fixed format (HDF5 1.8: read everywhere, attributes over 64 kB).
 * No sieve buffer: rows go straight to the file, and a full disk shows in the call that meets it. No lock: the file has
 * a random name that nobody else knows, and locks hang on some network file systems.
 */
static demarc_status file_access(hid_t *fapl)
{
    demarc_status st = dm_hdf5_file_access(fapl);
    if (st != DEMARC_OK) return st;
    if (H5Pset_libver_bounds(*fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 || H5Pset_sieve_buf_size(*fapl, 0) < 0 ||
        H5Pset_alignment(*fapl, ALIGN_FROM, ALIGNMENT) < 0) {
        st = dm_hdf5_fail(DEMARC_ERR_SYSTEM, "HDF5 refuses file access properties: output file: check its version");
        dm_hdf5_close(fapl);
    }
    return st;
}

static hid_t untimed(hid_t property_class)
{
    hid_t p = H5Pcreate(property_class);
    if (p >= 0 && H5Pset_obj_track_times(p, false) < 0) dm_hdf5_close(&p);
    return p;
}

/* HDF5's descriptor of the file just created becomes memory that holds the same bytes. */
static demarc_status move_to_memory(dm_writer *w)
{
    char start[4096];
    int *fd = NULL;
    if (H5Fget_vfd_handle(w->file, H5P_DEFAULT, (void **)&fd) < 0 || fd == NULL) return cannot_write(w, "descriptor");
    w->memory = memfd_create("demarc-layout", MFD_CLOEXEC);
    ssize_t bytes = pread(*fd, start, sizeof start, 0); /* the superblock, if HDF5 has written it yet */
    if (w->memory < 0 || bytes < 0 || pwrite(w->memory, start, (size_t)bytes, 0) != bytes ||
        dup3(w->memory, *fd, O_CLOEXEC) < 0) {
        return dm_fail_errno(errno, "no memory for the layout: %s: free some memory", w->path);
    }
    return DEMARC_OK;
}

/* HDF5 creates, and so truncates, a file before it can be moved to memory: not the one that is kept. */
static demarc_status create_layout(dm_writer *w, hid_t fcpl, hid_t fapl)
{
    demarc_status st = DEMARC_OK;
    char *spare = NULL;
    if (w->keep && asprintf(&spare, "%s.layout", w->path) < 0) return no_memory();
    const char *path = w->keep ? spare : w->path;
    w->file = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    DM_TRY(w->file < 0 ? cannot_write(w, "/") : move_to_memory(w));
cleanup:
    if (w->keep) (void)unlink(spare);
    if (w->keep) free(spare);
    return st;
}

static demarc_status create_file(dm_writer *w)
{
    demarc_status st = DEMARC_OK;
    hid_t fapl = DM_HDF5_NONE, fcpl = DM_HDF5_NONE;
    w->disk = open(w->path, O_RDWR | O_CLOEXEC | (w->keep ? 0 : O_CREAT | O_TRUNC), 0666);
    if (w->disk < 0) return cannot_write_errno(w, errno);
    DM_TRY(dm_output_room(w->path, LITTLE_ROOM));
    DM_TRY(file_access(&fapl));
    fcpl = untimed(H5P_FILE_CREATE);
    DM_TRY(create_layout(w, fcpl, fapl));
cleanup:
    dm_hdf5_close(&fcpl);
    dm_hdf5_close(&fapl);
    return st;
}

/* As cannot_write(), with the system's reason. */
static demarc_status cannot_write_rows(const dm_writer *w, const char *name, int reason)
{
    return dm_fail_errno(reason, "cannot write the output: %s (%s): %s", w->path, name,
                         reason == ENOSPC ? "free some disk space" : "check the disk");
}

static void close_row_datasets(dm_writer *w)
{
    for (int i = 0; i < w->row_datasets; i++) dm_hdf5_close(&w->rows[i].id);
}

/* Flush and close where the file is open. */
static demarc_status close_hdf5(dm_writer *w)
{
    demarc_status st = DEMARC_OK;
    close_row_datasets(w);
    if (w->file < 0) return DEMARC_OK;
    if (H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0) st = cannot_write(w, "flush");
    if (H5Fclose(w->file) < 0 && st == DEMARC_OK) st = cannot_write(w, "close");
    w->file = DM_HDF5_NONE;
    return st;
}

static void discard_hdf5(dm_writer *w)
{
    close_row_datasets(w);
    if (w->file >= 0) (void)H5Fclose(w->file);
    w->file = DM_HDF5_NONE;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

static void free_writer(dm_writer **w)
{
    for (int i = 0; i < (*w)->row_datasets; i++) {
        dm_hdf5_close(&(*w)->rows[i].memory_type);
        free((*w)->rows[i].name);
    }
    dm_write_thread_destroy(&(*w)->thread);
    close_descriptor(&(*w)->disk);
    close_descriptor(&(*w)->memory);
    close_descriptor(&(*w)->rows_disk);
    free((*w)->rows);
    dm_free((*w)->piece);
    free(*w);
    *w = NULL;
}

static dm_writer *new_writer(dm_comm *comm, demarc_io io, const char *path)
{
    size_t path_bytes = strlen(path) + 1;
    dm_writer *w = malloc(sizeof *w + path_bytes);
    if (w == NULL) return NULL;
    *w = (dm_writer){.comm = comm, .disk = -1, .memory = -1, .rows_disk = -1, .file = DM_HDF5_NONE};
    w->parallel = io == DEMARC_IO_MPIO && dm_comm_size(comm) > 1;
    memcpy(w->path, path, path_bytes);
    return w;
}

/*
 * A file size limit (ulimit -f) on any rank is met before anything is written: HDF5 1.10 does not survive a flush that
 * fails.
 */
static demarc_status within_size_limit(dm_writer *w, const char *name, int64_t bytes)
{
    struct rlimit limit;
    w->planned += bytes;
    if (!w->parallel && dm_comm_rank(w->comm) != 0) return DEMARC_OK; /* it will not write */
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return DEMARC_OK;
    if ((uint64_t)w->planned + (uint64_t)LITTLE_ROOM <= (uint64_t)limit.rlim_cur) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_IO,
                   "file size limit: %s with %s needs more than %lld bytes, the limit (ulimit -f) is %llu: raise it",
                   w->path, name, (long long)(w->planned + LITTLE_ROOM), (unsigned long long)limit.rlim_cur);
}

static demarc_status create(dm_writer **out, dm_comm *comm, demarc_io io, const char *path, bool keep)
{
    demarc_status st = DEMARC_OK;
    *out = NULL;
    dm_writer *w = new_writer(comm, io, path);
    if (w != NULL) w->keep = keep;
    DM_TRY_ALL(comm, w == NULL ? no_memory() : dm_hdf5_start());
    DM_TRY_ALL(comm, within_size_limit(w, "/", 0));
    DM_TRY_ALL(comm, dm_comm_rank(comm) == 0 ? create_file(w) : DEMARC_OK);
    *out = w;
    w = NULL;
cleanup:
    dm_writer_discard(&w);
    return st;
}

demarc_status dm_writer_create(dm_writer **out, dm_comm *comm, demarc_io io, const char *path)
{
    return create(out, comm, io, path, false);
}

demarc_status dm_writer_reopen(dm_writer **out, dm_comm *comm, demarc_io io, const char *path)
{
    return create(out, comm, io, path, true);
}

/* ------------------------------------------------------------------------------------------------ layout: rank 0 */

static bool is_root(const dm_writer *w) { return dm_comm_rank(w->comm) == 0; }

/* All ranks know the same phase, so they refuse together without a message. */
static demarc_status check_layout_phase(const dm_writer *w, const char *name)
{
    if (w->phase == PHASE_LAYOUT) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_ARG, "layout after rows: %s (%s): make datasets and attributes first", w->path, name);
}

static demarc_status make_group(dm_writer *w, const char *name)
{
    demarc_status st = DEMARC_OK;
    htri_t there = H5Lexists(w->file, name, H5P_DEFAULT);
    if (there > 0) return DEMARC_OK;
    hid_t gcpl = untimed(H5P_GROUP_CREATE);
    hid_t g = there < 0 ? DM_HDF5_NONE : H5Gcreate2(w->file, name, H5P_DEFAULT, gcpl, H5P_DEFAULT);
    if (g < 0) st = cannot_write(w, name);
    dm_hdf5_close(&g);
    dm_hdf5_close(&gcpl);
    return st;
}

/* The groups above `name`, one by one: those that HDF5 makes on demand carry time stamps. */
static demarc_status make_parents(dm_writer *w, const char *name)
{
    demarc_status st = DEMARC_OK;
    char *copy = strdup(name);
    if (copy == NULL) return no_memory();
    for (char *p = copy + 1; st == DEMARC_OK && copy[0] != 0 && (p = strchr(p, '/')) != NULL; p++) {
        *p = 0;
        st = make_group(w, copy);
        *p = '/';
    }
    free(copy);
    return st;
}

static demarc_status make_group_on_root(dm_writer *w, const char *name)
{
    demarc_status st = make_parents(w, name);
    return st == DEMARC_OK ? make_group(w, name) : st;
}

demarc_status dm_writer_group(dm_writer *w, const char *name)
{
    demarc_status st = check_layout_phase(w, name);
    if (st != DEMARC_OK) return st;
    return agree(w, is_root(w) ? make_group_on_root(w, name) : DEMARC_OK);
}

/* A contiguous dataset; early allocation and no fill, so that only its place is decided here. HDF5 wants a fill for
 * variable-length strings; those are small and written at once. */
static demarc_status make_dataset(dm_writer *w, const char *name, hid_t type, int64_t n, int64_t columns,
                                  hid_t *dataset)
{
    demarc_status st = DEMARC_OK;
    hid_t dcpl = untimed(H5P_DATASET_CREATE), space = make_space(n, columns);
    *dataset = DM_HDF5_NONE;
    DM_TRY(make_parents(w, name));
    if (dcpl < 0 || space < 0 || type < 0 || H5Pset_layout(dcpl, H5D_CONTIGUOUS) < 0 ||
        H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY) < 0 ||
        (H5Tis_variable_str(type) == 0 && H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) < 0) ||
        (*dataset = H5Dcreate2(w->file, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT)) < 0) {
        st = cannot_write(w, name);
    }
cleanup:
    dm_hdf5_close(&space);
    dm_hdf5_close(&dcpl);
    return st;
}

static demarc_status check_shape(const dm_writer *w, const char *name, int64_t element, int64_t n, int64_t columns,
                                 int64_t *row_bytes)
{
    int64_t total = 0;
    if (element < 1 || n < 0 || columns < 0 || __builtin_mul_overflow(element, columns == 0 ? 1 : columns, row_bytes) ||
        __builtin_mul_overflow(*row_bytes, n, &total)) {
        return dm_fail(DEMARC_ERR_ARG, "impossible shape: %s (%s, %lld x %lld): check the number of rows and columns",
                       w->path, name, (long long)n, (long long)columns);
    }
    return DEMARC_OK;
}

/* Room for one more entry of w->rows, described but not counted yet. */
static demarc_status describe_rows(dm_writer *w, const char *name, dm_type type, int64_t n, int64_t columns,
                                   int64_t string_size)
{
    row_dataset *grown = realloc(w->rows, ((size_t)w->row_datasets + 1) * sizeof *grown);
    if (grown == NULL) return no_memory();
    w->rows = grown;
    row_dataset *r = &grown[w->row_datasets];
    *r = (row_dataset){.id = DM_HDF5_NONE, .n = n, .columns = columns};
    demarc_status st = check_shape(w, name, type_bytes(type, string_size), n, columns, &r->row_bytes);
    if (st != DEMARC_OK) return st;
    if ((r->name = strdup(name)) == NULL) return no_memory();
    r->memory_type = make_type(type, string_size, false);
    w->row_datasets++;
    return r->memory_type < 0 ? cannot_write(w, name) : DEMARC_OK;
}

demarc_status dm_writer_rows_dataset(dm_writer *w, const char *name, dm_type type, int64_t n, int32_t columns,
                                     int64_t string_size, int *handle)
{
    demarc_status st = DEMARC_OK, local = DEMARC_OK;
    *handle = -1;
    DM_TRY(check_layout_phase(w, name));
    DM_TRY(agree(w, describe_rows(w, name, type, n, columns, string_size)));
    DM_TRY(agree(w, within_size_limit(w, name, n * w->rows[w->row_datasets - 1].row_bytes)));
    if (is_root(w)) {
        hid_t on_disk = make_type(type, string_size, true), dataset;
        row_dataset *r = &w->rows[w->row_datasets - 1];
        local = make_dataset(w, name, on_disk, n, columns, &dataset);
        if (local == DEMARC_OK && H5Tequal(on_disk, r->memory_type) > 0) r->place = (int64_t)H5Dget_offset(dataset);
        dm_hdf5_close(&dataset);
        dm_hdf5_close(&on_disk);
    }
    DM_TRY(agree(w, local));
    *handle = w->row_datasets - 1;
cleanup:
    return st;
}

static demarc_status write_small(dm_writer *w, const char *name, hid_t memory_type, hid_t file_type, int64_t n,
                                 int64_t columns, const void *data)
{
    hid_t dataset = DM_HDF5_NONE;
    demarc_status st = make_dataset(w, name, file_type, n, columns, &dataset);
    if (st == DEMARC_OK && n > 0 && H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        st = cannot_write(w, name);
    }
    dm_hdf5_close(&dataset);
    return st;
}

static demarc_status small_on_root(dm_writer *w, const char *name, dm_type type, int64_t n, int32_t columns,
                                   const void *data)
{
    int64_t row_bytes = 0;
    /* A string's size is not told here; fixed strings are for rows. */
    demarc_status st = check_shape(w, name, type_bytes(type, 0), n, columns, &row_bytes);
    if (st != DEMARC_OK) return st;
    hid_t memory_type = make_type(type, 0, false), file_type = make_type(type, 0, true);
    st = write_small(w, name, memory_type, file_type, n, columns, data);
    dm_hdf5_close(&file_type);
    dm_hdf5_close(&memory_type);
    return st;
}

demarc_status dm_writer_small(dm_writer *w, const char *name, dm_type type, int64_t n, int32_t columns,
                              const void *data)
{
    demarc_status st = check_layout_phase(w, name);
    int64_t row_bytes = 0;
    if (st != DEMARC_OK) return st;
    st = check_shape(w, name, type_bytes(type, 0), n, columns, &row_bytes);
    if (st == DEMARC_OK) st = within_size_limit(w, name, n * row_bytes);
    if (st == DEMARC_OK && is_root(w)) st = small_on_root(w, name, type, n, columns, data);
    return agree(w, st);
}

static demarc_status strings_on_root(dm_writer *w, const char *name, int64_t n, const char *const *item)
{
    hid_t type = make_text_type();
    demarc_status st = write_small(w, name, type, type, n, 0, item);
    dm_hdf5_close(&type);
    return st;
}

demarc_status dm_writer_strings(dm_writer *w, const char *name, int64_t n, const char *const *item)
{
    demarc_status st = check_layout_phase(w, name);
    if (st != DEMARC_OK) return st;
    return agree(w, is_root(w) ? strings_on_root(w, name, n, item) : DEMARC_OK);
}

/* ------------------------------------------------------------------------------------------------ attributes */

static demarc_status write_attribute(dm_writer *w, const char *on, const char *name, hid_t memory_type, hid_t file_type,
                                     hid_t space, const void *v)
{
    demarc_status st = DEMARC_OK;
    hid_t object = H5Oopen(w->file, on, H5P_DEFAULT), attribute = DM_HDF5_NONE;
    if (object < 0 || memory_type < 0 || file_type < 0 || space < 0 ||
        (attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
        (H5Sget_simple_extent_npoints(space) > 0 && H5Awrite(attribute, memory_type, v) < 0)) {
        st = dm_hdf5_fail(DEMARC_ERR_IO, "cannot write an attribute: %s (%s, %s): check space and permissions", w->path,
                          on, name);
    }
    dm_hdf5_close(&attribute);
    dm_hdf5_close(&object);
    return st;
}

/* One number is a scalar, several are an array. */
static demarc_status numbers_on_root(dm_writer *w, const char *on, const char *name, dm_type type, int64_t count,
                                     const void *v)
{
    hid_t memory_type = make_type(type, 0, false), file_type = make_type(type, 0, true);
    hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : make_space(count, 0);
    demarc_status st = write_attribute(w, on, name, memory_type, file_type, space, v);
    dm_hdf5_close(&space);
    dm_hdf5_close(&file_type);
    dm_hdf5_close(&memory_type);
    return st;
}

static demarc_status numbers(dm_writer *w, const char *on, const char *name, dm_type type, int64_t count, const void *v)
{
    demarc_status st = check_layout_phase(w, name);
    if (st != DEMARC_OK) return st;
    return agree(w, is_root(w) ? numbers_on_root(w, on, name, type, count, v) : DEMARC_OK);
}

demarc_status dm_writer_attribute_f64(dm_writer *w, const char *on, const char *name, int64_t count, const double *v)
{
    return numbers(w, on, name, DM_TYPE_F64, count, v);
}

demarc_status dm_writer_attribute_i64(dm_writer *w, const char *on, const char *name, int64_t count, const int64_t *v)
{
    return numbers(w, on, name, DM_TYPE_I64, count, v);
}

demarc_status dm_writer_attribute_u64(dm_writer *w, const char *on, const char *name, uint64_t v)
{
    return numbers(w, on, name, DM_TYPE_U64, 1, &v);
}

static demarc_status texts_on_root(dm_writer *w, const char *on, const char *name, bool scalar, int64_t count,
                                   const char *const *v)
{
    hid_t type = make_text_type(), space = scalar ? H5Screate(H5S_SCALAR) : make_space(count, 0);
    demarc_status st = write_attribute(w, on, name, type, type, space, v);
    dm_hdf5_close(&space);
    dm_hdf5_close(&type);
    return st;
}

demarc_status dm_writer_attribute_text(dm_writer *w, const char *on, const char *name, const char *v)
{
    demarc_status st = check_layout_phase(w, name);
    if (st != DEMARC_OK) return st;
    return agree(w, is_root(w) ? texts_on_root(w, on, name, true, 1, &v) : DEMARC_OK);
}

demarc_status dm_writer_attribute_texts(dm_writer *w, const char *on, const char *name, int64_t count,
                                        const char *const *v)
{
    demarc_status st = check_layout_phase(w, name);
    if (st != DEMARC_OK) return st;
    return agree(w, is_root(w) ? texts_on_root(w, on, name, false, count, v) : DEMARC_OK);
}

/* ------------------------------------------------------------------------------------------------ rows: everyone */

/*
 * Take the disk space now: a disk that is too small is told before the rows, not in their middle. Where the file system
 * cannot reserve (NFS before 4.2, FUSE), its free space is compared instead and a later write may still fail.
 */
static demarc_status reserve_space(const dm_writer *w, int64_t bytes)
{
    int rc;
    do {
        rc = fallocate(w->disk, FALLOC_FL_KEEP_SIZE, 0, bytes);
    } while (rc != 0 && errno == EINTR);
    int reason = rc == 0 ? 0 : errno;
    if (reason == 0) return DEMARC_OK;
    bool unsupported = reason == EOPNOTSUPP || reason == ENOSYS || reason == EINVAL;
    if (reason == ENOSPC || unsupported) {
        demarc_status st = dm_output_room(w->path, bytes);
        if (st != DEMARC_OK || unsupported) return st;
    }
    return cannot_write_errno(w, reason);
}

static demarc_status copy_piece(const dm_writer *w, char *buffer, int64_t at, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        ssize_t in = pread(w->memory, buffer, (size_t)smaller(COPY_BYTES, bytes - done), at + done);
        if (in <= 0)
            return dm_fail_errno(in < 0 ? errno : EIO, "cannot read the layout: %s: check the memory", w->path);
        for (ssize_t put = 0; put < in;) {
            ssize_t out = pwrite(w->disk, buffer + put, (size_t)(in - put), at + done + put);
            if (out < 0 && errno != EINTR) return cannot_write_errno(w, errno);
            if (out > 0) put += out;
        }
        done += in;
    }
    return DEMARC_OK;
}

/* The parts of the layout that hold anything; the rest is the rows' and stays a hole. */
static demarc_status copy_layout(const dm_writer *w, int64_t size)
{
    demarc_status st = DEMARC_OK;
    char *buffer = NULL;
    DM_TRY(dm_alloc(buffer, COPY_BYTES, "layout of the output"));
    for (int64_t end = 0; end < size;) {
        int64_t begin = lseek(w->memory, end, SEEK_DATA);
        if (begin < 0) break; /* ENXIO: only a hole is left */
        end = lseek(w->memory, begin, SEEK_HOLE);
        DM_TRY(end < 0 ? cannot_write_errno(w, errno) : copy_piece(w, buffer, begin, end - begin));
    }
cleanup:
    dm_free(buffer);
    return st;
}

/* Rank 0: the same layout gives the same size, and then the same places. */
static demarc_status check_kept(const dm_writer *w, int64_t size)
{
    struct stat s;
    if (fstat(w->disk, &s) != 0) return cannot_write_errno(w, errno);
    if (s.st_size == size) return DEMARC_OK;
    return dm_fail(DEMARC_ERR_DATA, "kept rows of another layout: %s: %lld bytes, not %lld: remove it", w->path,
                   (long long)s.st_size, (long long)size);
}

/* Rank 0: the finished layout goes from memory to disk. */
static demarc_status save_layout(dm_writer *w)
{
    struct stat s;
    demarc_status st = close_hdf5(w);
    if (st != DEMARC_OK) return st;
    if (fstat(w->memory, &s) != 0) return cannot_write_errno(w, errno);
    if (w->keep) {
        st = check_kept(w, s.st_size);
        goto cleanup;
    }
    DM_TRY(reserve_space(w, s.st_size));
    DM_TRY(copy_layout(w, s.st_size));
    if (ftruncate(w->disk, s.st_size) != 0) st = cannot_write_errno(w, errno);
cleanup:
    /* Some network file systems tell of a failed write only here. */
    if (close(w->disk) != 0 && st == DEMARC_OK) st = cannot_write_errno(w, errno);
    w->disk = -1;
    close_descriptor(&w->memory);
    return st;
}

static demarc_status not_visible(const dm_writer *w, int reason)
{
    return dm_fail_errno(reason, "a rank cannot reach the output: %s: use a file system all hosts share or --io funnel",
                         w->path);
}

static demarc_status open_alone(dm_writer *w)
{
    hid_t fapl = DM_HDF5_NONE;
    demarc_status st = file_access(&fapl);
    if (st != DEMARC_OK) return st;
    w->file = H5Fopen(w->path, H5F_ACC_RDWR, fapl);
    if (w->file < 0) st = cannot_write(w, "open");
    dm_hdf5_close(&fapl);
    return st;
}

static demarc_status open_row_datasets(dm_writer *w)
{
    for (int i = 0; i < w->row_datasets; i++) {
        w->rows[i].id = H5Dopen2(w->file, w->rows[i].name, H5P_DEFAULT);
        if (w->rows[i].id < 0) return cannot_write(w, w->rows[i].name);
    }
    return DEMARC_OK;
}

/* The places of all datasets from rank 0. @return whether a thread of each rank may write to them; the same on all. */
static bool share_places(dm_writer *w)
{
    const int ranks = dm_comm_size(w->comm);
    bool known = w->parallel || ranks == 1;
    for (int i = 0; i < w->row_datasets && known; i++) {
        row_dataset *r = &w->rows[i];
        dm_comm_bcast(w->comm, &r->place, sizeof r->place, 0);
        known = r->n == 0 || (r->place > 0 && (ranks == 1 || r->place % ALIGNMENT == 0));
    }
    return known;
}

/* This rank's descriptor and thread. */
static demarc_status open_thread(dm_writer *w)
{
    w->rows_disk = open(w->path, O_WRONLY | O_CLOEXEC);
    return w->rows_disk < 0 ? not_visible(w, errno) : dm_write_thread_create(&w->thread, w->rows_disk);
}

/* @param[in] later  the first rows are to be written later */
static demarc_status begin_rows(dm_writer *w, bool later)
{
    demarc_status st = DEMARC_OK;
    w->phase = PHASE_ROWS;
    DM_TRY(agree(w, is_root(w) ? save_layout(w) : DEMARC_OK));
    /* Whatever the size: that a run needs a shared file system is not to depend on it. */
    if (w->parallel) DM_TRY(agree(w, access(w->path, R_OK | W_OK) == 0 ? DEMARC_OK : not_visible(w, errno)));
    if ((later || w->parallel) && share_places(w)) return agree(w, open_thread(w));
    DM_TRY(agree(w, is_root(w) ? open_alone(w) : DEMARC_OK));
    DM_TRY(agree(w, w->file >= 0 ? open_row_datasets(w) : DEMARC_OK));
cleanup:
    return st;
}

static int64_t rows_per(int64_t bytes, const row_dataset *r) { return r->row_bytes < bytes ? bytes / r->row_bytes : 1; }

static demarc_status write_slab(const dm_writer *w, const row_dataset *r, int64_t begin, int64_t count,
                                const void *data)
{
    demarc_status st = DEMARC_OK;
    hsize_t start[2] = {(hsize_t)begin, 0}, extent[2] = {(hsize_t)count, (hsize_t)r->columns};
    hid_t in_file = make_space(r->n, r->columns), in_memory = make_space(count, r->columns);
    if (in_file < 0 || in_memory < 0 || H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, extent, NULL) < 0 ||
        H5Dwrite(r->id, r->memory_type, in_memory, in_file, H5P_DEFAULT, data) < 0) {
        st = cannot_write(w, r->name);
    }
    dm_hdf5_close(&in_memory);
    dm_hdf5_close(&in_file);
    return st;
}

static demarc_status write_here(const dm_writer *w, const row_dataset *r, int64_t begin, int64_t count,
                                const void *data)
{
    demarc_status st = DEMARC_OK;
    int64_t step = rows_per(MAX_WRITE, r);
    for (int64_t done = 0; st == DEMARC_OK && done < count; done += step) {
        st = write_slab(w, r, begin + done, smaller(step, count - done), (const char *)data + done * r->row_bytes);
    }
    return st;
}

/*
 * Funnel. Per call a peer announces {begin, count}; before each piece rank 0 answers go or stop, and after a stop the
 * peer sends no more. So a failure of rank 0 hangs nobody, and no more than one piece is ever under way.
 */
static demarc_status receive_rows(dm_writer *w, const row_dataset *r, int from, demarc_status st)
{
    int64_t range[2];
    dm_comm_recv(w->comm, range, sizeof range, from);
    int64_t begin = range[0], count = range[1], step = smaller(rows_per(MAX_PIECE, r), count);
    if (st == DEMARC_OK && step * r->row_bytes > w->piece_bytes) {
        dm_free(w->piece);
        w->piece_bytes = 0;
        st = dm_alloc(w->piece, step * r->row_bytes, "rows on their way to the output");
        if (st == DEMARC_OK) w->piece_bytes = step * r->row_bytes;
    }
    for (int64_t done = 0; done < count; done += step) {
        int64_t go = st == DEMARC_OK, rows = smaller(step, count - done);
        dm_comm_send(w->comm, &go, sizeof go, from);
        if (!go) break;
        dm_comm_recv(w->comm, w->piece, rows * r->row_bytes, from);
        st = write_here(w, r, begin + done, rows, w->piece);
    }
    return st;
}

static void send_rows(const dm_writer *w, const row_dataset *r, int64_t begin, int64_t count, const void *data)
{
    int64_t range[2] = {begin, count}, step = smaller(rows_per(MAX_PIECE, r), count);
    dm_comm_send(w->comm, range, sizeof range, 0);
    for (int64_t done = 0; done < count; done += step) {
        int64_t go = 0;
        dm_comm_recv(w->comm, &go, sizeof go, 0);
        if (!go) break;
        dm_comm_send(w->comm, (const char *)data + done * r->row_bytes, smaller(step, count - done) * r->row_bytes, 0);
    }
}

static demarc_status funnel(dm_writer *w, const row_dataset *r, int64_t begin, int64_t count, const void *data)
{
    if (!is_root(w)) {
        send_rows(w, r, begin, count, data);
        return DEMARC_OK;
    }
    demarc_status st = write_here(w, r, begin, count, data);
    for (int from = 1; from < dm_comm_size(w->comm); from++) st = receive_rows(w, r, from, st);
    return st;
}

static demarc_status check_range(const dm_writer *w, int handle, int64_t begin, int64_t count, const void *data)
{
    if (handle < 0 || handle >= w->row_datasets) {
        return dm_fail(DEMARC_ERR_ARG, "no such dataset of rows: %s (handle %d): lay it out first", w->path, handle);
    }
    const row_dataset *r = &w->rows[handle];
    if (begin < 0 || count < 0 || begin > r->n - count || (count > 0 && data == NULL)) {
        return dm_fail(DEMARC_ERR_ARG,
                       "rows outside the dataset: %s (%s, %lld rows from %lld of %lld): write within it", w->path,
                       r->name, (long long)count, (long long)begin, (long long)r->n);
    }
    return DEMARC_OK;
}

/* This rank's rows given to the thread so far are on their way to the disk, or why not. */
static demarc_status thread_done(const dm_writer *w)
{
    int tag = 0;
    const int reason = dm_write_thread_wait(w->thread, &tag);
    return reason == 0 ? DEMARC_OK : cannot_write_rows(w, w->rows[tag].name, reason);
}

static demarc_status write_rows(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data, bool later)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(agree(w, check_range(w, handle, begin, count, data)));
    if (w->phase == PHASE_LAYOUT) DM_TRY(begin_rows(w, later));
    const row_dataset *r = &w->rows[handle];
    if (w->thread != NULL) {
        dm_write_thread_put(w->thread, data, count * r->row_bytes, r->place + begin * r->row_bytes, handle);
        if (!later) DM_TRY(agree(w, thread_done(w)));
    } else {
        DM_TRY(agree(w, funnel(w, r, begin, count, data)));
    }
cleanup:
    return st;
}

demarc_status dm_writer_rows(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data)
{
    return write_rows(w, handle, begin, count, data, false);
}

demarc_status dm_writer_rows_later(dm_writer *w, int handle, int64_t begin, int64_t count, const void *data)
{
    return write_rows(w, handle, begin, count, data, true);
}

demarc_status dm_writer_wait(dm_writer *w) { return w->thread == NULL ? DEMARC_OK : thread_done(w); }

static demarc_status sync_rows(void *writer)
{
    const dm_writer *w = writer;
    if (w->thread == NULL) return dm_path_sync(w->path, 0);
    const demarc_status st = thread_done(w);
    return st == DEMARC_OK && fsync(w->rows_disk) != 0 ? cannot_write_rows(w, "flush", errno) : st;
}

demarc_status dm_writer_flush(dm_writer *w)
{
    demarc_status st = DEMARC_OK;
    if (w->phase == PHASE_LAYOUT) return DEMARC_OK;
    const bool hdf5 = w->thread == NULL && w->file >= 0;
    if (hdf5 && H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0) st = cannot_write(w, "flush");
    const bool syncs = st == DEMARC_OK && (hdf5 || w->thread != NULL);
    const demarc_status synced = dm_comm_meanwhile(w->comm, syncs ? sync_rows : NULL, w);
    return agree(w, st == DEMARC_OK ? synced : st);
}

/* Every rank syncs, so that it hears of its own writes that the system has put off. */
static demarc_status close_rows_disk(void *writer)
{
    dm_writer *w = writer;
    demarc_status st = thread_done(w);
    if (st != DEMARC_OK) return st;
    dm_write_thread_destroy(&w->thread);
    if (dm_comm_size(w->comm) > 1 && fsync(w->rows_disk) != 0) st = cannot_write_rows(w, "flush", errno);
    const int fd = w->rows_disk;
    w->rows_disk = -1;
    if (close(fd) != 0 && st == DEMARC_OK) st = cannot_write_rows(w, "close", errno);
    return st;
}

static demarc_status finish(dm_writer *w)
{
    demarc_status st = DEMARC_OK;
    if (w->phase == PHASE_LAYOUT) return is_root(w) ? save_layout(w) : DEMARC_OK;
    if (w->thread == NULL) st = close_hdf5(w);
    const demarc_status closed = dm_comm_meanwhile(w->comm, w->thread != NULL ? close_rows_disk : NULL, w);
    return st == DEMARC_OK ? closed : st;
}

demarc_status dm_writer_close(dm_writer **w)
{
    demarc_status st = DEMARC_OK;
    if (*w == NULL) return DEMARC_OK;
    if ((*w)->broken) {
        st = dm_fail(DEMARC_ERR_IO, "the output is incomplete: %s: an earlier call failed, throw it away", (*w)->path);
        discard_hdf5(*w);
    } else {
        st = dm_comm_agree((*w)->comm, finish(*w));
    }
    free_writer(w);
    return st;
}

void dm_writer_discard(dm_writer **w)
{
    if (*w == NULL) return;
    discard_hdf5(*w);
    free_writer(w);
}
