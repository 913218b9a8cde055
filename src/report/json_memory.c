#include "report/json_memory.h"

#include <stdbool.h>
#include <stdint.h>

#define RESERVE 65536 /* enough to get out of any string; beyond it jansson is on its own */
#define ALIGN 16

static json_malloc_t inner_malloc;
static json_free_t inner_free;
static _Alignas(ALIGN) char reserve[RESERVE];
static size_t used; /* of the reserve: more than 0 = memory was refused */

static void *spare_malloc(size_t bytes)
{
    void *p = inner_malloc(bytes);
    if (p != NULL) return p;
    const size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole < bytes || whole > RESERVE - used) {
        used = used == 0 ? ALIGN : used;
        return NULL;
    }
    p = reserve + used;
    used += whole == 0 ? ALIGN : whole;
    return p;
}

static void spare_free(void *p)
{
    const uintptr_t at = (uintptr_t)p, begin = (uintptr_t)reserve;
    if (at < begin || at >= begin + RESERVE) inner_free(p);
}

static void begin(void)
{
    used = 0;
    json_get_alloc_funcs(&inner_malloc, &inner_free);
    json_set_alloc_funcs(spare_malloc, spare_free);
}

static void end(void) { json_set_alloc_funcs(inner_malloc, inner_free); }

json_t *dm_json_read(const char *text, size_t bytes, size_t flags, json_error_t *e)
{
    begin();
    json_t *root = json_loadb(text, bytes, flags, e);
    if (used > 0) {
        json_decref(root);
        root = NULL;
        e->text[0] = 0;
    }
    end();
    return root;
}

char *dm_json_dump(const json_t *root, size_t flags)
{
    begin();
    char *text = json_dumps(root, flags);
    if (used > 0) {
        spare_free(text);
        text = NULL;
    }
    end();
    return text;
}
