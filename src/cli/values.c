#include "cli/values.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXACT_LIMIT 0x1p53 /* whole doubles up to here are exact */
#define WORD_MAX 40        /* longest text for which a nearest word is looked for */

/* strtod and strtoll skip leading blanks and take hex, "inf" and "nan": a decimal number starts otherwise. */
static bool starts_decimal(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) return false;
    return (*p >= '0' && *p <= '9') || (*p == '.' && p[1] >= '0' && p[1] <= '9');
}

/* A decimal number and where it ends; false when it overflows. Underflow to 0 or a subnormal is fine. */
static bool leading_real(const char *text, double *out, const char **rest)
{
    if (!starts_decimal(text)) return false;
    char *end = NULL;
    double v = strtod(text, &end);
    if (!isfinite(v)) return false;
    *out = v;
    *rest = end;
    return true;
}

bool cli_parse_real(const char *text, double *out)
{
    double v = 0.0;
    const char *rest = NULL;
    if (!leading_real(text, &v, &rest) || *rest != 0) return false;
    *out = v;
    return true;
}

/* v as an integer, when it is one. */
static bool whole(double v, int64_t *out)
{
    if (fabs(v) > EXACT_LIMIT || v != floor(v)) return false;
    *out = (int64_t)v;
    return true;
}

bool cli_parse_count(const char *text, int64_t *out)
{
    if (!starts_decimal(text)) return false;
    char *end = NULL;
    errno = 0;
    int64_t plain = strtoll(text, &end, 10);
    if (*end == 0) {
        if (errno == ERANGE) return false;
        *out = plain;
        return true;
    }
    double v = 0.0, factor = 1.0;
    const char *rest = NULL;
    if (!leading_real(text, &v, &rest)) return false;
    if (*rest != 0) {
        factor = strchr("kK", *rest) != NULL   ? 1e3
                 : strchr("mM", *rest) != NULL ? 1e6
                 : strchr("gG", *rest) != NULL ? 1e9
                                               : 0.0;
        if (factor == 0.0 || rest[1] != 0) return false;
    }
    return whole(v * factor, out);
}

bool cli_parse_u64(const char *text, uint64_t *out)
{
    if (*text < '0' || *text > '9') return false;
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end != 0 || errno == ERANGE) return false;
    *out = v;
    return true;
}

bool cli_parse_size(const char *text, int64_t *out)
{
    static const char unit[] = "KMGT";
    double v = 0.0, factor = 1.0;
    const char *rest = NULL;
    if (!leading_real(text, &v, &rest) || v < 0.0) return false;
    bool prefix = false;
    for (size_t i = 0; unit[i] != 0; i++) {
        if (*rest != 0 && strncasecmp(rest, &unit[i], 1) == 0) {
            factor = ldexp(1.0, 10 * ((int)i + 1));
            prefix = true;
            rest++;
            break;
        }
    }
    if (*rest != 0 && strcasecmp(rest, "B") != 0 && !(prefix && strcasecmp(rest, "iB") == 0)) return false;
    return whole(floor(v * factor), out);
}

bool cli_parse_range(const char *text, int64_t *lo, int64_t *hi)
{
    const char *colon = strchr(text, ':');
    char first[WORD_MAX];
    if (colon == NULL) {
        if (!cli_parse_count(text, lo)) return false;
        *hi = *lo;
        return true;
    }
    size_t length = (size_t)(colon - text);
    if (length >= sizeof first) return false;
    memcpy(first, text, length);
    first[length] = 0;
    return cli_parse_count(first, lo) && cli_parse_count(colon + 1, hi);
}

bool cli_parse_char(const char *text, char *out)
{
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) {
        *out = '\t';
        return true;
    }
    unsigned char c = (unsigned char)text[0];
    if (c == 0 || text[1] != 0 || c > 127 || c == '"' || c == '\n' || c == '\r') return false;
    *out = text[0];
    return true;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Optimal string alignment distance; both lengths below WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t d[WORD_MAX][WORD_MAX], la = strlen(a), lb = strlen(b);
    for (size_t i = 0; i <= la; i++) d[i][0] = i;
    for (size_t j = 0; j <= lb; j++) d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            size_t step = smaller(d[i - 1][j], d[i][j - 1]) + 1;
            step = smaller(step, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                step = smaller(step, d[i - 2][j - 2] + 1);
            d[i][j] = step;
        }
    }
    return d[la][lb];
}

const char *cli_nearest(const char *text, const char *const *word)
{
    size_t length = strlen(text);
    if (length == 0 || length >= WORD_MAX) return NULL;
    const char *best = NULL;
    size_t least = length < 4 ? 2 : length < 8 ? 3 : 4; /* a distance below this is near */
    for (; *word != NULL; word++) {
        if (strlen(*word) >= WORD_MAX) continue;
        size_t d = distance(text, *word);
        /* A word begun but not finished is meant too: "seg" for "segments". */
        if (length >= 3 && strncmp(text, *word, length) == 0) d = 1;
        if (d < least) {
            least = d;
            best = *word;
        }
    }
    return best;
}

const char *cli_grouped(char buf[32], int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    size_t sign = digits[0] == '-', count = strlen(digits) - sign, out = 0;
    if (sign != 0) buf[out++] = '-';
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0) buf[out++] = ',';
        buf[out++] = digits[sign + i];
    }
    buf[out] = 0;
    return buf;
}
