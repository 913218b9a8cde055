/* Log lines for people: stderr from rank 0 only, never stdout. Local. */
#ifndef DM_BASE_LOG_H
#define DM_BASE_LOG_H

#include "base/status.h"

typedef struct dm_log {
    FILE *stream; /* NULL on ranks that stay silent */
    demarc_verbosity verbosity;
    demarc_progress progress;
    double next_progress; /* clock time before which no further progress line is due */
    bool bar_shown;
} dm_log;

/** A plain line, shown at DEMARC_NORMAL and above. */
__attribute__((format(printf, 2, 3))) void dm_log_line(dm_log *log, const char *fmt, ...);
/** A line for --verbose. */
__attribute__((format(printf, 2, 3))) void dm_log_detail(dm_log *log, const char *fmt, ...);
/** "demarc: warning: ..."; shown unless --quiet. */
__attribute__((format(printf, 2, 3))) void dm_log_warn(dm_log *log, const char *fmt, ...);

/**
 * Progress of one phase. On a terminal a bar with rate and time left, redrawn at most 10 times a second; otherwise a
 * plain line every 10 s at most. done == total ends the bar. total == 0 means that nobody knows how much is to come: a
 * count and a rate are shown, until dm_log_progress_end().
 */
void dm_log_progress(dm_log *log, const char *phase, int64_t done, int64_t total, double phase_start);
void dm_log_progress_end(dm_log *log);

#endif
