/* Boundaries as a user names them. */
#ifndef DM_BOUNDARY_FACET_LIST_H
#define DM_BOUNDARY_FACET_LIST_H

#include "base/status.h"

/**
 * "0-2,3-1": distinct pairs of different segments below k, in the order given, the lower segment first. Local.
 * @param[out] pair  dm_alloc'd [count, 2], also after an error
 * @retval DEMARC_ERR_USAGE  names --boundaries and the item
 */
demarc_status dm_facet_list_parse(const char *list, int32_t k, int32_t **pair, int32_t *count);

#endif
