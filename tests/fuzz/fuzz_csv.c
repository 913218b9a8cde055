/* demarc import: the first line of the input is the options, one letter each; the rest is the CSV. Nothing is written. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_support.h"
#include "exchange/csv_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size < 16 ? size : 16);
    const size_t letters = end == NULL ? 0 : (size_t)(end - data), skip = end == NULL ? 0 : letters + 1;
    dm_log log = {0};
    demarc_import_options o = {
        .out = "/tmp/demarc-fuzz-never-written.h5", .dry_run = true, .force = true, .delimiter = ','};
    demarc_import_result r;
    for (size_t i = 0; i < letters; i++) {
        if (data[i] == 'i') o.id = "id";
        if (data[i] == 'w') o.weight = "w";
        if (data[i] == 'a') o.arm = "arm";
        if (data[i] == 'c') o.control = "none";
        if (data[i] == 'o') o.outcomes = "spend";
        if (data[i] == 'r') o.reachable = "mail";
        if (data[i] == 'k') o.categorical = "c,d";
        if (data[i] == 'f') o.features = "a,b";
        if (data[i] == 'x') o.exclude = "e";
        if (data[i] == ';') o.delimiter = ';';
        if (data[i] == '3') o.float32 = true;
    }
    o.in = fuzz_file(data + skip, size - skip);
    fuzz_expect(dm_csv_import(fuzz_comm(), &log, &o, DEMARC_IO_FUNNEL, &r));
    return 0;
}
