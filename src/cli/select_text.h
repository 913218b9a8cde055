/* `demarc select` as tables, from its JSON. */
#ifndef DM_CLI_SELECT_TEXT_H
#define DM_CLI_SELECT_TEXT_H

#include "demarc/demarc.h"

demarc_status cli_select_print(const char *json);

#endif
