/* The result of demarc compare as text. Local. */
#ifndef DM_CLI_COMPARE_TEXT_H
#define DM_CLI_COMPARE_TEXT_H

#include "base/status.h"

/** Print the document (schema/compare.schema.json) as tables. */
demarc_status cli_compare_print(const char *json);

#endif
