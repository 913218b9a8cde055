/* A --config file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_command_line.h"
#include "fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "fuzz", data_file[] = "c.h5", option[] = "--config", path[4096];
    strncpy(path, fuzz_file(data, size), sizeof path - 1);
    path[sizeof path - 1] = 0;
    char *argv[] = {name, data_file, option, path, NULL};
    fuzz_expect(fuzz_command_line(4, argv));
    return 0;
}
