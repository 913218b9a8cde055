#include "exchange/number_text.h"

#include <charconv>

template <typename T> static size_t shortest(char *buf, T v)
{
    const std::to_chars_result end = std::to_chars(buf, buf + DM_NUMBER_TEXT - 1, v);
    *end.ptr = 0; /* 24 characters are enough for any double */
    return static_cast<size_t>(end.ptr - buf);
}

size_t dm_number_text_f32(char buf[DM_NUMBER_TEXT], float v) { return shortest(buf, v); }
size_t dm_number_text_f64(char buf[DM_NUMBER_TEXT], double v) { return shortest(buf, v); }
