/* What the text of a CSV field means as a number, a missing value or an id. Local, independent of the locale. */
#ifndef DM_EXCHANGE_CSV_NUMBER_H
#define DM_EXCHANGE_CSV_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum dm_csv_value { DM_CSV_NUMBER, DM_CSV_MISSING, DM_CSV_NOT_A_NUMBER, DM_CSV_TOO_LARGE } dm_csv_value;

/** Only spaces and tabs, or NA, N/A, NaN, nan, NULL, null with or without spaces around. */
bool dm_csv_missing(const char *text);

/**
 * A finite decimal number (optional sign, fraction and exponent; spaces around it), correctly rounded; or yes, no,
 * true, false in any case as 1 and 0. Hexadecimal, infinities and thousands separators are not numbers.
 *
 * @param[out] value  the number, NaN when missing; untouched otherwise
 * @return DM_CSV_TOO_LARGE for a number beyond the range of a double
 */
dm_csv_value dm_csv_number(const char *text, double *value);

/** True if `text` is an int64 in its only canonical spelling ("-12", "0"; not "+1", "007", "-0", " 1", "1.0"). */
bool dm_csv_integer(const char *text, int64_t *value);

#endif
