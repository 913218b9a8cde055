/* The JSON of demarc_boundary_analyze() as tables on stdout; the caller is rank 0. Local. */
#ifndef DM_CLI_ANALYZE_TEXT_H
#define DM_CLI_ANALYZE_TEXT_H

#include "base/status.h"

/** @param[in] json  the document of demarc_boundary_analyze() */
demarc_status cli_analyze_print(const char *json);

#endif
