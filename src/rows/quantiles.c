/*
 * Exact quantiles of columns by radix selection: the order statistics that the interpolation needs are found digit by
 * digit (8 bits a pass) among the order-preserving integer images of the doubles. Counts add exactly over threads and
 * ranks, so no sample, no sketch, no dependence on the layout.
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/ordered_bits.h"
#include "rows/rows_private.h"

typedef struct selector {
    dm_rows *rows;
    const uint8_t *log1p;
    int32_t targets;     /* per column */
    int shift;           /* bits below the digit of this pass */
    uint64_t *prefix;    /* [d, targets] digits found so far, in place */
    int64_t **histogram; /* per thread [d, targets, 256] */
    double **tile;       /* per thread */
} selector;

static void count_block(void *context, int thread, const dm_raw_block *block)
{
    const selector *s = context;
    const int32_t d = s->rows->d;
    double *tile = s->tile[thread];
    for (int64_t at = 0; at < block->rows; at += s->rows->tile_rows) {
        const int64_t n = block->rows - at < s->rows->tile_rows ? block->rows - at : s->rows->tile_rows;
        dm_rows_convert(s->rows, block, at, n, s->log1p, tile);
        for (int64_t r = 0; r < n; r++) {
            for (int32_t f = 0; f < d; f++) {
                const double v = tile[r * d + f];
                if (!isfinite(v)) continue;
                const uint64_t key = dm_ordered_bits(v), digit = (key >> s->shift) & 0xff;
                for (int32_t t = 0; t < s->targets; t++) {
                    const int64_t i = (int64_t)f * s->targets + t;
                    const bool match = s->shift == 56 || (key ^ s->prefix[i]) >> (s->shift + 8) == 0;
                    if (match) s->histogram[thread][i * 256 + (int64_t)digit]++;
                }
            }
        }
    }
}

demarc_status dm_rows_quantiles(dm_rows *rows, const uint8_t *log1p_of, const dm_scan *scan, int32_t count,
                                const double *probability, double *q)
{
    demarc_status st = DEMARC_OK;
    dm_comm *comm = rows->o.comm;
    const int32_t d = rows->d, targets = 2 * count, threads = rows->o.threads;
    const int64_t cells = (int64_t)d * targets;
    selector s = {.rows = rows, .log1p = dm_rows_flags(rows, log1p_of), .targets = targets};
    int64_t *rank = NULL; /* remaining rank of each target among the values that share its prefix */
    st = dm_alloc_zero(s.prefix, cells, "quantiles");
    if (st == DEMARC_OK) st = dm_alloc(rank, cells, "quantiles");
    if (st == DEMARC_OK) st = dm_alloc_zero(s.histogram, threads, "quantiles");
    if (st == DEMARC_OK) st = dm_alloc_zero(s.tile, threads, "quantiles");
    for (int t = 0; t < threads && st == DEMARC_OK; t++) {
        st = dm_alloc(s.histogram[t], cells * 256, "quantiles");
        if (st == DEMARC_OK) st = dm_alloc(s.tile[t], rows->tile_rows * d, "quantiles");
    }
    DM_TRY_ALL(comm, st);
    for (int32_t f = 0; f < d; f++) {
        for (int32_t p = 0; p < count; p++) {
            const int64_t last = scan->count[f] > 0 ? scan->count[f] - 1 : 0;
            const int64_t low = (int64_t)floor(probability[p] * (double)last);
            rank[(int64_t)f * targets + 2 * p] = low;
            rank[(int64_t)f * targets + 2 * p + 1] = low < last ? low + 1 : last;
        }
    }
    for (s.shift = 56; s.shift >= 0; s.shift -= 8) {
        for (int t = 0; t < threads; t++) memset(s.histogram[t], 0, (size_t)cells * 256 * sizeof(int64_t));
        DM_TRY_ALL(comm, dm_rows_raw_pass(rows, rows->range.begin, rows->range.end, count_block, &s));
        for (int t = 1; t < threads; t++) {
            for (int64_t i = 0; i < cells * 256; i++) s.histogram[0][i] += s.histogram[t][i];
        }
        dm_comm_sum_i64(comm, s.histogram[0], cells * 256);
        for (int64_t i = 0; i < cells; i++) {
            uint64_t digit = 0;
            while (digit < 255 && rank[i] >= s.histogram[0][i * 256 + (int64_t)digit]) {
                rank[i] -= s.histogram[0][i * 256 + (int64_t)digit];
                digit++;
            }
            s.prefix[i] |= digit << s.shift;
        }
    }
    for (int32_t f = 0; f < d; f++) {
        for (int32_t p = 0; p < count; p++) {
            const int64_t i = (int64_t)f * targets + 2 * p;
            const double at = probability[p] * (double)(scan->count[f] - 1), low = dm_ordered_value(s.prefix[i]);
            const double high = dm_ordered_value(s.prefix[i + 1]);
            q[(int64_t)f * count + p] = scan->count[f] > 0 ? low + (high - low) * (at - floor(at)) : (double)NAN;
        }
    }
cleanup:
    for (int t = 0; t < threads; t++) {
        if (s.histogram != NULL) dm_free(s.histogram[t]);
        if (s.tile != NULL) dm_free(s.tile[t]);
    }
    dm_free(s.histogram);
    dm_free(s.tile);
    dm_free(s.prefix);
    dm_free(rank);
    return st;
}
