/* A command line with an option of every kind, for fuzz_config.c and fuzz_options.c. */
#ifndef DM_TEST_FUZZ_COMMAND_LINE_H
#define DM_TEST_FUZZ_COMMAND_LINE_H

#include "cli/common.h"

/** Parse argv as a command with all common options and one of every kind would; nothing is run. */
demarc_status fuzz_command_line(int argc, char *const *argv);

#endif
