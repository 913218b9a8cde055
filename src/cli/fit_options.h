/* Options that say how segments are searched for: of fit, and of commands that fit. */
#ifndef DM_CLI_FIT_OPTIONS_H
#define DM_CLI_FIT_OPTIONS_H

#include "cli/options.h"

/** --scale, --log1p, --feature-weights, --missing, --store. */
void cli_fit_features_add(cli_line *line, demarc_fit_options *o);
/** --init, --restarts, --algorithm, --batch-size, --max-epochs, --polish, --max-iterations, --tolerance, --seed. */
void cli_fit_search_add(cli_line *line, demarc_fit_options *o);

#endif
