/*
 * Exact order statistics of groups of customers, over all ranks.
 *
 * A function gives each row a key in some groups. Within a group rows are ordered by (key, late, id): keys as numbers, rows
 * that are not `late` before those that are, ids as integers or bytes (row numbers where the file has none). A query asks
 * for the first `count` rows of a group. Keys are counted digit by digit over all ranks until the exact row count is met, so
 * neither the layout nor the order of rows matters.
 */
#ifndef DM_BOUNDARY_ORDER_SELECT_H
#define DM_BOUNDARY_ORDER_SELECT_H

#include "boundary/frozen.h"

typedef struct dm_order_key {
    int32_t group;
    bool late;  /* after all rows of equal key that are not */
    double key; /* finite */
} dm_order_key;

/** Keys of row r of a block into out [per_row]; returns how many (each group at most once). Thread-safe; `context` as given. */
typedef int32_t (*dm_order_fn)(void *context, const dm_frozen_block *b, int64_t r, dm_order_key *out);

typedef struct dm_order_query {
    int32_t group;
    int64_t count; /* in [0, rows of the group] */
    /* The answer. */
    double last;  /* key of the last of them; -infinity when count == 0 */
    double next;  /* key of the row that follows; +infinity when there is none */
    int64_t tied; /* rows of the group with key == last that are not among the first `count` */
} dm_order_query;

typedef struct dm_order dm_order;

/**
 * Answer all queries together in a few passes. Collective.
 * @param[in,out] query  copied, and filled
 * @retval DEMARC_ERR_ARG  a count out of range
 */
demarc_status dm_order_find(dm_order **out, const dm_frozen *f, int32_t groups, int32_t per_row, dm_order_fn fn,
                            void *context, int32_t queries, dm_order_query *query);
/** The same for a command that asks more than once. @param[in] name  of its steps in f->journal; else "order" */
demarc_status dm_order_find_as(dm_order **out, const dm_frozen *f, const char *name, int32_t groups, int32_t per_row,
                               dm_order_fn fn, void *context, int32_t queries, dm_order_query *query);
void dm_order_destroy(dm_order **o);

/** Whether this rank's global row, which has `key` in the group of query q, is among the first `count`. Local, thread-safe. */
bool dm_order_among(const dm_order *o, int32_t q, const dm_order_key *key, int64_t row);

#endif
