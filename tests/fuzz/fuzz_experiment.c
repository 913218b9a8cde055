/* experiment.h5 of a plan. */
#include "fuzz_support.h"
#include "store/experiment_file.h"

#define ROWS 256
#define ID_BYTES 4096

static void read_rows(dm_experiment *e)
{
    static int64_t row[ROWS];
    static int32_t boundary[ROWS], segment[ROWS], other[ROWS], stratum[ROWS], arm[ROWS];
    static double margin[ROWS], propensity[ROWS];
    const dm_experiment_rows rows = {.row = row,
                                     .boundary = boundary,
                                     .segment = segment,
                                     .other = other,
                                     .stratum = stratum,
                                     .arm = arm,
                                     .margin = margin,
                                     .propensity = propensity};
    const int64_t n = dm_experiment_facts_of(e)->customers, count = n < ROWS ? n : ROWS;
    dm_ids ids = {0};
    fuzz_expect(dm_experiment_read(e, n - count, count, &rows));
    if (fuzz_expect(dm_experiment_ids(e, 0, count, &ids)) == DEMARC_OK && count > 0) {
        char text[ID_BYTES];
        dm_ids_text(&ids, 0, text, sizeof text);
    }
    dm_ids_clear(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dm_experiment *e = NULL;
    if (fuzz_expect(dm_experiment_open(&e, fuzz_comm(), fuzz_file(data, size))) == DEMARC_OK) read_rows(e);
    dm_experiment_close(&e);
    return 0;
}
