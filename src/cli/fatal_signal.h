/* A process that dies of a fault says who it was: under a launcher that is not plain from "Segmentation fault". */
#ifndef DM_CLI_FATAL_SIGNAL_H
#define DM_CLI_FATAL_SIGNAL_H

/**
 * From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT print one line that names rank, host and signal before they do
 * what they always did. A signal that somebody else handles already (a sanitizer) is left alone. Call it once, early.
 * @param[in] rank  by the launcher's environment
 */
void cli_fatal_signal_install(int rank);

#endif
