/*
 * One dataset with a row per customer (or per segment), [n] or [n, columns], read in ranges of rows.
 *
 * Rows are read in the stored type and converted here, in slabs that end on chunk borders: HDF5 then needs no conversion
 * buffer, and our own is bounded. The chunk cache is sized so that a band of chunks (all column chunks over the same
 * rows) is decompressed once when rows are read in order in pieces of any size. Local.
 *
 * Floats that lie in one piece in this machine's format can be read past HDF5 too, by any number of threads at a time.
 */
#ifndef DM_STORE_HDF5_COLUMN_H
#define DM_STORE_HDF5_COLUMN_H

#include "store/hdf5_util.h"

typedef enum dm_value_kind {
    DM_VALUE_OTHER,   /* a type we do not read: compound, bfloat16, ... */
    DM_VALUE_FLOAT,   /* IEEE float16, float32 or float64, any byte order */
    DM_VALUE_INTEGER, /* 1 to 8 bytes, any byte order */
    DM_VALUE_BOOL,    /* an enum of FALSE and TRUE, as h5py and hdf5r write */
    DM_VALUE_FIXED,   /* fixed-length strings */
    DM_VALUE_VARIABLE /* variable-length strings */
} dm_value_kind;

/** What dm_column_read() delivers. */
typedef enum dm_target {
    DM_TARGET_F16, /* halves as stored: their 16 bits in this machine's byte order */
    DM_TARGET_F32,
    DM_TARGET_F64,
    DM_TARGET_BITS64, /* integers and bool sign- or zero-extended to 64 bits, see is_signed */
    DM_TARGET_FIXED   /* strings of `bytes` bytes, NUL-padded */
} dm_target;

typedef struct dm_column {
    const char *file, *path; /* for error lines; borrowed */
    int dimensions;          /* of the dataset; 1 and 2 can be read */
    int64_t rows, columns;   /* [n] counts as [n, 1] */
    bool lying;              /* a list stored as [1, n] */
    dm_value_kind kind;
    bool is_signed;
    int64_t bytes;         /* per value in memory after byte order and width are made native; string length */
    int64_t chunk_rows;    /* 0 = not chunked */
    bool written;          /* any storage is allocated */
    char shape_text[96];   /* "[1000, 32]" */
    char type_text[64];    /* "float32", "int64 big-endian", "strings of 12 bytes", "compound", ... */
    char storage_text[96]; /* "contiguous", "chunked 4096 x 32, shuffle, deflate" */

    hid_t set, stored;
    hid_t base;   /* the number type: `stored`, or the integer below a bool */
    hid_t native; /* `base` in this machine's byte order and a width of 1, 2, 4 or 8; none for halves, which HDF5 1.10
                     has no name for: their bytes are swapped here */
    bool convert; /* base and native differ: byte order, width or padding bits */
    int64_t stored_bytes;
    int64_t slab_rows;
    char *slab;
    int64_t slab_bytes;
    int fd;         /* HDF5's own descriptor of the file the values lie in, -1 unless `offset` is known */
    int64_t offset; /* where row 0 lies in it, when the values are there in this machine's format; else -1 */
} dm_column;

/**
 * Open `path` inside the open HDF5 `file` and describe it. Kinds and shapes that cannot be read are described, not
 * refused: the caller knows what was expected.
 * @param[in] file_name, path  borrowed until dm_column_close()
 * @param[in] list             one value a row is wanted: [1, n], as MATLAB writes a column vector, is read as [n]
 * @retval DEMARC_ERR_DATA  not a dataset, damaged, stored outside the file, or its filter is not available here
 */
demarc_status dm_column_open(dm_column *c, hid_t file, const char *file_name, const char *path, bool list);
/** Safe on a zeroed struct and twice. */
void dm_column_close(dm_column *c);

/**
 * Rows [begin, end) into out [rows, columns]. 64-bit integers go to float types with C's rounding.
 * @retval DEMARC_ERR_ARG   range or target does not fit the dataset
 * @retval DEMARC_ERR_DATA  a damaged chunk; rows are named
 * @retval DEMARC_ERR_IO    the system could not read
 */
demarc_status dm_column_read(dm_column *c, int64_t begin, int64_t end, dm_target target, void *out);

/** True if dm_column_pread() serves: contiguous, unfiltered, wholly written, in this machine's byte order. */
bool dm_column_is_direct(const dm_column *c);
/**
 * Rows [begin, end) of a direct column as stored (`bytes` per value) into out [rows, columns]. Makes no HDF5 call: any
 * number of threads may call it, also while another thread is inside HDF5.
 * @retval DEMARC_ERR_DATA  the file has become shorter
 * @retval DEMARC_ERR_IO    the system could not read
 */
demarc_status dm_column_pread(const dm_column *c, int64_t begin, int64_t end, void *out);
/** Tell the system that rows [begin, end) of a direct column will be read soon. Returns at once; thread rule as above. */
void dm_column_expect(const dm_column *c, int64_t begin, int64_t end);

/**
 * Variable-length strings of rows [begin, end) of a [n] dataset; entries may be NULL. `out` must hold NULLs before, and
 * is to be freed by dm_column_text_free() also after an error.
 */
demarc_status dm_column_read_text(dm_column *c, int64_t begin, int64_t end, char **out);
/** Give back the strings, not the array. */
void dm_column_text_free(char **text, int64_t count);

#endif
