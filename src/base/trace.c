#include "base/trace.h"

#include <stdlib.h>

demarc_status dm_trace_add(dm_trace *t, const char *phase, int32_t iteration, double objective, double shift)
{
    if ((t->passes & (t->passes - 1)) == 0) { /* full at every power of two */
        size_t room = t->passes == 0 ? 1 : 2 * (size_t)t->passes;
        dm_pass_record *grown = realloc(t->pass, room * sizeof *grown);
        if (grown == NULL) return dm_fail(DEMARC_ERR_MEMORY, "out of memory: record of passes: free some memory");
        t->pass = grown;
    }
    t->pass[t->passes++] = (dm_pass_record){phase, iteration, objective, shift};
    return DEMARC_OK;
}

void dm_trace_clear(dm_trace *t)
{
    free(t->pass);
    free(t->tried);
    *t = (dm_trace){0};
}
