/*
 * Numbers as the shortest decimal text that reads back as the same number, whatever the locale (std::to_chars, C++17; the
 * question and a first answer: Steele & White 1990). 0.1f is "0.1" here, where "%.9g" says 0.100000001. Local.
 */
#ifndef DM_EXCHANGE_NUMBER_TEXT_H
#define DM_EXCHANGE_NUMBER_TEXT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Room for any double, its NUL included. */
#define DM_NUMBER_TEXT 32

/** Infinities are "inf" and "-inf", NaN is "nan". @return length of the text, which ends in a NUL */
size_t dm_number_text_f32(char buf[DM_NUMBER_TEXT], float v);
size_t dm_number_text_f64(char buf[DM_NUMBER_TEXT], double v);

#ifdef __cplusplus
}
#endif
#endif
