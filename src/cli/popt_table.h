/* Our option tables as popt's: for splitting a command line and for the list of options in --help. Local. */
#ifndef DM_CLI_POPT_TABLE_H
#define DM_CLI_POPT_TABLE_H

#include <popt.h>

#include "cli/options.h"

/**
 * popt returns this for the option with index i; for a flag's hidden negation --no-NAME, CLI_POPT_NO + the same. popt
 * keeps 0 and negative values for itself.
 */
#define CLI_POPT_VALUE(i) ((i) + 1)
#define CLI_POPT_NO 1000

typedef struct cli_popt {
    struct poptOption *top;   /* one table of options a group, as popt wants them nested */
    struct poptOption *entry; /* all the groups' options, each group ended by a zero entry */
    char **text;              /* help texts with defaults, titles and negated names */
    int texts;
} cli_popt;

/** @retval DEMARC_ERR_MEMORY */
demarc_status cli_popt_create(cli_popt *p, const cli_line *line);
void cli_popt_clear(cli_popt *p);

#endif
