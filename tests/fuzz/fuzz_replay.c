/* main() of a fuzz target where there is no libFuzzer: each file named on the command line goes in once. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz_support.h"

#define MAX_BYTES (1 << 20)

int main(int argc, char **argv)
{
    uint8_t *data = malloc(MAX_BYTES);
    if (data == NULL || argc < 2) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (f == NULL) {
            perror(argv[i]);
            return 1;
        }
        const size_t size = fread(data, 1, MAX_BYTES, f);
        fclose(f);
        fprintf(stderr, "%s: %zu bytes\n", argv[i], size);
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return 0;
}
