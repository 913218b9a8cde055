#include "base/stop.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int wish; /* lock-free, so a handler may set it */
static atomic_bool heeded;

void dm_stop_request(int signal_number) { atomic_store(&wish, signal_number); }
int dm_stop_requested(void) { return atomic_load(&wish); }
void dm_stop_clear(void) { atomic_store(&wish, 0); }

const char *dm_stop_name(char buf[32], int signal_number)
{
    const char *name = sigabbrev_np(signal_number);
    if (name != NULL) {
        snprintf(buf, 32, "SIG%s", name);
    } else {
        snprintf(buf, 32, "signal %d", signal_number);
    }
    return buf;
}

void dm_stop_heed(bool on) { atomic_store(&heeded, on); }

demarc_status dm_stop_look(void)
{
    char name[32];
    const int signal_number = atomic_load(&wish);
    if (signal_number == 0 || !atomic_load(&heeded)) return DEMARC_OK;
    return dm_fail(DEMARC_STOPPED, "stopped by %s", dm_stop_name(name, signal_number));
}
