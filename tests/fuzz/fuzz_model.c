/* model.h5, the centroids of --init, and what kind of file it is. */
#include "fuzz_support.h"
#include "store/file_kind.h"
#include "store/model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dm_model m = {0};
    dm_file_kind kind = DM_KIND_CUSTOMERS;
    double centroids[6];
    int64_t bytes = 0;
    const char *path = fuzz_file(data, size);
    fuzz_expect(dm_file_kind_of(fuzz_comm(), path, &kind, &bytes));
    fuzz_expect(dm_model_read(fuzz_comm(), &m, path, DEMARC_ERR_DATA));
    dm_model_destroy(&m);
    fuzz_expect(dm_centroids_read(fuzz_comm(), path, 2, 3, centroids));
    return 0;
}
