#include "report/recommendation_words.h"

#include <stdio.h>

void dm_concern_words(const dm_k_record *k, const dm_recommendation *r, dm_concern concern, char *buf, size_t size)
{
    (void)r;
    snprintf(buf, size, "%d %d", (int)k->k, (int)concern);
}
const char *dm_recommendation_rule(void) { return "stub"; }
bool dm_recommendation_reason(const dm_recommendation *r, const dm_k_record *record, int32_t ks, int32_t i, char *buf,
                              size_t size)
{
    (void)r;
    (void)record;
    (void)ks;
    (void)i;
    (void)buf;
    (void)size;
    return false;
}
void dm_recommendation_sentence(const dm_recommendation *r, const dm_k_record *record, int32_t ks, char *buf,
                                size_t size)
{
    (void)record;
    (void)ks;
    snprintf(buf, size, "gap1 %.17g %.17g best %d", r->gap_one, r->gap_one_se, (int)r->best);
}
