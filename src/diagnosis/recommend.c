#include "diagnosis/recommend.h"
#include <math.h>
void dm_recommend(dm_k_record *record, int32_t ks, dm_recommendation *r)
{
    r->made = true;
    r->best = 0;
    double most = -2.0;
    for (int32_t i = 0; i < ks; i++) {
        if (record[i].failed[0] == 0 && (r->best == 0 || record[i].silhouette > most)) {
            r->best = record[i].k;
            most = isnan(record[i].silhouette) ? -2.0 : record[i].silhouette;
        }
    }
}
