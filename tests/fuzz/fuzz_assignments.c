/* assignments.h5 and the critical offsets of a sweep. */
#include "fuzz_support.h"
#include "store/assignments_file.h"
#include "store/offsets_file.h"

#define ROWS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int32_t segment[ROWS], runner_up[ROWS];
    static float distance[ROWS], margin[ROWS];
    const dm_assignment_rows rows = {
        .segment = segment, .runner_up = runner_up, .distance = distance, .margin = margin};
    dm_assignments *a = NULL;
    dm_strings digest = {0};
    int64_t n = 0, k = 0;
    const char *path = fuzz_file(data, size);
    if (fuzz_expect(dm_assignments_open(&a, fuzz_comm(), path, &n)) == DEMARC_OK) {
        const int64_t count = n < ROWS ? n : ROWS;
        fuzz_expect(dm_assignments_read(a, n - count, count, &rows));
    }
    dm_assignments_shut(&a);
    fuzz_expect(dm_offsets_shape(path, &n, &k, &digest));
    dm_strings_clear(&digest);
    return 0;
}
