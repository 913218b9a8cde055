#include "exchange/csv_number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_spaces(const char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    return s;
}

/* True if the text from s on, without the spaces at its end, is `word`; letters in any case when `fold`. */
static bool is_word(const char *s, const char *word, bool fold)
{
    for (; *word != 0; s++, word++) {
        char c = fold && *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
        if (c != *word) return false;
    }
    return *skip_spaces(s) == 0;
}

bool dm_csv_missing(const char *text)
{
    static const char *const words[] = {"NA", "N/A", "NaN", "nan", "NULL", "null"};
    const char *s = skip_spaces(text);
    if (*s == 0) return true;
    if (*s != 'N' && *s != 'n') return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is_word(s, words[i], false)) return true;
    }
    return false;
}

static dm_csv_value word_value(const char *s, const char *text, double *value)
{
    if (dm_csv_missing(text)) {
        *value = NAN;
        return DM_CSV_MISSING;
    }
    if (is_word(s, "yes", true) || is_word(s, "true", true)) {
        *value = 1.0;
        return DM_CSV_NUMBER;
    }
    if (is_word(s, "no", true) || is_word(s, "false", true)) {
        *value = 0.0;
        return DM_CSV_NUMBER;
    }
    return DM_CSV_NOT_A_NUMBER;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The decimal number mantissa x 10^exponent that the text spells. */
typedef struct decimal {
    uint64_t mantissa;
    int digits; /* significant ones; the mantissa is only meaningful up to 19 */
    int64_t exponent;
} decimal;

static const char *take_digits(const char *s, decimal *d, bool fraction)
{
    for (; is_digit(*s); s++) {
        if (d->digits > 0 || *s != '0') d->digits++;
        if (d->digits <= 19) d->mantissa = 10 * d->mantissa + (uint64_t)(*s - '0');
        if (fraction) d->exponent--;
    }
    return s;
}

/* End of the exponent part that starts at s, NULL if it is malformed. */
static const char *take_exponent(const char *s, decimal *d)
{
    bool negative = *s == '-';
    int64_t e = 0;
    if (*s == '-' || *s == '+') s++;
    if (!is_digit(*s)) return NULL;
    for (; is_digit(*s); s++) e = e < 1000000 ? 10 * e + (*s - '0') : e; /* far beyond any double already */
    d->exponent += negative ? -e : e;
    return s;
}

/* Check the grammar and take the digits; false if this is no decimal number. */
static bool scan_decimal(const char *s, decimal *d)
{
    const char *start = s;
    s = take_digits(s, d, false);
    bool any = s > start;
    if (*s == '.') {
        start = ++s;
        s = take_digits(s, d, true);
        any = any || s > start;
    }
    if (!any) return false;
    if (*s == 'e' || *s == 'E') {
        s = take_exponent(s + 1, d);
        if (s == NULL) return false;
    }
    return *skip_spaces(s) == 0;
}

/* The C library's correctly rounded conversion, whatever locale the program runs in. */
static double convert(const char *s)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc: a static object, never fails */
    double v = c != (locale_t)0 ? strtod_l(s, NULL, c) : strtod(s, NULL);
    if (c != (locale_t)0) freelocale(c);
    return v;
}

dm_csv_value dm_csv_number(const char *text, double *value)
{
    /* With a mantissa below 2^53 and one exact power of ten a single division or product rounds correctly (Clinger
       1990, "How to read floating point numbers accurately"); that is nearly every field of a real file. */
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *s = skip_spaces(text);
    bool negative = *s == '-';
    const char *digits = negative || *s == '+' ? s + 1 : s;
    decimal d = {0};
    if (!is_digit(*digits) && *digits != '.') return word_value(s, text, value);
    if (!scan_decimal(digits, &d)) return DM_CSV_NOT_A_NUMBER;
    if (d.digits <= 19 && d.mantissa <= (UINT64_C(1) << 53) && d.exponent >= -22 && d.exponent <= 22) {
        double m = (double)d.mantissa;
        m = d.exponent < 0 ? m / power[-d.exponent] : m * power[d.exponent];
        *value = negative ? -m : m;
        return DM_CSV_NUMBER;
    }
    double v = convert(s);
    if (!isfinite(v)) return DM_CSV_TOO_LARGE;
    *value = v;
    return DM_CSV_NUMBER;
}

bool dm_csv_integer(const char *text, int64_t *value)
{
    bool negative = text[0] == '-';
    const char *s = negative ? text + 1 : text;
    uint64_t v = 0, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (!is_digit(*s) || (s[0] == '0' && (negative || s[1] != 0))) return false;
    for (; is_digit(*s); s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (v > (most - digit) / 10) return false;
        v = 10 * v + digit;
    }
    if (*s != 0) return false;
    *value = (int64_t)(negative ? 0 - v : v);
    return true;
}
