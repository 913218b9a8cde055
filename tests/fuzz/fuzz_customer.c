/* A customer file: schema and names, the first rows of every column, uniqueness of ids. */
#include <stdlib.h>

#include "fuzz_support.h"
#include "store/customer_file.h"

#define ROWS 512         /* looked at */
#define VALUES (1 << 20) /* a wider table is described only */
#define ID_ROWS 100000   /* most whose uniqueness is checked */
#define ID_BYTES (1 << 20)

static void read_columns(dm_customers *c)
{
    const dm_schema *s = dm_customers_schema(c);
    const int64_t rows = s->n < ROWS ? s->n : ROWS, begin = s->n - rows;
    const int64_t wide = s->d > s->outcome.count ? s->d : s->outcome.count;
    const int64_t columns = wide > s->propensity ? wide : s->propensity;
    const int64_t most = columns > s->channel.count ? columns : s->channel.count;
    if (most > VALUES / ROWS) return;
    double *to = malloc((size_t)(rows * (most + 1)) * sizeof *to);
    if (to == NULL) abort();
    if (s->d > 0) {
        fuzz_expect(dm_customers_features_f64(c, begin, s->n, to));
        fuzz_expect(dm_customers_features_f32(c, begin, s->n, (float *)to));
        if (s->exact_f16) fuzz_expect(dm_customers_features_f16(c, begin, s->n, (uint16_t *)to));
        if (dm_customers_features_are_direct(c)) fuzz_expect(dm_customers_features_direct(c, begin, s->n, to));
    }
    if (s->outcome.count > 0) fuzz_expect(dm_customers_outcomes(c, begin, s->n, to));
    if (s->propensity > 0) fuzz_expect(dm_customers_propensity(c, begin, s->n, to));
    if (s->weight) fuzz_expect(dm_customers_weight(c, begin, s->n, (float *)to));
    if (s->arm) fuzz_expect(dm_customers_arm(c, begin, s->n, (int32_t *)to));
    if (s->channel.count > 0) fuzz_expect(dm_customers_reachable(c, begin, s->n, (uint8_t *)to));
    free(to);
}

static void read_ids(dm_customers *c)
{
    const dm_schema *s = dm_customers_schema(c);
    char text[256];
    dm_ids ids = {0};
    if (s->n > ID_ROWS || s->id_size > VALUES / ROWS) return;
    if (fuzz_expect(dm_customers_ids(c, 0, s->n < ROWS ? s->n : ROWS, &ids)) == DEMARC_OK && ids.count > 0) {
        dm_ids_text(&ids, ids.count - 1, text, sizeof text);
    }
    dm_ids_clear(&ids);
    fuzz_expect(dm_customers_check_ids(c, fuzz_comm(), 1, ID_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dm_customers *c = NULL;
    const char *path = fuzz_file(data, size);
    if (fuzz_expect(dm_customers_open(&c, fuzz_comm(), path, NULL)) == DEMARC_OK) {
        read_columns(c);
        read_ids(c);
    }
    dm_customers_close(&c);
    if (fuzz_expect(dm_customers_open_results(&c, fuzz_comm(), path, NULL)) == DEMARC_OK) read_ids(c);
    dm_customers_close(&c);
    return 0;
}
