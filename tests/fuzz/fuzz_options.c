/* The command line, a word per line; each line is also given to the parsers of single values and of lists. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "boundary/cuts.h"
#include "boundary/facet_list.h"
#include "cli/values.h"
#include "fuzz_command_line.h"
#include "fuzz_support.h"

#define WORDS 32

static void parse_list(const char *text)
{
    dm_strings names = {0};
    double *shift = NULL;
    int32_t count = 0, *pair = NULL;
    fuzz_expect(dm_strings_split(&names, text, "--names"));
    dm_strings_clear(&names);
    fuzz_expect(dm_shifts_parse(text, &shift, &count));
    for (int32_t i = 0; shift != NULL && i < count; i++) {
        if (!(shift[i] > -1.0) || shift[i] == 0.0) abort();
    }
    dm_free(shift);
    if (fuzz_expect(dm_facet_list_parse(text, 12, &pair, &count)) == DEMARC_OK) {
        for (int32_t i = 0; i < count; i++) {
            if (pair[2 * i] < 0 || pair[2 * i] >= pair[2 * i + 1] || pair[2 * i + 1] >= 12) abort();
        }
    }
    dm_free(pair);
}

static void parse_value(const char *text)
{
    static const char *const words[] = {"segments", "seed", "memory-limit", "out", NULL};
    char buf[64], letter = 0;
    int64_t a = 0, b = 0;
    uint64_t u = 0;
    double v = 0.0;
    (void)cli_parse_count(text, &a);
    (void)cli_parse_u64(text, &u);
    (void)cli_parse_size(text, &a);
    (void)cli_parse_range(text, &a, &b);
    (void)cli_parse_char(text, &letter);
    if (cli_parse_real(text, &v) && v - v != 0.0) abort();
    (void)cli_nearest(text, words);
    (void)cli_grouped(buf, a);
    dm_text_escape(buf, sizeof buf, text);
    if (strpbrk(buf, "\n\r\033") != NULL) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[WORDS + 2] = {NULL}, first[] = "fuzz";
    int argc = 1;
    char *text = malloc(size + 1);
    if (text == NULL) abort();
    memcpy(text, data, size);
    text[size] = 0;
    argv[0] = first;
    for (char *at = text, *end; argc <= WORDS && at != NULL; at = end) {
        end = strchr(at, '\n');
        if (end != NULL) *end++ = 0;
        argv[argc++] = at;
        parse_value(at);
        parse_list(at);
    }
    fuzz_expect(fuzz_command_line(argc, argv));
    free(text);
    return 0;
}
