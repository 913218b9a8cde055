/*
 * Options that several commands have, as entries of an option table (options.h): one name, one text, one range everywhere.
 */
#ifndef DM_CLI_SHARED_OPTIONS_H
#define DM_CLI_SHARED_OPTIONS_H

#include "cli/options.h"

/** In the order of demarc_adjust. */
extern const char *const cli_adjust_words[];

#define CLI_MODEL(group, target)                                                                                       \
    CLI_OPTION(group, "model", "MODEL.h5", CLI_TEXT, target, "model of a fit (model.h5 in its results)",               \
               .required = true)

#define CLI_SHIFTS(group, target)                                                                                      \
    CLI_OPTION(group, "shifts", "S,...", CLI_TEXT, target,                                                             \
               "shares by which segments grow or shrink (default -0.2,-0.1,-0.05,0.05,0.1,0.2)")

#define CLI_ALPHA(group, target)                                                                                       \
    CLI_OPTION(group, "alpha", "P", CLI_REAL, target, "level of all tests together; intervals have 1 - P each",        \
               .min = 0, .max = 1, .below_max = true, .show_default = true)

#define CLI_ADJUST(group, target)                                                                                      \
    CLI_OPTION(group, "adjust", "METHOD", CLI_CHOICE, target,                                                          \
               "of p-values: holm (no false verdict) or bh (few among the verdicts)", .word = cli_adjust_words,        \
               .show_default = true)

#define CLI_SRM_ALPHA(group, target)                                                                                   \
    CLI_OPTION(group, "srm-alpha", "P", CLI_REAL, target, "a sample-ratio p-value below this stops the verdicts",      \
               .min = 0, .max = 1, .below_max = true, .show_default = true)

/** `help`: of whom so many are needed. */
#define CLI_MIN_CELL(group, target, help, least)                                                                       \
    CLI_OPTION(group, "min-cell", "N", CLI_INT64, target, help, .min = (least), .max = 1e15, .show_default = true)

#define CLI_MIN_EVENTS(group, target, help)                                                                            \
    CLI_OPTION(group, "min-events", "N", CLI_INT64, target, help, .min = 0, .max = 1e15, .show_default = true)

#endif
