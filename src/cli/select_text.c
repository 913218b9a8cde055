#include "cli/select_text.h"

#include <stdio.h>

demarc_status cli_select_print(const char *json)
{
    fputs(json, stdout);
    return DEMARC_OK;
}
