/* How many customers each arm has. */
#include "base/memory.h"
#include "base/row_blocks.h"
#include "store/customer_internal.h"

#define WINDOW 262144

/* The limit is what the names or the propensities tell, or what demarc can count. */
static demarc_status out_of_range(const dm_customers *c, int64_t row, int32_t arm, int32_t limit)
{
    const dm_schema *s = &c->schema;
    if (s->arm_name.count == limit) {
        return dm_fail(
            DEMARC_ERR_DATA,
            "arm out of range: %s, %s: row %lld has arm %d, arm_names has %d names: name every arm from 0 on", c->path,
            c->name[DM_PART_ARM], (long long)row, (int)arm, (int)limit);
    }
    if (s->propensity == limit) {
        return dm_fail(
            DEMARC_ERR_DATA,
            "arm out of range: %s, %s: row %lld has arm %d, %s has %d columns: give one for every arm from 0 on",
            c->path, c->name[DM_PART_ARM], (long long)row, (int)arm, c->name[DM_PART_PROPENSITY], (int)limit);
    }
    return dm_fail(DEMARC_ERR_DATA, "arm out of range: %s, %s: row %lld has arm %d: number arms from 0 to %d", c->path,
                   c->name[DM_PART_ARM], (long long)row, (int)arm, (int)limit - 1);
}

static demarc_status count_own(dm_customers *c, dm_row_range range, int32_t limit, int32_t *arm, int64_t *size)
{
    demarc_status st = DEMARC_OK;
    for (int64_t at = range.begin; at < range.end; at += WINDOW) {
        const int64_t stop = at + WINDOW < range.end ? at + WINDOW : range.end;
        DM_TRY(dm_customers_arm(c, at, stop, arm));
        for (int64_t i = 0; i < stop - at; i++) {
            if (arm[i] >= limit) return out_of_range(c, at + i, arm[i], limit);
            size[arm[i]]++;
        }
    }
cleanup:
    return st;
}

demarc_status dm_customers_count_arms(dm_customers *c, dm_comm *comm, int32_t limit, int32_t *arms, int64_t **size)
{
    demarc_status st = DEMARC_OK;
    const dm_row_range range = dm_row_range_of(c->schema.n, dm_comm_rank(comm), dm_comm_size(comm));
    int32_t *arm = NULL;
    int64_t *count = NULL;
    *size = NULL;
    st = dm_alloc(arm, WINDOW, "arms");
    if (st == DEMARC_OK) st = dm_alloc_zero(count, limit, "arms");
    if (st == DEMARC_OK) st = count_own(c, range, limit, arm, count);
    DM_TRY_ALL(comm, st);
    dm_comm_sum_i64(comm, count, limit);
    for (*arms = limit; *arms > 0 && count[*arms - 1] == 0;) (*arms)--;
    *size = count;
    count = NULL;
cleanup:
    dm_free(arm);
    dm_free(count);
    return st;
}
