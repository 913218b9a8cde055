#include "boundary/facet_list.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"

static bool parse_pair(const char *text, int64_t pair[2])
{
    for (int s = 0; s < 2; s++) {
        char *end = NULL;
        if (*text < '0' || *text > '9') return false;
        errno = 0;
        pair[s] = strtoll(text, &end, 10);
        if (errno != 0 || *end != (s == 0 ? '-' : 0)) return false;
        text = end + 1;
    }
    return true;
}

demarc_status dm_facet_list_parse(const char *list, int32_t k, int32_t **pair, int32_t *count)
{
    demarc_status st = DEMARC_OK;
    dm_strings names = {0};
    DM_TRY(dm_strings_split(&names, list, "--boundaries"));
    DM_TRY(dm_alloc(*pair, 2 * (int64_t)names.count, "boundaries"));
    for (int32_t i = 0; i < names.count; i++) {
        int64_t v[2];
        if (!parse_pair(names.item[i], v)) {
            DM_TRY(dm_fail(DEMARC_ERR_USAGE, "not a boundary: --boundaries, '%s': write two segments, A-B",
                           names.item[i]));
        }
        if (v[0] >= k || v[1] >= k) {
            DM_TRY(dm_fail(DEMARC_ERR_USAGE, "unknown boundary: --boundaries, %s: segments are 0 to %d", names.item[i],
                           (int)k - 1));
        }
        if (v[0] == v[1]) {
            DM_TRY(dm_fail(DEMARC_ERR_USAGE, "not a boundary: --boundaries, %s: name two different segments",
                           names.item[i]));
        }
        (*pair)[2 * i] = (int32_t)(v[0] < v[1] ? v[0] : v[1]);
        (*pair)[2 * i + 1] = (int32_t)(v[0] < v[1] ? v[1] : v[0]);
        for (int32_t j = 0; j < i; j++) {
            if ((*pair)[2 * j] == (*pair)[2 * i] && (*pair)[2 * j + 1] == (*pair)[2 * i + 1]) {
                DM_TRY(
                    dm_fail(DEMARC_ERR_USAGE, "boundary named twice: --boundaries, %s: name it once", names.item[i]));
            }
        }
    }
    *count = names.count;
cleanup:
    dm_strings_clear(&names);
    return st;
}
