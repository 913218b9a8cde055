#include "base/log.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static void end_bar(dm_log *log)
{
    if (!log->bar_shown) return;
    fputs("\r\033[K", log->stream);
    log->bar_shown = false;
}

static void emit(dm_log *log, const char *prefix, const char *fmt, va_list ap)
{
    end_bar(log);
    fputs(prefix, log->stream);
    vfprintf(log->stream, fmt, ap);
    fputc('\n', log->stream);
    fflush(log->stream);
}

void dm_log_line(dm_log *log, const char *fmt, ...)
{
    if (log->stream == NULL || log->verbosity < DEMARC_NORMAL) return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, "", fmt, ap);
    va_end(ap);
}

void dm_log_detail(dm_log *log, const char *fmt, ...)
{
    if (log->stream == NULL || log->verbosity < DEMARC_VERBOSE) return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, "", fmt, ap);
    va_end(ap);
}

void dm_log_warn(dm_log *log, const char *fmt, ...)
{
    if (log->stream == NULL || log->verbosity < DEMARC_NORMAL) return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, "demarc: warning: ", fmt, ap);
    va_end(ap);
}

/* A bar, or a plain line, with the time left by the rate so far. */
static void show_share(dm_log *log, bool bar, const char *phase, double share, double rate, double seconds)
{
    const double left = share > 0.0 ? seconds * (1.0 - share) / share : 0.0;
    if (!bar) {
        fprintf(log->stream, "%s: %.0f%% done, %.3g/s, about %.0f s left\n", phase, 100.0 * share, rate, left);
        return;
    }
    char marks[31];
    const int filled = (int)(share * 30.0);
    for (int i = 0; i < 30; i++) marks[i] = i < filled ? '#' : '.';
    marks[30] = 0;
    fprintf(log->stream, "\r%-10s [%s] %3.0f%%  %.3g/s  %.0f s left\033[K", phase, marks, 100.0 * share, rate, left);
}

void dm_log_progress(dm_log *log, const char *phase, int64_t done, int64_t total, double phase_start)
{
    if (log->stream == NULL || log->verbosity < DEMARC_NORMAL || log->progress == DEMARC_PROGRESS_NEVER) return;
    bool terminal = isatty(fileno(log->stream)) != 0;
    bool bar = terminal || log->progress == DEMARC_PROGRESS_ALWAYS;
    double now = dm_clock();
    if (total > 0 && done >= total) {
        end_bar(log);
        return;
    }
    if (now < log->next_progress || now - phase_start < 0.5) return;
    const double seconds = now - phase_start, rate = seconds > 0.0 ? (double)done / seconds : 0.0;
    if (!bar && seconds < 10.0) return;
    if (total <= 0) {
        fprintf(log->stream, bar ? "\r%-10s %lld passes, %.3g/s\033[K" : "%s: %lld passes so far, %.3g/s\n", phase,
                (long long)done, rate);
    } else {
        show_share(log, bar, phase, (double)done / (double)total, rate, seconds);
    }
    log->bar_shown = bar;
    log->next_progress = now + (bar ? 0.1 : 10.0);
    fflush(log->stream);
}

void dm_log_progress_end(dm_log *log)
{
    if (log->stream != NULL) end_bar(log);
}
