#include "stats/post_stratified.h"

#include <math.h>

int32_t dm_strata_merge(int32_t count, const int64_t rows[][2], int32_t *group)
{
    int32_t groups = 0;
    int64_t open[2] = {0, 0};
    for (int32_t s = 0; s < count; s++) {
        open[0] += rows[s][0];
        open[1] += rows[s][1];
        group[s] = groups;
        if (open[0] < 2 || open[1] < 2) continue;
        groups++;
        open[0] = open[1] = 0;
    }
    if (groups == 0) return 0;
    for (int32_t s = count - 1; s >= 0 && group[s] == groups; s--) group[s] = groups - 1;
    return groups;
}

dm_stratified dm_post_stratified(int32_t count, const dm_arm_cell cell[][2])
{
    double n = 0.0, sum = 0.0, spread = 0.0, uncertain = 0.0;
    for (int32_t s = 0; s < count; s++) n += (double)(cell[s][0].n + cell[s][1].n);
    for (int32_t s = 0; s < count; s++) {
        const double share = (double)(cell[s][0].n + cell[s][1].n) / n;
        double of_means = 0.0;
        for (int a = 0; a < 2; a++) {
            const double rows = (double)cell[s][a].n;
            const double part = share * share * (cell[s][a].squares / (rows - 1.0) / rows);
            of_means += cell[s][a].squares / (rows - 1.0) / rows;
            uncertain += part * part / (rows - 1.0);
        }
        sum += share * (cell[s][1].mean - cell[s][0].mean);
        spread += share * share * of_means;
    }
    if (count < 1) return (dm_stratified){(double)NAN, (double)NAN, (double)NAN};
    return (dm_stratified){sum, spread, uncertain > 0.0 ? spread * spread / uncertain : (double)NAN};
}

double dm_cuped_theta(double cross, double squares) { return squares > 0.0 ? cross / squares : 0.0; }
