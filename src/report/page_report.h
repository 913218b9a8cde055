/*
 * The document of the report's page (src/page): a run's own files, the results of other commands as they were printed, and
 * what the engine adds for looking at: names, example customers, a map.
 *
 *   {"format_version": 1, "run", "names": [k], "diagnostics": {...}, "manifest": {...},
 *    "boundary": [...], "select", "stability", "compare": document or null,
 *    "examples": {"features": [names], "segments": [[{"id", "row", "distance", "values": [..] or null}]]},
 *    "map": {...} or null, "map_left_out": text or null}
 *
 * Documents are copied, not rewritten: their numbers are the ones on the page. An integer beyond 2^53, which a browser would
 * round, becomes a string of its digits. All functions are local to rank 0.
 */
#ifndef DM_REPORT_PAGE_REPORT_H
#define DM_REPORT_PAGE_REPORT_H

#include "base/text.h"

#define DM_PAGE_EXAMPLES 3   /* customers shown per segment */
#define DM_PAGE_ID_BYTES 128 /* longer ids are cut */

/** A customer of a segment, one of the nearest to its centroid. */
typedef struct dm_page_example {
    int64_t row; /* -1 = the segment has no more */
    float distance;
    char id[DM_PAGE_ID_BYTES];
} dm_page_example;

/**
 * Customers on the first two principal axes of the scaled space, in units of `step` (a power of two), so that short integers
 * say it exactly. dm_alloc'd.
 */
typedef struct dm_page_map {
    int64_t of;          /* customers that the axes are made from */
    double share[2];     /* of the variance, along each axis; NaN when there is none */
    double *loading;     /* [2, d] unit vectors */
    double *correlation; /* [2, d] of each feature with each axis; NaN for a constant feature */
    double step;
    int32_t *centroid;        /* [k, 2] */
    int32_t customers;        /* drawn */
    int32_t *x, *y, *segment; /* [customers], in row order */
} dm_page_map;

void dm_page_map_clear(dm_page_map *map);

typedef struct dm_page_sources {
    const char *run;                          /* directory as given */
    const char *diagnostics, *manifest;       /* paths */
    const dm_strings *boundary;               /* paths of sweep, replay, plan and analyze results */
    const char *select, *stability, *compare; /* paths; NULL = none */
    const char *names;                        /* "0=Loyal,1=Bargain"; NULL = those of the run */
    int32_t k, d;
    const dm_page_example *example; /* [k, DM_PAGE_EXAMPLES] */
    const double *example_value;    /* [k, DM_PAGE_EXAMPLES, d] original units; NULL = not known */
    const dm_page_map *map;         /* NULL = left out */
    const char *map_left_out;       /* why */
} dm_page_sources;

/** What is in the document, for the answer of the command. */
typedef struct dm_page_facts {
    int64_t n;
    int32_t boundary;
    bool select, stability, compare, map;
} dm_page_facts;

/**
 * @param[out] text  malloc'd compact JSON
 * @retval DEMARC_ERR_DATA   a file is missing, damaged, of another command, or about another model
 * @retval DEMARC_ERR_USAGE  names that do not fit
 */
demarc_status dm_page_document(const dm_page_sources *s, char **text, dm_page_facts *facts);

/** The command's own answer (schema/report.schema.json); ends in a newline. */
demarc_status dm_page_answer_json(const dm_page_facts *facts, const dm_page_sources *s, const char *out, int64_t bytes,
                                  char **text);

#endif
