/*
 * Option values: text to checked numbers, sizes and words. Local; none prints.
 *
 * Each returns false and leaves `out` alone when the text is not wholly a value of its kind (blanks, junk, NaN,
 * overflow); the caller words the error, because only it knows where the text came from.
 */
#ifndef DM_CLI_VALUES_H
#define DM_CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A whole number: "-3", "1000000", and 1e6, 1.5M (K, M, G: thousand, million, billion) when they come out whole. */
bool cli_parse_count(const char *text, int64_t *out);
/** Decimal digits up to 2^64 - 1. */
bool cli_parse_u64(const char *text, uint64_t *out);
/** A finite decimal number. */
bool cli_parse_real(const char *text, double *out);
/** Bytes: "512M", "1.5G", "2GiB"; K, M, G, T are powers of 1024, with or without B or iB, upper or lower case. */
bool cli_parse_size(const char *text, int64_t *out);
/** "K" or "LO:HI". */
bool cli_parse_range(const char *text, int64_t *lo, int64_t *hi);
/** One ASCII character, or "tab" or "\t". A quote, a line end and a character above 127 are refused. */
bool cli_parse_char(const char *text, char *out);

/**
 * The word of the NULL-terminated list nearest to `text`: by few insertions, deletions, replacements and swaps of
 * neighbours (optimal string alignment). NULL when nothing is near enough to be meant.
 */
const char *cli_nearest(const char *text, const char *const *word);

/** 1234567 as "1,234,567". */
const char *cli_grouped(char buf[32], int64_t value);

#endif
