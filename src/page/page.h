/*
 * The report's page: markup, style, scripts and Apache ECharts, embedded in the library, around one JSON document.
 *
 * The page is fixed text, so whatever is in it about customers is in the document alone, which stands in a script element of
 * type application/json. Each "<" in it is written \u003c, so nothing in a file can end the element or open another one;
 * the scripts set text by textContent only. A Content-Security-Policy with the hashes of these scripts forbids the browser
 * all others, and every request.
 */
#ifndef DM_PAGE_PAGE_H
#define DM_PAGE_PAGE_H

#include "base/status.h"

/** Local. DEMARC_OK when the page is built in. @retval DEMARC_ERR_IMPOSSIBLE  built with -DDEMARC_REPORT=OFF */
demarc_status dm_page_available(void);

/**
 * Write the page to the file `path`, created or overwritten. Local.
 * @param[in]  json   a JSON document
 * @param[out] bytes  of the page
 * @retval DEMARC_ERR_IO
 */
demarc_status dm_page_write(const char *path, const char *json, int64_t *bytes);

#endif
