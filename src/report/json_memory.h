/*
 * Reading and writing JSON when memory is short.
 *
 * jansson 2.14 does not survive it: where memory for a character is refused it drops the character and goes on, or ends the
 * process by an assertion. So while it reads or writes, memory that the system refuses comes from a small reserve; the
 * outcome is then thrown away and the caller is told. Local; one call of the library at a time.
 */
#ifndef DM_REPORT_JSON_MEMORY_H
#define DM_REPORT_JSON_MEMORY_H

#include <jansson.h>

/** json_loadb(). @param[out] e  when NULL is returned: e->text is "" where memory was short, else what is wrong */
json_t *dm_json_read(const char *text, size_t bytes, size_t flags, json_error_t *e);
/** json_dumps(), freed by free(); NULL where memory was short. */
char *dm_json_dump(const json_t *root, size_t flags);

#endif
