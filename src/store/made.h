/*
 * What made an output, kept in the output: attributes `made_by`, `options_digest` and `data_digest` of "/", and, where no
 * other file has it, the report of that run as /report (one string of JSON). By these a command that is run again knows its
 * own finished output from another's.
 */
#ifndef DM_STORE_MADE_H
#define DM_STORE_MADE_H

#include "store/writer.h"

typedef struct dm_made {
    char by[32];                /* command: "boundary sweep"; "" = not told */
    char options[33], data[33]; /* hexadecimal digests of all that the result depends on: as asked, as found in files */
    bool reported;              /* the file has /report; the same on all ranks */
    const char *report;         /* JSON on rank 0, NULL on others */
} dm_made;

/** Before the first rows. Collective. @param[in] made  may be NULL: nothing is told */
demarc_status dm_made_write(dm_writer *w, const dm_made *made);

/**
 * Of a file at `path`. Local.
 * @param[out] made    by "" where the file does not tell or is not HDF5; no report
 */
demarc_status dm_made_read(const char *path, dm_made *made);

/** The report kept in `path`, malloc'd. Local. @retval DEMARC_ERR_DATA  there is none */
demarc_status dm_made_report(const char *path, char **report);

#endif
